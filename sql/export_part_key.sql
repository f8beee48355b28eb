-- Rows of a query that have the same key are in one part, which is larger for it;
-- without such an order the parts are only as many as the keys change.
\getenv builddir PG_ABS_BUILDDIR
\set dir :builddir '/results/export_part_key'
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA export_part_key;
SET search_path = export_part_key;
SELECT set_config('test.dir', :'dir', false) IS NOT NULL AS ok;

CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric, region int);
INSERT INTO orders SELECT g, nullif('customer ' || g % 37, 'customer 5'), (g % 11)::text::numeric * CASE WHEN g % 2 = 0 THEN 1.0 ELSE 1.00 END, g % 3
	FROM generate_series(1, 20000) AS g;

-- split(QUERY, KEY): how many parts there are, how many have the key of another,
-- and whether they are what COPY writes
CREATE PROCEDURE split(query text, key text, part_size text, INOUT parts int DEFAULT NULL, INOUT shared int DEFAULT NULL,
	INOUT same boolean DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
	destination text := format('%s/%s', current_setting('test.dir'), gen_random_uuid());
	job bigint;
	exported text;
BEGIN
	CALL outflow.export_query(query, 'file://' || destination, part_size => part_size,
		options => jsonb_build_object('part_key', key, 'delimiter', '|'), job => job);
	EXECUTE format('COPY (%s) TO %L (FORMAT csv, DELIMITER ''|'')', query, destination || '.copy');
	SELECT string_agg(pg_read_file(destination || '/' || p.file), '' ORDER BY p.part), count(*)
	INTO exported, parts
	FROM outflow.parts AS p WHERE p.job = (SELECT max(j.job) FROM outflow.jobs AS j);
	same := exported = pg_read_file(destination || '.copy');
	-- the key is the line's first field
	SELECT count(*) INTO shared FROM (
		SELECT FROM outflow.parts AS p, LATERAL string_to_table(pg_read_file(destination || '/' || p.file), E'\n') AS line
		WHERE p.job = (SELECT max(j.job) FROM outflow.jobs AS j) AND line <> ''
		GROUP BY trim_scale(CASE WHEN line ~ '^[0-9.]+\|' THEN split_part(line, '|', 1)::numeric END), CASE WHEN line !~ '^[0-9.]+\|' THEN split_part(line, '|', 1) END
		HAVING count(DISTINCT p.part) > 1) AS s;
END
$$;
CALL split('SELECT customer, id FROM orders ORDER BY customer, id', 'customer', '16kB');
CALL split('SELECT customer, id FROM orders ORDER BY customer NULLS FIRST', 'customer', '8kB');
-- equal, though not written alike
CALL split('SELECT amount, id FROM orders ORDER BY amount', 'amount', '8kB');
CALL split('SELECT region, customer, id FROM orders ORDER BY region, customer', 'region', '16kB');
-- all of one key is one part
CALL split('SELECT ''x'', id AS n, 1 AS k FROM orders', 'k', '8kB');
-- a key of two columns is finer
CALL split('SELECT region, customer, id FROM orders ORDER BY region, customer', 'region, customer', '16kB');
-- without an order, a key may be in many parts, but no row is lost
CALL split('SELECT region, id FROM orders ORDER BY id', 'region', '16kB');
-- no rows
CALL split('SELECT customer FROM orders WHERE false', 'customer', '16kB');

-- and what cannot be
\set to 'file://' :dir '/refused'
CALL outflow.export_query('SELECT id FROM orders', :'to', options => '{"part_key": "nonsense"}');
CALL outflow.export_query('SELECT id, id FROM orders', :'to', options => '{"part_key": "id"}');
CALL outflow.export_query('SELECT id, ''{}''::json AS j FROM orders', :'to', options => '{"part_key": "id,j"}');
CREATE TABLE two (a text COLLATE "C", b text COLLATE "POSIX");
CALL outflow.export_query('SELECT a || b AS k FROM two', :'to', options => '{"part_key": "k"}');
CALL outflow.export('orders', :'to', options => '{"part_key": "id"}');
SELECT count(*) FROM outflow.jobs WHERE destination = :'to';

DROP SCHEMA export_part_key CASCADE;
