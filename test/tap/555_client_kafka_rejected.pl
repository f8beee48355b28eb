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
my ($CUT_OFF, $OUT_OF_ORDER) = (-195, 45);
my ($PRODUCE, $END_TRANSACTION) = (0, 26);

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 10s\n");
my $broker = KafkaMock->new('topic exact.offsets 1', 'topic exact.public.t 3');
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my @exactly = ('--to=kafka://' . $broker->address . '/exact', '--exactly-once', '-o', 'tables=public.t', '--on-reject=dead-letter');

client_setup($node);
create_slot($node, 'feed');

# deliver(WHAT, LETTERS, ARGUMENT...): what a client says that delivers all there is
sub deliver
{
	my ($what, $letters, @more) = @_;
	my ($code, undef, $err) = run_client($node, 'feed', @more, "--dead-letter=$tmp/$letters", '--endpos=' . current_lsn($node));

	is($code, 0, "$what: comes to the end") or diag($err);
	return $err;
}

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
like($err, qr/a transaction is in doubt/, '... which it is');
is_deeply(ids(letters('doubt')), [1], '... what is too large is a dead letter');
is_deeply(ids(values_of('exact.public.t')), [ 2 .. 9 ], '... and all else arrives, once');

# It comes again with the transaction that it was in.
$node->safe_psql('postgres', "BEGIN; INSERT INTO t VALUES (40, 1); INSERT INTO t VALUES (50, 1, $large); INSERT INTO t SELECT g, 1 FROM generate_series(100, 6000) AS g; COMMIT");
$broker->tell("errors $PRODUCE $OUT_OF_ORDER 1");
$err = deliver('a transaction that fails', 'again', @exactly, '--batch-bytes=100MB');
like($err, qr/a transaction is in doubt/, '... which it does');
is_deeply(ids(letters('again')), [50], '... has its dead letter once');

# Dead letters sent again have no position: another file of them would be taken for
# what is there already.
my $said = '';
IPC::Run::run([ 'pg_outflow', 'replay', @exactly[ 0, 1 ], "$tmp/doubt" ], '<', \undef, '2>', \$said, IPC::Run::timeout(60));
is($? >> 8, 2, 'replay --exactly-once: exit code');
like($said, qr/--exactly-once keeps the position of a slot/, '... and the reason');

done_testing();
