# Promise: REPACK, also CONCURRENTLY, disturbs neither a stream nor an export: an
# export beside it is exact, one with a base from before it is exact and
# carries nothing, and the stream goes on without a gap.
use strict;
use warnings;

use HandoverTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('repack', conf => "autovacuum = off\nmax_prepared_transactions = 10\n");

need_version($node, 19, 'REPACK');

my $export = new_export_dir();
my $last = 0;

sub sql
{
	return $node->safe_psql('postgres', join(';', @_));
}

sql('CREATE TABLE t (id int PRIMARY KEY, n int, note text)',
	'ALTER TABLE t ALTER note SET STORAGE EXTERNAL',
	q{INSERT INTO t SELECT i, 0, repeat('n', CASE WHEN i % 50 = 0 THEN 3000 ELSE i % 100 END) FROM generate_series(1, 20000) AS i},
	'DELETE FROM t WHERE id % 7 = 0',
	q{CREATE TABLE still AS SELECT i AS id, repeat('s', 100) AS s FROM generate_series(1, 5000) AS i},
	'ALTER TABLE still ADD PRIMARY KEY (id)');
make_replica($node);

# exported(TABLE, ARGUMENTS): the file's rows are the table's
sub is_exact
{
	my ($directory, $table, $name) = @_;

	sql("COPY (SELECT * FROM $table ORDER BY id) TO '$export/copy' CSV");
	my $rows = join('', sort { (split(/,/, $a))[0] <=> (split(/,/, $b))[0] }
		  map { /[^\n]*\n/g } map { slurp_file("$directory/$_") } grep { /^part-/ } files_below($directory));
	ok(slurp_file("$export/copy") eq $rows, $name);
	return;
}

sub counts
{
	return sql('SELECT parts_carried, parts_carried + parts_redone > 0 AND parts_carried = parts_total FROM outflow.jobs ORDER BY job DESC LIMIT 1');
}

# ---- a base from before
my $base = sql("CALL outflow.export('still', 'file://$export/base', part_size => '64kB')");
sql("CALL outflow.export('still', 'file://$export/same', part_size => '64kB', base => $base)");
like(counts(), qr/\|t$/, 'without REPACK all is carried');
foreach my $options ('', '(CONCURRENTLY)')
{
	my $directory = "$export/still" . ++$last;

	sql("REPACK $options still");
	sql("CALL outflow.export('still', 'file://$directory', part_size => '64kB', base => $base)");
	like(counts(), qr/^0\|/, "after REPACK $options nothing is");
	is_exact($directory, 'still', 'and the export is exact');
	$base = sql('SELECT max(job) FROM outflow.jobs');
}

# ---- beside a running export: whoever comes second waits
hold_exports($node, 3);
my ($call, $call_said) = start_psql($node, "CALL outflow.export('t', 'file://$export/beside', part_size => '64kB')");
wait_until($node, q{SELECT count(*) > 0 FROM outflow.jobs WHERE state = 'running' AND parts_done > 2}, 'a running export');
my ($repack, $repack_said) = start_psql($node, 'REPACK (CONCURRENTLY) t');
wait_until($node,
	q{SELECT count(*) > 0 FROM pg_stat_activity AS a WHERE query ~ '^REPACK' AND
	  (wait_event_type = 'Lock' OR cardinality(pg_blocking_pids(pid)) > 0)},
	'REPACK waits for the export');
sql('UPDATE t SET n = 1 WHERE id = 1');
release_exports($node);
$call->finish;
$repack->finish;
is(sql('SELECT state FROM outflow.jobs ORDER BY job DESC LIMIT 1'), 'done', 'the export ends');
is($$repack_said, "REPACK\n", 'and so does REPACK');
sql('UPDATE t SET n = 0 WHERE id = 1');
is_exact("$export/beside", 't', 'the export is exact');

# ---- export, then stream, with REPACK at any time and writers all the time
my $scripts = PostgreSQL::Test::Utils::tempdir();
append_to_file("$scripts/write.sql", <<'EOC');
\set id random(1, 25000)
\set len random(1, 4000)
BEGIN;
INSERT INTO t VALUES (:id, 1, repeat('i', :len)) ON CONFLICT (id) DO UPDATE SET n = t.n + 1, note = excluded.note;
SAVEPOINT a;
UPDATE t SET note = repeat('u', :len) WHERE id = :id + 1;
ROLLBACK TO a;
DELETE FROM t WHERE id = :id + 2;
\sleep 2 ms
END;
EOC
# REPACK (CONCURRENTLY) takes no REPLICA IDENTITY FULL, so all updates set all columns
my $writers = start_writers($node, "$scripts/write.sql" => 1);
my ($repacks, $repacks_said) = start_psql($node, "REPACK (CONCURRENTLY) t");
sql("CALL outflow.export('t', 'file://$export/handover', part_size => '64kB', slot => 'feed')");
$repacks->finish;
is($$repacks_said, "REPACK\n", 'REPACK (CONCURRENTLY) under writers, while a slot is made');
sql('REPACK (CONCURRENTLY) t');
sql('REPACK t');
stop_writers($node, $writers);
load_table($node, 't', "$export/handover");
cmp_ok(apply_stream($node, 'feed', tables => 'public.t', after_snapshot => sql('SELECT snapshot FROM outflow.jobs ORDER BY job DESC LIMIT 1')),
	'>', 0, 'changes came after the export');
is(differences($node, 't'), '0 missing, 0 too many', 'export and stream across REPACK are the table');
my $others = sql(q{SELECT string_agg(DISTINCT data::json->>'table', ' ') FROM pg_logical_slot_peek_changes('feed', NULL, NULL)
	WHERE data::json->>'schema' NOT IN ('replica')});
is($others, '', 'no table of REPACK itself shows');

# ---- what is decoded across a REPACK
create_slot($node, 'across');
sql('REPACK (CONCURRENTLY) t');
sql('INSERT INTO t VALUES (100000, 1, NULL)');
is(join(' ', map { "$_->{op} $_->{table}" } slot_records($node, 'across', { include_transactions => 'off', include_schemas => 'off' })),
	'insert t', 'REPACK itself is no change');

done_testing();
