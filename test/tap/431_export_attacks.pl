# Promise: what happens to the files, the destination or the table between a
# crash and resume ends in the export that COPY would write, or in a clear
# error; never in an export that is called done and is not.
use strict;
use warnings;

use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('attacks');
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub set_rate
{
	sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '$_[0]'");
	sql('SELECT pg_reload_conf()');
	return;
}

# crashed(NAME): a job of table NAME whose server died when some of its parts
# were finished, and the directory with their files
sub crashed
{
	my ($name) = @_;
	my $said = '';

	sql("CREATE TABLE $name AS SELECT g AS id, md5(g::text) AS t"
		  . " FROM generate_series(1, 60000) AS g; VACUUM $name");
	set_rate('1MB');
	my $session = IPC::Run::start(
		[
			'psql', '-X', '-d', $node->connstr('postgres'), '-c',
			"CALL outflow.export('$name', 'file://$dir/$name', part_size => '128kB')"
		],
		'<', \undef, '>', \$said, '2>', \$said);
	$node->poll_query_until('postgres', "SELECT coalesce(max(parts_done), 0) >= 6"
		  . " FROM outflow.jobs WHERE source = 'public.$name'")
	  or die "no export: $said";
	$node->stop('immediate');
	$session->finish;
	$node->start;
	set_rate(0);
	my ($job, $uuid) = split(/\|/,
		sql("SELECT job, uuid FROM outflow.job WHERE destination LIKE '%/$name'"));
	is(sql("SELECT state FROM outflow.jobs WHERE job = $job"),
		'interrupted', "$name: met half done");
	return ($job, "$dir/$name/.outflow-$uuid");
}

# the files of finished parts
sub finished
{
	my ($job) = @_;

	return split(/\n/, sql("SELECT file FROM outflow.parts WHERE job = $job"
		  . " AND state = 'done' ORDER BY part"));
}

# whole(NAME, JOB): the export is what COPY writes, and verify agrees
sub whole
{
	my ($name, $job) = @_;

	sql("COPY $name TO '$dir/copy' (FORMAT csv)");
	my $copy = slurp_file("$dir/copy");
	unlink "$dir/copy";
	my @files = files_below("$dir/$name");
	ok(join('', map { slurp_file("$dir/$name/$_") } grep { /^part-/ } @files) eq
		$copy, "$name: equals COPY");
	is(sql("SELECT count(*) FROM outflow.verify($job) WHERE status <> 'ok'"),
		'0', "$name: verify is clean");
	return;
}

sub redone
{
	return sql("SELECT state, parts_redone FROM outflow.jobs WHERE job = $_[0]");
}

#
# Files of finished parts
#
my ($job, $hidden) = crashed('files');
my @done = finished($job);
my $content = slurp_file("$hidden/$done[0]");
replace_file("$hidden/$done[0]", substr($content, 0, -1));
$content = slurp_file("$hidden/$done[1]");
substr($content, 100, 1) = chr(ord(substr($content, 100, 1)) ^ 1);
replace_file("$hidden/$done[1]", $content);
rename "$hidden/$done[2]", "$hidden/x" or die;
rename "$hidden/$done[3]", "$hidden/$done[2]" or die;
rename "$hidden/x", "$hidden/$done[3]" or die;
unlink "$hidden/$done[4]" or die;
sql("CALL outflow.resume($job)");
is(redone($job), 'done|5',
	'truncated, flipped, two swapped, removed: these are exported again');
is(sql("SELECT reason, count(*) FROM outflow.part WHERE job = $job"
		  . " AND reason IS NOT NULL GROUP BY 1"),
	"its file is missing or was changed|5", "and each says why");
whole('files', $job);

#
# The destination is gone
#
($job, $hidden) = crashed('gone');
my $count = finished($job);
PostgreSQL::Test::Utils::system_or_bail('rm', '-r', "$dir/gone");
sql("CALL outflow.resume($job)");
is(redone($job), "done|$count", 'the destination is gone: all is exported again');
whole('gone', $job);

#
# The table has other rows, or other files
#
foreach my $attack (
	[ 'rewritten', 'VACUUM FULL rewritten' ],
	[ 'reloaded', "TRUNCATE reloaded; INSERT INTO reloaded"
		  . " SELECT g, 'new' FROM generate_series(1, 50000) AS g" ])
{
	my ($name, $command) = @$attack;

	($job, $hidden) = crashed($name);
	$node->safe_psql('postgres', $_) foreach split(/; /, $command);
	sql("CALL outflow.resume($job)");
	is(sql("SELECT state, parts_carried, parts_redone >= 6 FROM outflow.jobs WHERE job = $job"),
		'done|0|t', "$name: resumed, and nothing that was finished is kept");
	is(sql("SELECT string_agg(DISTINCT reason, ' ') FROM outflow.part WHERE job = $job"),
		'the table was rewritten', "$name: which the parts tell the reason of");
	whole($name, $job);
}

#
# The table is gone
($job, $hidden) = crashed('dropped');
sql('DROP TABLE dropped');
my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.resume($job)");
like($err, qr/ERROR:  export job $job failed: table (public\.)?dropped no longer exists\nHINT:  SELECT outflow\.forget\($job\)/,
	'a dropped table: a clear error');
sql("SELECT outflow.forget($job)");
ok(!-e $hidden, 'forget removes what was written');
is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $job"), '0', 'and the job');

done_testing();
