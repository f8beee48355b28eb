# Promise: delta-rs, polars, DuckDB, ClickHouse and Spark read every version of a Delta table,
# pyiceberg, polars, DuckDB, ClickHouse and Spark every one of an Iceberg table, as
# what the table was when it was exported, over random chains of changes, partitions and kills.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeChain;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = $ENV{OUTFLOW_LAKE} // die "OUTFLOW_LAKE is not set: run this test by test/run\n";
my $seed = $ENV{LAKE_SEED} // int(rand(1e6));
my $node = new_outflow_node('readers', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();

diag("LAKE_SEED=$seed");
my %rounds = (things => 16, shelves => 8);
my @chains = (LakeChain->new($node, 'things', $dir, $seed), LakeChain->new($node, 'shelves', $dir, $seed, partitioned => 1));
foreach my $chain (@chains)
{
	$chain->step foreach (1 .. $rounds{ $chain->{name} });
	$chain->finish;
}
my $spark = $ENV{OUTFLOW_LAKE_SPARK} // die "OUTFLOW_LAKE_SPARK is not set: run this test by test/run\n";
my $clickhouse = $ENV{OUTFLOW_LAKE_CLICKHOUSE} // die "OUTFLOW_LAKE_CLICKHOUSE is not set: run this test by test/run\n";
my %python = (spark => $spark, clickhouse => $clickhouse);
my %readers = (
	delta => [qw(spark deltalake polars duckdb clickhouse)],
	iceberg => [qw(spark pyiceberg polars duckdb clickhouse)]);
foreach my $chain (@chains)
{
	foreach my $format (sort keys %readers)
	{
		versions_are($_, $chain->place($format), $chain->kept($format), $chain->versions($format), "$chain->{name}, $format: $_ reads all versions", $python{$_} // $python)
		  foreach (@{ $readers{$format} });
	}
}

# a time of day as such, which not every reader knows
$node->safe_psql('postgres', "CREATE TABLE times AS SELECT i AS id, time '10:00' + i * interval '1 s' AS t FROM generate_series(1, 10) i");
$node->safe_psql('postgres', qq(CALL outflow.export('times', 'file://$dir/iceberg/times', format => 'iceberg', options => '{"as": "time=default"}')));
mkdir "$dir/times";
keep_rows($node, 'id, t::text) FROM times', "$dir/times/0");
versions_are($_, "$dir/iceberg/times", "$dir/times", [0], "$_ reads a time of day", $python) foreach (qw(pyiceberg duckdb));
like(what_is_read('spark', "$dir/iceberg/times", "$dir/times", [0], $spark), qr/does not support time fields/, 'Spark does not');

# the log without what the last checkpoint has
my ($log, $last) = ($chains[0]->place('delta') . '/_delta_log', $chains[0]->versions('delta')->[-1]);
my $checkpoint = $last - $last % 10;
ok(-e sprintf("$log/%020d.checkpoint.parquet", $_ * 10), "version ${_}0 has a checkpoint") foreach (1 .. $checkpoint / 10);
unlink(map { sprintf("$log/%020d.json", $_) } 0 .. $checkpoint - 1);
versions_are($_, $chains[0]->place('delta'), $chains[0]->kept('delta'), [ $checkpoint .. $last ], "$_ reads the checkpoint", $python) foreach (qw(deltalake polars duckdb));

$node->stop;
done_testing();
