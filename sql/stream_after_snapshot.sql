-- after_snapshot: a stream begins exactly where an export's snapshot ended
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_after_snapshot;
SET search_path = stream_after_snapshot;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE u (id int PRIMARY KEY);
CREATE PUBLICATION stream_after_snapshot WITH (publish_via_partition_root);
SELECT create_slot('stream_after_snapshot');
SELECT FROM pg_create_logical_replication_slot('stream_after_snapshot_2', 'outflow', false, true);
CREATE FUNCTION after(VARIADIC snapshot text[]) RETURNS TABLE (op text, name text, new json) LANGUAGE sql AS
	$$SELECT data::json->>'op', data::json->>'table', data::json->'new'
	  FROM peek('stream_after_snapshot', 'after_snapshot', array_to_string(snapshot, ','), 'include_transactions', 'off', 'include_schemas', 'off') ORDER BY n$$;

-- bad snapshots
SELECT * FROM after('now');
SELECT * FROM after('1:2');
SELECT * FROM after('5:3:');
SELECT * FROM after('3:5:9');
SELECT * FROM after('3:9:5,4');
SELECT * FROM after('3:9:5', '5');
SELECT * FROM after('-1:9:');
SELECT * FROM after('3:99999999999999999999:');
SELECT * FROM after('4');
SELECT * FROM after('t=3:5:');

-- another server's
SELECT * FROM after('3:1152921504606846976:');

-- before, in progress, after; subtransactions count as their transaction
INSERT INTO t VALUES (1, 'before');
BEGIN;
SAVEPOINT s;
INSERT INTO t VALUES (2, 'before, in a subtransaction');
RELEASE s;
UPDATE t SET v = v || '!' WHERE id = 2;
COMMIT;
BEGIN;
INSERT INTO t VALUES (3, 'prepared, running at the snapshot');
PREPARE TRANSACTION 'stream_after_snapshot';
BEGIN;
INSERT INTO t VALUES (4, 'prepared, finished before the snapshot');
PREPARE TRANSACTION 'stream_after_snapshot_2';
COMMIT PREPARED 'stream_after_snapshot_2';
SELECT pg_current_snapshot()::text AS snapshot \gset
CREATE TABLE exported AS SELECT * FROM t;
COMMIT PREPARED 'stream_after_snapshot';
INSERT INTO t VALUES (5, 'after');
SELECT count(*) FROM after('3:3:');
SELECT * FROM after(:'snapshot');
-- what the snapshot has and what comes after it is the table
SELECT * FROM exported UNION ALL SELECT (new->>'id')::int, new->>'v' FROM after(:'snapshot') WHERE name = 't' ORDER BY 1;
-- two_phase decides by the same id
SELECT data::json->>'op', data::json->>'gid', data::json->'new'->>'id' FROM peek('stream_after_snapshot_2', 'after_snapshot', :'snapshot', 'tables', '*.t', 'include_schemas', 'off') ORDER BY n;
SELECT pg_drop_replication_slot('stream_after_snapshot_2');

-- messages outside of transactions are no part of a snapshot
SELECT pg_logical_emit_message(false, 'm', 'x') IS NOT NULL, pg_logical_emit_message(true, 'm', 'y') IS NOT NULL;
SELECT pg_current_snapshot()::text AS later \gset
INSERT INTO u VALUES (1);
SELECT data::json->>'op', data::json->>'content' FROM peek('stream_after_snapshot', 'after_snapshot', :'later', 'include_schemas', 'off') ORDER BY n;

-- a table that was exported later brings its own
SELECT * FROM after(:'snapshot', 'stream_after_snapshot.u=' || :'later');
INSERT INTO t VALUES (6, 'after all');
INSERT INTO u VALUES (2);
TRUNCATE u;
SELECT * FROM after(:'snapshot', 'stream_after_snapshot.u=' || pg_current_snapshot()::text);
SELECT * FROM after('stream_after_snapshot.u=' || pg_current_snapshot()::text) WHERE name = 'u' OR name = 't' AND new->>'id' IN ('1', '6');
SELECT * FROM after('*.*=' || pg_current_snapshot()::text);

-- so does a partitioned one, under whatever names its rows appear
CREATE TABLE late (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE late_p1 PARTITION OF late FOR VALUES FROM (0) TO (10);
CREATE TABLE late_p2 PARTITION OF late FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE late_p21 PARTITION OF late_p2 FOR VALUES FROM (10) TO (20);
ALTER PUBLICATION stream_after_snapshot ADD TABLE late;
INSERT INTO late VALUES (1), (11);
SELECT 'stream_after_snapshot.late=' || pg_current_snapshot()::text AS of_late \gset
INSERT INTO late VALUES (2), (12);
SELECT 'stream_after_snapshot.late_p1=' || pg_current_snapshot()::text AS of_leaf, 'stream_after_snapshot.late_p2=' || pg_current_snapshot()::text AS of_middle, pg_current_snapshot()::text AS now \gset
INSERT INTO late VALUES (3), (13);
SELECT * FROM after(:'later', :'of_late') WHERE name ~ 'late';
SELECT * FROM after(:'now', :'of_late') WHERE name ~ 'late';
SELECT * FROM after(:'of_late') WHERE name ~ 'late';
-- the nearest counts
SELECT * FROM after(:'later', :'of_late', :'of_leaf') WHERE name ~ 'late';
SELECT * FROM after(:'later', :'of_late', :'of_middle') WHERE name ~ 'late';
-- or the name that appears
CREATE FUNCTION after_root(VARIADIC snapshot text[]) RETURNS TABLE (leaf text, new json) LANGUAGE sql AS
	$$SELECT data::json->>'leaf', data::json->'new' FROM peek('stream_after_snapshot', 'publication_names', 'stream_after_snapshot', 'actions', 'insert', 'after_snapshot', array_to_string(snapshot, ','), 'include_transactions', 'off', 'include_schemas', 'off', 'messages', 'off') ORDER BY n$$;
SELECT * FROM after_root(:'later', :'of_leaf');
SELECT * FROM after_root(:'later', :'of_leaf', :'of_late');
-- as long as it is a partition
BEGIN;
INSERT INTO late VALUES (4);
ALTER TABLE late DETACH PARTITION late_p1;
INSERT INTO late_p1 VALUES (5);
ALTER TABLE late ATTACH PARTITION late_p1 FOR VALUES FROM (0) TO (10);
INSERT INTO late VALUES (6);
ALTER TABLE late RENAME TO other;
INSERT INTO late_p1 VALUES (7);
ALTER TABLE other RENAME TO late;
INSERT INTO late_p1 VALUES (8);
COMMIT;
SELECT * FROM after(:'later', 'stream_after_snapshot.late=' || pg_current_snapshot()::text) WHERE name ~ 'late';

-- in progress: pieces of what the snapshot has leave no trace
SET logical_decoding_work_mem = '64kB';
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(100, 2000) AS g;
COMMIT;
SELECT pg_current_snapshot()::text AS third \gset
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(3000, 5000) AS g;
COMMIT;
SELECT DISTINCT data::json->>'op' FROM peek('stream_after_snapshot', 'streaming', 'on', 'after_snapshot', :'third', 'messages', 'off') ORDER BY 1;
SELECT count(*), min((data::json->'new'->>'id')::int) FROM peek('stream_after_snapshot', 'streaming', 'on', 'after_snapshot', :'third') WHERE data ~ '"op":"insert"';
SELECT count(*) FROM peek('stream_after_snapshot', 'streaming', 'on', 'after_snapshot', pg_current_snapshot()::text);
RESET logical_decoding_work_mem;

-- once the slot is past the snapshot, the option has no effect and says so
SELECT count(*) > 0 FROM consume('stream_after_snapshot');
CHECKPOINT;
INSERT INTO u VALUES (3);
SELECT count(*) > 0 FROM consume('stream_after_snapshot');
CHECKPOINT;
INSERT INTO u VALUES (4);
SELECT count(*) > 0 FROM consume('stream_after_snapshot');
INSERT INTO u VALUES (5);
SELECT * FROM after(:'snapshot');
SELECT * FROM after('stream_after_snapshot.u=' || :'snapshot', pg_current_snapshot()::text);

SELECT pg_drop_replication_slot('stream_after_snapshot');
SET client_min_messages = warning;
DROP PUBLICATION stream_after_snapshot;
DROP SCHEMA stream_after_snapshot CASCADE;
