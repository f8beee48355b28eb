# Promise: every change reaches a real Kafka, whatever is killed: the client, the
# broker or PostgreSQL.  What comes again has the same id; what a table's topic
# says of each key, in the order of its partition, is the table.  In
# exactly-once mode a reader of committed messages sees each record once.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IPC::Run ();
use JSON::PP ();
use KafkaTest;
use KillRounds;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# OUTFLOW_KAFKA has Kafka's jars
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new;
my $broker = KafkaTest->new->start;

client_setup($node);
ledger_setup($node);

# rows(MESSAGES): what the keys of a topic end with
sub rows
{
	my (@messages) = @_;
	my %rows;

	foreach my $message (@messages)
	{
		my $id = $json->decode($message->{key})->{id};

		if (!defined $message->{value}) { delete $rows{$id}; next; }
		my $record = $json->decode($message->{value});
		if ($record->{op} eq 'd') { delete $rows{$id}; }
		else { $rows{$id} = $record->{after}{n}; }
	}
	return join("\n", map { "$_|$rows{$_}" } sort { $a <=> $b } keys %rows);
}

# repeated(MESSAGES): how many records come again, and how many of them differ
sub repeated
{
	my (@messages) = @_;
	my (%seen, $again, $differ);

	foreach my $message (grep { defined $_->{value} } @messages)
	{
		my $id = $message->{headers}{id};
		# when the event was written is told apart
		my $value = $message->{value} =~ s/,"ts_ms":\d+,"ts_us":\d+,"ts_ns":\d+(,"transaction":.*)?\}$//r;

		if (defined $seen{$id}) { $again++; $differ++ if $seen{$id} ne $value; }
		$seen{$id} = $value;
	}
	return ($again // 0, $differ // 0);
}

sub torture
{
	my ($slot, @target) = @_;

	ledger_clear($node);
	create_slot($node, $slot);
	kill_rounds(
		$node,
		wait => [ 0.5, 1.5 ], target_every => 4,
		client => sub { start_client($node, $slot, $log, @target) },
		target => sub { $broker->kill; $broker->start; });
	my ($code, undef, $err) = run_client($node, $slot, @target, '--stop-timeout=10min', '--endpos=' . current_lsn($node));
	is($code, 0, "$slot: comes to the end") or diag($err);
	return;
}

my $url = '--to=kafka://' . $broker->address;
my @only_t = ('-o', 'tables=public.t');

torture('once', "$url/shop", @only_t, '--kafka-partitions=3');
my @messages = $broker->messages('shop.public.t');
my ($again, $differ) = repeated(@messages);
cmp_ok(scalar(@messages), '>', 100, 'once: ' . @messages . " messages, $again of them again");
is($differ, 0, 'once: what comes again is the same');
is(rows(@messages), table_rows($node), 'once: the topic gives the table');
check_ledger('once', $node, map { change_of_debezium($_->{headers}{id}, $_->{value}) } grep { defined $_->{value} } @messages);
my ($tombstone) = grep { !defined $_->{value} } @messages;
ok($tombstone, 'once: a delete is followed by a tombstone');
is(join(' ', sort keys %{ $tombstone->{headers} }), 'id lsn op', 'once: headers');

# partitions as Java's clients choose them: murmur2 of the key
my %partition = map { ("$_->{key} $_->{partition}" => 1) } @messages;
my %keys = map { ($_->{key} => 1) } @messages;
is(scalar(keys %partition), scalar(keys %keys), 'once: a key is in one partition');

# exactly once: a Kafka transaction has records and position
torture('exactly', "$url/exact", @only_t, '--kafka-partitions=3', '--exactly-once', '--batch-bytes=20kB');
@messages = $broker->messages('exact.public.t', 'isolation.level=read_committed');
($again, $differ) = repeated(@messages);
my $all = () = $broker->messages('exact.public.t', 'isolation.level=read_uncommitted');
cmp_ok(scalar(@messages), '>', 100, 'exactly: ' . @messages . " messages of $all that were sent");
is($again, 0, 'exactly: none comes again');
is(rows(@messages), table_rows($node), 'exactly: the topic gives the table');
check_ledger('exactly', $node, map { change_of_debezium($_->{headers}{id}, $_->{value}) } grep { defined $_->{value} } @messages);
$node->safe_psql('postgres', 'DROP TRIGGER keep ON t');
my %position = map { ($_->{key} => $json->decode($_->{value})) } $broker->messages('exact.offsets', 'isolation.level=read_committed');
is(scalar(keys %position), 1, 'exactly: the position is in its topic');

# Another slot of the same prefix may have a transaction open in the topic of
# positions: what lies after it is no less this slot's.
{
	my $place = new_export_dir();
	my @again = ("$url/exact", @only_t, '--kafka-partitions=3', '--exactly-once');
	my $client = start_client($node, 'exactly', "$log.open", @again);

	wait_for_line("$log.open", qr/streaming slot "exactly"/);
	my $holder = IPC::Run::start([ $ENV{OUTFLOW_KAFKA_PYTHON}, "$FindBin::RealBin/../lib/kafka_open.py", $place, $broker->address, 'exact.offsets' ],
		'<', \undef, '>', '/dev/null', '2>>', "$log.holder");
	wait_for_line("$place/ready", qr/yes/);
	$node->safe_psql('postgres', 'INSERT INTO t SELECT g, 1 FROM generate_series(8000, 8099) AS g');
	wait_confirmed($node, 'exactly', current_lsn($node));
	kill_client($client);
	# the slot may be where it was: what Kafka has of it decides
	$node->stop('immediate');
	$node->start;
	$client = start_client($node, 'exactly', "$log.open", @again);
	# time enough to send again what is there
	Time::HiRes::sleep(3);
	$holder->signal('TERM');
	$holder->finish;
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id >= 8000');
	finish_kills($node, 'exactly', $client);
	($again) = repeated($broker->messages('exact.public.t', 'isolation.level=read_committed'));
	is($again, 0, 'an open transaction of somebody else hides nothing that is there');
}

# Another client of the same slot waits while the slot is in use.  Once it isn't,
# though its client lives, the other one takes its place in Kafka as well.  The first one
# sees that, and begins anew, if it is not told so by its slot.
create_slot($node, 'fenced');
my @fenced = ("$url/exact", '--kafka-partitions=3', '--exactly-once');
my $first = start_client($node, 'fenced', "$log.first", @fenced);
wait_for_line("$log.first", qr/streaming slot "fenced"/);
my $second = start_client($node, 'fenced', "$log.second", @fenced);
wait_for_line("$log.second", qr/is active for PID/);
$first->signal('STOP');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'fenced'");
wait_for_line("$log.second", qr/streaming slot "fenced"/);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (9000, 1)');
my $known = current_lsn($node);
wait_confirmed($node, 'fenced', $known);
is(stop_client($second), 0, 'the second client stops');
$first->signal('CONT');
wait_for_line("$log.first", qr/starting over|moved|lost/);
$first->pump_nb;
if ($first->pumpable) { is(stop_client($first), 0, 'the first one sees that another one went on'); }
else { $first->finish; is($first->result(0), 5, 'the first one sees that another one went on'); }
$node->safe_psql('postgres', 'DELETE FROM t WHERE id = 9000');
run_client($node, 'fenced', @fenced, '--endpos=' . current_lsn($node));
my @once = grep { defined $_->{value} && $_->{key} eq '{"id":9000}' }
  $broker->messages('exact.public.t', 'isolation.level=read_committed');
is(join(' ', map { $_->{headers}{op} } @once), 'c d', 'neither of the two doubles or loses a record');

# what can't be delivered
create_slot($node, 'wrong');
$node->safe_psql('postgres', "INSERT INTO t VALUES (9001, 1, repeat('y', 3000000))");
sub refused
{
	my ($what, $expected, $pattern, @arguments) = @_;
	my ($code, undef, $err) = run_client($node, 'wrong', @arguments, '--endpos=' . current_lsn($node));

	is($code, $expected, "$what: exit code");
	like($err, $pattern, "$what: the reason");
	return;
}
refused('a record that is too large', 7, qr/rejected record .*too large/i, "$url/shop");
my $dead = "${PostgreSQL::Test::Utils::tmp_check}/dead";
refused('a dead letter', 0, qr/which is now in/, "$url/shop", '--on-reject=dead-letter', "--dead-letter=$dead");
like(slurp_file($dead), qr/"id":\{?"?[0-9A-F\/]+"?,"record":\{"id"/, 'the dead letter has the record');
$node->safe_psql('postgres', "INSERT INTO t VALUES (9002, 1)");
refused('no such topic', 6, qr/create it/, "$url/missing");
refused('an option that guarantees depend on', 2, qr/not among those/, "$url/shop", '-X', 'enable.idempotence=false');

# the examples of README.md; kcat, as it stands, reads what the first one delivers
{
	my $place = new_export_dir();
	my $receiver = start_peer('http_receiver.py', $place, "$log.receiver");

	create_slot($node, 'example');
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (9100, 1)');
	my $client = start_readme_command($node, "$log.example", 'pg_outflow stream -d dbname=shop -S orders --to kafka:', '-S orders', '-S example',
		'broker:9092', $broker->address, '--exactly-once', '--exactly-once --kafka-partitions 1');
	wait_confirmed($node, 'example', current_lsn($node));
	is(stop_client($client), 0, "README.md's example delivers") or diag(slurp_file("$log.example"));
	my ($out) = run_command([ 'bash', '-c', readme_command('kcat', 'broker:9092', $broker->address, 'public.orders', 'public.t') . ' -e -q' ]);
	like($out, qr/"after":\{"id":9100,/, 'which kcat reads as it shows');
	create_slot($node, 'both');
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (9101, 1)');
	$client = start_readme_command($node, "$log.example", 'pg_outflow stream -d dbname=shop -S orders --to https://hooks.example.com/orders --to kafka:', '-S orders', '-S both',
		'broker:9092/shop', $broker->address . '/shop --kafka-partitions 1', 'https://hooks.example.com', 'http://127.0.0.1:' . slurp_file("$place/http_port"));
	wait_for_line("$place/log", qr/\\"id\\":9101,/);
	wait_confirmed($node, 'both', current_lsn($node));
	is(stop_client($client), 0, 'its example of two targets, too') or diag(slurp_file("$log.example"));
	($out) = run_command([ 'kcat', '-b', $broker->address, '-C', '-t', 'shop.public.t', '-o', 'beginning', '-e', '-q' ]);
	like($out, qr/"id":9101,/, '... to both');
	$receiver->kill_kill(grace => 0);
}
$broker->kill;
done_testing();
