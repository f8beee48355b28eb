-- no input stops a stream: every record has a bound, and forms that keep to it
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_bounds;
SET search_path = stream_bounds;
\set shared :project '/test/lib/stream.sql'
\i :shared
\set VERBOSITY terse
SELECT create_slot('stream_bounds');
CREATE FUNCTION seen(VARIADIC options text[] = '{}') RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT regexp_replace(plain(data), '(.)\1{99,}', '\1..', 'g') FROM peek('stream_bounds', VARIADIC options)
	  WHERE data !~ '"(op":"(begin|commit)|action":"[BC])"' ORDER BY n$$;

-- messages: without content, then without prefix
SELECT pg_logical_emit_message(true, 'p', repeat(chr(1), 400)) IS NOT NULL,
	pg_logical_emit_message(true, repeat('p', 5000), 'x') IS NOT NULL,
	pg_logical_emit_message(false, repeat('p', 5000), repeat('x', 5000)) IS NOT NULL,
	pg_logical_emit_message(true, 'p', decode(repeat('ff', 900), 'hex')) IS NOT NULL,
	pg_logical_emit_message(true, 'p', 'small') IS NOT NULL;
SELECT * FROM seen('max_value_bytes', '1kB');
SELECT regexp_replace(regexp_replace(record, '"ts_[mun]s":[0-9]+,|"(lsn|txId)":[0-9null]+,', '', 'g'), '"sequence":"[^]]*]"', '"sequence"', 'g') AS record
FROM seen('format', 'debezium', 'messages', 'on', 'max_value_bytes', '1kB');
SELECT * FROM seen('format', 'wal2json', 'format-version', '2', 'max_value_bytes', '1kB');
SELECT * FROM seen('format', 'wal2json', 'format-version', '1', 'write-in-chunks', 'on', 'max_value_bytes', '1kB') WHERE record ~ 'kind';
SELECT count(data::json) FROM peek('stream_bounds', 'format', 'wal2json', 'max_value_bytes', '1kB');
-- as an error, which says where; that place can be passed over, inside of transactions and outside
SELECT * FROM seen('max_value_bytes', '1kB', 'oversize', 'error');
SELECT split_part(data::json->>'id', '/', 2) AS p FROM peek('stream_bounds') WHERE data ~ 'pppp.*"transactional":true' \gset
SELECT split_part(data::json->>'id', '/', 1) AS q FROM peek('stream_bounds') WHERE data ~ 'pppp.*"transactional":false' \gset
CREATE FUNCTION lsn(digits text) RETURNS text LANGUAGE sql AS $$SELECT substr(digits, 1, 8) || '/' || substr(digits, 9)$$;
SET client_min_messages = error;
SELECT left(record, 60) FROM seen('skip_changes', lsn(:'p') || ',' || lsn(:'q'));
RESET client_min_messages;
SELECT count(*) > 0 FROM consume('stream_bounds');

-- definitions: without what types are made of and defaults, then without columns
CREATE TYPE many AS ENUM ('a');
DO $$ BEGIN FOR i IN 1..50 LOOP EXECUTE format('ALTER TYPE many ADD VALUE %L', i || repeat('x', 50)); END LOOP; END $$;
CREATE TYPE pair AS (a int, b int);
CREATE TABLE t (id int PRIMARY KEY, e many, p pair, d text DEFAULT repeat(chr(1), 10));
INSERT INTO t VALUES (1, 'a', (1, 2), 'x');
SELECT * FROM seen('max_value_bytes', '1kB');
DO $$ BEGIN FOR i IN 1..20 LOOP EXECUTE format('ALTER TABLE t ADD COLUMN %I int', 'column ' || i || repeat(chr(1), 40)); END LOOP; END $$;
ALTER TABLE t ADD COLUMN v text;
INSERT INTO t (id, v) VALUES (2, 'x');
SELECT left(record, 200), length(record) < 200 AS short FROM seen('max_record_bytes', '1kB') WHERE record !~ '"id":1,';
SELECT * FROM seen('max_value_bytes', '1kB', 'oversize', 'error');
SELECT count(*) > 0 FROM consume('stream_bounds');

-- commands: without their text, then without objects
SELECT outflow.capture_ddl(true);
DO $$ BEGIN EXECUTE 'CREATE TABLE big (' || (SELECT string_agg('c' || g || ' int', ',') FROM generate_series(1, 200) AS g) || ')'; END $$;
CREATE SCHEMA many_objects;
DO $$ BEGIN FOR i IN 1..60 LOOP EXECUTE format('CREATE DOMAIN many_objects.d%s AS int', i); END LOOP; END $$;
SET client_min_messages = error;
SELECT count(*) > 0 FROM consume('stream_bounds');
DROP TYPE many CASCADE;
DROP SCHEMA many_objects CASCADE;
RESET client_min_messages;
SELECT outflow.capture_ddl(false);
SELECT left(record, 200) FROM seen('max_value_bytes', '1kB');

-- forged: what anybody writes is a message as any other
SELECT pg_logical_emit_message(true, 'outflow.ddl', '\x310044524f50005441424c4500'::bytea) IS NOT NULL,
	pg_logical_emit_message(true, 'outflow.ddl', '\x310041003d42007461626c6500742e7400'::bytea) IS NOT NULL,
	pg_logical_emit_message(false, 'outflow.ddl', '\x310041003d4200'::bytea) IS NOT NULL;
SELECT count(*) FROM seen('messages', 'off') WHERE record !~ '"op":"ddl"';
SELECT record::json->>'op', count(*) FROM seen() WHERE record ~ 'outflow' GROUP BY 1;
-- whatever origins are wanted: real ones are of the transaction's
SELECT count(*) FROM seen('origin', 'none') WHERE record ~ '"op":"ddl"';
SELECT count(*) > 0 FROM consume('stream_bounds');

-- TRUNCATE can be passed over
TRUNCATE t;
SELECT split_part(data::json->>'id', '/', 2) AS p FROM peek('stream_bounds') WHERE data ~ '"op":"truncate"' \gset
SET client_min_messages = error;
SELECT count(*) FROM seen('skip_changes', lsn(:'p'), 'include_schemas', 'off');
RESET client_min_messages;
SELECT count(*) > 0 FROM consume('stream_bounds');

-- text that doubles with each level: ranges of nested composites (an output function's text in each
-- format), composites (wal2json), numerics in arrays (wal2json)
CREATE TYPE nest0 AS (a int);
DO $$ BEGIN FOR i IN 1..40 LOOP EXECUTE format('CREATE TYPE nest%s AS (a nest%s)', i, i - 1); END LOOP; END $$;
CREATE TYPE nest_range AS RANGE (SUBTYPE = nest40);
CREATE TYPE shallow_range AS RANGE (SUBTYPE = nest3);
CREATE FUNCTION nested(depth int) RETURNS text LANGUAGE sql AS
	$$SELECT string_agg('ROW(', '') || '1' || repeat(')', depth + 1) FROM generate_series(0, depth)$$;
CREATE TABLE n (id int PRIMARY KEY, c nest40, r nest_range, m nest_multirange, s shallow_range, a numeric[], j jsonb);
DO $$
BEGIN
	EXECUTE format('INSERT INTO n SELECT 1, c FROM (SELECT %s::nest40 AS c) AS t', nested(40));
	EXECUTE format('INSERT INTO n SELECT 2, NULL, nest_range(c, c, ''[]'') FROM (SELECT %s::nest40 AS c) AS t', nested(40));
	EXECUTE format('INSERT INTO n SELECT 3, NULL, NULL, nest_multirange(nest_range(c, c, ''[]'')) FROM (SELECT %s::nest40 AS c) AS t', nested(40));
	EXECUTE format('INSERT INTO n SELECT 4, NULL, NULL, NULL, shallow_range(c, c, ''[]'') FROM (SELECT %s::nest3 AS c) AS t', nested(3));
END $$;
INSERT INTO n SELECT 5, NULL, NULL, NULL, NULL, array_fill(1e131071, ARRAY[9000]);
INSERT INTO n SELECT 6, NULL, NULL, NULL, NULL, NULL, jsonb_agg('1e131071'::jsonb) FROM generate_series(1, 9000);
INSERT INTO n VALUES (7);
SELECT record::json->'new'->>'id' AS id, record::json->'new'->>'s' AS s, record::json->'omitted' AS omitted, left(record::json->'new'->>'c', 30) AS c
FROM seen('max_value_bytes', '1MB') WHERE record ~ '"op":"insert"';
SELECT record::json->'after'->>'id' AS id, record::json->'after'->>'s' AS s, record::json->'omitted' AS omitted
FROM seen('format', 'debezium', 'max_value_bytes', '1MB');
CREATE FUNCTION columns(record text) RETURNS text LANGUAGE sql AS
	$$SELECT string_agg(c->>'name' || '=' || left(c->>'value', 60), ' ') FROM json_array_elements(record::json->'columns') AS c WHERE c->>'value' IS NOT NULL$$;
SELECT columns(record) FROM seen('format', 'wal2json', 'format-version', '2', 'max_value_bytes', '1MB') WHERE record ~ '"I"';
SELECT count(*) > 0 FROM consume('stream_bounds', 'max_value_bytes', '1MB');

-- values and types that are nested deeper than a stack is
CREATE TABLE deep (id int PRIMARY KEY, j jsonb);
DO $$
DECLARE
	j jsonb := '1';
BEGIN
	FOR i IN 1..3000 LOOP
		j := jsonb_build_array(j);
	END LOOP;
	INSERT INTO deep VALUES (1, j);
END $$;
SET max_stack_depth = '100kB';
SELECT record::json->'new'->>'id' AS id, record::json->'omitted' AS omitted FROM seen('include_schemas', 'off');
SELECT record::json->'after'->>'id' AS id, record::json->'omitted' AS omitted FROM seen('format', 'debezium');
SELECT columns(record) FROM seen('format', 'wal2json', 'format-version', '2') WHERE record ~ '"I"';
RESET max_stack_depth;
SELECT length(record) FROM seen('include_schemas', 'off');
SELECT count(*) > 0 FROM consume('stream_bounds');
-- a type of more levels than are followed: a string, and the value counts as too large
DO $$ BEGIN FOR i IN 41..110 LOOP EXECUTE format('CREATE TYPE nest%s AS (a nest%s)', i, i - 1); END LOOP; END $$;
CREATE TABLE levels (id int PRIMARY KEY, a nest110, b nest110[]);
INSERT INTO levels VALUES (1);
DO $$ BEGIN EXECUTE format('INSERT INTO levels SELECT 2, c, ARRAY[c] FROM (SELECT %s::nest110 AS c) AS t', nested(110)); END $$;
SELECT record FROM seen('include_schemas', 'off', 'max_value_bytes', '1MB');
SELECT columns(record) FROM seen('format', 'wal2json', 'format-version', '2', 'max_value_bytes', '1MB') WHERE record ~ '"I"';
SELECT count(*) > 0 FROM consume('stream_bounds', 'max_value_bytes', '1MB');
-- each type has the one before twice: too many parts to be known one by one
CREATE TYPE twice0 AS (a int, b int);
DO $$ BEGIN FOR i IN 1..16 LOOP EXECUTE format('CREATE TYPE twice%s AS (a twice%s, b twice%2$s)', i, i - 1); END LOOP; END $$;
CREATE TABLE wide (id int PRIMARY KEY, w twice16);
INSERT INTO wide VALUES (1, ROW(NULL, NULL)), (2, NULL);
SELECT record FROM seen('include_schemas', 'off');

-- so are arrays of domains of arrays, whose text doubles likewise
CREATE DOMAIN list0 AS int[];
DO $$ BEGIN FOR i IN 1..110 LOOP EXECUTE format('CREATE DOMAIN list%s AS list%s[]', i, i - 1); END LOOP; END $$;
CREATE TABLE lists (id int PRIMARY KEY, a list110, b list3);
CREATE FUNCTION listed(depth int) RETURNS text LANGUAGE sql AS
	$$SELECT repeat('ARRAY[', depth) || '''{1}''::list0' || string_agg(']::list' || i, '' ORDER BY i) FROM generate_series(1, depth) AS i$$;
DO $$ BEGIN EXECUTE format('INSERT INTO lists SELECT 1, %s, %s', listed(110), listed(3)); END $$;
SELECT record FROM seen('include_schemas', 'off', 'max_value_bytes', '1MB');
SELECT count(*) > 0 FROM consume('stream_bounds', 'max_value_bytes', '1MB');
-- a jsonpath of 250 kB, whose text would pass 1 GB
CREATE TABLE paths (id int PRIMARY KEY, p jsonpath);
INSERT INTO paths VALUES (1, '$.a'), (2, ('$[' || repeat('1e131071,', 9000) || '1]')::jsonpath);
SELECT record FROM seen('include_schemas', 'off');
SELECT columns(record) FROM seen('format', 'wal2json', 'format-version', '2') WHERE record ~ '"I"';
SELECT count(*) > 0 FROM consume('stream_bounds');
-- a default that is nested deeper than a reader's stack may hold is left out alone
DO $$ BEGIN EXECUTE 'CREATE TABLE sums (id int PRIMARY KEY, few int DEFAULT 1+(2+3), many int DEFAULT ' || repeat('1+', 3000) || '1)'; END $$;
INSERT INTO sums VALUES (1, 1, 1);
SET max_stack_depth = '200kB';
SELECT record FROM seen();
SELECT record::json->'columns'->2->'default' FROM seen('format', 'wal2json', 'format-version', '2', 'include-default', 'on') WHERE record ~ '"I"';
RESET max_stack_depth;
SELECT count(*) > 0 FROM consume('stream_bounds');

-- a default whose values have more text than is shown, or a type that has changed since, is left out
-- alone; what is small, an array of such or null is shown, and one without elements whatever its type
CREATE TYPE changed AS (a int);
CREATE DOMAIN many_changed AS changed[];
CREATE TYPE changed_range AS RANGE (SUBTYPE = changed);
CREATE TABLE defaults (id int PRIMARY KEY, small text[] DEFAULT '{a,b}', doc jsonb DEFAULT '{"a": [1.5, null]}', n numeric DEFAULT '1e1000',
	unset text DEFAULT (NULL::changed)::text, f date DEFAULT now()::date - 1, rows text DEFAULT ('(1)'::changed)::text, list text DEFAULT ('{"(1)"}'::many_changed)::text,
	range text DEFAULT ('["(1)","(2)"]'::changed_range)::text, many numeric[] DEFAULT '{}', none text DEFAULT ('{}'::many_changed)::text);
-- newer minor releases refuse it
DO $$ BEGIN ALTER TYPE changed ALTER ATTRIBUTE a TYPE text; EXCEPTION WHEN feature_not_supported THEN NULL; END $$;
DO $$ BEGIN EXECUTE format('ALTER TABLE defaults ALTER many SET DEFAULT %L', array_fill('1e131000'::numeric, ARRAY[300])); END $$;
INSERT INTO defaults VALUES (1, '{}', '1', 1, NULL, '2000-01-01', 'a', 'b', 'c', '{}');
SELECT left(c->>'name', 10) AS name, left(c->>'default', 40) AS "default", c->'omitted' AS omitted
FROM seen() AS r, json_array_elements(r.record::json->'columns') AS c WHERE r.record ~ '"op":"schema"';
SELECT left(c->>'name', 10) AS name, left(c->>'default', 40) AS "default"
FROM seen('format', 'wal2json', 'format-version', '2', 'include-default', 'on') AS r, json_array_elements(r.record::json->'columns') AS c WHERE r.record ~ '"I"';
SELECT count(*) FROM seen('format', 'wal2json', 'format-version', '2', 'include-default', 'on', 'mask_columns', '*.defaults.small=redact') WHERE record ~ '\{a,b\}';
SELECT left(d, 40) AS "default"
FROM seen('format', 'wal2json', 'include-default', 'on') AS r, json_array_elements_text(r.record::json->'change'->0->'columndefaults') AS d;
SELECT count(*) FROM peek('stream_bounds', 'format', 'debezium');
SELECT count(*) > 0 FROM consume('stream_bounds');

-- a value whose output function needs more stack than there is, alone and in others
CREATE TYPE query_part AS (q tsquery);
CREATE TYPE query_range AS RANGE (SUBTYPE = tsquery);
CREATE TYPE path_part AS (p jsonpath);
CREATE TABLE queries (id int PRIMARY KEY, a tsquery[], c query_part, r query_range, p jsonpath, part path_part);
DO $$
DECLARE
	q tsquery := 'a';
BEGIN
	INSERT INTO queries VALUES (1, ARRAY[q], ROW(q), query_range(q, NULL), '$', ROW('$'::jsonpath));
	FOR i IN 1..60 LOOP q := ts_rewrite(q, 'a', (repeat('((', 15) || 'a' || repeat('|b)&c)', 15))::tsquery); END LOOP;
	INSERT INTO queries VALUES (2, ARRAY[q]);
	INSERT INTO queries VALUES (3, NULL, ROW(q));
	INSERT INTO queries VALUES (4, NULL, NULL, query_range(q, q, '[]'));
	INSERT INTO queries VALUES (5, NULL, NULL, NULL, ('$' || repeat('.a', 3000))::jsonpath);
	-- the path is compressed within the composite value
	INSERT INTO queries SELECT 6, NULL, NULL, NULL, NULL, ROW(p)::path_part FROM queries WHERE id = 5;
	INSERT INTO queries VALUES (7);
END $$;
SELECT pg_column_size(part) < 2000 AS compressed FROM queries WHERE id = 6;
SET max_stack_depth = '100kB';
SELECT data::json->'new'->>'id' AS id, data::json->'omitted' AS omitted FROM peek('stream_bounds', 'include_schemas', 'off') WHERE data ~ '"op":"insert"';
SELECT data::json->'new'->>'id' AS id, data::json->'omitted' AS omitted FROM peek('stream_bounds', 'include_schemas', 'off', 'nested', 'text') WHERE data ~ '"op":"insert"';
SELECT record FROM seen('include_schemas', 'off', 'mask_columns', 'stream_bounds.queries.a=truncate:5,*.queries.c=truncate:5') WHERE record ~ '"id":[123],';
SELECT data::json->'after'->>'id' AS id, data::json->'omitted' AS omitted FROM peek('stream_bounds', 'format', 'debezium') WHERE data ~ '"op":"c"';
SELECT columns(data) FROM peek('stream_bounds', 'format', 'wal2json', 'format-version', '2') WHERE data ~ '"action":"I"';
SELECT sum(json_array_length(data::json->'change')) FROM peek('stream_bounds', 'format', 'wal2json');
RESET max_stack_depth;
SELECT data::json->'new'->>'id' AS id, data::json->'omitted' AS omitted FROM peek('stream_bounds', 'include_schemas', 'off') WHERE data ~ '"op":"insert"';
SELECT count(*) > 0 FROM consume('stream_bounds');
DROP TABLE queries;

-- nothing is left out by an estimate: a long jsonpath, and one of many numbers
CREATE TABLE long (id int PRIMARY KEY, p jsonpath);
INSERT INTO long VALUES (1, ('$."' || repeat('a', 20000) || '"')::jsonpath), (2, ('$[' || repeat('1,', 5000) || '1]')::jsonpath);
SELECT data::json->'new'->>'id' AS id, length(data::json->'new'->>'p'), data::json->'omitted' AS omitted FROM peek('stream_bounds', 'include_schemas', 'off') WHERE data ~ '"op":"insert"';
SELECT data::json->'after'->>'id' AS id, length(data::json->'after'->>'p'), data::json->'omitted' AS omitted FROM peek('stream_bounds', 'format', 'debezium') WHERE data ~ '"op":"c"';
SELECT count(*) > 0 FROM consume('stream_bounds');

SELECT pg_drop_replication_slot('stream_bounds');
SET client_min_messages = warning;
DROP SCHEMA stream_bounds CASCADE;
