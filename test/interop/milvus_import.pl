# Promise: a Parquet export with the profile "milvus" has the types that Milvus's own writer makes for
# the same collection, and a real Milvus imports all of its files as they are, with every row and value.
#
# That is Milvus 2.3.5, the last that PyPI has with its server: it knows no null, so that its table has none.
use strict;
use warnings;

use File::Basename qw(dirname);
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

die "OUTFLOW_MILVUS_SERVER is not set: run this test by test/run\n" unless $ENV{OUTFLOW_MILVUS_SERVER};

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $program = dirname(__FILE__) . '/../lib/milvus_import.py';
my $node = new_outflow_node('main', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $module = dirname(__FILE__) . '/../modules/vector/vector_test.so';
my $place = new_export_dir();
my $rows = 3000;

$node->safe_psql('postgres', <<"EOC");
CREATE TYPE vector;
CREATE FUNCTION vector_in(cstring) RETURNS vector AS '$module' LANGUAGE c STRICT;
CREATE FUNCTION vector_out(vector) RETURNS cstring AS '$module' LANGUAGE c STRICT;
CREATE TYPE vector (INPUT = vector_in, OUTPUT = vector_out, STORAGE = external);
CREATE TABLE things AS SELECT g::bigint AS id, g AS i4, (g % 1000)::int2 AS i2, g::oid AS o, g % 3 = 0 AS b, (g / 7.0)::real AS f4,
	g / 7::float8 AS f8, 'text ' || g AS t, md5(g::text)::uuid AS u, timestamptz '2026-01-01Z' + g * interval '1 h' AS at,
	date '2026-01-01' + g AS d, g / 4.0 AS n, jsonb_build_object('g', g, 's', '"') AS j, ARRAY[g, -g] AS ints,
	ARRAY['a' || g, 'b'] AS texts, ('[' || g || ',0.5,-' || g / 3.0 || ']')::vector AS v,
	ARRAY[g / 3.0, 1, 2, 3]::real[] AS e4, ARRAY[g / 3.0, 1]::float8[] AS e8
	FROM generate_series(1, $rows) g;
EOC

sub varchar { return ('type', 'VarChar', 'params', [ { key => 'max_length', value => '200' } ]); }
sub dims { return ('type', 'FloatVector', 'params', [ { key => 'dim', value => $_[0] } ]); }
my $capacity = { key => 'max_capacity', value => '10' };
my @fields = (
	{ name => 'id', type => 'Int64', primaryKey => JSON::PP::true }, { name => 'i4', type => 'Int32' },
	{ name => 'i2', type => 'Int16' }, { name => 'o', type => 'Int64' }, { name => 'b', type => 'Bool' },
	{ name => 'f4', type => 'Float' }, { name => 'f8', type => 'Double' }, { name => 't', varchar() },
	{ name => 'u', varchar() }, { name => 'at', varchar() }, { name => 'd', varchar() }, { name => 'n', varchar() },
	{ name => 'j', type => 'JSON' }, { name => 'ints', type => 'Array', elementType => 'Int32', params => [$capacity] },
	{ name => 'texts', type => 'Array', elementType => 'VarChar', params => [ $capacity, { key => 'max_length', value => '50' } ] },
	{ name => 'v', dims('3') });

# export(COLUMNS): the files
sub export
{
	my (@columns) = @_;
	my $directory = new_export_dir() . '/out';

	$node->safe_psql('postgres', "CALL outflow.export('things', 'file://$directory', format => 'parquet', columns => "
		  . "'{" . join(',', @columns) . "}', part_size => '256kB', options => '{\"profile\": \"milvus\"}')");
	return glob("$directory/part-*.parquet");
}

my @files = export(map { $_->{name} } @fields);
cmp_ok(scalar(@files), '>', 1, scalar(@files) . ' files');
my ($out, $err);

# ---- types, also of what that server doesn't take in one collection: several vectors
my @all = (@fields, { name => 'e4', dims('4') });
my ($file) = export(map { $_->{name} } @all);
IPC::Run::run([ $ENV{OUTFLOW_MILVUS_SERVER}, $program, '-', $file ], '<', \$json->encode(\@all), '>', \$out, '2>', \$err)
  or die $err;
my $types = $json->decode($out);
is_deeply([ sort keys %$types ], [ sort map { $_->{name} } @all ], 'every field has a type');
is($types->{$_}[1], $types->{$_}[0], "$_: $types->{$_}[0]") foreach sort keys %$types;

# ---- what Milvus makes of it; numbers of four bytes by their bytes
sub shown
{
	my (%row) = @_;

	$row{$_} = unpack('H*', pack('f*', ref $row{$_} ? @{ $row{$_} } : $row{$_})) foreach grep { exists $row{$_} } qw(v e4 e8 f4);
	$row{$_} = sprintf('%.15g', $row{$_}) foreach grep { exists $row{$_} } qw(f8);
	$row{j} = $json->encode($row{j}) if exists $row{j};
	$row{b} = $row{b} ? 'true' : 'false' if exists $row{b};
	$row{$_} += 0 foreach grep { exists $row{$_} } qw(id i4 i2 o);
	return $json->encode(\%row);
}

sub import_into
{
	my ($what, $fields, @import) = @_;

	IPC::Run::run(
		[ 'unshare', '--map-root-user', '--net', '--mount-proc', '--pid', '--fork', '--kill-child',
			$ENV{OUTFLOW_MILVUS_SERVER}, $program, "$place/$what", @import ],
		'<', \$json->encode($fields), '>', \$out, '2>', \$err)
	  or die substr($err, -2000);
	my %there = map { my $row = $json->decode($_); $row->{id} => shown(%$row) } split(/\n/, $out);
	my $columns = join(', ', map { $_->{name} eq 'v' ? "v::text::json" : $_->{name} =~ /^(n|d|at|u)$/ ? "$1::text" : $_->{name} } @$fields);
	my %here = map { my $row = $json->decode($_); $row->{id} => shown(%$row) } split(/\n/,
		$node->safe_psql('postgres', "SET TimeZone = 'UTC'; SELECT row_to_json(s) FROM (SELECT $columns FROM things) AS s"));
	my @differ = grep { ($there{$_} // '') ne ($here{$_} // '') } sort { $a <=> $b } keys %{ { %there, %here } };

	is(scalar(keys %here), $rows, "$what: the table has rows");
	is(scalar(@differ), 0, "$what: Milvus has all of them, and every value")
	  or diag('there: ' . ($there{ $differ[0] } // 'none') . "\nhere:  " . ($here{ $differ[0] } // 'none'));
	return;
}

import_into('vector', \@fields, @files);
my @reals = ($fields[0], { name => 'e4', dims('4') });
import_into('reals', \@reals, export('id', 'e4'));
my @doubles = ($fields[0], { name => 'e8', dims('2') });
import_into('doubles', \@doubles, export('id', 'e8'));
done_testing();
