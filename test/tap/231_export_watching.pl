# Promise: who watches an export sees true figures at every moment: in
# outflow.jobs and outflow.parts, in pg_stat_progress_copy, in the messages of
# the waiting session and in notifications.  outflow.rate_limit is kept, and
# whoever sleeps for it can be cancelled.
#
# An export is held where it must be seen: by a rate of 1 kB/s, or by a filter
# whose function waits for an advisory lock.
use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_outflow_node('watching');
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# set(NAME, VALUE): for all sessions
sub set
{
	my ($name, $value) = @_;

	sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.$name = '$value'");
	sql('SELECT pg_reload_conf()');
	$node->poll_query_until('postgres', "SELECT current_setting('outflow.$name', true) = '$value'")
	  or die "setting outflow.$name does not arrive";
	return;
}

sub set_rate { return set('rate_limit', $_[0]); }

# wait_for(CONDITION, WHAT)
sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
	return;
}

# start(TABLE, NAME, ARGUMENTS): the job that exports into that directory
sub start
{
	my ($table, $name, $arguments) = @_;

	return sql("SELECT outflow.export_start('$table', 'file://$dir/$name', $arguments)");
}

sub is_done
{
	my ($job) = @_;

	return "(SELECT state = 'done' FROM outflow.jobs WHERE job = $job)";
}

# call(CALL): a session that runs it, and what it says
sub call
{
	my ($command) = @_;
	my %session = (said => '', begun => time());

	$session{run} = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', $command ],
		'>', \$session{out}, '2>', \$session{said}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

sub finish
{
	my ($session) = @_;

	$session->{run}->finish;
	$session->{elapsed} = time() - $session->{begun};
	return $session;
}

sub manifest
{
	return JSON::PP->new->utf8->decode(slurp_file("$dir/$_[0]/_manifest.json"));
}

# 30 bytes a row as CSV, or some more
sql(<<'EOS');
CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 60000) AS g;
CREATE TABLE small AS SELECT * FROM t WHERE id <= 2000;
CREATE TABLE random AS SELECT g AS id, md5(g::text) || md5((-g)::text) AS t FROM generate_series(1, 20000) AS g;
CREATE FUNCTION hold(id int, at int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF id = at THEN
		PERFORM pg_catalog.pg_advisory_lock_shared(1);
		PERFORM pg_catalog.pg_advisory_unlock_shared(1);
	END IF;
	RETURN true;
END
$$;
CREATE ROLE stranger LOGIN;
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
EOS
my $rows = 60000;
my $holder = $node->background_psql('postgres');

#
# pg_stat_progress_copy
#
my $seen = "SELECT p.pid, p.tuples_processed, p.bytes_processed FROM pg_stat_progress_copy AS p"
  . " JOIN pg_stat_activity AS a USING (pid) WHERE a.backend_type = 'outflow worker'"
  . " AND p.relid = 't'::regclass AND p.command = 'COPY TO' AND p.type = 'FILE' AND p.bytes_processed > 0";

set_rate('1kB');
my $job = start('t', 'two', "part_size => '1GB', workers => 1");
my $other = start('t', 'other', "part_size => '2MB', workers => 2");
wait_for("(SELECT count(*) FROM ($seen) AS s) = 3", 'each worker has a row in pg_stat_progress_copy');
my %seen = map { $_ => 1 } split(/\n/, sql($seen));
is( sql("SET ROLE stranger; SELECT count(*) FILTER (WHERE relid IS NULL AND tuples_processed IS NULL), count(*)"
		  . ' FROM pg_stat_progress_copy'),
	'3|3', 'others see no figures there');
is(sql("SET ROLE stranger; SELECT count(*) FROM outflow.jobs, outflow.parts"), '0', 'nor a row of ours');
is(sql("SET ROLE watcher; SELECT count(*) FROM outflow.jobs WHERE state = 'running'"), '2', 'a member of pg_monitor does');
is( sql("SELECT bool_and(parts_done = 0 AND rows = 0 AND bytes = 0 AND bytes_stored = 0 AND rate = 0 AND eta IS NULL"
		  . " AND finished IS NULL AND parts_total = CASE job WHEN $job THEN 1 ELSE 2 END) FROM outflow.jobs"),
	't', 'outflow.jobs counts parts that are done, of those planned');
set_rate('64kB');
my ($pid, $tuples) = split(/\|/, (sort keys %seen)[0]);
wait_for("NOT EXISTS (SELECT FROM pg_stat_progress_copy WHERE pid = $pid AND tuples_processed <= $tuples)", 'the figures grow');
set_rate('0');
wait_for(is_done($_), 'the job ends') foreach ($job, $other);
is(sql('SELECT count(*) FROM pg_stat_progress_copy'), '0', 'with it the rows go');

# what was seen is the beginning of a file, to the byte
my @files = map { slurp_file($_) } glob "$dir/two/part-* $dir/other/part-*";
is(scalar(@files), 3, 'in three files');
foreach my $line (sort keys %seen)
{
	my (undef, $tuples, $bytes) = split(/\|/, $line);

	ok((grep { substr($_, 0, $bytes) =~ /\n\z/ && (substr($_, 0, $bytes) =~ tr/\n//) == $tuples } @files),
		"$tuples rows have had $bytes bytes");
}

# up to the real count, of a part that is written and waits for its rate
set_rate('1kB');
$job = start('small', 'small', 'workers => 1');
sql("COPY small TO '$dir/copy' (FORMAT csv)");
my $size = -s "$dir/copy";
wait_for("EXISTS (SELECT FROM pg_stat_progress_copy WHERE relid = 'small'::regclass AND tuples_processed = 2000"
	  . " AND bytes_processed = $size)", 'at last all rows and bytes of a part are shown');
set_rate('0');
wait_for(is_done($job), 'the part ends');

# rows that a format holds back count, too
$holder->query_safe('SELECT pg_advisory_lock(1)');
$job = start('t', 'parquet', "format => 'parquet', workers => 1, filter => 'public.hold(id, 50000)'");
wait_for('EXISTS (SELECT FROM pg_stat_progress_copy WHERE tuples_processed BETWEEN 48000 AND 49999)',
	'rows in an unfinished row group are shown');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
wait_for(is_done($job), 'and are written');

#
# outflow.jobs and outflow.parts, while it goes on and at the end; what the
# waiting session is told
#
set_rate('1MB');
my $before = sql('SELECT max(job) FROM outflow.jobs');
my $session = call("CALL outflow.export('t', 'file://$dir/parts', part_size => '64kB', compression => 'lz4')");
my @samples;

wait_for("EXISTS (SELECT FROM outflow.jobs WHERE job > $before AND state <> 'queued')", 'the export runs');
$job = sql('SELECT max(job) FROM outflow.jobs');
do
{
	my @sample = split(/\|/, sql("SELECT state, coalesce(parts_total, 0), parts_done, rows, bytes, bytes_stored, rate, eta,"
		  . " coalesce(parts_done = p.n AND rows = p.r AND bytes = p.b AND bytes_stored = p.s, p.n = 0),"
		  . " coalesce(rate >= 0, true) AND coalesce(eta >= '0' AND eta < '1 hour', parts_done = 0 OR state = 'done')"
		  . " FROM outflow.jobs, (SELECT count(*) AS n, sum(rows) AS r, sum(bytes) AS b, sum(bytes_stored) AS s"
		  . " FROM outflow.parts WHERE job = $job AND state = 'done') AS p WHERE job = $job"), -1);
	push @samples, \@sample;
} until $samples[-1][0] eq 'done' || $samples[-1][0] eq 'failed';
finish($session);

is(scalar(grep { $_->[8] ne 't' } @samples), 0, 'a job is the sum of its parts at every moment');
is(scalar(grep { $_->[9] ne 't' } @samples), 0, 'rate and eta are sane at every moment');
my $backwards = 0;
foreach my $i (1 .. $#samples)
{
	$backwards += grep { $samples[$i][$_] < $samples[ $i - 1 ][$_] } 1 .. 5;
}
is($backwards, 0, 'no figure goes backwards');
cmp_ok(scalar(grep { $_->[2] > 0 && $_->[0] eq 'running' } @samples), '>', 0, 'and they were seen in between');

my $manifest = manifest('parts');
my ($parts, $stored) = (scalar @{ $manifest->{parts} }, 0);
$stored += -s "$dir/parts/$_->{file}" foreach @{ $manifest->{parts} };
is( sql("SELECT state, rows, bytes, bytes_stored, parts_done, parts_total, parts_carried, parts_redone, retries, error IS NULL,"
		  . " eta IS NULL, waiting_for IS NULL, rate = round(bytes / extract(epoch FROM finished - started)),"
		  . " snapshot, lsn = '$manifest->{lsn}' FROM outflow.jobs WHERE job = $job"),
	join('|', 'done', $rows, $manifest->{bytes}, $stored, $parts, $parts, 0, 0, 0, 't', 't', 't', 't',
		$manifest->{snapshot}, 't'),
	'at the end outflow.jobs is what the manifest and the files say');
unlike($manifest->{lsn}, qr{/0.}, 'its LSN is written as in a stream, whatever the server prints');
is($manifest->{rows}, $rows, 'which is the table');
is( sql("SELECT string_agg(concat_ws(' ', part, file, relation, first_block, last_block + 1, rows, bytes, bytes_stored, attempts,"
		  . " state), E'\\n' ORDER BY part) FROM outflow.parts WHERE job = $job"),
	join("\n", map { join(' ', @$_{qw(part file relation first_block end_block rows bytes bytes_stored)}, 1, 'done') } @{ $manifest->{parts} }),
	'and so is outflow.parts');

my @told = $session->{said} =~ /NOTICE:  export job $job: (\d+ of \d+ parts, \d+ rows, \d+ bytes)/g;
cmp_ok(scalar(@told), '>=', 1, 'the waiting session is told how far it is');
cmp_ok(scalar(@told), '<=', $session->{elapsed}, 'at most once a second');
my @last = (0, 0, 0);
foreach my $line (@told)
{
	my ($done, $total, $rows_told, $bytes_told) = $line =~ /\d+/g;

	ok( $total == $parts && $done > $last[0] && $done <= $parts && $rows_told > $last[1]
		  && $rows_told <= $rows && $bytes_told > $last[2] && $bytes_told <= $manifest->{bytes},
		$line);
	@last = ($done, $rows_told, $bytes_told);
}

#
# The rate is kept: with what compression holds back to the end of a file, by
# several workers together, and by the session itself
#
set_rate('512kB');
foreach my $arguments ("compression => 'zstd', part_size => '64kB'", 'workers => 0')
{
	my $name = $arguments =~ /zstd/ ? 'compressed' : 'inline';

	$session = finish(call("CALL outflow.export('random', 'file://$dir/$name', $arguments)"));
	$stored = manifest($name)->{bytes_stored};
	cmp_ok($session->{elapsed}, '>=', $stored / (512 * 1024) - 0.25, "$stored bytes, $arguments: not faster than allowed");
}

# who sleeps for it, for minutes, is cancelled
set_rate('1kB');
$job = start('t', 'cancelled', "part_size => '1GB', workers => 1");
wait_for('EXISTS (SELECT FROM pg_stat_progress_copy WHERE bytes_processed > 0)', 'a worker sleeps');
is(sql("SELECT outflow.cancel($job)"), 't', 'cancel');
wait_for("(SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job)", 'ends its sleep');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'outflow%'"), '0', 'and all processes');
$session = call("CALL outflow.export('t', 'file://$dir/sleeping', workers => 0)");
wait_for('EXISTS (SELECT FROM pg_stat_progress_copy WHERE bytes_processed > 0)', 'a session sleeps');
sql('SELECT pg_cancel_backend(pid) FROM pg_stat_progress_copy');
finish($session);
like($session->{said}, qr/canceling statement due to user request/, 'and is cancelled');
is(join(' ', files_below("$dir/sleeping")), '', 'without leaving anything');
set_rate('0');
sql("CALL outflow.resume($job)");
is(manifest('cancelled')->{rows}, $rows, 'the cancelled job is finished later');

# a rate is that of the run: what it carried over was written before
sql("CALL outflow.export('t', 'file://$dir/based', base => $job)");
is(sql('SELECT parts_carried = parts_total, rate, rows FROM outflow.jobs ORDER BY job DESC LIMIT 1'),
	"t|0|$rows", 'carried parts are no rate');

#
# Who waits for whom
#
$holder->query_safe('SELECT pg_advisory_lock(1)');
$session = call("CALL outflow.export('t', 'file://$dir/behind', workers => 1, filter => 'public.hold(id, 10)')");
wait_for("EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted)", 'the export is held');
my $alter = call('ALTER TABLE t ADD COLUMN more int');
my $waits = "(SELECT pid FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE t%' AND wait_event_type = 'Lock')";
wait_for("EXISTS $waits", 'an ALTER TABLE waits');
$pid = sql($waits);
like(sql("SELECT waiting_for FROM outflow.jobs ORDER BY job DESC LIMIT 1"),
	qr/^process $pid waits for AccessExclusiveLock on public.t, blocked by this job$/, 'outflow.jobs says so');
IPC::Run::pump($session->{run}) until $session->{said} =~ /blocked by this job/;
like($session->{said}, qr/WARNING:  export job \d+: somebody waits for a lock\nDETAIL:  process $pid waits for AccessExclusiveLock on public.t, blocked by this job\n/,
	'the waiting session, too');
# one that is queued, and whose table is locked when it begins
set('max_jobs', 1);
my $queued = call("CALL outflow.export('small', 'file://$dir/locked')");
wait_for("EXISTS (SELECT FROM outflow.jobs WHERE state = 'queued'"
	  . " AND waiting_for = 'the end of one of 1 running jobs (outflow.max_jobs)')", 'outflow.jobs says what a queued job waits for');
my $locker = $node->background_psql('postgres');
my $locking = $locker->query_safe('BEGIN; LOCK TABLE small; SELECT pg_backend_pid()');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
finish($session);
finish($alter);
is(scalar(() = $session->{said} =~ /WARNING/g), 1, 'whoever was told once, was so once only');
is(manifest('behind')->{rows}, $rows, 'the first export ends');
IPC::Run::pump($queued->{run}) until $queued->{said} =~ /held by/;
like($queued->{said}, qr/NOTICE: .*is queued\nDETAIL:  It waits for the end of one of 1 running jobs/, 'its session was told that, too');
like($queued->{said}, qr/WARNING: .*\nDETAIL:  AccessShareLock on public.small, held by process $locking\n/,
	'and then whom it waits for');
is(sql('SELECT waiting_for FROM outflow.jobs ORDER BY job DESC LIMIT 1'),
	"AccessShareLock on public.small, held by process $locking", 'as outflow.jobs says');
$locker->query_safe('COMMIT');
$locker->quit;
finish($queued);
is(sql('SELECT waiting_for IS NULL FROM outflow.jobs ORDER BY job DESC LIMIT 1'), 't', 'until it has it');
set('max_jobs', 4);

#
# Each state is announced, once
#
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN outflow');

sub heard
{
	my ($job) = @_;

	return join(' ', $listener->query('SELECT 1') =~ /"outflow" with payload "\{"job":$job,"state":"(\w+)"\}"/g);
}

sql('CREATE FUNCTION fails(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS'
	  . " 'BEGIN IF \$1 = 1234 THEN RAISE division_by_zero; END IF; RETURN true; END'");
(undef, undef, my $err) = $node->psql('postgres', "CALL outflow.export('t', 'file://$dir/announced', filter => 'public.fails(id)')");
$job = sql('SELECT max(job) FROM outflow.jobs');
my $place = sql('SELECT ctid FROM t WHERE id = 1234');
like($err, qr/ERROR:  export job $job failed: division_by_zero.*CONTEXT:.*table public.t, row with ctid \Q$place\E/s,
	'an error names the table and the row');
like(sql("SELECT error FROM outflow.jobs WHERE job = $job"), qr/^division_by_zero \(.*table public.t, row with ctid \Q$place\E\)$/,
	'in outflow.jobs, too');
is(heard($job), 'queued running failed', 'announced: a job that fails');
sql("CREATE OR REPLACE FUNCTION fails(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'");
sql("CALL outflow.resume($job)");
is(heard($job), 'queued running done', 'announced: its end');
$holder->query_safe('SELECT pg_advisory_lock(1)');
$job = start('t', 'stopped', "filter => 'public.hold(id, 10)'");
wait_for("(SELECT state = 'running' AND parts_total IS NOT NULL FROM outflow.jobs WHERE job = $job)", 'it runs');
sql("SELECT outflow.cancel($job)");
wait_for("(SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job)", 'it is interrupted');
is(heard($job), 'queued running interrupted', 'announced: one that is cancelled');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
sql("CALL outflow.export('small', 'file://$dir/session', workers => 0)");
$job = sql('SELECT max(job) FROM outflow.jobs');
is(heard($job), 'queued running done', 'announced: one of the session itself');

$holder->quit;
$listener->quit;
$node->stop;
done_testing();
