# Promise: nobody but the mapped role can keep an export to another PostgreSQL
# waiting by locks that any role there may take; several begin at one moment there.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source');
my $warehouse = new_warehouse('warehouse');
my $first = q{SELECT max(job) FROM outflow.jobs};

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }

# hold(NODE, COMMANDS, END): a session that has run them and stays; the end comes then
sub hold
{
	my ($where, $commands, $end) = @_;
	my ($call) = start_psql($where,
		"$commands; DO \$\$BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END\$\$; " . ($end // 'ROLLBACK'));

	wait_until($where, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND wait_event = 'PgSleep'}, 'a session that stays');
	return $call;
}

# release(NODE, CALL): lets it come to its end
sub release
{
	my ($where, $call) = @_;

	$where->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()});
	$call->finish;
	return;
}

# ended(WHAT): the last job, which has nothing to wait for
sub ended
{
	my ($what) = @_;

	ok($node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = ($first)"), $what)
	  or diag(here('SELECT state, waiting_for, error FROM outflow.jobs ORDER BY job DESC LIMIT 1'));
	return;
}

here(warehouse_sql($warehouse));
foreach my $table ('a', 'b', 'staged', 'direct')
{
	here("CREATE TABLE $table AS SELECT i AS id FROM generate_series(1, 1000) AS i");
	there("CREATE TABLE $table (id int); ALTER TABLE $table OWNER TO loader");
}
there('CREATE ROLE stranger LOGIN');

# ---- the ledger: made by two at once, and by the name of somebody else's schema
{
	my $holder = hold($warehouse, 'BEGIN; SET LOCAL ROLE loader; CREATE SCHEMA outflow_loader', 'COMMIT');
	my @calls = map { [ start_psql($node, "CALL outflow.export('$_', 'warehouse:public.$_')") ] } ('a', 'b');
	wait_until($warehouse, q{SELECT count(*) = 2 FROM pg_stat_activity WHERE usename = 'loader' AND wait_event_type = 'Lock'}, 'both wait');
	release($warehouse, $holder);
	$_->[0]->finish foreach @calls;
	is(here(q{SELECT string_agg(state || retries, ' ') FROM outflow.jobs}), 'done0 done0', 'two that begin at one moment')
	  or diag(map { ${ $_->[1] } } @calls);
	there('DROP SCHEMA outflow_loader CASCADE; GRANT CREATE ON DATABASE postgres TO stranger');

	$holder = hold($warehouse, 'SET SESSION AUTHORIZATION stranger; BEGIN; CREATE SCHEMA outflow_loader');
	my ($call) = start_psql($node, q{CALL outflow.export('a', 'warehouse:public.a')});
	wait_until($node, "SELECT waiting_for LIKE 'the next try of preparation, %server \"warehouse\": canceling statement due to lock timeout' FROM outflow.jobs WHERE job = ($first)", 'what is waited for is told');
	release($warehouse, $holder);
	$call->finish;
	ended('a schema that was not made after all');
}

# ---- while rows are loaded
foreach my $load ('staged', 'direct')
{
	my $options = $load eq 'direct' ? q{, options => '{"load": "direct"}'} : '';
	my $holder = hold($warehouse, 'BEGIN; LOCK TABLE outflow_loader.job IN SHARE UPDATE EXCLUSIVE MODE');

	here("SELECT outflow.export_start('$load', 'warehouse:public.$load'$options)");
	wait_until($warehouse, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'loader' AND wait_event_type = 'Lock'}, 'before its rows');
	my $id = there('SELECT job FROM outflow_loader.job ORDER BY started DESC LIMIT 1');
	my ($taker) = start_psql($warehouse, "SET SESSION AUTHORIZATION stranger; SELECT pg_advisory_lock(28521, 0), pg_advisory_lock(28521, 1), "
		  . "(SELECT count(pg_advisory_lock(28523, hashtext('$id ' || n))) FROM generate_series(0, 9) AS n), pg_sleep(300)");
	wait_until($warehouse, q{SELECT count(*) = 12 FROM pg_locks WHERE classid IN (28521, 28523) AND granted}, 'the locks');
	release($warehouse, $holder);
	ended("$load: whoever has taken what locks");
	there(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)' AND pid <> pg_backend_pid()});
	$taker->finish;
	same_rows($node, $warehouse, $load, $load);
}
is(leftovers($warehouse), '', 'nothing is left over');
done_testing();
