# Promise: after_snapshot counts transactions across the wraparound of their
# 32-bit ids: what began before it is told from what has the same number later.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('epoch');
my $first = 2**32 - 100;

# a cluster that stands just before the end of its third epoch, with nothing in
# it that a transaction of the first wrote, and the states of transactions there
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 10');
$node->start;
$node->safe_psql($_, 'VACUUM FREEZE') foreach qw(template1 postgres);
$node->stop;
append_to_file($node->data_dir . '/pg_xact/0FFF', "\0" x (32 * 8192));
command_ok([ 'pg_resetwal', '-x', $first, '-e', 3, $node->data_dir ],
	'the next transaction is moved on');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION outflow;
CREATE TABLE t (id int PRIMARY KEY);
SELECT FROM pg_create_logical_replication_slot('feed', 'outflow');
SQL

# sql(STATEMENTS): in order
sub sql { return $node->safe_psql('postgres', $_[0]); }

# rows(SNAPSHOT): those that are streamed after it
sub rows
{
	my ($snapshot) = @_;

	return sql(<<"SQL");
SELECT string_agg(data::json->'new'->>'id', ' ' ORDER BY (data::json->'new'->>'id')::int)
FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'after_snapshot', '$snapshot') WHERE data ~ '"op":"insert"';
SQL
}

sql('INSERT INTO t VALUES (1)');
my $before = sql('SELECT pg_current_snapshot()');
sql(q{BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'across'});
sql('BEGIN; INSERT INTO t VALUES (3); SAVEPOINT s; INSERT INTO t VALUES (4); RELEASE s; COMMIT');
sql('DO $$ BEGIN FOR i IN 1..200 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
sql('INSERT INTO t VALUES (5)');
my $behind = sql('SELECT pg_current_snapshot()');
sql(q{COMMIT PREPARED 'across'; INSERT INTO t VALUES (6)});

my ($xmin, $xmax) = split /:/, $behind;
ok($xmin < 4 * 2**32 && $xmax > 4 * 2**32, "a snapshot across the wraparound: $behind");
is(rows($before), '2 3 4 5 6', 'from before it');
is(rows($behind), '2 6', 'from after it: what was prepared before it, and what came later');
is(rows(($xmin % 2**32) . ':' . ($xmin % 2**32) . ':'), '1 2 3 4 5 6',
	'the same numbers of the first epoch are long gone');

$node->stop;
done_testing();
