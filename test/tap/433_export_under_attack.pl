# Promise: whatever happens to the destination, the job's owner, the table, the
# database or the extension while an export runs, it ends exact, or with a
# clear error and a job that can be resumed or forgotten; and who is told to
# stop stops, whatever locks others keep.
#
# Jobs are held at a known part, or right before they publish, by a lock.
use strict;
use warnings;

use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant FINISHED => 4;

my $node = new_outflow_node('attacked', conf => "max_worker_processes = 20\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($code, $out, $err) = $node->psql($_[1] || 'postgres', $_[0]);

	return $err;
}

sub state_of { return sql("SELECT state FROM outflow.jobs WHERE job = $_[0]"); }

sub wait_for_end
{
	my ($job) = @_;

	wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", "the end of job $job");
	return state_of($job);
}

# the last of a job's processes
sub wait_until_quiet
{
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'outflow%')", 'the end of all processes');
	return;
}

# held(NAME, AS): a job that goes no further than FINISHED parts, of table t
sub held
{
	my ($name, $as) = @_;

	hold_exports($node, FINISHED);
	my $job = sql(($as ? "SET SESSION AUTHORIZATION $as; " : '')
		  . "SELECT outflow.export_start('t', 'file://$dir/$name', part_size => '128kB', workers => 1)");
	wait_for_part($job);
	return $job;
}

sub wait_for_part
{
	my ($job, $database) = @_;

	wait_until($node, 'SELECT parts_done = ' . FINISHED . " FROM outflow.jobs WHERE job = $job", 'the part', $database);
	return;
}

# held_publication(NAME): a job with all its parts, and nothing published
sub held_publication
{
	my ($name) = @_;

	hold_publications($node);
	my $job = sql("SELECT outflow.export_start('t', 'file://$dir/$name', part_size => '128kB', workers => 1)");
	wait_until($node, "SELECT parts_done = parts_total AND EXISTS (SELECT FROM pg_stat_activity"
		  . " WHERE backend_type = 'outflow coordinator' AND wait_event = 'advisory')"
		  . " FROM outflow.jobs WHERE job = $job", 'the publication');
	return $job;
}

sub resumes
{
	my ($job, $carried, $redone, $name) = @_;

	sql("CALL outflow.resume($job)");
	is(sql("SELECT state, parts_carried, parts_redone FROM outflow.jobs WHERE job = $job"),
		"done|$carried|$redone", "$name: resumed, $carried parts carried over, $redone exported again");
	is_whole($job, $name);
	return;
}

sub leftovers
{
	my ($name) = @_;

	return join(' ', grep { !/^(part-\d{6}\.csv|_manifest\.json|_SUCCESS)$/ } files_below("$dir/$name"));
}

# is_whole(JOB, NAME, COPY): what COPY writes, or wrote then
sub is_whole
{
	my ($job, $name, $copy) = @_;

	ok(exported_parts("$dir/$name") eq ($copy || table_as_csv($node, 't', $dir)), "$name: equals COPY");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', "$name: verified");
	is(leftovers($name), '', "$name: nothing is left over");
	return;
}

sql("CREATE TABLE t (id int PRIMARY KEY, t text);"
	  . " INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 12000) AS g; GRANT SELECT ON t TO PUBLIC");

#
# The destination goes away: at once an error, not when all has been written
#
my $moved = qr/directory ".*" was removed, moved or replaced/;
my $job = held('removed');
system_or_bail('rm', '-r', "$dir/removed");
release_exports($node);
is(wait_for_end($job), 'failed', 'removed: failed');
like(sql("SELECT error FROM outflow.jobs WHERE job = $job"), $moved, 'removed: with a clear error');
resumes($job, 0, FINISHED + 1, 'removed');

$job = held('moved');
rename "$dir/moved", "$dir/away" or die;
release_exports($node);
is(wait_for_end($job), 'failed', 'moved: failed');
like(sql("SELECT error FROM outflow.jobs WHERE job = $job"), $moved, 'moved: with a clear error');
ok(!-e "$dir/moved", 'moved: nothing is there');
rename "$dir/away", "$dir/moved" or die;
resumes($job, FINISHED + 1, 0, 'moved');

# another directory in its place
$job = held('replaced');
rename "$dir/replaced", "$dir/away" or die;
mkdir "$dir/replaced";
append_to_file("$dir/replaced/mine", 'mine');
release_exports($node);
is(wait_for_end($job), 'failed', 'replaced: failed');
is(join(' ', files_below("$dir/replaced")), 'mine', 'replaced: nothing was written into the other one');
like(error_of("CALL outflow.resume($job)"), qr/is not empty/, 'replaced: nor is it by resume');
unlink "$dir/replaced/mine";
# that attempt has begun there
system_or_bail('rm', '-r', "$dir/replaced", "$dir/away");
resumes($job, 0, FINISHED + 1, 'replaced');

foreach my $attack ('removed', 'moved')
{
	my $name = "published_$attack";

	$job = held_publication($name);
	my $parts = sql("SELECT parts_total FROM outflow.jobs WHERE job = $job");
	rename "$dir/$name", "$dir/away" or die;
	system_or_bail('rm', '-r', "$dir/away") if $attack eq 'removed';
	release_exports($node);
	is(wait_for_end($job), 'failed', "$name: failed");
	ok(!-e "$dir/$name" && !-e "$dir/away/_SUCCESS" && !-e "$dir/away/_manifest.json", "$name: without marks of success");
	like(sql("SELECT error FROM outflow.jobs WHERE job = $job"), $moved, "$name: with a clear error");
	if ($attack eq 'moved')
	{
		# all that it lacks is its publication
		rename "$dir/away", "$dir/$name" or die;
		sql("CALL outflow.resume($job)");
		is(state_of($job), 'done', "$name: resumed");
		is_whole($job, $name);
	}
	else
	{
		resumes($job, 0, $parts, $name);
	}
}

#
# The owner goes away
#
sql('CREATE ROLE leaver LOGIN; GRANT pg_write_server_files TO leaver');
$job = held('leaver', 'leaver');
sql('DROP OWNED BY leaver; DROP ROLE leaver; REVOKE SELECT ON t FROM PUBLIC');
release_exports($node);
is(wait_for_end($job), 'failed', 'owner dropped: failed');
is(sql("SELECT error FROM outflow.jobs WHERE job = $job"), "the job's owner does not exist any more", 'owner dropped: with a clear error');
like(error_of("CALL outflow.resume($job)"), qr/the job's owner does not exist any more/, 'owner dropped: not resumed');
wait_until_quiet();
sql("SELECT outflow.forget($job)");
is(join(' ', files_below("$dir/leaver")), '', 'owner dropped: nothing is left');

# a job whose owner is gone doesn't stand in the way of others
sql("CREATE ROLE leaver LOGIN; GRANT pg_write_server_files TO leaver; GRANT SELECT ON t TO PUBLIC;"
	  . " LOAD 'outflow'; ALTER SYSTEM SET outflow.max_jobs = 1");
sql('SELECT pg_reload_conf()');
my $first = held('first');
my @queued = (
	sql("SET SESSION AUTHORIZATION leaver; SELECT outflow.export_start('t', 'file://$dir/queued')"),
	sql("SELECT outflow.export_start('t', 'file://$dir/next')"));
wait_until($node, "SELECT count(*) = 2 FROM outflow.jobs WHERE state = 'queued' AND waiting_for LIKE 'the end of one of 1 running jobs%'",
	'the queue');
sql('DROP OWNED BY leaver; DROP ROLE leaver');
release_exports($node);
is(wait_for_end($first), 'done', 'a queued owner dropped: the job before is done');
is(wait_for_end($queued[1]), 'done', 'a queued owner dropped: so is the job after it');
sql("SELECT outflow.cancel($queued[0]), outflow.forget($queued[0])");
sql('ALTER SYSTEM RESET outflow.max_jobs');
sql('SELECT pg_reload_conf()');

#
# The table, between its parts: who would change it waits
#
foreach my $command ('VACUUM FULL t', 'CLUSTER t USING t_pkey', 'TRUNCATE t', 'ALTER TABLE t ADD COLUMN more int DEFAULT 1')
{
	my ($name) = map { lc } $command =~ /^(\w+)/;
	my $copy = table_as_csv($node, 't', $dir);

	$job = held($name);
	my ($session, $said) = start_psql($node, $command);
	wait_until($node, "SELECT waiting_for ~ 'waits for AccessExclusiveLock on .*, blocked by this job' FROM outflow.jobs WHERE job = $job", $command);
	release_exports($node);
	is(wait_for_end($job), 'done', "$command: the export is done");
	$session->finish;
	is_whole($job, $name, $copy);
	sql('INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 12000) AS g') if $name eq 'truncate';
}

#
# Destinations that lie one in the other
#
sub in_use { return qr/is in use by export job $_[0]\b.*An unfinished job has its directory to itself, with all that lies beneath it/s; }

$job = held('outer');
foreach my $call (
	"export('t', 'file://$dir/outer')",
	"export('t', 'file://$dir/outer/public.t')",
	"export('t', 'file://$dir//outer/./deep/er', workers => 0)",
	"export('t', 'file://$dir', options => '{\"overwrite\": true}')",
	"export_tables('{t}', 'file://$dir/outer')")
{
	like(error_of("CALL outflow.$call"), in_use($job), "refused: $call" =~ s/\Q$dir\E//r);
}
ok(!-e "$dir/outer/public.t" && !-e "$dir/outer/deep", 'refused: and no directory is made');
is(sql("SELECT outflow.export_start('t', 'file://$dir/outer-2') > $job"), 't', 'one beside it is another matter');
release_exports($node);
is(wait_for_end($job), 'done', 'the first one is done');
sql("CALL outflow.export_tables('{t}', 'file://$dir/many', part_size => '128kB')");
sql("CALL outflow.export('t', 'file://$dir/many/more')");
ok(exported_parts("$dir/many/public.t") eq table_as_csv($node, 't', $dir) && exported_parts("$dir/many/more") eq table_as_csv($node, 't', $dir), 'a finished one refuses nobody');

# submitted at the same time: one of them is told at once
hold_exports($node, FINISHED);
sub in_one { return "SELECT outflow.export_start('t', 'file://$dir/$_[0]', part_size => '128kB', workers => 1, options => '{\"overwrite\": true}')"; }
sql("BEGIN; SELECT pg_advisory_xact_lock(4713); PREPARE TRANSACTION 'start'");
my %sessions = map { $_ => [start_psql($node, "SELECT pg_advisory_lock_shared(4713); BEGIN; @{[in_one($_)]}; SELECT pg_advisory_xact_lock(4714); COMMIT")] } 'race', 'race/public.t';
wait_until($node, "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713 AND NOT granted", 'two submissions');
sql("BEGIN; SELECT pg_advisory_xact_lock(4714); PREPARE TRANSACTION 'end'");
sql("COMMIT PREPARED 'start'");
wait_until($node, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4714 AND NOT granted", 'one of them to be made');
wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%lock_shared(4713)%' AND pid <> pg_backend_pid()", 'the other one to be refused');
sql("COMMIT PREPARED 'end'");
$_->[0]->finish foreach values %sessions;
my ($winner, $place) = split(/\|/, sql("SELECT job, destination FROM outflow.jobs WHERE state IN ('queued', 'running')"));
$place =~ s{.*/race}{race};
my ($loser) = grep { $_ ne $place } keys %sessions;
like(${ $sessions{$loser}->[1] }, qr/ERROR:  destination ".*" is in use by another call/, 'of two at once one begins');
wait_for_part($winner);
like(error_of(in_one($loser)), in_use($winner), 'and the other one cannot yet');
release_exports($node);
is(wait_for_end($winner), 'done', 'it is done');
ok(exported_parts("$dir/$place") eq table_as_csv($node, 't', $dir), 'and exact');
is(sql("SELECT count(*) FROM outflow.jobs WHERE state <> 'done'"), '0', 'no unfinished job is left');

done_testing();
