# Promise: where a transaction waited for a synchronous standby while a later one
# did not, a subscription can't go on from an export, and is refused its slot;
# pg_outflow goes on from it, with no row lost or doubled.  A standby makes none.
use strict;
use warnings;

use ClientTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "autovacuum = off\n");
my $warehouse = new_warehouse('warehouse');
my $waits = q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted AND transactionid = '%s'::xid};

sub here { return $node->safe_psql('postgres', $_[0]); }

# begin_writing(): a transaction with an id; the session, and that
sub begin_writing
{
	my $session = $node->background_psql('postgres');

	return ($session, $session->query_safe('BEGIN; SELECT pg_current_xact_id()'));
}

sub commit { $_[0]->query_safe('COMMIT'); $_[0]->quit; return; }

here(warehouse_sql($warehouse) . q{CREATE TABLE events (id int PRIMARY KEY, what text);
	INSERT INTO events SELECT i, 'before' FROM generate_series(1, 100) i;
	CREATE PUBLICATION shop FOR TABLE events});
$warehouse->safe_psql('postgres', 'CREATE TABLE events (id int PRIMARY KEY, what text); GRANT ALL ON events TO loader');
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'\n");
$node->reload;
wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'}, 'the standby');

# the slot needs two transactions to end, one after the other; with the third one
# the export waits for what is older than the slot, and takes its snapshot then
my ($first, $xid) = begin_writing();
my ($call, $said) = start_psql($node, q{CALL outflow.export_publication('shop', 'warehouse:', slot => 'shop_export', options => '{"publish": "replace"}')});
foreach my $step (1 .. 2)
{
	wait_until($node, sprintf($waits, $xid), "the export waits for transaction $step");
	my ($next, $next_xid) = begin_writing();
	commit($first);
	($first, $xid) = ($next, $next_xid);
}
wait_until($node, sprintf($waits, $xid), 'the export waits for the last one');
is(here(q{SELECT temporary FROM pg_replication_slots WHERE slot_name = 'shop_export'}), 'f', 'it has its slot');

# which has all, but shows nothing new
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
my ($early) = start_psql($node, q{SET synchronous_commit = 'remote_apply'; INSERT INTO events VALUES (1001, 'early')});
wait_until($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 'a transaction waits for a standby');
here(q{INSERT INTO events VALUES (1002, 'late')});
commit($first);
$call->finish;
my $job = here('SELECT max(job) FROM outflow.jobs');
is(here("SELECT state FROM outflow.jobs WHERE job = $job"), 'done', 'the export is done') or diag($$said);
is($warehouse->safe_psql('postgres', 'SELECT string_agg(what, \' \') FROM events WHERE id > 1000'), 'late', 'it has the later one alone');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$early->finish;

my (undef, undef, $err) = $node->psql('postgres', "SELECT outflow.subscription_slot($job, 'shop_subscription')");
like($err, qr/export job $job has no position in WAL.*waited for a standby.*stream with pg_outflow/s, 'a subscription is refused');
is(here('SELECT string_agg(slot_name, \' \') FROM pg_replication_slots'), 'shop_export', 'and no slot is left');

here(q{UPDATE events SET what = 'after' WHERE id % 10 = 1});
my ($code, undef, $log) = run_client($node, 'shop_export', '--to', target_url($warehouse), "--after-job=$job",
	'-o', 'publication_names=shop', '--endpos=' . current_lsn($node));
is($code, 0, 'pg_outflow goes on from it') or diag($log);
same_rows($node, $warehouse, 'events', 'all rows are there, each once');

# ---- on a standby
$node->wait_for_catchup($standby);
(undef, undef, $err) = $standby->psql('postgres', "SELECT outflow.subscription_slot($job, 'shop_subscription')");
like($err, qr/a standby does not have the slot of export job $job.*on the primary server/s, 'a standby is told so');

$standby->stop;
$node->stop;
done_testing();
