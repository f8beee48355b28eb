-- truncate: one record per table, with its options and its own index in the id
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_truncate;
SET search_path = stream_truncate;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE a (id serial PRIMARY KEY);
CREATE TABLE b (id int REFERENCES a);
CREATE TABLE c (id int);
CREATE TABLE p (id int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
SELECT create_slot('stream_truncate');
TRUNCATE c;
TRUNCATE a CASCADE;
TRUNCATE a, b, c RESTART IDENTITY;
TRUNCATE p;
BEGIN;
INSERT INTO c VALUES (1);
TRUNCATE c;
INSERT INTO c VALUES (2);
COMMIT;
SELECT data::json->>'op', data::json->>'table', split_part(data::json->>'id', '/', 3)
FROM peek('stream_truncate', 'include_schemas', 'off') ORDER BY n;
-- filtered: the others keep their ids
SELECT data::json->>'table', split_part(data::json->>'id', '/', 3)
FROM peek('stream_truncate', 'exclude_tables', '*.a', 'actions', 'truncate') WHERE data ~ '"id":"' ORDER BY n;
SELECT * FROM records('stream_truncate');

SELECT pg_drop_replication_slot('stream_truncate');
SET client_min_messages = warning;
DROP SCHEMA stream_truncate CASCADE;
