# Promise: a job that is stopped while it waits for a table gives the places of all
# its processes back; and jobs of one role that wait for its own lock leave as many
# background workers as another role's job needs, also while its calls wait for those.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# the launcher of logical replication, a coordinator, two workers
my $node = new_outflow_node('workers', conf => "max_worker_processes = 4\nautovacuum = off\nlog_min_messages = debug1\n");
my $dir = new_export_dir();
my $processes = "FROM pg_stat_activity WHERE backend_type LIKE 'outflow %'";
my $coordinator = "FROM pg_stat_activity WHERE backend_type = 'outflow coordinator'";

sub sql { return $node->safe_psql('postgres', $_[0]); }

# held(ROLE, CALLS): a session that has a lock which the jobs of these calls wait for
sub held
{
	my ($role, $calls) = @_;
	my ($caller, $locker) = map { $node->background_psql('postgres', on_error_stop => 1) } 1 .. 2;

	$caller->query_safe("SET SESSION AUTHORIZATION $role; BEGIN; $calls");
	$locker->query_until(qr/asks/, "SET SESSION AUTHORIZATION $role; BEGIN;\n\\echo asks\nLOCK TABLE held;\n");
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'held'::regclass AND NOT granted)", 'the lock');
	$caller->query_safe('COMMIT');
	$caller->quit;
	wait_until($node, "SELECT EXISTS (SELECT $coordinator AND wait_event_type = 'Lock')", 'a job that waits');
	return $locker;
}

sub set_room
{
	$node->append_conf('postgresql.conf', "max_worker_processes = $_[0]");
	$node->restart;
	return;
}

sql('CREATE ROLE greedy LOGIN IN ROLE pg_write_server_files; CREATE ROLE modest LOGIN IN ROLE pg_write_server_files');
sql('CREATE TABLE held AS SELECT g AS i FROM generate_series(1, 100000) AS g; ALTER TABLE held OWNER TO greedy');
sql('CREATE TABLE t AS SELECT 1 AS i; GRANT SELECT ON t TO greedy, modest');
chmod 0777, $dir;

# ---- the processes of a job that is stopped

foreach my $round (1 .. 3)
{
	my $locker = held('postgres', "SELECT outflow.export_start('held', 'file://$dir/held$round')");

	wait_until($node, "SELECT count(*) = 3 $processes", 'three processes');
	sql("SELECT outflow.cancel(max(job)) FROM outflow.jobs");
	wait_until($node, "SELECT count(*) = 0 $processes", 'none');
	$locker->quit;
	my (undef, undef, $err) = $node->psql('postgres', "CALL outflow.export('t', 'file://$dir/after$round')");
	unlike($err, qr/ERROR/, "round $round: another job finds its processes' places");
}
unlike(slurp_file($node->logfile), qr/too many clients/, 'no process was turned away');

# ---- one role's jobs, and another's: three of them, and one with many workers

set_room(8);
foreach my $workers (2, 64)
{
	my $locker = held('greedy', "SELECT outflow.export_start('held', 'file://$dir/greedy$workers.' || i, workers => $workers) FROM generate_series(1, 3) AS i");

	wait_until($node, "SELECT EXISTS (SELECT FROM outflow.jobs WHERE state = 'queued' AND waiting_for LIKE '%(the last 2 background workers are for a role that has none)')",
		'a job that has to wait');
	wait_until($node, "SELECT count(*) = 5 $processes", 'two background workers are left');
	my $waiter = $node->background_psql('postgres', on_error_stop => 1);
	my $waits = "destination LIKE '%/waits$workers'";

	$waiter->query_until(qr/calls/, "SET SESSION AUTHORIZATION greedy;\n\\echo calls\nCALL outflow.export('t', 'file://$dir/waits$workers');\n");
	wait_until($node, "SELECT EXISTS (SELECT FROM outflow.jobs WHERE $waits AND waiting_for IS NOT NULL)", 'a call that waits');
	my $job = sql("SELECT job FROM outflow.jobs WHERE $waits");
	unlike(slurp_file($node->logfile), qr/starting background worker process "outflow job $job"/, "$workers workers: it starts no process that would only find that");
	my (undef, undef, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION modest; SET statement_timeout = '60s'; CALL outflow.export('t', 'file://$dir/modest$workers')");
	unlike($err, qr/ERROR|queued/, "$workers workers: another role's job takes the two that are left");
	$locker->quit;
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM outflow.jobs WHERE state IN ('queued', 'running'))", 'all of them');
	$waiter->quit;
	like(slurp_file($node->logfile), qr/starting background worker process "outflow job $job"/, '... until there is room');
}
is(sql("SELECT count(*) FROM outflow.jobs WHERE state = 'done' AND destination LIKE '%/greedy%'"), 6, 'all come to their turn');

# ---- who needs no watching takes what there is

my $locker = held('postgres', "SELECT outflow.export_start('held', 'file://$dir/all', workers => 64)");
wait_until($node, "SELECT count(*) = 7 $processes", 'all');
$locker->quit;
wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE destination LIKE '%/all'", 'the end');
pass('a superuser\'s job has as many workers as there are');

done_testing();
