# Promise: with --exactly-once each record is there once and none is missing, also
# when the end of a transaction reaches the broker late: after the client has given it
# up, asked again and gone on.  librdkafka has nothing against that (KIP-890), so a
# producer whose commit is in doubt is replaced, which fences what is still under way.
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
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 60s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new;
my $place = new_export_dir();
my $port = KafkaTest::free_port();
my $broker = KafkaTest->new(proxy => $port)->start;

client_setup($node);
create_slot($node, 'feed');
write_to($place, 'mode', 'pass');
my $proxy = start_peer('kafka_proxy.py', $place, "$log.proxy", $port, $broker->behind);
my @target = ("--to=kafka://127.0.0.1:$port/shop", '--kafka-partitions=3', '--exactly-once', '--batch-bytes=20kB');

# lines(FILE): of the proxy
sub lines
{
	my ($file) = @_;

	return -e "$place/$file" ? split(/\n/, slurp_file("$place/$file")) : ();
}

# outcome(MESSAGES): how many records come again, and what the keys end with
sub outcome
{
	my (%seen, %rows);
	my $again = 0;

	foreach my $message (@_)
	{
		my $id = $json->decode($message->{key})->{id};

		$again++ if defined $message->{value} && $seen{ $message->{headers}{id} }++;
		if (defined $message->{value} && (my $record = $json->decode($message->{value}))->{op} ne 'd')
		{
			$rows{$id} = $record->{after}{n};
		}
		else { delete $rows{$id}; }
	}
	return ($again, join("\n", map { "$_|$rows{$_}" } sort { $a <=> $b } keys %rows));
}

sub check_messages
{
	my ($what) = @_;
	my $expected = table_rows($node);
	my ($again, $rows, @messages);

	# a commit is answered before readers see it
	foreach my $try (1 .. 60)
	{
		@messages = $broker->messages('shop.public.t', 'isolation.level=read_committed');
		($again, $rows) = outcome(@messages);
		last if $rows eq $expected;
		Time::HiRes::sleep(1);
	}
	cmp_ok(scalar(@messages), '>', 100, "$what: " . @messages . ' messages');
	is($again, 0, "$what: none comes again");
	ok($rows eq $expected, "$what: none is missing");
	return;
}

# cut off, and let through amid a later transaction; killed now and then
srand(4711);
write_to($place, 'mode', 'cut 30');
foreach my $round (1 .. $rounds)
{
	my $writer = start_writer($node, 60);
	my $client = start_client($node, 'feed', $log, @target);

	Time::HiRes::sleep(4 + rand(4));
	kill_client($client);
	$writer->finish;
}
write_to($place, 'mode', 'pass');
my ($code, undef, $err) = run_client($node, 'feed', @target, '--endpos=' . current_lsn($node));
is($code, 0, 'cut: comes to the end') or diag($err);
my @late = lines('late');
cmp_ok(scalar(@late), '>', 0, 'cut: ' . lines('kept') . ' commits were kept, ' . @late . ' came late, and got: '
	  . join(' ', sort { $a cmp $b } @late));
like(slurp_file($log), qr/a transaction is in doubt/, 'cut: the client noticed');
# INVALID_PRODUCER_EPOCH, PRODUCER_FENCED
is(scalar(grep { !/^(?:47|90)$/ } @late), 0, 'cut: each of them was fenced');
check_messages('cut');

# held back beyond every time-out, on a connection that stays open
write_to($place, 'mode', 'stall 70');
my $client = start_client($node, 'feed', "$log.stall", @target);
my $writer = start_writer($node, 200);
$writer->finish;
wait_for_line("$place/late", qr/stalled/);
$node->safe_psql('postgres', 'CALL work(50)');
my $end = current_lsn($node);
wait_confirmed($node, 'feed', $end);
is(stop_client($client), 0, 'stall: a clean stop');
like(slurp_file("$log.stall"), qr/a transaction is in doubt/, 'stall: the client noticed');
check_messages('stall');
$proxy->signal('KILL');
$proxy->finish;
$broker->kill;
done_testing();
