# Promise: an origin's name is the one that its number had when a transaction was
# written, in whichever session that is delivered, though the number has been
# given to another origin before it ended.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_outflow_node('origin_names');

sub sql { return $node->safe_psql('postgres', $_[0]) }

# rows(SLOT, CALL): the keys of rows that option origin lets through
sub rows
{
	my ($slot, $call) = @_;

	return join(',', sql("SELECT data FROM pg_logical_slot_$call('$slot', NULL, NULL,"
		  . " 'origin', 'none,foo')") =~ /"op":"insert".*"new":\{"k":(\d+)/g);
}

sql("CREATE TABLE t (k int PRIMARY KEY); SELECT pg_replication_origin_create('foo')");
create_slot($node, 's');
create_slot($node, 'later');

my $old = $node->background_psql('postgres');
$old->query_safe("SELECT pg_replication_origin_session_setup('foo')");
$old->query_safe('BEGIN; INSERT INTO t VALUES (1)');
$old->query_safe('SELECT pg_replication_origin_session_reset()');
sql("SELECT pg_replication_origin_drop('foo'); SELECT pg_replication_origin_create('bar')");
is(sql("SELECT roident FROM pg_replication_origin"), '1', 'another origin has the number');
sql("SELECT pg_replication_origin_session_setup('bar'); INSERT INTO t VALUES (2)");
my $between = sql('SELECT pg_current_wal_insert_lsn()');
$old->query_safe('COMMIT');
$old->quit;

sql("SELECT pg_replication_slot_advance('later', '$between')");
is(rows('later', 'peek_changes'), '1', 'a session that begins with the transaction');
is(rows('s', 'peek_changes'), '1', 'one that has delivered the other origin before');
$node->stop;
done_testing();
