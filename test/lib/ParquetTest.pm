# ParquetTest.pm: what the tests of Parquet files share.
#
# Files are read back by PyArrow and DuckDB, which test/run installs, and taken
# apart by hand; test/lib/parquet/check.py does that and says what it found.
package ParquetTest;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  export_parquet
  check_parquet
  parquet_facts
);

my $check = dirname(__FILE__) . '/parquet/check.py';

# export_parquet(NODE, TABLE, arguments => TEXT, database => NAME, set => SQL):
# exports a table and returns the directory
sub export_parquet
{
	my ($node, $table, %params) = @_;
	my $directory = new_export_dir() . '/out';
	my $arguments = $params{arguments} ? ", $params{arguments}" : '';
	my $set = $params{set} // '';

	$node->safe_psql(
		$params{database} || 'postgres',
		"$set;\nCALL outflow.export('$table', 'file://$directory', "
		  . "format => 'parquet'$arguments)");
	return $directory;
}

# run_check(NODE, DATABASE, ARGUMENT...): its lines
sub run_check
{
	my ($node, $database, @arguments) = @_;
	my ($out, $err);

	die "OUTFLOW_PYTHON is not set: run this test by test/run\n"
	  unless $ENV{OUTFLOW_PYTHON};
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = $database;
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, $check, @arguments ],
		'>', \$out, '2>', \$err)
	  or fail("check.py @arguments: $err");
	return split(/\n/, $out);
}

# check_parquet(NODE, DATABASE, ARGUMENT...): each verdict is a test; returns
# their number
sub check_parquet
{
	my ($node, $database, @arguments) = @_;
	my $json = JSON::PP->new->utf8;
	my $count = 0;

	foreach my $line (run_check($node, $database, @arguments))
	{
		my $verdict = $json->decode($line);

		$count++;
		ok($verdict->{ok}, $verdict->{name}) or diag($verdict->{detail});
	}
	fail("check.py @arguments gave no verdict") unless $count;
	return $count;
}

# parquet_facts(NODE, FILE): what a file says of itself
sub parquet_facts
{
	my ($node, $file) = @_;

	return JSON::PP->new->utf8->decode(
		join("\n", run_check($node, 'postgres', 'facts', $file)));
}

1;
