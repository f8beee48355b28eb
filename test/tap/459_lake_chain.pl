# Promise: whatever becomes of a table's rows, columns and partitions, each version of
# its lake tables is what the table was, and what cannot become one is refused and
# leaves the last one whole; though the server is killed while versions are made.
use strict;
use warnings;

use LakeChain;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{LAKE_SEED} // int(rand(1e6));
my $node = new_outflow_node('chain', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();

diag("LAKE_SEED=$seed");
my @chains = (LakeChain->new($node, 'things', $dir, $seed), LakeChain->new($node, 'shelves', $dir, $seed, partitioned => 1));
foreach my $round (1 .. $ENV{OUTFLOW_ROUNDS} || 6)
{
	$_->step foreach @chains;
}
$_->finish foreach @chains;

$node->stop;
done_testing();
