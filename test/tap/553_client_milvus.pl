# Promise: a collection of Milvus becomes what the table is, also embeddings that the WAL
# doesn't have, through errors in answers of status 200, refusals, lost and cut answers,
# and whatever is killed.  A request never has a row twice.  No position is confirmed before
# each change up to it was answered.  A collection that rows don't fit in is named with the
# way out before anything is sent.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use JSON::PP ();
use MilvusTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new->utf8->canonical;
my $place = new_export_dir();
my $server;

docs_setup($node);

sub kill_server
{
	return if !$server;
	$server->signal('KILL');
	$server->finish;
	undef $server;
	return;
}
END { local $?; kill_server(); }

# start_server(FAULTS): again, if it is there
sub start_server
{
	my ($faults) = @_;

	kill_server();
	write_to($place, 'faults', $faults);
	$server = start_peer('milvus_server.py', $place, "$log.server", $node->host . '/.s.PGSQL.' . $node->port);
	return;
}

sub set_collections { write_to($place, 'collections', $json->encode({@_})); return; }

set_collections(docs => { fields => docs_fields() });
start_server('0 0 0 0 0');
create_slot($node, 'slot');
srand(4711);
foreach my $round (1 .. $rounds)
{
	start_server("$round 15 10 5 5");
	my $writer = start_docs_writer($node, 30);
	my $client = proxied_milvus_client($place, $log, $round % 2 ? () : '--batch-bytes=20kB');

	Time::HiRes::sleep(0.3 + rand(1));
	if ($round % 5 == 0)
	{
		$node->stop('immediate');
		$node->start;
	}
	kill_client($client);
	$writer->finish;
}
start_server('99 20 0 5 5');
my $end = current_lsn($node);
my $client = proxied_milvus_client($place, $log);
wait_until($node, "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'slot'",
	'everything confirmed');
is(stop_client($client), 0, 'a clean stop');
ok(!-e "$place/violations", 'nothing was confirmed before it was answered, no row was twice in a request')
  or diag(slurp_file("$place/violations"));
ok(-s "$place/confirmed", 'positions were seen on the wire');
start_server('0 0 0 0 0');
check_docs('kills and faults', $node, $place);
my @log = map { $json->decode($_) } split(/\n/, slurp_file("$place/log"));
ok((grep { $_->{request}{partialUpdate} && !exists $_->{request}{data}[0]{embedding} } grep { ref $_->{request}{data} } @log),
	'embeddings that did not change were left alone');
done_testing();
