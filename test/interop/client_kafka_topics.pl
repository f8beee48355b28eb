# Promise: topics are made as the options say, compacted only where messages have keys, the
# topic of positions compacted and with one partition.  Where the brokers don't let a client create topics, those that are there
# are used, and one that isn't is named.
use strict;
use warnings;

use ClientTest;
use FindBin;
use KafkaTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

# OUTFLOW_KAFKA has Kafka's jars
my $node = new_outflow_node('main');
my $broker = KafkaTest->new(lines => [ 'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
		'allow.everyone.if.no.acl.found=true' ])->start;
my $url = '--to=kafka://' . $broker->address;

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE later (id int PRIMARY KEY); CREATE TABLE keyless (id int)');

sub admin
{
	my ($out, $err) = run_command([ $ENV{OUTFLOW_KAFKA_PYTHON}, "$FindBin::RealBin/../lib/kafka_admin.py", $broker->address, @_ ]);

	diag($err) if $err;
	return $out;
}

# deliver(SLOT, SQL, ARGUMENT...): exit code and log
sub deliver
{
	my ($slot, $sql, @more) = @_;

	$node->safe_psql('postgres', $sql);
	my ($code, undef, $err) = run_client($node, $slot, @more, '--endpos=' . current_lsn($node));
	return ($code, $err);
}

create_slot($node, 'feed');
my @all = ("$url/shop", '--exactly-once', '--kafka-partitions=3');
my ($code, $err) = deliver('feed', q{INSERT INTO t VALUES (1); DELETE FROM t; INSERT INTO keyless VALUES (1); SELECT pg_logical_emit_message(true, 'audit', 'x')},
	@all, '--kafka-compact', '-o', 'include_transactions=on', '-o', 'messages=on');
is($code, 0, 'topics are made') or diag($err);
is(admin('topic', 'shop.public.t'), '3 compact', 'with their partitions, compacted');
is(admin('topic', 'shop.offsets'), '1 compact', 'the positions always so, in one partition');
is(admin('topic', "shop.$_"), '3 delete', "what has no key is not compacted: $_") foreach qw(transaction public.keyless);
is(scalar(grep { !defined $_->{value} } $broker->messages('shop.public.t')), 1, 'with tombstones');

create_slot($node, 'plain');
($code, $err) = deliver('plain', 'INSERT INTO t VALUES (2); DELETE FROM t', "$url/plain", '--kafka-partitions=2', '--kafka-tombstones=off');
is($code, 0, 'as they come') or diag($err);
is(admin('topic', 'plain.public.t'), '2 delete', 'not compacted, unless told so');
is(scalar(grep { !defined $_->{value} } $broker->messages('plain.public.t')), 0, 'without tombstones');

admin('forbid');
($code, $err) = deliver('feed', 'INSERT INTO t VALUES (3)', @all, '-o', 'tables=public.t');
is($code, 0, 'who may not create topics uses those that are there') or diag($err);
like($err, qr/topic "shop\.public\.t" cannot be created/, '... and says so');
is(scalar(grep { $_->{key} eq '{"id":3}' } $broker->messages('shop.public.t', 'isolation.level=read_committed')), 1, '... delivered');
($code, $err) = deliver('feed', 'INSERT INTO later VALUES (1)', @all, '-o', 'tables=public.later', '--stop-timeout=10min');
is($code, 6, 'one that is not there ends the program');
like($err, qr/topic "shop\.public\.later": .*create it, as the brokers did not have it created/, '... and is named');
create_slot($node, 'other');
($code, $err) = deliver('other', 'INSERT INTO t VALUES (4)', "$url/other", '--exactly-once');
is($code, 6, 'and so does one of positions');
like($err, qr/topic "other\.offsets": .*create it, as/, '... which is named');
$broker->kill;
done_testing();
