# Promise: a copy of a server goes on with no lake table of the original's, removes no
# file of it, and runs none of the jobs that the original has queued.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('original', conf => "shared_preload_libraries = 'outflow'\noutflow.max_jobs = 1\noutflow.retries = 0\n");
my $dir = new_export_dir();
my %names = (delta => 'Delta', iceberg => 'Iceberg');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# says(SQL, NODE): errors, warnings and notices
sub says
{
	my ($sql, $where) = @_;
	my ($out, $err);

	($where || $node)->psql('postgres', $sql, stdout => \$out, stderr => \$err);
	return $err;
}

# all that is below a directory, with its content
sub tree { return join("\n", map { "$_: " . slurp_file("$_[0]/$_") } sort(files_below($_[0]))); }

sub data_of { return grep { /\.parquet$/ && -f "$_[0]/$_" } files_below($_[0]); }

# lake(FORMAT, OPTIONS): the next version of that format's table
sub lake
{
	my ($format, $options) = @_;

	return "CALL outflow.export('t', 'file://$dir/$format', format => '$format', part_size => '128kB', options => '"
	  . ($options || '{}') . "')";
}

sub start { return sql("SELECT outflow.export_start('t', 'file://$dir/$_[0]', part_size => '128kB')"); }

sub wait_for
{
	my ($job, $state, $where) = @_;

	($where || $node)->poll_query_until('postgres', "SELECT state = '$state' FROM outflow.jobs WHERE job = $job") or die;
	return;
}

sql("CREATE TABLE t AS SELECT g AS id, 'common' AS d FROM generate_series(1, 30000) AS g; VACUUM t");
sql(lake($_)) foreach sort keys %names;

# a version of which all files were there, but that one could not have its name
hold_publications($node);
my $late = sql("SELECT outflow.export_start('t', 'file://$dir/late', format => 'delta', part_size => '128kB')");
$node->poll_query_until('postgres', "SELECT parts_done = parts_total FROM outflow.jobs WHERE job = $late") or die;
my $uuid = sql("SELECT uuid FROM outflow.job WHERE job = $late");
my $taken = "$dir/late/part-000001-$uuid.parquet";
mkdir $taken or die;
release_exports($node);
wait_for($late, 'failed');
rmdir $taken or die;

# four jobs, of which three are in the queue
hold_exports($node, 1);
my $running = start('running');
$node->poll_query_until('postgres', "SELECT parts_done >= 1 FROM outflow.jobs WHERE job = $running") or die;
my $queued = start('queued');
my $forgotten = start('forgotten');
my $version = lake('version', '{"overwrite": true}') =~ s/format => 'version'/format => 'delta'/r;
my $planned = sql($version =~ s/^CALL outflow.export\(/SELECT outflow.export_start(/r);
$node->backup('copy');
sql("SELECT outflow.cancel($forgotten); SELECT outflow.forget($forgotten)");
release_exports($node);
wait_for($_, 'done') foreach $queued, $planned;
sql("CALL outflow.resume($late)");
sql("INSERT INTO t SELECT g, 'only in the original' FROM generate_series(30001, 40000) AS g");
sql(lake('iceberg'));
my $all = tree($dir);

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'copy');
$copy->start;
release_exports($copy);

#
# The queue
#
foreach my $job ($queued, $forgotten, $planned)
{
	wait_for($job, 'failed', $copy);
	like($copy->safe_psql('postgres', "SELECT error, error_hint FROM outflow.job WHERE job = $job"),
		qr/^another server or database has queued export job $job\|If it is to run here, resume it/, 'a copy holds what the original has queued');
}
like(slurp_file($copy->logfile), qr/another server or database has queued export job $queued$/m, 'the log says so');
is(tree($dir), $all, 'nothing has changed');
like(says("CALL outflow.resume($queued)", $copy), qr/ERROR: .*destination ".*" is not empty/, 'nor does it run what the original has run');
is(tree($dir), $all, 'which is as it was');

#
# Lake tables: the last version of one is of before the copy, the other's is not
#
foreach my $format (sort keys %names)
{
	my $not_ours = qr/ERROR: .*version \d+ of the $names{$format} table in ".*" is not this server's\nDETAIL:  A server with the same past/;

	like(says(lake($format), $copy), $not_ours, "$format: a copy does not go on with it");
	like(says("SELECT * FROM outflow.lake_vacuum('file://$dir/$format', '0')", $copy), $not_ours, "$format: nor does it remove what it had");
	ok($copy->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('file://$dir/$format')") > 0, "$format: it may look at it");
}
like(says("CALL outflow.resume($late)", $copy), qr/ERROR: .*another server or database has finished export job $late$/m, "a copy does not resume the original's version");
like(says("CALL outflow.resume($planned)", $copy), qr/ERROR: .*another server or database has finished export job $planned$/m, 'nor takes that for one of its own');
says("SELECT outflow.forget($late)", $copy);
is(tree($dir), $all, 'nothing of all has changed, also when the copy has forgotten it');
is(sql("SELECT DISTINCT status FROM outflow.verify($late)"), 'ok', 'the original has its version');

#
# By its owner's will
#
unlike(says("CALL outflow.resume($forgotten)", $copy), qr/ERROR/, 'what is resumed is run, where the original has done without');
is($copy->safe_psql('postgres', "SELECT DISTINCT status FROM outflow.verify($forgotten)"), 'ok', 'and is whole');
like(says($version, $copy), qr/^(?!.*ERROR).*NOTICE:  export job $planned is forgotten/s, 'what the original has finished is in no way');
is($copy->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('file://$dir/version')"), 2, 'of a version of its own');
foreach my $format (sort keys %names)
{
	my @before = data_of("$dir/$format");

	unlike(says(lake($format, '{"overwrite": true}'), $copy), qr/ERROR/, "$format: a copy may take it over");
	$copy->safe_psql('postgres', 'UPDATE t SET id = id');
	unlike(says(lake($format), $copy), qr/ERROR/, "$format: and goes on");
	like(says(lake($format)), qr/ERROR: .*is not this server's/, "$format: then the original does not");
	like(says("SELECT * FROM outflow.lake_vacuum('file://$dir/$format', '0')"), qr/ERROR: .*is not this server's/, "$format: nor does its vacuum");
	unlike(says("SELECT * FROM outflow.lake_vacuum('file://$dir/$format', '0')", $copy), qr/ERROR/, "$format: the copy's does");
	is(scalar(grep { !-f "$dir/$format/$_" } @before), 0, "$format: but for what the original wrote");
	is($copy->safe_psql('postgres', 'SELECT DISTINCT v.status FROM (SELECT max(job) AS job FROM outflow.jobs) AS j, outflow.verify(j.job) AS v'),
		'ok', "$format: the last version is whole");
}
$copy->stop;

# a version that says of no server is of before they did
my @versions = sort(glob("$dir/late/_delta_log/*.json"));
my $text = slurp_file($versions[-1]);
ok($text =~ s/"server":"[^"]*",//, 'a version says whose it is');
unlink $versions[-1];
append_to_file($versions[-1], $text);
unlike(says("CALL outflow.export('t', 'file://$dir/late', format => 'delta', part_size => '128kB')"), qr/ERROR/,
	'one that does not is gone on from');

done_testing();
