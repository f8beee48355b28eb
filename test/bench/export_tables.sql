-- The tables that exports are measured on; :rows is the number of rows of the
-- first, the others are sized to about as many bytes.
\set wide_rows :rows / 5
\set text_rows :rows / 10

-- mixed: nine columns as of an order
CREATE TABLE mixed AS
SELECT g::bigint AS id,
	(g * 7919 % 100000)::int AS customer,
	(g * 1.37)::numeric(12,2) AS amount,
	'customer name ' || g AS name,
	md5(g::text) AS token,
	timestamptz '2020-01-01 00:00+00' + g * interval '37.5 s' AS created,
	date '2020-01-01' + (g % 2000)::int AS day,
	jsonb_build_object('k', g, 'tags', ARRAY['a', 'b'], 'note',
		'some "quoted" text, ' || g) AS doc,
	(g * 2654435761 % 4294967296) / 4294967296.0::float8 AS score
FROM generate_series(1::bigint, :rows) g;

-- wide: 100 columns of integers, floats and dates
SELECT format('CREATE TABLE wide AS SELECT %s FROM generate_series(1, %s) g',
	string_agg(CASE i % 4
		WHEN 0 THEN format('(g * %s %% 1000000)::int', i * 31 + 1)
		WHEN 1 THEN format('(g * %s)::bigint', i * 7 + 1)
		WHEN 2 THEN format('(g * %s.25)::float8', i)
		ELSE format('date ''2000-01-01'' + (g * %s %% 10000)', i)
		END || ' AS c' || i, ', ' ORDER BY i), :wide_rows)
FROM generate_series(1, 100) i \gexec

-- documents: text and jsonb, one in eight of them TOASTed
CREATE TABLE documents AS
SELECT g AS id,
	'Title of document ' || g AS title,
	(SELECT string_agg(md5((g * 100 + n)::text) ||
		CASE n % 5 WHEN 0 THEN E'\n' WHEN 1 THEN ', "it" ' ELSE ' ' END, '')
		FROM generate_series(1, CASE WHEN g % 8 = 0 THEN 120 ELSE 12 END) n) AS body,
	(SELECT jsonb_object_agg('key' || n, jsonb_build_array(n, md5((g + n)::text), n % 2 = 0))
		FROM generate_series(1, 6) n) AS attributes
FROM generate_series(1, :text_rows) g;

VACUUM (ANALYZE) mixed;
VACUUM (ANALYZE) wide;
VACUUM (ANALYZE) documents;
CHECKPOINT;
