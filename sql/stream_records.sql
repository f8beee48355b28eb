-- records: what a transaction becomes, in which order, under which ids
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_records;
SET search_path = stream_records;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, v text);
SELECT create_slot('stream_records');

-- begin, the table's definition, the change, commit
INSERT INTO t VALUES (1, 'one');
SELECT * FROM records('stream_records');

-- every operation, several of them in one transaction
BEGIN;
INSERT INTO t VALUES (2, 'two'), (3, NULL);
UPDATE t SET v = 'zwei' WHERE id = 2;
DELETE FROM t WHERE id = 3;
COMMIT;
SELECT * FROM records('stream_records');

-- LSNs and xid are those of the transaction, the time that of its commit
BEGIN;
INSERT INTO t VALUES (4, 'four');
SELECT pg_current_xact_id()::text AS xid, pg_current_wal_insert_lsn() AS before \gset
COMMIT;
SELECT pg_current_wal_insert_lsn() AS after \gset
CREATE TEMP TABLE r AS
	SELECT n, data::jsonb AS r FROM consume('stream_records',
		'include_schemas', 'off');
SELECT r->>'op', r->>'xid' = :'xid' FROM r ORDER BY n;
SELECT (r->>'commit_lsn')::pg_lsn >= :'before', (r->>'end_lsn')::pg_lsn <= :'after',
	(r->>'end_lsn')::pg_lsn > (r->>'commit_lsn')::pg_lsn,
	(r->>'ts')::timestamptz BETWEEN now() - interval '1 hour' AND now() + interval '1 hour'
FROM r WHERE r->>'op' = 'commit';
-- the first part of an id is the commit's LSN
SELECT (substr(i.r->>'id', 1, 8) || '/' || substr(i.r->>'id', 9, 8))::pg_lsn = (c.r->>'commit_lsn')::pg_lsn
FROM r AS i, r AS c WHERE i.r->>'op' = 'insert' AND c.r->>'op' = 'commit';
DROP TABLE r;

-- transactions without a record are not there at all
BEGIN;
CREATE TEMP TABLE hidden (a int);
INSERT INTO hidden VALUES (1);
COMMIT;
CREATE UNLOGGED TABLE unlogged (a int);
INSERT INTO unlogged VALUES (1);
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
CREATE UNIQUE INDEX ON m (id);
REFRESH MATERIALIZED VIEW m;
INSERT INTO t VALUES (5, 'five');
REFRESH MATERIALIZED VIEW CONCURRENTLY m;
CREATE SEQUENCE s;
SELECT nextval('s');
SELECT lo_unlink(lo_from_bytea(0, 'large object'));
BEGIN;
INSERT INTO t VALUES (99, 'undone');
ROLLBACK;
SELECT * FROM changes('stream_records');

-- multi-inserts share an LSN: the index tells their rows apart
COPY t FROM stdin;
10	ten
11	eleven
12	twelve
\.
UPDATE t SET v = v || '!' WHERE id >= 10;
DELETE FROM t WHERE id = 11;
CREATE TEMP TABLE ids AS
	SELECT n, data::jsonb AS r FROM peek('stream_records') WHERE data ~ '"id":"';
SELECT r->>'op', split_part(r->>'id', '/', 3) FROM ids ORDER BY n;
-- unique, and their text order is the order of delivery
SELECT count(DISTINCT r->>'id') = count(*) FROM ids;
SELECT count(*) FROM (SELECT n, row_number() OVER (ORDER BY r->>'id' COLLATE "C") AS by_id,
	row_number() OVER (ORDER BY n) AS by_n FROM ids) AS o WHERE by_id <> by_n;
-- the same whatever is filtered away
SELECT f.data::jsonb->>'op' FROM peek('stream_records', 'actions', 'update,delete',
	'messages', 'off', 'include_transactions', 'off', 'include_schemas', 'off') AS f
WHERE NOT EXISTS (SELECT FROM ids WHERE r->>'id' = f.data::jsonb->>'id'
	AND r->'new' IS NOT DISTINCT FROM f.data::jsonb->'new');
SELECT count(*) FROM consume('stream_records', 'actions', 'update,delete') WHERE data ~ '"id":"';
-- and when delivered twice
INSERT INTO t VALUES (20, 'twenty'), (21, 'twenty-one');
CREATE TEMP TABLE once AS SELECT data FROM peek('stream_records');
SELECT count(*) FROM (TABLE once EXCEPT SELECT data FROM consume('stream_records')) AS d;

-- odd names are escaped
CREATE TABLE "a ""quoted"" \ name" ("col ""1"" \" int PRIMARY KEY, "ünï" text, "a.b" int);
INSERT INTO "a ""quoted"" \ name" VALUES (1, 'x', 2);
SELECT * FROM changes('stream_records', 'tables', 'stream_records.a*');

-- tables without columns, and with dropped ones
CREATE TABLE none ();
INSERT INTO none DEFAULT VALUES;
CREATE TABLE dropped (a int, b int, c int);
ALTER TABLE dropped DROP COLUMN b;
INSERT INTO dropped VALUES (1, 3);
SELECT * FROM changes('stream_records', 'tables', 'stream_records.none,stream_records.dropped');

-- our own schema never appears
CREATE TABLE outflow.mine (a int);
INSERT INTO outflow.mine VALUES (1);
DROP TABLE outflow.mine;
SELECT * FROM records('stream_records', 'tables', '*.*');

SELECT pg_drop_replication_slot('stream_records');
SET client_min_messages = warning;
DROP SCHEMA stream_records CASCADE;
