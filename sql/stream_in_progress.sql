-- streaming: transactions in progress, delivered in pieces, with aborts and subtransactions
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_in_progress;
SET search_path = stream_in_progress;
\set shared :project '/test/lib/stream.sql'
\i :shared
SET logical_decoding_work_mem = '64kB';
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE small (id int PRIMARY KEY);
CREATE TABLE copy (LIKE t INCLUDING INDEXES);
SELECT create_slot('stream_in_progress');
CREATE TEMP TABLE r (n bigint, r json);
CREATE FUNCTION load_them(VARIADIC options text[] = '{}') RETURNS void LANGUAGE sql AS
	$$DELETE FROM r; INSERT INTO r SELECT n, data::json FROM peek('stream_in_progress', VARIADIC options || '{streaming,on}')$$;
-- a summary: runs of the same record are counted; without those of transactions that were undone as a whole, when
-- they don't matter: the server may read and stream one of an earlier section again, until it sees its end
CREATE FUNCTION summary(undone boolean DEFAULT true) RETURNS TABLE (what text, times bigint) LANGUAGE sql AS $$
	WITH o AS (SELECT n, concat_ws(' ', r->>'op', r->>'table',
			CASE WHEN r->>'op' = 'stream_abort' THEN CASE WHEN r->>'xid' = r->>'subxid' THEN 'of all' ELSE 'of a part' END
				WHEN r->>'subxid' <> r->>'xid' THEN 'sub' END) AS what FROM r
			WHERE undone OR r->>'xid' NOT IN (SELECT a.r->>'xid' FROM r AS a WHERE a.r->>'op' = 'stream_abort' AND a.r->>'xid' = a.r->>'subxid')),
	b AS (SELECT *, CASE WHEN lag(what) OVER w IS DISTINCT FROM what THEN 1 END AS new FROM o WINDOW w AS (ORDER BY n)),
	g AS (SELECT *, count(new) OVER (ORDER BY n) AS g FROM b)
	SELECT what, count(*) FROM g GROUP BY g, what ORDER BY min(n)$$;

-- off by default
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 2000) AS g;
COMMIT;
SELECT DISTINCT data::json->>'op' FROM peek('stream_in_progress') ORDER BY 1;
SELECT load_them();
SELECT DISTINCT r->>'op' FROM r ORDER BY 1;
-- every piece stands between start and stop; ids are unique and in order
SELECT count(*) FILTER (WHERE r->>'op' = 'stream_start') > 1, count(*) FILTER (WHERE r->>'op' = 'stream_start') = count(*) FILTER (WHERE r->>'op' = 'stream_stop'),
	count(*) FILTER (WHERE r->>'op' = 'stream_commit') FROM r;
SELECT count(*), count(DISTINCT r->>'id'), bool_and(r->>'id' ~ '^-{16}/[0-9A-F]{16}/[0-9A-F]{4}$'), count(DISTINCT r->>'xid'), count(DISTINCT r->>'subxid')
FROM r WHERE r->>'op' = 'insert';
SELECT count(*) FROM (SELECT lag(r->>'id') OVER (ORDER BY n) AS before, r->>'id' AS id FROM r WHERE r->>'id' IS NOT NULL) AS o
WHERE before COLLATE "C" >= id;
SELECT r->>'changes' FROM r WHERE r->>'op' = 'stream_commit';
SELECT count(*) FROM r WHERE r->>'op' = 'schema';
-- the same changes under the same LSNs and indexes as without streaming
SELECT count(*) FROM (SELECT substr(r->>'id', 18), r->'new'->>'id' FROM r WHERE r->>'op' = 'insert'
	EXCEPT SELECT substr(data::json->>'id', 18), data::json->'new'->>'id' FROM peek('stream_in_progress')) AS d;
INSERT INTO copy SELECT * FROM t;
SELECT count(*) > 0 FROM consume('stream_in_progress');

-- multi-inserts that are cut in two
\copy t FROM PROGRAM 'seq -f "%.0f	copied copied copied copied copied" 3001 5000'
SELECT load_them();
SELECT count(*), count(DISTINCT r->>'id') FROM r WHERE r->>'op' = 'insert';
SELECT count(*) > 0 FROM consume('stream_in_progress');

-- subtransactions: kept, undone while the rest goes on
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(10000, 10999) AS g;
SAVEPOINT a;
INSERT INTO t SELECT g, repeat('a', 100) FROM generate_series(11000, 11999) AS g;
ROLLBACK TO a;
SAVEPOINT b;
INSERT INTO t SELECT g, repeat('b', 100) FROM generate_series(12000, 12999) AS g;
RELEASE b;
COMMIT;
SELECT load_them();
SELECT what FROM summary() WHERE what ~ 'abort|commit';
-- what remains is what the transaction did
SELECT count(*) FROM r WHERE r->>'op' = 'insert' AND r->>'subxid' NOT IN (SELECT r->>'subxid' FROM r WHERE r->>'op' = 'stream_abort');
SELECT count(DISTINCT r->>'subxid') FROM r WHERE r->>'op' = 'insert';
-- and the end counts that, with what inner ones wrote, and messages
SELECT r->>'changes' FROM r WHERE r->>'op' = 'stream_commit';
SELECT count(*) > 0 FROM consume('stream_in_progress', 'streaming', 'on');
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(13000, 13999) AS g;
SAVEPOINT a;
INSERT INTO t SELECT g, repeat('a', 100) FROM generate_series(14000, 14499) AS g;
SAVEPOINT b;
SELECT pg_logical_emit_message(true, 'in', 'undone') IS NOT NULL;
INSERT INTO t SELECT g, repeat('b', 100) FROM generate_series(14500, 14999) AS g;
RELEASE b;
INSERT INTO t SELECT g, repeat('a', 100) FROM generate_series(15000, 15499) AS g;
ROLLBACK TO a;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(16000, 16499) AS g;
SELECT pg_logical_emit_message(true, 'in', 'kept') IS NOT NULL;
COMMIT;
SELECT load_them();
SELECT r->>'changes' FROM r WHERE r->>'op' = 'stream_commit';
SELECT count(*), (SELECT data::json->>'changes' FROM peek('stream_in_progress') WHERE data ~ '"op":"commit"')
FROM r WHERE r->>'id' IS NOT NULL AND r->>'subxid' NOT IN (SELECT r->>'subxid' FROM r WHERE r->>'op' = 'stream_abort');
SELECT count(*) > 0 FROM consume('stream_in_progress', 'streaming', 'on');

-- a transaction that is undone as a whole
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(20000, 21999) AS g;
ROLLBACK;
INSERT INTO small VALUES (1);
SELECT load_them();
SELECT what FROM summary() WHERE what ~ 'abort|commit|small';
SELECT count(*) > 0 FROM consume('stream_in_progress');

-- definitions belong to their transaction, those of an undone part too
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(30000, 30999) AS g;
SAVEPOINT a;
ALTER TABLE t ADD COLUMN extra int DEFAULT 5;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(31000, 31999) AS g;
ROLLBACK TO a;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(32000, 32999) AS g;
COMMIT;
INSERT INTO t VALUES (33000, 'after');
SELECT load_them();
SELECT r->>'op', r->>'xid' IS NOT NULL, (SELECT string_agg(c->>'name', ' ') FROM json_array_elements(r->'columns') AS c) FROM r WHERE r->>'op' = 'schema' ORDER BY n;
SELECT count(*) > 0 FROM consume('stream_in_progress');

-- messages and truncations
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(40000, 40999) AS g;
SELECT pg_logical_emit_message(true, 'in', 'a transaction') IS NOT NULL, pg_logical_emit_message(false, 'out', 'side') IS NOT NULL;
SAVEPOINT a;
SELECT pg_logical_emit_message(true, 'in', 'a part that is undone') IS NOT NULL;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(41000, 41999) AS g;
ROLLBACK TO a;
TRUNCATE small;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(42000, 42999) AS g;
COMMIT;
SELECT load_them();
SELECT what FROM summary() WHERE what ~ 'message|truncate|commit|abort';
SELECT m.r->>'content', m.r->>'subxid' IN (SELECT a.r->>'subxid' FROM r AS a WHERE a.r->>'op' = 'stream_abort') FROM r AS m WHERE m.r->>'op' = 'message' ORDER BY n;
SELECT count(*) > 0 FROM consume('stream_in_progress');

-- filters: a transaction of which nothing is wanted leaves no trace
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(50000, 51999) AS g;
INSERT INTO small VALUES (50);
COMMIT;
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(52000, 53999) AS g;
ROLLBACK;
SELECT load_them('tables', '*.small');
SELECT * FROM summary(undone => false);
SELECT load_them('tables', '*.none');
SELECT * FROM summary(undone => false);
-- transactions' records are there even when begin and commit are not wanted
SELECT load_them('tables', '*.small', 'include_transactions', 'off', 'include_schemas', 'off');
SELECT * FROM summary(undone => false);
SELECT count(*) > 0 FROM consume('stream_in_progress');

-- in batches: the same records
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(60000, 61999) AS g;
COMMIT;
SELECT (SELECT string_agg(data, E'\n' ORDER BY n) FROM peek('stream_in_progress', 'streaming', 'on', 'batch_bytes', '16kB'))
	= (SELECT string_agg(data, E'\n' ORDER BY n) FROM peek('stream_in_progress', 'streaming', 'on'));

-- large values, whose chunks wait for their row
ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
BEGIN;
INSERT INTO t VALUES (70000, repeat('1', 100000)), (70001, repeat('2', 100000));
UPDATE t SET id = id + 10 WHERE id >= 70000;
UPDATE t SET v = v || '3' WHERE id = 70010;
COMMIT;
SELECT load_them('tables', '*.t');
SELECT r->>'op', r->'new'->>'id', length(r->'new'->>'v'), r->'unchanged' FROM r WHERE (r->'new'->>'id')::int >= 70000 ORDER BY n;

SELECT pg_drop_replication_slot('stream_in_progress');
SET client_min_messages = warning;
DROP SCHEMA stream_in_progress CASCADE;
