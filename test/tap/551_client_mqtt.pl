# Promise: an MQTT subscriber sees every change, the changes of a row in order,
# whatever is killed: the client, the broker or PostgreSQL; what comes again has
# the same id and is the same.  No position is confirmed before each message up to
# it was acknowledged, and never is more under way, or a packet larger, than the
# broker allows: a proxy sees that on the wire.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IPC::Run ();
use JSON::PP ();
use MqttTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new->utf8;
my $place = new_export_dir();
my $broker = MqttTest->new('max_inflight_messages 0')->start;

client_setup($node);

sub start_proxy
{
	my ($before) = @_;

	return start_peer('mqtt_proxy.py', $place, "$log.proxy", $before->{port}, $node->host . '/.s.PGSQL.' . $node->port);
}

my $proxy;

sub kill_proxy
{
	$proxy->signal('KILL');
	$proxy->finish;
	return;
}
END { local $?; kill_proxy() if $proxy; }

$proxy = start_proxy($broker);
my $through = slurp_file("$place/server_port");
my $url = '--to=mqtt://127.0.0.1:' . slurp_file("$place/mqtt_port");
my $direct = "--to=mqtt://127.0.0.1:$broker->{port}";

# both ways, to PostgreSQL and to the broker, lead through the proxy
sub proxied_client
{
	my ($slot, @more) = @_;

	return IPC::Run::start(
		[ 'pg_outflow', 'stream', '-d',
			"host=127.0.0.1 port=$through dbname=postgres sslmode=disable gssencmode=disable",
			'-S', $slot, @more ],
		'<', \undef, '>>', "$log.out", '2>>', $log);
}

# drain(SLOT, TARGET...): until all is confirmed
sub drain
{
	my ($slot, @target) = @_;
	my $end = current_lsn($node);
	my $client = proxied_client($slot, @target);

	wait_until($node,
		"SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = '$slot'",
		"$slot: everything confirmed");
	is(stop_client($client), 0, "$slot: a clean stop");
	return;
}

# seen(VIEWER, SLOT): the records of the table that it has seen, each once, after
# the last one of the slot came
sub seen
{
	my ($viewer, $what) = @_;
	my ($again, $differ, %seen, @lines) = (0, 0);

	$node->safe_psql('postgres', "SELECT pg_logical_emit_message(true, 'test', 'the end of $what')");
	run_client($node, $what, "$direct/shop", '--endpos=' . current_lsn($node));
	MqttTest::wait_for($viewer, qr/the end of $what/);
	foreach my $message (MqttTest::messages($viewer))
	{
		next if $message->{topic} ne 'shop/public/t';
		my $id = $message->{properties}{'user-properties'}{id};

		if (!defined $seen{$id}) { push @lines, $message->{payload}; $seen{$id} = $message->{payload}; }
		else { $again++; $differ++ if $seen{$id} ne $message->{payload}; }
	}
	is($differ, 0, "$what: what comes again is the same");
	cmp_ok(scalar(@lines), '>', 100, "$what: " . @lines . " records, $again again");
	return ($again, @lines);
}

# at least once: everything is killed
my $viewer = $broker->subscribe('shop/#');
create_slot($node, 'once');
srand(4711);
foreach my $round (1 .. $rounds)
{
	write_to($place, 'faults', "$round 10 10");
	my $writer = start_writer($node, 40);
	my $client = proxied_client('once', "$url/shop");

	Time::HiRes::sleep(0.3 + rand(1));
	if ($round % 5 == 0)
	{
		$node->stop('immediate');
		$node->start;
	}
	if ($round % 3 == 0)
	{
		$broker->reached($viewer);
		$broker->kill;
		Time::HiRes::sleep(rand(0.5));
		$broker->start;
		Time::HiRes::sleep(rand(1));
	}
	kill_client($client);
	$writer->finish;
}
write_to($place, 'faults', '0 0 0');
drain('once', "$url/shop");
my (undef, @lines) = seen($viewer, 'once');
check_once('once, without repetitions', @lines);
is(replay_records(@lines), table_rows($node), 'once: they give the table');

# QoS 2: while the client lives, lost connections double nothing
$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, 'twice');
$viewer = $broker->subscribe('shop/#');
write_to($place, 'faults', '11 5 5');
my $writer = start_writer($node, 60);
my $client = proxied_client('twice', "$url/shop", '--mqtt-qos=2', '--mqtt-inflight=50');
Time::HiRes::sleep(1);
$writer->finish;
my $end = current_lsn($node);
wait_until($node,
	"SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'twice'",
	'twice: everything confirmed');
is(stop_client($client), 0, 'twice: a clean stop');
my $again;
($again, @lines) = seen($viewer, 'twice');
is($again, 0, 'twice: nothing comes again');
check_once('twice', @lines);
is(replay_records(@lines), table_rows($node), 'twice: they give the table');
ok(!-e "$place/violations", 'nothing was confirmed before it was acknowledged, no limit passed')
  or diag(slurp_file("$place/violations"));
ok(-s "$place/confirmed", 'positions were seen on the wire');
my ($message) = grep { $_->{topic} eq 'shop/public/t' } MqttTest::messages($viewer);
is($message->{properties}{'content-type'}, 'application/json', 'the content type');
my $properties = $message->{properties}{'user-properties'};
is($json->decode($message->{payload})->{id}, $properties->{id}, 'the property id');
is(substr($properties->{id}, 0, 16), $properties->{lsn}, 'the property lsn');
is($json->decode($message->{payload})->{op}, $properties->{op}, 'the property op');

kill_proxy();
$broker->kill;

# limits of a broker are kept before it must complain
my $strict = MqttTest->new('max_inflight_messages 3', 'max_packet_size 5000', 'retain_available false')->start;
$proxy = start_proxy($strict);
$url = '--to=mqtt://127.0.0.1:' . slurp_file("$place/mqtt_port");
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

refused('a record that is too large', 7, qr/rejected record \S+: a packet of \d+ bytes is too large: at most 5000/, "$url/shop");
my $dead = "$place/dead";
my ($code, $err) = deliver('strict', "$url/shop", '--on-reject=dead-letter', "--dead-letter=$dead");
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
refused('a message that the broker refuses', 7, qr/rejected record \S+: Payload format invalid/, "$url/shop");
write_to($place, 'reason', '0x87 public');
refused('a topic that is not allowed', 6, qr{topic "shop/public/t": Not authorized}, "$url/shop");
write_to($place, 'reason', '0x97 public');
my $client_log = "$log.busy";
$client = start_client($node, 'strict', $client_log, "$url/shop");
wait_for_line($client_log, qr/Quota exceeded; connecting again/);
write_to($place, 'reason', '');
MqttTest::wait_for($viewer, qr/\\"id\\":203/);
$end = current_lsn($node);
wait_until($node,
	"SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'strict'",
	'a broker that is busy is waited for');
is(stop_client($client), 0, 'a clean stop');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (204, 1)');
refused('no retained messages', 6, qr/retains no messages/, "$url/shop", '--mqtt-rows');
# the viewer's topics are all of them
$strict->unsubscribe($viewer);
refused('nobody has subscribed', 7, qr/rejected record \S+: No matching subscribers/, "$url/shop", '--mqtt-unmatched=reject');
($code, $err) = deliver('strict', "$url/shop");
is($code, 0, 'which is accepted otherwise') or diag($err);
kill_proxy();
$strict->kill;

# URLs and options
refused('no prefix', 2, qr{must be mqtt://HOST}, '--to=mqtt://127.0.0.1');
refused('a wildcard', 2, qr{must be mqtt://HOST}, '--to=mqtt://127.0.0.1/a/%23');
refused('no port', 2, qr{must be mqtts://HOST}, '--to=mqtts://127.0.0.1:x/a');
refused('QoS 0', 2, qr/--mqtt-qos is 1 or 2/, "$url/shop", '--mqtt-qos=0');
refused('a bad template', 2, qr/knows \{prefix\}.*not "\{tabel\}"/, "$url/shop", '--mqtt-topic={prefix}/{tabel}');
refused('rows of Debezium', 2, qr/needs the format json/, "$url/shop", '--mqtt-rows', '-o', 'format=debezium');

done_testing();
