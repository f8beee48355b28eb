-- Promise: the names, arguments, defaults, columns and rights of the SQL
-- interface are as documented; code that calls them goes on working.
\set ECHO none
BEGIN;
SELECT no_plan();

-- every function and procedure for users: its arguments and its result
CREATE TEMP TABLE wanted (name text, arguments text, result text);
INSERT INTO wanted VALUES
	('cancel', 'job bigint', 'boolean'),
	('capture_ddl', 'enable boolean', 'void'),
	('export', 'IN source regclass, IN destination text,'
		' IN format text DEFAULT ''csv''::text,'
		' IN compression text DEFAULT NULL::text,'
		' IN columns text[] DEFAULT NULL::text[],'
		' IN filter text DEFAULT NULL::text,'
		' IN encrypt_to text[] DEFAULT NULL::text[],'
		' IN part_size text DEFAULT ''128MB''::text,'
		' IN workers integer DEFAULT 2, IN base bigint DEFAULT NULL::bigint,'
		' IN slot name DEFAULT NULL::name,'
		' IN options jsonb DEFAULT ''{}''::jsonb,'
		' INOUT job bigint DEFAULT NULL::bigint', NULL),
	('export_start', 'source regclass, destination text,'
		' format text DEFAULT ''csv''::text,'
		' compression text DEFAULT NULL::text,'
		' columns text[] DEFAULT NULL::text[],'
		' filter text DEFAULT NULL::text,'
		' encrypt_to text[] DEFAULT NULL::text[],'
		' part_size text DEFAULT ''128MB''::text,'
		' workers integer DEFAULT 2, base bigint DEFAULT NULL::bigint,'
		' slot name DEFAULT NULL::name,'
		' options jsonb DEFAULT ''{}''::jsonb', 'bigint'),
	('export_publication', 'IN publication name, IN destination text,'
		' IN format text DEFAULT ''csv''::text,'
		' IN compression text DEFAULT NULL::text,'
		' IN encrypt_to text[] DEFAULT NULL::text[],'
		' IN part_size text DEFAULT ''128MB''::text,'
		' IN workers integer DEFAULT 2, IN base bigint DEFAULT NULL::bigint,'
		' IN slot name DEFAULT NULL::name,'
		' IN options jsonb DEFAULT ''{}''::jsonb,'
		' INOUT job bigint DEFAULT NULL::bigint', NULL),
	('export_publication_start', 'publication name, destination text,'
		' format text DEFAULT ''csv''::text,'
		' compression text DEFAULT NULL::text,'
		' encrypt_to text[] DEFAULT NULL::text[],'
		' part_size text DEFAULT ''128MB''::text,'
		' workers integer DEFAULT 2, base bigint DEFAULT NULL::bigint,'
		' slot name DEFAULT NULL::name,'
		' options jsonb DEFAULT ''{}''::jsonb', 'bigint'),
	('export_query', 'IN query text, IN destination text,'
		' IN format text DEFAULT ''csv''::text,'
		' IN compression text DEFAULT NULL::text,'
		' IN encrypt_to text[] DEFAULT NULL::text[],'
		' IN part_size text DEFAULT ''128MB''::text,'
		' IN options jsonb DEFAULT ''{}''::jsonb,'
		' INOUT job bigint DEFAULT NULL::bigint', NULL),
	('export_schema', 'IN schema regnamespace, IN destination text,'
		' IN format text DEFAULT ''csv''::text,'
		' IN compression text DEFAULT NULL::text,'
		' IN encrypt_to text[] DEFAULT NULL::text[],'
		' IN part_size text DEFAULT ''128MB''::text,'
		' IN workers integer DEFAULT 2, IN base bigint DEFAULT NULL::bigint,'
		' IN slot name DEFAULT NULL::name,'
		' IN options jsonb DEFAULT ''{}''::jsonb,'
		' INOUT job bigint DEFAULT NULL::bigint', NULL),
	('export_schema_start', 'schema regnamespace, destination text,'
		' format text DEFAULT ''csv''::text,'
		' compression text DEFAULT NULL::text,'
		' encrypt_to text[] DEFAULT NULL::text[],'
		' part_size text DEFAULT ''128MB''::text,'
		' workers integer DEFAULT 2, base bigint DEFAULT NULL::bigint,'
		' slot name DEFAULT NULL::name,'
		' options jsonb DEFAULT ''{}''::jsonb', 'bigint'),
	('export_tables', 'IN sources regclass[], IN destination text,'
		' IN format text DEFAULT ''csv''::text,'
		' IN compression text DEFAULT NULL::text,'
		' IN encrypt_to text[] DEFAULT NULL::text[],'
		' IN part_size text DEFAULT ''128MB''::text,'
		' IN workers integer DEFAULT 2, IN base bigint DEFAULT NULL::bigint,'
		' IN slot name DEFAULT NULL::name,'
		' IN options jsonb DEFAULT ''{}''::jsonb,'
		' INOUT job bigint DEFAULT NULL::bigint', NULL),
	('export_tables_start', 'sources regclass[], destination text,'
		' format text DEFAULT ''csv''::text,'
		' compression text DEFAULT NULL::text,'
		' encrypt_to text[] DEFAULT NULL::text[],'
		' part_size text DEFAULT ''128MB''::text,'
		' workers integer DEFAULT 2, base bigint DEFAULT NULL::bigint,'
		' slot name DEFAULT NULL::name,'
		' options jsonb DEFAULT ''{}''::jsonb', 'bigint'),
	('check_destination', 'destination text',
		'TABLE(step text, ok boolean, detail text, fix text)'),
	('forget', 'job bigint, abandon boolean DEFAULT false', 'void'),
	('heartbeat', '', 'pg_lsn'),
	('lake_vacuum', 'destination text,'
		' retention interval DEFAULT ''7 days''::interval,'
		' catalog text DEFAULT ''''::text',
		'TABLE(file text, bytes bigint)'),
	('lake_versions', 'destination text, catalog text DEFAULT ''''::text',
		'TABLE(version bigint,'
		' committed timestamp with time zone, operation text, writer text,'
		' job bigint, snapshot text, lsn pg_lsn, rows bigint,'
		' files_added bigint, files_removed bigint)'),
	('preflight', '', 'TABLE(item text, ok boolean, detail text, fix text)'),
	('prune', 'prefix text, keep integer',
		'TABLE(job bigint, destination text)'),
	('restore_script', 'job bigint', 'text'),
	('resume', 'IN job bigint', NULL),
	('resume_start', 'job bigint', 'bigint'),
	('run_queue', '', 'integer'),
	('subscription_slot', 'job bigint, slot name', 'pg_lsn'),
	('verify', 'job bigint, verify text DEFAULT NULL::text',
		'TABLE(part integer, file text, status text, detail text)');

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
	SELECT ok(has_function_privilege('public', p.oid, 'EXECUTE'),
		format('everyone may call outflow.%s; it checks rights itself',
			w.name))
) AS t (line);

-- what \df outflow.* shows is the interface; what serves it is out of sight
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc AS p
	WHERE p.pronamespace = 'outflow'::regnamespace
	AND p.proname NOT IN (SELECT name FROM wanted)
$$, 'nothing else is in the schema');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c
	WHERE c.relnamespace = 'outflow_internal'::regnamespace
$$, 'no relation is in the other one');

-- every view: its columns, in order
SELECT columns_are('outflow', v.name, v.columns)
FROM (VALUES
	('jobs', ARRAY['job', 'state', 'owner', 'source', 'destination', 'format',
		'parts_total', 'parts_done', 'parts_carried', 'parts_redone', 'rows',
		'bytes', 'bytes_stored', 'rate', 'eta', 'snapshot', 'lsn', 'slot',
		'retries', 'waiting_for', 'error', 'started', 'finished', 'made_null']),
	('parts', ARRAY['job', 'part', 'state', 'relation', 'first_block',
		'last_block', 'file', 'rows', 'bytes', 'bytes_stored', 'snapshot',
		'lsn', 'attempts', 'error']),
	('slots', ARRAY['slot', 'database', 'active', 'retained_bytes',
		'lag_bytes', 'wal_status', 'safe_bytes', 'removed_by'])
) AS v (name, columns);
SELECT views_are('outflow', ARRAY['jobs', 'parts', 'slots']);

-- security: nobody's rights are lent, nobody's search_path is trusted
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc AS p
	WHERE p.pronamespace IN ('outflow'::regnamespace, 'outflow_internal'::regnamespace) AND p.prosecdef
$$, 'no function runs with its owner''s rights');
SELECT is_empty($$
	SELECT p.oid::regprocedure
	FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
	WHERE p.pronamespace IN ('outflow'::regnamespace, 'outflow_internal'::regnamespace)
	AND l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL
	AND NOT coalesce(p.proconfig, '{}') @> '{"search_path=pg_catalog, pg_temp"}'
$$, 'every function in SQL or PL/pgSQL pins its search_path');
-- what may load the library, or begins a subtransaction, does so in no parallel query
SELECT is_empty($$
	SELECT p.oid::regprocedure
	FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
	WHERE p.pronamespace IN ('outflow'::regnamespace, 'outflow_internal'::regnamespace)
	AND p.proparallel <> 'u' AND (l.lanname <> 'sql' OR p.prosrc ~ 'outflow\.|outflow_internal\.(job|preflight)_')
$$, 'only functions in SQL, with nothing but SQL in them, may be in parallel queries');
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
SELECT ok(has_schema_privilege('public', n, 'USAGE') AND NOT has_schema_privilege('public', n, 'CREATE'),
	format('everyone may use the schema %s, and only the owner create in it', n))
FROM unnest(ARRAY['outflow', 'outflow_internal']) AS n;

-- all that it made goes with it, and it can be created again
CREATE TEMP TABLE before AS SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'outflow');
SELECT lives_ok('DROP EXTENSION outflow', 'the extension can be dropped');
SELECT is_empty($$
	SELECT nspname FROM pg_namespace WHERE nspname ~ '^outflow'
UNION ALL
	SELECT pg_describe_object(classid, objid, 0) FROM pg_shdepend JOIN before USING (classid, objid)
UNION ALL
	SELECT pg_describe_object(classid, objid, 0) FROM pg_depend JOIN before USING (classid, objid)
$$, 'nothing of it is left, its schemas included');
SELECT lives_ok('CREATE EXTENSION outflow', 'and created again');

SELECT * FROM finish();
ROLLBACK;
