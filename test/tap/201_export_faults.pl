# Promise: a fault ends in a clear error or in a job that can be resumed, and
# what was written is never taken for more than it is.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# room for one job with two workers, and the launcher
my $node = new_outflow_node('faults', conf => "max_worker_processes = 4\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# fails(CALL, PATTERN, WHAT)
sub fails
{
	my ($call, $pattern, $what) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $call);

	like($err, $pattern, $what);
	return;
}

sub last_job
{
	return sql('SELECT coalesce(max(job), 0) FROM outflow.jobs');
}

# background(SQL): a session that runs it
sub background
{
	my ($command) = @_;
	my $output = '';

	return (IPC::Run::start(
			[ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', $command ],
			'>', \$output, '2>', \$output), \$output);
}

sub set_rate
{
	sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '$_[0]'");
	sql('SELECT pg_reload_conf()');
	return;
}

# begun(SQL): a session that runs an export, once some of its parts are done
sub begun
{
	my ($command) = @_;
	my $before = last_job();
	my ($session, $said) = background($command);

	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM outflow.jobs WHERE job > $before"
		  . " AND state = 'running' AND parts_done > 0")
	  or die "no export: $$said";
	return ($session, last_job());
}

sub state_becomes
{
	my ($job, $state) = @_;

	return $node->poll_query_until('postgres',
		"SELECT state = '$state' FROM outflow.jobs WHERE job = $job");
}

sql('CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t'
	  . ' FROM generate_series(1, 150000) AS g');

#
# Places that can't be written to
#
mkdir "$dir/closed";
chmod 0500, "$dir/closed";
fails("CALL outflow.export('t', 'file://$dir/closed')",
	qr/Permission denied/, 'a directory without write permission');
mkdir "$dir/real";
symlink "$dir/real", "$dir/link";
fails("CALL outflow.export('t', 'file://$dir/link')",
	qr/is a symbolic link/, 'a symbolic link');
my $data = $node->data_dir;
fails("CALL outflow.export('t', 'file://$data/export')",
	qr/cannot hold exports/, 'the data directory');
mkdir "$dir/space";
sql("CREATE TABLESPACE space LOCATION '$dir/space'");
fails("CALL outflow.export('t', 'file://$dir/space/export')",
	qr/cannot hold exports/, 'a tablespace');
mkdir "$dir/full";
append_to_file("$dir/full/precious", "mine\n");
fails("CALL outflow.export('t', 'file://$dir/full')",
	qr/is not empty.*holds "precious"/s, 'a directory that is not empty');
is(slurp_file("$dir/full/precious"), "mine\n", 'whose file stays as it was');
is(sql('SELECT count(*) FROM outflow.jobs'), '0', 'no job was made of these');

#
# A disk without room: no file may grow beyond a WAL segment.  The table is
# smaller than that, since its values are compressed.
#
my $postmaster = (split(/\n/, slurp_file("$data/postmaster.pid")))[0];
sql('CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 100) AS t'
	  . ' FROM generate_series(1, 20000) AS g');
system_or_bail('prlimit', "--pid=$postmaster", '--fsize=17000000:unlimited');
fails("CALL outflow.export('big', 'file://$dir/disk')",
	qr/export job \d+ failed: could not write to file.*outflow\.resume\(\d+\)/s,
	'no room: says what failed and what to do');
system_or_bail('prlimit', "--pid=$postmaster", '--fsize=unlimited:unlimited');
my $job = last_job();
is(sql("SELECT state, error LIKE 'could not write%', finished IS NOT NULL"
		  . " FROM outflow.jobs WHERE job = $job"),
	'failed|t|t', 'no room: failed, with the error');
is(sql("SELECT state, error LIKE 'could not write%', attempts"
		  . " FROM outflow.parts WHERE job = $job"),
	'failed|t|1', 'and so is the part');
my $owner = slurp_file((glob "$dir/disk/.outflow-*/_owner")[0]);
is(join(' ', grep { !m{/_owner$} } files_below("$dir/disk")), '', 'no room: nothing was written');
sql("CALL outflow.resume($job)");
ok(exported_parts("$dir/disk") eq table_as_csv($node, 'big', $dir), 'with room again: resumed and whole');

#
# One place, one job; room for one job at a time
#
set_rate('1MB');
my ($first, $first_job) = begun(
	"CALL outflow.export('t', 'file://$dir/first', part_size => '128kB')");
fails("CALL outflow.export('t', 'file://$dir/first')",
	qr/is in use by export job $first_job/,
	'another job to the same place is refused');
fails("CALL outflow.resume($first_job)",
	qr/is running/, 'a second run of a running job is refused');
fails("SELECT outflow.forget($first_job)",
	qr/is running/, 'a running job is not forgotten');

# the rest must wait, and says for what
sql("CREATE TABLE moved (id int, t text);"
	  . "INSERT INTO moved SELECT g, 'old' FROM generate_series(1, 1000) AS g");
my ($second, $said) = background(
	"CALL outflow.export('moved', 'file://$dir/second')");
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM outflow.jobs WHERE job > $first_job"
		  . " AND state = 'queued' AND waiting_for ~ 'background worker'"),
	'no free worker: queued, and the row says so');
my $second_job = last_job();
my ($third) = background("CALL outflow.export('t', 'file://$dir/third')");
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM outflow.jobs WHERE job > $second_job"
		  . " AND state = 'queued' AND waiting_for IS NOT NULL"),
	'so is a third');
my $third_job = last_job();
is(sql("SELECT outflow.cancel($third_job)"), 't', 'a queued job is cancelled');
$third->finish;
is(sql("SELECT state FROM outflow.jobs WHERE job = $third_job"),
	'interrupted', 'and is interrupted');

# rewritten between submission and start
sql("BEGIN; TRUNCATE moved;"
	  . "INSERT INTO moved SELECT g, 'new' FROM generate_series(1, 5000) AS g;"
	  . "COMMIT; VACUUM FULL moved");
set_rate(0);
$first->finish;
ok(state_becomes($second_job, 'done'), 'the queued job starts in time');
$second->finish;
like($$said, qr/is queued.*waits for a free background worker/s,
	'the waiting session was told');
ok(exported_parts("$dir/second") eq table_as_csv($node, 'moved', $dir),
	'a table rewritten meanwhile is exported whole');
ok(exported_parts("$dir/first") eq table_as_csv($node, 't', $dir), 'the first job was not disturbed');
sql("CALL outflow.resume($third_job)");
ok(exported_parts("$dir/third") eq table_as_csv($node, 't', $dir), 'the cancelled one is resumed');

#
# Who wants the table meanwhile
#
my $before = table_as_csv($node, 't', $dir);
set_rate('1MB');
my $export;
($export, $job) = begun("CALL outflow.export('t', 'file://$dir/locked',"
	  . " part_size => '128kB', workers => 1)");
my ($alter) = background('ALTER TABLE t ADD COLUMN more int DEFAULT 1');
ok($node->poll_query_until('postgres',
		"SELECT waiting_for ~ 'waits for AccessExclusiveLock on .*, blocked by this job'"
		  . " FROM outflow.jobs WHERE job = $job"),
	'the job knows which process it blocks');
set_rate(0);
ok(state_becomes($job, 'done'), 'a queued ALTER TABLE does not hang the job');
$export->finish;
$alter->finish;
is(sql('SELECT DISTINCT more FROM t'), '1', 'the ALTER TABLE comes after it');
ok(exported_parts("$dir/locked") eq $before, 'the export is the table as it was');

# the extension itself: not under a running job
set_rate('1MB');
($export, $job) = begun("CALL outflow.export('t', 'file://$dir/dropped',"
	  . " part_size => '128kB', workers => 1)");
fails("SET lock_timeout = '200ms'; DROP EXTENSION outflow",
	qr/lock timeout/, 'DROP EXTENSION waits for a running job');
set_rate(0);
$export->finish;
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"),
	'done', 'which ends well');

#
# Publication that a crash cut in two is completed, without reading the table
#
sql("CALL outflow.export('t', 'file://$dir/cut', part_size => '128kB')");
$job = last_job();
my $uuid = sql("SELECT uuid FROM outflow.job WHERE job = $job");
my $hidden = "$dir/cut/.outflow-$uuid";
my $whole = exported_parts("$dir/cut");
mkdir $hidden, 0700;
append_to_file("$hidden/_owner", $owner =~ s/^\S+/$uuid/r);
rename "$dir/cut/part-000001.csv", "$hidden/part-000001.csv";
unlink "$dir/cut/_SUCCESS", "$dir/cut/_manifest.json";
sql("UPDATE outflow.job SET state = 'running' WHERE job = $job");
sql('UPDATE t SET t = NULL');
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"),
	'interrupted', 'no coordinator, so it is not running');
sql("CALL outflow.resume($job)");
ok(exported_parts("$dir/cut") eq $whole, 'publication completed with what was there');
is(sql("SELECT DISTINCT status FROM outflow.verify($job)"), 'ok', 'verified');
ok(!-e $hidden, 'the hidden directory is gone');

# unless a file is not what was written
my $file = "$dir/cut/part-000001.csv";
my $content = slurp_file($file);
substr($content, 1000, 1) = chr(ord(substr($content, 1000, 1)) ^ 1);
open(my $handle, '>', $file) or die;
print $handle $content;
close $handle;
unlink "$dir/cut/_SUCCESS";
sql("UPDATE outflow.job SET state = 'running' WHERE job = $job");
mkdir $hidden, 0700;
append_to_file("$hidden/_owner", $owner =~ s/^\S+/$uuid/r);
fails("CALL outflow.resume($job)", qr/is not empty.*It holds "part-000001\.csv"/s, 'damaged: it stays, and is named');
unlink $file;
sql("CALL outflow.resume($job)");
ok(exported_parts("$dir/cut") eq table_as_csv($node, 't', $dir), 'damaged: exported again, of one moment');

#
# verify() tells
#
sub verdict
{
	return sql("SELECT file, status FROM outflow.verify($job)"
		  . " WHERE status <> 'ok'");
}
is(verdict(), '', 'nothing to tell');
# a part that has rows
my $name = sql("SELECT file FROM outflow.parts WHERE job = $job"
	  . " AND rows > 0 ORDER BY part LIMIT 1");
$file = "$dir/cut/$name";
$content = slurp_file($file);
sub put
{
	my ($text) = @_;
	open(my $out, '>', $file) or die;
	print $out $text;
	close $out;
	return;
}
put(substr($content, 0, -1));
is(verdict(), "$name|wrong size", 'a lost byte');
put($content =~ s/,/;/r);
is(verdict(), "$name|wrong checksum", 'a changed one');
unlink $file;
is(verdict(), "$name|missing", 'a lost file');
put($content);
append_to_file("$dir/cut/part-999999.csv", 'x');
is(verdict(), 'part-999999.csv|left over', 'a file too many');
unlink "$dir/cut/part-999999.csv", "$dir/cut/_SUCCESS";
is(verdict(), '_SUCCESS|missing', 'no mark of success');
append_to_file("$dir/cut/_SUCCESS", '');
is(verdict(), '', 'nothing to tell again');

#
# Overwriting takes the place of an older export, with fewer parts too
#
sql("CALL outflow.export('t', 'file://$dir/cut', part_size => '512kB',"
	  . " options => '{\"overwrite\": true}')");
$job = last_job();
ok(exported_parts("$dir/cut") eq table_as_csv($node, 't', $dir), 'overwritten');
is(verdict(), '', 'no part of the older export is left');

#
# In the calling session an export that can't be published is none at all:
# something that is no file has the name of a part
#
mkdir "$dir/taken";
symlink('nowhere', "$dir/taken/part-000002.csv") or die;
my $count = sql('SELECT count(*) FROM outflow.jobs');
fails("CALL outflow.export('t', 'file://$dir/taken', part_size => '512kB',"
	  . " workers => 0, options => '{\"overwrite\": true}')",
	qr/file ".*part-000002\.csv" already exists/, 'workers => 0: publication fails');
is(join(' ', files_below("$dir/taken")), 'part-000002.csv', 'and leaves no file beside it');
is(sql('SELECT count(*) FROM outflow.jobs'), $count, 'and no job');

#
# Changes of state are announced
#
my $out = sql("LISTEN outflow; CALL outflow.export('t', 'file://$dir/heard')");
my ($code, $stdout) = $node->psql('postgres',
	"LISTEN outflow; CALL outflow.export('t', 'file://$dir/heard2')");
$job = last_job();
foreach my $state (qw(queued running done))
{
	like($stdout,
		qr/notification "outflow" with payload "\{"job":$job,"state":"$state"\}"/,
		"NOTIFY: $state");
}

done_testing();
