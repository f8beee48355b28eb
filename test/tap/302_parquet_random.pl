# Promise: tables of random types, nested to some depth, with random nulls and
# repetitions, are in their Parquet files what they are in PostgreSQL.
# test/fault/parquet_random.pl does the same with many more of them.
use strict;
use warnings;

use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('random');

is( check_parquet($node, 'postgres', 'random', $ENV{PARQUET_SEED} // 1, 20,
		new_export_dir()),
	20,
	'every table was compared');

$node->stop;
done_testing();
