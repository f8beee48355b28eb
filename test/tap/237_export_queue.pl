# Promise: what one role asks for has limits, and says so; queued jobs start by
# themselves after a restart or a crash of a server that loads the library; what
# can never start is refused at once; and a job that was stopped tells what it
# was waiting for.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('queue', conf => <<'EOC');
shared_preload_libraries = 'outflow'
restart_after_crash = on
outflow.max_jobs = 1
EOC
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my (undef, undef, $err) = $node->psql('postgres', $_[0]);

	return $err;
}

sub jobs { return sql('SELECT count(*) FROM outflow.jobs'); }

sql(<<'EOS');
CREATE TABLE t AS SELECT g AS id, repeat('x', 1000) AS t FROM generate_series(1, 10000) AS g;
CREATE TABLE other (id int);
CREATE FUNCTION fails(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
'BEGIN RAISE insufficient_resources USING MESSAGE = ''no room left''; END';
CREATE ROLE nobody LOGIN;
CREATE ROLE leaver LOGIN IN ROLE pg_write_server_files;
GRANT SELECT ON t TO leaver;
EOS
chmod 0777, $dir;

# ---- limits, each before there is a job or a directory

like(error_of("CALL outflow.export('t', 'file://$dir/limit', encrypt_to =>"
			. " array_fill('age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p'::text, ARRAY[100000]))"),
	qr/ERROR:  too many age recipients: 100000\nDETAIL:  .* at most 100\./, 'recipients');
like(error_of("CALL outflow.export('t', 'file://$dir/limit', part_size => '8kB')"),
	qr/ERROR:  "part_size" is too small.*It would be cut into 1\d{3} files.*HINT: .*"1MB"/s, 'crumbs');
is(jobs(), 0, 'limits: no job');
ok(!-e "$dir/limit", 'limits: no directory');
sql("CALL outflow.export('t', 'file://$dir/small', part_size => '64kB')");
cmp_ok(sql('SELECT max(parts_total) FROM outflow.jobs'), '>', 100, 'small parts of a small table are fine');

# ---- the queue: one job is held, others wait

hold_exports($node, 1);
sql("SELECT outflow.export_start('t', 'file://$dir/held', part_size => '1MB')");
wait_until($node, "SELECT state = 'running' FROM outflow.jobs WHERE destination LIKE '%/held'", 'the job that is held');
sql("SELECT outflow.export_start('t', 'file://$dir/queued')");
wait_until($node, "SELECT waiting_for LIKE '%max_jobs%' FROM outflow.jobs WHERE destination LIKE '%/queued'", 'the job that is queued');
is(sql("SET ROLE nobody; SELECT sum(outflow.run_queue()) FROM generate_series(1, 20)"),
	'0', 'run_queue starts nothing where there is no room');
sql(<<'EOS');
INSERT INTO outflow.job (owner, destination, location, format, compression, encrypt_to, part_size, workers, options, settings)
SELECT owner, destination || g, location || g, format, compression, encrypt_to, part_size, workers, options, settings
FROM outflow.job, generate_series(1, 499) AS g WHERE destination LIKE '%/queued';
EOS
like(error_of("SELECT outflow.export_start('t', 'file://$dir/more')"),
	qr/ERROR:  role "\w+" has 500 queued export jobs already\nHINT:/, 'a role\'s queue has an end');
sql("DELETE FROM outflow.job WHERE destination ~ '/queued\\d'");

# a job whose owner is dropped
sql("SET ROLE leaver; SELECT outflow.export_start('t', 'file://$dir/left')");
sql('DROP OWNED BY leaver; DROP ROLE leaver');
like(sql("SELECT waiting_for FROM outflow.jobs WHERE destination LIKE '%/left'"),
	qr/^its owner, who cannot connect$/, 'an owner that was dropped: the job says so');
sql("SELECT outflow.forget(job) FROM outflow.jobs WHERE destination LIKE '%/left'");
is(sql("SELECT count(*) FROM outflow.jobs WHERE destination LIKE '%/left'"), '0', '... and can be forgotten');

# ---- a restart: what is queued starts, without a call

$node->restart;
release_exports($node);
wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE destination LIKE '%/queued'", 'a restart starts what is queued');
pass('a restart starts what is queued');
is(sql("SELECT state FROM outflow.jobs WHERE destination LIKE '%/held'"), 'interrupted', '... and nothing else');

hold_exports($node, 1);
sql("SELECT outflow.resume_start(job) FROM outflow.jobs WHERE destination LIKE '%/held'");
wait_until($node, "SELECT state = 'running' FROM outflow.jobs WHERE destination LIKE '%/held'", 'the job that is held');
sql("SELECT outflow.export_start('t', 'file://$dir/crash')");
wait_until($node, "SELECT waiting_for LIKE '%max_jobs%' FROM outflow.jobs WHERE destination LIKE '%/crash'", 'the job that is queued');
kill('KILL', sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'outflow coordinator'"));
wait_until($node, "SELECT count(*) = 1 FROM pg_prepared_xacts", 'the server after its crash');
release_exports($node);
wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE destination LIKE '%/crash'", 'a crash starts what is queued');
pass('a crash starts what is queued');

# ---- what stood in a job's way

sql("SELECT outflow.forget(job) FROM outflow.jobs WHERE destination LIKE '%/held'");
sql("SELECT outflow.export_start('t', 'file://$dir/full', filter => 'public.fails(id)')");
wait_until($node, "SELECT waiting_for LIKE 'the next try of part %' FROM outflow.jobs WHERE destination LIKE '%/full'", 'the next try');
sql("SELECT outflow.cancel(job) FROM outflow.jobs WHERE destination LIKE '%/full'");
wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE destination LIKE '%/full'", 'the end');
like(sql("SELECT error FROM outflow.jobs WHERE destination LIKE '%/full'"), qr/^the export was interrupted \(.*no room left/,
	'a job that was cancelled remembers what it could not get past');
sql("SELECT outflow.forget(job) FROM outflow.jobs WHERE destination LIKE '%/full'");

# ---- a base that has nothing of the table

my $base = sql("SELECT max(job) FROM outflow.jobs WHERE state = 'done'");
like(error_of("CALL outflow.export('other', 'file://$dir/other', base => $base)"),
	qr/WARNING:  nothing of table public\.other can be carried over\nDETAIL:  Export job $base, the base, has no part of it/,
	'a base of another table');
unlike(error_of("CALL outflow.export('t', 'file://$dir/same', base => $base)"), qr/WARNING/, 'a base of the same one');

# ---- a role whose jobs wait for its own lock doesn't keep others from theirs

sub running { return "SELECT string_agg(substring(destination from '[^/]+\$'), ' ' ORDER BY job) FROM outflow.jobs WHERE state = 'running'"; }

sub max_jobs
{
	my ($count) = @_;

	sql('ALTER SYSTEM SET outflow.max_jobs = ' . $count);
	$node->reload;
	wait_until($node, "SELECT current_setting('outflow.max_jobs') = '$count'", 'the setting');
	return;
}

sql(<<"EOS");
CREATE ROLE greedy LOGIN IN ROLE pg_write_server_files;
CREATE ROLE modest LOGIN IN ROLE pg_write_server_files;
GRANT SELECT ON t TO greedy, modest;
EOS
max_jobs(3);
hold_exports($node, 1);
sql("SET SESSION AUTHORIZATION greedy; SELECT outflow.export_start('t', 'file://$dir/greedy' || i) FROM generate_series(1, 5) AS i");
wait_until($node, "SELECT count(*) = 2 FROM outflow.jobs WHERE state = 'running'", 'two of three places');
wait_until($node, "SELECT count(waiting_for LIKE '%for a role that has none)' OR NULL) = 3 FROM outflow.jobs WHERE state = 'queued'", 'the others');
pass('a role has not all places, and is told');
sql("SELECT outflow.export_start('t', 'file://$dir/super' || i) FROM generate_series(1, 2) AS i");
wait_until($node, "SELECT (" . running() . ") LIKE 'greedy% greedy% super%'", 'a superuser');
sql("SET SESSION AUTHORIZATION modest; SELECT outflow.export_start('t', 'file://$dir/modest')");
wait_until($node, "SELECT waiting_for LIKE '%max_jobs)' FROM outflow.jobs WHERE destination LIKE '%/modest'", 'no place');
sql("SELECT outflow.cancel(min(job)) FROM outflow.jobs WHERE state = 'running'");
wait_until($node, "SELECT (" . running() . ") LIKE '%modest'", 'the role that has none');
like(sql(running()), qr/^greedy\d super\d modest$/, 'a place that comes free is the role\'s that has none running');
release_exports($node);
wait_until($node, "SELECT count(*) = 0 FROM outflow.jobs WHERE state IN ('queued', 'running')", 'all of them');
is(sql("SELECT string_agg(DISTINCT state, ' ') FROM outflow.jobs WHERE destination ~ '/(greedy|modest|super)'"), 'done interrupted', 'all come to their turn');
sql("SELECT outflow.forget(job) FROM outflow.jobs WHERE owner = 'greedy' AND state = 'interrupted'");
max_jobs(1);

# ---- who may write all tables may set their sequences: jobs get their numbers all the same

sql('CREATE ROLE writer LOGIN IN ROLE pg_write_all_data');
my $last = sql('SELECT max(job) FROM outflow.job');
foreach my $number ('9223372036854775807', $last - 3, '5000000000000000000', 1 << 62, (1 << 62) - 1, (1 << 62) - 2, 1 << 40)
{
	sql("SET SESSION AUTHORIZATION writer; SELECT setval('outflow.job_job_seq', $number)");
	sql("CALL outflow.export('other', 'file://$dir/numbered' || $number, workers => 0)");
	is(sql('SELECT max(job) FROM outflow.job'), ++$last, "a job after a number was set to $number");
}

# ---- a database that a DROP DATABASE left half removed can't be visited

sql('CREATE DATABASE halved');
sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'halved'");
my $before = -s $node->logfile;
$node->restart;
sql("SELECT outflow.export_start('t', 'file://$dir/after')");
wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE destination LIKE '%/after'", 'a job of the server that knows it');
$node->restart;
unlike(slurp_file($node->logfile, $before), qr/halved/, 'the launcher passes over a database that nobody can use');
sql('DROP DATABASE halved');

# ---- a server that pg_upgrade has started does nothing by itself

sub launchers { return sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'outflow launcher'"); }

is(launchers(), 1, 'a launcher');
$node->stop;
my @pg_ctl = ('pg_ctl', '--wait', '--pgdata', $node->data_dir, '--log', $node->logfile);
system_or_bail(@pg_ctl, '--options', '-b', 'start');
is(launchers(), 0, 'none for pg_upgrade');
system_or_bail(@pg_ctl, 'stop');
$node->start;

# ---- a server on which no export can ever start: both launchers have a worker
# each, or one of them

my $count = jobs();
foreach my $conf (['outflow', 3], ['', 2])
{
	my ($preloaded, $workers) = @$conf;

	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preloaded'\nmax_worker_processes = $workers");
	$node->restart;
	foreach my $call ("SELECT outflow.export_start('t', 'file://$dir/never')", "CALL outflow.export('t', 'file://$dir/never')")
	{
		like(error_of($call), qr/ERROR:  this server has too few background workers.*HINT: .*max_worker_processes/s,
			"never, of $workers: $call");
		last if jobs() > $count;
	}
}
is(jobs(), $count, 'never: no job');
ok(!-e "$dir/never", 'never: no directory');
sql("CALL outflow.export('t', 'file://$dir/inline', workers => 0)");
pass('never: but in the session');

done_testing();
