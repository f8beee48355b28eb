# Promise: whatever is killed, the client or either server, and wherever the
# connection breaks, also while a COMMIT is on its way, each change is applied
# once.  No position is confirmed to the source before the target has committed
# what comes before it: a proxy sees to that, on the wire.
#
# SEED=N repeats the workload and the kills.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use KillRounds;
use OutflowTest;
use OutflowValues;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;

my $seed = $ENV{SEED} || 1 + time % 100000;
my $source = new_outflow_node('source', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ], conf => "wal_sender_timeout = 5s\n");
my $target = new_target();
my $log = "${PostgreSQL::Test::Utils::tmp_check}/541_client_postgres_kills";
my $place = new_export_dir();

diag("SEED=$seed");
srand($seed);
replica_setup($source, $target);
create_slot($source, 'feed');
$source->safe_psql('postgres', <<'EOC');
CREATE FUNCTION at_once(rows int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO r.toast SELECT 2000 + g, g, repeat(md5(g::text), 10), NULL FROM generate_series(1, rows) g ON CONFLICT (id) DO UPDATE SET small = r.toast.small + 1
$$;
EOC

my $proxy = start_peer('apply_proxy.py', $place, "$log.proxy", map { $_->host . '/.s.PGSQL.' . $_->port } $source, $target);
my ($source_port, $target_port) = map { slurp_file("$place/${_}_port") } qw(source target);
my $off = 'sslmode=disable&gssencmode=disable';

sub client
{
	my (@more) = @_;

	return IPC::Run::start(
		[ 'pg_outflow', 'stream', '-d', "postgresql://127.0.0.1:$source_port/postgres?$off",
			'-S', 'feed', "--to=postgresql://127.0.0.1:$target_port/postgres?$off", @more ],
		'<', \undef, '>>', "$log.out", '2>>', $log);
}

my $values = OutflowValues->new($seed);
my @ways = ([], ['--batch-bytes=0'], [ '--queue-bytes=100kB', '--log-level=debug' ], ['--linger=50ms']);

write_to($place, 'faults', '15 15');
kill_rounds(
	$source,
	seed => $seed, wait => [ 0.3, 1.5 ], server_every => 3,
	writer => sub
	{
		my $script = "$log.$_[0].sql";

		append_to_file($script, random_transactions($values, 30) . 'SELECT at_once(' . int(rand(6000)) . ");\n" . random_transactions($values, 30));
		return IPC::Run::start([ 'psql', '-X', '-q', '-d', $source->connstr('postgres'), '-f', $script ], '<', \undef, '>', \my $said, '2>', \my $errors);
	},
	client => sub { client(@{ $ways[ $_[0] % @ways ] }) },
	target => sub { $target->stop('immediate'); $target->start; });
write_to($place, 'faults', '0 0');
my $client = client();
# something that only this one can confirm
$source->safe_psql('postgres', q{SELECT pg_logical_emit_message(true, 'test', 'last')});
my $end = current_lsn($source);

wait_confirmed($source, 'feed', $end);
is(stop_client($client), 0, 'a clean stop');
check_replica($source, $target, 'kills');
ok(!-e "$place/violations", 'nothing was confirmed before it was committed') or diag(slurp_file("$place/violations"));
ok(-s "$place/confirmed", 'positions were seen on the wire');
like(slurp_file($log), qr/trying again/, 'connections did break');

# A transaction larger than the queue is applied as one: nobody sees a part of it,
# also when the session ends amid it
$source->safe_psql('postgres', 'CREATE TABLE r.many (id int PRIMARY KEY, v text)');
$target->safe_psql('postgres', <<'EOS');
CREATE TABLE r.many (id int PRIMARY KEY, v text);
CREATE FUNCTION r.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(1);
	RETURN NEW;
END $$;
CREATE TRIGGER hold BEFORE INSERT ON r.many FOR EACH ROW WHEN (NEW.id = 30000) EXECUTE FUNCTION r.hold();
ALTER TABLE r.many ENABLE ALWAYS TRIGGER hold;
EOS
$source->safe_psql('postgres', q{INSERT INTO r.many SELECT g, repeat('x', 500) FROM generate_series(1, 40000) g});
my $lock = $target->background_psql('postgres');
my $waiting = q{FROM pg_locks WHERE locktype = 'advisory' AND NOT granted};

$lock->query_safe('SELECT pg_advisory_lock(1)');
$client = client('--queue-bytes=1MB', '--log-level=debug');
wait_until($target, "SELECT count(*) > 0 $waiting", 'rows being applied');
my $seen = $target->safe_psql('postgres', 'SELECT count(*) FROM r.many');
$target->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $waiting");
$lock->quit;
$end = current_lsn($source);
wait_confirmed($source, 'feed', $end);
is($seen, '0', 'nothing of a large transaction is visible before its commit');
is($target->safe_psql('postgres', 'SELECT count(*), min(id), max(id) FROM r.many'), '40000|1|40000', 'then all of it is');
like(slurp_file($log), qr/starting over/, 'the client started over by itself');
is(stop_client($client), 0, 'and stops cleanly');
$proxy->kill_kill;
done_testing();
