# Promise: what forget, resume and overwrite remove or replace is this server's
# own and this job's, proven by the manifest and by each file's sum; a copy of
# the server touches nothing of what the original does.
use strict;
use warnings;

use OutflowTest;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('owner');
my $dir = new_export_dir();

sub sql { return $node->safe_psql($_[1] || 'postgres', $_[0]); }

# says(SQL, NODE, DATABASE): errors, warnings and notices
sub says
{
	my ($sql, $where, $database) = @_;
	my ($out, $err);

	($where || $node)->psql($database || 'postgres', $sql, stdout => \$out, stderr => \$err);
	return $err;
}

# all that is below a directory, with its content
sub tree { return join("\n", map { "$_: " . slurp_file("$_[0]/$_") } sort(files_below($_[0]))); }

sub hidden_of { return (glob "$_[0]/.outflow-*")[0]; }

sub export_of
{
	my ($name, %with) = @_;
	my $options = $with{options} || '{}';

	return "CALL outflow.export('t', 'file://$dir/$name', part_size => '128kB', options => '$options'"
	  . ($with{more} || '') . ")";
}

sub last_job { return sql('SELECT max(job) FROM outflow.jobs', $_[0]); }

# failed_in_publication(NAME): all parts are finished, and one of them can't get
# its name, since something that is no file has it
sub failed_in_publication
{
	my ($name, $options) = @_;

	hold_publications($node);
	my $job = sql("SELECT outflow.export_start('t', 'file://$dir/$name', part_size => '128kB', options => '" . ($options || '{}') . "')");
	$node->poll_query_until('postgres', "SELECT parts_done = parts_total FROM outflow.jobs WHERE job = $job") or die;
	mkdir "$dir/$name/part-000002.csv" or die;
	release_exports($node);
	$node->poll_query_until('postgres', "SELECT state = 'failed' FROM outflow.jobs WHERE job = $job") or die;
	rmdir "$dir/$name/part-000002.csv" or die;
	return $job;
}

sql('CREATE DATABASE other');
foreach my $database ('postgres', 'other')
{
	sql('CREATE EXTENSION outflow', $database) if $database eq 'other';
	sql("CREATE TABLE t AS SELECT g AS id, '$database' AS d FROM generate_series(1, 60000) AS g; VACUUM t", $database);
}

#
# A job that failed in publication
#
my $job = failed_in_publication('failed');
ok(-f "$dir/failed/part-000001.csv", 'some parts have their names');
sql("SELECT outflow.forget($job)");
is(tree("$dir/failed"), '', 'forget removes its own');

$job = failed_in_publication('changed');
replace_file("$dir/changed/part-000001.csv", 'mine');
append_to_file("$dir/changed/notes", 'too');
sql("SELECT outflow.forget($job)");
is(tree("$dir/changed"), "notes: too\npart-000001.csv: mine", 'forget leaves what is not what it wrote');

$job = failed_in_publication('moved_in');
PostgreSQL::Test::Utils::system_or_bail('rm', '-r', "$dir/moved_in");
sql(export_of('moved_in'), 'other');
my $others = tree("$dir/moved_in");
like(says("CALL outflow.resume($job)"), qr/is not empty/, 'resume refuses a directory that is another export by now');
is(tree("$dir/moved_in"), $others, 'and leaves it as it was');
sql("SELECT outflow.forget($job)");
is(tree("$dir/moved_in"), $others, "forget leaves another database's finished export");
is(sql("SELECT count(*) FROM outflow.verify(1) WHERE status <> 'ok'", 'other'), 0, 'which stands verification');

# the same, the hidden directory kept
$job = failed_in_publication('mixed');
PostgreSQL::Test::Utils::system_or_bail('sh', '-c', "rm '$dir/mixed'/*; cp '$dir/moved_in'/* '$dir/mixed'");
sql("SELECT outflow.forget($job)");
is(tree("$dir/mixed"), $others, 'the same beside its own hidden directory');


#
# overwrite
#
my $theirs = qr/WARNING:  "overwrite" leaves what is not known to be part of an export of this database\nDETAIL:  In directory ".*": /;
sql(export_of('spark', options => '{"overwrite": true}'));
replace_file("$dir/spark/part-00000-c000.snappy.parquet", 'PAR1');
replace_file("$dir/spark/part-999999.csv", 'x');
mkdir "$dir/spark/other.dir";
replace_file("$dir/spark/other.dir/_manifest.json", '{}');
replace_file("$dir/spark/other.dir/part-0.csv", 'x');
my $strangers = tree("$dir/spark") =~ s/^(?!other|part-00000-|part-999999).*\n?//mgr;
like(says(export_of('spark', options => '{"overwrite": true}')),
	qr/$theirs"other\.dir", "part-00000-c000\.snappy\.parquet", "part-999999\.csv"\.$/m, "overwrite names what is another tool's");
ok(-f "$dir/spark/_SUCCESS", 'and replaces the export');
foreach my $line (split /\n/, $strangers)
{
	my ($file, $text) = split /: /, $line;

	is(slurp_file("$dir/spark/$file"), $text, "overwrite leaves $file");
}
is(sql('SELECT count(*) FROM outflow.verify(' . last_job() . ") WHERE status NOT IN ('ok', 'left over')"), 0, 'it is whole');

# fewer parts: none of the older export's is left
sql("CALL outflow.export('t', 'file://$dir/spark', part_size => '1MB', options => '{\"overwrite\": true}')");
is(sql('SELECT count(*) FROM outflow.verify(' . last_job() . ") WHERE file LIKE 'part-%' AND status = 'left over'"), 2,
	'of the older export no part is left');

foreach my $case (
	[ 'foreign_manifest', sub { replace_file("$_[0]/_manifest.json", '{"parts": []}') } ],
	[ 'edited_system', sub { replace_file("$_[0]/_manifest.json", slurp_file("$dir/spark/_manifest.json") =~ s/("system_identifier": ")/${1}1/r) } ],
	[ 'foreign_mark', sub { replace_file("$_[0]/_SUCCESS", '') } ],
	[ 'mark_with_content', sub { replace_file("$_[0]/_manifest.json", slurp_file("$dir/spark/_manifest.json")); replace_file("$_[0]/_SUCCESS", 'x') } ])
{
	my ($name, $make) = @$case;

	mkdir "$dir/$name";
	$make->("$dir/$name");
	my $before = tree("$dir/$name");
	like(says(export_of($name, options => '{"overwrite": true}')), qr/not known to be an export of this database/, "$name: overwrite is refused");
	is(tree("$dir/$name"), $before, "$name: nothing is changed");
}

# an export in what would be a table's folder is one of its own, whoever's the directory above is
my $many = "CALL outflow.export_tables('{t}', 'file://$dir/many', options => '{\"overwrite\": true}')";
foreach my $above ('nothing', 'an export of one table', 'an export of several tables')
{
	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', "$dir/many");
	sql($above =~ /one/ ? export_of('many') : $many) if $above ne 'nothing';
	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', "$dir/many/public.t");
	sql(export_of('many/public.t'));
	my $inner = last_job();
	my $before = tree("$dir/many");
	like(says($many), qr{ERROR: .*directory ".*/many/public\.t" holds another export$}m, "above it is $above: overwrite is refused");
	is(tree("$dir/many"), $before, "above it is $above: nothing is changed");
	my $said = says(export_of('many', options => '{"overwrite": true}'));
	if ($above eq 'nothing')
	{
		# who waits there would keep everybody from what lies below
		like($said, qr{ERROR: .*directory ".*/many" holds other directories, but no export that "overwrite" would replace\nDETAIL:  It holds "public\.t"\.\nHINT:}, 'above it is nothing: one table\'s export is refused, too');
		is(tree("$dir/many"), $before, 'and nothing is changed');
	}
	else
	{
		like($said, qr/$theirs"public\.t"\.$/m, "above it is $above: one table's export leaves it, and says so");
	}
	is(sql("SELECT DISTINCT status FROM outflow.verify($inner)"), 'ok', "above it is $above: it is whole");
}
PostgreSQL::Test::Utils::system_or_bail('rm', '-r', "$dir/many");
sql($many) for 1, 2;
is(sql('SELECT DISTINCT status FROM outflow.verify(' . last_job() . ')'), 'ok', 'its own folders are replaced');

# a part that was changed is somebody's: nothing is removed
sql(export_of('kept'));
replace_file("$dir/kept/part-000001.csv", 'mine');
unlike(my $said = says(export_of('kept', options => '{"overwrite": true}')), qr/PANIC/, 'a part was changed');
like($said, qr/ERROR: .*file ".*part-000001\.csv" already exists/, 'which is named');
is(slurp_file("$dir/kept/part-000001.csv"), 'mine', 'and kept');
ok(-f "$dir/kept/part-000000.csv" && -f "$dir/kept/_SUCCESS", 'with all the others');
unlink "$dir/kept/part-000001.csv";
unlike(says('CALL outflow.resume(' . last_job() . ')'), qr/ERROR/, 'resume replaces the rest once it is gone');
is(sql('SELECT count(*) FROM outflow.verify(' . last_job() . ") WHERE status <> 'ok'"), 0, 'and is whole');

#
# References
#
sql(export_of('base'));
my $base = last_job();
sql(export_of('refers', options => '{"carry": "reference"}', more => ", base => $base"));
my $refers = last_job();
my $before = tree("$dir/base");
like(says(export_of('base', options => '{"overwrite": true}')), qr/holds files of export job $refers\b/,
	'what another export refers to is not replaced');
sql("SELECT outflow.forget($base)");
like(says(export_of('base', options => '{"overwrite": true}')), qr/holds files of export job $refers\b/, 'nor when its own job is forgotten');
is(tree("$dir/base"), $before, 'it is as it was');
like(says(export_of('base', options => '{"overwrite": true}'), undef, 'other'),
	qr/holds something that is not known to be an export of this database/, 'nor from another database, which can\'t know');
is(tree("$dir/base"), $before, 'it is still as it was');
sql("SELECT outflow.forget($refers)");
unlike(says(export_of('base', options => '{"overwrite": true}')), qr/ERROR/, 'without the other job it may go');

# the same in a table's folder, which is part of an export alone
my $whole = sql("CALL outflow.export_tables('{t}', 'file://$dir/whole', part_size => '128kB')");
$refers = sql("CALL outflow.export_tables('{t}', 'file://$dir/of_whole', part_size => '128kB', base => $whole, options => '{\"carry\": \"reference\"}')");
is(sql("SELECT bool_and(file LIKE '%/whole/public.t/part-%') FROM outflow.parts WHERE job = $refers"), 't', 'files of a folder are referred to');
$before = tree("$dir/whole");
my $to_folder = export_of('whole/public.t', options => '{"overwrite": true}');
like(says($to_folder), qr/holds files of export job $refers\b/, 'a folder whose files are referred to is not replaced');
sql("SELECT outflow.forget($refers)");
like(says($to_folder), qr/ERROR: .*is a table's folder of export job $whole$/m, 'nor is a folder of an export that is there');
like(says("CALL outflow.export('t', 'file://$dir/whole/public.t', workers => 0, options => '{\"overwrite\": true}')"),
	qr/ERROR: .*is a table's folder of export job $whole$/m, 'nor within the session');
is(tree("$dir/whole"), $before, 'it is as it was');
unlike(says("CALL outflow.export_tables('{t}', 'file://$dir/whole', options => '{\"overwrite\": true}')"), qr/ERROR|WARNING/, 'the whole export is replaced');
sql('SELECT outflow.forget(' . last_job() . ')');
unlike(says($to_folder), qr/ERROR/, 'what no job has is not kept');
is(sql('SELECT DISTINCT status FROM outflow.verify(' . last_job() . ')'), 'ok', 'and the new one is whole');

#
# A copy of the server
#
sql(export_of('finished'));
sql(export_of('finished_too'));
my $finished = last_job();
my $late = failed_in_publication('late');
my $renewed = failed_in_publication('renewed');
hold_exports($node, 2);
$job = sql("SELECT outflow.export_start('t', 'file://$dir/copied', part_size => '128kB')");
my $idle = sql("SELECT outflow.export_start('t', 'file://$dir/idle', part_size => '128kB')");
$node->poll_query_until('postgres', "SELECT min(parts_done) >= 2 FROM outflow.jobs WHERE job IN ($job, $idle)") or die;
$node->backup('copy');
sql("SELECT outflow.cancel($idle)");
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'copy');
$copy->start;
my $not_ours = qr/ERROR: .*is not known to be this server's/;
my $in_use = qr/ERROR: .*is in use by another process/;
foreach my $call ("SELECT outflow.forget($job)", "CALL outflow.resume($job)")
{
	like(says($call, $copy), $in_use, "a copy of a server whose job runs: $call");
}
$node->poll_query_until('postgres',
	"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query ~ '^outflow job $idle\\M')")
  or die;
my $left = tree("$dir/idle");
foreach my $call ("SELECT outflow.forget($idle)", "CALL outflow.resume($idle)")
{
	like(says($call, $copy), $not_ours, "a copy of a server whose job rests: $call");
}
is(tree("$dir/idle"), $left, 'nothing of it has changed');
release_exports($node);
$node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = $job") or die;
is(sql("SELECT count(*) FROM outflow.verify($job) WHERE status <> 'ok'"), 0, 'the original ends, and is whole');
# two of which all parts were done when the copy was made; one of them is a newer
# export with the same files by now
sql("CALL outflow.resume($late)");
sql("CALL outflow.resume($renewed)");
sql(export_of('renewed', options => '{"overwrite": true}'));
foreach my $case ([ $late, 'late', qr/ERROR: .*another server or database has finished export job $late$/m ],
	[ $renewed, 'renewed', qr/ERROR: .*destination ".*" is not empty/ ])
{
	my ($id, $name, $error) = @$case;

	$others = tree("$dir/$name");
	like(says("CALL outflow.resume($id)", $copy), $error, "a copy does not resume what the original finished: $name");
	is(tree("$dir/$name"), $others, '... which is as it was');
	says("SELECT outflow.forget($id)", $copy);
	is(tree("$dir/$name"), $others, '... also when the copy has forgotten it');
}

$others = tree("$dir/copied");
says($_, $copy) foreach "CALL outflow.resume($job)", "SELECT outflow.forget($job)";
is(tree("$dir/copied"), $others, 'after that the copy changes nothing either');

# nor what the original finished before or after that
release_exports($copy);
foreach my $name ('finished', 'copied')
{
	$others = tree("$dir/$name");
	like(says(export_of($name, options => '{"overwrite": true}'), $copy),
		qr/ERROR: .*holds something that is not known to be an export of this database/, "a copy does not replace $name");
	is(tree("$dir/$name"), $others, '... which is as it was');
}
like(says("SELECT outflow.prune('file://$dir/finished', 1)", $copy), qr/stays\nDETAIL:  A server with the same past has written it/,
	'a copy does not remove what the original wrote');
ok(-f "$dir/finished/_SUCCESS", '... which is there');
is($copy->safe_psql('postgres', "SELECT DISTINCT status FROM outflow.verify($finished)"), 'ok', 'it may verify it');
unlike(says("CALL outflow.export('t', 'file://$dir/of_copy', part_size => '128kB', base => $finished)", $copy), qr/ERROR/, 'and take it as a base');
$copy->stop;

# a restart is the same server
$node->restart;
unlike(says("CALL outflow.resume($idle)"), qr/ERROR/, 'the original resumes, also when it was restarted');
is(sql("SELECT parts_carried > 0 FROM outflow.jobs WHERE job = $idle"), 't', 'with what it had');
is(sql("SELECT count(*) FROM outflow.verify($idle) WHERE status <> 'ok'"), 0, 'and is whole');

unlike(says(export_of('finished', options => '{"overwrite": true}')), qr/ERROR|WARNING/, 'and replaces what it finished');

# what is not as it was written is not published, and exported again
foreach my $attack (
	sub { POSIX::mkfifo($_[0], oct('600')) or die },
	sub { symlink "$dir/finished/part-000000.csv", $_[0] or die },
	sub { replace_file($_[0], 'x') })
{
	my $name = 'staged' . ++$base;

	hold_publications($node);
	$job = sql("SELECT outflow.export_start('t', 'file://$dir/$name', part_size => '128kB')");
	$node->poll_query_until('postgres', "SELECT parts_done = parts_total FROM outflow.jobs WHERE job = $job") or die;
	my $staged = hidden_of("$dir/$name") . '/part-000001.csv';
	unlink $staged or die;
	$attack->($staged);
	release_exports($node);
	$node->poll_query_until('postgres', "SELECT state = 'failed' FROM outflow.jobs WHERE job = $job") or die;
	like(sql("SELECT error FROM outflow.jobs WHERE job = $job"), qr/part-000001\.csv" is not the one that the export wrote/,
		"$name: a finished part is exchanged before publication");
	like(says("CALL outflow.resume($job)"), qr/its file is missing or was changed \(1\)/, '... and exported again');
	is(sql("SELECT count(*) FROM outflow.verify($job) WHERE status <> 'ok'"), 0, '... to a whole export');
}

# a directory without an owner, and one with a changed one
foreach my $attack (sub { unlink $_[0] or die }, sub { replace_file($_[0], "x\n") }, sub { unlink $_[0]; symlink '/dev/null', $_[0] or die })
{
	my $name = 'attack' . ++$base;

	hold_exports($node, 2);
	$job = sql("SELECT outflow.export_start('t', 'file://$dir/$name', part_size => '128kB')");
	$node->poll_query_until('postgres', "SELECT parts_done >= 2 FROM outflow.jobs WHERE job = $job") or die;
	sql("SELECT outflow.cancel($job)");
	$node->poll_query_until('postgres', "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job") or die;
	release_exports($node);
	my $hidden = hidden_of("$dir/$name");
	$attack->("$hidden/_owner");
	like(says($_), $not_ours, "$name: $_") foreach "CALL outflow.resume($job)", "SELECT outflow.forget($job)";
	PostgreSQL::Test::Utils::system_or_bail('rm', '-r', $hidden);
	sql("SELECT outflow.forget($job)");
	is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $job"), 0, "$name: it may be forgotten without");
}

done_testing();
