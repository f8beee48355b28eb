# Promise: when another PostgreSQL, with the record of what exports have written
# there, was dumped and restored into a new cluster, whose transactions have other
# numbers, no row of somebody else's is taken for one of an export's.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "outflow.retries = 0\n");
my $warehouse = new_warehouse('old');

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }
sub last_job { return here('SELECT max(job) FROM outflow.jobs'); }
sub status { return here("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($_[0], '$_[1]')"); }

here(warehouse_sql($warehouse));
here("CREATE TABLE $_ AS SELECT i AS id FROM generate_series(1, 3000) i") foreach ('finished', 'direct', 'staged');
there("CREATE TABLE $_ (id int); GRANT SELECT, INSERT, TRUNCATE, DELETE ON $_ TO loader") foreach ('finished', 'direct', 'staged');
there('CREATE UNIQUE INDEX ON staged (id); INSERT INTO staged VALUES (1); CREATE TABLE other (id int)');
write_rows($warehouse, 'other', 500);

here(q{CALL outflow.export('finished', 'warehouse:public.finished')});
my $finished = last_job();
is(status($finished, 'full'), 'ok', 'before, all is well');
hold_exports($node, 3);
my ($call) = start_psql($node, q{CALL outflow.export('direct', 'warehouse:public.direct', part_size => '16kB', options => '{"load": "direct"}')});
wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'the export waits');
my $direct = last_job();
here("SELECT outflow.cancel($direct)");
$call->finish;
release_exports($node);
cmp_ok(there('SELECT count(*) FROM direct'), '>', 0, 'some rows are loaded');
isnt(($node->psql('postgres', q{CALL outflow.export('staged', 'warehouse:public.staged')}, stderr => \my $none))[0], 0, 'another job is not published');
my $staged = last_job();

# ---- the new cluster has the old one's address
my $newest = there('SELECT max(xact) FROM outflow_loader.part');
$warehouse = moved_warehouse($warehouse, 'new');
cmp_ok(there('SELECT txid_current()'), '<', $newest - 100, 'its transactions have lower numbers');
write_rows($warehouse, $_, 700) foreach ('direct', 'finished');
# by chance its tables have the same numbers
there("UPDATE outflow_loader.target SET relation = name::regclass");
my $before = there('SELECT count(*) FROM direct');

foreach my $how ('quick', 'full')
{
	like(status($finished, $how), qr/unreadable/, "verify, $how, does not know which rows were the export's");
}
like(here("SELECT detail FROM outflow.verify($finished) WHERE status = 'unreadable'"), qr/another cluster/, 'and says why');
my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.resume($direct)");
isnt($code, 0, 'what was loaded directly cannot be resumed');
like($err, qr/cannot be told from others.*another cluster.*HINT/s, 'and says why');
is(there('SELECT count(*) FROM direct'), $before, 'no row has gone');
($code, $out, $err) = $node->psql('postgres', "SELECT outflow.forget($direct)");
is($code, 0, 'it can be forgotten');
like($err, qr/NOTICE:  rows stay in table public\.direct/, 'which says what stays');
is(there('SELECT count(*) FROM direct'), $before, 'and all rows stay');

there('TRUNCATE staged');
here("CALL outflow.resume($staged)");
same_rows($node, $warehouse, 'staged', 'what was staged is published there');
is(status($staged, 'full'), 'ok', 'and is known from then on');
is(leftovers($warehouse), '', 'nothing is left over');

# ---- where the cluster may not be asked for, the ledger itself tells
there('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; TRUNCATE direct');
here(q{CALL outflow.export('direct', 'warehouse:public.direct', options => '{"load": "direct"}')});
same_rows($node, $warehouse, 'direct', 'a role that may not ask');
is(status(last_job(), 'full'), 'ok', 'and verify');
is(status($staged, 'full'), 'ok', 'and verify of a job that was told');
done_testing();
