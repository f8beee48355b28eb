-- csv, text and binary exports are byte for byte what COPY writes
\getenv builddir PG_ABS_BUILDDIR
\set dir :builddir '/results/export_csv'
SET client_min_messages = warning;
-- COPY of a large table may otherwise start in its middle
SET synchronize_seqscans = off;
CREATE SCHEMA export_csv;
SET search_path = export_csv;

-- the concatenated parts of a job
CREATE FUNCTION exported(job bigint) RETURNS bytea LANGUAGE sql AS $$
	SELECT string_agg(pg_read_binary_file(substr(j.destination, 8) || '/'
		|| p.file), '' ORDER BY p.part)
	FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job)
	WHERE p.job = $1
$$;

-- a table in a format, through a job and through COPY
CREATE PROCEDURE compare(source regclass, format text, copy_options text,
	options jsonb, columns text[], workers int, INOUT same text,
	part_size text DEFAULT '16kB')
LANGUAGE plpgsql AS $$
DECLARE
	destination text := format('%s/%s', current_setting('test.dir'),
		gen_random_uuid());
	list text := (SELECT ' (' || string_agg(quote_ident(c), ', ') || ')'
		FROM unnest(columns) AS c);
	job bigint;
BEGIN
	CALL outflow.export(source, 'file://' || destination, format => format,
		part_size => part_size, columns => columns, workers => workers,
		options => options, job => job);
	EXECUTE format('COPY %s%s TO %L (FORMAT %s%s)', source, list,
		destination || '.copy', format, copy_options);
	same := CASE WHEN exported(job)
		= pg_read_binary_file(destination || '.copy') THEN 'same'
		ELSE 'different' END;
END
$$;
SET test.dir = :'dir';

-- every built-in type of values, and NULLs
CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'happy,');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);
CREATE TABLE everything (
	gone int, b bool, i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8,
	n numeric, n2 numeric(12, 3), m money, t text, v varchar(20), c char(5),
	q "char", nm name, by bytea, u uuid, d date, ti time, tz timetz,
	ts timestamp, tstz timestamptz, iv interval, j json, jb jsonb, x xml,
	ia int[], ta text[], ia2 int[][], e mood, p pair, pa pair[], po positive,
	ir int4range, nr numrange, tr tstzrange, mr int4multirange, ip inet,
	ci cidr, ma macaddr, ma8 macaddr8, bi bit(5), vb varbit, pt point, l line,
	ls lseg, bx box, pth path, pl polygon, ci2 circle, tv tsvector, tq tsquery,
	rc regclass, rp regprocedure, rt regtype, ro regrole, ls2 pg_lsn,
	sn pg_snapshot, x8 xid8, xi xid, cd cid, td tid, jp jsonpath,
	iv2 int2vector, ov oidvector, gen int GENERATED ALWAYS AS (i4 + 1) STORED);
ALTER TABLE everything DROP COLUMN gone;
INSERT INTO everything DEFAULT VALUES;
INSERT INTO everything VALUES
(true, 32767, 2147483647, 9223372036854775807, 4294967295, 'NaN', 'Infinity',
 'NaN', 123456789.125, '$1,234.56', E'a,"b"\n\r\\.', '', 'x', 'q', 'na me',
 '\x00ff5c', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'infinity', '24:00:00',
 '23:59:59.999999-15:30', '-infinity', 'infinity',
 '-178000000 years 5 mons -3 days 04:05:06.7', '{"a" : [1, "ü"]}',
 '{"k": {"n": 1.50, "s": "a\"b"}}', '<a b="1">x</a>', '{1,NULL,3}',
 '{"a,b","",NULL,"NULL"}', '[0:1][2:3]={{1,2},{3,4}}', 'so "so"',
 '(1,"x,""y""")', '{"(1,a)","(,)"}', 7, '[1,5)', '(,1.5]',
 '["2020-01-01 00:00+00",)', '{[1,3),[5,7)}', '192.168.0.1/24', '10.0.0.0/8',
 '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '10101', '1', '(1.5,-2)',
 '{1,2,3}', '[(1,2),(3,4)]', '((1,2),(0,0))', '((1,2),(3,4))',
 '((0,0),(1,1),(1,0))', '<(1,2),3>', '''a b'':1 c:2A', '''x'' & !y',
 'pg_class', 'pg_catalog.lower(text)', 'integer', 'postgres',
 '16/B374D848', '10:20:10,14,15', '18446744073709551615', '4294967295',
 '7', '(1,2)', '$."a"[*] ? (@ > 1)', '1 2 3', '4 5'),
(false, -32768, -2147483648, -9223372036854775808, 0, '-0', '1e-307',
 '-Infinity', -0.001, '-$0.01', E'\\N', '\.', '', '', '', '',
 '00000000-0000-0000-0000-000000000000', '4713-01-01 BC', '00:00',
 '00:00+15:59', '0044-03-15 12:00 BC', '1999-12-31 23:59:59.5+14', '0',
 'null', '"x"', '', '{}', '{}', '{}', 'happy,', '(,)', '{}', 0.5, 'empty',
 'empty', '(,)', '{}', '::1', '::/0', '00:00:00:00:00:00',
 '00:00:00:00:00:00:00:00', '00000', '', '(NaN,Infinity)', '{0,-1,0}',
 '[(0,0),(0,0)]', '((0,0),(0,0))', '[(1,2),(3,4)]', '((0,0))', '<(0,0),0>',
 '', '', '0', '0', '0', '0', '0/0', '1:1:', '0', '0', '0', '(0,0)', '$', '',
 '');
INSERT INTO everything (f4, f8, n, t, ts, tstz)
SELECT g / 7.0::float4, exp(g / 10.0 - 300), (g - 500) ^ 7 / 1000,
	CASE g % 4 WHEN 0 THEN repeat(chr(32 + g % 90), g % 50)
		WHEN 1 THEN repeat(E'ü"\n', g % 20) WHEN 2 THEN E'a\tb\\' END,
	timestamp '2000-01-01' + g * g * interval '100000.000001 s',
	timestamptz '1900-01-01' + g * interval '1000000.1 s'
FROM generate_series(1, 1000) AS g;
CALL compare('everything', 'csv', '', '{}', NULL, 2, '');
CALL compare('everything', 'csv', '', '{}', NULL, 0, '');
CALL compare('everything', 'text', '', '{}', NULL, 2, '');
CALL compare('everything', 'csv', $$, DELIMITER ';', NULL 'NULL', QUOTE '''',
	ESCAPE '\', FORCE_QUOTE *$$, '{"delimiter": ";", "null": "NULL",
	"quote": "''", "escape": "\\", "force_quote": true}', NULL, 2, '');

-- columns in another order
CALL compare('everything', 'csv', '', '{}', '{ts,n,t}', 2, '');

-- the settings of the session that asked are those of every worker
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'iso_8601';
SET TimeZone = 'Asia/Kathmandu';
SET extra_float_digits = -2;
SET bytea_output = 'escape';
CALL compare('everything', 'csv', '', '{}', NULL, 2, '');
CALL compare('everything', 'text', '', '{}', NULL, 2, '');
RESET DateStyle;
RESET IntervalStyle;
RESET TimeZone;
RESET extra_float_digits;
RESET bytea_output;

-- another encoding
CALL compare('everything', 'csv', $$, ENCODING 'LATIN1'$$,
	'{"encoding": "LATIN1"}', '{ts,t}', 2, '');

-- one part: a header line stands in each
CREATE TABLE "odd ""names""" ("a,b" int, "select" text, "ü
x" int);
INSERT INTO "odd ""names""" VALUES (1, 'x', 2);
CALL compare('"odd ""names"""', 'csv', ', HEADER', '{"header": true}', NULL,
	2, '');
CALL compare('"odd ""names"""', 'text', ', HEADER', '{"header": true}', NULL,
	2, '');
CALL compare('"odd ""names"""', 'binary', '', '{}', NULL, 2, '');

-- out-of-line values count as bytes of their rows: several parts
CREATE TABLE toasted (id int, t text, filler char(900));
ALTER TABLE toasted ALTER t SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT g, repeat(md5(g::text), 1000), ''
FROM generate_series(1, 50) AS g;
CALL compare('toasted', 'csv', '', '{}', NULL, 2, '');
SELECT parts_total > 5 AS split FROM outflow.jobs
WHERE source = 'export_csv.toasted';

-- jsonb: short and unaligned, in line, compressed, out of line; with a string
-- that must be quoted, and without one
CREATE TABLE documents (pad bool, doc jsonb, plain jsonb);
ALTER TABLE documents ALTER plain SET STORAGE EXTERNAL;
INSERT INTO documents SELECT true, d::jsonb, d::jsonb FROM unnest(ARRAY['1',
	'"x"', 'null', '[]', '{}', '[1]', '[1, -2.50]', '[true, null]', '[[], {}]',
	'[""]', '{"": 0}', '"a\"b\\\"c"', '{"a\nb": "\u0007,\""}',
	'[1, "a", [2, {"b": ["c"]}]]']) AS d;
INSERT INTO documents SELECT true, d, d FROM generate_series(1, 300) AS g,
	jsonb_build_object('k', repeat(E'"\\\n', g), 'n', g) AS d;
INSERT INTO documents
SELECT true, d, d FROM (SELECT jsonb_agg(md5(g::text)) AS d
	FROM generate_series(1, 500) AS g) AS _;
CALL compare('documents', 'csv', '', '{}', NULL, 2, '');
CALL compare('documents', 'csv', '', '{}', '{doc}', 2, '');
CALL compare('documents', 'text', '', '{}', NULL, 2, '');
CALL compare('documents', 'binary', '', '{}', NULL, 1, '', '1GB');
CALL compare('documents', 'csv', $$, QUOTE '''', NULL '1'$$,
	'{"quote": "''", "null": "1"}', NULL, 2, '');
CALL compare('documents', 'csv', $$, ESCAPE '\', FORCE_QUOTE *$$,
	'{"escape": "\\", "force_quote": true}', NULL, 2, '');

-- a character that is special at each place of texts of each length
CREATE TABLE places (t text);
INSERT INTO places SELECT overlay(repeat('x', len) PLACING special FROM at)
FROM generate_series(1, 50) AS len, generate_series(1, len) AS at,
	unnest(ARRAY['y', '"', ',', E'\n', E'\r', E'\t', E'\\', '''']) AS special;
CALL compare('places', 'csv', '', '{}', NULL, 2, '');
CALL compare('places', 'text', '', '{}', NULL, 2, '');
CALL compare('places', 'csv', $$, QUOTE '''', ESCAPE 'x'$$,
	'{"quote": "''", "escape": "x"}', NULL, 2, '');

-- every day of some centuries, and floats around each limit of digits
CREATE TABLE numbers (d date, ts timestamp, f float8, g float8, n numeric);
INSERT INTO numbers SELECT d, d + interval '86399.999999 s' * (n % 2),
	(n - 70000) / 8.0 / 10 ^ (n % 7), (10 ^ (n % 20) - n % 3) / 1000000,
	(n - 70000) / 10.0 ^ (n % 30)
FROM generate_series(0, 150000) AS n,
	LATERAL (SELECT date '1850-01-01' + n AS d) AS _;
INSERT INTO numbers SELECT d, d, f, -f, n FROM unnest(
	ARRAY['0001-01-01', '0001-01-01 BC', '0001-12-31 BC', '9999-12-31',
		'10000-01-01', '0004-02-29', '0100-03-01', '4713-01-01 BC',
		'294276-12-31', '2000-02-29']::date[],
	ARRAY[0.001, 0.0009999, 999999999.9999999, 999999999.999999, 1e9, 1e15,
		0.1 + 0.2, 4.35, 0, 123456.7891234]::float8[],
	ARRAY[0, 0.0001, 10000, 9999.9999, 100000000.00000001, -1e40, 0.00010,
		1e-30, 99999999, -0.5]::numeric[]) AS u (d, f, n);
CALL compare('numbers', 'csv', '', '{}', NULL, 2, '', '2MB');

-- one column of NULLs, of \. and of nothing
CREATE TABLE lone (t text);
INSERT INTO lone VALUES (NULL), ('\.'), (''), ('\N');
CALL compare('lone', 'csv', '', '{}', NULL, 2, '');
CALL compare('lone', 'text', '', '{}', NULL, 2, '');
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
CALL compare('nothing', 'csv', '', '{}', NULL, 2, '');
CREATE TABLE none (a int, b text);
CALL compare('none', 'csv', '', '{}', NULL, 2, '');
CALL compare('none', 'csv', ', HEADER', '{"header": true}', NULL, 0, '');

-- every file of every job is what its record says, and nothing is left over
SELECT v.status, count(*) > 0 AS some
FROM outflow.jobs AS j, outflow.verify(j.job) AS v
WHERE j.source LIKE 'export\_csv.%' GROUP BY v.status;

SELECT outflow.forget(job) FROM outflow.jobs
WHERE source LIKE 'export\_csv.%' \g /dev/null
DROP SCHEMA export_csv CASCADE;
