# Promise: what waiting can't mend ends pg_outflow with an exit code of its own
# and the reason; all else is waited for.  A target that is slow stops the reading
# of the slot, and neither the connection nor the position suffers.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('main',
	conf => "wal_sender_timeout = 2s\nmin_wal_size = 32MB\nmax_wal_size = 32MB\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/530_client_server";

client_setup($node);
create_slot($node, 'feed');
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN; CREATE DATABASE other');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('foreign', 'test_decoding')");

# ends(WHAT, CODE, PATTERN, ARGUMENT...): the whole command line
sub ends
{
	my ($what, $expected, $pattern, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', @arguments ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	is($? >> 8, $expected, "$what: exit code") or diag($err);
	like($out . $err, $pattern, "$what: the reason");
	unlike($err, qr/LOCATION/, "$what: and nothing of the server's source");
	return;
}

my @to = ('--to=stdout:', '--endpos=' . current_lsn($node));
my @here = ('-d', $node->connstr('postgres'));

ends('no command', 2, qr/no command ""/);
ends('help', 0, qr/Exit codes:.*invalidated/s, '--help');
ends('version', 0, qr/^pg_outflow \d/, '--version');
ends('an unknown option', 2, qr/no option "--slott"/, 'stream', '--slott=x');
ends('no target', 2, qr/no target/, 'stream', @here, '-S', 'feed');
ends('an unknown target', 2, qr/no target is called "gopher:"; there are: stdout/, 'stream', @here, '-S', 'feed', '--to=gopher://x');
ends('a bad size', 2, qr/"12parsecs" is no value/, 'stream', @here, '-S', 'feed', @to, '--queue-bytes=12parsecs');
ends('what would be taken back', 2, qr/taken back/, 'stream', @here, '-S', 'feed', @to, '-o', 'streaming=on');
ends('another format', 2, qr/json and debezium/, 'stream', @here, '-S', 'feed', @to, '-o', 'format=wal2json');
ends('an option the plugin refuses', 3, qr/unknown option.*nonsense|nonsense/, 'stream', @here, '-S', 'feed', @to, '-o', 'nonsense=1');
ends('no such database', 3, qr/database "nowhere" does not exist/, 'stream', '-d', $node->connstr('nowhere'), '-S', 'feed', @to);
ends('no right', 3, qr/REPLICATION/, 'stream', '-d', $node->connstr('postgres') . ' user=plain', '-S', 'feed', @to);
ends('no such role', 3, qr/role "nobody" does not exist/, 'stream', '-d', $node->connstr('postgres') . ' user=nobody', '-S', 'feed', @to);
ends('another database', 3, qr/slot "feed" is of database "postgres"/, 'stream', '-d', $node->connstr('other'), '-S', 'feed', @to);
ends('another plugin', 3, qr/is of plugin "test_decoding"/, 'stream', @here, '-S', 'foreign', @to);
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('prepared', 'outflow', false, true)");
ends('a slot of prepared transactions', 3, qr/slot "prepared" was made with two_phase/, 'stream', @here, '-S', 'prepared', @to);
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('prepared')");
ends('no slot', 4, qr/--create-slot creates it/, 'stream', @here, '-S', 'absent', @to);
ends('a slot of its own', 0, qr/created slot "own"/, 'stream', @here, '-S', 'own', @to, '--create-slot');

# a configuration file, over which arguments go
append_to_file("$log.conf", "# comment\ndbname = " . $node->connstr('postgres') . "\nslot = feed\nto = stdout:\noption = include_schemas=off\nendpos = 0/1\n");
ends('a configuration file', 0, qr/"op":"begin"/, 'stream', '-c', "$log.conf", '--endpos=' . do { $node->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1)'); current_lsn($node) });

# a slot in use is waited for
my $first = start_client($node, 'feed', $log, '--to=stdout:');
wait_until($node, "SELECT active FROM pg_replication_slots WHERE slot_name = 'feed'", 'the first client');
my $second = start_client($node, 'feed', "$log.2", '--to=stdout:');
wait_for_line("$log.2", qr/is active for PID.*trying again/);
is(stop_client($first), 0, 'the first client stops');
wait_for_line("$log.2", qr/streaming slot "feed"/);
pass('and the second goes on');
is(stop_client($second), 0, 'to its stop');

# A target that takes nothing: the queue is bounded, the connection lives past
# wal_sender_timeout, nothing is confirmed.
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
my $before = confirmed_lsn($node, 'feed');
my $metrics = do { my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1); $s->sockport };

sub metric
{
	my ($name) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$metrics") or return '';

	print $socket "GET /metrics HTTP/1.0\r\n\r\n";
	my $text = join('', <$socket>);
	return $1 if $text =~ /^pg_outflow_\Q$name\E(?:\{[^}]*\})? (\S+)$/m;
	return '';
}

sub wait_metric
{
	my ($name, $test) = @_;

	foreach my $try (1 .. 1800)
	{
		my $value = metric($name);

		return $value if $value ne '' && $test->($value);
		Time::HiRes::sleep(0.1);
	}
	die "not seen: $name";
}

$node->safe_psql('postgres', q{INSERT INTO t SELECT g, g, repeat('x', 1000) FROM generate_series(10000, 20000) g});
my $client = start_client($node, 'feed', "$log.deaf", '--to=http://127.0.0.1:' . $deaf->sockport . '/', '--queue-bytes=1MB',
	"--metrics=$metrics", '--http-timeout=10min', '--stop-timeout=1s', '--log-format=json');
my $queued = wait_metric('queue_bytes', sub { $_[0] >= 1024 * 1024 });
my $pid = $node->safe_psql('postgres', "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'feed'");
Time::HiRes::sleep(5); # twice wal_sender_timeout, and more
cmp_ok(metric('queue_bytes'), '<', 3 * 1024 * 1024, 'a queue that is full is not filled any more');
is($node->safe_psql('postgres', "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'feed'"),
	$pid, 'the connection outlives wal_sender_timeout');
is(confirmed_lsn($node, 'feed'), $before, 'nothing is confirmed');
cmp_ok(metric('target_unacknowledged_seconds'), '>=', 4, 'the metrics tell who is slow');
is(stop_client($client), 8, 'a stop that the target does not answer');
like(slurp_file("$log.deaf"), qr/^\{"ts":"[^"]+","level":"info","message":"streaming slot/m, 'logs as JSON');

# An idle database: other WAL moves the position on
my ($code) = run_client($node, 'feed', '--to=stdout:', '--endpos=' . current_lsn($node));
$client = start_client($node, 'feed', $log, '--to=stdout:');
my $target = $node->safe_psql('other', 'CREATE TABLE noise AS SELECT generate_series(1, 1000); SELECT pg_current_wal_flush_lsn()');
wait_confirmed($node, 'feed', $target);
pass('a quiet slot moves on');
is(stop_client($client), 0, 'and stops');

# after an export: exactly what it doesn't have
my $place = new_export_dir();
$node->safe_psql('postgres', 'CREATE TABLE moved (id int PRIMARY KEY); INSERT INTO moved SELECT generate_series(1, 100)');
$node->safe_psql('postgres', "CALL outflow.export('moved', 'file://$place', slot => 'moved')");
my $job = $node->safe_psql('postgres', "SELECT job FROM outflow.jobs WHERE slot = 'moved'");
$node->safe_psql('postgres', 'INSERT INTO moved VALUES (101), (102)');
my ($after, $moved) = run_client($node, 'moved', '--to=stdout:', "--after-job=$job", '--endpos=' . current_lsn($node));
is(join(' ', $moved =~ /"new":\{"id":(\d+)/g), '101 102', 'after an export comes what it does not have');
ends('no such job', 3, qr/no finished job 4711/, 'stream', @here, '-S', 'moved', @to, '--after-job=4711');

# memory of another system, and of another slot
my $state = "$log.state";
($code) = run_client($node, 'own', '--to=stdout:', '--state', $state, '--endpos=' . current_lsn($node));
is($code, 0, 'with a memory');
ends('of another slot', 5, qr/is of slot "own", not of "feed"/, 'stream', @here, '-S', 'feed', @to, '--state', $state);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (3, 3)');
pass_over($node, 'own');
ends('moved by somebody else', 5, qr/moved by somebody else.*remove \S*\.state/, 'stream', @here, '-S', 'own', @to, '--state', $state);
my $other = new_outflow_node('second');
create_slot($other, 'own');
ends('of another system', 5, qr/is of database system \d+, and this is system/, 'stream', '-d', $other->connstr('postgres'), '-S', 'own', @to, '--state', $state);

# an invalidated slot
$node->safe_psql('postgres', "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
$node->reload;
$node->safe_psql('postgres', 'SELECT pg_switch_wal(); CREATE TABLE big AS SELECT repeat(md5(g::text), 100) FROM generate_series(1, 30000) g');
$node->safe_psql('postgres', 'SELECT pg_switch_wal(); CHECKPOINT') foreach 1 .. 4;
wait_until($node, "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = 'own'", 'the slot is lost');
ends('an invalidated slot', 4, qr/slot "own" is lost.*The way back/, 'stream', @here, '-S', 'own', @to);
done_testing();
