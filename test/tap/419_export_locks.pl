# Promise: no function that an export calls ends the job's locks, though
# pg_advisory_unlock_all() ends those of the session: as long as a job runs, it is
# seen to run, and nobody forgets it or takes its place.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('locks', init => [ auth_extra => [ '--create-role', 'reader' ] ]);
my $dir = new_export_dir();
my $store = start_fake_s3();
my $holder = $node->background_psql('postgres');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql($store->server_sql('lake'));
sql(<<'EOS');
CREATE FUNCTION frees() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_unlock_all();
	PERFORM pg_advisory_lock_shared(1);
	PERFORM pg_advisory_unlock_shared(1);
	RETURN true;
END $$;
CREATE ROLE reader LOGIN IN ROLE pg_write_server_files;
GRANT USAGE ON FOREIGN SERVER lake TO reader;
CREATE TABLE guarded AS SELECT 1 AS id;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY waits ON guarded USING (frees());
GRANT SELECT ON guarded TO reader;
EOS

# begin(CALL): a session of reader's in which a function has freed what it can
sub begin
{
	my ($call) = @_;

	$holder->query_safe('SELECT pg_advisory_lock(1)');
	local $ENV{PGUSER} = 'reader';
	my @session = start_psql($node, $call);
	delete $ENV{PGUSER};
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted)", $call);
	return @session;
}

# locks(): those of jobs (28518) and of their files in S3 stores (28520)
sub locks
{
	return sql(q{SELECT string_agg(DISTINCT objsubid || ' ' || mode, ', ') FROM pg_locks
		WHERE locktype = 'advisory' AND objsubid > 2 AND granted});
}

# ends(SESSION, SAID, NAME, STATE): goes on, and ends like that without a warning
sub ends
{
	my ($session, $said, $name, $state) = @_;

	$holder->query_safe('SELECT pg_advisory_unlock(1)');
	$session->finish;
	is(sql("SELECT coalesce(max(state), 'none') FROM outflow.jobs WHERE destination = 'lake:$name'"), $state, "$name: $state");
	unlike($$said, qr/WARNING/, "$name: no lock was missed");
	is(locks(), '', "$name: and none is left");
	return;
}

my ($session, $said) = begin(q{CALL outflow.export_query('SELECT frees()', 'lake:query')});
my $job = sql('SELECT max(job) FROM outflow.jobs');
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'running', 'a query: it runs');
is(locks(), '28518 ExclusiveLock, 28520 ExclusiveLock', 'a query: with its locks');
foreach my $other ("SELECT outflow.forget($job)", "CALL outflow.export_query('SELECT 1', 'lake:query')")
{
	my (undef, undef, $err) = $node->psql('postgres', $other);

	like($err, qr/export job $job|another call/, "a query: $other is refused");
}
ends($session, $said, 'query', 'done');
sql("CALL outflow.export_query('SELECT state FROM outflow.jobs ORDER BY job DESC LIMIT 1', 'file://$dir/own')");
is(exported_parts("$dir/own"), "running\n", 'a query: it sees itself run');

($session, $said) = begin(q{CALL outflow.export_query('SELECT frees(), 1 / (random() * 0)::int', 'lake:fails')});
ends($session, $said, 'fails', 'none');
like($$said, qr/division by zero/, '... and says why');

foreach my $workers (1, 0)
{
	my $what = "workers => $workers";

	($session, $said) = begin("CALL outflow.export('guarded', 'lake:guarded-$workers', workers => $workers, "
		  . q{options => '{"row_security": true}')});
	is( locks(),
		($workers ? '28518 ExclusiveLock, 28518 ShareLock' : '28518 AccessExclusiveLock, 28519 ExclusiveLock, 28519 ShareLock') . ', 28520 ExclusiveLock',
		"$what: all locks");
	ends($session, $said, "guarded-$workers", 'done');
}

$holder->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/you don't own a lock/, 'no worker missed one either');

done_testing();
