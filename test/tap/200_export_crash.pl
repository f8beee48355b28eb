# Promise: an export that a crash ends is resumed to an exact one; nothing
# unfinished is ever visible at the destination, and nothing is left over.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# slow enough that there is always something left to kill
my $node = new_outflow_node('crash',
	conf => "restart_after_crash = on\noutflow.rate_limit = '4MB'\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# start(NAME): starts an export and waits until some of its parts are done
sub start
{
	my ($name) = @_;
	my $before = sql('SELECT coalesce(max(job), 0) FROM outflow.jobs');
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start(
		[
			'psql', '-X', '-d', $node->connstr('postgres'), '-c',
			"CALL outflow.export('t', 'file://$dir/$name',"
			  . " part_size => '512kB')"
		],
		'>', \$out, '2>', \$err);

	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM outflow.jobs WHERE job > $before"
		  . " AND state = 'running' AND parts_done >= 3")
	  or die "no export: $out$err";
	return ($psql, sql('SELECT max(job) FROM outflow.jobs'), \$err);
}

sub pid_of
{
	my ($type) = @_;

	return sql("SELECT pid FROM pg_stat_activity WHERE backend_type"
		  . " = 'outflow $type' ORDER BY pid LIMIT 1");
}

sub wait_until_up
{
	# the crash is noticed a moment later
	$node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity"
		  . " WHERE backend_type LIKE 'outflow%')");
	return;
}

sub is_whole
{
	my ($job, $name, $what) = @_;

	is(sql("SELECT state FROM outflow.jobs WHERE job = $job"),
		'done', "$what: done");
	ok(exported_parts("$dir/$name") eq table_as_csv($node, 't', $dir), "$what: what COPY writes");
	is(sql("SELECT DISTINCT status FROM outflow.verify($job)"),
		'ok', "$what: verified");
	is( join(' ', grep { !/^part-\d{6}\.csv$/ } files_below("$dir/$name")),
		'_SUCCESS _manifest.json',
		"$what: nothing else is there");
	return;
}

sql("CREATE TABLE t AS SELECT g AS id, repeat(md5(g::text), 5) AS t"
	  . " FROM generate_series(1, 60000) AS g");

foreach my $victim ('worker', 'coordinator')
{
	my ($psql, $job) = start($victim);
	my $pid = pid_of($victim);

	is(join(' ', grep { !/^\.outflow-/ } files_below("$dir/$victim")),
		'', "$victim: no file has its name yet");
	kill 'KILL', $pid;
	$psql->finish;
	wait_until_up();
	is(sql("SELECT state FROM outflow.jobs WHERE job = $job"),
		'interrupted', "$victim killed: interrupted");
	is(join(' ', grep { !/^\.outflow-/ } files_below("$dir/$victim")),
		'', "$victim killed: no file has its name");

	# other rows meanwhile: the export is of the moment of the resume
	sql("UPDATE t SET t = 'changed' WHERE id % 1000 = 0;"
		  . "DELETE FROM t WHERE id % 777 = 0");
	sql("CALL outflow.resume($job)");
	is_whole($job, $victim, "$victim killed, resumed");
}

# a server that stops in its own ways
foreach my $mode ('fast', 'immediate')
{
	my ($psql, $job) = start($mode);

	$node->stop($mode);
	$psql->finish;
	$node->start;
	is(sql("SELECT state FROM outflow.jobs WHERE job = $job"),
		'interrupted', "stopped, $mode: interrupted");
	sql("CALL outflow.resume($job)");
	is_whole($job, $mode, "stopped, $mode, resumed");
}

# cancelled and terminated in every way there is
my %ways = (
	'cancel()' => "SELECT outflow.cancel(JOB)",
	'cancelled statement' => "SELECT pg_cancel_backend(pid) FROM"
	  . " pg_stat_activity WHERE query LIKE 'CALL outflow.export%'",
	'terminated session' => "SELECT pg_terminate_backend(pid) FROM"
	  . " pg_stat_activity WHERE query LIKE 'CALL outflow.export%'",
	'terminated worker' => "SELECT pg_terminate_backend(pid) FROM"
	  . " pg_stat_activity WHERE backend_type = 'outflow worker' LIMIT 1",
	'terminated coordinator' => "SELECT pg_terminate_backend(pid) FROM"
	  . " pg_stat_activity WHERE backend_type = 'outflow coordinator'",
	'cancelled worker' => "SELECT pg_cancel_backend(pid) FROM"
	  . " pg_stat_activity WHERE backend_type = 'outflow worker' LIMIT 1");
foreach my $way (sort keys %ways)
{
	my ($name) = map { s/\W/_/gr } $way;
	my ($psql, $job, $err) = start($name);

	is(sql($ways{$way} =~ s/JOB/$job/r), 't', "$way: sent");
	$psql->finish;
	$node->poll_query_until('postgres',
		"SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job")
	  or die "$way: not interrupted";
	pass("$way: interrupted");
	wait_until_up();
	sql("CALL outflow.resume($job)");
	is_whole($job, $name, "$way, resumed");
}

# a client that goes away without a word
{
	my ($psql, $job) = start('gone');

	$psql->signal('KILL');
	eval { $psql->finish };
	$node->poll_query_until('postgres',
		"SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job")
	  or die 'the job of a lost client goes on';
	pass('lost client: interrupted');
	wait_until_up();

	# forgotten: nothing stays
	sql("SELECT outflow.forget($job)");
	is(join(' ', files_below("$dir/gone")), '', 'forgotten: no file is left');
	is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $job"),
		'0', 'forgotten: no record is left');
}

# workers => 0 leaves nothing behind either
{
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start(
		[
			'psql', '-X', '-d', $node->connstr('postgres'), '-c',
			"CALL outflow.export('t', 'file://$dir/inline', workers => 0)"
		],
		'>', \$out, '2>', \$err);

	$node->poll_query_until('postgres',
		"SELECT pg_cancel_backend(pid) FROM pg_stat_progress_copy")
	  or die 'no progress was seen';
	$psql->finish;
	like($err, qr/canceling statement/, 'workers => 0: cancelled');
	is(join(' ', files_below("$dir/inline")), '',
		'workers => 0: no file is left');
}

done_testing();
