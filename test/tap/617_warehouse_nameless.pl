# Promise: also where exports may not ask another PostgreSQL which cluster it is,
# they know when it was dumped and restored into a new one, and remove no row of
# somebody else's there.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "outflow.retries = 0\n");
my $warehouse = new_warehouse('old');
my $revoke = 'REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC';

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }
sub last_job { return here('SELECT max(job) FROM outflow.jobs'); }
sub status { return here("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($_[0], 'full')"); }

# loaded(): an unfinished export, some of whose rows are in its table
sub loaded
{
	hold_exports($node, 3);
	my ($call) = start_psql($node, q{CALL outflow.export('direct', 'warehouse:public.direct', part_size => '16kB', options => '{"load": "direct"}')});
	wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'the export waits');
	my $job = cancel_held($node, $call, last_job());
	cmp_ok(there('SELECT count(*) FROM direct'), '>', 0, 'some rows are loaded');
	return $job;
}

here(warehouse_sql($warehouse));
here("CREATE TABLE $_ AS SELECT i AS id FROM generate_series(1, 3000) i") foreach ('finished', 'direct');
there("CREATE TABLE $_ (id int); GRANT SELECT, INSERT, TRUNCATE, DELETE ON $_ TO loader") foreach ('finished', 'direct');
there('CREATE TABLE other (id int)');
write_rows($warehouse, 'other', 500);
there($revoke);

# ---- where nothing has moved, all is as it was
here(q{CALL outflow.export('finished', 'warehouse:public.finished')});
my $finished = last_job();
is(status($finished), 'ok', 'verify knows the rows');
my $job = loaded();
there('INSERT INTO direct VALUES (-1); GRANT SELECT ON ALL TABLES IN SCHEMA outflow_loader TO PUBLIC; VACUUM FULL');
here("SELECT outflow.forget($job)");
is(there('SELECT string_agg(id::text, $$ $$) FROM direct'), '-1', 'rows of a forgotten export go, and no others');
there('TRUNCATE direct');
$job = loaded();

# ---- the new cluster has the old one's address
my $newest = there('SELECT max(xact) FROM outflow_loader.part');
$warehouse = moved_warehouse($warehouse, 'new');
cmp_ok(there('SELECT txid_current()'), '<', $newest - 100, 'its transactions have lower numbers');
write_rows($warehouse, $_, 700) foreach ('direct', 'finished');
there($revoke);
# by chance its tables have the same numbers
there('UPDATE outflow_loader.target SET relation = name::regclass');
my $before = there('SELECT count(*) FROM direct');

is(status($finished), 'ok unreadable', 'verify does not know them in another cluster');
like(($node->psql('postgres', "CALL outflow.resume($job)"))[2], qr/cannot be told from others.*another cluster/s, 'what was loaded directly cannot be resumed');
like(($node->psql('postgres', "SELECT outflow.forget($job)"))[2], qr/NOTICE:  rows stay in table public\.direct.*another cluster/s, 'forget says that the rows stay');
is(there('SELECT count(*) FROM direct'), $before, 'and they do, with those of others');
done_testing();
