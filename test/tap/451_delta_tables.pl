# Promise: many tables become versions of one snapshot; lake_versions, verify,
# lake_vacuum and forget tell and do what they say; a foreign commit, a lost race
# and who may not are refused with the reason, and change nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('tables', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my $lake = "$dir/t";

# export(TABLE, DIRECTORY, ARGUMENTS)
sub export
{
	my ($table, $directory, $arguments) = @_;

	return run_sql($node, "CALL outflow.export('$table', 'file://$directory', format => 'delta', part_size => '64kB'"
		  . ($arguments ? ", $arguments" : '') . ')');
}

# versions(): what lake_versions tells, without times
sub versions
{
	return $node->safe_psql('postgres',
		"SELECT version, job, rows, files_added, files_removed, committed > now() - interval '1 h' FROM outflow.lake_versions('file://$lake')");
}

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t AS SELECT i AS id, repeat('n', 90) AS note FROM generate_series(1, 2000) i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 100) i;
CREATE PUBLICATION shop FOR TABLE t (id) WHERE (id < 50), u WITH (publish = 'insert');
EOC

# many tables
foreach my $version (0, 1)
{
	unlike(run_sql($node, "CALL outflow.export_publication('shop', 'file://$dir/both', format => 'delta')"), qr/ERROR/, 'a publication');
	is_deeply([ map { lake_last("$dir/both/public.$_") } qw(t u) ], [ $version, $version ], 'each table has a version');
	is_deeply([ map { delta_version("$dir/both/public.$_", $version)->{commitInfo}[0]{outflow}{snapshot} } qw(t t) ],
		[ map { delta_version("$dir/both/public.$_", $version)->{commitInfo}[0]{outflow}{snapshot} } qw(u u) ],
		'of one snapshot');
	keep_rows($node, "id) FROM t WHERE id < 50", "$dir/both/$version");
	versions_are('plain', "$dir/both/public.t", "$dir/both", [$version], 'with the rows that the publication has');
	$node->safe_psql('postgres', 'UPDATE u SET id = id + 1');
}
is(scalar @{ delta_version("$dir/both/public.t", 1)->{add} }, 0, 'the table that did not change is carried');
is(scalar @{ delta_version("$dir/both/public.u", 1)->{add} }, 1, 'the other one is not');

# what there is
unlike(export('t', $lake), qr/ERROR/, 'a table');
$node->safe_psql('postgres', "UPDATE t SET note = 'x' WHERE id = 1");
unlike(export('t', $lake), qr/ERROR/, 'and a version more');
my $added = map { @{ $_->{add} } } delta_version($lake, 0);
is(versions(), "0|3|2000|$added|0|t\n1|4|2000|1|1|t", 'lake_versions tells them') or diag(join(' ', lake_files($lake)));
is( $node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('file://$lake') AS v JOIN outflow.jobs AS j USING (job, snapshot, lsn)"),
	'2', 'with the snapshots and positions of the jobs');
is($node->safe_psql('postgres', 'SELECT DISTINCT status FROM generate_series(3, 4) AS j, outflow.verify(j)'),
	'ok', 'each stands verification');
like(run_sql($node, "SELECT outflow.restore_script(4)"), qr/COPY cannot load format "delta"/, 'COPY is not for them');

# vacuum
is($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_vacuum('file://$lake')"), '0', 'nothing is old enough to go');
my $old = delta_version($lake, 1)->{remove}[0]{path};
is($node->safe_psql('postgres', "SELECT file FROM outflow.lake_vacuum('file://$lake', interval '0')"), $old, 'what no version has any more goes');
ok(!-e "$lake/$old", 'it is gone');
is($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_vacuum('file://$lake', interval '0')"), '0', 'once');
keep_rows($node, 'id, note) FROM t', "$dir/1");
versions_are('plain', $lake, $dir, [1], 'and the last version needs nothing of it');
is($node->safe_psql('postgres', "SELECT file FROM outflow.verify(3) WHERE status = 'missing'"), $old, 'verify says what an older one lacks');

# the record of a version is forgotten: the next one still goes on from the log
$node->safe_psql('postgres', 'SELECT outflow.forget(4)');
unlike(export('t', $lake), qr/ERROR/, 'exported after the last job was forgotten');
keep_rows($node, 'id, note) FROM t', "$dir/2");
versions_are('plain', $lake, $dir, [ 1, 2 ], 'and both versions hold');
$node->safe_psql('postgres', 'SELECT outflow.forget(job) FROM outflow.jobs');
unlike(export('t', $lake), qr/ERROR/, 'and after all of them were');
keep_rows($node, 'id, note) FROM t', "$dir/3");
versions_are('plain', $lake, $dir, [ 1 .. 3 ], 'versions hold');
is(scalar @{ delta_version($lake, 3)->{add} }, $added, 'all is written anew');

# a job that ends before its version leaves nothing; it is the only one at work
hold_publications($node);
my ($session) = start_psql($node, "CALL outflow.export('t', 'file://$lake', format => 'delta', part_size => '64kB')");
wait_until($node, "SELECT bool_and(state = 'done') FROM outflow.parts WHERE job = (SELECT max(job) FROM outflow.jobs WHERE state = 'running')", 'all parts are there');
like(export('t', $lake), qr/is in use by export job/, 'one job at a time');
like(run_sql($node, "SELECT * FROM outflow.lake_vacuum('file://$lake')"), qr/is in use/, 'and no vacuum meanwhile');
# another writer is faster
append_to_file("$lake/_delta_log/00000000000000000004.json",
	qq({"commitInfo":{"timestamp":1,"operation":"OPTIMIZE","engineInfo":"Other/1"}}\n{"add":{"path":"x","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}\n));
release_exports($node);
$session->finish;
wait_until($node, "SELECT state = 'failed' FROM outflow.jobs WHERE job = (SELECT max(job) FROM outflow.jobs)", 'the job ends');
like($node->safe_psql('postgres', 'SELECT error FROM outflow.jobs WHERE job = (SELECT max(job) FROM outflow.jobs)'),
	qr/version 4 of the Delta table in ".*" is not of an export of table public\.t/, 'the foreign version is named');
is(lake_last($lake), 4, 'and stays the last one');
my @before = lake_files($lake);
$node->safe_psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs');
isnt(scalar(@before), 0, 'there are files');
is_deeply([ sort map { $_->{path} } map { @{ delta_version($lake, $_)->{add} } } 0 .. 3 ],
	[ sort(lake_files($lake), $old) ], 'forget leaves the files of versions, and no others');
like(export('t', $lake), qr/Operation "OPTIMIZE" of "Other\/1" has made it/, 'the next call says whose it is');
unlike(export('t', $lake, q(options => '{"overwrite": true}')), qr/ERROR/, 'unless it is to be replaced');
is_deeply([ grep { $_ eq 'x' } map { $_->{path} } @{ delta_version($lake, 5)->{remove} } ], ['x'], 'with its files');

# whatever is said of a table without changing it
append_to_file("$lake/_delta_log/00000000000000000006.json", qq({"commitInfo":{"timestamp":1,"operation":"VACUUM START","engineInfo":"Other/1"}}\n));
unlike(export('t', $lake), qr/ERROR/, 'a vacuum of others is no stranger');
unlink("$lake/_delta_log/00000000000000000002.json");
like(export('t', $lake), qr/is not complete/, 'a log with a gap is refused');

# rights
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
foreach my $call ('lake_versions', 'lake_vacuum')
{
	like(run_sql($node, "SET ROLE nobody; SELECT * FROM outflow.$call('file://$lake')"), qr/permission denied/, "$call needs rights");
}
like(run_sql($node, "SELECT * FROM outflow.lake_versions('file://$dir/both')"), qr/there is no lake table/, 'what is no table');

# a table that has got another name, and so another folder
$node->safe_psql('postgres', 'CREATE SCHEMA s; CREATE TABLE s.a AS SELECT i AS id FROM generate_series(1, 500) i');
unlike(run_sql($node, "CALL outflow.export_schema('s', 'file://$dir/names', format => 'delta')"), qr/ERROR/, 'a schema');
$node->safe_psql('postgres', 'ALTER TABLE s.a RENAME TO b');
unlike(run_sql($node, "CALL outflow.export_schema('s', 'file://$dir/names', format => 'delta')"), qr/ERROR/, '... with a table renamed');
ok(-e "$dir/names/s.b/$_->{path}", 'its version names files of its folder') foreach @{ delta_version("$dir/names/s.b", 0)->{add} };
unlike(run_sql($node, "CALL outflow.export('s.b', 'file://$dir/alone', format => 'delta')"), qr/ERROR/, 'a table alone');
unlike(run_sql($node, "CALL outflow.export_tables('{s.b}', 'file://$dir/alone', format => 'delta')"), qr/ERROR/, '... and among many, in the same place');
ok(-e "$dir/alone/s.b/$_->{path}", 'has files of its own folder, too') foreach @{ delta_version("$dir/alone/s.b", 0)->{add} };

$node->stop;
done_testing();
