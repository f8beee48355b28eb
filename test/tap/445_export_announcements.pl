# Promise: an announcement of a job's state decides nothing about the job.  While
# the queue of NOTIFY is full, which any role can bring about, jobs are made, run,
# end, fail and are resumed as ever, and only LISTEN hears nothing of it.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('announcements');
my $module = File::Spec->rel2abs(dirname(__FILE__) . '/../modules/notify_queue/notify_queue.so');
my $dir = new_export_dir();

$node->init(allows_streaming => 'logical');
my $is_small = server_major($node) >= 17;
$node->append_conf('postgresql.conf', "max_notify_queue_pages = 64\n") if $is_small;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION outflow');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# said(SQL): its answer, and what is told beside it
sub said
{
	my ($out, $err);

	$node->psql('postgres', $_[0], stdout => \$out, stderr => \$err);
	return "$out$err";
}

sub state_of { return sql("SELECT state FROM outflow.jobs WHERE job = $_[0]"); }

sub wait_for_state
{
	my ($job, $state) = @_;

	wait_until($node, "SELECT state = '$state' FROM outflow.jobs WHERE job = $job", "job $job is $state");
	return;
}

#
# Somebody listens and reads nothing.  Another one has read all, which is where
# whoever begins to listen begins to read.
#
my ($listener, $reader);

sub fill
{
	$reader = $node->background_psql('postgres');
	$reader->query_safe('LISTEN others');
	$listener = $node->background_psql('postgres');
	$listener->query_safe('LISTEN others');
	$listener->query_safe('BEGIN');
	if ($is_small)
	{
		$node->psql('postgres', qq(SELECT pg_notify('others', repeat('n', 7900));\n) x 200);
	}
	else
	{
		$listener->query_safe('SELECT fill_queue()');
	}
	like(said(q(SELECT pg_notify('others', 'more'))), qr/too many notifications/, 'the queue is full');
	return;
}

sub drain
{
	$listener->query_safe('SELECT empty_queue()') unless $is_small;
	$listener->query_safe('COMMIT');
	$_->quit foreach $listener, $reader;
	return;
}

sql("CREATE FUNCTION $_() RETURNS void LANGUAGE c AS '$module'") foreach $is_small ? () : qw(fill_queue empty_queue);
sql(<<'EOC');
CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i;
CREATE FUNCTION waits(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
	'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN true; END';
CREATE FUNCTION fails(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE division_by_zero; END';
EOC

#
# Full from the beginning
#
fill();
is(said("CALL outflow.export('t', 'file://$dir/called', job => NULL)"), '1', 'full: an export');
is(state_of(1), 'done', 'full: it is recorded');
is(said("CALL outflow.export_query('TABLE t', 'file://$dir/query')"), '2', 'full: a query');
is(said("CALL outflow.export('t', 'file://$dir/delta', format => 'delta', workers => 0)"), '3', 'full: in the session');
is(state_of(3), 'done', 'full: with its record');
is(said("SELECT outflow.export_start('t', 'file://$dir/later')"), '4', 'full: an export that nobody waits for');
wait_for_state(4, 'done');
like(said("CALL outflow.export('t', 'file://$dir/fails', filter => 'public.fails(i)')"),
	qr/export job 5 failed: division_by_zero/, 'full: an error is told');
is(sql('SELECT state, error ~ $$^division_by_zero$$ FROM outflow.jobs WHERE job = 5'), 'failed|t', 'full: and recorded');
sql("CREATE OR REPLACE FUNCTION fails(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'");
is(said('CALL outflow.resume(5)'), '', 'full: a job is resumed');
is(state_of(5), 'done', 'full: and ends');
like(slurp_file($node->logfile),
	qr/LOG:  state "done" of export job 3 was not announced\n.*DETAIL:  The queue of NOTIFY is more than half full\./,
	'the server log says what was left out');

drain();


#
# pg_outflow, which listens for the number of its job, asks for it, too
#
fill();
hold_exports($node, 0);
my ($progress, $err) = ('', '');
my $client = IPC::Run::start([ 'pg_outflow', 'export', '-d', $node->connstr('postgres'), 't', "file://$dir/watched", '--progress=json' ],
	'<', \undef, '>', \$progress, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$client->pump until $progress =~ /"state":"running"/;
my $watched = sql("SELECT job FROM outflow.jobs WHERE destination = 'file://$dir/watched'");
like($progress, qr/^\{"job":$watched,/, 'full: pg_outflow shows the progress of its job');
sql("SELECT outflow.cancel($watched)");
$client->finish;
like($err, qr/--resume $watched"/, 'full: and says how to go on with it');
release_exports($node);
sql("DROP TRIGGER hold ON outflow.part; SELECT outflow.forget($watched)");
drain();

#
# Full before a long transaction ends
#
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
my ($inline, $inline_said) =
  start_psql($node, "CALL outflow.export('t', 'file://$dir/inline', filter => 'public.waits(i)', format => 'delta', workers => 0)");
wait_until($node, q(SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 1 AND classid = 0),
	'the export waits');
my $later = $node->background_psql('postgres');
$later->query_safe('BEGIN');
my $queued = $later->query_safe("SELECT outflow.export_start('t', 'file://$dir/long')");
fill();
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$inline->finish;
unlike($$inline_said, qr/ERROR/, 'full meanwhile: an export in the session ends');
is(sql("SELECT state FROM outflow.jobs WHERE destination = 'file://$dir/inline'"), 'done', 'full meanwhile: with its record');
$later->query_safe('COMMIT');
wait_for_state($queued, 'done');
is(state_of($queued), 'done', 'full meanwhile: a transaction that has queued a job commits');
$_->quit foreach $later, $holder;
drain();

#
# What is announced, and what never was
#
my $hears = $node->background_psql('postgres');
$hears->query_safe('LISTEN outflow');
sql(<<"EOC");
BEGIN;
SAVEPOINT s;
SELECT outflow.export_start('t', 'file://$dir/undone');
ROLLBACK TO s;
SAVEPOINT s;
SELECT outflow.export_start('t', 'file://$dir/kept');
RELEASE s;
COMMIT;
EOC
my $kept = sql("SELECT job FROM outflow.jobs WHERE destination = 'file://$dir/kept'");
wait_for_state($kept, 'done');
is(join(' ', $hears->query('SELECT 1') =~ /payload "\{"job":(\d+,"state":"\w+)"\}"/g),
	join(' ', map { qq($kept,"state":"$_) } qw(queued running done)),
	'with room in the queue: each state of a job, and nothing of a savepoint that was rolled back');
like(said(<<"EOC"), qr/ERROR:  cannot PREPARE a transaction/, 'a transaction that is to be prepared is told so');
BEGIN;
SELECT outflow.export_start('t', 'file://$dir/prepared');
PREPARE TRANSACTION 'p';
EOC
unlike(said(<<"EOC"), qr/ERROR/, 'but not for what a savepoint did that was rolled back');
BEGIN;
SAVEPOINT s;
SELECT outflow.export_start('t', 'file://$dir/prepared');
ROLLBACK TO s;
PREPARE TRANSACTION 'p';
EOC
sql("ROLLBACK PREPARED 'p'");
$hears->quit;

#
# Another error at the commit
#
sql(<<'EOC');
CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not in this table''; END';
CREATE CONSTRAINT TRIGGER refuses AFTER UPDATE ON outflow.job DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION refuses();
EOC
my $said = said("CALL outflow.export('t', 'file://$dir/unknown', format => 'delta', workers => 0)");
like($said, qr/ERROR:  not in this table/, 'an error at the commit in the session');
like($said, qr{WARNING:  a version of table public.t was committed in "$dir/unknown", without a record of the export\n.*HINT:  .*lake_versions}s,
	'says what stays of it');
unlike(said("CALL outflow.export('t', 'file://$dir/taken', workers => 0)"), qr/WARNING/, 'where nothing stays, it says nothing');
is(join(' ', files_below("$dir/taken")), '', 'and nothing stays');
sql('DROP TRIGGER refuses ON outflow.job');

#
# An error that can't be recorded does not keep the next job from its turn
#
sql(<<'EOC');
LOAD 'outflow';
ALTER SYSTEM SET outflow.max_jobs = 1;
CREATE TRIGGER refuses BEFORE UPDATE ON outflow.job FOR EACH ROW WHEN (NEW.state = 'failed') EXECUTE FUNCTION refuses();
CREATE OR REPLACE FUNCTION fails(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
	'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RAISE division_by_zero; END';
EOC
$node->reload;
$holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
my $unrecorded = sql("SELECT outflow.export_start('t', 'file://$dir/unrecorded', filter => 'public.fails(i)')");
wait_for_state($unrecorded, 'running');
my $next = sql("SELECT outflow.export_start('t', 'file://$dir/next')");
wait_until($node, "SELECT waiting_for ~ 'max_jobs' FROM outflow.jobs WHERE job = $next", 'it waits for its turn');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$holder->quit;
wait_for_state($next, 'done');
is(state_of($unrecorded), 'interrupted', 'a job whose error cannot be recorded is interrupted');
is(state_of($next), 'done', 'and the next one has its turn');

#
# What is refused, the queue does not decide either
#
sql('DROP TRIGGER refuses ON outflow.job');
hold_exports($node, 0);
my $held = sql("SELECT outflow.export_start('t', 'file://$dir/held')");
wait_for_state($held, 'running');
my $waits = sql("SELECT outflow.export_start('t', 'file://$dir/waits')");
fill();
like(said(<<"EOC"), qr/ERROR:  cannot PREPARE a transaction/, 'full: a transaction that is to be prepared is told so, too');
BEGIN;
SELECT outflow.cancel($waits);
PREPARE TRANSACTION 'p';
EOC
is(state_of($waits), 'queued', 'full: and nothing of it stays');
release_exports($node);
wait_for_state($waits, 'done');
drain();

$node->stop;
done_testing();
