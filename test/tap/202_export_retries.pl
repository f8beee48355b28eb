# Promise: a disk that is full for a while, or another fault that passes, delays
# an export and does not end it; one that lasts ends it, and it can be resumed.
# A part is begun from its first row then, and nothing is synchronized twice.
use strict;
use warnings;

use Errno qw(EIO ENOSPC);
use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $disk = "$dir/disk";

mkdir $disk or die;
# the server's write() and fsync() below $disk fail while a file says so
my $module = "$FindBin::RealBin/../modules/disk/disk_preload.so";
-e $module or BAIL_OUT("$module is missing: make test-modules");
local $ENV{DISK_ROOT} = $disk;
my $node;
{
	local $ENV{LD_PRELOAD} = $module;
	$node = new_outflow_node('retries', conf => "fsync = on\n");
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub set_retries
{
	sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.retries = $_[0]");
	sql('SELECT pg_reload_conf()');
	$node->poll_query_until('postgres',
		"SELECT current_setting('outflow.retries', true) = '$_[0]'");
	return;
}

# fill(NAME): there is no room for files with that in their names; for parts
sub fill
{
	append_to_file("$disk.full", $_[0] || 'part-');
	return;
}

# start(NAME, ARGUMENTS): the job that exports into that directory
sub start
{
	my ($name, $arguments) = @_;

	return sql("SELECT outflow.export_start('t', 'file://$disk/$name',"
		  . " part_size => '512kB', compression => 'gzip'"
		  . ($arguments ? ", $arguments" : '') . ')');
}

sub waits_until
{
	my ($job, $condition) = @_;

	return $node->poll_query_until('postgres',
		"SELECT $condition FROM outflow.jobs WHERE job = $job");
}

# is_exact(JOB, NAME, WHAT)
sub is_exact
{
	my ($job, $name, $what) = @_;
	my $content = '';

	foreach my $file (grep { /^part-/ } files_below("$disk/$name"))
	{
		$content .= `gzip -dc $disk/$name/$file`;
	}
	sql("SET synchronize_seqscans = off; COPY t TO '$dir/copy' (FORMAT csv)");
	ok($content eq slurp_file("$dir/copy"), "$what: the export is exact");
	is_deeply(
		[ grep { !/^(part-\d+\.csv\.gz|_manifest\.json|_SUCCESS)$/ } files_below("$disk/$name") ],
		[], "$what: nothing is left over");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"),
		'ok', "$what: the files stand verification");
	return;
}

# random text that gzip can't shrink to nothing
sql('CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a, md5((-g)::text) AS b'
	  . ' FROM generate_series(1, 30000) AS g');

#
# The disk is full, and gets room again
#
fill();
my $job = start('full');
ok(waits_until($job, "retries >= 2 AND waiting_for LIKE"
		  . " '%the next try of part % s after: could not write to file%No space left on device%'"),
	'full: the job waits, and says for what');
is(sql("SELECT state, error FROM outflow.jobs WHERE job = $job"),
	'running|', 'full: it has not failed');
is(sql("SELECT count(*) > 0, max(error) LIKE 'could not write%',"
		  . " bool_and(state = 'pending') FROM outflow.parts"
		  . " WHERE job = $job AND attempts > 0"),
	't|t|t', 'full: the parts count their attempts');
is_deeply([ grep { /part/ } files_below("$disk/full") ],
	[], 'full: no unfinished file takes room');

# who writes meanwhile is not in the export's snapshot
sql("INSERT INTO t VALUES (0, 'late', 'late')");
unlink "$disk.full";
ok(waits_until($job, "state = 'done'"), 'full: with room the job ends by itself');
is( sql("SELECT (SELECT retries FROM outflow.jobs WHERE job = $job)"
		  . " = sum(attempts - 1), bool_and(error IS NULL)"
		  . " FROM outflow.parts WHERE job = $job"),
	't|t', 'full: each retry is counted with its part, errors are gone');
is(sql("SELECT waiting_for IS NULL FROM outflow.jobs WHERE job = $job"),
	't', 'full: it waits no more');
sql('DELETE FROM t WHERE id = 0');
is_exact($job, 'full', 'full');
sql('VACUUM FULL t');

#
# It stays full
#
set_retries(2);
fill();
my ($code, $out, $err) = $node->psql('postgres',
	"CALL outflow.export('t', 'file://$disk/stays', compression => 'gzip')");
like($err, qr/WARNING:  export job \d+ tries again.*waits for the next try of part 0, 1 s after/s,
	'stays full: the waiting session is told');
like($err, qr/export job \d+ failed: could not write.*Free disk space.*outflow\.resume/s,
	'stays full: fails when the tries are used up');
$job = sql('SELECT max(job) FROM outflow.jobs');
is( sql("SELECT j.state, j.retries, p.state, p.attempts FROM outflow.jobs AS j"
		  . " JOIN outflow.parts AS p USING (job) WHERE job = $job"),
	'failed|2|failed|3', 'stays full: three attempts, two of them retries');
unlink "$disk.full";
sql("CALL outflow.resume($job)");
is_exact($job, 'stays', 'stays full, resumed');

# nothing is tried again
set_retries(0);
fill();
$job = start('once');
ok(waits_until($job, "state = 'failed' AND retries = 0"), 'without retries it fails at once');
unlink "$disk.full";

#
# Cancel and shutdown end the waiting
#
set_retries(9);
fill();
sql("SELECT outflow.resume_start($job)");
ok(waits_until($job, 'retries >= 3'), 'it waits for seconds');
is(sql("SELECT outflow.cancel($job)"), 't', 'cancel');
ok(waits_until($job, "state = 'interrupted'"), 'ends the waiting');
sql("SELECT outflow.resume_start($job)");
ok(waits_until($job, 'retries >= 6 AND waiting_for IS NOT NULL'), 'it waits again');
{
	local $ENV{LD_PRELOAD} = $module;
	$node->stop('fast');
	$node->start;
}
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"),
	'interrupted', 'so does a shutdown');
unlink "$disk.full";
sql("CALL outflow.resume($job)");
is_exact($job, 'once', 'interrupted, resumed');

#
# fsync fails
#
sub synced
{
	return map { [ split(/ /, $_, 2) ] } split(/\n/, slurp_file("$disk.log"));
}

sub check_synced
{
	my ($what) = @_;
	my ($failed) = map { $_->[1] } grep { $_->[0] } synced();

	ok($failed, "$what: a fsync failed");
	is(scalar(grep { $_->[1] eq $failed } synced()),
		1, "$what: its file is never synchronized again");
	unlink "$disk.log";
	return;
}

unlink "$disk.log";
append_to_file("$disk.sync", ENOSPC . ' part-');
$job = start('sync', 'workers => 1');
ok(waits_until($job, "state = 'done' AND retries = 1"), 'no room at fsync: the part is redone');
is(sql("SELECT attempts FROM outflow.parts WHERE job = $job AND attempts > 1"),
	'2', 'no room at fsync: in one more attempt');
is_exact($job, 'sync', 'no room at fsync');
check_synced('no room at fsync');

# lost data are no matter of waiting
append_to_file("$disk.sync", EIO . ' part-');
$job = start('lost', 'workers => 1');
ok(waits_until($job, "state = 'failed' AND retries = 0 AND error LIKE 'could not fsync%'"),
	'EIO at fsync: the job fails');
check_synced('EIO at fsync');
sql("CALL outflow.resume($job)");
is_exact($job, 'lost', 'EIO at fsync, resumed');

#
# The preparation and the publication need room, too
#
fill('.outflow-');
$job = start('prepare');
ok(waits_until($job, "retries >= 2 AND waiting_for LIKE '%the next try of preparation%could not create directory%'"),
	'no room for a directory: the job waits');
unlink "$disk.full";
ok(waits_until($job, "state = 'done'"), 'with room it ends by itself');
is_exact($job, 'prepare', 'no room for a directory');

fill('manifest');
$job = start('publish');
ok(waits_until($job, "retries >= 2 AND waiting_for LIKE '%the next try of publication%'"),
	'no room for the manifest: the job waits');
ok(!-e "$disk/publish/_SUCCESS", 'and is not called complete');
unlink "$disk.full";
ok(waits_until($job, "state = 'done'"), 'with room it ends by itself');
is_exact($job, 'publish', 'no room for the manifest');

append_to_file("$disk.sync", ENOSPC . ' _SUCCESS');
$job = start('mark');
ok(waits_until($job, "state = 'done' AND retries = 1"), 'no room for the last mark: it comes later');
is_exact($job, 'mark', 'no room for the last mark');

#
# The extension and the job's record stay, whatever has failed
#
sub drop_waits
{
	my ($what) = @_;
	my (undef, undef, $said) = $node->psql('postgres', "SET lock_timeout = '200ms'; DROP EXTENSION outflow CASCADE");

	like($said, qr/lock timeout/, "$what: DROP EXTENSION waits");
	return;
}

fill('.outflow-');
$job = start('drop');
ok(waits_until($job, "waiting_for LIKE '%the next try of preparation%'"), 'a preparation that has failed');
drop_waits('between two tries of the preparation');
hold_exports($node, 1);
unlink "$disk.full";
ok(waits_until($job, 'parts_done >= 1'), 'goes on');
drop_waits('after a try of the preparation that failed');
release_exports($node);
ok(waits_until($job, "state = 'done'"), 'to its end');

# but a superuser can remove the record
my $started = sql('SELECT pg_postmaster_start_time()');
my $from = -s $node->logfile;
fill('manifest');
$job = start('gone');
ok(waits_until($job, "waiting_for LIKE '%the next try of publication%'"), 'a publication that has failed');
drop_waits('between two tries of the publication');
sql("DELETE FROM outflow.part WHERE job = $job; DELETE FROM outflow.source WHERE job = $job; DELETE FROM outflow.job WHERE job = $job");
unlink "$disk.full";
ok( $node->poll_query_until(
		'postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'outflow job $job%')"),
	'a record that is gone ends the job');
my $log = substr(slurp_file($node->logfile), $from);
like($log, qr/export job $job does not exist any more/, '... with an error that says so');
unlike($log, qr/terminated by signal|terminating any other/, '... and harms nobody');

# what a killed session has left stays where locks are unknown: nothing tells whether
# somebody goes on with it
sql(q(CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(10000); RETURN NEW; END';
	CREATE TRIGGER hang BEFORE UPDATE ON outflow.part FOR EACH ROW EXECUTE FUNCTION hang()));
my $call = "CALL outflow.export('t', 'file://$disk/left', workers => 0)";
my ($session) = start_psql($node, $call);
wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')", 'the export is at work');
$node->stop('immediate');
$session->finish;
{
	local $ENV{LD_PRELOAD} = $module;
	$node->start;
}
sql('DROP TRIGGER hang ON outflow.part');
my @before = files_below("$disk/left");
append_to_file("$disk.unlocked", '');
like(($node->psql('postgres', $call))[2], qr/ERROR:  another export is writing to destination/, 'without locks nobody knows whether what is left is in use');
is_deeply([ files_below("$disk/left") ], \@before, '... so it stays');
unlink "$disk.unlocked";
like(($node->psql('postgres', $call))[2], qr/NOTICE:  what an export had left in ".*" is removed/, 'with locks it is removed');

done_testing();
