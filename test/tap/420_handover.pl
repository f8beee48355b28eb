# Promise: an export with a slot, and then the slot's stream after the export's
# snapshot, give the table: no change is missing and none comes twice, also when
# the server was killed in between, and for a table that was exported later.
use strict;
use warnings;

use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# slow enough to be met half done
my $node = new_outflow_node('handover',
	conf => "max_prepared_transactions = 10\noutflow.rate_limit = '2MB'\n");
my $export = new_export_dir();

sub sql
{
	return $node->safe_psql('postgres', join(';', @_));
}

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE orders (id int PRIMARY KEY, n int, note text);
INSERT INTO orders SELECT i, 0, repeat('o', 60) FROM generate_series(1, 40000) i;
CREATE TABLE later (LIKE orders INCLUDING ALL);
INSERT INTO later SELECT * FROM orders WHERE id <= 5000;

-- Applies a stream's records to the table of the same name in schema replica.
-- Every record must find the state that it was made from.
CREATE SCHEMA replica;
CREATE FUNCTION apply(slot name, VARIADIC options text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	change jsonb;
	target text;
	hit bigint;
	applied bigint := 0;
BEGIN
	FOR change IN SELECT data::jsonb FROM pg_logical_slot_get_changes(slot, NULL, NULL, VARIADIC options) LOOP
		CONTINUE WHEN change->>'op' NOT IN ('insert', 'update', 'delete');
		target := format('replica.%I', change->>'table');
		IF change->>'op' <> 'insert' THEN
			EXECUTE format('DELETE FROM %s WHERE id = $1', target)
			USING (coalesce(change->'key', change->'new')->>'id')::int;
			GET DIAGNOSTICS hit = ROW_COUNT;
			IF hit <> 1 THEN
				RAISE EXCEPTION 'a gap before %', change;
			END IF;
		END IF;
		IF change->>'op' <> 'delete' THEN
			EXECUTE format('INSERT INTO %s SELECT (jsonb_populate_record(NULL::%s, $1)).*', target, target)
			USING change->'new';
		END IF;
		applied := applied + 1;
	END LOOP;
	RETURN applied;
END $$;
EOC

my $scripts = PostgreSQL::Test::Utils::tempdir();
append_to_file("$scripts/write.sql", <<'EOC');
\set id random(1, 40000)
\set coin random(0, 1)
BEGIN;
INSERT INTO orders VALUES (:id + 50000, 1, 'new') ON CONFLICT (id) DO UPDATE SET n = orders.n + 1;
UPDATE orders SET n = n + 1 WHERE id = :id;
SAVEPOINT a;
DELETE FROM orders WHERE id = :id + 1;
UPDATE later SET n = n + 1 WHERE id = :id % 5000;
\if :coin
ROLLBACK TO a;
\else
RELEASE a;
\endif
\sleep :coin ms
END;
EOC
append_to_file("$scripts/slow.sql", <<'EOC');
\set id random(1, 40000)
BEGIN;
UPDATE orders SET n = n + 100 WHERE id = :id;
INSERT INTO later VALUES (:id + 50000, 1, 'slow') ON CONFLICT (id) DO NOTHING;
\sleep 200 ms
UPDATE orders SET note = 'slow' WHERE id = :id;
END;
EOC
append_to_file("$scripts/prepared.sql", <<'EOC');
\set id random(1, 40000)
BEGIN;
UPDATE orders SET n = n + 1000 WHERE id = :id;
PREPARE TRANSACTION 'p:client_id-:id';
\sleep 50 ms
COMMIT PREPARED 'p:client_id-:id';
EOC

my $writers;
my $written = '';

sub start_writers
{
	$writers = IPC::Run::start(
		[
			'pgbench', '-n', '-c', '4', '-T', '600', '--max-tries', '50', '--random-seed=1',
			'-f', "$scripts/write.sql\@8", '-f', "$scripts/slow.sql\@1",
			'-f', "$scripts/prepared.sql\@1", $node->connstr('postgres')
		],
		'<', \undef, '>', \$written, '2>', \$written);
	return;
}

# what writers left that were killed: nobody else would end it
sub roll_back_prepared
{
	sql("ROLLBACK PREPARED '$_'")
	  foreach split(/\n/, sql('SELECT gid FROM pg_prepared_xacts'));
	return;
}

sub stop_writers
{
	$writers->kill_kill;

	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'");

	roll_back_prepared();
	return;
}

# load(TABLE, DIRECTORY): the replica as the export has it
sub load
{
	my ($table, $directory) = @_;

	sql("DROP TABLE IF EXISTS replica.$table", "CREATE TABLE replica.$table (LIKE $table INCLUDING ALL)",
		map { "COPY replica.$table FROM '$directory/$_' CSV" } grep { /^part/ } files_below($directory));
	return;
}

sub differences
{
	my ($table) = @_;

	return sql(<<EOC);
SELECT (SELECT count(*) FROM (SELECT * FROM $table EXCEPT ALL SELECT * FROM replica.$table) a) || ' missing, '
	|| (SELECT count(*) FROM (SELECT * FROM replica.$table EXCEPT ALL SELECT * FROM $table) b) || ' too many'
EOC
}

sub snapshot
{
	return sql("SELECT snapshot FROM outflow.jobs WHERE job = $_[0]");
}

my @tables = (tables => 'public.orders,public.later', include_schemas => 'off');
my $quoted = sub { join(', ', map { "'$_'" } @_) };

# while writers write
start_writers();
sql("CALL outflow.export('orders', 'file://$export/a', part_size => '200kB', slot => 'a')");
sql('SELECT pg_sleep(0.5)');
stop_writers();
load('orders', "$export/a");
my $behind = differences('orders');
cmp_ok(sql("SELECT apply('a', " . $quoted->(tables => 'public.orders', after_snapshot => snapshot(1)) . ')'),
	'>', 0, 'changes came after the export');
isnt($behind, '0 missing, 0 too many', 'which the export does not have');
is(differences('orders'), '0 missing, 0 too many', 'export and stream together are the table');
like(slurp_file("$export/a/manifest.json"), qr/"slot": "a"/, 'the manifest names the slot');

# killed in between
start_writers();
my ($out, $err) = ('', '');
my $session = IPC::Run::start(
	[
		'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
		"CALL outflow.export('orders', 'file://$export/b', part_size => '8kB', slot => 'b')"
	],
	'<', \undef, '>', \$out, '2>', \$err);
$node->poll_query_until('postgres', 'SELECT parts_done >= 3 FROM outflow.jobs WHERE job = 2');
my $first = snapshot(2);
$node->stop('immediate');
$writers->kill_kill;
$session->finish;
$node->start;
roll_back_prepared();
start_writers();
sql('SELECT pg_sleep(0.3)');
sql('CALL outflow.resume(2)') if sql('SELECT state FROM outflow.jobs WHERE job = 2') ne 'done';
sql('SELECT pg_sleep(0.3)');
stop_writers();
isnt(snapshot(2), $first, 'a resumed job has another snapshot');
load('orders', "$export/b");
sql("SELECT apply('b', " . $quoted->(tables => 'public.orders', after_snapshot => snapshot(2)) . ')');
is(differences('orders'), '0 missing, 0 too many', 'export and stream are the table, killed and resumed in between');

# a table that is exported later, under a snapshot of its own
start_writers();
sql("CALL outflow.export('orders', 'file://$export/c', slot => 'c')");
sql('SELECT pg_sleep(0.3)');
sql("CALL outflow.export('later', 'file://$export/later')");
sql('SELECT pg_sleep(0.3)');
stop_writers();
load('orders', "$export/c");
load('later', "$export/later");
my $job = sql('SELECT max(job) FROM outflow.jobs');
sql("SELECT apply('c', " . $quoted->(@tables,
		after_snapshot => snapshot($job - 1) . ',public.later=' . snapshot($job)) . ')');
is(differences('orders'), '0 missing, 0 too many', 'the stream goes on from the first export');
is(differences('later'), '0 missing, 0 too many', 'and for the other table from the second one');

# a slot of a job that never finished goes with it, one that did stays
($out, $err) = ('', '');
$session = IPC::Run::start(
	[
		'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
		"CALL outflow.export('orders', 'file://$export/a', part_size => '8kB', slot => 'd', options => '{\"overwrite\": true}')"
	],
	'<', \undef, '>', \$out, '2>', \$err);
$node->poll_query_until('postgres', "SELECT parts_done > 0 FROM outflow.jobs WHERE slot = 'd'");
my $last = sql('SELECT max(job) FROM outflow.jobs');
sql("SELECT outflow.cancel($last)");
$session->finish;
is(sql("SELECT state FROM outflow.jobs WHERE job = $last"), 'interrupted', 'a cancelled export');
is(sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'd'"), '1', 'has its slot still');
sql("SELECT outflow.forget($last)");
is(sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'd'"), '0', 'forget() drops it');
sql('SELECT outflow.forget(1)');
is(sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'a'"), '1', 'the slot of a finished export stays');

# ---- a prepared transaction that nobody ends is named, and so is what it holds
sql('BEGIN', "INSERT INTO later VALUES (900001, 1, 'prepared')", "PREPARE TRANSACTION 'nobody''s'");
my $orphaned = sql("SELECT outflow.export_start('later', 'file://$export/orphaned', slot => 'orphaned')");
ok( $node->poll_query_until('postgres',
		"SELECT waiting_for ~ \$r\$^ShareLock on transaction \\d+, held by prepared transaction 'nobody''s'\$\$r\$ FROM outflow.jobs WHERE job = $orphaned"),
	'the job waits for a prepared transaction, and names it');
sql("COMMIT PREPARED 'nobody''s'");
ok( $node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = $orphaned"),
	'and goes on when it ends');

is(sql("SELECT outflow.cancel(outflow.export_start('later', 'file://$export/locked'))"), 't', 'a job to come');
my $locked = sql('SELECT max(job) FROM outflow.jobs');
sql('BEGIN', 'LOCK later IN ACCESS EXCLUSIVE MODE', 'INSERT INTO orders VALUES (900001, 1)', "PREPARE TRANSACTION 'locker'");
sql("SELECT outflow.resume_start($locked)");
ok( $node->poll_query_until('postgres',
		"SELECT waiting_for ~ 'AccessShareLock on public.later, held by prepared transaction ''locker''\$' FROM outflow.jobs WHERE job = $locked"),
	'so is one that holds a lock on the table');
sql("ROLLBACK PREPARED 'locker'");
ok( $node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = $locked"),
	'which the job outlives');

done_testing();
