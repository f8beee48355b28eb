-- values: what a record holds casts back to the row, at every type's edges
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA encode_values;
SET search_path = encode_values;
\set shared :project '/test/lib/stream.sql'
\i :shared
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
SET search_path = encode_values, public;
CREATE TYPE mood AS ENUM ('', 'sad', E'so "so" \\ \n', 'ä', 'a label of sixty-three bytes, which is as long as labels can be');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN posints AS posint[] CHECK (array_length(VALUE, 1) < 9);
CREATE TYPE leaf AS (n posint, "quote "" and \ and ä" text, m mood, t timestamptz, b bytea);
CREATE DOMAIN bud AS leaf;
CREATE TYPE branch AS (gone int, l leaf, ls leaf[], bs bud[], dd posints, r tstzrange);
ALTER TYPE branch DROP ATTRIBUTE gone;
CREATE TYPE tree AS (b branch, bs branch[], empty int[]);
CREATE TABLE t (id int PRIMARY KEY, kind text,
	i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, n numeric, np numeric(38, 10), bl bool,
	tx text, vc varchar, ch char(4), nm name, ic "char", by bytea, u uuid,
	d date, ti time, tz timetz, ts timestamp, tstz timestamptz, iv interval,
	js json, jb jsonb, x xml, m mood, p posint, ps posints, l leaf, bd bud, br branch, tr tree,
	ai int[], at text[], an numeric[], af float8[], ad date[], ats timestamptz[], aiv interval[], aby bytea[], ab bool[], aj json[], ajb jsonb[],
	am mood[], al leaf[], abt bit(3)[], ar int4range[], amr nummultirange[], ax xml[], au uuid[], ai2 int2[], ao oid[],
	r4 int4range, r8 int8range, rn numrange, rd daterange, rts tsrange, rtz tstzrange, m4 int4multirange, mn nummultirange, mtz tstzmultirange,
	bt bit(5), vb varbit, ip inet, ci cidr, mc macaddr, m8 macaddr8, mo money, pt point, ln line, ls lseg, bx box, pa path, po polygon, cc circle,
	tv tsvector, tq tsquery, lsn pg_lsn, x8 xid8, xi xid, cd cid, td tid, jp jsonpath, sn pg_snapshot, h hstore);
CREATE TABLE copy (LIKE t);
SELECT create_slot('encode_values');

INSERT INTO t (id, kind, i2, i4, i8, o, f4, f8, n, np, bl, d, ti, tz, ts, tstz, iv, mo, x8, xi, cd, lsn, p) VALUES
	(1, 'least', -32768, -2147483648, -9223372036854775808, 0, '-3.4028235e38', '-1.7976931348623157e308', ('-1' || repeat('0', 131071))::numeric, -9999999999999999999999999999.9999999999, false,
	 '4713-01-01 BC', '00:00', '00:00+15:59:59', '4713-01-01 BC', '4713-01-01 00:00+00 BC', '-178000000 years -11 mons -2147483648 days -2562047788:00:54.775807', '-92233720368547758.08', '0', '0', '0', '0/0', 1),
	(2, 'most', 32767, 2147483647, 9223372036854775807, 4294967295, '3.4028235e38', '1.7976931348623157e308', repeat('9', 131072)::numeric, 9999999999999999999999999999.9999999999, true,
	 '5874897-12-31', '24:00', '24:00-15:59:59', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '178000000 years 11 mons 2147483647 days 2562047788:00:54.775807', '92233720368547758.07', '18446744073709551615', '4294967295', '4294967295', 'FFFFFFFF/FFFFFFFF', 2147483647),
	(3, 'tiny', 0, 0, 0, 1, '1e-45', '5e-324', ('0.' || repeat('0', 16382) || '1')::numeric, 0.0000000001, true,
	 '0001-01-01', '00:00:00.000001', '00:00:00.000001-00:00:01', '0001-12-31 23:59:59.999999 BC', '0001-01-01 00:00+00', '1 microsecond', '0.01', '1', '3', '1', '0/1', 1),
	(4, 'nan', 0, 0, 0, 0, 'NaN', 'NaN', 'NaN', 0, NULL, 'infinity', '23:59:59.999999', '23:59:59.999999+00', 'infinity', 'infinity', '0', '0', NULL, NULL, NULL, NULL, NULL),
	(5, 'infinite', 0, 0, 0, 0, 'Infinity', 'Infinity', 'Infinity', 0, NULL, '-infinity', '12:00', '12:00-12', '-infinity', '-infinity', '-1 mons +1 day -00:00:01', '-0.01', NULL, NULL, NULL, NULL, NULL),
	(6, 'less than all', 0, 0, 0, 0, '-Infinity', '-Infinity', '-Infinity', -0.0, NULL, '0044-03-15 BC', '01:02:03.4', '01:02:03.04+05:45', '2000-02-29', '1883-11-18 12:03:58-04:56:02', '1 year -1 days', '1000', NULL, NULL, NULL, NULL, NULL),
	(7, 'zeros and scales', 0, 0, 0, 0, '-0', '-0', 0.000, 1.5, NULL, '2000-01-01', '00:00:01', '00:00+00', '1999-12-31 23:59:59.999999', '2000-01-01 00:00+00', '00:00:00.1', '1', NULL, NULL, NULL, NULL, NULL),
	(8, 'floats', 0, 0, 0, 0, 16777216, 9007199254740993, 10000.10000, 1, NULL, '9999-12-31', '00:00', '00:00+00:00:59', '10000-01-01', '9999-12-31 23:59:59+00', '100 years', '12345678.9', NULL, NULL, NULL, NULL, NULL);
INSERT INTO t (id, kind, tx, vc, ch, nm, ic, by, u, js, jb, x, m, bt, vb, jp) VALUES
	(20, 'empty', '', '', '', '', '', '', '00000000-0000-0000-0000-000000000000', '""', '""', '', '', '00000', '', '$'),
	(21, 'odd characters', (SELECT string_agg(chr(c), '') FROM generate_series(1, 300) AS c), E'\u2028\u2029\ufeff\uffff\U0001F600\U0010FFFF', E'\t\n ', repeat('ä', 31), '"', '\x00010203fffe', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
	 E'{"\\ud83d\\ude00": [1e400, -0.0, "a\\/b"], "": {}}', '{"": [[], {}, [{}], null, -0.0, 1e30, "\u00e4\b\f\n\r\t\u0001\"\\/"], "k": {"k": {"k": []}}}', '<a b="&quot;&lt;">ä</a>', E'so "so" \\ \n', '11111', '0', '$.a[*] ? (@.b > 1)'),
	(22, 'long', repeat('0123456789abcde"', 40000), repeat(E'\u20ac', 3000), 'abcd', repeat('n', 63), '\377', decode(repeat('ff00', 5000), 'hex'), NULL,
	 (SELECT json_agg(repeat('x', 1000)) FROM generate_series(1, 50)), (SELECT jsonb_object_agg('k' || g, repeat('y', g)) FROM generate_series(1, 400) AS g), NULL, 'a label of sixty-three bytes, which is as long as labels can be', '10101', repeat('10', 4000)::varbit, '$');
INSERT INTO t (id, kind, js, jb) SELECT 30 + n, 'json scalars', v::json, v::jsonb FROM unnest(ARRAY['true', '0', '-1.50', '"null"', '[]', '{}', '[null]', '{"a":null}']) WITH ORDINALITY AS v (v, n);
INSERT INTO t (id, kind, ps, l, bd, br, tr) VALUES
	(40, 'nothing in it', '{}', ROW(NULL, NULL, NULL, NULL, NULL), ROW(NULL, NULL, NULL, NULL, NULL), ROW(NULL, NULL, NULL, NULL, NULL), ROW(NULL, NULL, NULL)),
	(41, 'nested', '{1,NULL,3}', ROW(1, E'a,b("c")\\\n', 'sad', '2026-01-01 00:00+00', '\x5c22'), ROW(2, '', '', 'infinity', ''),
	 ROW(ROW(1, 'x', 'ä', '0044-03-15 00:00+00 BC', '\x00')::leaf, ARRAY[ROW(1, NULL, NULL, NULL, NULL)::leaf, NULL], ARRAY[ROW(3, 'bud', NULL, NULL, NULL)::bud], '{7}', '[2026-01-01 00:00+00,)'),
	 ROW(ROW(NULL, ARRAY[]::leaf[], NULL, NULL, 'empty')::branch, ARRAY[ROW(ROW(9, '"', 'sad', NULL, NULL)::leaf, NULL, NULL, '{1,2}', NULL)::branch, NULL, ROW(NULL, NULL, NULL, NULL, NULL)::branch], '{}'));
INSERT INTO t (id, kind, ai, at, an, af, ad, ats, aiv, aby, ab, aj, ajb, am, al, abt, ar, amr, ax, au, ai2, ao) VALUES
	(50, 'empty arrays', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
	(51, 'nulls', '{NULL}', '{NULL,"NULL",""}', '{NULL,NaN,Infinity,-Infinity}', '{NULL,NaN,Infinity,-Infinity,-0}', '{NULL,infinity,-infinity}', '{NULL,infinity}', '{NULL}', '{NULL,""}', '{NULL,t,f}', '{NULL,"1"}', '{NULL,"\"s\""}',
	 '{NULL,sad,""}', '{NULL,"(,,,,)"}', '{NULL,101}', '{NULL,empty}', '{NULL,"{}"}', '{NULL,"<a/>"}', '{NULL}', '{NULL}', '{NULL}'),
	(52, 'dimensions', '{{{1,2},{3,4}},{{5,6},{7,NULL}}}', '{{"a,b","c\"d"},{"e\\f","{}"}}', '{{1.10},{2.200}}', '{{0.1}}', '{{2026-01-01}}', '{{2026-01-01 00:00+00}}', '{{1 day},{-00:00:01}}', '{{"\\x00"}}', '{{t},{f}}', '{{"{\"a\": 1}"},{"[1]"}}', '{{"{\"a\": 1}"},{"[1]"}}',
	 E'{{sad,"so \\"so\\" \\\\ \n"}}', '{{"(1,a,sad,,)"}}', '{{101},{010}}', '{{"[1,2)"}}', '{{"{[1,2),[3,)}"}}', '{{"<a>b</a>"}}', '{{ffffffff-ffff-ffff-ffff-ffffffffffff}}', '{{{{{{1}}}}}}', '{{4294967295}}');
INSERT INTO t (id, kind, r4, r8, rn, rd, rts, rtz, m4, mn, mtz) VALUES
	(60, 'empty ranges', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', '{}', '{}', '{}'),
	(61, 'endless ranges', '(,)', '(,5)', '[1.50,)', '[infinity,]', '(,)', '[,2026-01-01 00:00+00]', '{(,)}', '{(,1),(2.0,)}', '{(,infinity)}'),
	(62, 'ranges', '[1,2147483647)', '[-9223372036854775808,1)', '(1e100,NaN]', '[0044-03-15 BC,2026-11-22)', '[2026-01-01 00:00:00.5,2026-01-02)', '[-infinity,2026-01-01 00:00+00)', '{[1,2),[3,4)}', '{[NaN,NaN]}', '{[2026-01-01 00:00+00,2026-01-01 00:00:00.000001+00)}');
INSERT INTO t (id, kind, ip, ci, mc, m8, pt, ln, ls, bx, pa, po, cc, tv, tq, td, sn) VALUES
	(70, 'networks and shapes', '::1', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00:00:01', '(-0,1e-300)', '{1,-1,0.1}', '[(0,0),(1e300,-1)]', '(2,2),(1,1)', '[(0,0),(1,1)]', '((0,0),(1,1))', '<(0,0),0>', E'''a '' b'':1A,2B c:3', '''a b'' <-> !c:*A', '(4294967295,65535)', '1:9:2,8'),
	(71, 'more of them', '255.255.255.255/0', '0.0.0.0/0', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff', '(Infinity,NaN)', '{0,1,0}', '[(0.1,0.2),(0.3,0.4)]', '(1,1),(1,1)', '((0,0))', '((0.1,1e15))', '<(1,2),0.1>', '', '', '(0,0)', '1:1:');
INSERT INTO t (id, kind) VALUES (80, 'nothing');

-- through jsonb, column by column
CREATE FUNCTION casts_back(record text, OUT id int, OUT "column" text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	name text;
	same bool;
BEGIN
	id := record::json->'new'->>'id';
	FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 LOOP
		EXECUTE format('SELECT r.%1$I::text IS NOT DISTINCT FROM t.%1$I::text FROM jsonb_populate_record(NULL::t, $1) AS r, t WHERE t.id = $2', name)
		INTO same USING record::jsonb->'new', id;
		IF NOT same THEN
			"column" := name;
			RETURN NEXT;
		END IF;
	END LOOP;
END
$$;
-- jsonb knows no minus zero, and writes json in its own way
SELECT c.* FROM peek('encode_values'), casts_back(data) AS c WHERE data ~ '"op":"insert"' AND "column" <> 'js';

-- through json, all of it
SELECT replay('encode_values', 't', 'copy');
SELECT * FROM differences('t', 'copy');
SELECT count(*) FROM copy;

-- exceptions: bounds of arrays, the JSON null, line ends in json; hstore is an
-- object; and PostgreSQL's own functions refuse \u0000
CREATE TABLE exceptions (id int PRIMARY KEY, bounds int[], many int[], jb jsonb, js json, h hstore, iv int2vector);
INSERT INTO exceptions VALUES (1, '[-1:1]={1,2,3}', '[0:1][5:6]={{1,2},{3,4}}', 'null', E'{"\\u0000":\r\n "\\u0000"}', 'a=>1, b=>NULL, "\"c\\"=>"\"\\"', '1 2 3');
SELECT substring(data FROM '"new":.*') FROM peek('encode_values', 'tables', '*.exceptions') WHERE data ~ '"op":"insert"';

SELECT pg_drop_replication_slot('encode_values');
DROP SCHEMA encode_values CASCADE;
