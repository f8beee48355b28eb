# Promise: a job stops when it is told to, by cancel, termination, DROP DATABASE
# (FORCE) or the server's end, whatever rows and tables others have locked; and
# DROP EXTENSION waits for running jobs to their very end.
use strict;
use warnings;

use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant FINISHED => 4;

# half as long as a server's end may take
$ENV{PGCTLTIMEOUT} = 60;

my $node = new_outflow_node('stops');
my $dir = new_export_dir();

sub sql { return $node->safe_psql($_[1] || 'postgres', $_[0]); }

sub make_table
{
	sql("CREATE TABLE t (id int PRIMARY KEY, t text);"
		  . " INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 12000) AS g", $_[0]);
	return;
}

# held(NAME, DATABASE): a session whose job goes no further than FINISHED parts
sub held
{
	my ($name, $database) = @_;

	hold_exports($node, FINISHED, $database);
	my ($session, $said) = start_psql($node, "CALL outflow.export('t', 'file://$dir/$name', part_size => '128kB', workers => 1)", $database);
	wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE destination LIKE '%/$name' AND parts_done = " . FINISHED,
		'the part', $database);
	return (sql("SELECT job FROM outflow.jobs WHERE destination LIKE '%/$name'", $database), $session, $said);
}

# lock_rows(QUERY): somebody who locks rows and is not there to be asked
sub lock_rows
{
	sql("BEGIN; $_[0]; PREPARE TRANSACTION 'rows'");
	return;
}

sub unlock_rows
{
	sql("ROLLBACK PREPARED 'rows'");
	return;
}

sub pid_of { return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$_[0]'"); }

sub wait_until_quiet
{
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'outflow%')", "the end of $_[0]");
	return;
}

sub state_of { return sql("SELECT state FROM outflow.jobs WHERE job = $_[0]"); }

sub resumes
{
	my ($job, $name) = @_;

	sql("CALL outflow.resume($job)");
	ok(exported_parts("$dir/$name") eq table_as_csv($node, 't', $dir), "$name: resumed to what COPY writes");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', "$name: verified");
	is(join(' ', grep { !/^(part-\d{6}\.csv|_manifest\.json|_SUCCESS)$/ } files_below("$dir/$name")),
		'', "$name: nothing is left over");
	return;
}

make_table();

#
# The row of a part is locked by somebody else
#
my $part = "SELECT FROM outflow.part WHERE part = @{[FINISHED + 1]} FOR UPDATE";

# the worker waits for it, with the part's file in place
my ($job, $session, $said) = held('checkpoint');
lock_rows($part);
release_exports($node);
wait_until($node, "SELECT wait_event = 'transactionid' FROM pg_stat_activity WHERE backend_type = 'outflow worker'", 'the wait');
is(sql("SELECT pg_terminate_backend(" . pid_of('outflow coordinator') . ')'), 't', 'a checkpoint waits: terminated');
$session->finish;
like($$said, qr/ERROR:  export job $job was interrupted/, 'a checkpoint waits: the session is told');
wait_until_quiet('a checkpoint');
is(state_of($job), 'interrupted', 'a checkpoint waits: interrupted');
unlock_rows();
resumes($job, 'checkpoint');
sql("SELECT outflow.forget($job)");

# the part fails, which its row can't be told: the job's row can
($job, $session, $said) = held('failure');
lock_rows($part);
rename "$dir/failure", "$dir/away" or die;
release_exports($node);
$session->finish;
like($$said, qr/ERROR:  export job $job failed: directory .* was removed, moved or replaced/, 'a failed part: the session is told');
is(state_of($job), 'failed', 'a failed part: failed');
unlock_rows();
rename "$dir/away", "$dir/failure" or die;
resumes($job, 'failure');
sql("SELECT outflow.forget($job)");

#
# The row of the job
#
my $locked = 'SELECT FROM outflow.job FOR UPDATE';

# the coordinator has something to say and can't, until it is told to end
($job, $session, $said) = held('unsaid');
lock_rows($locked);
rename "$dir/unsaid", "$dir/away" or die;
release_exports($node);
wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'outflow worker')", 'the failure');
is(pid_of('outflow coordinator') > 0, 1, 'a failed job: it waits for its row');
kill('TERM', pid_of('outflow coordinator'));
$session->finish;
like($$said, qr/ERROR:  export job $job was interrupted/, 'a failed job, terminated: the session is told');
unlock_rows();
is(state_of($job), 'interrupted', 'a failed job, terminated: interrupted');
rename "$dir/away", "$dir/unsaid" or die;
resumes($job, 'unsaid');
sql("SELECT outflow.forget($job)");

# the row is free again: it says it
($job, $session, $said) = held('said_later');
lock_rows($locked);
rename "$dir/said_later", "$dir/away" or die;
release_exports($node);
wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'outflow worker')", 'the failure');
unlock_rows();
$session->finish;
like($$said, qr/ERROR:  export job $job failed: directory .* was removed/, 'a failed job: said when its row is free');
sql("SELECT outflow.forget($job)");

# the session of a job that finds no worker, and its row neither
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.max_jobs = 1");
sql('SELECT pg_reload_conf()');
($job, $session, $said) = held('running');
my ($queued, $told) = start_psql($node, "CALL outflow.export('t', 'file://$dir/queued')");
wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE state = 'queued' AND waiting_for IS NOT NULL", 'the queued job');
my $queued_job = sql("SELECT job FROM outflow.jobs WHERE state = 'queued'");
lock_rows("SELECT FROM outflow.job WHERE job = $queued_job FOR UPDATE");
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%queued%'");
$queued->finish;
like($$told, qr/canceling statement due to user request/, 'a queued job: its session is cancelled');
unlock_rows();
release_exports($node);
$session->finish;
is(state_of($job), 'done', 'a queued job: the running one is done');
wait_until($node, "SELECT state IN ('done', 'interrupted') FROM outflow.jobs WHERE job = $queued_job", 'the queued one');
sql("SELECT outflow.forget($queued_job)");
sql('ALTER SYSTEM RESET outflow.max_jobs');
sql('SELECT pg_reload_conf()');

#
# Fast shutdown, with all of that at once: the lock outlives its session
#
($job, $session, $said) = held('shutdown');
lock_rows("$locked; $part");
release_exports($node);
# the worker can't finish its part, and the coordinator can't say so
wait_until($node, "SELECT wait_event = 'transactionid' FROM pg_stat_activity WHERE backend_type = 'outflow worker'", 'the wait');
ok($node->stop('fast', fail_ok => 1), 'a fast shutdown ends');
$session->finish;
$node->start;
unlock_rows();
is(state_of($job), 'interrupted', 'a fast shutdown: interrupted');
resumes($job, 'shutdown');

#
# DROP EXTENSION waits, after it the sessions, and they can be cancelled
#
($job, $session, $said) = held('cancelled');
my ($drop, $dropped) = start_psql($node, 'DROP EXTENSION outflow CASCADE');
wait_until($node, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'", 'DROP EXTENSION');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%'");
$session->finish;
# it may have come before the session looks for the last time
like($$said, qr/canceling statement due to user request|(?:table "outflow\.\w+"|schema "outflow") does not exist/, 'after DROP EXTENSION: a CALL is cancelled');
$drop->finish;
is(sql("SELECT count(*) FROM pg_extension WHERE extname = 'outflow'"), '0', 'after DROP EXTENSION: which then comes');
release_exports($node);
wait_until_quiet('an extension');

# the job ends well, its publication too
sql('CREATE EXTENSION outflow');
hold_publications($node);
($session, $said) = start_psql($node, "CALL outflow.export('t', 'file://$dir/extension', part_size => '128kB')");
wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'outflow coordinator' AND wait_event = 'advisory')", 'the publication');
($drop, $dropped) = start_psql($node, 'DROP EXTENSION outflow CASCADE');
wait_until($node, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'", 'DROP EXTENSION');
# not in the way of readers, who would stand in its own in turn
is(sql("SET lock_timeout = '5s'; SELECT state FROM outflow.jobs WHERE destination = 'file://$dir/extension'"),
	'running', 'DROP EXTENSION: whoever reads the jobs doesn\'t wait for it');
like(sql("SELECT waiting_for FROM outflow.jobs WHERE destination = 'file://$dir/extension'"),
	qr/waits for AccessExclusiveLock on extension outflow, blocked by this job/, 'DROP EXTENSION: the job tells who waits');
release_exports($node);
$drop->finish;
$session->finish;
like($$dropped, qr/DROP EXTENSION/, 'DROP EXTENSION: done');
ok(exported_parts("$dir/extension") eq table_as_csv($node, 't', $dir), 'DROP EXTENSION: the export equals COPY');
is(join(' ', grep { !/^part-\d{6}\.csv$/ } files_below("$dir/extension")),
	'_SUCCESS _manifest.json', 'DROP EXTENSION: was published, and left nothing over');
wait_until_quiet('an extension');

# a query's, too, from its record on
sql('CREATE EXTENSION outflow');
sql("BEGIN; SELECT pg_advisory_xact_lock(4713); PREPARE TRANSACTION 'query'");
($session, $said) = start_psql($node, "CALL outflow.export_query('SELECT 1, pg_advisory_xact_lock_shared(4713)::text', 'file://$dir/query')");
wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event = 'advisory')", 'the query');
($drop, $dropped) = start_psql($node, 'DROP EXTENSION outflow CASCADE');
wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'DROP%' AND (wait_event_type = 'Lock' OR state = 'idle'))"
	  . " OR NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'outflow')", 'DROP EXTENSION');
sql("ROLLBACK PREPARED 'query'");
$_->finish foreach $session, $drop;
unlike($$said, qr/ERROR/, 'DROP EXTENSION: an export of a query ends well');
like($$dropped, qr/DROP EXTENSION/, 'DROP EXTENSION: and then it is done');
ok(-e "$dir/query/_SUCCESS", 'DROP EXTENSION: the export of the query is there');

# and one that fails meanwhile tells why, and nobody waits for it
sql('CREATE EXTENSION outflow');
sql("BEGIN; SELECT pg_advisory_xact_lock(4713); PREPARE TRANSACTION 'query'");
($session, $said) = start_psql($node, "CALL outflow.export_query('SELECT 1 / (length(pg_advisory_xact_lock_shared(4713)::text))', 'file://$dir/failing')");
wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event = 'advisory')", 'the failing query');
($drop, $dropped) = start_psql($node, 'DROP EXTENSION outflow CASCADE');
wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'DROP%' AND wait_event_type = 'Lock')", 'DROP EXTENSION beside it');
sql("ROLLBACK PREPARED 'query'");
$session->finish;
$drop->finish;
like($$said, qr/ERROR:  division by zero/, 'DROP EXTENSION: a query that fails tells its own error');
like($$dropped, qr/DROP EXTENSION/, 'DROP EXTENSION: and it is done');
is(join(' ', files_below("$dir/failing")), '', 'DROP EXTENSION: the failed query leaves nothing');

# whose session holds nothing afterwards
sql('CREATE EXTENSION outflow');
is(sql("CALL outflow.export_query('SELECT 1', 'file://$dir/query2'); SELECT string_agg(mode, ' ') FROM pg_locks WHERE pid = pg_backend_pid()"
		  . " AND (locktype = 'object' OR relation IN ('outflow.job'::regclass, 'outflow.source'::regclass, 'outflow.part'::regclass))") =~ s/^\d+\n//r,
	'', 'an export of a query leaves no lock');
sql('DROP EXTENSION outflow CASCADE');

#
# DROP DATABASE
#
sql('CREATE DATABASE doomed');
sql('CREATE EXTENSION outflow', 'doomed');
make_table('doomed');
($job, $session, $said) = held('doomed', 'doomed');
my ($code, $out, $err) = $node->psql('postgres', 'DROP DATABASE doomed');
like($err, qr/is being accessed by other users/, 'DROP DATABASE: refused');
is(sql("SELECT state FROM outflow.jobs WHERE job = $job", 'doomed'), 'running', 'DROP DATABASE: the job goes on');
release_exports($node, 'doomed');
$session->finish;
is(sql("SELECT state FROM outflow.jobs WHERE job = $job", 'doomed'), 'done', 'DROP DATABASE: to its end');

# no prepared transaction may be there, and who holds a lock may be the first to
# go: a row keeps the job waiting
sql('CREATE EXTENSION outflow');
sql(<<'SQL', 'doomed');
CREATE FUNCTION slow(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF id = 11000 THEN
		PERFORM pg_catalog.pg_sleep(1000);
	END IF;
	RETURN true;
END $$
SQL
($session, $said) = start_psql($node, "CALL outflow.export('t', 'file://$dir/forced', part_size => '128kB', workers => 1, filter => 'public.slow(id)')", 'doomed');
wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE destination LIKE '%/forced' AND parts_done > 0", 'the part', 'doomed');
sql("SELECT outflow.export_start('t', 'file://$dir/behind')", 'doomed');
sql('DROP DATABASE doomed WITH (FORCE)');
$session->finish;
like($$said, qr/terminating connection due to administrator command/, 'DROP DATABASE (FORCE): the session ends');
wait_until_quiet('a database');
is(sql("SELECT count(*) FROM pg_database WHERE datname = 'doomed'"), '0', 'DROP DATABASE (FORCE): it is gone');
ok(!-e "$dir/forced/_SUCCESS" && !-e "$dir/forced/_manifest.json", 'DROP DATABASE (FORCE): no mark of success');
($code, $out, $err) = $node->psql('postgres', "CALL outflow.export('t', 'file://$dir/forced')");
like($err, qr/another export is writing to destination.*If no server knows it, remove the directory/s,
	'DROP DATABASE (FORCE): a later export says what is left there');
is(sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'no lock is left');

done_testing();
