# Promise: an export with a slot, and then the slot's stream after the export's
# snapshot, give the table: no change is missing and none comes twice, also when
# the server was killed in between, and for a table that was exported later.
use strict;
use warnings;

use HandoverTest;
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
EOC
make_replica($node);

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

my %scripts = ("$scripts/write.sql" => 8, "$scripts/slow.sql" => 1, "$scripts/prepared.sql" => 1);
my @tables = (tables => 'public.orders,public.later', include_schemas => 'off');

# while writers write
my $writers = start_writers($node, %scripts);
sql("CALL outflow.export('orders', 'file://$export/a', part_size => '200kB', slot => 'a')");
sql('SELECT pg_sleep(0.5)');
stop_writers($node, $writers);
load_table($node, 'orders', "$export/a");
my $behind = differences($node, 'orders');
cmp_ok(apply_stream($node, 'a', tables => 'public.orders', after_snapshot => job_snapshot($node, 1)),
	'>', 0, 'changes came after the export');
isnt($behind, '0 missing, 0 too many', 'which the export does not have');
is(differences($node, 'orders'), '0 missing, 0 too many', 'export and stream together are the table');
like(slurp_file("$export/a/_manifest.json"), qr/"slot": "a"/, 'the manifest names the slot');

# killed in between
$writers = start_writers($node, %scripts);
my $session = start_call($node,
	"CALL outflow.export('orders', 'file://$export/b', part_size => '8kB', slot => 'b')");
$node->poll_query_until('postgres', 'SELECT parts_done >= 3 FROM outflow.jobs WHERE job = 2');
my $first = job_snapshot($node, 2);
$node->stop('immediate');
$writers->kill_kill;
$session->finish;
$node->start;
roll_back_prepared($node);
$writers = start_writers($node, %scripts);
sql('SELECT pg_sleep(0.3)');
sql('CALL outflow.resume(2)') if sql('SELECT state FROM outflow.jobs WHERE job = 2') ne 'done';
sql('SELECT pg_sleep(0.3)');
stop_writers($node, $writers);
isnt(job_snapshot($node, 2), $first, 'a resumed job has another snapshot');
load_table($node, 'orders', "$export/b");
apply_stream($node, 'b', tables => 'public.orders', after_snapshot => job_snapshot($node, 2));
is(differences($node, 'orders'), '0 missing, 0 too many', 'export and stream are the table, killed and resumed in between');

# a table that is exported later, under a snapshot of its own
$writers = start_writers($node, %scripts);
sql("CALL outflow.export('orders', 'file://$export/c', slot => 'c')");
sql('SELECT pg_sleep(0.3)');
sql("CALL outflow.export('later', 'file://$export/later')");
sql('SELECT pg_sleep(0.3)');
stop_writers($node, $writers);
load_table($node, 'orders', "$export/c");
load_table($node, 'later', "$export/later");
my $job = sql('SELECT max(job) FROM outflow.jobs');
apply_stream($node, 'c', @tables,
	after_snapshot => job_snapshot($node, $job - 1) . ',public.later=' . job_snapshot($node, $job));
is(differences($node, 'orders'), '0 missing, 0 too many', 'the stream goes on from the first export');
is(differences($node, 'later'), '0 missing, 0 too many', 'and for the other table from the second one');

# a slot of a job that never finished goes with it, one that did stays
limit_rate($node, '500kB');
$session = start_call($node,
	"CALL outflow.export('orders', 'file://$export/a', part_size => '8kB', slot => 'd', options => '{\"overwrite\": true}')");
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
