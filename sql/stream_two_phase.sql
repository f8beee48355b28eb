-- two-phase: transactions delivered at PREPARE, then committed or rolled back
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_two_phase;
SET search_path = stream_two_phase;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, v text);
SELECT FROM pg_create_logical_replication_slot('stream_two_phase', 'outflow', false, true);
SELECT create_slot('stream_one_phase');

BEGIN;
INSERT INTO t VALUES (1, 'a');
SAVEPOINT s;
INSERT INTO t VALUES (2, 'undone');
ROLLBACK TO s;
INSERT INTO t VALUES (3, 'c');
PREPARE TRANSACTION 'stream "one"';
SELECT * FROM records('stream_two_phase', 'include_schemas', 'off');
SELECT * FROM records('stream_one_phase', 'include_schemas', 'off');
-- the first part of an id is the LSN of the PREPARE
BEGIN;
INSERT INTO t VALUES (4, 'd');
PREPARE TRANSACTION 'stream_two';
SELECT (substr(i.data::json->>'id', 1, 8) || '/' || substr(i.data::json->>'id', 9, 8))::pg_lsn = (p.data::json->>'prepare_lsn')::pg_lsn,
	(p.data::json->>'end_lsn')::pg_lsn > (p.data::json->>'prepare_lsn')::pg_lsn, (p.data::json->>'ts')::timestamptz > now() - interval '1 hour'
FROM peek('stream_two_phase') AS i, peek('stream_two_phase') AS p WHERE i.data ~ '"op":"insert"' AND p.data ~ '"op":"prepare"';
SELECT * FROM records('stream_two_phase', 'include_schemas', 'off');
COMMIT PREPARED 'stream "one"';
ROLLBACK PREPARED 'stream_two';
SELECT * FROM records('stream_two_phase', 'include_schemas', 'off');
SELECT * FROM records('stream_one_phase', 'include_schemas', 'off');

-- prepared and finished before the stream comes by
BEGIN;
INSERT INTO t VALUES (5, 'e');
PREPARE TRANSACTION 'stream_three';
COMMIT PREPARED 'stream_three';
BEGIN;
INSERT INTO t VALUES (6, 'f');
PREPARE TRANSACTION 'stream_four';
ROLLBACK PREPARED 'stream_four';
INSERT INTO t VALUES (7, 'g');
SELECT * FROM records('stream_two_phase', 'include_schemas', 'off');
SELECT * FROM records('stream_one_phase', 'include_schemas', 'off');

-- an empty one, or one of which nothing is wanted, has its records nevertheless
BEGIN;
INSERT INTO t VALUES (8, 'h');
PREPARE TRANSACTION 'stream_five';
COMMIT PREPARED 'stream_five';
SELECT * FROM records('stream_two_phase', 'tables', '*.none');

-- the option turns it on for a slot for good
BEGIN;
INSERT INTO t VALUES (9, 'i');
PREPARE TRANSACTION 'stream_six';
SELECT data::json->>'op' FROM peek('stream_one_phase', 'two_phase', 'on') ORDER BY n;
SELECT two_phase FROM pg_replication_slots WHERE slot_name = 'stream_one_phase';
SELECT data::json->>'op' FROM consume('stream_one_phase', 'two_phase', 'off') ORDER BY n;
COMMIT PREPARED 'stream_six';
SELECT data::json->>'op' FROM consume('stream_one_phase') ORDER BY n;

-- DDL and locks in a prepared transaction
SELECT count(*) > 0 FROM consume('stream_two_phase');
BEGIN;
ALTER TABLE t ADD COLUMN x int DEFAULT 1;
INSERT INTO t VALUES (10, 'j');
PREPARE TRANSACTION 'stream_seven';
SELECT data::json->>'op', data::json->'new' FROM consume('stream_two_phase') ORDER BY n;
COMMIT PREPARED 'stream_seven';
INSERT INTO t VALUES (11, 'k', 2);
SELECT data::json->>'op', data::json->'new' FROM consume('stream_two_phase') ORDER BY n;

-- streamed in pieces, then prepared
SET logical_decoding_work_mem = '64kB';
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(100, 2000) AS g;
PREPARE TRANSACTION 'stream_eight';
SELECT data::json->>'op', data::json->>'gid', data::json->>'changes' FROM consume('stream_two_phase', 'streaming', 'on') WHERE data ~ '"gid"' ORDER BY n;
COMMIT PREPARED 'stream_eight';
BEGIN;
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(3000, 5000) AS g;
PREPARE TRANSACTION 'stream_nine';
ROLLBACK PREPARED 'stream_nine';
-- one that is rolled back before it is read: a server that streams it up to its PREPARE (before 18) has that told, without changes; others tell its end alone
SELECT data::json->>'op', data::json->>'gid' FROM consume('stream_two_phase', 'streaming', 'on') WHERE data ~ 'gid|abort' AND NOT (data ~ 'stream_prepare' AND data::json->>'changes' = '0') ORDER BY n;
-- one of which the server makes pieces after its PREPARE was passed over, for the sake of another transaction's memory: they are ended
INSERT INTO t VALUES (5100, 'what is known of the table needs no catalog then');
BEGIN;
INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(5101, 5200) AS g;
PREPARE TRANSACTION 'stream_nine';
INSERT INTO t SELECT g, repeat('y', 10) FROM generate_series(5201, 5700) AS g;
ROLLBACK PREPARED 'stream_nine';
SELECT count(*) FROM (SELECT FROM (SELECT data::json AS r FROM peek('stream_two_phase', 'streaming', 'on')) AS d GROUP BY r->>'xid'
	HAVING bool_or(r->>'op' = 'stream_start') AND NOT bool_or(r->>'op' IN ('stream_abort', 'stream_commit', 'stream_prepare'))) AS unended;
SELECT data::json->>'gid' FROM consume('stream_two_phase', 'streaming', 'on') WHERE data ~ 'rollback_prepared';
RESET logical_decoding_work_mem;

-- format wal2json has no such records: whole transactions, at COMMIT PREPARED
BEGIN;
INSERT INTO t VALUES (12, 'l');
PREPARE TRANSACTION 'stream_ten';
SELECT count(*) FROM consume('stream_one_phase', 'format', 'wal2json') WHERE data ~ '"l"';
-- and debezium neither, which reads no slot that another format would get the second phase of alone
\set VERBOSITY terse
SELECT count(*) FROM consume('stream_one_phase', 'format', 'debezium');
SELECT count(*) FROM consume('stream_two_phase', 'format', 'debezium');
\set VERBOSITY default
SELECT pg_drop_replication_slot('stream_one_phase');
COMMIT PREPARED 'stream_ten';
SELECT data::json->>'op', data::json->'new'->>'id' FROM consume('stream_two_phase') WHERE data ~ 'stream_ten|"l"' ORDER BY n;

SELECT pg_drop_replication_slot('stream_two_phase');
-- what was prepared before the option was given comes at COMMIT PREPARED, after what came meanwhile, and its ids say so
SELECT create_slot('stream_late');
BEGIN;
INSERT INTO t VALUES (6000, 'early');
PREPARE TRANSACTION 'stream_early';
INSERT INTO t VALUES (6001, 'meanwhile');
CREATE TEMP TABLE late (n serial, r json);
INSERT INTO late (r) SELECT data::json FROM consume('stream_late') ORDER BY n;
SELECT count(*) FROM consume('stream_late', 'two_phase', 'on');
INSERT INTO t VALUES (6002, 'later');
INSERT INTO late (r) SELECT data::json FROM consume('stream_late') ORDER BY n;
COMMIT PREPARED 'stream_early';
INSERT INTO t VALUES (6003, 'last');
SELECT count(*) FROM (SELECT data FROM peek('stream_late') EXCEPT SELECT data FROM peek('stream_late', 'two_phase', 'on')) AS d;
INSERT INTO late (r) SELECT data::json FROM consume('stream_late') ORDER BY n;
SELECT r->>'op', r->'new'->>'v', row_number() OVER (ORDER BY r->>'id' COLLATE "C") FROM late WHERE r->>'op' = 'insert' ORDER BY n;
SELECT DISTINCT (p.r->>'prepare_lsn')::pg_lsn < (c.r->>'commit_lsn')::pg_lsn, (substr(i.r->>'id', 1, 8) || '/' || substr(i.r->>'id', 9, 8))::pg_lsn = (c.r->>'commit_lsn')::pg_lsn
FROM late AS p, late AS i, late AS c WHERE p.r->>'op' ~ 'prepare$' AND i.r->'new'->>'v' = 'early' AND c.r->>'op' = 'commit_prepared';
SELECT pg_drop_replication_slot('stream_late');
-- origins: of one that is not wanted there is the second half alone
SELECT FROM pg_create_logical_replication_slot('stream_origin', 'outflow', false, true);
SELECT pg_replication_origin_create('stream_two_phase') > 0;
SELECT pg_replication_origin_session_setup('stream_two_phase');
BEGIN;
INSERT INTO t VALUES (7000, 'from elsewhere');
PREPARE TRANSACTION 'stream_elsewhere';
COMMIT PREPARED 'stream_elsewhere';
SELECT pg_replication_origin_session_reset();
SELECT data::json->>'op', data::json->>'origin' FROM peek('stream_origin', 'origin', 'stream_two_phase', 'include_schemas', 'off') ORDER BY n;
SELECT data::json->>'op', data::json->>'gid' FROM peek('stream_origin', 'origin', 'another') ORDER BY n;
SELECT data::json->>'op', data::json->>'gid' FROM peek('stream_origin', 'origin', 'none') ORDER BY n;
SELECT count(*) FROM consume('stream_origin');
-- nor does it matter where the one who ends it comes from
BEGIN;
INSERT INTO t VALUES (7001, 'from here');
PREPARE TRANSACTION 'stream_here';
SELECT pg_replication_origin_session_setup('stream_two_phase');
COMMIT PREPARED 'stream_here';
SELECT pg_replication_origin_session_reset();
SELECT data::json->>'op' FROM peek('stream_origin', 'origin', 'none', 'include_schemas', 'off') ORDER BY n;
SELECT pg_replication_origin_drop('stream_two_phase');
SELECT pg_drop_replication_slot('stream_origin');

-- rolled back before it is read, and the catalog rows that its savepoint wrote are gone: the stream goes on
SELECT FROM pg_create_logical_replication_slot('stream_two_phase_undone', 'outflow', false, true);
BEGIN;
SAVEPOINT s;
CREATE TABLE made (id int PRIMARY KEY);
INSERT INTO made VALUES (1);
RELEASE s;
PREPARE TRANSACTION 'stream_made';
ROLLBACK PREPARED 'stream_made';
VACUUM pg_class, pg_attribute, pg_index;
INSERT INTO t VALUES (8000, 'after it');
-- its end tells what it tells in every delivery, whether the PREPARE was read before or passed over
SELECT k FROM peek('stream_two_phase_undone') AS p, json_object_keys(p.data::json) WITH ORDINALITY AS o (k, n) WHERE p.data ~ 'rollback_prepared' ORDER BY o.n;
SELECT * FROM records('stream_two_phase_undone', 'include_schemas', 'off');
-- one that was read before it is rolled back is ended, perhaps in a later session
BEGIN;
SAVEPOINT s;
CREATE TABLE made (id int PRIMARY KEY);
INSERT INTO made VALUES (1);
RELEASE s;
PREPARE TRANSACTION 'stream_made';
SELECT * FROM records('stream_two_phase_undone', 'include_schemas', 'off');
ROLLBACK PREPARED 'stream_made';
VACUUM pg_class, pg_attribute, pg_index;
SELECT * FROM records('stream_two_phase_undone', 'include_schemas', 'off');
SELECT pg_drop_replication_slot('stream_two_phase_undone');
SET client_min_messages = warning;
DROP SCHEMA stream_two_phase CASCADE;
