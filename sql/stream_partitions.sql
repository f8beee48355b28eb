-- options that name a partitioned table hold for its leaves, and those that name a leaf hold under the root
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_partitions;
SET search_path = stream_partitions;
\set shared :project '/test/lib/stream.sql'
\i :shared
\pset format unaligned
\pset tuples_only on
CREATE TABLE p (id int, s text, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (v text, id int NOT NULL, s text) PARTITION BY RANGE (id);
CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (10) TO (20);
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
ALTER TABLE p1 REPLICA IDENTITY FULL;
CREATE TABLE other (id int, s text);
CREATE PUBLICATION stream_partitions FOR TABLE p, other WITH (publish_via_partition_root);
CREATE PUBLICATION stream_partitions_middle FOR TABLE p2 WITH (publish_via_partition_root);
CREATE FUNCTION seen(VARIADIC options text[] = '{}') RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT record FROM (SELECT n, plain(data) AS record FROM peek('stream_partitions', VARIADIC options || ARRAY['include_schemas', 'off', 'include_transactions', 'off'])) AS r ORDER BY n$$;
SELECT create_slot('stream_partitions');
INSERT INTO p VALUES (1, 'secret', 'a'), (11, 'secret', 'b');
INSERT INTO other VALUES (1, 'open');
UPDATE p SET v = 'c';

-- tables
SELECT seen('tables', 'stream_partitions.p');
SELECT seen('tables', 'stream_partitions.p2');
SELECT seen('tables', '*.p1,*.other');
SELECT seen('publication_names', 'stream_partitions', 'tables', '*.p1');
SELECT seen('publication_names', 'stream_partitions_middle', 'tables', '*.p');
-- exclude_tables
SELECT seen('exclude_tables', 'stream_partitions.p');
SELECT seen('tables', '*.p', 'exclude_tables', 'stream_partitions.p2');
SELECT seen('publication_names', 'stream_partitions', 'exclude_tables', '*.p1');
SELECT seen('publication_names', 'stream_partitions', 'exclude_tables', '*.p2');
SELECT seen('publication_names', 'stream_partitions', 'exclude_tables', '*.p');
-- exclude_columns
SELECT seen('exclude_columns', 'stream_partitions.p.s');
SELECT seen('exclude_columns', '*.p2.s,*.p1.v');
SELECT seen('publication_names', 'stream_partitions', 'exclude_columns', '*.p1.s,*.p21.v');
SELECT seen('publication_names', 'stream_partitions', 'exclude_columns', '*.p2.s');
SELECT seen('publication_names', 'stream_partitions', 'exclude_columns', '*.p.s');
SELECT count(*) FROM peek('stream_partitions', 'format', 'debezium', 'exclude_columns', '*.p.s') WHERE data ~ 'secret';
-- their definitions, too
SELECT plain(data) ~ '"s"' FROM peek('stream_partitions', 'exclude_columns', '*.p.s', 'tables', '*.p') WHERE data ~ '"op":"schema"';
-- wal2json looks at the name alone
SELECT count(*) FROM peek('stream_partitions', 'format', 'wal2json', 'format-version', '2', 'add-tables', 'stream_partitions.p') WHERE data ~ '"action":"[IU]"';
SELECT count(*) FROM peek('stream_partitions', 'format', 'wal2json', 'format-version', '2', 'filter-tables', 'stream_partitions.p') WHERE data ~ '"action":"[IU]"';
SELECT count(*) FROM consume('stream_partitions');

-- which are its ancestors is as of each change
BEGIN;
INSERT INTO p VALUES (2, 'secret', 'in');
INSERT INTO p VALUES (12, 'secret', 'in');
ALTER TABLE p DETACH PARTITION p1;
INSERT INTO p1 VALUES (3, 'open', 'out');
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);
INSERT INTO p1 VALUES (4, 'secret', 'in');
SAVEPOINT a;
ALTER TABLE p DETACH PARTITION p2;
INSERT INTO p2 VALUES ('out', 13, 'open');
ROLLBACK TO a;
INSERT INTO p2 VALUES ('in', 14, 'secret');
ALTER TABLE p DETACH PARTITION p2;
INSERT INTO p2 VALUES ('out', 15, 'open');
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
INSERT INTO p2 VALUES ('in', 16, 'secret');
ALTER TABLE p RENAME TO q;
INSERT INTO q VALUES (5, 'open', 'out'), (17, 'open', 'out');
ALTER TABLE q RENAME TO p;
INSERT INTO p VALUES (6, 'secret', 'in'), (18, 'secret', 'in');
ALTER SCHEMA stream_partitions RENAME TO stream_partitions_2;
INSERT INTO stream_partitions_2.p VALUES (7, 'open', 'out'), (19, 'open', 'out');
ALTER SCHEMA stream_partitions_2 RENAME TO stream_partitions;
INSERT INTO p VALUES (8, 'secret', 'in');
COMMIT;
SELECT seen('tables', 'stream_partitions.p');
SELECT seen('exclude_tables', 'stream_partitions.p');
SELECT seen('exclude_columns', 'stream_partitions.p.s');
TRUNCATE p;
SELECT seen('tables', '*.p', 'actions', 'truncate');
SELECT seen('publication_names', 'stream_partitions', 'exclude_tables', '*.p2', 'actions', 'truncate');
SELECT count(*) > 0 FROM consume('stream_partitions');

-- under the root's name a leaf's key must tell its rows from those of other leaves
CREATE FUNCTION keys(VARIADIC options text[] = '{}') RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT CASE WHEN record ~ '"op":"schema"' THEN regexp_replace(record, '"columns":.*\],"key"', '"key"') ELSE record END
	  FROM (SELECT n, plain(data) AS record FROM peek('stream_partitions', VARIADIC options || ARRAY['include_transactions', 'off', 'publication_names', 'stream_partitions_keys'])) AS r ORDER BY n$$;
\set VERBOSITY terse
CREATE TABLE r (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE r1 PARTITION OF r FOR VALUES IN (1);
CREATE TABLE r2 (v text, k int NOT NULL, id int NOT NULL);
ALTER TABLE r ATTACH PARTITION r2 FOR VALUES IN (2);
CREATE UNIQUE INDEX r1_id ON r1 (id);
CREATE UNIQUE INDEX r2_more ON r2 (v, k, id);
CREATE PUBLICATION stream_partitions_keys FOR TABLE r WITH (publish_via_partition_root);
INSERT INTO r VALUES (7, 1, 'one'), (7, 2, 'two');
-- an index of the leaf's own that says less than the root's key
ALTER TABLE r1 REPLICA IDENTITY USING INDEX r1_id;
UPDATE r SET v = 'x' WHERE k = 1;
UPDATE r SET id = 8 WHERE k = 1;
DELETE FROM r WHERE k = 1;
-- one that says more: the root's key is in it
ALTER TABLE r2 ALTER v SET NOT NULL, REPLICA IDENTITY USING INDEX r2_more;
UPDATE r SET v = 'y' WHERE k = 2;
UPDATE r SET id = 9 WHERE k = 2;
-- the whole row
ALTER TABLE r1 REPLICA IDENTITY FULL;
INSERT INTO r VALUES (10, 1, 'one');
UPDATE r SET v = 'x' WHERE k = 1;
DELETE FROM r WHERE k = 1;
SELECT * FROM keys();
SELECT data::json->'key', data::json->'before', data::json->'op' FROM peek('stream_partitions', 'publication_names', 'stream_partitions_keys', 'format', 'debezium', 'tables', '*.r1') ORDER BY n;
-- under the leaf's own name its key is a key
SELECT plain(data) FROM peek('stream_partitions', 'tables', '*.r1', 'include_transactions', 'off', 'include_schemas', 'off') WHERE data ~ '"op":"[ud]' ORDER BY n LIMIT 3;
SELECT count(*) > 0 FROM consume('stream_partitions');
-- in the middle of a transaction the root gets another key, and loses it
ALTER TABLE r1 REPLICA IDENTITY DEFAULT;
ALTER TABLE r1 ADD UNIQUE (id);
INSERT INTO r VALUES (1, 1, 'one'), (1, 2, 'two');
BEGIN;
UPDATE r SET v = 'a' WHERE k = 1;
ALTER TABLE r DROP CONSTRAINT r_pkey;
ALTER TABLE r1 ADD PRIMARY KEY (id);
UPDATE r SET v = 'b' WHERE k = 1;
ALTER TABLE r1 DROP CONSTRAINT r1_pkey, ADD PRIMARY KEY (k, id);
UPDATE r SET v = 'c' WHERE k = 1;
ALTER TABLE r ADD PRIMARY KEY (k, id);
UPDATE r SET v = 'd' WHERE k = 1;
COMMIT;
SELECT * FROM keys();
SELECT count(*) > 0 FROM consume('stream_partitions');
-- a root without a key: that of a leaf counts where it says which leaf it is
CREATE TABLE s (id int, k int, v text) PARTITION BY RANGE (id);
CREATE TABLE s1 PARTITION OF s (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (10);
CREATE TABLE s2 PARTITION OF s FOR VALUES FROM (10) TO (20) PARTITION BY LIST ((k % 2));
CREATE TABLE s20 PARTITION OF s2 (PRIMARY KEY (id)) FOR VALUES IN (0);
CREATE TABLE s21 PARTITION OF s2 (PRIMARY KEY (id, k)) FOR VALUES IN (1);
CREATE TABLE s3 PARTITION OF s (PRIMARY KEY (k)) FOR VALUES FROM (20) TO (30);
ALTER TABLE s3 REPLICA IDENTITY FULL;
ALTER PUBLICATION stream_partitions_keys SET TABLE s;
INSERT INTO s VALUES (1, 1, 'a'), (11, 1, 'a'), (12, 2, 'a'), (21, 1, 'a');
UPDATE s SET v = 'b';
DELETE FROM s;
SELECT * FROM keys('exclude_tables', '*.s3');
SELECT * FROM keys('tables', '*.s3', 'include_old', 'off');
SELECT count(*) > 0 FROM consume('stream_partitions');
-- a schema record names the columns that the rows' keys have, whichever key the root has
CREATE TABLE t (id int, k int, u int NOT NULL, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
CREATE TABLE t2 (u int NOT NULL, id int NOT NULL, k int NOT NULL);
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES IN (2);
CREATE UNIQUE INDEX t_index ON t (u, k);
CREATE UNIQUE INDEX t2_index ON t2 (k, u);
ALTER TABLE t REPLICA IDENTITY USING INDEX t_index;
ALTER TABLE t2 REPLICA IDENTITY USING INDEX t2_index;
ALTER PUBLICATION stream_partitions_keys SET TABLE t;
INSERT INTO t VALUES (1, 1, 10), (2, 1, 20), (1, 2, 10);
DELETE FROM t;
TRUNCATE t;
SELECT * FROM keys();
-- half of it is none
SELECT * FROM keys('exclude_columns', '*.t.id');
\set VERBOSITY default
SELECT pg_drop_replication_slot('stream_partitions');
SET client_min_messages = warning;
DROP PUBLICATION stream_partitions, stream_partitions_middle, stream_partitions_keys;
DROP SCHEMA stream_partitions CASCADE;
