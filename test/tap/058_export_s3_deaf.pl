# Promise: whatever a store does not answer, a session that waits for it ends when
# it is cancelled or terminated, and the server stops.  What it leaves is what a
# killed one leaves: an export is never there by half, and what is there is not
# called cancelled.
use strict;
use warnings;

use FakeS3;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# a server that doesn't stop
$ENV{PGCTLTIMEOUT} = 60;

my $node = new_outflow_node('deaf');
my $store = start_fake_s3();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql('CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 3000) AS g');
sql($store->server_sql('lake', stall_timeout => 3600));

# begin(CALL, FAULT, PATTERN): a session that waits at such a request
sub begin
{
	my ($call, $fault, $pattern) = @_;

	$store->forget_requests;
	$store->faults($fault);
	my ($session, $said) = start_psql($node, $call);
	foreach my $try (1 .. 1800)
	{
		last if $store->asked($pattern);
		die "not asked: $pattern\n$$said" if $try == 1800;
		Time::HiRes::sleep(0.1);
	}
	return ($session, $said, sql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL%' AND state = 'active' AND pid <> pg_backend_pid()"));
}

# ended(HOW, SESSION, PID): by pg_HOW_backend(); nothing is left of it
sub ended
{
	my ($how, $session, $pid) = @_;

	sql("SELECT pg_${how}_backend($pid)");
	$session->finish;
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)", 'the end of a process');
	return;
}

my %said_of = (
	cancel => qr/ERROR:  canceling statement due to user request/,
	terminate => qr/FATAL:  terminating connection due to administrator command/);
my $inline = "CALL outflow.export('t', 'lake:%s', workers => 0)";
my $query = "CALL outflow.export_query('SELECT * FROM t', 'lake:%s')";
my $delta = "CALL outflow.export('t', 'lake:%s', workers => 0, format => 'delta')";
my $count = 0;

sub last_job { return sql('SELECT max(job) FROM outflow.jobs'); }

foreach my $how ('cancel', 'terminate')
{
	foreach my $kind ([ 'a table', $inline ], [ 'a query', $query ])
	{
		my ($what, $call) = @$kind;
		my $place = 'p' . ++$count;
		my $title = "$what, $how";

		# publishing; the clean-up is answered
		my ($session, $said, $pid) = begin(sprintf($call, $place), 'hang copy', ' copy$');
		ended($how, $session, $pid);
		like($$said, $said_of{$how}, "$title: while publishing");
		is($store->keys($place), '', "$title: nothing is left");
		$node->psql('postgres', 'SELECT outflow.forget(job) FROM outflow.jobs');

		# nothing is answered
		$place = 'p' . ++$count;
		($session, $said, $pid) = begin(sprintf($call, $place), 'hold copy', ' copy$');
		$store->faults('hang');
		ended($how, $session, $pid);
		like($$said, $said_of{$how}, "$title: while nothing is answered");
		like($$said, qr/WARNING:  unfinished files may be left in "lake:$place"\nDETAIL:  the clean-up was not answered in time/, "$title: what may be left is said")
		  if $how eq 'cancel';
		$store->faults();
		is($store->keys("$place/_"), '', "$title: no sign of success");
		my $next = ($node->psql('postgres', sprintf($inline, $place)))[2];
		if ($call eq $inline)
		{
			like($next, qr/NOTICE:  what an export had left in "lake:$place" is removed/, "$title: the next export removes what was left");
			# the copy that was on its way may be there by now
			like($next, qr/^(?!.*ERROR)|ERROR:  destination "lake:$place" is not empty/s, "$title: and nobody is writing there");
			sql('SELECT outflow.forget(job) FROM outflow.jobs');
		}
		else
		{
			like($next, qr/ERROR:  destination "lake:$place" is in use by export job/, "$title: the place is taken");
			is(sql('SELECT state FROM outflow.jobs'), 'interrupted', "$title: the job is interrupted");
			sql('SELECT outflow.forget(job) FROM outflow.jobs');
			is($store->keys($place), '', "$title: forget() removes what was left");
		}
		is(sql('SELECT count(*) FROM outflow.jobs'), '0', "$title: no job is left");
	}
}

#
# The last step: whether it was done is not known
#
my ($session, $said, $pid) = begin(sprintf($query, 'last'), 'hold PUT _SUCCESS', '^PUT \S*_SUCCESS');
ended('cancel', $session, $pid);
like($$said, qr/ERROR:  the last step of the export was not answered in time\nDETAIL:  It is not known whether the export is there/, 'the last step: not known');
my $job = last_job();
like($$said, qr/NOTICE:  export job $job is interrupted\nHINT:  SELECT outflow.forget\($job\)/, 'the last step: the job stays');
$store->faults();
like($store->keys('last/part-'), qr/part-\S+/, 'the last step: and its files');
sql("SELECT outflow.forget($job)");
unlike($store->keys('last'), qr/part-|manifest|outflow/, 'the last step: until it is forgotten');

# a version that comes late has its files
($session, $said, $pid) = begin(sprintf($delta, 'late'), 'hold PUT .json', '^PUT \S*0000\.json');
ended('cancel', $session, $pid);
like($$said, qr/ERROR:  the last step of the export was not answered in time/, 'a late version: not known');
like($$said, qr/WARNING:  files of an export that may be unfinished stay in "lake:late"/, 'a late version: its files stay');
$store->faults();
foreach my $try (1 .. 600)
{
	last if $store->keys('late/_delta_log/') =~ /0\.json/;
	Time::HiRes::sleep(0.1);
}
is(sql("SELECT sum(files_added) FROM outflow.lake_versions('lake:late')"), '1', 'a late version: it is there');
my ($file) = $store->s3('GET', 'late/_delta_log/00000000000000000000.json') =~ /"path":"([^"]+)"/;
is($store->keys("late/$file"), "late/$file", 'a late version: and so is its file');

# what comes after the last step is no part of it
foreach my $call ($inline, $query, $delta)
{
	my $place = 'p' . ++$count;

	($session, $said, $pid) = begin(sprintf($call, $place), 'hang DELETE', '^DELETE ');
	sql("SELECT pg_cancel_backend($pid)");
	$session->finish;
	like($$said, qr/WARNING:  unfinished files may be left in "lake:$place"/, 'only its own files remain: told so');
	unlike($$said, qr/ERROR|FATAL/, 'only its own files remain: and that it is done');
	$store->faults();
	$job = last_job();
	is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'done', 'only its own files remain: the job is done');
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job) WHERE status <> 'left over'"), 'ok', 'only its own files remain: and verified');
}

#
# Whatever else waits for a store
#
$store->faults();
sql(sprintf($inline, 'whole'));
my $whole = last_job();
sql(sprintf($delta =~ s/, workers => 0//r, 'vacuum/d'));
sql(sprintf($delta =~ s/, workers => 0//r =~ s/delta/iceberg/r, 'vacuum/i'));
sql('DELETE FROM t WHERE id < 10; VACUUM t');
sql(sprintf($delta =~ s/, workers => 0//r =~ s/delta/iceberg/r, 'vacuum/i'));
my %calls = (
	'check_destination' => "SELECT * FROM outflow.check_destination('lake:check')",
	'verify' => "SELECT * FROM outflow.verify($whole)",
	'prune' => "SELECT * FROM outflow.prune('lake:', 1)",
	'lake_versions' => "SELECT * FROM outflow.lake_versions('lake:vacuum/d')",
	'lake_vacuum of Delta' => "SELECT * FROM outflow.lake_vacuum('lake:vacuum/d', '0')",
	'lake_vacuum of Iceberg' => "SELECT * FROM outflow.lake_vacuum('lake:vacuum/i', '0')",
	'export' => "CALL outflow.export('t', 'lake:x', workers => 1)");
foreach my $fault ('hang', 'hang PUT', 'hang DELETE', 'trickle')
{
	foreach my $name (sort keys %calls)
	{
		next if $fault eq 'hang PUT' && $name !~ /check|Iceberg|export/;
		next if $fault eq 'hang DELETE' && $name !~ /check|Iceberg/;
		$store->faults($fault);
		my (undef, undef, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; $calls{$name}");
		like($err, qr/canceling statement due to statement timeout/, "$fault: $name ends");
		$store->faults();
		sql("SELECT outflow.forget(job) FROM outflow.jobs WHERE state <> 'done'");
		$store->s3('DELETE', $_) foreach grep { m{outflow-|_outflow_check} } split(/ /, $store->keys(''));
	}
}

# forget() leaves the job, for another one
$store->faults('hang copy');
($session, $said) = start_psql($node, "CALL outflow.export('t', 'lake:forgotten', workers => 1)");
wait_until($node, "SELECT EXISTS (SELECT FROM outflow.jobs WHERE destination = 'lake:forgotten' AND parts_done > 0)", 'a part');
$job = last_job();
sql("SELECT outflow.cancel($job)");
$session->finish;
$store->faults('hang');
like(($node->psql('postgres', "SET statement_timeout = '1s'; SELECT outflow.forget($job)"))[2], qr/canceling statement due to statement timeout/, 'forget() ends');
$store->faults();
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'interrupted', 'forget(): the job stays');
sql("SELECT outflow.forget($job)");
is($store->keys('forgotten'), '', 'forget(): and is forgotten later');

#
# A fast shutdown
#
foreach my $call ($inline, $query)
{
	my $place = 'p' . ++$count;

	($session, $said, $pid) = begin(sprintf($call, $place), 'hold copy', ' copy$');
	$store->faults('hang');
	ok($node->stop('fast', fail_ok => 1), 'a fast shutdown ends');
	$session->finish;
	$store->faults();
	$node->start;
	is($store->keys("$place/_"), '', 'a fast shutdown: no sign of success');
}
is(sql("SELECT state FROM outflow.jobs WHERE state <> 'done'"), 'interrupted', 'a fast shutdown: the job of the query is interrupted');

done_testing();
