# Promise: for each of these targets: a hundred times the client, the target and
# PostgreSQL are killed at random moments, and what an independent reader of the
# target finds is the ledger's: nothing is missing, the changes of a key are in
# order, what comes again is the same, and to files, another PostgreSQL, and Kafka
# with --exactly-once nothing does.
#
# TARGETS="file kafka" takes some of them.
use strict;
use warnings;

use ClientTest;
use KafkaTest;
use KillRounds;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;

# OUTFLOW_KAFKA has Kafka's jars
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my @only_t = ('-o', 'tables=public.t');

client_setup($node);
ledger_setup($node);

# rounds(SLOT, TARGET, ARGUMENT...): each other one with small batches
sub rounds
{
	my ($slot, $target, $client) = @_;

	ledger_clear($node);
	create_slot($node, $slot);
	kill_rounds($node, wait => [ 0.2, 1 ], target => $target, client => sub { $client->($_[0] % 2 ? () : '--batch-bytes=2kB') });
	finish_kills($node, $slot, $client->());
	return;
}

# no position was confirmed too early, as a proxy saw
sub check_wire
{
	my ($what, $place) = @_;

	ok(!-e "$place/violations", "$what: nothing was confirmed before it was acknowledged")
	  or diag(slurp_file("$place/violations"));
	ok(-s "$place/confirmed", "$what: positions were seen on the wire");
	return;
}

sub test_file
{
	my $directory = new_export_dir();

	rounds('file', undef, sub { start_client($node, 'file', $log, "--to=file://$directory", '--file-rotate-bytes=200kB', @only_t, @_) });
	is(check_ledger('file', $node, map { change_of_json($_) } delivered_lines($directory)), 0, 'file: nothing comes again');
	return;
}

sub test_http
{
	my $place = new_export_dir();
	my $receiver;
	my $start = sub {
		$receiver->kill_kill(grace => 0) if $receiver;
		$receiver = start_peer('http_receiver.py', $place, "$log.receiver", $node->host . '/.s.PGSQL.' . $node->port);
	};

	$start->();
	write_to($place, 'faults', '5 5 5 10');
	my $to = '--to=http://127.0.0.1:' . slurp_file("$place/http_port") . '/hook';
	rounds('http', $start, sub { start_proxied_client($place, 'http', $log, $to, '--http-profile=ndjson', @only_t, @_) });
	# each request is a line, its body a string of JSON
	my @bodies = slurp_file("$place/log") =~ /^\{"status": 200,.*"body": "(.*)"\}$/mg;
	check_ledger('http', $node, map { change_of_json(s/\\(.)/$1/gr) } grep { $_ ne '' } map { split(/\\n/, $_) } @bodies);
	check_wire('http', $place);
	$receiver->kill_kill(grace => 0);
	return;
}

my $broker;

# kafka(SLOT, ISOLATION, ARGUMENT...): how many records came again
sub kafka
{
	my ($slot, $isolation, @more) = @_;

	$broker //= KafkaTest->new(proxy => KafkaTest::free_port())->start;
	my $place = new_export_dir();
	my $wire = $broker->start_wire($place, $node, "$log.wire");
	my @target = ('--to=kafka://' . $broker->through_proxy . "/$slot", '--kafka-partitions=3', '-X', 'compression.type=none', @only_t, @more);
	write_to($place, 'faults', '20 1');
	rounds($slot, sub { $broker->kill; $broker->start; }, sub { start_proxied_client($place, $slot, $log, @target, @_) });
	check_wire($slot, $place);
	$wire->kill_kill(grace => 0);
	return check_ledger($slot, $node, map { change_of_debezium($_->{headers}{id}, $_->{value}) }
		  grep { defined $_->{value} } $broker->messages("$slot.public.t", "isolation.level=$isolation"));
}

sub test_kafka { return kafka('kafka', 'read_uncommitted'); }

sub test_kafka_exactly
{
	is(kafka('kafka_exactly', 'read_committed', '--exactly-once'), 0, 'kafka_exactly: nothing comes again');
	return;
}

# its ledger comes along, in the transactions that it is about
sub test_postgresql
{
	my $place = new_export_dir();
	my $target = new_target();
	my $off = 'sslmode=disable&gssencmode=disable';

	$target->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, filler text);'
		  . ' CREATE TABLE ledger (number bigint, change text)');
	my $proxy = start_peer('apply_proxy.py', $place, "$log.apply_proxy", map { $_->host . '/.s.PGSQL.' . $_->port } $node, $target);
	my ($from, $to) = map { slurp_file("$place/${_}_port") } qw(source target);
	write_to($place, 'server_port', $from);
	write_to($place, 'faults', '5 5');
	rounds(
		'postgresql', sub { $target->stop('immediate'); $target->start; },
		sub { start_proxied_client($place, 'postgresql', $log, "--to=postgresql://127.0.0.1:$to/postgres?$off", @_) });
	is(table_rows($target), table_rows($node), 'postgresql: the table is the same');
	my ($here, $there) = map { $_->safe_psql('postgres', 'SELECT * FROM ledger ORDER BY number') } $node, $target;
	ok($here eq $there, 'postgresql: and so is the ledger of ' . ($here =~ tr/\n//) . ' changes: nothing comes again');
	check_wire('postgresql', $place);
	$proxy->kill_kill(grace => 0);
	return;
}

foreach my $target (split(' ', $ENV{TARGETS} || 'file http kafka kafka_exactly postgresql'))
{
	no strict 'refs';
	"test_$target"->();
}
$broker->kill if $broker;
done_testing();
