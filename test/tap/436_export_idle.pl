# Promise: whoever keeps a finished job as a base, in a transaction that stays
# open, keeps nobody else from exporting, and is not waited for; nor does whoever
# changes interrupted jobs in such a transaction; and a queued job that a
# rolled-back call had locked when its turn came has its turn then.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('idle', conf => "outflow.max_jobs = 2\nlog_min_messages = debug1\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my (undef, undef, $err) = $node->psql('postgres', "SET statement_timeout = '20s'; $_[0]");

	return $err;
}

sub session
{
	my ($role) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);

	$session->query_safe("SET SESSION AUTHORIZATION $role") if $role;
	return $session;
}

chmod 0777, $dir;
sql(<<'EOS');
CREATE ROLE writer LOGIN IN ROLE pg_write_server_files;
CREATE SCHEMA w AUTHORIZATION writer;
SET ROLE writer;
CREATE TABLE w.t AS SELECT g AS id FROM generate_series(1, 10) AS g;
EOS
sql('CREATE TABLE other AS SELECT 1 AS id');

# ---- coordinators of jobs that are done meanwhile, and are somebody's base

sub interrupted
{
	my ($name) = @_;

	return sql("SET SESSION AUTHORIZATION writer; BEGIN; SELECT outflow.export_start('w.t', 'file://$dir/$name') AS j \\gset\n"
		  . "SELECT outflow.cancel(:j) \\g /dev/null\nCOMMIT; SELECT :j");
}

my @jobs = map { interrupted("kept$_") } 1 .. 3;
my ($late, $keeper) = (session('writer'), session('writer'));
my $log = -s $node->logfile;

$late->query_safe('BEGIN; SAVEPOINT a');
$late->query_safe("SELECT outflow.resume_start($_)") foreach @jobs;
$late->query_safe('ROLLBACK TO a');
sql("SET SESSION AUTHORIZATION writer; CALL outflow.resume($_)") foreach @jobs;
$keeper->query_safe('BEGIN');
$keeper->query_safe("SELECT outflow.export_start('w.t', 'file://$dir/taker$_', base => $_)") foreach @jobs;
$late->query_safe('COMMIT');
is(error_of("CALL outflow.export('other', 'file://$dir/victim')") =~ s/NOTICE.*\n|DETAIL.*\n//gr, '', 'an export beside it');
is(() = slurp_file($node->logfile, $log) =~ /DEBUG:  registering background worker "outflow job $jobs[0]"/g, 1,
	'what a savepoint had queued is not started when it was rolled back');

like(error_of("SELECT outflow.forget($jobs[0])"),
	qr/ERROR:  export job $jobs[0] is in use\nDETAIL:  A transaction in progress takes it as a base\./, 'forget says so');
like(error_of("SELECT outflow.prune('file://$dir/kept', 1)"), qr/NOTICE:  export job $jobs[0] stays/, 'prune leaves it');
$keeper->query_safe('ROLLBACK');

# ---- and the other way: a base that is being removed

$keeper->query_safe("BEGIN; SELECT outflow.forget($jobs[0])");
like(error_of("CALL outflow.export('w.t', 'file://$dir/of_removed', base => $jobs[0], workers => 0)"),
	qr/ERROR:  export job $jobs[0] is being removed by another call/, 'a base that may be gone soon');
like(error_of("SET SESSION AUTHORIZATION writer; CALL outflow.export('w.t', 'file://$dir/last', options => '{\"base\": \"last\"}')"),
	qr/^(?!.*ERROR).*NOTICE:  export job \d+: 1 parts carried over/s, 'the last base is another one');
$keeper->query_safe('ROLLBACK');

# ---- a call that is rolled back after a queued job's turn has come

$late->query_safe('RESET SESSION AUTHORIZATION; SET client_min_messages = warning');
foreach my $call ('cancel(%d)', 'forget(%d)', 'resume_start(%d)', "export_start('other', '%s', format => 'delta')")
{
	my ($name) = $call =~ /^(\w+)/;
	my $place = "file://$dir/queued_$name";

	hold_exports($node, 0);
	sql("SELECT outflow.export_start('other', 'file://$dir/running$_\_$name')") foreach 1, 2;
	wait_until($node, "SELECT count(*) = 2 FROM outflow.jobs WHERE state = 'running'", 'two that run');
	my $job = sql("SELECT outflow.export_start('other', '$place', format => 'delta')");
	my $again = 'SELECT outflow.' . sprintf($call, $name eq 'export_start' ? $place : $job);
	wait_until($node, "SELECT waiting_for IS NOT NULL FROM outflow.jobs WHERE job = $job", 'one that waits');
	$late->query_safe("BEGIN; SAVEPOINT a; $again");
	$late->query_safe("ROLLBACK TO a; $again") if $name eq 'forget';
	release_exports($node);
	wait_until($node, "SELECT count(*) = 0 FROM outflow.jobs WHERE state = 'running'", 'those that ran');
	is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'queued', "$name: what is locked waits");
	$late->query_safe('ROLLBACK');
	wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE job = $job", 'the end');
	pass("$name: it has its turn after the end");
}

# ---- jobs whose rows say that they run, since they were ended as they waited, and
# that a transaction has in hand

sub ended
{
	my ($name, $format) = @_;

	$late->query_safe('BEGIN; SELECT pg_advisory_xact_lock(4713)');
	my $job = $keeper->query_safe("BEGIN; SELECT outflow.export_start('w.t', 'file://$dir/$name', format => '$format', workers => 1)");
	# it comes between the job's transaction and its coordinator
	my ($locker) = start_psql($node, 'BEGIN; LOCK TABLE w.t; SELECT pg_advisory_xact_lock(4713); ROLLBACK');
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'w.t'::regclass AND NOT granted)", 'who wants the table');
	$keeper->query_safe('COMMIT');
	wait_until($node, "SELECT waiting_for LIKE '%AccessShareLock on w.t%' FROM outflow.jobs WHERE job = $job", 'who waits for it');
	is(sql("SELECT outflow.cancel($job)"), 't', "$name: it is cancelled as it waits");
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'its end');
	$late->query_safe('ROLLBACK');
	$locker->finish;
	is(sql("SELECT state FROM outflow.job WHERE job = $job"), 'running', "$name: nobody could write that");
	return $job;
}

$keeper->query_safe('SET client_min_messages = warning');
my %calls = (
	'forget' => sub { "outflow.forget($_[0])" },
	'resume' => sub { "outflow.resume_start($_[0])" },
	'take over' => sub { "outflow.export_start('w.t', 'file://$dir/ended$_[1]', format => 'delta', workers => 1)" });
my @ended = map { ended("ended$_", 'delta') } 0, 1, 2;
my $among = 'job IN (' . join(', ', @ended) . ')';

foreach my $call (sort keys %calls)
{
	$keeper->query_safe('BEGIN');
	$keeper->query_safe('SELECT ' . $calls{$call}->($ended[$_], $_)) foreach 0 .. $#ended;
	is(sql("SELECT DISTINCT state, waiting_for FROM outflow.jobs WHERE $among"), 'interrupted|', "$call: none of them runs");
	is(error_of("CALL outflow.export('other', 'file://$dir/beside_$call')"), '', "$call: an export beside it");
	my $job = sql("SET SESSION AUTHORIZATION writer; SELECT outflow.export_start('w.t', 'file://$dir/later_$call')");
	wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE job = $job", 'the end');
	like(error_of("CALL outflow.resume($ended[0])"), qr/ERROR:  export job $ended[0] is being changed by another call\nDETAIL:  Process \d+ has not/,
		"$call: another call is told so");
	$keeper->query_safe('ROLLBACK');
}

# beside them, those that do run count
hold_exports($node, 0);
$keeper->query_safe('BEGIN; SELECT ' . join(', ', map { "outflow.forget($_)" } @ended));
sql("SELECT outflow.export_start('other', 'file://$dir/runs$_')") foreach 1, 2;
wait_until($node, "SELECT count(*) = 2 FROM outflow.jobs WHERE state = 'running'", 'two that run');
my $third = sql("SELECT outflow.export_start('other', 'file://$dir/third')");
wait_until($node, "SELECT waiting_for LIKE '%2 running jobs%' FROM outflow.jobs WHERE job = $third", 'one that waits');
is(sql('SELECT outflow.run_queue()'), 0, 'there is no place');
$keeper->query_safe('ROLLBACK');
release_exports($node);
wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE job = $third", 'the end');

# ---- a transaction that is prepared has no process

sql("BEGIN; SELECT outflow.forget($ended[0]); PREPARE TRANSACTION 'forgets'");
is(sql("SELECT state FROM outflow.jobs WHERE job = $ended[0]"), 'interrupted', 'prepared: the job does not run');
like(error_of($_), qr/ERROR:  export job $ended[0] is being changed by another call\nDETAIL:  A prepared transaction/, "prepared: $_")
  foreach "SELECT outflow.forget($ended[0])", "SELECT outflow.cancel($ended[0])", "CALL outflow.resume($ended[0])";
sql("ROLLBACK PREPARED 'forgets'");
sql("SELECT outflow.forget($_)") foreach @ended;

$_->quit foreach $late, $keeper;
done_testing();
