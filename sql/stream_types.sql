-- types: values of every kind are native JSON that casts back to the row
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_types;
SET search_path = stream_types;
\set shared :project '/test/lib/stream.sql'
\i :shared
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
SET search_path = stream_types, public;
CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'happy');
CREATE DOMAIN cents AS numeric(8, 2) CHECK (value < 100000);
CREATE DOMAIN tags AS text[];
CREATE TYPE pair AS (a int, b text);
CREATE TYPE nest AS (p pair, l pair[], m mood);
CREATE TABLE every (
	id int PRIMARY KEY,
	b bool, i2 int2, i4 int4, i8 int8, o oid,
	f4 float4, f8 float8, n numeric, n2 numeric(10, 2), c cents, mo money,
	t text, vc varchar(20), ch char(5), nm name, ic "char",
	by bytea, u uuid,
	d date, ti time, tz timetz, ts timestamp, tstz timestamptz, iv interval,
	js json, jb jsonb, x xml,
	e mood, p pair, ne nest,
	ia int[], ta text[], na numeric[], da date[], ea mood[], ba bytea[], pa pair[], tg tags,
	r int4range, mr int4multirange, tr tstzrange,
	bits bit(3), vb varbit, ip inet, ci cidr, mac macaddr,
	pt point, po polygon, tv tsvector, tq tsquery, lsn pg_lsn,
	gen int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE copy (LIKE every);
SELECT create_slot('stream_types');

-- whatever the session says
SET DateStyle = 'German, DMY';
SET TimeZone = 'Asia/Kolkata';
SET IntervalStyle = 'sql_standard';
SET bytea_output = 'escape';
SET extra_float_digits = -5;
INSERT INTO every (id, b, i2, i4, i8, o, f4, f8, n, n2, c, mo, t, vc, ch, nm, ic, by, u,
	d, ti, tz, ts, tstz, iv, js, jb, x, e, p, ne, ia, ta, na, da, ea, ba, pa, tg,
	r, mr, tr, bits, vb, ip, ci, mac, pt, po, tv, tq, lsn)
VALUES (1, true, -32768, 2147483647, 9223372036854775807, 4294967295,
	1.1, 0.1, 12345678901234567890.123456789, 1.5, 99.99, '12.34',
	E'a "quote" \\ back\tslash\nline \u00e4\u20ac\U0001F600 \x01', 'vc', 'ch', 'nm', 'c',
	'\x00ff5c22', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
	'2026-11-22', '12:34:56.789', '12:34:56+05:30', '2026-11-22 12:34:56.000001',
	'2026-11-22 12:34:56+00', '1 year 2 mons 3 days 04:05:06.7',
	E'{"a" :\n[1, "x"]}', '{"k": [1.50, null, true, "\u00e4"], "n": {"z": 1e10}}', '<a>x</a>',
	'so "so"', '(1,"x ""y""")', '("(1,b)","{""(2,c)"",NULL}",happy)',
	'{{1,2},{3,NULL}}', '{a,NULL,"b \"c\"",d}', '{1.5,NaN}', '{2026-01-01,infinity}',
	'{sad,"so \"so\""}', '{"\\x00","\\xff"}', '{"(1,x)",NULL}', '{x,y}',
	'[1,5)', '{[1,3),[5,9)}', '[2026-01-01 00:00+00,)',
	'101', '0110', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03',
	'(1,2)', '((0,0),(1,1),(1,0))', 'a:1 b:2', 'a & b', '16/B374D848');
-- nothing but NULLs
INSERT INTO every (id) VALUES (2);
-- the edges
INSERT INTO every (id, b, i2, i4, i8, f4, f8, n, d, ts, tstz, ia, t, js, jb, r, by, iv) VALUES
	(3, false, 32767, -2147483648, -9223372036854775808, 'NaN', 'Infinity', 'NaN',
	 'infinity', '-infinity', 'infinity', '{}', '', '"s"', '[]', 'empty', '', '0'),
	(4, NULL, 0, 0, 0, '-Infinity', '-0', 'Infinity', '0044-03-15 BC', '0044-03-15 12:00 BC',
	 '4713-01-01 00:00+00 BC', '{{{1}}}', ' ', '1', '"x"', '(,)', '\x20', '-1 mons +2 days -03:00'),
	(5, NULL, NULL, NULL, NULL, 1e-37, 1e308, '-Infinity', '5874897-12-31', '294276-12-31 23:59:59.999999',
	 '294276-12-31 23:59:59.999999+00', NULL, NULL, '{}', '{}', NULL, NULL, '178000000 years'),
	(6, NULL, NULL, NULL, NULL, 3.4e38, 5e-324, -0.000000000000000000001, '4713-01-01 BC', NULL,
	 NULL, NULL, NULL, '[1,2]', '123456789012345678901234567890.5', NULL, NULL, NULL);
SELECT f.* FROM peek('stream_types'), json_each(data::json->'new') AS f WHERE data ~ '"new":\{"id":1,';
SELECT json_strip_nulls(data::json->'new') FROM peek('stream_types') WHERE data ~ '"new":\{"id":[3456],' ORDER BY n;
SELECT data::jsonb->'new'->'gen' FROM peek('stream_types') WHERE data ~ '"new":\{"id":1,';
-- types as the schema record tells them
SELECT c->>'name', c->>'type' FROM peek('stream_types'), jsonb_array_elements(data::jsonb->'columns') AS c
WHERE data ~ '"op":"schema"';
-- numbers as strings: those that doubles can't hold
SELECT r->'i4', r->'i8', r->'n', r->'f8', r->'na' FROM (SELECT data::jsonb->'new' AS r
	FROM peek('stream_types', 'numbers', 'string') WHERE data ~ '"new":\{"id":1,') AS s;

-- everything comes back as it was
UPDATE every SET i8 = i8 - 1, ta = array_append(ta, 'more') WHERE id = 1;
SELECT replay('stream_types', 'every', 'copy');
SELECT * FROM differences('every', 'copy');
-- the session has its own settings again
SELECT count(*) FROM consume('stream_types', 'tables', '*.none');
SHOW DateStyle;
SHOW bytea_output;
SHOW search_path;
RESET DateStyle;
RESET TimeZone;
RESET IntervalStyle;
RESET bytea_output;
RESET extra_float_digits;

-- exceptions, as documented: hstore, lower bounds of arrays, and a JSON null
CREATE TABLE edge (id int PRIMARY KEY, h hstore, a int[], j jsonb, c pair[]);
INSERT INTO edge VALUES (1, 'a=>1, "b c"=>NULL', '[2:3]={7,8}', 'null', ARRAY[(1, 'q "'), NULL]::pair[]);
-- as text nothing is lost
SELECT count(*) FILTER (WHERE (r->>'h')::hstore = e.h AND (r->>'a')::int[] = e.a AND array_lower((r->>'a')::int[], 1) = 2
	AND (r->>'j')::jsonb = e.j AND r->>'j' = 'null' AND (r->>'c')::pair[] = e.c) AS same, count(*)
FROM peek('stream_types', 'nested', 'text'), LATERAL (SELECT data::jsonb->'new' AS r) AS s, edge AS e WHERE data ~ '"op":"insert"';
SELECT data::json->'new' FROM peek('stream_types', 'nested', 'text') WHERE data ~ '"op":"insert"';
SELECT * FROM changes('stream_types');

-- a composite type that changes, an enum that grows
ALTER TYPE pair ADD ATTRIBUTE c date;
ALTER TYPE mood ADD VALUE 'over the moon';
UPDATE every SET p = (1, 'b', '2026-01-02'), e = 'over the moon' WHERE id = 2;
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
UPDATE every SET e = 'blue' WHERE id = 2;
SELECT data::jsonb->'new'->'p', data::jsonb->'new'->'e' FROM consume('stream_types')
WHERE data ~ '"op":"update"' ORDER BY n;

SELECT pg_drop_replication_slot('stream_types');
SET client_min_messages = warning;
DROP SCHEMA stream_types CASCADE;
