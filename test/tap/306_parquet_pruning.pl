# Promise: statistics and page indexes never change a reader's answer: DuckDB,
# PyArrow, polars and DataFusion are asked with random predicates, and of the
# least, the greatest and the number of values, with pruning and without.
use strict;
use warnings;
use utf8;

use File::Basename qw(dirname);
use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('pruning',
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);

# A column takes a few values of its list at a time, so that pages have narrow
# bounds, and nothing but nulls in some stretches.
my %columns = (
	f8 => [ 'float8', qw(NaN -0 0 1 -1.5 Infinity -Infinity 1e300 NaN 5e-324) ],
	f4 => [ 'float4', qw(NaN NaN -0 0 1 -1.5 Infinity -Infinity 3e38) ],
	zeros => [ 'float8', qw(-0 -0 -0 0 0 0 -0) ],
	b => [ 'bool', qw(t t f f) ],
	i2 => [ 'int2', qw(-32768 -1 0 1 32767) ],
	i4 => [ 'int4', qw(-2147483648 -1 0 1 2147483647) ],
	i8 => [ 'int8', qw(-9223372036854775808 -1 0 1 9223372036854775807) ],
	o => [ 'oid', qw(0 1 2147483647 2147483648 4294967295) ],
	n9 => [ 'numeric(9,2)', qw(-9999999.99 -0.01 0 0.01 9999999.99) ],
	n18 => [ 'numeric(18,3)', qw(-999999999999999.999 -0.001 0 0.001 999999999999999.999) ],
	n38 => [ 'numeric(38,10)', qw(-9999999999999999999999999999.9999999999 -1 0 1 1e27 -1e27 0.0000000001) ],
	nu => [ 'numeric', qw(-1e40 NaN 0 12 3 100 1e-20) ],
	d => [ 'date', '4713-01-01 BC', '0001-01-01', '1582-10-04', '1969-12-31', '1970-01-01', '9999-12-31' ],
	tm => [ 'time', qw(00:00:00 12:00:00 23:59:59.999999) ],
	tz => [ 'timetz', qw(00:00:00+00 12:00:00+02 23:59:59.999999-15:59) ],
	ts => [ 'timestamp', '0001-01-01', '1582-10-04', '1969-12-31 23:59:59.999999', '1970-01-01', '9999-12-31 23:59:59' ],
	tstz => [ 'timestamptz', '0001-01-01 00:00Z', '1969-12-31 23:59:59.999999Z', '1970-01-01 00:00Z', '9999-12-31 00:00Z' ],
	t => [ 'text', '', 'a', 'é', 'Z', '😀', "\x{10FFFF}", 'p' x 64, 'p' x 65, 'p' x 70 . 'A', 'p' x 70 . 'B',
		"\x{10FFFF}" x 17, "\x{10FFFF}" x 17 . 'x', 'a' x 61 . 'éÿ', 'a' x 63 . 'é', "a" x 63 . "\x{10FFFF}b", "\x{D7FF}" x 30 ],
	by => [ 'bytea', '', '\x00', '\xff', '\x' . 'ff' x 64, '\x' . 'ff' x 70 . '01', '\x80', '\x' . '61' x 70, '\x' . '61' x 63 . 'ffff' ],
	u => [ 'uuid', map { $_ x 8 . '-0000-4000-8000-000000000000' } qw(0 7 8 f) ],
	j => [ 'jsonb', '{}', '{"a": 1}', '[1]', '"é"', 'null' ],
	e => [ 'mood', qw(ok sad happy) ],
	af => [ 'float8[]', '{NaN,1}', '{0,-0}', '{}', '{NULL}', '{5}' ],
	v => [ 'vector', '[nan,1]', '[1,2]', '[-5]' ],
	g => [ 'pair', '(1,NaN,)', '(,5,é)', '(3,-0,x)', '(-2,NaN,)', '(,,)' ]);

my $module = dirname(__FILE__) . '/../modules/vector/vector_test.so';
$node->safe_psql('postgres', <<"EOS");
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (n int, f float8, t text);
CREATE TYPE vector;
CREATE FUNCTION vector_in(cstring) RETURNS vector AS '$module' LANGUAGE c STRICT;
CREATE FUNCTION vector_out(vector) RETURNS cstring AS '$module' LANGUAGE c STRICT;
CREATE TYPE vector (INPUT = vector_in, OUTPUT = vector_out, STORAGE = external);
EOS

# values(NAME, SEED): an expression of g
sub values_of
{
	my ($name, $seed) = @_;
	my ($type, @values) = @{ $columns{$name} };
	my $list = join(', ', map { "'" . s/'/''/gr . "'" } @values);
	my $count = @values;
	# stretches of 300 to 1300 rows
	my $stretch = "(g / " . (300 + hash($name, $seed) % 1000) . ")";
	my $chance = "abs(hashtext('$name$seed' || $stretch))";

	return "CASE WHEN $chance % 7 = 0 OR g % 11 = $chance % 50 THEN NULL ELSE "
	  . "(ARRAY[$list])[1 + ($chance + g % (1 + $chance % 3)) % $count] END::$type AS $name";
}

sub hash
{
	my ($name, $seed) = @_;
	my $sum = $seed * 31;

	$sum = ($sum * 33 + ord) % 1000003 foreach split(//, $name);
	return $sum;
}

foreach my $seed ($ENV{PARQUET_SEED} || (1 .. 2))
{
	my $rows = 'SELECT g::bigint AS id, '
	  . join(', ', map { values_of($_, $seed) } sort keys %columns)
	  . ' FROM generate_series(1, 12000) g';

	utf8::encode($rows) if utf8::is_utf8($rows);
	$node->safe_psql('postgres', "DROP TABLE IF EXISTS pruned; CREATE TABLE pruned AS $rows");
	# one file of several row groups, then several files
	my $part_size = $seed % 2 ? '128MB' : '2MB';
	my $directory = export_parquet($node, 'pruned',
		set => "SET outflow.part_memory = '1MB'",
		arguments => qq{workers => 0, part_size => '$part_size', options => '{"row_group_rows": 4000}'});
	my $file = parquet_facts($node, "$directory/part-000000.parquet");

	cmp_ok($file->{groups}, '>', 2, 'the file has several row groups');
	check_parquet($node, 'postgres', 'pruning', $directory, $seed);
}

$node->stop;
done_testing();
