# Promise: whatever transactions do to a table around a stamp, its verdict is
# right: changed rows are never called unchanged, and vacuum, row locks and
# rolled-back writers are told apart from changes.
#
# "Between" is between a part's scan and the reading of its LSN: changes of
# that time have no later LSN and show by their transaction ids alone.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ValidityTest;

my $node = new_validity_node('rules',
	conf => "max_prepared_transactions = 5\nwal_log_hints = off\n");

sub sql
{
	return $node->safe_psql('postgres', join(';', @_));
}

# fresh(): the table as it was, all hint bits set, nothing to prune
sub fresh
{
	sql('DROP TABLE IF EXISTS t CASCADE',
		'CREATE TABLE t (id int PRIMARY KEY, n int, note text)',
		q{INSERT INTO t SELECT i, 0, repeat('x', 50) FROM generate_series(1, 500) i});
	sql('VACUUM t');
	return;
}

# other_session(SQL...): a session that keeps its transaction
sub other_session
{
	my $session = $node->background_psql('postgres', on_error_stop => 1);

	$session->query_safe($_) foreach @_;
	return $session;
}

sub end_session
{
	my ($session, @sql) = @_;

	$session->query_safe($_) foreach @sql;
	$session->quit;
	return;
}

my ($stamp, $part, $writer, $locker);

fresh();
$stamp = take_stamp($node, 't');
is_untouched($node, $stamp, 'an untouched table is valid');
sql('SELECT count(*) FROM t', 'ANALYZE t', 'CREATE INDEX ON t (n)', 'CHECKPOINT');
is_untouched($node, $stamp, 'reading, indexing and checkpoints change nothing');

# changes after the stamp
foreach my $change (
	q{INSERT INTO t VALUES (501, 0, 'new')},
	'UPDATE t SET n = 1 WHERE id = 7',
	'UPDATE t SET id = 1007 WHERE id = 7',
	'DELETE FROM t WHERE id = 7')
{
	fresh();
	$stamp = take_stamp($node, 't');
	sql($change);
	is_invalid($node, $stamp, 'rows were changed\|page LSN', "after: $change");
	sql('VACUUM (FREEZE) t');
	is_invalid($node, $stamp, 'rows were changed\|page LSN', 'and after freezing');
}

# the same in between
foreach my $change (
	[ q{INSERT INTO t VALUES (501, 0, 'new')}, 'xmin' ],
	[ 'UPDATE t SET n = 1 WHERE id = 7', 'xm' ],
	[ 'DELETE FROM t WHERE id = 7', 'xmax' ])
{
	fresh();
	$part = begin_part($node, 't');
	sql($change->[0]);
	$stamp = finish_part($part);
	is_invalid($node, $stamp, "rows were changed\\|$change->[1]", "between: $change->[0]");
	sql('VACUUM t');
	is_invalid($node, $stamp, 'rows were changed', 'and after a vacuum');
}

# rows that appear on pages that vacuum then calls all-visible without an LSN
fresh();
$part = begin_part($node, 't');
sql(q{INSERT INTO t VALUES (501, 0, 'new')});
$stamp = finish_part($part);
sql('VACUUM t');
is_invalid($node, $stamp, 'rows were changed\|xmin', 'all-visible pages are looked at');

# a writer in progress when the snapshot is taken
foreach my $end ('COMMIT', 'ROLLBACK')
{
	fresh();
	$writer = other_session('BEGIN', 'UPDATE t SET n = 1 WHERE id = 7',
		'DELETE FROM t WHERE id = 8', q{INSERT INTO t VALUES (501, 0, 'new')});
	$stamp = take_stamp($node, 't');
	like(check_stamp($node, $stamp), qr/^t\|the rows are the same\|xm/,
		'while a writer is in progress, its rows are not there');
	end_session($writer, $end);
	if ($end eq 'COMMIT')
	{
		is_invalid($node, $stamp, 'rows were changed\|xm', 'when it commits they are');
	}
	else
	{
		is_same_rows($node, $stamp, 'when it rolls back they never were');
		sql('VACUUM t');
		is_same_rows($node, $stamp, 'also when they are gone');
	}
}

# subtransactions
fresh();
$writer = other_session('BEGIN', 'SAVEPOINT a', 'UPDATE t SET n = 1 WHERE id = 7',
	'SAVEPOINT b', 'DELETE FROM t WHERE id = 8');
$part = begin_part($node, 't');
$writer->query_safe('ROLLBACK TO b');
$writer->query_safe('RELEASE a');
end_session($writer, 'COMMIT');
$stamp = finish_part($part);
is_invalid($node, $stamp, 'rows were changed\|xm', 'a subtransaction commits in between');

fresh();
$writer = other_session('BEGIN', 'SAVEPOINT a', 'UPDATE t SET n = 1 WHERE id = 7', 'ROLLBACK TO a');
$stamp = take_stamp($node, 't');
end_session($writer, 'COMMIT');
is_same_rows($node, $stamp, 'a rolled-back subtransaction changes nothing');

# prepared transactions
foreach my $end ('COMMIT', 'ROLLBACK')
{
	fresh();
	sql('BEGIN', 'UPDATE t SET n = 1 WHERE id = 7', q{PREPARE TRANSACTION 'p'});
	$stamp = take_stamp($node, 't');
	is_same_rows($node, $stamp, 'what is prepared is not there');
	$node->restart;
	is_same_rows($node, $stamp, 'nor after a restart');
	sql("$end PREPARED 'p'");
	is_same_rows($node, $stamp, 'and never was when it is rolled back') if $end eq 'ROLLBACK';
	is_invalid($node, $stamp, 'rows were changed', 'but is when it is committed') if $end eq 'COMMIT';
}

# row locks, alone and shared
fresh();
$part = begin_part($node, 't');
sql('BEGIN', 'SELECT FROM t FOR UPDATE', 'COMMIT');
$locker = other_session('BEGIN', 'SELECT FROM t WHERE id < 10 FOR KEY SHARE');
sql('BEGIN', 'SELECT FROM t FOR SHARE', 'COMMIT');
end_session($locker, 'COMMIT');
$stamp = finish_part($part);
is_untouched($node, $stamp, 'row locks are no changes, nor are multixacts of them');
sql('BEGIN', 'SELECT FROM t WHERE id = 3 FOR UPDATE', 'COMMIT');
is_same_rows($node, $stamp, 'nor are later ones');

# a multixact that is more than locks
fresh();
sql('CREATE TABLE wide (id int PRIMARY KEY, n int, note text)',
	'ALTER TABLE wide ALTER note SET STORAGE PLAIN',
	q{INSERT INTO wide SELECT i, 0, repeat('w', 2600) FROM generate_series(1, 6) i});
$part = begin_part($node, 'wide');
$locker = other_session('BEGIN', 'SELECT FROM wide WHERE id = 1 FOR KEY SHARE');
sql('UPDATE wide SET n = 1 WHERE id = 1');
end_session($locker, 'COMMIT');
$stamp = finish_part($part);
is_invalid($node, $stamp, 'rows were changed\|multixact', 'an update within a multixact');

# heap-only tuples, and pruning
fresh();
sql('UPDATE t SET n = 1 WHERE id < 100');
$stamp = take_stamp($node, 't');
sql('SELECT count(*) FROM t', 'VACUUM t');
is_same_rows($node, $stamp, 'pruning dead versions changes no rows');
sql('UPDATE t SET n = 2 WHERE id = 7', 'UPDATE t SET n = 3 WHERE id = 7', 'VACUUM t');
is_invalid($node, $stamp, 'rows were changed', 'pruned chains of updates do');

# deleted and gone, or replaced by as many
fresh();
$stamp = take_stamp($node, 't');
sql('DELETE FROM t WHERE id = 7', 'VACUUM t', q{INSERT INTO t VALUES (7, 0, repeat('x', 50))}, 'VACUUM (FREEZE) t');
is_invalid($node, $stamp, 'rows were changed', 'a row that was replaced by its equal');

# rolled-back bulk loads and growth
fresh();
$stamp = take_stamp($node, 't');
my $blocks = sql(q{SELECT pg_relation_size('t') / 8192});
sql('BEGIN', q{INSERT INTO t SELECT i, 0, repeat('y', 500) FROM generate_series(1000, 3000) i}, 'ROLLBACK');
is_same_rows($node, $stamp, 'a rolled-back load changes nothing');
sql('SELECT FROM t', 'VACUUM t');
is_same_rows($node, $stamp, 'nor when its blocks are gone');

# a range that is cut off, and grown again ahead of its rows
fresh();
$stamp = take_stamp($node, 't');
sql(q{DELETE FROM t WHERE ctid >= '(3,0)'});
sql('VACUUM t');
cmp_ok(sql(q{SELECT pg_relation_size('t') / 8192}), '<', $blocks, 'vacuum cut the table off');
is_invalid($node, $stamp, 'rows were changed\|range', 'the range does not exist any more');
sql("SELECT validity.extend('t', $blocks)");
is_invalid($node, $stamp, 'rows were changed\|', 'zeroed pages are not those that were stamped');

fresh();
$stamp = sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT validity.finish(validity.scan('t', 3, $blocks)); COMMIT");
sql(q{DELETE FROM t WHERE ctid >= '(3,0)'});
sql('VACUUM t');
sql("SELECT validity.extend('t', $blocks)");
is_invalid($node, $stamp, 'rows were changed\|zero page', 'a part of zeroed pages');

# another file
foreach my $rewrite ('VACUUM FULL t', 'CLUSTER t USING t_pkey', 'ALTER TABLE t ALTER n TYPE bigint',
	'TRUNCATE t', 'ALTER TABLE t SET UNLOGGED; ALTER TABLE t SET LOGGED')
{
	fresh();
	$stamp = take_stamp($node, 't');
	sql($_) foreach split(/;/, $rewrite);
	is_invalid($node, $stamp, 'the table was rewritten', "after $rewrite");
}

# tables without WAL, and those that are none
fresh();
sql('ALTER TABLE t SET UNLOGGED');
$stamp = take_stamp($node, 't');
is_invalid($node, $stamp, 'the table is not a permanent heap', 'an unlogged table');
$stamp = take_stamp($node, 'pg_class');
is_invalid($node, $stamp, 'the table is not a permanent heap', 'a catalog');
sql('CREATE MATERIALIZED VIEW m AS SELECT generate_series(1, 1000) AS i');
$stamp = take_stamp($node, 'm');
# from 16 on it may end in pages that nothing has filled yet
like(check_stamp($node, $stamp), qr/^t\|/, 'a materialized view');
sql('REFRESH MATERIALIZED VIEW m');
is_invalid($node, $stamp, 'the table was rewritten', 'a refreshed one');

# the LSN may only be read while the snapshot is held
fresh();
my $scanned = sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT validity.scan('t', 0, 1); COMMIT");
sql('SELECT pg_current_xact_id()');
my ($ret, $out, $err) = $node->psql('postgres', "SELECT validity.finish('$scanned')");
like($err, qr/snapshot was released before its part was stamped/,
	'a part whose snapshot is gone gets no stamp');

# stamps of elsewhere and of never
fresh();
$stamp = take_stamp($node, 't');
is_invalid($node, $stamp =~ s/^1 (\d+)\d/1 ${1}0/r, 'the part was read in another cluster or database',
	'another system identifier') if $stamp !~ /^1 \d+0 /;
is_invalid($node, $stamp =~ s/^(1 \d+) \d+/$1 1/r, 'the part was read in another cluster or database',
	'another database');
is_invalid($node, $stamp =~ s{ 0/[0-9A-F]+}{ FF/0}r, 'the part was read in a future',
	'an LSN of the future');
is_invalid($node, $stamp =~ s/ (\d+):\d+:/ $1:999999999:/r, 'the part was read in a future',
	'a snapshot of the future');
like(check_stamp($node, $stamp =~ s/ (\d+):(\d+):/ @{[2**32]}:@{[2**32 + 5]}:/r), qr/^f\|the part was read in a future/,
	'a snapshot of the next epoch');

# servers that may prune what a snapshot still sees
if (sql(q{SELECT count(*) FROM pg_settings WHERE name = 'old_snapshot_threshold'}))
{
	$node->append_conf('postgresql.conf', 'old_snapshot_threshold = 60');
	$node->restart;
	is(take_stamp($node, 't'), '', 'no stamps while old_snapshot_threshold is set');
}

done_testing();
