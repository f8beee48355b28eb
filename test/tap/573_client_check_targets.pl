# Promise: pg_outflow check finds out what a target would refuse a stream for, at
# the real servers, and leaves nothing behind there: no session, no schema, no file.
use strict;
use warnings;

use ClientTest;
use IO::Socket::INET;
use IPC::Run ();
use MqttTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;

my $node = new_outflow_node('main');
my $log = "${PostgreSQL::Test::Utils::tmp_check}/573_client_check_targets";
my $place = new_export_dir();
my @here = ('-d', $node->connstr('postgres'), '-S', 'feed');

create_slot($node, 'feed');
delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
$ENV{HOME} = $place;
$ENV{AWS_EC2_METADATA_DISABLED} = 'true';
my %keys = (AWS_ACCESS_KEY_ID => 'AKID', AWS_SECRET_ACCESS_KEY => 'SECRET');

# check(WHAT, PATTERN, ARGUMENT...): the line of the target, and the exit code
sub check
{
	my ($what, $pattern, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', 'check', @here, @arguments ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	my ($line) = $out =~ /^(.*target .*)$/m;
	like($line, $pattern, $what) or diag($out . $err);
	is($? >> 8, $line =~ /^ok / ? 0 : 9, "$what: exit code");
	return;
}

my $closed = do { my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die; $s->sockport };

# MQTT
my $hash = "$place/passwords";
system_or_bail('mosquitto_passwd', '-b', '-c', $hash, 'me', 'secret');
my $broker = MqttTest->new('allow_anonymous false', "password_file $hash")->start;
my $at = "127.0.0.1:$broker->{port}";
check('MQTT', qr/^ok .*it can be reached/, "--to=mqtt://me:secret\@$at/shop");
check('MQTT, a wrong password', qr/^NOT  target mqtt:\S+: the broker refuses: Not authorized/, "--to=mqtt://me:wrong\@$at/shop");
check('MQTT, nobody there', qr/^NOT .*(?:refused|onnection)/, "--to=mqtt://127.0.0.1:$closed/shop");
check('MQTT, no TLS there', qr/^NOT /, "--to=mqtts://me:secret\@$at/shop");
# the client of a stream keeps its connection while another one looks
my $client = start_client($node, 'feed', "$log.mqtt", "--to=mqtt://me:secret\@$at/shop");
wait_for_line("$log.mqtt", qr/connected to/);
check('MQTT, beside a stream', qr/^ok /, "--to=mqtt://me:secret\@$at/shop");
is(stop_client($client), 0, 'MQTT: the stream was not disturbed');
unlike(slurp_file("$log.mqtt"), qr/connecting again/, 'MQTT: its session neither');
$broker->kill;

# Kinesis
my $stream = new_export_dir();
write_to($stream, 'faults', '0 0 0 0 0');
my $server = start_peer('kinesis_server.py', $stream, "$log.kinesis", $node->host . '/.s.PGSQL.' . $node->port);
my $endpoint = '--kinesis-endpoint=http://127.0.0.1:' . slurp_file("$stream/kinesis_port");
{
	local @ENV{ keys %keys } = values %keys;
	check('Kinesis', qr/^ok .*it can be reached/, '--to=kinesis://eu-north-1/shop', $endpoint);
	check('Kinesis, nobody there', qr/^NOT .*connect/i, '--to=kinesis://eu-north-1/shop', "--kinesis-endpoint=http://127.0.0.1:$closed");
}
check('Kinesis, no keys', qr/^NOT  target kinesis:\S+: .*keys/, '--to=kinesis://eu-north-1/shop', $endpoint);
$server->signal('KILL');
$server->finish;

# another PostgreSQL
my $target = new_target();
my $objects = 'SELECT count(*) FROM pg_class';
my $before = $target->safe_psql('postgres', $objects);
$target->safe_psql('postgres', 'CREATE ROLE apply LOGIN; CREATE ROLE granted LOGIN;');
$target->safe_psql('postgres', 'GRANT SET ON PARAMETER session_replication_role TO granted');
check('PostgreSQL', qr/^ok .*it can be reached/, '--to=' . target_url($target));
check('PostgreSQL, no such role', qr/^NOT .*role "nobody" does not exist/, '--to=' . target_url($target, '&user=nobody'));
check('PostgreSQL, no right to apply', qr/^NOT .*session_replication_role.*GRANT SET/, '--to=' . target_url($target, '&user=apply'));
check('PostgreSQL, no place for the position', qr/^NOT .*grant CREATE on the database/, '--to=' . target_url($target, '&user=granted'));
$target->safe_psql('postgres', 'GRANT CREATE ON DATABASE postgres TO granted');
check('PostgreSQL, all rights', qr/^ok /, '--to=' . target_url($target, '&user=granted'));
check('PostgreSQL, nobody there', qr/^NOT .*(?:refused|No such file)/, "--to=postgresql://127.0.0.1:$closed/postgres?sslmode=disable");
is($target->safe_psql('postgres', $objects), $before, 'PostgreSQL: nothing was made');
$target->safe_psql('postgres', 'CREATE SCHEMA outflow_client AUTHORIZATION apply');
check('PostgreSQL, a schema of somebody else', qr/^NOT .*belongs to role "apply"/, '--to=' . target_url($target, '&user=granted'));

# WebSocket: its own side
my $spool = new_export_dir();
check('WebSocket', qr/^ok /, "--to=ws://127.0.0.1:$closed", "--ws-spool=$spool");
check('WebSocket, no spool', qr/^NOT .*there is no directory/, "--to=ws://127.0.0.1:$closed", '--ws-spool=/nowhere/at/all');
check('WebSocket, no token', qr/^NOT .*needs --ws-token-file/, "--to=ws://0.0.0.0:$closed", "--ws-spool=$spool");
my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die;
check('WebSocket, a port in use', qr/^NOT .*could not listen/, '--to=ws://127.0.0.1:' . $taken->sockport, "--ws-spool=$spool");
is_deeply([ glob("$spool/.* $spool/*") ], [ "$spool/.", "$spool/.." ], 'WebSocket: nothing was made');
done_testing();
