# Promise: what ends an export says what is to be done: to resume it only where
# that can help, and else to forget it and what to change.  It shows no SQL of
# our own.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('errors', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# error_of(SQL, SETTINGS): what psql says
sub error_of
{
	my ($sql, %params) = @_;
	my (undef, undef, $err) = $node->psql('postgres', $sql, %params);

	return $err;
}

sql(<<'EOS');
CREATE TABLE lossy (k int, n numeric(5,2));
INSERT INTO lossy VALUES (1, 1), (2, 'NaN');
CREATE TABLE large (k int, t text);
CREATE FUNCTION fails(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
'BEGIN RAISE insufficient_resources; END';
EOS

# ---- hints

my $err = error_of("CALL outflow.export('lossy', 'file://$dir/lossy', format => 'parquet')");
like($err, qr/ERROR: .*a value that Parquet cannot hold/, 'a value that the format can\'t hold');
like($err, qr/HINT:  Set the option "lossy" to .*SELECT outflow\.forget\(\d+\)/, '... says what to change, and forget');
unlike($err, qr/resume/, '... and not resume');
like($err, qr/DETAIL:  The row with ctid \(0,2\)/, '... and where the row is');

sql(q{CREATE TABLE written AS VALUES ('a'), (U&'\4E2D')});
foreach my $format ('csv', 'text')
{
	$err = error_of("CALL outflow.export('written', 'file://$dir/latin', format => '$format', options => '{\"encoding\": \"LATIN1\"}')");
	like($err, qr/has no equivalent in encoding "LATIN1".*row with ctid \(0,2\)/s, "where the row is that $format can't hold");
	sql('SELECT outflow.forget(job) FROM outflow.jobs');
}

$err = error_of("CALL outflow.export('lossy', 'file://$dir/divided', filter => '1 / (k - 2) > 0')");
like($err, qr/division by zero.*HINT:  SELECT outflow\.forget\(\d+\).*change what the error names/s,
	'a filter that fails: forget');
unlike($err, qr/resume/, '... and not resume');

$node->append_conf('postgresql.conf', 'outflow.retries = 0');
sql('SELECT pg_reload_conf()');
sql('SELECT outflow.forget(job) FROM outflow.jobs');
rmdir "$dir/lossy";
$err = error_of("CALL outflow.export('lossy', 'file://$dir/passing', filter => 'public.fails(k)')");
like($err, qr/insufficient_resources.*CALL outflow\.resume\(\d+\) continues it/s, 'what may pass: resume');
sql('SELECT outflow.forget(job) FROM outflow.jobs');

# ---- our own SQL

# says(CALL, PATTERN, WHAT, BEFORE): an error, without a word of the tables
sub says
{
	my ($call, $pattern, $what, $before) = @_;
	my $said = error_of(($before // '') . $call);

	like($said, $pattern, $what);
	unlike($said, qr/SQL statement|outflow\.(job|source|part)\b/, "$what: and none of our own SQL");
	return;
}

my %calls = (
	"CALL outflow.export('lossy', 'file://$dir/only')" => 'export',
	"SELECT outflow.export_start('lossy', 'file://$dir/only')" => 'export_start',
	'CALL outflow.resume(1)' => 'resume',
	'SELECT outflow.resume_start(1)' => 'resume_start',
	'SELECT outflow.cancel(1)' => 'cancel',
	'SELECT outflow.forget(1)' => 'forget',
	'SELECT outflow.run_queue()' => 'run_queue');

foreach my $call (sort keys %calls)
{
	says($call, qr/ERROR:  cannot execute outflow\.$calls{$call} in a read-only transaction/,
		"$calls{$call} in a read-only transaction", 'SET default_transaction_read_only = on; ');
}
ok(!-e "$dir/only", 'a read-only transaction leaves no directory');
sql("CALL outflow.export('large', 'file://$dir/read')");
is(sql('SET default_transaction_read_only = on; SELECT state, (SELECT string_agg(DISTINCT status, \'\') FROM outflow.verify(job)) FROM outflow.jobs'),
	'done|ok', 'who only reads is let through');

# slots: at the call, and when they are gone by the time the job begins
my $slots = sql('SHOW max_replication_slots');
sql("SELECT FROM generate_series(1, $slots) AS g, pg_create_physical_replication_slot('full_' || g)");
says("CALL outflow.export('lossy', 'file://$dir/slot', slot => 'wanted')", qr/ERROR:  all replication slots are in use.*HINT:/s,
	'full slots');
ok(!-e "$dir/slot", 'full slots: and no directory');
sql("SELECT pg_drop_replication_slot('full_1')");
my ($block, $blocked) = start_psql($node, "BEGIN; SELECT outflow.export_start('lossy', 'file://$dir/slot', slot => 'wanted');"
	  . " SELECT pg_create_physical_replication_slot('full_1'); COMMIT");
$block->finish;
wait_until($node, "SELECT state = 'failed' FROM outflow.jobs WHERE slot = 'wanted'", 'the failure');
like(sql("SELECT error FROM outflow.jobs WHERE slot = 'wanted'"), qr/^all replication slots are in use$/, 'full slots later: the error alone');
my $resume = 'CALL outflow.resume(' . sql("SELECT job FROM outflow.jobs WHERE slot = 'wanted'") . ')';
says($resume, qr/ERROR: .*all replication slots are in use.*CALL outflow\.resume/s, 'full slots later');
sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
# a hint that says itself what to do with the job, or to choose other arguments
sql("SELECT pg_create_physical_replication_slot('wanted')");
$err = error_of($resume);
like($err, qr/"wanted" already exists.*HINT:  Choose a name.*SELECT outflow\.forget\(\d+\)/s, 'a slot that was taken meanwhile: forget');
unlike($err, qr/CALL outflow\.resume/, '... and not resume');
sql("SELECT pg_drop_replication_slot('wanted'); SELECT outflow.forget(job) FROM outflow.jobs WHERE slot = 'wanted'");

# what PostgreSQL says of our statements
says("SELECT outflow.export_start('lossy', 'file://$dir/trigger')", qr/ERROR:  refused\nCONTEXT:  PL\/pgSQL function.*$/,
	'an error of a statement', <<'EOS');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''refused''; END';
CREATE TRIGGER refuse BEFORE INSERT ON outflow.source FOR EACH ROW EXECUTE FUNCTION refuse();
EOS
sql('DROP FUNCTION refuse() CASCADE');

# the owner goes while the job runs
sql("CREATE ROLE leaver LOGIN; GRANT pg_write_server_files TO leaver; GRANT SELECT ON large TO leaver; INSERT INTO large VALUES (1, 'x')");
chmod 0777, $dir;
hold_exports($node, 0);
my ($call, $said);
{
	local $ENV{PGUSER} = 'leaver';
	($call, $said) = start_psql($node, "CALL outflow.export('large', 'file://$dir/leaver')");
}
wait_until($node, "SELECT count(*) > 0 FROM outflow.jobs WHERE destination LIKE '%/leaver' AND state = 'running'", 'the job at its part');
sql('DROP OWNED BY leaver; DROP ROLE leaver');
release_exports($node);
$call->finish;
like($$said, qr/HINT:  Forget the job\. SELECT outflow\.forget\(\d+\) forgets it\.$/m, 'an owner who is gone: forget alone');
unlike($$said, qr/resume/, '... and not resume');

done_testing();
