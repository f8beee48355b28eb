-- ddl: records follow the definition that held when the row was written
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_ddl;
SET search_path = stream_ddl;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, v text);
SELECT create_slot('stream_ddl');
CREATE FUNCTION seen() RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT regexp_replace(record, '"attnum":([0-9]+),"nullable":(t|f)[a-z]*', '\1\2', 'g')
	  FROM records('stream_ddl', 'include_transactions', 'off') AS r(record)$$;

-- between transactions
INSERT INTO t VALUES (1, 'a');
ALTER TABLE t ADD COLUMN fast int DEFAULT 7;
INSERT INTO t VALUES (2, 'b');
UPDATE t SET v = 'aa' WHERE id = 1;
ALTER TABLE t RENAME COLUMN v TO w;
INSERT INTO t VALUES (3, 'c', NULL);
ALTER TABLE t ALTER COLUMN w SET NOT NULL, ALTER fast TYPE bigint;
INSERT INTO t VALUES (4, 'd', 8);
ALTER TABLE t DROP COLUMN fast;
INSERT INTO t VALUES (5, 'e');
ALTER TABLE t ADD COLUMN again int GENERATED ALWAYS AS (id + 1) STORED;
UPDATE t SET w = 'f' WHERE id = 5;
ALTER TABLE t RENAME TO u;
INSERT INTO u VALUES (6, 'g');
DELETE FROM u WHERE id = 1;
SELECT * FROM seen();

-- what changes nothing in a definition writes no schema record again
INSERT INTO u VALUES (7, 'h');
ALTER TABLE u SET (fillfactor = 50);
CREATE INDEX ON u (w);
ANALYZE u;
INSERT INTO u VALUES (8, 'i');
VACUUM FULL u;
CLUSTER u USING u_w_idx;
INSERT INTO u VALUES (9, 'j');
TRUNCATE u;
SELECT * FROM seen();

-- in the middle of a transaction, undone in part
ALTER TABLE u DROP COLUMN again;
BEGIN;
INSERT INTO u VALUES (1, 'a');
ALTER TABLE u ADD COLUMN x text DEFAULT 'dflt';
INSERT INTO u (id, w) VALUES (2, 'b');
SAVEPOINT s;
ALTER TABLE u DROP COLUMN w;
INSERT INTO u (id) VALUES (3);
ROLLBACK TO s;
INSERT INTO u (id, w) VALUES (4, 'd');
ALTER TABLE u ALTER COLUMN id TYPE bigint;
INSERT INTO u (id, w) VALUES (5, 'e');
COMMIT;
SELECT * FROM seen();

-- tables that are gone by the time of decoding
CREATE TABLE gone (a int PRIMARY KEY, b text DEFAULT 'b');
INSERT INTO gone VALUES (1);
BEGIN;
INSERT INTO gone VALUES (2);
DROP TABLE gone;
CREATE TABLE gone (z int);
INSERT INTO gone VALUES (3);
COMMIT;
DROP TABLE gone;
-- a table that is rewritten by ALTER TABLE, whose rows are no changes
ALTER TABLE u ALTER COLUMN x TYPE varchar(40) USING upper(x);
ALTER TABLE u ADD COLUMN r timestamptz DEFAULT clock_timestamp();
ALTER TABLE u DROP COLUMN r;
UPDATE u SET x = 'y' WHERE id = 1;
SELECT * FROM seen();

-- a schema's new name
ALTER SCHEMA stream_ddl RENAME TO stream_ddl_new;
UPDATE stream_ddl_new.u SET x = 'z' WHERE id = 1;
ALTER SCHEMA stream_ddl_new RENAME TO stream_ddl;
UPDATE u SET x = 'z' WHERE id = 2;
SELECT data::json->>'op', data::json->>'schema', data::json->>'table' FROM consume('stream_ddl') ORDER BY n;

-- domains and enums change below a table
CREATE DOMAIN d AS int;
CREATE TYPE e AS ENUM ('one');
CREATE TABLE v (d d, e e);
INSERT INTO v VALUES (1, 'one');
ALTER TYPE e ADD VALUE 'two';
ALTER TYPE e RENAME TO f;
INSERT INTO v VALUES (2, 'two');
ALTER DOMAIN d RENAME TO dd;
INSERT INTO v VALUES (3, 'two');
BEGIN;
ALTER TYPE f RENAME VALUE 'two' TO 'zwei';
INSERT INTO v VALUES (4, 'zwei');
ROLLBACK;
INSERT INTO v VALUES (5, 'two');
SELECT * FROM seen();

-- a type that the transaction makes and uses
BEGIN;
CREATE TYPE g AS ENUM ('here');
CREATE TABLE w (g g);
INSERT INTO w VALUES ('here');
COMMIT;
SELECT * FROM seen();

SELECT pg_drop_replication_slot('stream_ddl');
SET client_min_messages = warning;
DROP SCHEMA stream_ddl CASCADE;
