# DeltaTest.pm: what the tests of Delta tables share.
#
# The oracle is the table itself, kept aside as JSON when a version was made.
package DeltaTest;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  delta_version
  delta_actions
  delta_files
  delta_last
  keep_rows
  versions_are
);

my $check = dirname(__FILE__) . '/delta/check_table.py';

# delta_last(TABLE): the number of its last version
sub delta_last
{
	my ($table) = @_;
	my @versions = map { /(\d{20})\.json$/ ? $1 + 0 : () } glob("$table/_delta_log/*.json");

	return @versions ? (sort { $b <=> $a } @versions)[0] : -1;
}

# delta_actions(TABLE, VERSION): its actions, decoded
sub delta_actions
{
	my ($table, $version) = @_;

	return map { JSON::PP::decode_json($_) }
	  split(/\n/, slurp_file(sprintf('%s/_delta_log/%020d.json', $table, $version)));
}

# delta_version(TABLE, VERSION): {add => [...], remove => [...], ...}
sub delta_version
{
	my ($table, $version) = @_;
	my %found = (add => [], remove => []);

	foreach my $action (delta_actions($table, $version))
	{
		my ($kind) = keys %$action;

		push @{ $found{$kind} }, $action->{$kind};
	}
	return \%found;
}

# delta_files(TABLE): the data files in its directory
sub delta_files
{
	my ($table) = @_;

	return grep { /\.parquet$/ && !m{^_delta_log/} } files_below($table);
}

# keep_rows(NODE, QUERY, FILE): each row of it a JSON array of its columns
sub keep_rows
{
	my ($node, $query, $file) = @_;

	append_to_file($file,
		$node->safe_psql('postgres', "SET TimeZone = UTC; SET IntervalStyle = postgres; SELECT json_build_array($query") . "\n");
	return;
}

# versions_are(READER, TABLE, DIRECTORY, [VERSION...], NAME, PYTHON): each is what
# the file of its number there has
sub versions_are
{
	my ($reader, $table, $directory, $versions, $name, $python) = @_;
	my ($out, $err) = ('', '');

	$python //= $ENV{OUTFLOW_PYTHON}
	  // die "OUTFLOW_PYTHON is not set: run this test by test/run\n";
	IPC::Run::run([ $python, $check, $reader, $table, map { "$_=$directory/$_" } @$versions ],
		'>', \$out, '2>', \$err);
	chomp $out;
	is($out eq '' ? $err : $out, 'ok', $name);
	return;
}

1;
