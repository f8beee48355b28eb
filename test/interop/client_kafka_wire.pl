# Promise: no position is confirmed to PostgreSQL before a Kafka broker has acknowledged
# each record up to it, in exactly-once mode before their transaction is committed, as a
# proxy sees on the wire while answers are late or lost and all sides are killed.
use strict;
use warnings;

use ClientTest;
use KafkaTest;
use KillRounds;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

# OUTFLOW_KAFKA has Kafka's jars
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $broker = KafkaTest->new(proxy => KafkaTest::free_port())->start;

client_setup($node);
ledger_setup($node);

# torture(SLOT, ISOLATION, ARGUMENT...): how many changes came again
sub torture
{
	my ($slot, $isolation, @more) = @_;
	my $place = new_export_dir();
	my $wire = $broker->start_wire($place, $node, "$log.wire");
	my $client = sub {
		start_proxied_client($place, $slot, $log, '--to=kafka://' . $broker->through_proxy . "/$slot", '--kafka-partitions=3', '-o',
			'tables=public.t', '-X', 'compression.type=none', '--batch-bytes=20kB', @more);
	};

	write_to($place, 'faults', '30 2');
	ledger_clear($node);
	create_slot($node, $slot);
	kill_rounds(
		$node,
		wait => [ 0.5, 1.5 ], target_every => 4,
		target => sub { $broker->kill; $broker->start; },
		client => $client);
	write_to($place, 'faults', '0 0');
	finish_kills($node, $slot, $client->());
	my $again = check_ledger($slot, $node, map { change_of_debezium($_->{headers}{id}, $_->{value}) }
		  grep { defined $_->{value} } $broker->messages("$slot.public.t", "isolation.level=$isolation"));
	ok(!-e "$place/violations", "$slot: nothing was confirmed before it was acknowledged")
	  or diag(slurp_file("$place/violations"));
	cmp_ok(slurp_file("$place/confirmed"), '>', 0, "$slot: positions were seen on the wire");
	cmp_ok(slurp_file("$place/answered"), '>', 100, "$slot: and records that were acknowledged");
	unlike(slurp_file($log), qr/Assertion/, "$slot: librdkafka goes on");
	$wire->kill_kill(grace => 0);
	return $again;
}

is(torture('exactly', 'read_committed', '--exactly-once'), 0, 'exactly: nothing comes again');
torture('once', 'read_uncommitted');
$broker->kill;
done_testing();
