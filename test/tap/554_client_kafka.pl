# Promise: records reach Kafka's topics with key, headers and tombstones, in the
# order of each key, and are confirmed only when the brokers have them, whatever
# those say meanwhile.  Exactly once, records and position are in one transaction.
# The broker is librdkafka's own: test/interop/client_kafka has a real one.
use strict;
use warnings;

use ClientTest;
use JSON::PP ();
use KafkaMock;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# errors of Kafka's protocol, and the requests that they answer
my ($NOT_LEADER, $TIMED_OUT, $TOO_LARGE, $LOADING, $UNAUTHORIZED, $OUT_OF_ORDER, $OLD_EPOCH) = (6, 7, 10, 14, 29, 45, 47);
my ($PRODUCE, $INIT_PRODUCER, $ADD_PARTITIONS, $END_TRANSACTION) = (0, 22, 24, 26);

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 10s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/554_client_kafka";
my $json = JSON::PP->new;
my $broker = KafkaMock->new;
my $url = '--to=kafka://' . $broker->address;

client_setup($node);

# deliver(SLOT, TRANSACTIONS, ARGUMENT...): exit code and log of a client that
# delivers them
sub deliver
{
	my ($slot, $transactions, @more) = @_;

	$node->safe_psql('postgres', "CALL work($transactions)");
	my ($code, undef, $err) = run_client($node, $slot, @more, '--endpos=' . current_lsn($node));
	return ($code, $err);
}

# rows(MESSAGES): what the keys of a topic end with
sub rows
{
	my %rows;

	foreach my $message (@_)
	{
		my $id = $json->decode($message->{key})->{id};
		my $value = defined $message->{value} ? $json->decode($message->{value}) : undef;

		if (!$value || $value->{op} eq 'd') { delete $rows{$id}; }
		else { $rows{$id} = $value->{after}{n}; }
	}
	return join("\n", map { "$_|$rows{$_}" } sort { $a <=> $b } keys %rows);
}

sub check_topic
{
	my ($what, $topic) = @_;
	my @messages = $broker->messages($topic);
	my %ids;

	is(rows(@messages), table_rows($node), "$what: the topic gives the table");
	$ids{ $_->{headers}{id} }++ foreach grep { defined $_->{value} } @messages;
	is_deeply([ grep { $ids{$_} > 1 } keys %ids ], [], "$what: each record once");
	return @messages;
}

# one after the other
$broker->tell('topic shop.public.t 3');
create_slot($node, 'once');
my $written = $node->safe_psql('postgres', "INSERT INTO t VALUES (6000, 1), (6001, 2); DELETE FROM t WHERE id = 6000; SELECT pg_current_wal_insert_lsn() - 1");
my ($code, $err) = deliver('once', 12, "$url/shop");
is($code, 0, 'comes to the end') or diag($err);
my @messages = check_topic('at once', 'shop.public.t');
my ($tombstone) = grep { !defined $_->{value} } @messages;
ok($tombstone, 'a delete is followed by a tombstone');
is(join(' ', sort keys %{ $tombstone->{headers} }), 'id lsn op', 'headers of each');
my %partitions = map { ("$_->{key} $_->{partition}" => 1) } @messages;
my %keys = map { ($_->{key} => 1) } @messages;
is(scalar(keys %partitions), scalar(keys %keys), 'a key is in one partition');
is($node->safe_psql('postgres', "SELECT confirmed_flush_lsn > '$written' FROM pg_replication_slots WHERE slot_name = 'once'"), 't', 'which is confirmed');

# what passes is waited for; nothing is lost, nothing comes twice
$broker->tell("errors $PRODUCE $NOT_LEADER 2");
$broker->tell("errors $PRODUCE $TIMED_OUT 2");
($code, $err) = deliver('once', 6, "$url/shop");
is($code, 0, 'a leader that moves is waited for') or diag($err);
check_topic('after errors that pass', 'shop.public.t');

# another target for a while
$broker->tell('down');
my $client = start_client($node, 'once', $log, "$url/shop");
$node->safe_psql('postgres', 'CALL work(6)');
wait_for_line($log, qr/trying again|brokers are down|onnect/i);
$broker->tell('up');
wait_until($node, "SELECT confirmed_flush_lsn >= '" . current_lsn($node) . "' FROM pg_replication_slots WHERE slot_name = 'once'", 'all is confirmed');
is(stop_client($client), 0, 'a broker that was down is waited for');
check_topic('after a broker was down', 'shop.public.t');

# a batch is refused, and none of its records by itself
$node->safe_psql('postgres', "INSERT INTO t VALUES (-1, 1, 'x'), (-2, 1, 'x')");
$broker->tell("errors $PRODUCE $TOO_LARGE 1");
($code, $err) = deliver('once', 6, "$url/shop");
is($code, 0, 'a batch that is refused goes again, record by record') or diag($err);
like($err, qr/a batch was refused: .*; its records go one by one/, '... as it says');
is(rows($broker->messages('shop.public.t')), table_rows($node), '... and the topic gives the table');

# Another topic's records arrive while a batch is refused.  They go again, too, and all of
# them do before records go together again: the last of each row stays the last.
$broker->tell('topic shop.public.busy 1');
$node->safe_psql('postgres', 'CREATE TABLE busy (id int PRIMARY KEY, n int)');
$client = start_client($node, 'once', "$log.busy", "$url/shop");
wait_for_line("$log.busy", qr/streaming slot "once"/);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (-4, 1); INSERT INTO busy VALUES (0, 2)');
wait_confirmed($node, 'once', current_lsn($node));
$broker->tell('rtt 2000');
$broker->tell("errors $PRODUCE $TOO_LARGE 1");
$node->safe_psql('postgres', <<'EOC');
INSERT INTO t VALUES (-5, 1);
SELECT pg_sleep(0.3);
BEGIN;
INSERT INTO busy SELECT g, 1 FROM generate_series(1, 20) AS g;
UPDATE busy SET n = 2;
COMMIT;
EOC
wait_for_line("$log.busy", qr/a batch was refused/);
$broker->tell('rtt 100');
wait_confirmed($node, 'once', current_lsn($node));
$broker->tell('rtt 0');
is(stop_client($client), 0, 'a batch is refused while another topic is busy');
my @busy = $broker->messages('shop.public.busy');
cmp_ok(scalar(@busy), '>', 41, '... whose records go again');
is(rows(@busy), join("\n", map { "$_|2" } 0 .. 20), '... and end as the table does');
is(rows($broker->messages('shop.public.t')), table_rows($node), '... as does the topic whose batch it was');

# a batch that is refused may be of a tombstone
$node->safe_psql('postgres', 'DELETE FROM t WHERE id = -5');
$broker->tell("errors $PRODUCE 0 1");
$broker->tell("errors $PRODUCE $TOO_LARGE 1");
($code, undef, $err) = run_client($node, 'once', "$url/shop", '-X', 'batch.num.messages=1', '--endpos=' . current_lsn($node));
is($code, 0, 'a tombstone that is refused goes again') or diag($err);
like($err, qr/a batch was refused/, '... alone');
is(scalar(grep { $_->{key} eq '{"id":-5}' && !defined $_->{value} } $broker->messages('shop.public.t')), 1, '... and arrives');

# what arrives while another batch is refused doesn't count, least of all a tombstone for its value
$node->safe_psql('postgres', 'INSERT INTO t VALUES (-6, 1)');
($code, undef, $err) = run_client($node, 'once', "$url/shop", '--endpos=' . current_lsn($node));
is($code, 0, 'a row') or diag($err);
$node->safe_psql('postgres', 'DELETE FROM t WHERE id = -6');
$broker->tell('rtt 500');
$broker->tell("errors $PRODUCE $TOO_LARGE 1");
($code, undef, $err) = run_client($node, 'once', "$url/shop", '-X', 'batch.num.messages=1', '--endpos=' . current_lsn($node));
$broker->tell('rtt 0');
is($code, 0, 'the value of a delete that is refused goes again') or diag($err);
like($err, qr/a batch was refused/, '... as its tombstone does');
cmp_ok(scalar(grep { $_->{key} eq '{"id":-6}' && defined $_->{value} } $broker->messages('shop.public.t')), '>=', 2, '... and arrives');

# one record is rejected, and the rest goes on
my $letters = "${PostgreSQL::Test::Utils::tmp_check}/letters";
$node->safe_psql('postgres', "INSERT INTO t VALUES (-3, 1, 'x')");
$broker->tell("errors $PRODUCE $TOO_LARGE 2");
($code, undef, $err) = run_client($node, 'once', "$url/shop", '--endpos=' . current_lsn($node));
is($code, 7, 'a rejected record stops the stream') or diag($err);
$broker->tell("errors $PRODUCE $TOO_LARGE 2");
($code, undef, $err) = run_client($node, 'once', "$url/shop", '--on-reject=dead-letter', "--dead-letter=$letters",
	'--endpos=' . current_lsn($node));
is($code, 0, 'or goes to the dead letters') or diag($err);
like(slurp_file($letters), qr/"reason":".*too large/i, 'with its reason');

# what cannot be mended by waiting
$node->safe_psql('postgres', 'DELETE FROM t WHERE id < 0');
($code, undef, $err) = run_client($node, 'once', "$url/shop", '--kafka-topic=none', '--kafka-option=nonsense=1', '--endpos=0/1');
is($code, 2, 'an option that may not be set') or diag($err);
like($err, qr/--kafka-option nonsense is not among those that may be set/, 'is named');

# exactly once: topics that are there need not be created
$broker->tell('topic exact.offsets 1');
$broker->tell('topic exact.public.t 3');
$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, 'exactly');
my @exactly = ("$url/exact", '--exactly-once', '--batch-bytes=4kB', '-o', 'tables=public.t');
($code, $err) = deliver('exactly', 10, @exactly);
is($code, 0, 'exactly once: comes to the end') or diag($err);
check_topic('exactly once', 'exact.public.t');
my ($position) = map { $json->decode($_->{value}) } reverse $broker->messages('exact.offsets');
ok($position && $position->{position} =~ m{^[0-9A-F]+/[0-9A-F]+$}, 'the position is in its topic');

# it goes on from there, though the slot's position is older
$broker->tell("errors $INIT_PRODUCER $LOADING 2");
$broker->tell("errors $ADD_PARTITIONS $LOADING 1");
($code, $err) = deliver('exactly', 5, @exactly);
is($code, 0, 'exactly once: a coordinator that loads is waited for') or diag($err);
check_topic('exactly once, again', 'exact.public.t');

# A transaction that fails while records are still added to it is begun again.  What this
# broker has of it can't be told: it shows what was aborted, too.
$node->safe_psql('postgres', 'INSERT INTO t SELECT id, 0 FROM generate_series(10000, 15000) AS id');
$broker->tell("errors $PRODUCE $OUT_OF_ORDER 1");
($code, undef, $err) = run_client($node, 'exactly', (grep { !/batch-bytes/ } @exactly), '--batch-bytes=100MB', '--endpos=' . current_lsn($node));
is($code, 0, 'exactly once: a transaction that fails is begun again') or diag($err);
like($err, qr/a transaction is in doubt/, '... as it says');

# A producer that was fenced: whoever has the slot goes on.  This broker would take
# what is late from the one before.
$broker->tell("errors $PRODUCE $OLD_EPOCH 1");
($code, $err) = deliver('exactly', 5, @exactly);
is($code, 0, 'exactly once: a producer that was fenced') or diag($err);
my $over = qr/Kafka has ended the transaction, .*: starting over in (\d+) ms/;
my ($pause) = $err =~ $over;
cmp_ok($pause, '<=', 200, '... starts over');
$broker->tell("errors $PRODUCE $OLD_EPOCH 1");
{
	# the fourth time in a row
	local $ENV{PG_OUTFLOW_RESTARTS} = sprintf('3 %d', 1000 * Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()));
	($code, $err) = deliver('exactly', 5, @exactly);
}
($pause) = $err =~ $over;
cmp_ok($pause, '>=', 800, '... after a pause that grows');

# told to stop in the moment before it starts over, it stops then
$broker->tell("errors $PRODUCE $OLD_EPOCH 1");
$node->safe_psql('postgres', 'CALL work(5)');
{
	local %ENV = (%ENV, watch_calls("$log.calls"), CALLS_STOP => 1);
	$client = start_client($node, 'exactly', "$log.stop", @exactly);
}
wait_for_line("$log.stop", qr/$over.*stopp(?:ed before|ing)/s);
$client->finish;
like($client->result(0), qr/^[08]$/, 'exactly once: told to stop while it starts over, it stops');

# a part of a transaction is there, and it comes again as another one
$broker->tell("topic part.$_ 1") foreach 'offsets', 'public.t', 'public.u';
$node->safe_psql('postgres', 'CREATE TABLE u (id int PRIMARY KEY)');
create_slot($node, 'parted');
$node->safe_psql('postgres', <<'SQL');
DO $$ BEGIN FOR i IN 100001 .. 103000 LOOP INSERT INTO t VALUES (i, 0); INSERT INTO u VALUES (i); END LOOP; END $$;
SQL
my @parted = ("$url/part", '--exactly-once', '--batch-bytes=1kB', '-o');
$client = start_client($node, 'parted', "$log.parted", @parted, 'tables=public.t');
my $part;
foreach my $try (1 .. 600)
{
	Time::HiRes::sleep(0.1);
	($part) = map { $json->decode($_->{value}) } reverse $broker->messages('part.offsets');
	last if $part && $part->{commit_lsn} ne '0/0';
}
kill_client($client);
like($part->{last}, qr{^[0-9A-F]{16}/[0-9A-F]{16}/[0-9A-F]{4}$}, 'exactly once: the last record of a part is told');
($code, undef, $err) = run_client($node, 'parted', @parted, 'tables=public.t,public.u', '--endpos=' . current_lsn($node));
is($code, 5, 'exactly once: what comes instead of the part is refused');
like($err, qr/has \d+ records of the transaction that commits at .*, and record \d+ is [0-9A-F\/]+ now.*position in part\.offsets/, '... as it says');
($code, undef, $err) = run_client($node, 'parted', @parted, 'tables=public.t', '--endpos=' . current_lsn($node));
is($code, 0, 'exactly once: the same is gone on with') or diag($err);

# with any version of librdkafka, TLS is with the host that was named
($code, undef, $err) = run_client($node, 'exactly', @exactly, '-X', 'debug=conf', '--log-level=debug', '--endpos=' . current_lsn($node));
like($err, qr/ssl\.endpoint\.identification\.algorithm = https/, 'a certificate must be the host\'s');

# the broker would end each transaction before it is committed
($code, undef, $err) = run_client($node, 'exactly', @exactly, '-X', 'transaction.timeout.ms=5000', '--linger=5s');
is($code, 2, 'exactly once: transactions must end in their time');
like($err, qr/--linger must be less than .*transaction\.timeout\.ms, which is 5000/, '... as it says');

# check looks at the brokers
my ($found, $told) = ('', '');
IPC::Run::run([ 'pg_outflow', 'check', '-d', $node->connstr('postgres'), '-S', 'exactly', "$url/exact" ], '<', \undef, '>', \$found, '2>', \$told);
like($found, qr{^ok   target kafka://}m, 'check reaches the broker');

done_testing();
