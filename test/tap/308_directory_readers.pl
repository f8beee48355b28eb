# Promise: readers of directories read an export's as it is, and find each row
# once: what isn't data has a name that they skip.
use strict;
use warnings;

use File::Basename qw(dirname);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

die "OUTFLOW_PYTHON is not set: run this test by test/run\n" unless $ENV{OUTFLOW_PYTHON};

my $node = new_outflow_node('directories');
my $export = new_export_dir();

$node->safe_psql('postgres', "CREATE TABLE t AS SELECT g AS id, 'text ' || g AS t FROM generate_series(1, 5000) AS g;"
	  . 'CREATE TABLE u (id int); INSERT INTO u VALUES (1)');
foreach my $case (
	[ 'parquet', "export('t', 'file://$export/parquet', format => 'parquet', part_size => '100kB')", '' ],
	[ 'csv', "export('t', 'file://$export/csv', part_size => '100kB', options => '{\"header\": true}')", '' ],
	[ 'parquet', "export_tables('{t,u}', 'file://$export/many', format => 'parquet', part_size => '100kB')", '/public.t' ])
{
	my ($format, $call, $folder) = @$case;
	my $job = $node->safe_psql('postgres', "CALL outflow.$call");
	my $directory = substr($node->safe_psql('postgres', "SELECT destination FROM outflow.jobs WHERE job = $job"), 7) . $folder;
	my ($out, $err);

	cmp_ok(scalar(() = glob("$directory/part-*")), '>', 1, "$format: several parts");
	IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, dirname(__FILE__) . '/../lib/parquet/directories.py', $format, $directory ],
		'>', \$out, '2>', \$err)
	  or fail("directories.py: $err");
	is_deeply([ grep { !/ 5000 12502500$/ } split(/\n/, $out) ], [], "$format$folder: every reader finds each row once");
	cmp_ok(scalar(() = $out =~ /\n/g), '>=', 4, "$format$folder: there are readers");
}

$node->stop;
done_testing();
