# Promise: whatever a table holds, its Parquet files hold the same values, as
# PyArrow and DuckDB read them, with statistics and page indexes that are true.
use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP ();
use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('types', conf => 'max_worker_processes = 16');

# check(TABLE, ...): exports it and compares
sub check
{
	my ($table, %params) = @_;
	my $directory = export_parquet($node, $table, %params);

	check_parquet($node, $params{database} || 'postgres',
		'compare', $table, $directory);
	return $directory;
}

# ---- every built-in type, and what types can be made of
$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy é');
CREATE TYPE point3 AS (x int, "Ÿ" text, z numeric(8,2), tags text[]);
CREATE TYPE deep AS (p point3, ps point3[], more text[][]);
CREATE DOMAIN price AS numeric(12,3);
CREATE DOMAIN prices AS price[];
CREATE TABLE every_type (id bigint NOT NULL, dropped int,
	a_bool bool, a_int2 int2, a_int4 int4, a_int8 int8, a_oid oid, a_xid xid,
	a_float4 float4, a_float8 float8,
	n9 numeric(9,2), n18 numeric(18,4), n19 numeric(19), n38 numeric(38,10),
	n39 numeric(39,1), rounded numeric(5,-3), small numeric(2,5),
	n numeric, a_price price,
	a_text text, a_varchar varchar(20), a_bpchar char(5), a_name name,
	a_char "char", a_bytea bytea, a_uuid uuid,
	a_date date, a_time time, a_timetz timetz, a_timestamp timestamp(3),
	a_timestamptz timestamptz, an_interval interval,
	a_json json, a_jsonb jsonb, an_hstore hstore, a_mood mood,
	a_point point3, a_deep deep, points point3[], moods mood[],
	ints int[], matrix int[][], cube text[][][], some_prices prices,
	dates date[], numbers numeric(10,2)[], documents jsonb[], ranges int4range[],
	a_range tstzrange, a_multirange int4multirange, an_inet inet,
	a_macaddr macaddr, a_money money, a_bit bit(5), a_varbit varbit,
	an_xml xml, a_lsn pg_lsn, a_tsvector tsvector, a_geometry point,
	"odd name, ""quoted""" text, "ключ" int,
	doubled int GENERATED ALWAYS AS (a_int4 * 2) STORED);
ALTER TABLE every_type DROP dropped;
INSERT INTO every_type SELECT g, g % 2 = 0, g % 300 - 150, g * 1000,
	g::bigint * 10000000000, g, g::text::xid, g / 3.0, g / 7.0,
	g * 1.25, g * -1.2345, g * 1e16, g * 12345678901234567890.0123456789,
	g * 1e35 + 0.5, g * 1000, 0.00001 * (g % 99), g * 1.00001, g + 0.125,
	'text é ' || (g % 10), 'vc' || g, 'ab', 'name' || g, 'c',
	decode(lpad(to_hex(g), 8, '0'), 'hex'), md5(g::text)::uuid,
	date '1999-12-28' + g, time '00:00:01' + g * interval '1.5 sec',
	timetz '10:00:00+02:30', timestamp '1969-12-31 23:59:59.999'
		+ g * interval '1 min', timestamptz '2020-01-01' + g * interval '1 h',
	g * interval '1 mon -2 d 3.5 s', format('{"a":%s, "a" : null }', g)::json,
	jsonb_build_object('k', g, 's', 'x"y', 'n', null), hstore('a', g::text)
		|| 'b=>NULL', (ARRAY['sad', 'ok', 'happy é'])[1 + g % 3]::mood,
	ROW(g, 'y' || g, g * 1.5, ARRAY['a', NULL, 'b' || g])::point3,
	ROW(ROW(g, NULL, NULL, NULL), ARRAY[ROW(1, 'q', 0, '{}')::point3, NULL],
		ARRAY[['a', 'b'], ['c', NULL]])::deep,
	ARRAY[ROW(g, 'q', 2.25, NULL)::point3, NULL,
		ROW(NULL, NULL, NULL, '{}')::point3],
	ARRAY['ok', NULL]::mood[], ARRAY[g, NULL, g + 1],
	ARRAY[[g, 2], [3, NULL]], ARRAY[[['a'], ['b']], [['c'], [NULL]]],
	ARRAY[g, 0.5]::prices, ARRAY['2001-01-01'::date, NULL],
	ARRAY[g * 1.1, NULL, -5], ARRAY['{"a":1}'::jsonb, NULL, 'null'],
	ARRAY[int4range(g, g + 5), 'empty', NULL],
	tstzrange('2020-01-01', NULL), int4multirange(int4range(g, g + 2)),
	'10.0.0.1/8', '08:00:2b:01:02:03', g::numeric::money, g::bit(5),
	B'101'::varbit, xmlparse(CONTENT '<a>' || g || '</a>'), '0/16B374D',
	'a fat cat'::tsvector, point(g, 0.5), 'odd' || g, g
	FROM generate_series(1, 200) g;
INSERT INTO every_type (id) VALUES (1000), (1001);
INSERT INTO every_type (id, a_int2, a_int4, a_int8, a_oid, a_float4, a_float8,
	n9, n18, n19, n38, n, a_text, a_bytea, a_date, a_time, a_timetz,
	a_timestamp, a_timestamptz, ints, matrix, points, a_point) VALUES
	(2000, -32768, -1073741824, -9223372036854775808, 4294967295, '-0', 'NaN',
	-9999999.99, 99999999999999.9999, -9999999999999999999,
	-9999999999999999999999999999.9999999999, 'NaN', '', '', '4713-01-01 BC',
	'23:59:59.999999', '00:00:00+15:59', '4713-01-01 BC',
	'294246-12-31 23:59:59.999999+00', '{}', '{}', '{}',
	'(,,,"{}")'),
	(2001, 32767, 1073741823, 9223372036854775807, 0, 'Infinity', '-Infinity',
	0, -0.0001, 0, 0.0000000001, '-Infinity', repeat('long é', 5000),
	decode(repeat('ff', 3000), 'hex'), '5874897-12-31', '00:00', '23:59-15:59',
	'294246-12-31 23:59:59.999', '0001-01-01 00:00:00+00', '{NULL}',
	'{{NULL}}', '{NULL}', '(,"",,"{NULL,""""}")');
EOS
check('every_type');
foreach my $codec (qw(none snappy gzip zstd zstd:9 lz4 LZ4:9 gzip:1 ZSTD:-5))
{
	check('every_type', arguments => "compression => '$codec'");
}
check('every_type', arguments => q{options => '{"row_group_rows": 7}'});

# ---- null patterns, with enough rows for several pages
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE patterns AS SELECT g::bigint AS id, g AS none,
	NULL::int AS all_null, NULL::text[] AS all_null_list,
	CASE WHEN g % 2 = 0 THEN g END AS alternating,
	CASE WHEN g / 1000 % 2 = 0 THEN 'run ' || g / 100 END AS runs,
	CASE WHEN g % 997 = 0 THEN g * 0.5 END AS rare,
	CASE WHEN g % 2 = 0 THEN ARRAY[NULL, g % 5] WHEN g % 3 = 0 THEN '{}' END
		AS lists,
	CASE WHEN g > 30000 THEN g % 2 = 0 END AS late
FROM generate_series(1, 50000) g;
EOS
check('patterns');
check('patterns', set => q{SET outflow.part_memory = '1MB'},
	arguments => 'workers => 0');
# each part begins with what the one before has shown of the columns
check('patterns', arguments => q{workers => 1, part_size => '256kB'});

# ---- a dictionary that grows too large in mid-chunk
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE overflowing AS SELECT g::bigint AS id,
	CASE WHEN g < 45000 THEN 'one of few ' || g % 100
		ELSE repeat(md5(g::text), 10) END AS words,
	CASE WHEN g < 45000 THEN g % 1000 ELSE g END AS numbers,
	CASE WHEN g < 45000 THEN ARRAY[g % 7]::numeric(30,5)[]
		ELSE ARRAY[g * 3.5, g * 1.25, g * 11, g * 7.25, g * 1e10, g * 5e15]
		END AS lists,
	(g % 3)::text AS few
FROM generate_series(1, 100000) g;
EOS
my $directory = check('overflowing',
	arguments => q{workers => 1, options => '{"row_group_rows": 70000}'});
my $facts = parquet_facts($node, "$directory/part-000000.parquet");
# 0 is PLAIN, 8 is RLE_DICTIONARY: both among one chunk's pages
foreach my $leaf (1, 3)
{
	my $pages = $facts->{pages}[0][$leaf];

	ok($pages->{8} && $pages->{0}, 'the dictionary was given up in mid-chunk');
}
is($facts->{groups}, 2, 'and the file has two row groups');

# ---- nulls in lists, which take a page no bytes but many levels
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE null_lists AS SELECT g::bigint AS id,
	array_fill(NULL::int, ARRAY[1500000]) AS l FROM generate_series(1, 5) g;
EOS
$directory = export_parquet($node, 'null_lists', arguments => 'workers => 0');
is_deeply(parquet_facts($node, "$directory/part-000000.parquet")->{pages},
	[ [ { 0 => 1 }, { 0 => 2 } ] ], 'end a page, too');

# ---- parts, partitions, empty tables, no table
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE empty_table (id bigint, t text, l int[], p point3);
CREATE TABLE many_parts AS SELECT g::bigint AS id, md5(g::text) AS t
FROM generate_series(1, 20000) g;
CREATE TABLE split (id bigint NOT NULL, v text) PARTITION BY RANGE (id);
CREATE TABLE split_low PARTITION OF split FOR VALUES FROM (0) TO (100);
CREATE TABLE split_high (v text, gone int, id bigint NOT NULL);
ALTER TABLE split_high DROP gone;
ALTER TABLE split ATTACH PARTITION split_high FOR VALUES FROM (100) TO (1000);
INSERT INTO split SELECT g, 'v' || g FROM generate_series(1, 500) g;
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
EOS
check('empty_table');
$directory = check('many_parts', arguments => q{part_size => '128kB'});
cmp_ok(scalar(grep { /\.parquet$/ } files_below($directory)), '>', 5,
	'a part is a file');
check('split');
is( $node->safe_psql('postgres',
		q{SELECT string_agg(DISTINCT v.status, ',') FROM outflow.jobs j,
			outflow.verify(j.job) v WHERE v.file LIKE '%.parquet'}),
	'ok',
	'verify() finds every file as it was written');
my (undef, undef, $err) = $node->psql('postgres',
	"CALL outflow.export('no_columns', 'file://" . new_export_dir()
	  . "/x', format => 'parquet')");
like($err, qr/format "parquet" needs a column/, 'a table needs a column');

# ---- pgvector's type, by a stand-in of the same layout
my $module = dirname(__FILE__) . '/../modules/vector/vector_test.so';
$node->safe_psql('postgres', <<"EOS");
CREATE TYPE vector;
CREATE FUNCTION vector_in(cstring) RETURNS vector AS '$module' LANGUAGE c STRICT;
CREATE FUNCTION vector_out(vector) RETURNS cstring AS '$module' LANGUAGE c STRICT;
CREATE TYPE vector (INPUT = vector_in, OUTPUT = vector_out, STORAGE = external);
CREATE TABLE embedded (id bigint, v vector, vs vector[]);
INSERT INTO embedded VALUES (1, '[1,-0.5,3e10]', '{"[1,2]",NULL,"[0.1]"}'),
	(2, NULL, '{}'), (3, '[0.3333333]', NULL);
INSERT INTO embedded SELECT g, ('[' || (SELECT string_agg((n * g)::text, ',')
	FROM generate_series(1, 1500) n) || ']')::vector
	FROM generate_series(4, 10) g;
EOS
$directory = check('embedded');
is_deeply(
	parquet_facts($node, "$directory/part-000000.parquet")->{physical},
	[qw(INT64 FLOAT FLOAT)],
	'its numbers are floats');

# ---- what a file says of itself
$directory = check('split_low', arguments => 'workers => 0');
$facts = parquet_facts($node, "$directory/part-000000.parquet");
my $job = $node->safe_psql('postgres',
	'SELECT max(job) FROM outflow.jobs');
is($facts->{facts}{'outflow.job'}, $job, 'a file names its job');
is( $facts->{facts}{'outflow.snapshot'},
	$node->safe_psql('postgres',
		"SELECT snapshot FROM outflow.jobs WHERE job = $job"),
	'and its snapshot');
is( $node->safe_psql('postgres',
		"SELECT lsn = '$facts->{facts}{'outflow.lsn'}' FROM outflow.parts WHERE job = $job"),
	't',
	'and its LSN');
is_deeply(
	JSON::PP->new->decode($facts->{facts}{'outflow.columns'}),
	[{ name => 'id', type => 'bigint' }, { name => 'v', type => 'text' }],
	'and the types as PostgreSQL names them');
like($facts->{created_by}, qr/^outflow version 1\.0 \(build [^()]+\)$/,
	'created_by has the form that readers parse');

# ---- databases of other encodings: files are UTF-8
foreach my $encoding (qw(LATIN1 SQL_ASCII EUC_JP))
{
	my $database = lc("db_$encoding");

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0
		ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($database, <<'EOS');
CREATE EXTENSION outflow;
CREATE TABLE encoded (id bigint, t text, l text[], j jsonb);
EOS
	$node->safe_psql($database, "SET client_encoding = 'UTF8';
INSERT INTO encoded VALUES (1, 'plain', '{a,b}', '{\"a\": 1}')");
	$node->safe_psql($database, "SET client_encoding = 'UTF8';
INSERT INTO encoded VALUES (2, 'd\xc3\xa9j\xc3\xa0', '{\xc3\xa9}',
	'{\"\xc3\xa9\": \"\xc3\xa0\"}')") unless $encoding eq 'EUC_JP';
	check('encoded', database => $database);
}
$node->safe_psql('db_latin1', "SET client_encoding = 'UTF8'; CREATE TABLE \"\xc3\xa9t\xc3\xa9\" AS SELECT 1 AS id");
my $summer = new_export_dir() . '/x';
$node->safe_psql('db_latin1', "SET client_encoding = 'UTF8'; CALL outflow.export('\"\xc3\xa9t\xc3\xa9\"', 'file://$summer', format => 'parquet')");
like(slurp_file("$summer/part-000000.parquet"), qr/outflow\.source.{1,8}public\."?\xc3\xa9t\xc3\xa9/s, 'a table\'s name, too, is in UTF-8');
foreach my $format (qw(parquet jsonl))
{
	(undef, undef, $err) = $node->psql('db_latin1',
		"CALL outflow.export('encoded', 'file://" . new_export_dir()
		  . "/x', format => '$format', options => '{\"encoding\": \"LATIN1\"}')");
	like($err, qr/format "$format" is always in UTF-8/, "$format in another one is refused");
}
$node->safe_psql('db_sql_ascii',
	q{INSERT INTO encoded VALUES (3, E'\xff', NULL, NULL)});
(undef, undef, $err) = $node->psql('db_sql_ascii',
	"CALL outflow.export('encoded', 'file://" . new_export_dir()
	  . "/x', format => 'parquet')");
like($err,
	qr/column "t" has a value that Parquet cannot hold.*not UTF-8.*to "null", for all/s,
	'bytes that are no text are not passed off as one');
$node->safe_psql('db_sql_ascii', <<'EOS');
CREATE TABLE expected AS TABLE encoded;
UPDATE expected SET t = NULL WHERE id = 3;
EOS
check_parquet($node, 'db_sql_ascii', 'compare', 'expected',
	export_parquet($node, 'encoded', database => 'db_sql_ascii',
		arguments => q{options => '{"lossy": "null"}'}));

$node->stop;
done_testing();
