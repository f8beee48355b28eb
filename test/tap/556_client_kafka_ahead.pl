# Promise: with --exactly-once, Kafka isn't taken for one that has what a new primary
# committed: what it got of a history that the server left is refused with the gap and
# the way back, and nothing is confirmed.
use strict;
use warnings;

use ClientTest;
use JSON::PP ();
use KafkaMock;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $first = new_outflow_node('first', conf => "autovacuum = off\n");
my $broker = KafkaMock->new('topic exact.offsets 1', 'topic exact.public.t 1');

$first->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, n text)');
create_slot($first, 'feed');
$first->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1)');

sub run
{
	my ($node) = @_;
	my ($code, undef, $err) = run_client($node, 'feed', '--to=kafka://' . $broker->address . '/exact', '--exactly-once',
		'-o', 'tables=public.t', '--endpos=' . current_lsn($node));

	return ($code, $err);
}

sub position
{
	my ($last) = reverse $broker->messages('exact.offsets');

	return JSON::PP::decode_json($last->{value});
}

my ($code, $err) = run($first);
is($code, 0, 'the primary') or diag($err);
is(position()->{timeline}, 1, 'the timeline is in the position');

# a standby that has all of it, its slot included; the old primary goes on alone
my $second = PostgreSQL::Test::Cluster->new('second');
make_twin($first, $second);
$first->start;
$first->safe_psql('postgres', 'INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1000, 4000) AS g');
($code, $err) = run($first);
is($code, 0, 'the primary, whose standby is behind') or diag($err);
my $reached = position()->{position};

$first->stop;
$second->promote;
foreach my $when ('before', 'after')
{
	$second->safe_psql('postgres', 'INSERT INTO t VALUES ($$' . ($when eq 'before' ? 3 : 4) . '$$)');
	my $slot = confirmed_lsn($second, 'feed');

	($code, $err) = run($second);
	is($code, 5, "refused $when the new primary goes past that position");
	like($err, qr{has changes up to $reached, and the server is on timeline 2, which left timeline 1 at .*set the position in exact\.offsets to [0-9A-F]+/},
		'with the gap and the way back');
	is(confirmed_lsn($second, 'feed'), $slot, 'and nothing is confirmed');
	$second->safe_psql('postgres', 'SELECT pg_switch_wal()');
}
done_testing();
