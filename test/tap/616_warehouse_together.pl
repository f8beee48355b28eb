# Promise: two exports that replace the same tables of another PostgreSQL at one
# moment, as those of two clusters may, come one after the other; neither fails.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "outflow.retries = 0\n");
my $warehouse = new_warehouse('warehouse');
my $host = $warehouse->host;

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }

# by another name of the place it is not known that both go there
here(warehouse_sql($warehouse) . warehouse_sql($warehouse) =~ s/SERVER warehouse/SERVER again/gr =~ s{host '$host'}{host '$host/'}r);
foreach my $table ('a', 'b')
{
	here("CREATE TABLE $table AS SELECT i AS id FROM generate_series(1, 1000) AS i");
	there("CREATE TABLE $table (id int); GRANT INSERT, SELECT, DELETE, TRUNCATE ON $table TO loader");
}
my $replace = q{CALL outflow.export_tables('{%s}', '%s:', options => '{"publish": "replace"}')};
here(sprintf($replace, 'a,b', 'warehouse'));

# both wait when they have come as far as they can
my ($holder) = start_psql($warehouse, 'BEGIN; LOCK TABLE outflow_loader.target IN EXCLUSIVE MODE; SELECT pg_sleep(600)');
wait_until($warehouse, q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'outflow_loader.target'::regclass AND granted AND mode = 'ExclusiveLock'}, 'the lock');
my @calls = map { [ start_psql($node, sprintf($replace, @$_)) ] } ([ 'a,b', 'warehouse' ], [ 'b,a', 'again' ]);
my $both = q{SELECT count(*) = 2 FROM pg_stat_activity WHERE usename = 'loader' AND wait_event_type = 'Lock'};
if (!$warehouse->poll_query_until('postgres', $both))
{
	$_->[0]->pump_nb foreach @calls;
	die join("\n", 'not seen: both wait', (map { ${ $_->[1] } } @calls), here('SELECT job, state, waiting_for, error FROM outflow.jobs'),
		there(q{SELECT pid, wait_event_type, wait_event, query FROM pg_stat_activity WHERE usename = 'loader'}));
}
there(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()});
$_->[0]->finish foreach ($holder ? [$holder] : (), @calls);
is(here("SELECT string_agg(state, ' ') FROM outflow.jobs"), 'done done done', 'both end well') or diag(map { ${ $_->[1] } } @calls);
same_rows($node, $warehouse, $_, "replaced by both: $_") foreach ('a', 'b');
is(leftovers($warehouse), '', 'nothing is left over');
done_testing();
