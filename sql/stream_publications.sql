-- publications: their tables, rows, columns, operations and partition roots
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_publications;
SET search_path = stream_publications;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE SCHEMA stream_publications_2;
CREATE TABLE a (id int PRIMARY KEY, v text, secret text);
CREATE TABLE b (id int PRIMARY KEY, v text);
CREATE TABLE c (id int PRIMARY KEY, v text);
CREATE TABLE stream_publications_2.d (id int PRIMARY KEY);
SELECT create_slot('stream_publications');
CREATE FUNCTION published(publications text, VARIADIC options text[] = '{}') RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT plain(data) FROM peek('stream_publications', VARIADIC ARRAY['publication_names', publications] || options)
	  WHERE data !~ '"op":"(begin|commit|schema)"' ORDER BY n$$;

-- tables, schemas, all tables; a change is published from the moment of publication on
INSERT INTO a VALUES (0, 'unpublished');
CREATE PUBLICATION one FOR TABLE a, b;
CREATE PUBLICATION two FOR TABLES IN SCHEMA stream_publications_2;
CREATE PUBLICATION everything FOR ALL TABLES;
INSERT INTO a VALUES (1, 'a', 's');
INSERT INTO b VALUES (1, 'b');
INSERT INTO c VALUES (1, 'c');
INSERT INTO stream_publications_2.d VALUES (1);
\set VERBOSITY terse
SELECT * FROM published('one');
SELECT * FROM published('two');
SELECT * FROM published('one, two');
SELECT * FROM published('everything');
SELECT * FROM published('everything', 'exclude_tables', '*.a');
SELECT * FROM published('one', 'tables', '*.a, *.c');
-- one that never existed: one warning, and the stream goes on
SELECT * FROM published('one, no such publication');
SELECT * FROM published('nowhere');
\set VERBOSITY default
-- dropped, changed, renamed
ALTER PUBLICATION one DROP TABLE b;
INSERT INTO b VALUES (2, 'b');
ALTER PUBLICATION one ADD TABLE c;
INSERT INTO c VALUES (2, 'c');
ALTER PUBLICATION two ADD TABLES IN SCHEMA stream_publications;
INSERT INTO b VALUES (3, 'b');
ALTER PUBLICATION two DROP TABLES IN SCHEMA stream_publications_2;
INSERT INTO stream_publications_2.d VALUES (2);
SET client_min_messages = error;
SELECT * FROM published('one');
SELECT * FROM published('two');
SELECT count(*) > 0 FROM consume('stream_publications');

-- operations
ALTER PUBLICATION one SET (publish = 'insert, truncate');
INSERT INTO a VALUES (2, 'a', 's');
UPDATE a SET v = 'x' WHERE id = 2;
DELETE FROM a WHERE id = 2;
TRUNCATE c;
SELECT * FROM published('one');
SELECT * FROM published('one', 'actions', 'insert,delete');
SELECT * FROM changes('stream_publications', 'publication_names', 'one,everything');
ALTER PUBLICATION one SET (publish = 'insert, update, delete, truncate');

-- column lists; of several publications, all columns that any of them lists
CREATE PUBLICATION columns FOR TABLE a (id, v);
CREATE PUBLICATION more_columns FOR TABLE a (id, secret);
INSERT INTO a VALUES (3, 'a', 's');
UPDATE a SET secret = 'hush' WHERE id = 3;
UPDATE a SET id = 4 WHERE id = 3;
SELECT * FROM published('columns');
SELECT * FROM published('columns, more_columns');
SELECT * FROM published('columns, one');
SELECT * FROM published('more_columns', 'exclude_columns', '*.*.secret');
SELECT count(*) > 0 FROM consume('stream_publications');

-- row filters: updates that move a row in or out
CREATE PUBLICATION large FOR TABLE a WHERE (id > 100);
CREATE PUBLICATION small FOR TABLE a WHERE (id < 50);
INSERT INTO a VALUES (10, 'small'), (60, 'neither'), (110, 'large');
UPDATE a SET v = v || '!' WHERE id IN (10, 60, 110);
UPDATE a SET id = 111 WHERE id = 10;
UPDATE a SET id = 11 WHERE id = 110;
UPDATE a SET id = 61 WHERE id = 60;
UPDATE a SET id = 112 WHERE id = 111;
DELETE FROM a WHERE id IN (11, 61, 112);
SELECT * FROM published('large');
SELECT * FROM published('small');
SELECT * FROM published('small, large');
SELECT * FROM published('small, large, one');
SELECT * FROM published('large', 'actions', 'insert');
SELECT data::json->>'op', data::json->>'changes' FROM peek('stream_publications', 'publication_names', 'large') WHERE data ~ 'commit_lsn' ORDER BY n;
-- the same ids, filtered or not
SELECT count(*) FROM (
	SELECT data::json->>'id' FROM peek('stream_publications', 'publication_names', 'small,large')
	EXCEPT SELECT data::json->>'id' FROM peek('stream_publications')) AS d;
SELECT count(*) > 0 FROM consume('stream_publications');

-- of what moves in, the WAL may lack a large value: told once a table, and not where FULL has it
CREATE TABLE t (id int PRIMARY KEY, v int, big text, other text);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
CREATE PUBLICATION moved FOR TABLE t WHERE (id > 100);
CREATE PUBLICATION moved_narrow FOR TABLE t (id, v) WHERE (id > 100);
INSERT INTO t SELECT g, 1, repeat('x', 5000) FROM generate_series(1, 4) AS g;
UPDATE t SET id = 101 WHERE id = 1;
UPDATE t SET id = 102 WHERE id = 2;
UPDATE t SET v = 2 WHERE id = 102;
RESET client_min_messages;
\set VERBOSITY terse
SELECT * FROM published('moved_narrow');
DROP PUBLICATION moved_narrow;
ALTER TABLE t REPLICA IDENTITY FULL;
UPDATE t SET id = 103 WHERE id = 3;
SELECT regexp_replace(record, 'x{50,}', 'xxx', 'g') FROM published('moved', 'include_old', 'off') AS r(record);
SELECT data::json->'after'->>'big' FROM peek('stream_publications', 'publication_names', 'moved', 'format', 'debezium') WHERE data ~ 'unavailable.*"op":"c"' ORDER BY n;
SELECT * FROM published('moved', 'include_old', 'off', 'mask_columns', 'stream_publications.t.big=redact');
\set VERBOSITY default
SET client_min_messages = error;
SELECT count(*) > 0 FROM consume('stream_publications');

-- filters differ by operation
CREATE PUBLICATION only_inserts FOR TABLE b WHERE (v = 'good') WITH (publish = 'insert');
CREATE PUBLICATION only_updates FOR TABLE b WHERE (id > 5) WITH (publish = 'update');
INSERT INTO b VALUES (4, 'good'), (5, 'bad'), (6, 'bad'), (7, NULL);
UPDATE b SET v = 'x' WHERE id > 3;
SELECT * FROM published('only_inserts, only_updates');

-- FULL: filters see the whole old row; large values that were not touched, too
CREATE TABLE f (id int, state text, big text);
ALTER TABLE f REPLICA IDENTITY FULL;
ALTER TABLE f ALTER big SET STORAGE EXTERNAL;
CREATE PUBLICATION full_rows FOR TABLE f WHERE (state = 'open' AND length(big) > 10);
SELECT count(*) > 0 FROM consume('stream_publications');
INSERT INTO f VALUES (1, 'open', repeat('x', 5000)), (2, 'shut', repeat('x', 5000));
UPDATE f SET id = id + 10;
UPDATE f SET state = CASE state WHEN 'open' THEN 'shut' ELSE 'open' END;
DELETE FROM f;
SELECT regexp_replace(record, 'x{50,}', 'xxx', 'g') FROM published('full_rows') AS r(record);

-- partitions: as leaves, as the root, with other orders of columns
CREATE TABLE p (id int, v text, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (gone int, k int NOT NULL, v text, id int NOT NULL) PARTITION BY RANGE (id);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
CREATE TABLE p2a (v text, id int NOT NULL, k int NOT NULL);
ALTER TABLE p2 ATTACH PARTITION p2a DEFAULT;
CREATE PUBLICATION leaves FOR TABLE p;
CREATE PUBLICATION root FOR TABLE p WITH (publish_via_partition_root);
CREATE PUBLICATION middle FOR TABLE p2 WITH (publish_via_partition_root);
CREATE PUBLICATION root_all FOR ALL TABLES WITH (publish_via_partition_root);
CREATE PUBLICATION root_rows FOR TABLE p (id, k) WHERE (id > 1) WITH (publish_via_partition_root);
CREATE PUBLICATION one_leaf FOR TABLE p2a;
SELECT count(*) > 0 FROM consume('stream_publications');
INSERT INTO p VALUES (1, 'in p1', 1), (2, 'in p2a', 11);
UPDATE p SET v = v || '!';
UPDATE p SET k = 12 WHERE k = 1;
UPDATE p SET id = id + 1;
DELETE FROM p WHERE id = 3;
TRUNCATE p1;
TRUNCATE p;
SELECT * FROM published('leaves');
SELECT * FROM published('root');
SELECT * FROM published('middle');
SELECT count(*) FROM (SELECT published('root') EXCEPT SELECT published('root_all', 'tables', '*.p')) AS d;
SELECT * FROM published('root_rows');
SELECT * FROM published('one_leaf');
SELECT * FROM published('leaves, root', 'actions', 'truncate');
SELECT * FROM published('root', 'tables', '*.p2a');
-- a root has one schema record, whichever leaf comes first
SELECT data::json->>'table' FROM peek('stream_publications', 'publication_names', 'root') WHERE data ~ '"op":"schema"' ORDER BY n;
SELECT data::json->>'table' FROM consume('stream_publications', 'publication_names', 'leaves') WHERE data ~ '"op":"schema"' ORDER BY n;

-- a root that is altered by itself: the next change has its new name and definition
INSERT INTO p VALUES (5, 'p', 1);
ALTER TABLE p RENAME TO q;
INSERT INTO q VALUES (6, 'q', 1);
ALTER TABLE ONLY q ALTER v SET DEFAULT 'x';
INSERT INTO q VALUES (7, 'default', 1);
ALTER TABLE q SET SCHEMA stream_publications_2;
INSERT INTO stream_publications_2.q VALUES (8, 'moved', 1);
SELECT data::json->>'op', data::json->>'schema', data::json->>'table', data::json->'leaf'->>'table', coalesce(data::json->'new'->>'id', data::json->'columns'->1->>'default')
FROM consume('stream_publications', 'publication_names', 'root', 'include_transactions', 'off') ORDER BY n;
-- a publication that is older than a transaction's rows, dropped in it
BEGIN;
INSERT INTO a VALUES (200, 'published');
DROP PUBLICATION one;
INSERT INTO a VALUES (201, 'not any more');
CREATE PUBLICATION one FOR TABLE a;
INSERT INTO a VALUES (202, 'again');
COMMIT;
SELECT * FROM published('one');

-- a schema's tables are published whole, whatever is said of one of them
CREATE PUBLICATION whole FOR TABLES IN SCHEMA stream_publications, TABLE a WHERE (id > 1000);
INSERT INTO a VALUES (203, 'whole');
SELECT * FROM published('whole');
DROP PUBLICATION whole;
-- a partition is published by the schemas of its ancestors, as of each change
CREATE SCHEMA stream_publications_3;
CREATE TABLE moving (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE moving_half PARTITION OF moving FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE stream_publications_3.leaf PARTITION OF moving_half FOR VALUES FROM (0) TO (50);
CREATE PUBLICATION schema_leaves FOR TABLES IN SCHEMA stream_publications_2;
CREATE PUBLICATION schema_roots FOR TABLES IN SCHEMA stream_publications_2 WITH (publish_via_partition_root);
SELECT count(*) > 0 FROM pg_logical_slot_get_changes('stream_publications', NULL, NULL);
INSERT INTO moving VALUES (1);
ALTER TABLE moving SET SCHEMA stream_publications_2;
INSERT INTO stream_publications_2.moving VALUES (2);
ALTER TABLE stream_publications_2.moving SET SCHEMA stream_publications;
INSERT INTO moving VALUES (3);
ALTER TABLE moving_half SET SCHEMA stream_publications_2;
INSERT INTO moving VALUES (4);
ALTER TABLE moving DETACH PARTITION stream_publications_2.moving_half;
INSERT INTO stream_publications_2.moving_half VALUES (5);
ALTER TABLE stream_publications_2.moving_half SET SCHEMA stream_publications;
INSERT INTO moving_half VALUES (6);
ALTER TABLE moving SET SCHEMA stream_publications_2;
ALTER TABLE stream_publications_2.moving ATTACH PARTITION moving_half FOR VALUES FROM (0) TO (100);
INSERT INTO stream_publications_2.moving VALUES (7);
SELECT * FROM published('schema_leaves');
SELECT * FROM published('schema_roots');
SELECT count(*) > 0 FROM pg_logical_slot_get_changes('stream_publications', NULL, NULL);
DROP PUBLICATION schema_leaves, schema_roots;
-- a filter on a value that an update left in its TOAST table reads it in the old row
CREATE TABLE toasted (id int PRIMARY KEY, n int, big text);
ALTER TABLE toasted REPLICA IDENTITY FULL;
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
CREATE PUBLICATION big_ones FOR TABLE toasted WHERE (big LIKE 'yes%');
INSERT INTO toasted VALUES (1, 0, 'yes' || repeat('x', 10000)), (2, 0, 'no' || repeat('x', 10000));
SELECT count(*) > 0 FROM pg_logical_slot_get_changes('stream_publications', NULL, NULL);
UPDATE toasted SET n = n + 1;
UPDATE toasted SET big = 'yes' || big WHERE id = 2;
DELETE FROM toasted;
SELECT data::json->>'op' AS op, coalesce(data::json->'new'->>'id', data::json->'old'->>'id') AS id
FROM consume('stream_publications', 'publication_names', 'big_ones', 'include_transactions', 'off', 'include_schemas', 'off') ORDER BY n;
DROP PUBLICATION big_ones;
-- a filter that fails for a row stops the stream there: neither answer would be right.  skip_changes passes over it
CREATE TABLE divided (id int PRIMARY KEY);
CREATE PUBLICATION quotients FOR TABLE divided WHERE (100 / id > 2);
INSERT INTO divided VALUES (1), (0), (2), (99);
CREATE TEMP TABLE zero AS SELECT ltrim(split_part(data::json->>'id', '/', 2), '0') AS lsn, split_part(data::json->>'id', '/', 3) AS index
FROM peek('stream_publications') WHERE data ~ '"id":0';
CREATE FUNCTION failure(OUT message text, OUT context text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM published('quotients');
EXCEPTION WHEN division_by_zero THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, context = PG_EXCEPTION_CONTEXT;
	SELECT regexp_replace(context, format('0/%s/%s.*', lsn, index), 'LSN of the row') INTO context FROM zero;
END $$;
SELECT * FROM failure();
SELECT published('quotients', 'skip_changes', format('0/%s/%s', lsn, index)) FROM zero;
DROP PUBLICATION quotients;
-- one that fails before it sees a row: the table is named, and can be passed over
SELECT count(*) > 0 FROM consume('stream_publications');
CREATE PUBLICATION constants FOR TABLE divided WHERE (id > 1 / 0);
INSERT INTO divided VALUES (3);
TRUNCATE divided;
CREATE FUNCTION planning(OUT hint text, OUT context text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM published('constants');
EXCEPTION WHEN division_by_zero THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	context := split_part(context, E'\n', 1);
END $$;
SELECT * FROM planning();
SELECT * FROM published('constants', 'exclude_tables', '*.divided');
DROP PUBLICATION constants;

DROP PUBLICATION one, two, everything, columns, more_columns, large, small, only_inserts, only_updates, full_rows,
	leaves, root, middle, root_all, root_rows, one_leaf;
DROP SCHEMA stream_publications_2 CASCADE;
DROP SCHEMA stream_publications_3 CASCADE;

SELECT pg_drop_replication_slot('stream_publications');
SET client_min_messages = warning;
DROP SCHEMA stream_publications CASCADE;
