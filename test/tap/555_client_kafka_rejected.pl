# Promise: a record that Kafka refuses goes to the dead letters, once, and nothing else
# does; exactly once, none of the others is lost or doubled by it, whatever becomes of
# the transaction.  The broker is librdkafka's own.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use KafkaMock;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

# errors of Kafka's protocol (the first cuts the connection), and the requests
my ($CUT_OFF, $TOO_LARGE, $OUT_OF_ORDER) = (-195, 10, 45);
my ($PRODUCE, $END_TRANSACTION) = (0, 26);

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 10s\n");
my $broker = KafkaMock->new('topic exact.offsets 1', 'topic exact.public.t 3');
my $tmp = PostgreSQL::Test::Utils::tempdir();
my @exactly = ('--to=kafka://' . $broker->address . '/exact', '--exactly-once', '-o', 'tables=public.t', '--on-reject=dead-letter');

client_setup($node);
create_slot($node, 'feed');

# deliver_from(SLOT, WHAT, LETTERS, ARGUMENT...): what a client says that delivers all there is
sub deliver_from
{
	my ($slot, $what, $letters, @more) = @_;
	my ($code, undef, $err) = run_client($node, $slot, @more, "--dead-letter=$tmp/$letters", '--endpos=' . current_lsn($node));

	is($code, 0, "$what: comes to the end") or diag($err);
	return $err;
}

sub deliver { return deliver_from('feed', @_); }

# ids(FILE OR MESSAGES): of the rows that it is about, each as often as it comes
sub ids
{
	return [ sort { $a <=> $b } map { /"after":\{"id":(\d+)/ ? $1 : () } @_ ];
}

sub letters
{
	my ($letters) = @_;

	return split(/\n/, slurp_file("$tmp/$letters"));
}

sub values_of
{
	my ($topic) = @_;

	return map { $_->{value} // '' } $broker->messages($topic);
}

# The client refuses it by itself.  It is the first of a Kafka transaction, which is
# committed while the client is cut off.
my $large = "repeat('y', 3000000)";
$node->safe_psql('postgres', "BEGIN; INSERT INTO t VALUES (1, 1, $large); INSERT INTO t SELECT g, 1 FROM generate_series(2, 9) AS g; COMMIT");
$broker->tell("errors $END_TRANSACTION $CUT_OFF 1");
my $err = deliver('a commit in doubt', 'doubt', @exactly);
# a newer library (2.14 does) may ask again by itself
my ($version) = slurp_file('/usr/include/librdkafka/rdkafka.h') =~ /define RD_KAFKA_VERSION +(0x\w+)/;
like($err, hex($version) < 0x02010000 ? qr/a transaction is in doubt/ : qr/--endpos is reached/, '... which it is, or the library knows');
is_deeply(ids(letters('doubt')), [1], '... what is too large is a dead letter');
is_deeply(ids(values_of('exact.public.t')), [ 2 .. 9 ], '... and all else arrives, once');

# It comes again with the transaction that it was in.
$node->safe_psql('postgres', "BEGIN; INSERT INTO t VALUES (40, 1); INSERT INTO t VALUES (50, 1, $large); INSERT INTO t SELECT g, 1 FROM generate_series(100, 6000) AS g; COMMIT");
$broker->tell("errors $PRODUCE $OUT_OF_ORDER 1");
$err = deliver('a transaction that fails', 'again', @exactly, '--batch-bytes=100MB');
like($err, qr/a transaction is in doubt/, '... which it does');
is_deeply(ids(letters('again')), [50], '... has its dead letter once');

# A batch is refused, and what was rejected beyond it comes again with it.
$broker->tell("topic least.public.t 1");
my @least = ('--to=kafka://' . $broker->address . '/least', '-o', 'tables=public.t', '--on-reject=dead-letter');
create_slot($node, 'least');
$node->safe_psql('postgres', "BEGIN; INSERT INTO t VALUES (60, 1, ''), (61, 1, $large), (62, 1, ''); COMMIT");
$broker->tell("errors $PRODUCE $TOO_LARGE 1");
$err = deliver_from('least', 'a record beyond a refused batch', 'beyond', @least);
like($err, qr/a batch was refused/, '... which it is');
is_deeply(ids(letters('beyond')), [61], '... has its dead letter once');
is_deeply(ids(values_of('least.public.t')), [ 60, 62 ], '... and the others arrive');

# Of a delete the tombstone alone is refused, or its value and the tombstone.
$node->safe_psql('postgres', 'INSERT INTO t VALUES (80, 1)');
deliver('before deletes', 'before', @exactly);
deliver_from('least', 'before deletes', 'before', @least);
foreach my $refused (1, 2)
{
	my $id = 60 + 2 * ($refused - 1);

	$node->safe_psql('postgres', "DELETE FROM t WHERE id = $id");
	foreach my $slot (qw(least feed))
	{
		my $letters = "tombstone_${slot}_$refused";

		$broker->tell("errors $PRODUCE 0 1") if $refused == 1;
		$broker->tell("errors $PRODUCE $TOO_LARGE $refused");
		deliver_from($slot, "$slot: $refused messages of a delete are refused", $letters, $slot eq 'feed' ? @exactly : @least, '--batch-bytes=0');
		my @letters = -e "$tmp/$letters" ? map { /"before":\{"id":(\d+)/ } letters($letters) : ();
		# in a transaction it may have been the position that was refused in its stead
		my $most = $slot eq 'feed' && $refused == 1 ? '?' : '';
		like("@letters", qr/^(?:$id)$most$/, '... which is a dead letter, once');
	}
}

# Dead letters sent again have no position: another file of them would be taken for
# what is there already.
my $said = '';
IPC::Run::run([ 'pg_outflow', 'replay', @exactly[ 0, 1 ], "$tmp/doubt" ], '<', \undef, '2>', \$said, IPC::Run::timeout(60));
is($? >> 8, 2, 'replay --exactly-once: exit code');
like($said, qr/--exactly-once keeps the position of a slot/, '... and the reason');

# Format json names a table's key once a connection, before the first change: that is
# passed over with what Kafka has already.  Without a key, an insert is in any partition.
# keys(TOPIC): of its messages
sub keys_of
{
	my ($topic) = @_;

	return [ sort map { $_->{key} // 'none' } $broker->messages($topic) ];
}

$broker->tell("topic $_") foreach ('json.offsets 1', 'json.public.t 3', 'json.schema 1', 'late.offsets 1', 'late.public.t 3', 'late.schema 1', 'again.public.t 3');
$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, $_) foreach ('json', 'wait');
my @json = ('--exactly-once', '-o', 'format=json', '-o', 'tables=public.t', '--on-reject=dead-letter', "--dead-letter=$tmp/json");
my $address = $broker->address;
$node->safe_psql('postgres', "INSERT INTO t VALUES (1, 1)");
is((run_client($node, 'json', "--to=kafka://$address/json", @json, '--endpos=' . current_lsn($node)))[0], 0, 'format json');
# the other target has nothing yet, and so the stream begins where it does
wait_until($node, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'json'", 'it has ended');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('json'); SELECT pg_copy_logical_replication_slot('wait', 'json')");
$node->safe_psql('postgres', "INSERT INTO t VALUES (2, 1); INSERT INTO t VALUES (3, 1, $large)");
my ($code, undef, $told) = run_client($node, 'json', "--to=kafka://$address/json", "--to=kafka://$address/late", @json, '--endpos=' . current_lsn($node));
is($code, 0, '... to two targets, one of which has a part') or diag($told);
is_deeply(keys_of('json.public.t'), [ '{"id":1}', '{"id":2}' ], '... which still knows the key');
is_deeply(keys_of('late.public.t'), [ '{"id":1}', '{"id":2}' ], '... as does the other one');
run_replay("--to=kafka://$address/again", '-X', 'message.max.bytes=4000000');
is_deeply(keys_of('again.public.t'), [ '{"id":3}', '{"id":3}' ], 'and so do dead letters');

sub run_replay
{
	my $err = '';

	IPC::Run::run([ 'pg_outflow', 'replay', @_, "$tmp/json" ], '<', \undef, '2>', \$err, IPC::Run::timeout(60));
	is($? >> 8, 0, 'which are sent again');
	like($err, qr/sent 2 records again/, '... as many as there are');
	return;
}

done_testing();
