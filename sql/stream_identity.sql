-- identity: which columns name a row, in every replica identity
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_identity;
SET search_path = stream_identity;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (a int NOT NULL, b text NOT NULL, c int);
SELECT create_slot('stream_identity');
CREATE FUNCTION seen() RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT CASE WHEN record ~ '"op":"schema"' THEN regexp_replace(record, '"columns":.*\],"key"', '"key"') ELSE record END
	  FROM records('stream_identity', 'include_transactions', 'off') AS r(record)$$;

-- none: changes are there, without a key; one warning per relation
INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2);
UPDATE t SET c = c + 1;
DELETE FROM t WHERE a = 2;
SELECT * FROM seen();

-- primary key, of two columns, in another order than the table's
ALTER TABLE t ADD PRIMARY KEY (b, a);
UPDATE t SET c = 5;
UPDATE t SET b = 'z';
UPDATE t SET a = 9, b = 'w', c = NULL;
SELECT * FROM seen();

-- FULL: the key is still the primary key
ALTER TABLE t REPLICA IDENTITY FULL;
UPDATE t SET c = 6;
UPDATE t SET a = 10;
DELETE FROM t;
SELECT * FROM seen();

-- FULL without a primary key: the old row names the row
ALTER TABLE t DROP CONSTRAINT t_pkey;
INSERT INTO t VALUES (1, 'x', NULL);
UPDATE t SET c = 1;
SELECT * FROM seen();

-- an index of the user's choice, next to a primary key
ALTER TABLE t ADD PRIMARY KEY (a);
CREATE UNIQUE INDEX t_b ON t (b);
ALTER TABLE t REPLICA IDENTITY USING INDEX t_b;
UPDATE t SET c = 2;
UPDATE t SET b = 'v';
DELETE FROM t;
SELECT * FROM seen();

-- NOTHING, although there is a primary key
ALTER TABLE t REPLICA IDENTITY NOTHING;
INSERT INTO t VALUES (1, 'x', NULL);
UPDATE t SET c = 1;
DELETE FROM t;
SELECT * FROM seen();

-- an index that is dropped later
ALTER TABLE t REPLICA IDENTITY USING INDEX t_b;
DROP INDEX t_b;
INSERT INTO t VALUES (1, 'x', NULL);
DELETE FROM t;
SELECT * FROM seen();

-- partitions have identities of their own, and are streamed by their own names
CREATE TABLE p (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (b text, a int NOT NULL);
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
INSERT INTO p VALUES (1, 'one'), (12, 'twelve');
UPDATE p SET a = a + 10 WHERE a = 1;
DELETE FROM p WHERE a = 11 AND b = 'one';
SELECT * FROM seen();

SELECT pg_drop_replication_slot('stream_identity');
SET client_min_messages = warning;
DROP SCHEMA stream_identity CASCADE;
