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
SELECT pg_drop_replication_slot('stream_partitions');
SET client_min_messages = warning;
DROP PUBLICATION stream_partitions, stream_partitions_middle;
DROP SCHEMA stream_partitions CASCADE;
