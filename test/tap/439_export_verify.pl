# Promise: verify() judges all that lies in an export, and all that should, in a
# row each: nothing that was changed, emptied, made unreadable or taken away is
# called ok, and none of it is an error.  Neither verify nor forget of a finished
# job asks for what settings allow by now.
use strict;
use warnings;

use OutflowTest;
use File::Copy ();
use File::Path ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('verify');
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# bad(JOB): what verify() finds, but for what is ok
sub bad { return sql("SELECT file, status FROM outflow.verify($_[0]) WHERE status <> 'ok' ORDER BY file COLLATE \"C\""); }

sub all { return sql("SELECT file FROM outflow.verify($_[0]) ORDER BY file COLLATE \"C\""); }

sql('CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 20000) AS g; VACUUM t');
sql('CREATE TABLE u AS SELECT 1 AS id');
sql("CALL outflow.export('t', 'file://$dir/one', part_size => '512kB')");
my $one = sql('SELECT max(job) FROM outflow.jobs');
sql("CALL outflow.export_tables('{t,u}', 'file://$dir/many', part_size => '512kB')");
my $many = sql('SELECT max(job) FROM outflow.jobs');
sql("CALL outflow.export('t', 'file://$dir/refers', part_size => '512kB', base => $one, options => '{\"carry\": \"reference\"}')");
my $refers = sql('SELECT max(job) FROM outflow.jobs');

is(all($one), join("\n", sort(files_below("$dir/one"))), 'one table: a row for each file');
is(all($many), join("\n", sort(files_below("$dir/many"))), 'many tables: the same');
is(bad($_), '', 'all of it is ok') foreach $one, $many, $refers;

my $manifest = slurp_file("$dir/one/_manifest.json");
foreach my $case (
	[ 'one', $one, '_manifest.json', sub { replace_file($_[0], $manifest =~ s/"rows": 20000/"rows": 20001/r) }, 'wrong checksum' ],
	[ 'one', $one, '_manifest.json', sub { replace_file($_[0], '') }, 'wrong checksum' ],
	[ 'one', $one, '_manifest.json', sub { replace_file($_[0], "$manifest ") }, 'wrong checksum' ],
	[ 'one', $one, '_manifest.json', sub { unlink $_[0] }, 'missing' ],
	[ 'one', $one, '_manifest.json', sub { chmod 0, $_[0] }, 'unreadable' ],
	[ 'one', $one, '_manifest.json', sub { unlink $_[0]; mkdir $_[0] }, 'missing' ],
	[ 'one', $one, '_SUCCESS', sub { replace_file($_[0], 'x') }, 'wrong size' ],
	[ 'one', $one, '_SUCCESS', sub { unlink $_[0] }, 'missing' ],
	[ 'one', $one, '_SUCCESS', sub { chmod 0, $_[0] }, 'unreadable' ],
	[ 'one', $one, 'part-000001.csv', sub { chmod 0, $_[0] }, 'unreadable' ],
	[ 'one', $one, 'part-000001.csv', sub { replace_file($_[0], '') }, 'wrong size' ],
	[ 'one', $one, 'part-000001.csv', sub { unlink $_[0]; symlink 'part-000000.csv', $_[0] }, 'missing' ],
	[ 'many', $many, '_manifest.json', sub { replace_file($_[0], '{}') }, 'wrong checksum' ],
	[ 'many', $many, 'public.u/_manifest.json', sub { replace_file($_[0], '{}') }, 'wrong checksum' ],
	[ 'many', $many, 'public.t/part-000000.csv', sub { chmod 0, $_[0] }, 'unreadable' ])
{
	my ($directory, $job, $name, $harm, $verdict) = @$case;
	my $file = "$dir/$directory/$name";

	File::Copy::copy($file, "$dir/saved") or die;
	$harm->($file);
	is(bad($job), "$name|$verdict", "$directory/$name: $verdict");
	chmod 0600, $file;
	-d $file && !-l $file ? rmdir $file : unlink $file;
	File::Copy::copy("$dir/saved", $file) or die;
	is(bad($job), '', "$directory/$name: ok again");
}

# files too many
append_to_file("$dir/one/.hidden", 'x');
mkdir "$dir/one/.outflow-00000000-0000-0000-0000-000000000000";
append_to_file("$dir/one/part-000099.csv", 'x');
mkdir "$dir/one/sub";
is(bad($one), ".hidden|left over\n.outflow-00000000-0000-0000-0000-000000000000|left over\npart-000099.csv|left over\nsub|left over",
	'what should not be there has a row each');
PostgreSQL::Test::Utils::system_or_bail('sh', '-c', "cd '$dir/one' && rm -r .hidden .outflow-* part-000099.csv sub");

# names of others' files are for those who may export there
sql('CREATE ROLE al IN ROLE pg_write_server_files; GRANT SELECT ON u TO al; ALTER ROLE al LOGIN');
my $als = sql("SET SESSION AUTHORIZATION al; CALL outflow.export('u', 'file://$dir/als')");
is(sql("SET ROLE al; SELECT DISTINCT status FROM outflow.verify($als)"), 'ok', 'the owner verifies');
sql('REVOKE pg_write_server_files FROM al');
like(($node->psql('postgres', "SET ROLE al; SELECT FROM outflow.verify($als)"))[2], qr/permission denied to export to files of the server/,
	'... as long as they may export there');

# directories that can't be read, or are gone
my $count = sql("SELECT count(*) FROM outflow.verify($one)");
foreach my $case (
	[ sub { chmod 0, "$dir/one" }, 'unreadable' ],
	[ sub { chmod 0400, "$dir/one" }, 'unreadable' ],
	[ sub { rename "$dir/one", "$dir/away" }, 'missing' ],
	[ sub { rename "$dir/one", "$dir/away"; append_to_file("$dir/one", 'a file') }, 'missing' ])
{
	my ($harm, $verdict) = @$case;

	$harm->();
	is(sql("SELECT status, count(*) >= $count FROM outflow.verify($one) WHERE status <> 'left over' GROUP BY 1"), "$verdict|t", "a directory is $verdict: a row for each file");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($refers) WHERE file LIKE '/%'"), $verdict,
		'so are files that are referred to');
	unlink "$dir/one" if -f "$dir/one";
	rename "$dir/away", "$dir/one" if -e "$dir/away";
	chmod 0700, "$dir/one";
	is(bad($one), '', 'ok again');
}
rename "$dir/many/public.t", "$dir/away";
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($many) WHERE file LIKE 'public.t/%'"), 'missing', 'a folder is missing');
mkdir "$dir/many/public.t", 0;
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($many) WHERE file LIKE 'public.t/%'"), 'unreadable', 'a folder is unreadable');
rmdir "$dir/many/public.t";
rename "$dir/away", "$dir/many/public.t";
is(bad($many), '', 'ok again');

# a job of before knew no sum of its manifest
sql("UPDATE outflow.source SET manifest = NULL WHERE job = $one");
is(bad($one), '', 'without a sum: a manifest that names the job is ok');
rename "$dir/one/_manifest.json", "$dir/one/manifest.json" or die;
is(bad($one), '', 'and so is one by the name of before');
sql("CALL outflow.export('t', 'file://$dir/carried', part_size => '512kB', base => $one)");
is(sql("SELECT parts_carried = parts_total FROM outflow.jobs ORDER BY job DESC LIMIT 1"), 't', 'whose parts are carried');
rename "$dir/one/manifest.json", "$dir/one/_manifest.json" or die;
replace_file("$dir/one/_manifest.json", slurp_file("$dir/refers/_manifest.json"));
is(bad($one), '_manifest.json|wrong content', "without a sum: another job's is not");
replace_file("$dir/one/_manifest.json", $manifest);

# what settings allow by now
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.export_root = '$dir/elsewhere'");
$node->reload;
is(bad($_), '', 'verify of a finished job outside of the export root') foreach $one, $many, $refers;
hold_exports($node, 1);
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.export_root = '$dir'");
$node->reload;
my $open = sql("SELECT outflow.export_start('t', 'file://$dir/open', part_size => '512kB')");
$node->poll_query_until('postgres', "SELECT parts_done >= 1 FROM outflow.jobs WHERE job = $open") or die;
sql("SELECT outflow.cancel($open)");
$node->poll_query_until('postgres', "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $open") or die;
release_exports($node);
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.export_root = '$dir/elsewhere'");
$node->reload;
is(bad($open), '', 'and of one that is not finished');

# one that is to replace an older export, whose files have the same names
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.export_root = '$dir'");
$node->reload;
sql("CALL outflow.export('t', 'file://$dir/twice', part_size => '512kB')");
sql("UPDATE t SET t = 'another'");
hold_publications($node);
my $twice = sql("SELECT outflow.export_start('t', 'file://$dir/twice', part_size => '512kB', options => '{\"overwrite\": true}')");
wait_until($node, "SELECT parts_done = parts_total FROM outflow.jobs WHERE job = $twice", 'all parts');
is(bad($twice), '', 'before it replaces an older export, its own parts are looked at');
sql("SELECT outflow.cancel($twice)");
wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $twice", 'the end');
release_exports($node);
my $moment = "SELECT snapshot FROM outflow.jobs WHERE job = $twice";
my $taken = sql($moment);
sql('UPDATE u SET id = 2');
sql("CALL outflow.resume($twice)");
is(sql($moment), $taken, 'resume only publishes them');
is(bad($twice), '', 'as they are');

sql("SELECT outflow.forget(job) FROM outflow.jobs");
is(sql('SELECT count(*) FROM outflow.jobs'), 0, 'forget works there, too');
is(join(' ', files_below("$dir/open")), '', 'and removes what was not finished');
ok(-f "$dir/one/_SUCCESS", 'and nothing that was');

done_testing();
