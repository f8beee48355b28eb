-- limits: batches, large values, large rows, and changes that can't be written
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_limits;
SET search_path = stream_limits;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int);
ALTER TABLE t ALTER a SET STORAGE EXTERNAL;
SELECT create_slot('stream_limits');

-- batch_bytes: whole records, packed; nothing is lost, nothing waits beyond commit
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 100) AS g;
SELECT pg_logical_emit_message(false, 'p', 'outside') IS NOT NULL;
INSERT INTO t VALUES (101, 'alone');
CREATE TEMP TABLE one_by_one AS SELECT * FROM peek('stream_limits');
SELECT count(*) FROM one_by_one;
CREATE FUNCTION same(batch_bytes text) RETURNS TABLE (messages bigint, same bool, largest bool) LANGUAGE sql AS $$
	WITH batched AS (SELECT * FROM peek('stream_limits', 'batch_bytes', batch_bytes))
	SELECT (SELECT count(*) FROM batched),
		(SELECT string_agg(data, E'\n' ORDER BY n) FROM batched)
			= (SELECT string_agg(data, E'\n' ORDER BY n) FROM one_by_one),
		(SELECT max(length(data)) FROM batched) <= pg_size_bytes(batch_bytes) + 400
$$;
SELECT * FROM same('1');
SELECT * FROM same('2kB');
SELECT * FROM same('64kB');
SELECT * FROM same('1MB');
-- every record of a batch is valid by itself
SELECT count(r::json) FROM consume('stream_limits', 'batch_bytes', '4kB'), regexp_split_to_table(data, E'\n') AS r;

-- max_value_bytes: measured as written; left out and named, one warning a relation
\set VERBOSITY terse
INSERT INTO t VALUES (200, repeat('a', 1000), NULL, 1), (201, repeat('a', 1023), repeat('b', 1023), 1),
	(202, repeat('"', 600), repeat(E'\n', 511), 1), (203, repeat(E'\u0001', 200), 'b', 1);
UPDATE t SET a = a || repeat('y', 5000), n = 2 WHERE id = 200;
UPDATE t SET n = 3 WHERE id = 200;
DELETE FROM t WHERE id = 201;
SELECT data::json->>'op', length(data::json->'new'->>'a'), length(data::json->'new'->>'b'), data::json->'unchanged', data::json->'omitted'
FROM peek('stream_limits', 'max_value_bytes', '1kB') WHERE data ~ '"id":"' ORDER BY n;
-- max_record_bytes: the largest goes first
SELECT data::json->>'op', length(data::json->'new'->>'a'), length(data::json->'new'->>'b'), data::json->'unchanged', data::json->'omitted'
FROM peek('stream_limits', 'max_record_bytes', '1500B') WHERE data ~ '"id":"' ORDER BY n;
-- old rows count, too
SELECT count(*) > 0 FROM consume('stream_limits');
ALTER TABLE t REPLICA IDENTITY FULL;
UPDATE t SET n = 4 WHERE id = 200;
DELETE FROM t WHERE id = 200;
SELECT data::json->>'op', data::json->'new', data::json->'old', data::json->'omitted', data::json->'unchanged'
FROM peek('stream_limits', 'max_value_bytes', '1kB') WHERE data ~ '"id":"' ORDER BY n;
SELECT length(data::json->'new'->>'a'), length(data::json->'old'->>'a'), data::json->'omitted'
FROM peek('stream_limits', 'max_value_bytes', '8kB') WHERE data ~ '"id":"' ORDER BY n;
SELECT data::json->>'op', data::json->'omitted'
FROM peek('stream_limits', 'max_record_bytes', '8kB') WHERE data ~ '"id":"' ORDER BY n;
ALTER TABLE t DROP CONSTRAINT t_pkey;
DELETE FROM t WHERE id = 202;
SELECT data::json->'key', data::json->'omitted'
FROM peek('stream_limits', 'include_old', 'off', 'max_value_bytes', '1kB', 'actions', 'delete') WHERE data ~ '"id":"' ORDER BY n;
-- no key is half a one, in any format: whatever else it has may be that of other rows
CREATE TABLE keyed (a int, b text, c int, PRIMARY KEY (a, b));
ALTER TABLE keyed ALTER b SET STORAGE EXTERNAL;
INSERT INTO keyed SELECT 1, string_agg(md5(g::text), ''), 1 FROM generate_series(1, 60) AS g;
INSERT INTO keyed VALUES (1, 'short', 1);
UPDATE keyed SET c = 2;
UPDATE keyed SET a = 2 WHERE b <> 'short';
DELETE FROM keyed;
SELECT plain(data) FROM peek('stream_limits', 'max_value_bytes', '1kB', 'tables', '*.keyed', 'include_schemas', 'off', 'include_transactions', 'off') ORDER BY n;
SELECT data::json->>'op', data::json->'key', data::json->'before', data::json->'after', data::json->'omitted'
FROM peek('stream_limits', 'format', 'debezium', 'topic_prefix', 'x', 'max_value_bytes', '1kB', 'tables', '*.keyed') ORDER BY n;
SELECT data FROM peek('stream_limits', 'format', 'wal2json', 'format-version', '2', 'include-pk', 'on', 'include-transaction', 'off', 'max_value_bytes', '1kB', 'add-tables', 'stream_limits.keyed') ORDER BY n;
SELECT data::json->'change'->0->'oldkeys', data::json->'change'->1->'oldkeys' FROM peek('stream_limits', 'format', 'wal2json', 'max_value_bytes', '1kB', 'add-tables', 'stream_limits.keyed') WHERE data ~ 'oldkeys' ORDER BY n;
-- nor a column list's
SELECT data::json->>'op', data::json->'key', data::json->'before', data::json->'after'
FROM peek('stream_limits', 'format', 'debezium', 'topic_prefix', 'x', 'exclude_columns', '*.keyed.b', 'tables', '*.keyed', 'actions', 'delete') ORDER BY n;
SELECT data::json->'key', data::json->'identity', data::json->'primary_key' FROM peek('stream_limits', 'exclude_columns', '*.keyed.b', 'tables', '*.keyed') WHERE data ~ '"op":"schema"';
-- one warning says so, in each format that streams them without a key
SELECT count(*) FROM peek('stream_limits', 'exclude_columns', '*.keyed.b', 'tables', '*.keyed', 'actions', 'insert');
SELECT count(*) FROM peek('stream_limits', 'exclude_columns', '*.keyed.?', 'tables', '*.keyed');
-- oversize 'error': the stream stops, and goes on with other options
SELECT count(*) FROM peek('stream_limits', 'max_value_bytes', '1kB', 'oversize', 'error');
SELECT count(*) FROM consume('stream_limits', 'oversize', 'error');

-- buffers that grew are given back
INSERT INTO t VALUES (300, repeat('x', 20000000));
INSERT INTO t VALUES (301, 'small');
SELECT length(data) > 20000000 FROM peek('stream_limits', 'batch_bytes', '1kB') WHERE data ~ '"id":"' ORDER BY n;
SELECT data::json->'omitted' FROM consume('stream_limits', 'max_record_bytes', '10MB') WHERE data ~ '"id":"' ORDER BY n;

-- a type whose output function fails: skip_changes passes over the change
CREATE TYPE broken;
SET client_min_messages = warning;
CREATE FUNCTION broken_in(cstring) RETURNS broken LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION broken_out(broken) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'pg_ndistinct_out';
RESET client_min_messages;
CREATE TYPE broken (INPUT = broken_in, OUTPUT = broken_out, LIKE = text);
CREATE TABLE fragile (id int PRIMARY KEY, good text, bad broken);
INSERT INTO fragile VALUES (1, 'fine', NULL), (2, 'fine', 'broken'), (3, 'fine', NULL);
SELECT * FROM changes('stream_limits');
SELECT (substr(p, 1, 8) || '/' || substr(p, 9))::pg_lsn AS lsn
FROM peek('stream_limits', 'exclude_columns', '*.fragile.bad'), split_part(data::json->>'id', '/', 2) AS p
WHERE data ~ '"new":\{"id":2' \gset
CREATE FUNCTION passing_over(change text) RETURNS TABLE (id int) LANGUAGE sql AS
	$$SELECT (data::json->'new'->>'id')::int FROM peek('stream_limits', 'skip_changes', '0/10, ' || change)
	  WHERE data ~ '"id":"' ORDER BY n$$;
SET client_min_messages = error;
SELECT * FROM passing_over(:'lsn');
-- by LSN and index, where one record of the WAL has many rows
DELETE FROM fragile WHERE id = 2;
SELECT count(*) > 0 FROM consume('stream_limits', 'skip_changes', :'lsn');
COPY fragile FROM stdin;
11	fine	\N
12	fine	broken
13	fine	\N
14	fine	broken
\.
SELECT (substr(p, 1, 8) || '/' || substr(p, 9))::pg_lsn AS lsn
FROM peek('stream_limits', 'exclude_columns', '*.fragile.bad'), split_part(data::json->>'id', '/', 2) AS p
WHERE data ~ '"new":\{"id":12' \gset
SELECT * FROM passing_over(:'lsn');
SELECT * FROM passing_over(:'lsn' || '/0001');
SELECT * FROM passing_over(:'lsn' || '/1,' || :'lsn' || '/3');
RESET client_min_messages;

SELECT pg_drop_replication_slot('stream_limits');
SET client_min_messages = warning;
DROP SCHEMA stream_limits CASCADE;
