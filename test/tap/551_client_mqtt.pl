# Promise: an MQTT subscriber sees every change, the changes of a row in order,
# whatever is killed: the client, the broker or PostgreSQL; what comes again has
# the same id and is the same.  No position is confirmed before each message up to
# it was acknowledged, also by a broker that drops its session, and never is more under way, or a packet larger, than the
# broker allows: a proxy sees that on the wire.
use strict;
use warnings;

use ClientTest;
use JSON::PP ();
use KillRounds;
use MqttLedger;
use MqttTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/551_client_mqtt";
my $json = JSON::PP->new->utf8;
my $place = new_export_dir();
my $broker = MqttTest->new('max_inflight_messages 0')->start;

client_setup($node);
srand(4711);

# at least once: everything is killed
my $ledger = MqttLedger->new($node, $place, $log, $broker);
my $viewer = $broker->subscribe('shop/#');
create_slot($node, 'once');
$ledger->kills('once', $viewer);
$ledger->seen('once', $viewer);

# QoS 2: while the client lives, lost connections double nothing
$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, 'twice');
$viewer = $broker->subscribe('shop/#');
$ledger->faults(11, 5, 5);
my $writer = start_writer($node, 60);
my $client = $ledger->client('twice', '--mqtt-qos=2', '--mqtt-inflight=50');
Time::HiRes::sleep(1);
$writer->finish;
finish_kills($node, 'twice', $client);
my ($again) = $ledger->seen('twice', $viewer);
is($again, 0, 'twice: nothing comes again');
$ledger->checked;
my ($message) = grep { $_->{topic} eq 'shop/public/t' } MqttTest::messages($viewer);
is($message->{properties}{'content-type'}, 'application/json', 'the content type');
my $properties = $message->{properties}{'user-properties'};
is($json->decode($message->{payload})->{id}, $properties->{id}, 'the property id');
is(substr($properties->{id}, 0, 16), $properties->{lsn}, 'the property lsn');
is($json->decode($message->{payload})->{op}, $properties->{op}, 'the property op');


# a broker that has forgotten the session of QoS 2: what it had not acknowledged comes again
$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, 'forgotten');
$viewer = $broker->subscribe('shop/#');
$ledger->faults(21, 10, 10);
write_to($place, 'forget', 'yes');
$client = $ledger->client('forgotten', '--mqtt-qos=2', '--mqtt-inflight=50');
$writer = start_writer($node, 60);
$writer->finish;
wait_for_line($log, qr/has lost the session: what it had not acknowledged is sent again/);
unlink "$place/forget";
finish_kills($node, 'forgotten', $client);
$ledger->seen('forgotten', $viewer);
$ledger->checked;

$ledger->end;
$broker->kill;

# limits of a broker are kept before it must complain
my $strict = MqttTest->new('max_inflight_messages 3', 'max_packet_size 5000', 'retain_available false')->start;
$ledger = MqttLedger->new($node, $place, $log, $strict);
my $url = $ledger->{url};
$viewer = $strict->subscribe('#');
$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, 'strict');
$node->safe_psql('postgres', "INSERT INTO t SELECT i, i FROM generate_series(1, 200) AS i;
	INSERT INTO t VALUES (201, 1, repeat('y', 5000)), (202, 1, '')");

sub deliver
{
	my ($slot, @target) = @_;
	my ($code, undef, $err) = run_client($node, $slot, @target, '--endpos=' . current_lsn($node));

	return ($code, $err);
}

sub refused
{
	my ($what, $expected, $pattern, @target) = @_;
	my ($code, $err) = deliver('strict', @target);

	is($code, $expected, "$what: exit code");
	like($err, $pattern, "$what: the reason");
	return;
}

refused('a record that is too large', 7, qr/rejected record \S+: a packet of \d+ bytes is too large: at most 5000/, $url);
my $dead = "$place/dead";
my ($code, $err) = deliver('strict', $url, '--on-reject=dead-letter', "--dead-letter=$dead");
is($code, 0, 'or goes into a file') or diag($err);
is($json->decode(slurp_file($dead))->{record}{new}{id}, 201, 'that record alone');
MqttTest::wait_for($viewer, qr/\\"id\\":202/);
my %delivered = map { ($json->decode($_->{payload})->{new}{id} // '' => 1) }
  grep { $_->{topic} eq 'shop/public/t' } MqttTest::messages($viewer);
is(scalar(grep { /\d/ } keys %delivered), 201, 'its neighbours were delivered');
ok(!-e "$place/violations", 'limits were kept') or diag(slurp_file("$place/violations"));

# what the broker says of a message
$node->safe_psql('postgres', 'INSERT INTO t VALUES (203, 1)');
write_to($place, 'reason', '0x99 public');
refused('a message that the broker refuses', 7, qr/rejected record \S+: Payload format invalid/, $url);
write_to($place, 'reason', '0x87 public');
refused('a topic that is not allowed', 6, qr{topic "shop/public/t": Not authorized}, $url);
write_to($place, 'reason', '0x97 public');
my $client_log = "$log.busy";
$client = start_client($node, 'strict', $client_log, $url);
wait_for_line($client_log, qr/Quota exceeded; connecting again/);
write_to($place, 'reason', '');
MqttTest::wait_for($viewer, qr/\\"id\\":203/);
finish_kills($node, 'strict', $client);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (204, 1)');
refused('no retained messages', 6, qr/retains no messages/, $url, '--mqtt-rows');
# the viewer's topics are all of them
$strict->unsubscribe($viewer);
refused('nobody has subscribed', 7, qr/rejected record \S+: No matching subscribers/, $url, '--mqtt-unmatched=reject');
($code, $err) = deliver('strict', $url);
is($code, 0, 'which is accepted otherwise') or diag($err);

# how long the broker keeps the session
foreach ([0], [ 3600, '--mqtt-qos=2' ], [ 90, '--mqtt-qos=2', '--mqtt-session-expiry=90s' ], [ 0, '--mqtt-qos=2', '--mqtt-session-expiry=0' ])
{
	my ($seconds, @options) = @$_;

	$node->safe_psql('postgres', 'INSERT INTO t SELECT max(id) + 1, 1 FROM t');
	($code, $err) = deliver('strict', $url, @options);
	is($code, 0, "@options: delivered") or diag($err);
	is(slurp_file("$place/session"), $seconds, '... in a session of so many seconds');
}
$ledger->end;
$strict->kill;

my $low = MqttTest->new('max_qos 1')->start;
# something to deliver: else the end is reached before the broker has said a word
$node->safe_psql('postgres', 'INSERT INTO t SELECT max(id) + 1, 1 FROM t');
refused('no QoS 2', 6, qr/takes no more than QoS 1/, "--to=mqtt://127.0.0.1:$low->{port}/shop", '--mqtt-qos=2');
($code, $err) = deliver('strict', "--to=mqtt://127.0.0.1:$low->{port}/shop");
is($code, 0, 'but QoS 1') or diag($err);
$low->kill;

# URLs and options
refused('no prefix', 2, qr{must be mqtt://HOST}, '--to=mqtt://127.0.0.1');
refused('a wildcard', 2, qr{must be mqtt://HOST}, '--to=mqtt://127.0.0.1/a/%23');
refused('no port', 2, qr{must be mqtts://HOST}, '--to=mqtts://127.0.0.1:x/a');
refused('QoS 0', 2, qr/--mqtt-qos is 1 or 2/, $url, '--mqtt-qos=0');
refused('a bad template', 2, qr/knows \{prefix\}.*not "\{tabel\}"/, $url, '--mqtt-topic={prefix}/{tabel}');
refused('rows of Debezium', 2, qr/needs the format json/, $url, '--mqtt-rows', '-o', 'format=debezium');

done_testing();
