# Promise: with --exactly-once each record is there once and none is missing for readers
# of committed messages, also when Kafka ends a transaction because its client was stopped
# for longer than one may take, when a client goes on that another one of the same slot has
# replaced meanwhile, and when the other one has a new primary, and the old one lives: the
# older is fenced, and nothing that only it had is ever seen.
use strict;
use warnings;

use ClientTest;
use KafkaTest;
use KillRounds;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# OUTFLOW_KAFKA has Kafka's jars
my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 60s\nautovacuum = off\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client_kafka_zombie";
my $broker = KafkaTest->new(lines => [ 'transaction.max.timeout.ms=50000',
		'transaction.abort.timed.out.transaction.cleanup.interval.ms=300' ])->start;

client_setup($node);
ledger_setup($node);
srand(4711);

sub target
{
	my ($prefix, $timeout, @more) = @_;

	return ('--to=kafka://' . $broker->address . "/$prefix", '--kafka-partitions=3', '--exactly-once',
		'-X', "transaction.timeout.ms=$timeout", '-o', 'tables=public.t', @more);
}

sub committed { return $broker->messages($_[0], 'isolation.level=read_committed'); }

# check(WHAT, NODE): what readers see is the ledger's, each once
sub check
{
	my ($what, $of) = @_;

	is(check_ledger($what, $of, map { change_of_debezium($_->{headers}{id}, $_->{value}) } grep { defined $_->{value} } committed("$what.public.t")),
		0, "$what: none comes again");
	return;
}

# what Kafka says of the slot's last transaction
sub transaction_state
{
	my ($slot) = @_;
	my $id = "$slot-" . $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()') . "-$slot";
	my ($out) = run_command([ KafkaTest::java('org.apache.kafka.tools.TransactionsCommand', '--bootstrap-server', $broker->address,
				'describe', '--transactional-id', $id) ]);

	return $out =~ /\b(Empty|Ongoing|(?:Prepare|Complete)(?:Commit|Abort))\b/ ? $1 : $out;
}

# wait_open(ID): until there is a message of that row, which isn't committed
sub wait_open
{
	my ($topic, $id) = @_;

	foreach (1 .. 600)
	{
		# that there is no topic yet is an error
		return if grep { $_->{key} eq "{\"id\":$id}" } eval { $broker->messages($topic, 'isolation.level=read_uncommitted') };
		Time::HiRes::sleep(0.2);
	}
	die "no row $id in $topic";
}

# ---- a time that the broker doesn't allow
create_slot($node, 'slow');
my ($code, undef, $err) = run_client($node, 'slow', '--to=kafka://' . $broker->address . '/slow', '--exactly-once', '--kafka-partitions=3', '--endpos=' . current_lsn($node));
is($code, 6, 'a transaction may take less than the client wants');
like($err, qr/transaction\.max\.timeout\.ms.*-X transaction\.timeout\.ms/, '... as it says, and what to do');

# ---- ended by the broker, at random moments, amid all that a client may be at
create_slot($node, 'timeout');
my $client = start_client($node, 'timeout', "$log.timeout", target('timeout', 3000, '--linger=2s', '--batch-bytes=200kB'));
wait_for_line("$log.timeout", qr/streaming slot/);
my $ended = 0;
foreach my $round (1 .. $rounds)
{
	my $writer = start_writer($node, 60);

	Time::HiRes::sleep(0.3 + rand(1.5));
	$client->signal('STOP');
	Time::HiRes::sleep(5);
	# the client never ends one like that
	$ended++ if transaction_state('timeout') eq 'CompleteAbort';
	$client->signal('CONT');
	Time::HiRes::sleep(0.5);
	$writer->finish;
}
finish_kills($node, 'timeout', $client);
cmp_ok($ended, '>', 0, "timeout: $ended transactions were ended by the broker");
check('timeout', $node);

# ---- replaced while it was stopped, and both go on
ledger_clear($node);
create_slot($node, 'zombie');
foreach my $round (1 .. $rounds)
{
	my @both = map { "$log.zombie.$round.$_" } 'first', 'second';
	my @arguments = target('zombie', 3000, '--batch-bytes=20kB', $round % 2 ? '--linger=300ms' : ());
	my $first = start_client($node, 'zombie', $both[0], @arguments);

	wait_for_line($both[0], qr/streaming slot/);
	my $writer = start_writer($node, 80);
	Time::HiRes::sleep(0.2 + rand(1));
	$first->signal('STOP');
	# a walsender that is told to end waits for its client to read that
	$node->stop('immediate');
	$node->start;
	$writer->finish;
	$writer = start_writer($node, 80);
	my $second = start_client($node, 'zombie', $both[1], @arguments);
	wait_for_line($both[1], qr/streaming slot/);
	Time::HiRes::sleep(rand(0.5));
	$first->signal('CONT');
	Time::HiRes::sleep(1 + rand(2));
	$writer->finish;
	kill_client($_) foreach $round % 2 ? ($first, $second) : ($second, $first);
}
($code, undef, $err) = run_client($node, 'zombie', target('zombie', 3000), '--stop-timeout=10min', '--endpos=' . current_lsn($node));
is($code, 0, 'zombie: comes to the end') or diag($err);
check('zombie', $node);

# ---- two servers that both think they are the primary
ledger_clear($node);
create_slot($node, 'split');
my @split = target('split', 50000);
my $old = start_client($node, 'split', "$log.old", @split, '--linger=20s');
$node->safe_psql('postgres', 'CALL work(20)');
wait_confirmed($node, 'split', current_lsn($node));
my $twin = PostgreSQL::Test::Cluster->new('twin');
make_twin($node, $twin);
$twin->promote;
$node->start;
$node->safe_psql('postgres', 'INSERT INTO t VALUES (7001, 1)');
wait_open('split.public.t', 7001);
$old->signal('STOP');
is(scalar(grep { $_->{key} eq '{"id":7001}' } committed('split.public.t')), 0, 'split: the old one is stopped amid a transaction');
my $new = start_client($twin, 'split', "$log.new", @split);
$twin->safe_psql('postgres', 'CALL work(20); INSERT INTO t VALUES (7002, 1)');
wait_confirmed($twin, 'split', current_lsn($twin));
$old->signal('CONT');
$old->finish;
is($old->result(0), 5, 'split: the old one ends');
like(slurp_file("$log.old"), qr/Kafka has ended the transaction, for another pg_outflow.*timeline 2, and the server is on timeline 1/s,
	'... fenced first, then told of the history that it lacks');
$twin->safe_psql('postgres', 'CALL work(20)');
wait_for_line("$log.new", qr/starting over.*streaming slot/s);
is(slurp_file("/proc/$new->{KIDS}[0]{PID}/comm"), "pg_outflow\n", 'split: the new one starts over under its own name');
finish_kills($twin, 'split', $new);
check('split', $twin);
is(join(' ', map { $_->{key} } grep { $_->{key} =~ /:700\d/ } committed('split.public.t')), '{"id":7002}', 'split: what only the old one had was never seen');
$broker->kill;
done_testing();
