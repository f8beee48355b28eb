-- format wal2json: what is too large for a record is left out, in both versions
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA wal2json_limits;
SET search_path = wal2json_limits;
\set shared :project '/test/lib/stream.sql'
\i :shared
\set VERBOSITY terse
CREATE TABLE t (id int PRIMARY KEY, a text, j jsonb, n numeric, b bytea, v varchar[]);
ALTER TABLE t ALTER a SET STORAGE EXTERNAL;
SELECT create_slot('wal2json_limits');
-- the first change of a transaction, one in the middle, and the last one; 1e2000 grows when it is written
BEGIN;
INSERT INTO t VALUES (1, repeat('a', 1100), NULL, 1);
INSERT INTO t VALUES (2, 'small', NULL, 2);
INSERT INTO t VALUES (3, 'small', NULL, 1e2000);
INSERT INTO t VALUES (4, NULL, jsonb_build_object('k', repeat('"', 300)), 4, decode(repeat('ab', 600), 'hex'));
INSERT INTO t VALUES (5, NULL, NULL, 5, NULL, ARRAY[repeat('x', 1100)]);
COMMIT;
UPDATE t SET a = repeat('b', 1200) WHERE id = 1;
-- a value that the WAL lacks is not looked at
INSERT INTO t VALUES (6, repeat('c', 9000));
UPDATE t SET n = 7 WHERE id = 6;
ALTER TABLE t REPLICA IDENTITY FULL;
DELETE FROM t WHERE id = 1;
SELECT pg_logical_emit_message(true, 'p', repeat('m', 1100)) IS NOT NULL;

-- records with changes in them; what other sessions do to catalogs has none
CREATE FUNCTION w2j(VARIADIC options text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(data, '((ab)|[a-z])\1{99,}', '\1..', 'g')
	FROM peek('wal2json_limits', VARIADIC array_cat(ARRAY['format', 'wal2json', 'include-types', 'off'], options))
	WHERE data ~ '"(action":"[^BC]|kind)"' ORDER BY n
$$;
SELECT * FROM w2j('format-version', '2', 'max_value_bytes', '1kB');
-- rows that have nothing too large are as without a limit
SELECT count(*) FROM (SELECT w2j('format-version', '2', 'max_value_bytes', '1kB') INTERSECT ALL SELECT w2j('format-version', '2')) AS same;
SELECT * FROM w2j('max_value_bytes', '1kB');
SELECT * FROM w2j('max_value_bytes', '1kB', 'write-in-chunks', 'on');
-- the largest go first
SELECT * FROM w2j('format-version', '2', 'max_record_bytes', '1300B', 'actions', 'insert');
SELECT * FROM w2j('format-version', '2', 'max_value_bytes', '1kB', 'oversize', 'error');
SELECT * FROM w2j('format-version', '1', 'max_value_bytes', '1kB', 'oversize', 'error');
SELECT * FROM w2j('max_value_bytes', '2GB');
-- what was left out leaves JSON
SELECT count(data::json) > 0 FROM peek('wal2json_limits', 'format', 'wal2json', 'max_value_bytes', '1kB');
SELECT count(r::json) > 0
FROM (SELECT string_agg(data, '' ORDER BY n) AS all FROM peek('wal2json_limits', 'format', 'wal2json', 'max_value_bytes', '1kB', 'write-in-chunks', 'on')) AS chunks,
	regexp_split_to_table(chunks.all, '(?<=\]\})(?=\{"change")') AS r;
SELECT pg_drop_replication_slot('wal2json_limits');
