-- A query's rows are exported as COPY (query) writes them; what is no query, or
-- would need a table, is refused with what to do instead.
\getenv builddir PG_ABS_BUILDDIR
\set dir :builddir '/results/export_query'
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA export_query;
SET search_path = export_query;
SELECT set_config('test.dir', :'dir', false) IS NOT NULL AS ok;

CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric(10, 2), at timestamptz);
INSERT INTO orders SELECT g, 'customer ' || g % 7, g * 1.25, '2026-01-01 00:00Z'::timestamptz + g * interval '1 hour'
	FROM generate_series(1, 2000) AS g;
CREATE VIEW totals AS SELECT customer, sum(amount) AS total FROM orders GROUP BY customer;

-- the same bytes as COPY (query), through one part and through many
CREATE PROCEDURE compare(query text, format text, copy_options text, options jsonb, INOUT same text, part_size text DEFAULT '16kB')
LANGUAGE plpgsql AS $$
DECLARE
	destination text := format('%s/%s', current_setting('test.dir'), gen_random_uuid());
	exported bytea;
	job bigint;
BEGIN
	CALL outflow.export_query(query, 'file://' || destination, format => format, part_size => part_size,
		options => options, job => job);
	EXECUTE format('COPY (%s) TO %L (FORMAT %s%s)', query, destination || '.copy', format, copy_options);
	SELECT string_agg(pg_read_binary_file(destination || '/' || p.file), '' ORDER BY p.part) INTO exported
	FROM outflow.parts AS p WHERE p.job = (SELECT max(j.job) FROM outflow.jobs AS j);
	same := CASE WHEN exported = pg_read_binary_file(destination || '.copy') THEN 'same' ELSE 'different' END;
END
$$;
CALL compare('SELECT * FROM orders ORDER BY id DESC', 'csv', '', '{}', NULL);
CALL compare('SELECT * FROM orders ORDER BY id DESC', 'text', '', '{}', NULL);
CALL compare('SELECT * FROM orders ORDER BY id DESC', 'binary', '', '{}', NULL, '1GB');
CALL compare('TABLE totals ORDER BY 1', 'csv', ', HEADER', '{"header": true}', NULL);
CALL compare('SELECT id FROM orders WHERE id::oid = 1234567 OR id < 3', 'csv', '', '{}', NULL);
CALL compare('SELECT lo_get(oid ''1234567'') FROM orders WHERE id < 0', 'csv', '', '{}', NULL);
CALL compare('VALUES (1, NULL, ''a,b''), (2, ''"'', NULL)', 'csv', ', FORCE_QUOTE *', '{"force_quote": "*"}', NULL);
CALL compare('WITH w AS (SELECT 1) SELECT 1, 1, * FROM w', 'csv', ', HEADER', '{"header": true}', NULL);
CALL compare('SELECT FROM generate_series(1, 3)', 'csv', '', '{}', NULL);
CALL compare('SELECT 1 WHERE false', 'csv', ', HEADER', '{"header": true}', NULL);
CALL compare('SELECT ROW(1, ''x''), ARRAY[ROW(1)], NULL, pg_sleep(0)', 'text', '', '{}', NULL);
-- the settings of the session are the query's, and the output's
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
CALL compare('SELECT at, at::text, to_char(at, ''HH24'') FROM orders ORDER BY id LIMIT 10', 'csv', '', '{}', NULL);

-- formats of their own settings: the query's text is still the session's
CALL outflow.export_query('SELECT at, at::text AS written FROM orders ORDER BY id LIMIT 1', 'file://' || :'dir' || '/jsonl',
	format => 'jsonl') \gset
SELECT pg_read_file(:'dir' || '/jsonl/part-000000.jsonl');
RESET TimeZone;
RESET DateStyle;

-- the record, the files, and what verify says
CALL outflow.export_query('SELECT * FROM orders', 'file://' || :'dir' || '/many', format => 'parquet', part_size => '8kB',
	options => '{"row_group_rows": 500, "mode": "0640"}') \gset
SELECT state, source, format, parts_total, parts_done, rows, snapshot IS NOT NULL AS at_one_moment FROM outflow.jobs ORDER BY job DESC LIMIT 1;
SELECT part, relation, rows, file FROM outflow.parts WHERE job = :job ORDER BY part;
SELECT part, file, status FROM outflow.verify(:job) ORDER BY part, file;
SELECT m->>'query' AS query, m->>'source' AS source, m->'columns' AS columns
FROM (SELECT pg_read_file(:'dir' || '/many/_manifest.json')::jsonb AS m) AS f;
DO $$
BEGIN
	PERFORM outflow.restore_script((SELECT max(job) FROM outflow.jobs));
EXCEPTION WHEN feature_not_supported THEN
	RAISE WARNING '%', regexp_replace(SQLERRM, '[0-9]+', 'N');
END $$;

-- no rows is one file, and one file is the usual
CALL outflow.export_query('SELECT id FROM orders WHERE id < 0', 'file://' || :'dir' || '/none') \gset
SELECT rows, parts_total FROM outflow.jobs ORDER BY job DESC LIMIT 1;

-- what is no query
\set to 'file://' :dir '/refused'
CALL outflow.export_query('', :'to');
CALL outflow.export_query(NULL, :'to');
CALL outflow.export_query('SELECT 1; SELECT 2', :'to');
CALL outflow.export_query('INSERT INTO orders VALUES (0) RETURNING id', :'to');
CALL outflow.export_query('WITH w AS (DELETE FROM orders RETURNING id) SELECT * FROM w', :'to');
CALL outflow.export_query('SELECT * INTO other FROM orders', :'to');
CALL outflow.export_query('SELECT id FROM orders FOR UPDATE', :'to');
CALL outflow.export_query('COPY orders TO STDOUT', :'to');
CALL outflow.export_query('EXPLAIN SELECT 1', :'to');
CALL outflow.export_query('SHOW work_mem', :'to');
CALL outflow.export_query('SELECT * FROM orders WHERE id = $1', :'to');
CALL outflow.export_query('SELECT nonsense FROM orders', :'to');
CALL outflow.export_query('SELECT 1 FROM', :'to');
-- what writes while it reads
CREATE SEQUENCE counter;
CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO orders VALUES (0); RETURN 1; END $$;
CREATE FUNCTION breaks_out() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	SET transaction_read_only = off;
	INSERT INTO orders VALUES (0);
	RETURN 1;
END $$;
CREATE FUNCTION breaks_out_within() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		SET transaction_read_only = off;
		INSERT INTO orders VALUES (0);
	EXCEPTION WHEN active_sql_transaction THEN
		RAISE WARNING 'caught: %', SQLERRM;
	END;
	INSERT INTO orders VALUES (0);
	RETURN 1;
END $$;
CALL outflow.export_query('SELECT nextval(''counter'')', :'to');
CALL outflow.export_query('SELECT writes()', :'to');
CALL outflow.export_query('SELECT breaks_out()', :'to');
CALL outflow.export_query('SELECT breaks_out_within()', :'to');
-- the session may write again, and nothing was
INSERT INTO orders VALUES (-1);
DELETE FROM orders WHERE id = -1;
SELECT count(*) FROM orders;
-- options that need a table's blocks, or a table
CALL outflow.export_query('TABLE orders', :'to', format => 'delta');
CALL outflow.export_query('TABLE orders', :'to', options => '{"base": "last"}');
CALL outflow.export_query('TABLE orders', :'to', options => '{"carry": "reference"}');
CALL outflow.export_query('TABLE orders', :'to', options => '{"row_security": true}');
CALL outflow.export_query('TABLE orders', :'to', options => '{"mask_columns": "export_query.orders.customer=null"}');
CALL outflow.export_query('TABLE orders', :'to', options => '{"publish": "append"}');
CALL outflow.export_query('TABLE orders', :'to', format => 'xlsx');
-- names
CALL outflow.export_query('SELECT 1, 2', :'to', format => 'jsonl');
CALL outflow.export_query('SELECT 1 AS a, 2 AS a', :'to', format => 'parquet');
CALL outflow.export_query('SELECT FROM orders', :'to', format => 'parquet');
-- transactions
BEGIN;
CALL outflow.export_query('SELECT 1', :'to');
ROLLBACK;
-- an error in the middle names the row, and leaves nothing
CALL outflow.export_query('SELECT id, CASE WHEN id = 1500 THEN ''NaN'' ELSE amount END AS amount FROM orders ORDER BY id', :'to',
	format => 'parquet', options => '{"as": "amount=decimal(38,2)"}');
CALL outflow.export_query('SELECT id, 1 / (1500 - id) FROM orders WHERE id > 5', :'to', part_size => '8kB');
SELECT count(*) AS unfinished FROM outflow.jobs WHERE state <> 'done';
CALL outflow.export_query('SELECT 1 AS one', :'to') \gset
SELECT pg_read_file(:'dir' || '/refused/part-000000.csv');
CALL outflow.export_query('SELECT 2 AS two', :'to', options => '{"overwrite": true}') \gset
SELECT pg_read_file(:'dir' || '/refused/part-000000.csv');
DROP SCHEMA export_query CASCADE;
