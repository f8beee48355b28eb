-- capture_ddl: DDL arrives in commit order, with its text, without secrets
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_capture_ddl;
SET search_path = stream_capture_ddl;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY);
SELECT create_slot('stream_capture_ddl');
CREATE FUNCTION seen(VARIADIC options text[] = '{}') RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT replace(record, current_schema() || '.', '') FROM changes('stream_capture_ddl', VARIADIC options) AS r(record)$$;

-- off: nothing is captured
CREATE TABLE before (a int);
SELECT * FROM seen();
SELECT outflow.capture_ddl(true);
-- again: no harm
SELECT outflow.capture_ddl(true);
SELECT evtname, evtevent FROM pg_event_trigger WHERE evtname ~ '^outflow_' ORDER BY 1;
-- the session's first command, before the library was there
\c -
SET search_path = stream_capture_ddl;
\pset format unaligned
\pset tuples_only on
CREATE TABLE first (a int);   -- a comment
\c -
SET search_path = stream_capture_ddl;
\pset format unaligned
\pset tuples_only on
-- one of several in one message: its own text only
SELECT 1 \; CREATE TABLE second (a int) \; CREATE TABLE third AS SELECT 2 AS b \; SELECT 3;
\c -
SET search_path = stream_capture_ddl;
\pset format unaligned
\pset tuples_only on
-- one that would read differently by now
SELECT current_setting('server_version_num')::int < 190000 AS can_be_off \gset
SET client_min_messages = error;
\if :can_be_off
SET standard_conforming_strings = off \; CREATE TABLE odd (a text DEFAULT 'a\');
\else
\set ECHO none \\ SELECT $$CREATE TABLE odd (a text DEFAULT 'a\')$$ \gexec \set ECHO all
\endif
\c -
SET search_path = stream_capture_ddl;
\pset format unaligned
\pset tuples_only on
-- in a function, where only the library could know
DO $$ BEGIN CREATE TABLE fourth (a int); CREATE TABLE fifth (a int); END $$;
SELECT * FROM seen();

-- between changes, at its place
BEGIN;
INSERT INTO t VALUES (1);
ALTER TABLE t ADD COLUMN v text DEFAULT 'x', ADD COLUMN w int;
INSERT INTO t VALUES (2);
CREATE INDEX ON t (v);
ALTER TABLE t DROP COLUMN w;
INSERT INTO t VALUES (3);
COMMIT;
SELECT * FROM seen();
-- undone: not there
BEGIN;
CREATE TABLE undone (a int);
ROLLBACK;
BEGIN;
SAVEPOINT s;
CREATE TABLE undone (a int);
ROLLBACK TO s;
CREATE TABLE kept (a int);
COMMIT;
SELECT * FROM seen();

-- all sorts
CREATE VIEW v AS SELECT id FROM t;
CREATE TABLE parts (a serial PRIMARY KEY, b int REFERENCES t) PARTITION BY LIST (a);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
COMMENT ON TABLE t IS 'with "quotes"';
GRANT SELECT ON t TO PUBLIC;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE mood AS ENUM ('a');
ALTER TYPE mood ADD VALUE 'b';
CREATE SCHEMA inner_schema CREATE TABLE inner_table (a int);
ALTER TABLE kept RENAME TO "kept ""too""";
SELECT 5 AS five INTO five;
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
REFRESH MATERIALIZED VIEW m;
DROP TABLE five, first;
DROP SCHEMA inner_schema CASCADE;
DROP VIEW IF EXISTS v, not_there;
DROP TABLE IF EXISTS not_there;
CREATE TABLE IF NOT EXISTS t (id int);
ALTER SCHEMA stream_capture_ddl RENAME TO stream_capture_ddl_2;
ALTER SCHEMA stream_capture_ddl_2 RENAME TO stream_capture_ddl;
SELECT * FROM seen('tables', '*.none');
-- not: temporary objects, an extension's own commands, secrets, our own schema
CREATE TEMP TABLE temporary (a int);
DROP TABLE temporary;
CREATE EXTENSION citext SCHEMA stream_capture_ddl;
DROP EXTENSION citext;
CREATE FOREIGN DATA WRAPPER stream_wrapper OPTIONS (secret 'hush');
CREATE SERVER stream_server FOREIGN DATA WRAPPER stream_wrapper OPTIONS (password 'hush');
CREATE USER MAPPING FOR PUBLIC SERVER stream_server OPTIONS (password 'hush');
ALTER USER MAPPING FOR PUBLIC SERVER stream_server OPTIONS (SET password 'hush hush');
CREATE FOREIGN TABLE far (a int) SERVER stream_server OPTIONS (token 'hush');
ALTER TABLE far OPTIONS (SET token 'hush hush'), ALTER a OPTIONS (ADD token 'hush');
DROP FOREIGN TABLE far;
DROP USER MAPPING FOR PUBLIC SERVER stream_server;
DROP SERVER stream_server;
DROP FOREIGN DATA WRAPPER stream_wrapper;
SET client_min_messages = error;
CREATE SUBSCRIPTION stream_subscription CONNECTION 'password=hush' PUBLICATION p WITH (connect = false, slot_name = NONE);
RESET client_min_messages;
DROP SUBSCRIPTION stream_subscription;
CREATE TABLE outflow.own (a int);
DROP TABLE outflow.own;
SELECT * FROM seen();

-- what imports foreign tables may have options as well
SET client_min_messages = error;
CREATE EXTENSION postgres_fdw;
DO $$ BEGIN EXECUTE format('CREATE SERVER stream_loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname %L, host %L, port %L)', current_database(), split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port')); END $$;
CREATE USER MAPPING FOR CURRENT_USER SERVER stream_loopback;
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA stream_capture_ddl LIMIT TO (second) FROM SERVER stream_loopback INTO imported OPTIONS (import_default 'false');
SELECT * FROM imported.second;
DROP SCHEMA imported CASCADE;
DROP EXTENSION postgres_fdw CASCADE;
RESET client_min_messages;
SELECT record::json->>'tag', record::json->>'command', record ~ 'imported.second' FROM seen() WHERE record ~ 'IMPORT|DROP';
-- what an extension's script makes or drops is the extension's
CREATE EXTENSION pg_stat_statements VERSION '1.4';
ALTER EXTENSION pg_stat_statements UPDATE TO '1.8';
DROP EXTENSION pg_stat_statements;
SELECT record::json->>'command' FROM seen();
-- whatever messages are wanted; and to formats that have no such record, a message
CREATE TABLE sixth (a int);
SELECT record FROM (SELECT plain(data) AS record FROM peek('stream_capture_ddl', 'messages', 'off', 'message_prefixes', 'none')) AS r;
SELECT count(*) FROM peek('stream_capture_ddl', 'format', 'wal2json', 'format-version', '2') WHERE data ~ '"action":"M"';
SELECT count(*) FROM consume('stream_capture_ddl', 'streaming', 'on');
-- a session that works as a replica does: its rows are in the stream, and so are its commands
SET session_replication_role = replica;
CREATE TABLE seventh (a int);
DROP TABLE seventh;
RESET session_replication_role;
SELECT * FROM seen();
-- switched off by hand, on again by the function
ALTER EVENT TRIGGER outflow_sql_drop DISABLE;
SELECT outflow.capture_ddl(true);
SELECT evtname, evtenabled FROM pg_event_trigger WHERE evtname ~ '^outflow_' ORDER BY 1;
SELECT count(*) FROM seen();
-- large ones
DO $$ BEGIN EXECUTE format('CREATE VIEW large AS SELECT %L AS v', repeat('v', 5000)); END $$;
\set VERBOSITY terse
SELECT * FROM seen('max_value_bytes', '4kB');
-- a message that only looks like one stays a message
SELECT pg_logical_emit_message(true, 'outflow.ddl', 'forged') IS NOT NULL,
	pg_logical_emit_message(true, 'outflow.ddl', '\x3100ff00'::bytea) IS NOT NULL,
	pg_logical_emit_message(true, 'outflow.ddl', '\x310041003d42004300'::bytea) IS NOT NULL,
	pg_logical_emit_message(false, 'outflow.ddl', '\x310041003d4200'::bytea) IS NOT NULL;
SELECT * FROM seen();

-- users without rights: their DDL is captured, they can't turn it off
CREATE ROLE stream_user;
GRANT ALL ON SCHEMA stream_capture_ddl TO stream_user;
SET ROLE stream_user;
CREATE TABLE by_user (a int);
SELECT outflow.capture_ddl(false);
SELECT outflow_internal.ddl_command_end();
RESET ROLE;
SELECT outflow.capture_ddl(NULL);
DROP TABLE by_user;
REVOKE ALL ON SCHEMA stream_capture_ddl FROM stream_user;
DROP ROLE stream_user;
SELECT * FROM seen();
-- the rows that a command makes come before it; EXPLAIN has them alone
CREATE TABLE made AS SELECT 1 AS a;
SELECT 2 AS a INTO selected;
\o /dev/null
EXPLAIN (ANALYZE) CREATE TABLE explained AS SELECT 3 AS a;
\o
SELECT * FROM seen('include_schemas', 'off');
SELECT outflow.capture_ddl(false);
CREATE TABLE after (a int);
SELECT * FROM seen();
SELECT count(*) FROM pg_event_trigger WHERE evtname ~ '^outflow_';

SELECT pg_drop_replication_slot('stream_capture_ddl');
SET client_min_messages = warning;
DROP SCHEMA stream_capture_ddl CASCADE;
