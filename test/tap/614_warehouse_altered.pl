# Promise: a table whose definition changes while it is exported to another
# PostgreSQL arrives there as it is, with every column and every digit.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source');
my $warehouse = new_warehouse('warehouse');

$node->safe_psql('postgres', warehouse_sql($warehouse));

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }
sub last_job { return here('SELECT coalesce(max(job), 0) FROM outflow.jobs'); }

my $table = 'CREATE TABLE t (id int, amount numeric(10,2), at timestamp(0), note varchar(5))';

# fresh(DEFINITION THERE): the table here, and there if it is to be there
sub fresh
{
	my ($made) = @_;

	here("DROP TABLE IF EXISTS t; $table; INSERT INTO t SELECT i, i, '2026-01-01', 'n' FROM generate_series(1, 6000) i");
	there('DROP TABLE IF EXISTS t');
	there("$made; GRANT INSERT, SELECT, DELETE ON t TO loader") if $made;
	return;
}

sub ends_well { return is_loaded($node, $warehouse, @_, 'full'); }

# begun(OPTIONS, MORE, SEEN): an export, until that is seen of it
sub begun
{
	my ($options, $more, $seen) = @_;
	my $last = last_job();
	my ($call, $said) = start_psql($node, "CALL outflow.export('t', 'warehouse:public.t', part_size => '100kB', workers => 1, options => '$options'$more)");

	wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE job > $last AND $seen", $seen);
	return ($call, last_job());
}

# stopped(OPTIONS, MORE): it ends after its second part
sub stopped
{
	hold_exports($node, 2);
	return cancel_held($node, begun(@_, 'parts_done = 2'));
}

# ---- parts are staged when it changes; all of them are then staged anew
my @row = (7000, '1.2345', "'2026-01-01 00:00:00.25'", "'n      '");
my @changes = (
	[ 'ALTER amount TYPE numeric(12,4), ALTER at TYPE timestamp, ALTER note TYPE varchar(9)', \@row ],
	[ 'ADD more int NOT NULL DEFAULT 7', [ 7000, 1, 'now()', "'n'", 8 ] ],
	[ 'DROP note', [ 7000, 1, 'now()' ] ],
	[ 'DROP note, ADD note int', [ 7000, 1, 'now()', 5 ] ]);

foreach my $change (@changes)
{
	my ($alter, $values) = @$change;

	foreach my $more ('', ", format => 'text'")
	{
		fresh();
		my $job = stopped('{"create": true}', $more);

		here("ALTER TABLE t $alter; INSERT INTO t VALUES (" . join(', ', @$values) . ')');
		my (undef, undef, $err) = $node->psql('postgres', "CALL outflow.resume($job)");
		ends_well($job, "$alter$more") or diag($err);
	}
}

# ---- all parts are staged, and could not be published
foreach my $made ('', $table)
{
	foreach my $alter ('DROP note', 'ALTER amount TYPE numeric(10,4)', 'RENAME note TO remark')
	{
		my $name = "$alter, " . ($made ? 'a table that is there' : 'a table to be made');

		fresh($made);
		hold_publications($node);
		my $job = cancel_held($node, begun('{"create": true}', '', 'parts_done = parts_total'));
		here("ALTER TABLE t $alter");
		there("ALTER TABLE t $alter") if $made;
		$node->psql('postgres', "CALL outflow.resume($job)", stderr => \my $err);
		ends_well($job, $name) or diag($err);
	}
}

# ---- before the job has its locks
{
	fresh($table);
	there('ALTER TABLE t ADD more int DEFAULT 1');
	my ($older) = start_psql($node, 'BEGIN; SELECT txid_current(); SELECT pg_sleep(600)');
	wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND backend_xid IS NOT NULL}, 'an older transaction');
	my ($call, $said) = start_psql($node, q{CALL outflow.export_tables('{t}', 'warehouse:', slot => 'later')});
	wait_until($node, q{SELECT count(*) > 0 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE NOT granted AND locktype = 'transactionid' AND a.backend_type LIKE 'outflow%coordinator%'}, 'the job waits for it');
	here('ALTER TABLE t ADD more int DEFAULT 7');
	here(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()});
	$older->finish;
	$call->finish;
	ends_well(last_job(), 'a column that came before the locks') or diag($$said);
	here(q{SELECT pg_drop_replication_slot('later')});
}

# ---- loaded directly
{
	fresh($table);
	there('ALTER TABLE t ADD more int');
	my $job = stopped('{"load": "direct"}', '');

	here('ALTER TABLE t ADD more int DEFAULT 7');
	here("CALL outflow.resume($job)");
	ends_well($job, 'a column that came, loaded directly');

	# all of it is loaded by then, and stays as it was written
	fresh($table);
	hold_publications($node);
	$job = cancel_held($node, begun('{"load": "direct"}', '', 'parts_done = parts_total'));
	here('ALTER TABLE t DROP note');
	here("CALL outflow.resume($job)");
	is(there(q{SELECT count(*) FROM t WHERE note = 'n'}), '6000', 'a column that went, loaded directly: its values are there');
	is(here("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', 'and verify finds them');
}
done_testing();
