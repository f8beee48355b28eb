-- sessions: who may read a stream, from where, into what, and what is counted
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_sessions;
SET search_path = stream_sessions;
\set shared :project '/test/lib/stream.sql'
\i :shared
\set VERBOSITY terse
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE ROLE stream_sessions_reader REPLICATION;
CREATE ROLE stream_sessions_owner;
GRANT USAGE ON SCHEMA stream_sessions TO stream_sessions_reader, stream_sessions_owner;
GRANT SELECT, INSERT ON t TO stream_sessions_owner;

-- a role with REPLICATION makes a slot and reads all, whatever rights and policies tables have
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE stream_sessions_reader;
SELECT create_slot('stream_sessions');
RESET ROLE;
INSERT INTO t VALUES (1, 'one');
SET ROLE stream_sessions_reader;
SELECT count(*) FROM t;
SELECT * FROM records('stream_sessions', 'include_schemas', 'off');
-- one with all rights on the table and none on replication reads nothing
\set VERBOSITY sqlstate
SET ROLE stream_sessions_owner;
SELECT create_slot('stream_sessions_2');
SELECT count(*) FROM peek('stream_sessions');
SELECT pg_drop_replication_slot('stream_sessions');
RESET ROLE;
\set VERBOSITY terse
ALTER TABLE t DISABLE ROW LEVEL SECURITY;

-- from inside a transaction: what others committed, not what it does itself
BEGIN;
INSERT INTO t VALUES (2, 'own');
SELECT count(*) FROM peek('stream_sessions');
SELECT create_slot('stream_sessions_2');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM t;
SELECT create_slot('stream_sessions_2');
SELECT count(*) FROM peek('stream_sessions');
COMMIT;
SELECT pg_drop_replication_slot('stream_sessions_2');
-- peeked, it is there again; undone, it was consumed nevertheless
INSERT INTO t VALUES (3, 'three');
SELECT count(*) FROM peek('stream_sessions');
BEGIN;
SELECT count(*) FROM consume('stream_sessions');
ROLLBACK;
SELECT count(*) FROM consume('stream_sessions');

-- into a table, whose rows come next time, as JSON in JSON
CREATE TABLE into_it (id serial PRIMARY KEY, data text);
INSERT INTO t VALUES (4, E'back\\slash "quoted"');
INSERT INTO into_it (data) SELECT plain(data) FROM consume('stream_sessions', 'include_transactions', 'off', 'include_schemas', 'off') ORDER BY n;
SELECT * FROM into_it;
SELECT * FROM changes('stream_sessions');
INSERT INTO t VALUES (6, 'six');
CREATE TABLE made AS SELECT data::json->>'op' AS op FROM consume('stream_sessions');
SELECT op, count(*) FROM made GROUP BY op ORDER BY op;
SELECT count(*) FROM changes('stream_sessions', 'tables', '*.made');

-- as bytes: the same
INSERT INTO t VALUES (5, E'\u00e4');
SELECT bool_and(t.data = convert_from(b.data, 'UTF8')), count(*) FROM pg_logical_slot_peek_changes('stream_sessions', NULL, NULL) WITH ORDINALITY AS t (lsn, xid, data, n)
	FULL JOIN pg_logical_slot_peek_binary_changes('stream_sessions', NULL, NULL) WITH ORDINALITY AS b (lsn, xid, data, n) USING (n);
-- so many changes, and no further than that LSN
SELECT data::json->>'op' FROM pg_logical_slot_peek_changes('stream_sessions', NULL, 1);
SELECT count(*) FROM pg_logical_slot_peek_changes('stream_sessions', '0/1', NULL);

-- tables that are dropped and rewritten before the stream comes by, types that grow in their transaction
CREATE TYPE grows AS ENUM ('a');
CREATE TABLE typed (id int PRIMARY KEY, g grows);
SELECT count(*) > 0 FROM consume('stream_sessions');
BEGIN;
INSERT INTO typed VALUES (1, 'a');
ALTER TYPE grows ADD VALUE 'b' BEFORE 'a';
INSERT INTO typed VALUES (2, 'a');
COMMIT;
INSERT INTO typed VALUES (3, 'b');
BEGIN;
UPDATE typed SET g = 'b' WHERE id = 1;
ALTER TABLE typed ALTER g TYPE text;
UPDATE typed SET g = 'no label' WHERE id = 1;
TRUNCATE typed;
INSERT INTO typed VALUES (4, 'c');
DROP TABLE typed;
DROP TYPE grows;
COMMIT;
SELECT data::json->>'op', coalesce(data::json->'new', data::json->'columns'->1->'labels', data::json->'columns'->1->'type') FROM consume('stream_sessions', 'include_transactions', 'off') ORDER BY n;

-- counted by the server
SELECT pg_stat_force_next_flush();
SELECT total_txns > 0, total_bytes > 0 FROM pg_stat_replication_slots WHERE slot_name = 'stream_sessions';

SELECT pg_drop_replication_slot('stream_sessions');
SET client_min_messages = warning;
DROP SCHEMA stream_sessions CASCADE;
DROP ROLE stream_sessions_reader, stream_sessions_owner;
