# Promise: the options "as" and "profile" say what columns and types become in
# Parquet, what an option can't do for a column is an error, and files keep to
# what readers bear.
use strict;
use warnings;

use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('forms');

$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION hstore;
CREATE DOMAIN key AS uuid;
CREATE TYPE holder AS (u uuid, n numeric, t timetz);
CREATE TABLE forms (id bigint NOT NULL, u uuid NOT NULL, us uuid[], k key, h holder,
	j jsonb, js json, hs hstore, n numeric, n2 numeric(5,2), ns numeric[], t time, z timetz,
	v int[], i int, txt text);
INSERT INTO forms SELECT g, md5(g::text)::uuid, ARRAY[md5(g::text)::uuid, NULL], md5(g::text)::uuid,
	ROW(md5(g::text)::uuid, g, '10:00+02'::timetz)::holder, jsonb_build_array(g, 'x'), to_json(g), hstore('a', g::text),
	g + 0.25, g, ARRAY[g, 0.5], time '10:00', timetz '10:00+02', ARRAY[g], g, 'text ' || g
	FROM generate_series(1, 50) g;
INSERT INTO forms (id, u) VALUES (100, '00000000-0000-0000-0000-000000000000');
EOS

# types(OPTIONS, TABLE): the logical types of a file's leaves, by path, and the directory
sub types
{
	my ($options, $table) = @_;
	my $directory = export_parquet($node, $table // 'forms',
		arguments => qq{workers => 0, options => '$options'});
	my $facts = parquet_facts($node, "$directory/part-000000.parquet");

	return ($facts->{logical}, $directory);
}

# refused(OPTIONS, PATTERN, NAME, TABLE): before a job is made
sub refused
{
	my ($options, $pattern, $name, $table) = @_;

	$table //= 'forms';
	my (undef, undef, $err) = $node->psql('postgres',
		"CALL outflow.export('$table', 'file://" . new_export_dir()
		  . "/x', format => 'parquet', workers => 0, options => '$options')");

	like($err, $pattern, $name);
}

# ---- as: columns
my ($types, $directory) = types('{}');
is($types->{u}, 'UUID', 'a uuid is one');
is($types->{j}, 'JSON', 'and jsonb is JSON');
($types, $directory) = types('{"as": "u=string,j=string,n=decimal(38,10),us=string,v=string,ns=decimal(20,4),n2=decimal(9, 3),i=string,h=string"}');
is($types->{$_}, 'STRING', "$_ became a text") foreach qw(u j us v i h);
is($types->{n}, 'DECIMAL(38,10)', 'a numeric without limits became a decimal');
is($types->{n2}, 'DECIMAL(9,3)', 'and one with limits another one');
is($types->{'ns.list.element'}, 'DECIMAL(20,4)', 'those of an array, too');
is($types->{k}, 'UUID', 'other columns stay');
check_parquet($node, 'postgres', 'compare', 'forms', $directory,
	'u,j,us,v,i,h,n:38:10,n2:9:3,ns:20:4');

# ---- as: types, at any depth, and exceptions
($types, $directory) = types('{"as": "uuid=string,timetz=string,numeric=decimal(30,5),k=default"}');
is($types->{$_}, 'STRING', "$_ became a text") foreach ('u', 'us.list.element', 'h.u', 'h.t', 'z');
is($types->{$_}, 'DECIMAL(30,5)', "$_ a decimal") foreach ('n', 'h.n', 'ns.list.element');
is($types->{n2}, 'DECIMAL(5,2)', 'one with limits keeps its own');
is($types->{k}, 'UUID', 'and the default can be asked for');
is($types->{t}, 'TIME', 'time is another type than timetz');

# ---- profiles
($types, $directory) = types('{"profile": "spark", "as": "u=default"}');
is($types->{$_}, 'STRING', "spark: $_ is a text") foreach ('us.list.element', 'k', 'h.u', 't', 'z');
is($types->{u}, 'UUID', 'spark: but for what "as" says');
($types, $directory) = types('{"profile": "clickhouse"}');
is($types->{$_}, 'STRING', "clickhouse: $_ is a text") foreach qw(j js hs t z);
($types, $directory) = types('{"profile": "duckdb"}');
is_deeply($types, (types('{}'))[0], 'duckdb reads everything as it is');

$node->safe_psql('postgres', q{CREATE TABLE flat AS SELECT 1 AS id, u, us, n, t, z, j, js, hs, oid '7' AS o, '{}'::int[] AS i,
	date '2026-01-01' AS d, now() AS at FROM forms});
($types, $directory) = types('{"profile": "milvus"}', 'flat');
is($types->{$_}, 'STRING', "milvus: $_ is a text") foreach qw(u us.list.element n t z j js hs d at);
is($types->{o}, 'NONE', 'milvus: an oid is a signed number, without an unsigned type');

# ---- what can't be is an error
refused('{"profile": "milvus"}', qr/profile "milvus" cannot export column "h" of type .*"h=string"/s, 'milvus: composites');
$node->safe_psql('postgres', 'CREATE TABLE odd AS SELECT 1 AS id, 2 AS "no field"; CREATE TABLE grid (id int, g int[][])');
refused('{"profile": "milvus"}', qr/cannot export column "no field".*letters, digits and underscores/s, 'milvus: names', 'odd');
refused('{"profile": "milvus"}', qr/cannot export column "g" of type integer\[\].*"g=string"/s, 'milvus: more dimensions', 'grid');
refused('{"profile": "milvus", "as": "u=default"}', qr/cannot export column "u" of type uuid/, 'milvus: a form that it does not take', 'flat');
refused('{"as": "zz=string"}', qr/column or type in option "as" does not exist: "zz=string"/, 'no such column or type');
refused('{"as": "u=decimal(10,2)"}', qr/cannot do "u=decimal\(10,2\)".*not uuid/s, 'a uuid is no decimal');
refused('{"as": "uuid=decimal(10,2)"}', qr/cannot do "uuid=decimal\(10,2\)"/, 'nor is the type');
refused("{\"as\": \"$_\"}", qr/unrecognized form.*Valid forms are/s, "no form: $_")
  foreach ('string', 'u=text', 'n=decimal(39,1)', 'n=decimal(5,6)', 'n=decimal(0,0)', 'n=decimal(3,1', 'n=decimal(3,1)x', 'n=decimal()');
refused('{"profile": "excel"}', qr/unrecognized profile "excel".*"spark", "clickhouse", "duckdb"/s, 'no such profile');
refused('{"lossy": "u=string"}', qr/option "lossy" has no effect on column "u".*"u=string"/s, 'lossy that has no effect');
refused('{"lossy": "n=string"}', qr/option "lossy" has no effect on column "n"/, 'a numeric without limits holds all');
refused('{"as": "n=decimal(4,1)"}', qr/column "n" has a value that Parquet cannot hold.*beyond its type's precision/s,
	'a decimal too small stops the export');
($types, $directory) = types('{"as": "n=decimal(4,1)", "lossy": "n=string"}');
is($types->{n}, 'STRING', 'or lossy decides');
$node->safe_psql('postgres', 'CREATE TABLE nulled AS TABLE forms; UPDATE nulled SET n = NULL');
($types, $directory) = types('{"as": "n=decimal(4,1)", "lossy": "n=null"}');
check_parquet($node, 'postgres', 'compare', 'nulled', $directory, 'n:4:1');
my (undef, undef, $err) = $node->psql('postgres', "CALL outflow.export('forms', 'file://" . new_export_dir()
	  . "/x', format => 'csv', options => '{\"as\": \"u=string\"}')");
like($err, qr/format "csv" takes no options of format "parquet"/, 'other formats have no such option');

# ---- readers number row groups in 16 bits
$node->safe_psql('postgres', 'CREATE TABLE many AS SELECT g::bigint AS id FROM generate_series(1, 40000) g');
$directory = export_parquet($node, 'many',
	arguments => q{workers => 0, part_size => '64MB', options => '{"row_group_rows": 1}'});
my $facts = parquet_facts($node, "$directory/part-000000.parquet");
cmp_ok($facts->{groups}, '<=', 32767, 'no file has more row groups');
is($facts->{rows}, 40000, 'and all rows are there');

$node->stop;
done_testing();
