# Promise: a function that reads a slot returns the same whatever tables, indexes and
# cursors the statements that call it have open, and these go on as if it had not.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_outflow_node('open_tables', conf => "logical_decoding_work_mem = '64kB'");
my ($version) = $node->safe_psql('postgres', 'SHOW server_version_num');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub make_slot
{
	sql(q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots});
	sql(q{SELECT pg_create_logical_replication_slot('s', 'outflow')});
	return;
}

# tried(SQL): its rows, or its error
sub tried
{
	my ($rc, $out, $err) = $node->psql('postgres', $_[0]);

	return $rc == 0 ? $out : $err;
}

# what is read while nothing is open, and what is read within other statements
my $options = '';
sub peek { return "pg_logical_slot_peek_changes('s', NULL, NULL$options)" }
# but for when records were written
my $records = q{string_agg(regexp_replace(data, '"ts_[mun]s":[0-9]+', '', 'g'), chr(10))};
sub read_in { return "(SELECT $records FROM " . peek() . ')' }
sub alone { return sql('SELECT ' . read_in()) }

my %formats = (json => '', debezium => ", 'format', 'debezium'", wal2json => ", 'format', 'wal2json'", 'wal2json 2' => ", 'format', 'wal2json', 'format-version', '2'");

# tables of old definitions: values that are taken for addresses, TOAST, partitions, a materialized view
sql(q{CREATE TABLE kept (n int PRIMARY KEY, data text); CREATE TABLE got (how text, data text);
	CREATE TABLE q (n int, data int); CREATE TABLE l (n int, data int, more text);
	ALTER TABLE l ALTER more SET STORAGE EXTERNAL; CREATE TABLE r (n int, data int) PARTITION BY LIST (n);
	CREATE TABLE r1 PARTITION OF r FOR VALUES IN (1); CREATE MATERIALIZED VIEW m AS SELECT n, data FROM q; CREATE UNIQUE INDEX ON m (n);
	CREATE PUBLICATION p FOR TABLE r WITH (publish_via_partition_root)});
make_slot();
sql($_) foreach (
	'INSERT INTO q VALUES (1, 1000000000)', 'REFRESH MATERIALIZED VIEW CONCURRENTLY m',
	q{INSERT INTO l VALUES (1, 1000000000, repeat('x', 9000))}, 'INSERT INTO r VALUES (1, 1000000000)',
	'DROP MATERIALIZED VIEW m; ALTER TABLE q ALTER data TYPE text; ALTER TABLE r ALTER data TYPE text',
	'ALTER TABLE l ALTER data TYPE text', q{INSERT INTO q VALUES (2, 'b'); INSERT INTO l VALUES (2, 'b', 'c'); INSERT INTO r VALUES (1, 'b')},
	'ALTER TABLE q ADD c int DEFAULT 7', 'INSERT INTO q VALUES (3)');
foreach my $format (sort keys %formats)
{
	$options = $formats{$format};
	my $alone = alone();

	like($alone, qr/1000000000/, "$format: values of then");
	is(sql("SELECT DISTINCT " . read_in() . " FROM $_"), $alone, "... with $_ open") foreach qw(q l r r1);
	is(sql("BEGIN; DECLARE c CURSOR FOR SELECT n FROM $_; MOVE c; SELECT " . read_in()), $alone, "... in a cursor of $_") foreach qw(q l r r1);
	is(sql("BEGIN; INSERT INTO q SELECT 9, " . read_in() . '; SELECT data FROM q WHERE n = 9; ROLLBACK'), $alone, '... as the target');
	is(sql('BEGIN; UPDATE l SET data = ' . read_in() . '; SELECT DISTINCT data FROM l; ROLLBACK'), $alone, '... as what is updated');
}
$options = ", 'publication_names', 'p'";
is(sql("BEGIN; DECLARE c CURSOR FOR SELECT n FROM r; MOVE c; SELECT " . read_in()), alone(), 'under the name of a root that is open');
$options = ", 'streaming', 'on'";
is(sql('SELECT DISTINCT ' . read_in() . ' FROM l'), alone(), 'in pieces');

# what has them open goes on: rows, the loop that reads, and after an error
$options = '';
is(sql('BEGIN; DECLARE c CURSOR FOR SELECT n, data, c FROM q ORDER BY n; FETCH c; INSERT INTO kept SELECT 1, ' . read_in() . '; FETCH ALL c; ROLLBACK'),
	"1|1000000000|7\n2|b|7\n3||7", 'a cursor goes on');
sql(q{DO $$ DECLARE row record; BEGIN FOR row IN SELECT * FROM q ORDER BY n LOOP
	INSERT INTO got SELECT row.n || row.data || row.c, } . read_in() . q{; END LOOP; END $$});
is(sql(q{SELECT string_agg(how, ' ') FROM (SELECT how FROM got WHERE data IS NOT NULL ORDER BY how) g}), '110000000007 2b7', 'a loop goes on');
is(sql(q{BEGIN; DECLARE c CURSOR FOR SELECT n, data, c FROM q ORDER BY n; FETCH c;
	DO $$ BEGIN PERFORM FROM pg_logical_slot_peek_changes('s', NULL, NULL, 'oversize', 'error', 'max_value_bytes', '1kB'); ASSERT false;
	EXCEPTION WHEN assert_failure THEN RAISE; WHEN OTHERS THEN NULL; END $$;
	INSERT INTO q VALUES (4, 'after', 8); FETCH ALL c; SELECT * FROM q WHERE n = 4; ROLLBACK}),
	"1|1000000000|7\n2|b|7\n3||7\n4|after|8", '... and after an error');

# read and kept again and again in what is streamed itself
sql('CREATE TABLE inbox (n serial PRIMARY KEY, data text)');
make_slot();
my $take = q{INSERT INTO inbox (data) SELECT data FROM pg_logical_slot_get_changes('s', NULL, NULL, 'include_transactions', 'off')};
sql($_) foreach (q{INSERT INTO inbox (data) VALUES ('x')}, 'ALTER TABLE inbox ADD at int DEFAULT 5', $take, $take);
like(sql('SELECT string_agg(data, chr(10) ORDER BY n) FROM inbox'), qr/^x\n.*"data":"x"\}\}\n.*"at":5\}/s, 'a table that keeps its own changes');

# what this transaction has rewritten: after that nothing is read, as rows would be lost
make_slot();
sql(q{CREATE SEQUENCE counter; CREATE TABLE w (n int PRIMARY KEY, data text); ALTER TABLE w ALTER data SET STORAGE EXTERNAL;
	CREATE MATERIALIZED VIEW v AS SELECT * FROM w; INSERT INTO w VALUES (1, repeat('a', 5000)); TRUNCATE w; REINDEX TABLE w;
	INSERT INTO w VALUES (2, repeat('b', 5000)); REFRESH MATERIALIZED VIEW v});
my $own = 'CREATE TEMP TABLE own (n int PRIMARY KEY); INSERT INTO own VALUES (1); TRUNCATE own; ';
my $refused = qr/ERROR: +cannot read a slot in a transaction that has rewritten ".*HINT: +Read the slot before that/s;
like(tried("BEGIN; $_; SELECT " . read_in()), $refused, "refused after $_") foreach (
	'TRUNCATE w', 'REINDEX TABLE w', 'REINDEX INDEX w_pkey', 'REFRESH MATERIALIZED VIEW v', 'CLUSTER w USING w_pkey',
	'ALTER TABLE q ALTER n TYPE bigint', 'ALTER SEQUENCE counter RESTART', 'SAVEPOINT a; TRUNCATE w; RELEASE a', 'TRUNCATE w; CREATE INDEX ON w (data)');
like(tried("$own BEGIN; TRUNCATE own; SELECT " . read_in()), $refused, 'refused after a temporary table was truncated');
like(tried('BEGIN; REINDEX TABLE w; SELECT ' . read_in()), qr/ERROR: +cannot read .* rewritten "w_pkey"/, '... by the name of what it knows');
like(tried('BEGIN; TRUNCATE w; INSERT INTO w SELECT 1, ' . read_in()), qr/ERROR: +cannot read .* rewritten "w"/, '... that is open');
is(sql('BEGIN; SAVEPOINT a; TRUNCATE w; ROLLBACK TO a; SELECT ' . read_in() . '; ROLLBACK'), alone(), 'not where that was rolled back');
is(sql("BEGIN; $own SELECT " . read_in() . '; ROLLBACK'), alone(), 'nor for what was made in the transaction');
is(sql('BEGIN; CREATE INDEX ON w (n); SELECT ' . read_in() . '; ROLLBACK'), alone(), 'nor for an index of a table');
is(sql(q{BEGIN; TRUNCATE w; DO $$ BEGIN PERFORM FROM pg_logical_slot_peek_changes('s', NULL, NULL); EXCEPTION WHEN OTHERS THEN NULL; END $$;
	INSERT INTO w SELECT i, repeat('c', 5000) FROM generate_series(1, 9) AS i; COMMIT;
	SET enable_seqscan = off; SELECT count(*), sum(length(data)) FROM w WHERE n > 0}), '9|45000', 'what is written after the error stays');
is(sql('BEGIN; CREATE TABLE fresh (data text); INSERT INTO fresh SELECT ' . read_in() . '; SELECT * FROM fresh; ROLLBACK'), alone(), 'a table that is made there');
is(sql('CREATE TEMP TABLE fresh (data text); INSERT INTO fresh SELECT ' . read_in() . '; SELECT * FROM fresh'), alone(), 'a temporary table');
is(sql('CREATE TABLE late (data text); BEGIN; INSERT INTO late SELECT ' . read_in() . '; SELECT * FROM late; ROLLBACK'), alone(), 'a table that is younger than the changes');

# indexes that are younger than a transaction that ends late, or were rebuilt since
sub late_end
{
	my $session = $node->background_psql('postgres', on_error_stop => 1);

	make_slot();
	$session->query_safe(q{BEGIN; INSERT INTO o VALUES (1, 'x')});
	sql($_) foreach @_;
	$session->query_safe('COMMIT');
	$session->quit;
	return;
}

SKIP:
{
	skip 'a minor release that does not lead such transactions forward', 1
	  if $version < { 15 => 150013, 16 => 160009, 17 => 170005 }->{ int($version / 10000) } // 0;

	sql(q{CREATE TYPE om AS ENUM ('x'); CREATE TABLE o (a int PRIMARY KEY, m om)});
	late_end(q{ALTER TYPE om RENAME VALUE 'x' TO 'y'}, q{INSERT INTO o VALUES (2, 'y')},
		q{CREATE TABLE changes (n int PRIMARY KEY, data text); INSERT INTO changes VALUES (1, 'x')}, 'CREATE INDEX ON q (n); REINDEX TABLE kept');
	sql('REINDEX TABLE o');
	my $plain = 'SET enable_seqscan = off; SET enable_bitmapscan = off; ';
	my $alone = alone();

	like($alone, qr/"m":"y".*"m":"x"/s, 'labels of then');
	foreach my $table ('changes WHERE n > 0', 'o WHERE a > 0', 'q WHERE n > 0')
	{
		is(sql("$plain SELECT DISTINCT " . read_in() . " FROM $table"), $alone, "an index is open: $table");
		is(sql("$plain BEGIN; DECLARE c CURSOR FOR SELECT * FROM $table; MOVE c; SELECT " . read_in()), $alone, '... in a cursor');
	}
	is(sql('BEGIN; INSERT INTO changes SELECT 1, ' . read_in() . ' ON CONFLICT (n) DO UPDATE SET data = excluded.data; SELECT data FROM changes; ROLLBACK'),
		$alone, '... of the target');
	is(sql("$plain BEGIN; DECLARE c CURSOR FOR SELECT a FROM o ORDER BY a; FETCH c; INSERT INTO kept SELECT 1, " . read_in() . '; FETCH c; ROLLBACK'), "1\n2", '... and goes on');
}
$node->stop;
done_testing();
