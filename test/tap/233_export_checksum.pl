# Promise: every part's sum in the manifest is the one that xxh128sum, or with
# options {"checksum": "sha256"} sha256sum, prints; verify() finds a changed
# byte by either, and an export with sha256 carries only parts that have one.
use strict;
use warnings;

use JSON::PP;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('checksum');
my $dir = new_export_dir();
$node->safe_psql('postgres', q{
	CREATE TABLE t AS SELECT i, md5(i::text) AS x FROM generate_series(1, 30000) i;
	VACUUM t});

# export(NAME, OPTIONS, REST): the job's number
sub export
{
	my ($name, $options, $rest) = @_;

	return $node->safe_psql('postgres',
		"CALL outflow.export('t', 'file://$dir/$name', part_size => '1MB', "
		  . "workers => 1, options => '$options'"
		  . ($rest // '')
		  . ')') =~ s/.*\n//sr;
}

# sums(NAME, METHOD): of the manifest, by file
sub sums
{
	my ($name, $method) = @_;
	my $manifest =
	  decode_json(slurp_file((glob("$dir/$name/*manifest.json"))[0]));

	return { map { $_->{file} => $_->{$method} } @{ $manifest->{parts} } };
}

# printed(NAME, PROGRAM): what the program says of the parts
sub printed
{
	my ($name, $program) = @_;

	return { reverse map { split } split(/\n/, qx{cd $dir/$name && $program part-*}) };
}

my %job;
foreach my $case ([ 'xxh128', '{}' ], [ 'sha256', '{"checksum": "sha256"}' ])
{
	my ($method, $options) = @$case;

	$job{$method} = export($method, $options);
	is_deeply(sums($method, $method), printed($method, "${method}sum"),
		"$method: the manifest has what ${method}sum prints");
	cmp_ok(scalar(keys %{ sums($method, $method) }),
		'>', 1, "$method: of several parts");
	is( $node->safe_psql('postgres',
			"SELECT string_agg(DISTINCT status, ',') FROM outflow.verify($job{$method})"
		),
		'ok',
		"$method: verify() is content");
}

# a carried part keeps its sum, unless the new export wants a stronger one
my $mixed = export('mixed', '{}', ", base => $job{sha256}");
is_deeply(sums('mixed', 'sha256'), sums('sha256', 'sha256'),
	'parts with sha256 are carried into an export with xxh128');
export('strict', '{"checksum": "sha256"}', ", base => $job{xxh128}");
is($node->safe_psql('postgres',
		'SELECT parts_carried FROM outflow.jobs ORDER BY job DESC LIMIT 1'),
	0, 'parts without sha256 are not carried into an export with it');
is_deeply(sums('strict', 'sha256'), printed('strict', 'sha256sum'),
	'and the new ones have it');

my ($code, undef, $error) = $node->psql('postgres',
	"CALL outflow.export('t', 'file://$dir/bad', options => '{\"checksum\": \"md5\"}')");
isnt($code, 0, 'another method is refused');
like($error,
	qr/unrecognized checksum method "md5".*Valid methods are xxh128 and sha256/s,
	'with the valid ones');

foreach my $method (qw(xxh128 sha256))
{
	my $file = "$dir/$method/part-000001.csv";
	my $bytes = slurp_file($file);

	substr($bytes, 1000, 1) ^= "\x01";
	open(my $handle, '+<', $file) or die "could not open \"$file\": $!";
	print $handle $bytes;
	close($handle);
	is( $node->safe_psql('postgres',
			"SELECT part, status FROM outflow.verify($job{$method}) WHERE status <> 'ok'"
		),
		'1|wrong checksum',
		"$method: verify() finds a changed bit");
}

done_testing();
