-- Promise: the names, arguments, defaults, columns and rights of the SQL
-- interface are as documented; code that calls them goes on working.
\set ECHO none
BEGIN;
SELECT no_plan();

-- every function and procedure: its arguments, its result, who may call it
CREATE TEMP TABLE wanted (name text, arguments text, result text, public boolean);
INSERT INTO wanted VALUES
	('preflight', '', 'TABLE(item text, ok boolean, detail text, fix text)', true);

SELECT t.line
FROM wanted AS w
LEFT JOIN pg_proc AS p ON p.pronamespace = 'outflow'::regnamespace
	AND p.proname = w.name
CROSS JOIN LATERAL (
	SELECT is(pg_get_function_arguments(p.oid), w.arguments,
		format('arguments of outflow.%s', w.name))
UNION ALL
	SELECT is(pg_get_function_result(p.oid), w.result,
		format('result of outflow.%s', w.name))
UNION ALL
	SELECT is(has_function_privilege('public', p.oid, 'EXECUTE'), w.public,
		format('everyone may%s call outflow.%s',
			CASE WHEN NOT w.public THEN ' not' END, w.name))
) AS t (line);

-- security: nobody's rights are lent, nobody's search_path is trusted
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc AS p
	WHERE p.pronamespace = 'outflow'::regnamespace AND p.prosecdef
$$, 'no function runs with its owner''s rights');
SELECT is_empty($$
	SELECT p.oid::regprocedure
	FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
	WHERE p.pronamespace = 'outflow'::regnamespace
	AND l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL
	AND NOT coalesce(p.proconfig, '{}') @> '{"search_path=pg_catalog, pg_temp"}'
$$, 'every function in SQL or PL/pgSQL pins its search_path');
SELECT is_empty($$
	SELECT c.oid::regclass
	FROM pg_class AS c
	CROSS JOIN LATERAL aclexplode(coalesce(c.relacl,
		acldefault('r', c.relowner))) AS a
	WHERE c.relnamespace = 'outflow'::regnamespace
	AND c.relkind IN ('r', 'p', 'S') AND a.grantee <> c.relowner
$$, 'no table or sequence is granted to anybody');
SELECT is_empty($$
	SELECT c.oid::regclass
	FROM pg_class AS c
	CROSS JOIN LATERAL aclexplode(c.relacl) AS a
	WHERE c.relnamespace = 'outflow'::regnamespace
	AND c.relkind = 'v' AND a.grantee <> c.relowner
	AND a.privilege_type <> 'SELECT'
$$, 'views can only be read');
SELECT ok(has_schema_privilege('public', 'outflow', 'USAGE'),
	'everyone may use the schema');
SELECT ok(NOT has_schema_privilege('public', 'outflow', 'CREATE'),
	'only the owner may create in the schema');

-- it belongs to its schema and can be dropped and created again
SELECT lives_ok('DROP EXTENSION outflow', 'the extension can be dropped');
SELECT is_empty($$
	SELECT FROM pg_proc WHERE pronamespace = 'outflow'::regnamespace
$$, 'nothing of it is left');
SELECT lives_ok('CREATE EXTENSION outflow', 'and created again');

SELECT * FROM finish();
ROLLBACK;
