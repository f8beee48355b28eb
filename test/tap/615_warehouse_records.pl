# Promise: an export to another PostgreSQL stands by its record there, however long
# that is, and whoever has it locked or takes it away.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source');
my $warehouse = new_warehouse('warehouse');

$warehouse->safe_psql('postgres', "CREATE ROLE other LOGIN PASSWORD '$secret'; CREATE SCHEMA outflow_other AUTHORIZATION other");

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }
sub last_job { return here('SELECT coalesce(max(job), 0) FROM outflow.jobs'); }

here(warehouse_sql($warehouse) . 'CREATE TABLE t AS SELECT i AS id, repeat(\'r\', 20) AS note FROM generate_series(1, 6000) AS i');
there('CREATE TABLE t (id int, note text); GRANT INSERT, SELECT, DELETE, TRUNCATE ON t TO loader, other');

# which lets that role in without a password
my $other = q{ALTER USER MAPPING FOR CURRENT_USER SERVER warehouse OPTIONS (SET user 'other', ADD password_required 'false')};

sub ends_well { return is_loaded($node, $warehouse, @_, 'quick', 'full'); }

# begun(LOAD, SEEN): until that is seen of it
sub begun
{
	my ($load, $seen) = @_;
	my $last = last_job();

	there('TRUNCATE t');
	my ($call, $said) = start_psql($node, qq{CALL outflow.export('t', 'warehouse:public.t', part_size => '100kB', workers => 1, options => '{"load": "$load"}')});
	wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE job > $last AND $seen", $seen);
	return ($call, last_job(), $said);
}

sub stopped
{
	my ($load) = @_;

	hold_exports($node, 2);
	return cancel_held($node, begun($load, 'parts_done = 2'));
}

# so many that a list of their transactions would be larger than a megabyte
sub many_parts
{
	there(q{INSERT INTO outflow_loader.part SELECT job, n, target, 0, 0, checksum, 0, 1000000 + n * (xact / xact)
		FROM (SELECT p.* FROM outflow_loader.part AS p ORDER BY (SELECT started FROM outflow_loader.job WHERE job = p.job) DESC LIMIT 1) AS p, generate_series(1000, 180000) AS n});
	return;
}

# ---- a schema that its owner may not make, and has: it is empty
here($other);
here(q{CALL outflow.export('t', 'warehouse:public.t')});
same_rows($node, $warehouse, 't', 'a schema that was made by hand');
here('DROP SERVER warehouse CASCADE; ' . warehouse_sql($warehouse));

foreach my $load ('direct', 'staged')
{
	my $job = stopped($load);

	many_parts();
	here("CALL outflow.resume($job)");
	ends_well($job, "$load, many parts that are none any more");
	many_parts();
	ends_well($job, "$load, many parts");
	$job = stopped($load);
	many_parts();
	here("SELECT outflow.forget($job)");
	is(there('SELECT count(*) FROM t') . leftovers($warehouse), '0', "$load, many parts, forgotten: all rows go");
}

# ---- published, and its record taken away before that is known here
{
	here(q{CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not yet' USING ERRCODE = '40P01'; END$$;
		CREATE TRIGGER fail BEFORE UPDATE ON outflow.job FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION fail()});
	my ($call, $job, $said) = begun('staged', 'retries > 0');
	there('DELETE FROM outflow_loader.job');
	$call->finish;
	here('DROP TRIGGER fail ON outflow.job; DROP FUNCTION fail');
	my $unknown = qr/not known whether export job $job was published/;
	like($$said, qr/$unknown|does not know the export any more/, 'a record that is taken away');
	like(($node->psql('postgres', "CALL outflow.resume($job)"))[2], $unknown, 'and the job knows that it had one');
	same_rows($node, $warehouse, 't', 'published once');
	here("SELECT outflow.forget($job)");
}

# lock(): from when those who have it give it up, somebody else has the job's lock
sub lock
{
	my ($key) = @_;
	my ($locker) = start_psql($warehouse, "SELECT pg_advisory_lock(28522, $key), pg_sleep(600)");

	wait_until($warehouse, q{SELECT count(*) = 1 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE classid = 28522 AND query LIKE '%pg_sleep(600)'}, 'the lock');
	return $locker;
}

sub unlock
{
	my ($locker) = @_;

	there(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()});
	$locker->finish;
	return;
}

# ---- a connection that was lost, and has the job's lock for longer than a try
{
	hold_publications($node);
	my ($call, $job, $said) = begun('staged', 'parts_done = parts_total');
	my ($pid, $key) = split /\|/, there(q{SELECT pid, objid::bigint - CASE WHEN objid::bigint > 2147483647 THEN 4294967296 ELSE 0 END FROM pg_locks WHERE classid = 28522});
	my $locker = lock($key);
	there("SELECT pg_terminate_backend($pid)");
	release_exports($node);
	wait_until($node, "SELECT retries > 2 OR state <> 'running' FROM outflow.jobs WHERE job = $job", 'tried again');
	is(there('SELECT count(*) FROM t'), '0', 'nothing is published without the lock');
	unlock($locker);
	$call->finish;
	ends_well($job, 'a lock that comes free') or diag($$said);

	# the same lock, of a job that is resumed
	hold_publications($node);
	($call, $job) = begun('staged', 'parts_done = parts_total');
	$key = there(q{SELECT objid::bigint - CASE WHEN objid::bigint > 2147483647 THEN 4294967296 ELSE 0 END FROM pg_locks WHERE classid = 28522});
	$locker = lock($key);
	cancel_held($node, $call, $job);
	($call, $said) = start_psql($node, "CALL outflow.resume($job)");
	wait_until($node, "SELECT retries > 0 OR state = 'failed' FROM outflow.jobs WHERE job = $job", 'tried again');
	unlock($locker);
	$call->finish;
	ends_well($job, 'a lock that comes free, resumed') or diag($$said);
}

# ---- what forget can't reach, it names
foreach my $load ('kept', 'staged')
{
	foreach my $lost ($other, 'DROP SERVER warehouse CASCADE')
	{
		my $job;

		there('TRUNCATE t');
		next if $load eq 'staged' && $lost =~ /DROP/;
		$job = $load eq 'kept' ? here(q{CALL outflow.export('t', 'warehouse:public.t', options => '{"load": "kept"}')}) : stopped($load);
		here($lost);
		like(($node->psql('postgres', "SELECT outflow.forget($job)"))[2], qr/NOTICE:  staging tables of export job $job may stay.*drop the tables whose names begin with "[0-9a-f-]{36}"/s, "$load, $lost: forget tells what stays");
		here("DROP SERVER IF EXISTS warehouse CASCADE; " . warehouse_sql($warehouse));
	}
}
done_testing();
