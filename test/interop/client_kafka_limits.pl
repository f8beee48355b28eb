# Promise: where the broker takes smaller batches than the client makes, what is too
# large by itself is rejected, by name, and nothing else is: neither the records beside it
# nor a batch of many; at least once and exactly once, in order.  A client that was stopped for
# longer than a transaction of Kafka may take goes on, and loses and doubles nothing.  At
# least once, the last message of each row is the table's, whatever comes again, in the
# topic whose batches are refused and in one beside it.
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
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 60s\n");
my $json = JSON::PP->new;
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my $broker = KafkaTest->new(lines => [ 'message.max.bytes=20000', 'transaction.abort.timed.out.transaction.cleanup.interval.ms=1000' ])->start;

client_setup($node);
create_slot($node, $_) foreach qw(once exactly);

# Texts that no compression makes smaller.  The large rows are in the middle of what
# goes in one batch, with changes of the same rows around them.
$node->safe_psql('postgres', <<'EOC');
CREATE FUNCTION noise(size int) RETURNS text LANGUAGE sql VOLATILE AS
	$$ SELECT string_agg(md5(random()::text), '') FROM generate_series(1, size / 32) $$;
CREATE TABLE small (id int PRIMARY KEY, n int);
BEGIN;
INSERT INTO t SELECT g, 1, noise(200) FROM generate_series(1, 300) AS g;
INSERT INTO t VALUES (1001, 1, noise(60000));
UPDATE t SET n = 2 WHERE id <= 300;
INSERT INTO small SELECT g, 1 FROM generate_series(1, 1000) AS g;
UPDATE small SET n = 2;
COMMIT;
BEGIN;
UPDATE t SET n = 3 WHERE id <= 150;
INSERT INTO t VALUES (1002, 1, noise(30000)), (1003, 1, noise(200)), (1004, 1, noise(90000));
UPDATE t SET n = 4 WHERE id <= 150;
UPDATE small SET n = 3 WHERE id <= 500;
UPDATE small SET n = 4 WHERE id <= 250;
COMMIT;
INSERT INTO t SELECT g, 1, noise(3000) FROM generate_series(2001, 2400) AS g;
DELETE FROM t WHERE id BETWEEN 100 AND 120;
DELETE FROM t WHERE id = 1002;
INSERT INTO t VALUES (1005, 1, noise(60000));
UPDATE t SET n = 5 WHERE id <= 50;
EOC
my $end = current_lsn($node);

# changes(MESSAGES): of each row, in their order: op and n
sub changes
{
	my %changes;

	foreach my $message (grep { defined $_->{value} } @_)
	{
		my $record = $json->decode($message->{value});

		push @{ $changes{ $json->decode($message->{key})->{id} } }, $record->{op} . ($record->{after} ? $record->{after}{n} : '');
	}
	return \%changes;
}

# last_of(MESSAGES): what each row ends with
sub last_of
{
	my %last;

	$last{ $json->decode($_->{key})->{id} } = defined $_->{value} ? $json->decode($_->{value})->{after}{n} : undef foreach @_;
	return join("\n", map { "$_|$last{$_}" } sort { $a <=> $b } grep { defined $last{$_} } keys %last);
}

my %expected = ((map { ($_ => ['c1']) } 1003, 2001 .. 2400), 1002 => ['d']);
foreach my $id (1 .. 300)
{
	$expected{$id} = [ 'c1', 'u2', $id <= 150 ? qw(u3 u4) : (), $id >= 100 && $id <= 120 ? 'd' : (), $id <= 50 ? 'u5' : () ];
}

foreach my $slot (qw(once exactly))
{
	my @target = ('--to=kafka://' . $broker->address . "/$slot", '--kafka-partitions=3', '-o', 'tables=public.t,public.small',
		$slot eq 'exactly' ? '--exactly-once' : (), "--endpos=$end", '--stop-timeout=10min');
	my ($code, undef, $err) = run_client($node, $slot, @target);

	is($code, 7, "$slot: a record that is too large ends the program");
	like($err, qr/rejected record \S+: .*too large/i, "$slot: ... and is named");
	($code, undef, $err) = run_client($node, $slot, @target, '--on-reject=dead-letter', "--dead-letter=$tmp/$slot");
	is($code, 0, "$slot: or goes into a file") or diag($err);
	like($err, qr/a batch was refused: .*; its records go one by one/, "$slot: ... found one by one");
	my @letters = map { $json->decode($_)->{record}{after}{id} } split(/\n/, slurp_file("$tmp/$slot"));
	is(join(' ', sort @letters), '1001 1002 1004 1005', "$slot: ... those that are too large, once");
	my @messages = $broker->messages("$slot.public.t", 'isolation.level=read_committed');
	my (%seen, @once);

	foreach my $message (@messages)
	{
		push @once, $message unless defined $message->{value} && $seen{ $message->{headers}{id} }++;
	}
	is_deeply(changes(@once), \%expected, "$slot: all others are there, in order");
	is(last_of(@messages), $node->safe_psql('postgres', 'SELECT id, n FROM t WHERE id NOT IN (1001, 1004, 1005) ORDER BY 1'),
		"$slot: the last of each row is the table's");
	is(last_of($broker->messages("$slot.public.small", 'isolation.level=read_committed')),
		$node->safe_psql('postgres', 'SELECT * FROM small ORDER BY 1'), "$slot: ... in a topic where all fits, too");
	note("$slot: " . @messages . ' messages, ' . (@messages - @once) . ' of them again');
	is(scalar(@messages), scalar(@once), "$slot: none comes again") if $slot eq 'exactly';
	# the program goes on, and batches fit
	($code, undef, $err) = run_client($node, $slot, @target[ 0 .. $#target - 2 ], '--endpos=' . current_lsn($node));
	is($code, 0, "$slot: afterwards all is well") or diag($err);
}

{
	my $log = "$tmp/stopped";
	my @target = ('--to=kafka://' . $broker->address . '/stopped', '--kafka-partitions=3', '--exactly-once', '-o', 'tables=public.t');

	create_slot($node, 'stopped');
	my $client = start_client($node, 'stopped', $log, @target, '--linger=15s');
	wait_for_line($log, qr/streaming slot "stopped"/);
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (3001, 1), (3002, 1)');
	my $sent = 0;
	foreach (1 .. 60)
	{
		# none of the topic is an error
		last if 2 == ($sent = () = eval { $broker->messages('stopped.public.t', 'isolation.level=read_uncommitted') });
		Time::HiRes::sleep(0.2);
	}
	$client->signal('STOP');
	is($sent, 2, 'stopped once the broker has the records');
	is(scalar(() = $broker->messages('stopped.public.t', 'isolation.level=read_committed')), 0, '... in an open transaction');
	# librdkafka's transaction.timeout.ms is a minute
	Time::HiRes::sleep(65);
	$client->signal('CONT');
	wait_for_line($log, qr/starting over|a transaction is in doubt/);
	$node->safe_psql('postgres', 'UPDATE t SET n = 2 WHERE id BETWEEN 3001 AND 3002');
	wait_confirmed($node, 'stopped', current_lsn($node));
	is(stop_client($client), 0, '... it goes on');
	is_deeply(changes($broker->messages('stopped.public.t', 'isolation.level=read_committed')), { map { ($_ => [qw(c1 u2)]) } 3001, 3002 },
		'... and each record is there once');
}
$broker->kill;
done_testing();
