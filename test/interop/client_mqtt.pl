# Promise: an MQTT broker of another make, HiveMQ, is no different: its subscribers see
# every change, the changes of a row in order, whatever is killed; what comes again has
# the same id and is the same.  No position is confirmed before each message up to it
# was acknowledged, and the broker's limits are kept.
use strict;
use warnings;

use ClientTest;
use HivemqTest;
use MqttLedger;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $place = new_export_dir();
my $broker = HivemqTest->new->start;

client_setup($node);
srand(4711);

my $ledger = MqttLedger->new($node, $place, $log, $broker);
my $viewer = $broker->subscribe('shop/#');
create_slot($node, 'once');
$ledger->kills('once', $viewer, $rounds);
$ledger->seen('once', $viewer);

# QoS 2: while client and broker live, lost connections double nothing
$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, 'twice');
$viewer = $broker->subscribe('shop/#');
$ledger->faults(11, 5, 5);
my $writer = start_writer($node, 60);
my $client = $ledger->client('twice', '--mqtt-qos=2');
Time::HiRes::sleep(1);
$writer->finish;
$ledger->drain('twice', $client);
my ($again) = $ledger->seen('twice', $viewer);
is($again, 0, 'twice: nothing comes again');
$ledger->checked;
$ledger->end;
$broker->kill;

# restarts($BROKER, HOW): QoS 2 while the broker ends so; how much came again
sub restarts
{
	my ($restarted, $how) = @_;
	my $slot = lc(ref $restarted) . "_$how";

	$node->safe_psql('postgres', 'TRUNCATE t');
	create_slot($node, $slot);
	$ledger = MqttLedger->new($node, $place, "$log.$slot", $restarted);
	$viewer = $restarted->subscribe_paho('shop/#');
	$ledger->faults(0, 0, 0);
	$client = $ledger->client($slot, '--mqtt-qos=2', '--mqtt-inflight=50');
	foreach my $round (1 .. 4)
	{
		$writer = start_writer($node, 60);
		Time::HiRes::sleep(0.5 + rand(1));
		$restarted->$how;
		$restarted->start;
		$writer->finish;
	}
	$ledger->drain($slot, $client);
	($again) = $ledger->seen($slot, $viewer);
	$ledger->end;
	unlike(slurp_file("$log.$slot"), qr/lost the session/, "$slot: the session is kept") if $how eq 'stop';
	return $again;
}

# ... nor a broker that restarts and has kept the session; of one that is killed some
# may come again
foreach my $restarted (MqttTest->new('max_inflight_messages 0'), HivemqTest->new)
{
	$restarted->start;
	is(restarts($restarted, 'stop'), 0, ref($restarted) . ': nothing comes again');
	restarts($restarted, 'kill');
	$restarted->kill;
}

done_testing();
