# Promise: a database that was made from another one, by CREATE DATABASE ... TEMPLATE,
# runs none of the jobs that the other has queued, takes no export and no version of
# a lake table for its own, and removes no file of it; what its owner resumes runs.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('clones', conf => "outflow.max_jobs = 1\noutflow.retries = 0\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql($_[1] || 'postgres', $_[0]); }

# says(SQL, DATABASE): errors, warnings and notices
sub says { return ($node->psql($_[1] || 'postgres', $_[0]))[2]; }

# all that is below a directory, with its content
sub tree { return join("\n", map { "$_: " . slurp_file("$_[0]/$_") } sort(files_below($_[0]))); }

# lake(FORMAT, OPTIONS): the next version of that format's table
sub lake
{
	my ($format, $options) = @_;

	return "CALL outflow.export('t', 'file://$dir/$format', format => '$format', part_size => '128kB', options => '"
	  . ($options || '{}') . "')";
}

sub start { return sql("SELECT outflow.export_start('t', 'file://$dir/$_[0]', part_size => '128kB'" . ($_[1] || '') . ')'); }

sub wait_for
{
	my ($job, $state, $database) = @_;

	$node->poll_query_until($database || 'postgres', "SELECT state = '$state' FROM outflow.jobs WHERE job = $job") or die;
	return;
}

sql("CREATE TABLE t AS SELECT g AS id, 'original' AS d FROM generate_series(1, 30000) AS g; VACUUM t");
sql(lake($_)) foreach 'delta', 'iceberg';
my ($finished) = map { sql("CALL outflow.export('t', 'file://$dir/$_', part_size => '128kB')") } 'finished-1', 'finished-2';

# a version of which all files were there, but that one could not have its name
my %late;
foreach my $format ('delta', 'iceberg')
{
	hold_publications($node);
	$late{$format} = start("late_$format", ", format => '$format'");
	$node->poll_query_until('postgres', "SELECT parts_done = parts_total FROM outflow.jobs WHERE job = $late{$format}") or die;
	my $taken = "$dir/late_$format/part-000001-" . sql("SELECT uuid FROM outflow.job WHERE job = $late{$format}") . '.parquet';
	mkdir $taken or die;
	release_exports($node);
	wait_for($late{$format}, 'failed');
	rmdir $taken or die;
}

# jobs that nobody has begun when the server ends
hold_exports($node, 1);
my $running = start('running');
$node->poll_query_until('postgres', "SELECT parts_done >= 1 FROM outflow.jobs WHERE job = $running") or die;
my $queued = start('queued');
my $forgotten = start('forgotten');
$node->stop('immediate');
$node->start;
release_exports($node);
is(sql("SELECT string_agg(state, ' ' ORDER BY job) FROM outflow.jobs WHERE job >= $running"), 'interrupted queued queued', 'jobs are in the queue');

$node->safe_psql('template1', 'CREATE DATABASE clone TEMPLATE postgres');
my $all = tree($dir);
sql("UPDATE t SET d = 'clone'; VACUUM FULL t", 'clone');

#
# The queue
#
foreach my $job ($queued, $forgotten)
{
	# a job that was tried a moment ago has its turn later
	$node->poll_query_until('clone', "SELECT state = 'failed' FROM outflow.run_queue(), outflow.jobs WHERE job = $job") or die;
	like(sql("SELECT error, error_hint FROM outflow.job WHERE job = $job", 'clone'),
		qr/^another server or database has queued export job $job\|If it is to run here, resume it/, 'a clone holds what the original has queued');
}
is(tree($dir), $all, 'nothing has changed');
like(says($_, 'clone'), qr/ERROR: .*is not known to be this server's\nDETAIL:  A server or database with the same past/, $_)
  foreach "CALL outflow.resume($running)", "SELECT outflow.forget($running)";
is(tree($dir), $all, 'nor by what it has begun');

sql("SELECT outflow.forget($forgotten)");
sql("CALL outflow.resume($running)");
wait_for($queued, 'done');
is(sql("SELECT DISTINCT status FROM outflow.verify($_)"), 'ok', 'the original runs it') foreach $running, $queued;
sql("CALL outflow.resume($late{$_})") foreach keys %late;
$all = tree($dir);
unlike($all, qr/clone/, 'with its rows');

#
# What the original has finished
#
foreach my $format ('delta', 'iceberg')
{
	like(says("CALL outflow.resume($late{$format})", 'clone'), qr/ERROR: .*another server or database has finished export job $late{$format}$/m,
		"$format: a clone does not take the original's version for its own");
	is(tree($dir), $all, '... which is as it was');
	says("SELECT outflow.forget($late{$format})", 'clone');
	is(tree($dir), $all, '... also when the clone has forgotten it');
	like(says(lake($format), 'clone'), qr/ERROR: .*is not of an export of table/, '... nor goes on with a table');
	is(sql("SELECT count(*) FROM outflow.lake_vacuum('file://$dir/$format', '0')", 'clone'), 0, '... nor removes files of it');
	is(tree($dir), $all, '... which is as it was, too');
}
foreach my $call ("CALL outflow.resume($running)", "CALL outflow.resume($queued)",
	"CALL outflow.export('t', 'file://$dir/finished-1', part_size => '128kB', options => '{\"overwrite\": true}')")
{
	like(says($call, 'clone'), qr/ERROR/, "a clone does not replace what the original has: $call");
}
is(sql("SELECT outflow.prune('file://$dir/finished-', 1)", 'clone'), '', 'nor prunes it');
is(tree($dir), $all, 'all is as it was');

#
# By its owner's will
#
unlike(says("CALL outflow.resume($forgotten)", 'clone'), qr/ERROR/, 'what is resumed is run');
like(tree("$dir/forgotten"), qr/clone/, '... with its rows');
unlike(says("CALL outflow.export('t', 'file://$dir/based', part_size => '128kB', base => $finished)", 'clone'), qr/ERROR/, 'a base is one');
is(sql('SELECT parts_carried FROM outflow.jobs ORDER BY job DESC LIMIT 1', 'clone'), 0, '... that shares nothing, since rows differ');
unlike(says(lake($_)), qr/ERROR/, "the original goes on: $_") foreach 'delta', 'iceberg';
done_testing();
