# Promise: see test/tap/302_parquet_random.pl; PARQUET_SEED is the first seed.
use strict;
use warnings;

use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('random');
my $directory = new_export_dir();
my $first = $ENV{PARQUET_SEED} // 1000;
my $count = 0;

# in batches, so that a run shows how far it is
for (my $seed = $first; $seed < $first + 500; $seed += 25)
{
	$count +=
	  check_parquet($node, 'postgres', 'random', $seed, 25, $directory);
}
is($count, 500, 'every table was compared');

$node->stop;
done_testing();
