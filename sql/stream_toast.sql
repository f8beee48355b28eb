-- toast: an unchanged large value is named, taken from the old row, never invented
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_toast;
SET search_path = stream_toast;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, small int, big text, also_big bytea);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER also_big SET STORAGE EXTERNAL;
CREATE TABLE copy (LIKE t INCLUDING INDEXES);
SELECT create_slot('stream_toast');
CREATE FUNCTION seen(VARIADIC options text[] = '{}') RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT regexp_replace(regexp_replace(record, 'x{50,}', 'xxx', 'g'), '(61){50,}', '616161', 'g')
	  FROM changes('stream_toast', VARIADIC options || '{tables,*.t}')$$;

-- stored elsewhere, compressed, and both
INSERT INTO t VALUES (1, 1, repeat('x', 10000), convert_to(repeat('a', 10000), 'UTF8'));
ALTER TABLE t ALTER big SET STORAGE EXTENDED;
INSERT INTO t VALUES (2, 1, repeat('x', 10000), NULL);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
SELECT * FROM seen();
-- not touched: named in "unchanged", absent from "new"
UPDATE t SET small = 2 WHERE id = 1;
-- one of two touched
UPDATE t SET big = 'x' || big WHERE id = 1;
UPDATE t SET big = NULL WHERE id = 1;
-- compressed in the row itself: always there
UPDATE t SET small = 2 WHERE id = 2;
-- the key changes, the value doesn't
UPDATE t SET id = 3 WHERE id = 1;
SELECT * FROM seen();

-- FULL has it in the old row
ALTER TABLE t REPLICA IDENTITY FULL;
UPDATE t SET small = 3 WHERE id = 3;
UPDATE t SET also_big = NULL WHERE id = 3;
DELETE FROM t WHERE id = 3;
SELECT * FROM seen();
INSERT INTO t VALUES (4, 1, repeat('x', 10000), convert_to(repeat('a', 10000), 'UTF8'));
UPDATE t SET small = 2 WHERE id = 4;
SELECT * FROM seen('include_old', 'off', 'actions', 'update');

-- an identity column that is TOASTed itself
CREATE TABLE wide_key (k text NOT NULL, v int);
ALTER TABLE wide_key ALTER k SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX wide_key_k ON wide_key (k);
ALTER TABLE wide_key REPLICA IDENTITY USING INDEX wide_key_k;
INSERT INTO wide_key VALUES (repeat('x', 2100), 1);
UPDATE wide_key SET v = 2;
SELECT regexp_replace(record, 'x{50,}', 'xxx', 'g') FROM changes('stream_toast') AS c(record);

-- values that are gone by the time of decoding
ALTER TABLE t REPLICA IDENTITY DEFAULT;
INSERT INTO t VALUES (5, 1, repeat('x', 10000), NULL);
UPDATE t SET small = 2 WHERE id = 5;
DELETE FROM t WHERE id = 5;
VACUUM t;
UPDATE t SET small = 3;
TRUNCATE t;
SELECT * FROM seen();

-- replaying gives the table, partial updates included
INSERT INTO t SELECT g, g, repeat('x', 3000 + g), convert_to(repeat('a', 3000 + g), 'UTF8')
FROM generate_series(1, 20) AS g;
UPDATE t SET small = small + 1 WHERE id % 2 = 0;
UPDATE t SET big = big || 'y' WHERE id % 3 = 0;
UPDATE t SET also_big = 'a' WHERE id % 5 = 0;
UPDATE t SET id = id + 100 WHERE id % 7 = 0;
DELETE FROM t WHERE id % 4 = 1;
SELECT replay('stream_toast', 't', 'copy') > 0;
SELECT count(*) FROM copy;
SELECT * FROM differences('t', 'copy');
-- and under FULL without a key
ALTER TABLE t DROP CONSTRAINT t_pkey;
ALTER TABLE t REPLICA IDENTITY FULL;
UPDATE t SET small = small + 1 WHERE id % 2 = 0;
UPDATE t SET big = big || 'y' WHERE id % 3 = 0;
DELETE FROM t WHERE id % 5 = 1;
SELECT replay('stream_toast', 't', 'copy') > 0;
SELECT * FROM differences('t', 'copy');

SELECT pg_drop_replication_slot('stream_toast');
SET client_min_messages = warning;
DROP SCHEMA stream_toast CASCADE;
