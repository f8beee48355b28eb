-- values far larger as text than as stored: they are measured when a record
-- passes its limits, and left out like other large ones
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_expansion;
SET search_path = stream_expansion;
\set shared :project '/test/lib/stream.sql'
\i :shared
SET client_min_messages = error;
CREATE TYPE wide AS ("a column with a long name" int, "another column with a long name" int, "a third column with a long name" int);
CREATE TABLE t (id int PRIMARY KEY, n numeric[], j jsonb, b bool[], w wide[], v text);
SELECT create_slot('stream_expansion');
-- 10 bytes and 131073 characters each; 12 and 100001
INSERT INTO t (id, n, v) SELECT 1, array_fill(1e131071, ARRAY[20]), 'text';
INSERT INTO t (id, j, v) SELECT 2, jsonb_agg('1e100000'::jsonb), 'text' FROM generate_series(1, 20);
-- nulls take a bit
INSERT INTO t (id, b, v) SELECT 3, array_fill(NULL::bool, ARRAY[200000]), 'text';
INSERT INTO t (id, w, v) SELECT 4, array_fill(ROW(NULL, NULL, NULL)::wide, ARRAY[10000]), 'text';
-- none of them by itself, but all together
INSERT INTO t (id, n, j, b, v) SELECT 5, array_fill(1e131071, ARRAY[3]), jsonb_agg('1e100000'::jsonb), array_fill(NULL::bool, ARRAY[80000]), 'text' FROM generate_series(1, 4);
-- in one batch with others
INSERT INTO t (id, v) VALUES (6, 'small');
SELECT data::json->'new'->>'id' AS id, length(data) > 500000 AS large, data::json->'omitted' AS omitted, data::json->'new'->>'v' AS v
FROM peek('stream_expansion') WHERE data ~ '"op":"insert"' ORDER BY n;
SELECT data::json->'new'->>'id' AS id, length(data) > 500000 AS large, data::json->'omitted' AS omitted, data::json->'new'->>'v' AS v
FROM peek('stream_expansion', 'max_value_bytes', '500kB') WHERE data ~ '"op":"insert"' ORDER BY n;
SELECT data::json->'new'->>'id' AS id, length(data) > 1000000 AS large, data::json->'omitted' AS omitted, data::json->'new'->>'v' AS v
FROM peek('stream_expansion', 'max_record_bytes', '1000kB') WHERE data ~ '"op":"insert"' ORDER BY n;
SELECT line::json->'new'->>'id' AS id, length(line) > 500000 AS large, line::json->'omitted' AS omitted, line::json->'new'->>'v' AS v
FROM peek('stream_expansion', 'max_value_bytes', '500kB', 'batch_bytes', '1MB'), LATERAL string_to_table(data, E'\n') AS line WHERE line ~ '"op":"insert"';
SET client_min_messages = warning;
DO $$
BEGIN
	PERFORM * FROM peek('stream_expansion', 'max_value_bytes', '500kB', 'oversize', 'error');
EXCEPTION WHEN program_limit_exceeded THEN
	RAISE WARNING '%', SQLERRM;
END
$$;

SELECT pg_drop_replication_slot('stream_expansion');
DROP SCHEMA stream_expansion CASCADE;
