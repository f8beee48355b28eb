# Promise: an origin's name is the one that its number had when a transaction was
# written, in whichever session that is delivered, though the number has been
# given to another origin before it ended; and an origin that was made meanwhile
# has one.
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

# ---- an origin that is made in the transaction, or beside it; a number's next owner

sub read_rows
{
	my ($wanted) = @_;

	return join(',', sql("SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL"
		  . ($wanted ? ", 'origin', '$wanted'" : '') . ')') =~ /"op":"insert".*"new":\{"k":(\d+)/g);
}

sql("SELECT pg_replication_origin_drop('bar'); SELECT count(*) FROM pg_logical_slot_get_changes('s', NULL, NULL)");
my $session = $node->background_psql('postgres');
my $set = 'SELECT pg_replication_origin_session_setup';
$session->query_safe("BEGIN; SELECT pg_replication_origin_create('own'); $set('own'); INSERT INTO t VALUES (11); COMMIT");
$session->query_safe('SELECT pg_replication_origin_session_reset()');
$session->query_safe('BEGIN; INSERT INTO t VALUES (12)');
sql("SELECT pg_replication_origin_create('beside')");
$session->query_safe("$set('beside')");
$session->query_safe('INSERT INTO t VALUES (13); COMMIT');
$session->query_safe('SELECT pg_replication_origin_session_reset()');
$session->query_safe("BEGIN; $set('own'); INSERT INTO t VALUES (14); SELECT pg_replication_origin_session_reset();"
	  . "SELECT pg_replication_origin_drop('own'); SELECT pg_replication_origin_create('next')");
is(sql("SELECT count(*) FROM pg_replication_origin WHERE roname = 'own'"), '1', 'another session still sees the first name');
$session->query_safe("$set('next')");
$session->query_safe('INSERT INTO t VALUES (15); COMMIT');
$session->quit;
foreach my $when ('at once', 'after they were dropped', 'after others have their numbers')
{
	sql(q{SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin}) if $when =~ /dropped/;
	sql("SELECT pg_replication_origin_create('thief$_')") foreach $when =~ /others/ ? (1, 2) : ();
	is(read_rows(''), '11,12,13,14,15', "all rows, $when");
	is(read_rows('own,next'), '11,14,15', "an origin that is made in the transaction, $when");
	is(read_rows('none,beside'), '12,13', "one that is made while the transaction is open, $when");
	is(read_rows('thief1'), '', "no other origin's, $when");
	like(sql("SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL)"), qr/"op":"begin"[^\n]*"origin":"own".*"op":"begin"[^\n]*"origin":"beside"/s,
		"begin names them, $when");
}
$node->stop;
done_testing();
