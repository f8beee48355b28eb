# Promise: every change reaches a real Kafka, whatever is killed: the client, the
# broker or PostgreSQL.  What comes again has the same id; what a table's topic
# says of each key, in the order of its partition, is the table.  In
# exactly-once mode a reader of committed messages sees each record once.
use strict;
use warnings;

use ClientTest;
use JSON::PP ();
use KafkaTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# OUTFLOW_KAFKA has Kafka's jars
my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new;
my $broker = KafkaTest->new->start;

client_setup($node);

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

	$node->safe_psql('postgres', 'DELETE FROM t');
	create_slot($node, $slot);
	srand(4711);
	foreach my $round (1 .. $rounds)
	{
		my $writer = start_writer($node, 40);
		my $client = start_client($node, $slot, $log, @target);

		Time::HiRes::sleep(0.5 + rand(1.5));
		if ($round % 5 == 0)
		{
			$node->stop('immediate');
			$node->start;
		}
		if ($round % 4 == 0)
		{
			$broker->kill;
			$broker->start;
			Time::HiRes::sleep(rand(1));
		}
		kill_client($client);
		$writer->finish;
	}
	my ($code, undef, $err) = run_client($node, $slot, @target, '--endpos=' . current_lsn($node));
	is($code, 0, "$slot: comes to the end") or diag($err);
	return;
}

my $url = '--to=kafka://' . $broker->address;

torture('once', "$url/shop", '--kafka-partitions=3');
my @messages = $broker->messages('shop.public.t');
my ($again, $differ) = repeated(@messages);
cmp_ok(scalar(@messages), '>', 100, 'once: ' . @messages . " messages, $again of them again");
is($differ, 0, 'once: what comes again is the same');
is(rows(@messages), table_rows($node), 'once: the topic gives the table');
my ($tombstone) = grep { !defined $_->{value} } @messages;
ok($tombstone, 'once: a delete is followed by a tombstone');
is(join(' ', sort keys %{ $tombstone->{headers} }), 'id lsn op', 'once: headers');

# partitions as Java's clients choose them: murmur2 of the key
my ($one) = grep { $_->{key} eq '{"id":1}' } @messages;
my %partition = map { ("$_->{key} $_->{partition}" => 1) } @messages;
my %keys = map { ($_->{key} => 1) } @messages;
is(scalar(keys %partition), scalar(keys %keys), 'once: a key is in one partition');

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
$broker->kill;
done_testing();
