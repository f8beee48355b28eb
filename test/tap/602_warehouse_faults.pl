# Promise: whoever is killed, cancelled or cut off, and wherever, an export to
# another PostgreSQL ends, at once or when it is resumed, with each row there once.
#
# A lock on the other server holds the export at a known point: on its ledger
# between COPY and COMMIT of a part, on the target within the publication.
use strict;
use warnings;

use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "restart_after_crash = on\n");
my $warehouse = new_warehouse('warehouse');

$node->safe_psql('postgres', warehouse_sql($warehouse));
my $table = 'CREATE TABLE t (id int, note text)';
$node->safe_psql('postgres', "$table; INSERT INTO t SELECT i, repeat('r', i % 100) FROM generate_series(1, 15000) i");
$warehouse->safe_psql('postgres', "$table; GRANT INSERT ON t TO loader");
# the ledger is there to be locked
$node->safe_psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')});

# hold(RELATION): until release
my ($holder, $said);

sub hold
{
	my ($relation) = @_;

	$warehouse->safe_psql('postgres', 'TRUNCATE t');
	($holder, $said) = start_psql($warehouse, "BEGIN; LOCK TABLE $relation IN EXCLUSIVE MODE; SELECT pg_sleep(600)");
	wait_until($warehouse, "SELECT count(*) = 1 FROM pg_locks WHERE relation = '$relation'::regclass AND granted AND mode = 'ExclusiveLock'", 'the lock');
	return;
}

sub release
{
	$warehouse->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()});
	$holder->finish;
	return;
}

# begin(): an export that waits for the lock; its session, and its number
sub begin
{
	my ($call, $output) = start_psql($node, "CALL outflow.export('t', 'warehouse:public.t', part_size => '300kB')");

	wait_until($warehouse, "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'loader' AND wait_event_type = 'Lock'", 'the export waits there');
	return ($call, $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs'), $output);
}

sub pids
{
	my ($what) = @_;
	return split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type ~ '$what' ORDER BY pid");
}

sub ends_well { return is_loaded($node, $warehouse, @_, 'quick'); }

my %places = ('between COPY and COMMIT' => 'outflow_loader.part', 'in the publication' => 't');

foreach my $place (sort keys %places)
{
	# ---- a cancel gets through to a remote that does not answer
	hold($places{$place});
	my ($call, $job, $output) = begin();
	$node->safe_psql('postgres', "SELECT outflow.cancel($job)");
	$call->finish;
	like($$output, qr/interrupted|cancel/, "a cancel $place ends the call");
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'interrupted');
	wait_until($warehouse, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'loader'}, 'nobody waits there any more');
	release();
	$node->safe_psql('postgres', "CALL outflow.resume($job)");
	ends_well($job, "cancelled $place");

	# ---- the worker, or the coordinator, is killed
	foreach my $victim ('worker', 'coordinator')
	{
		next if $victim eq 'worker' && $place =~ /publication/;
		hold($places{$place});
		($call, $job) = begin();
		my ($pid) = pids("outflow.*$victim");
		ok($pid, "there is a $victim to kill") or diag($node->safe_psql('postgres', 'SELECT backend_type FROM pg_stat_activity'));
		kill 'KILL', $pid;
		$call->finish;
		$node->poll_query_until('postgres', 'SELECT true');
		release();
		$node->safe_psql('postgres', "CALL outflow.resume($job)");
		ends_well($job, "$victim killed $place");
	}

	# ---- the other server dies: the export goes on by itself
	hold($places{$place});
	($call, $job, $output) = begin();
	$warehouse->stop('immediate');
	$holder->finish;
	$warehouse->start;
	$call->finish;
	is($node->safe_psql('postgres', "SELECT state FROM outflow.jobs WHERE job = $job"), 'done', "the other server dies $place: the job is done") or diag($$output);
	ends_well($job, "the other server dies $place");

	# ---- this server dies
	hold($places{$place});
	($call, $job) = begin();
	$node->stop('immediate');
	$call->finish;
	$node->start;
	release();
	# a complete export is of its own instant, any other is of the resume's
	$node->safe_psql('postgres', "UPDATE t SET note = note || '!' WHERE id % 5000 = 1; DELETE FROM t WHERE id % 5000 = 2")
	  if $place !~ /publication/;
	$node->safe_psql('postgres', "CALL outflow.resume($job)");
	ends_well($job, "this server dies $place");

	# ---- forgotten instead of resumed
	hold($places{$place});
	($call, $job) = begin();
	$node->safe_psql('postgres', "SELECT outflow.cancel($job)");
	$call->finish;
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'interrupted');
	release();
	isnt(leftovers($warehouse), '', "cancelled $place: rows are staged");
	$node->safe_psql('postgres', "SELECT outflow.forget($job)");
	is(leftovers($warehouse), '', "cancelled $place and forgotten: no staging table is left");
	is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM t'), '0', 'and no row was published');
	is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM outflow_loader.job WHERE published IS NULL'), '0', 'nor is a record left');
}

done_testing();
