# Promise: a CALL that waits says what became of its job, whoever started the
# coordinator that runs it: it takes no other coordinator's end for the job's, a
# cancel stops the job, and a job whose coordinator is gone is interrupted.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('waiting', conf => "outflow.max_jobs = 1\nshared_preload_libraries = 'outflow'\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub state_of { return sql("SELECT state FROM outflow.jobs WHERE job = $_[0]"); }

sub coordinators { return "(SELECT count(*) FROM pg_stat_activity WHERE query = 'outflow job $_[0]')"; }

# The job's row is locked, and so is what runs the job, before it is running.
sub lock_row
{
	sql("BEGIN; SELECT FROM outflow.job WHERE job = $_[0] FOR UPDATE; PREPARE TRANSACTION 'row'");
	return;
}

# started_by_another(NAME): a CALL whose job waited for room, was begun by the end of another job, and stands still
# before it is marked as running; the CALL's process is stopped meanwhile
sub started_by_another
{
	my ($name) = @_;

	hold_exports($node, 1);
	my $first = sql("SELECT outflow.export_start('t', 'file://$dir/before_$name', part_size => '1MB')");
	wait_until($node, "SELECT state = 'running' FROM outflow.jobs WHERE job = $first", 'the job before');
	my ($session, $said) = start_psql($node, "CALL outflow.export('t', 'file://$dir/$name', part_size => '1MB')");
	wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE state = 'queued' AND waiting_for ~ 'max_jobs'", 'the CALL\'s job');
	my $job = sql("SELECT job FROM outflow.jobs WHERE state = 'queued'");
	# between two of its looks, where it holds no lock, and when no coordinator of its own is there
	my $call = sql("SELECT pid FROM pg_stat_activity WHERE query ~ '^CALL'");
	my $waits = "SELECT wait_event = 'Extension' AND @{[coordinators($job)]} = 0 FROM pg_stat_activity WHERE pid = $call";
	foreach my $try (1 .. 1000)
	{
		wait_until($node, $waits, 'the CALL between its looks');
		kill('STOP', $call);
		last if sql($waits) eq 't';
		kill('CONT', $call);
	}
	lock_row($job);
	sql("SELECT outflow.cancel($first)");
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query = 'outflow job $job' AND wait_event = 'transactionid'",
		'another\'s coordinator');
	return ($job, $session, $said, $call);
}

sub go_on
{
	sql("ROLLBACK PREPARED 'row'");
	return;
}

sql("CREATE TABLE t AS SELECT g AS id, repeat('x', 1000) AS t FROM generate_series(1, 3000) AS g");

#
# The CALL's own coordinator ends, since another one has the job
#
my ($job, $session, $said, $call) = started_by_another('other');
kill('CONT', $call);
wait_until($node, "SELECT @{[coordinators($job)]} > 1", 'the CALL\'s coordinator');
go_on();
wait_until($node, "SELECT state = 'running' AND @{[coordinators($job)]} = 1 FROM outflow.jobs WHERE job = $job", 'the end of the CALL\'s coordinator');
is(state_of($job), 'running', 'another coordinator: the job runs');
release_exports($node);
$session->finish;
unlike($$said, qr/ERROR/, 'another coordinator: the CALL waits for the job\'s end');
is(state_of($job), 'done', 'another coordinator: which comes');

#
# The CALL is cancelled while a coordinator that it didn't start runs the job
#
($job, $session, $said, $call) = started_by_another('cancelled');
go_on();
wait_until($node, "SELECT state = 'running' FROM outflow.jobs WHERE job = $job", 'the job');
kill('INT', $call);
kill('CONT', $call);
$session->finish;
like($$said, qr/export job $job is interrupted.*canceling statement due to user request/s, 'a cancel: the session is told');
is(state_of($job), 'interrupted', 'a cancel: of the job as well');
is(sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28518"), '0', 'a cancel: nobody runs it');
release_exports($node);
sql("CALL outflow.resume($job)");
is(state_of($job), 'done', 'a cancel: it can be resumed');

#
# What can't be stopped is not called interrupted
#
($job, $session, $said, $call) = started_by_another('locked');
kill('INT', $call);
kill('CONT', $call);
$session->finish;
like($$said, qr/export job $job goes on.*outflow\.cancel\($job\) stops it.*canceling statement/s, 'a row that is locked: the job goes on');
is(state_of($job), 'queued', 'a row that is locked: it is still queued');
go_on();
release_exports($node);
sql("SELECT outflow.run_queue()");
wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE job = $job", 'the job');

#
# A coordinator that the CALL didn't start ends without a word
#
($job, $session, $said, $call) = started_by_another('silent');
go_on();
wait_until($node, "SELECT state = 'running' FROM outflow.jobs WHERE job = $job", 'the job');
lock_row($job);
kill('TERM', sql("SELECT pid FROM pg_stat_activity WHERE query = 'outflow job $job' "));
wait_until($node, "SELECT @{[coordinators($job)]} = 0", 'the end of the coordinator');
kill('CONT', $call);
wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $call", 'the end of the CALL');
$session->finish;
like($$said, qr/ERROR:  export job $job was interrupted/, 'a silent end: the CALL ends with the job');
go_on();
release_exports($node);

done_testing();
