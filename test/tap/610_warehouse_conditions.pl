# Promise: what befalls the other server in the middle of an export - a full disk,
# a table that is altered, locked or gone, rights taken away, its death, a standby in
# its place - is a clear error, and a job that is resumed to each row once.
#
# A held row of this server's job tables stops the export at a known point: before
# the checkpoint of a part that the other server has committed, or before all
# rows are published.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $disk = new_export_dir() . '/disk';

mkdir $disk or die;
my $module = "$FindBin::RealBin/../modules/disk/disk_preload.so";
-e $module or BAIL_OUT("$module is missing: make test-modules");
my $node = new_outflow_node('source', conf => "outflow.retries = 0\n");
my $warehouse;
{
	local $ENV{DISK_ROOT} = $disk;
	local $ENV{LD_PRELOAD} = $module;
	$warehouse = new_warehouse('warehouse', "autovacuum = off\n");
}

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }
sub last_job { return here('SELECT coalesce(max(job), 0) FROM outflow.jobs'); }

sub ends_well { return is_loaded($node, $warehouse, @_, 'full'); }

# fails(SQL, PATTERN, NAME): the last job has failed with that, and says so
sub fails
{
	my ($sql, $pattern, $name) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $sql);

	like($err, $pattern, "$name: a clear error");
	is(here('SELECT state FROM outflow.jobs ORDER BY job DESC LIMIT 1'), 'failed', "$name: the job has failed");
	return last_job();
}

my $table = 'CREATE TABLE t (id int PRIMARY KEY, note text, at date)';

here(warehouse_sql($warehouse) . "$table WITH (fillfactor = 80); INSERT INTO t SELECT i, repeat('r', i % 100), current_date FROM generate_series(1, 12000) i; VACUUM t");
there("CREATE TABLESPACE small LOCATION '$disk'");
there('GRANT CREATE ON TABLESPACE small TO loader; ALTER ROLE loader SET default_tablespace = small');
there("$table TABLESPACE small; GRANT INSERT, SELECT, DELETE, TRUNCATE ON t TO loader");

# ---- no room: for what is staged, for the table, for rows that are loaded directly
my $export = q{CALL outflow.export('t', 'warehouse:public.t', part_size => '100kB', options => '{"load": "%s"}')};

foreach my $case ([ 'staged', 37 * 8192 ], [ 'staged', 170 * 8192 ], [ 'direct', 37 * 8192 ])
{
	my ($load, $bytes) = @$case;
	my $name = "room for $bytes bytes, $load";

	there('TRUNCATE t; CHECKPOINT');
	unlink "$disk.used";
	append_to_file("$disk.full", "- $bytes");
	my $job = fails(sprintf($export, $load), qr/server "warehouse": could not (extend|write) .*: (No space left on device|wrote only)/, $name);
	unlink "$disk.full";
	here("CALL outflow.resume($job)");
	ends_well($job, $name);
}

# begun(): an export of which all parts are there, and nothing is published
sub begun
{
	my ($load) = @_;
	my $last = last_job();

	there('TRUNCATE t');
	hold_publications($node);
	my ($call, $said) = start_psql($node, sprintf($export, $load));
	wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE job > $last AND parts_done = parts_total", 'all parts');
	return ($call, $said);
}

# ---- the table is not what it was, nor may it be written to
my @changes = (
	[ 'ALTER TABLE t ALTER note TYPE varchar(99)', qr/column "note" of table "public"\."t" on server "warehouse" has type character varying\(99\)/, 'ALTER TABLE t ALTER note TYPE text' ],
	[ 'ALTER TABLE t ALTER id TYPE bigint', qr/table "public"\."t" on server "warehouse" was altered since its rows were staged.*Column "id" had type integer, and has bigint now/s, 'ALTER TABLE t ALTER id TYPE int' ],
	[ 'ALTER TABLE t RENAME note TO other', qr/column "note" of table "public"\."t" does not exist/, 'ALTER TABLE t RENAME other TO note' ],
	[ 'ALTER TABLE t ADD more int NOT NULL', qr/column "more" of table .* would be null/, 'ALTER TABLE t DROP more' ],
	[ 'ALTER TABLE t RENAME TO u', qr/table "public"\."t" does not exist on server "warehouse"/, 'ALTER TABLE u RENAME TO t' ],
	[ 'REVOKE INSERT ON t FROM loader', qr/permission denied for table "public"\."t" on server "warehouse".*GRANT INSERT/s, 'GRANT INSERT ON t TO loader' ],
	[ 'INSERT INTO t VALUES (77)', qr/duplicate key value violates unique constraint "t_pkey".*\(id\)=\(77\)/s, 'DELETE FROM t WHERE id = 77' ],
	[ 'ALTER TABLE t ADD CHECK (id <> 77)', qr/violates check constraint/, 'ALTER TABLE t DROP CONSTRAINT t_id_check' ],
	[ 'ALTER SCHEMA outflow_loader OWNER TO CURRENT_USER', qr/permission denied|does not belong to role "loader"/, 'ALTER SCHEMA outflow_loader OWNER TO loader' ],
);

foreach my $change (@changes)
{
	my ($do, $pattern, $undo) = @$change;
	my ($call, $said) = begun('staged');

	there($do);
	release_exports($node);
	$call->finish;
	my $job = last_job();

	is(here("SELECT state FROM outflow.jobs WHERE job = $job"), 'failed', "$do: the job fails");
	like($$said, $pattern, "$do: a clear error");
	there($undo);
	here("CALL outflow.resume($job)");
	ends_well($job, $do);
}

# ---- nor is its record: whether it was published is then not known
{
	my ($call, $said) = begun('staged');

	there('DELETE FROM outflow_loader.job WHERE published IS NULL');
	release_exports($node);
	$call->finish;
	my $job = last_job();

	like($$said, qr/part 0 is not there as it was exported/, 'no record there: a clear error');
	like(($node->psql('postgres', "CALL outflow.resume($job)"))[2], qr/not known whether export job $job was published/, 'and nothing is published twice');
	here("SELECT outflow.forget($job)");
	there(q{DO $$DECLARE t text; BEGIN
		FOR t IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'outflow_loader' AND tablename ~ '_[0-9]+$' LOOP
			EXECUTE 'DROP TABLE ' || t;
		END LOOP;
	END$$});
}

# ---- the table is locked: the export waits, and may be told to stop
{
	my ($call, $said) = begun('staged');
	my ($holder) = start_psql($warehouse, 'BEGIN; LOCK TABLE t; SELECT pg_sleep(600)');

	wait_until($warehouse, q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 't'::regclass AND granted AND mode = 'AccessExclusiveLock'}, 'the lock');
	release_exports($node);
	wait_until($warehouse, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'loader' AND wait_event_type = 'Lock'}, 'the export waits');
	my $job = last_job();

	is(here("SELECT state FROM outflow.jobs WHERE job = $job"), 'running', 'a locked table is waited for');
	there(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()});
	$holder->finish;
	$call->finish;
	ends_well($job, 'a locked table');
}

# held_part(LOAD, PART): the other server has committed it, and here that isn't known
sub held_part
{
	my ($load, $part) = @_;
	my $last = last_job();

	there('TRUNCATE t');
	hold_exports($node, $part);
	my ($call, $said) = start_psql($node, sprintf($export, $load));
	wait_until($warehouse, "SELECT count(*) > 0 FROM outflow_loader.part JOIN outflow_loader.job USING (job) WHERE published IS NULL AND part = $part", 'the part is there');
	wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE job > $last AND parts_done = $part", 'the ones before');
	return ($call, $said);
}

# ---- the job's record is lost, and what was staged stays: nobody knows what that is
{
	my ($call, $said) = held_part('staged', 4);
	my $job = last_job();

	here("SELECT outflow.cancel($job)");
	$call->finish;
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'interrupted');
	release_exports($node);
	there('DELETE FROM outflow_loader.job WHERE published IS NULL');
	isnt(leftovers($warehouse), '', 'a record that is lost: rows are staged');
	here("CALL outflow.resume($job)");
	ends_well($job, 'a record that is lost');
}

# ---- it dies between its COMMIT and our checkpoint, as do we
foreach my $load ('staged', 'direct')
{
	foreach my $who ('there', 'here', 'both')
	{
		my ($call, $said) = held_part($load, 4);
		my $name = "$load, killed after COMMIT: $who";
		my $job = last_job();

		$warehouse->stop('immediate') if $who ne 'here';
		if ($who ne 'there')
		{
			$node->stop('immediate');
			$call->finish;
			$node->start;
		}
		$warehouse->start if $who ne 'here';
		release_exports($node);
		$call->finish if $who eq 'there';
		here(q{UPDATE t SET note = note || '!' WHERE id % 4000 = 7; DELETE FROM t WHERE id = (SELECT max(id) FROM t)}) if $who ne 'there';
		here("CALL outflow.resume($job)") if here("SELECT state FROM outflow.jobs WHERE job = $job") ne 'done';
		ends_well($job, $name);
	}
}

# ---- a standby takes its place
{
	my ($call, $said) = begun('staged');
	my $job = last_job();

	$warehouse->stop('fast');
	append_to_file($warehouse->data_dir . '/standby.signal', '');
	$warehouse->start;
	release_exports($node);
	$call->finish;
	is(here("SELECT state FROM outflow.jobs WHERE job = $job"), 'failed', 'a standby: the job fails');
	fails("CALL outflow.resume($job)", qr/server "warehouse" is in recovery.*It is a standby/s, 'a standby, resumed');
	$warehouse->promote;
	here("CALL outflow.resume($job)");
	ends_well($job, 'a standby that was promoted');
}

# ---- this server goes back in time, in the same place: what it remembers of a
# part is older than what the other server has of it
{
	my $saved = $node->data_dir . '.saved';
	my $data = $node->data_dir;
	my ($call, $said) = held_part('staged', 4);
	my $job = last_job();

	here("SELECT outflow.cancel($job)");
	$call->finish;
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'interrupted');
	release_exports($node);
	$node->stop('fast');
	system_or_bail('cp', '-a', $data, $saved);
	$node->start;
	here(q{UPDATE t SET note = 'of a time that never was' WHERE id IN (8, 9)});
	hold_exports($node, 0);
	($call, $said) = start_psql($node, "CALL outflow.resume($job)");
	wait_until($warehouse, q{SELECT count(*) > 0 FROM outflow_loader."} . there(q{SELECT relname FROM pg_class WHERE relname ~ '_0$' AND relkind = 'r' AND relnamespace = 'outflow_loader'::regnamespace}) . q{" WHERE note LIKE 'of a time%'}, 'the other server has what never was');
	$node->stop('immediate');
	$call->finish;
	# the control file's inode is the server's own
	system_or_bail('find', $data, '-mindepth', '1', '-type', 'f', '!', '-name', 'pg_control', '-delete');
	system_or_bail('cp', '-a', "$saved/.", $data);
	$node->start;
	here("CALL outflow.resume($job)");
	ends_well($job, 'a server that went back');
}
done_testing();
