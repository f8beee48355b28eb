-- every line of a jsonl export casts back to its row
\getenv builddir PG_ABS_BUILDDIR
\set dir :builddir '/results/export_jsonl'
SET client_min_messages = warning;
CREATE SCHEMA export_jsonl;
SET search_path = export_jsonl;

CREATE TYPE mood AS ENUM ('sad', 'so "so"');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN tags AS text[];
CREATE TABLE rows (
	id int, gone text, b bool, i8 int8, f8 float8, n numeric, m money, t text,
	c char(5), by bytea, u uuid, d date, ti time, tz timetz, ts timestamp,
	tstz timestamptz, iv interval, jb jsonb, ia int[], ta text[], ia2 int[][],
	e mood, p pair, pa pair[], tg tags, r int4range, mr int4multirange,
	bi bit(5), ip inet, pt point, tv tsvector,
	gen int GENERATED ALWAYS AS (id + 1) STORED);
ALTER TABLE rows DROP COLUMN gone;
INSERT INTO rows (id) VALUES (0);
INSERT INTO rows VALUES
(1, true, 9223372036854775807, 'NaN', 'NaN', '$1,234.56', E'a"\n\r\\\x01ü€𝄞',
 'x', '\x00ff5c', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'infinity',
 '24:00:00', '23:59:59.999999-15:30', '-infinity', 'infinity',
 '-178 years 5 mons -3 days 04:05:06.7', '{"k": {"n": 1.50, "s": "a\"b"}}',
 '{1,NULL,3}', '{"a,b","",NULL,"NULL"}', '{{1,2},{3,4}}', 'so "so"',
 '(1,"x,""y""")', '{"(1,a)","(,)"}', '{x,y}', '[1,5)', '{[1,3),[5,7)}',
 '10101', '192.168.0.1/24', '(1.5,-2)',
 '''a b'':1 c:2A'),
(2, false, -9223372036854775808, '-Infinity', 'Infinity', '-$0.01', '', '', '',
 '00000000-0000-0000-0000-000000000000', '4713-01-01 BC', '00:00',
 '00:00+15:59', '0044-03-15 12:00 BC', '1999-12-31 23:59:59.5+14', '0',
 '["x", null, {}]', '{}', '{}', '{}', 'sad', '(,)', '{}', '{}', 'empty', '{}',
 '00000', '::1', '(NaN,Infinity)', '');
INSERT INTO rows (id, f8, n, t, ts) SELECT g, exp(g / 10.0 - 300),
	(g - 500) ^ 7 / 1000, repeat(chr(g), g % 30),
	timestamp '2000-01-01' + g * interval '100000.000001 s'
FROM generate_series(3, 2000) AS g;

CREATE FUNCTION lines(job bigint) RETURNS SETOF jsonb LANGUAGE sql AS $$
	SELECT line::jsonb
	FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job),
	string_to_table(rtrim(pg_read_file(substr(j.destination, 8) || '/'
		|| p.file), E'\n'), E'\n') AS line
	WHERE p.job = $1
$$;

-- settings of the session don't matter
SET DateStyle = 'German, DMY';
SET TimeZone = 'Asia/Kolkata';
SET IntervalStyle = 'sql_standard';
SET bytea_output = 'escape';
SET extra_float_digits = -5;
CALL outflow.export('rows', 'file://' || :'dir' || gen_random_uuid(),
	format => 'jsonl', part_size => '16kB') \gset
-- the text is always ISO; it is read as such
RESET DateStyle;
RESET IntervalStyle;
RESET TimeZone;
RESET extra_float_digits;
SELECT count(*) AS lines, count(*) FILTER (WHERE line ? 'gen') AS complete
FROM lines(:job) AS line;
CREATE TABLE back (LIKE rows);
INSERT INTO back SELECT (jsonb_populate_record(NULL::back, line)).*
FROM lines(:job) AS line;
SELECT count(*) AS lost FROM
(SELECT original::text FROM rows AS original
	EXCEPT ALL SELECT copy::text FROM back AS copy) AS x;
SELECT count(*) AS invented FROM
(SELECT copy::text FROM back AS copy
	EXCEPT ALL SELECT original::text FROM rows AS original) AS x;
SELECT status, count(*) > 1 AS parts FROM outflow.verify(:job) GROUP BY status;

-- chosen columns, in the order asked for
CALL outflow.export('rows', 'file://' || :'dir' || gen_random_uuid(),
	format => 'jsonl', columns => '{t,id}', workers => 0) \gset
SELECT line FROM outflow.jobs AS j, string_to_table(pg_read_file(
	substr(j.destination, 8) || '/part-000000.jsonl'), E'\n') AS line
WHERE job = :job LIMIT 3;

-- the manifest says what the files are
SELECT m->>'format' AS format, m->'columns' AS columns,
	(m->>'job')::bigint = :job AS job, m->'rows' AS rows,
	m->>'snapshot' = j.snapshot AS snapshot,
	m->'parts'->0->>'file' AS file,
	m->'parts'->0->>'xxh128' ~ '^[0-9a-f]{32}$' AS xxh128
FROM outflow.jobs AS j, LATERAL (SELECT pg_read_file(
	substr(j.destination, 8) || '/manifest.json')::jsonb AS m) AS f
WHERE job = :job;

SELECT outflow.forget(job) FROM outflow.jobs
WHERE source LIKE 'export\_jsonl.%' \g /dev/null
DROP SCHEMA export_jsonl CASCADE;
