-- rights: streaming needs REPLICATION alone, whatever schemas, types and functions the rows are made of
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_rights;
SET search_path = stream_rights;
\set shared :project '/test/lib/stream.sql'
\i :shared
SET client_min_messages = warning;
CREATE SCHEMA stream_closed;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
ALTER EXTENSION hstore SET SCHEMA stream_closed;
CREATE ROLE stream_rights REPLICATION;
GRANT USAGE ON SCHEMA stream_rights TO stream_rights;
SET search_path = stream_closed, stream_rights;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, m mood, h hstore);
CREATE DOMAIN short AS text CHECK (length(value) < 10);
CREATE TYPE moods AS RANGE (subtype = mood);
CREATE FUNCTION first_id() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE t (id int PRIMARY KEY DEFAULT first_id(), h hstore DEFAULT 'a=>1', m mood, p pair, ps pair[], s short, r moods, c regclass, f regproc);
REVOKE ALL ON FUNCTION first_id(), hstore_to_json(hstore) FROM PUBLIC;
CREATE PUBLICATION stream_rights FOR TABLE t WHERE (id > 0);
SELECT stream_rights.create_slot('stream_rights');
INSERT INTO t (m, p, ps, s, r, c, f) VALUES ('sad', '(1,happy,"b=>2")', '{"(2,sad,c=>3)"}', 'short', '[sad,happy]', 't', 'first_id');
SET search_path = stream_rights;
SET ROLE stream_rights;
SELECT has_schema_privilege('stream_closed', 'USAGE');
SELECT data::json->'new' FROM peek('stream_rights') WHERE data ~ '"op":"insert"';
SELECT data::json->'new' FROM peek('stream_rights', 'publication_names', 'stream_rights', 'mask_columns', '*.t.s=redact') WHERE data ~ '"op":"insert"';
SELECT data::json->'after' FROM peek('stream_rights', 'format', 'debezium', 'topic_prefix', 'x') WHERE data ~ '"op":"c"';
SELECT data::json->'change'->0->'columnvalues' FROM peek('stream_rights', 'format', 'wal2json', 'include-default', 'on') WHERE data ~ 'insert';
RESET ROLE;
SELECT pg_drop_replication_slot('stream_rights');
DROP PUBLICATION stream_rights;
ALTER EXTENSION hstore SET SCHEMA public;
DROP SCHEMA stream_closed, stream_rights CASCADE;
DROP ROLE stream_rights;
