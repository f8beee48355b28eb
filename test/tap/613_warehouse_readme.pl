# Promise: what README.md says of another PostgreSQL holds where no other test has
# it: what readers see of a table that is replaced, who needs which right, and how
# a server is named.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "outflow.retries = 0\n");
my $warehouse = new_warehouse('warehouse', "listen_addresses = '127.0.0.1'\n");

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }
sub error_of { return ($node->psql('postgres', shift))[2]; }
sub checked { return here("SELECT string_agg(detail, '; ') || coalesce(string_agg(fix, '; '), '') FROM outflow.check_destination('$_[0]')"); }

here(warehouse_sql($warehouse));
here(q{CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 500) i});
there('CREATE TABLE t (id int); INSERT INTO t SELECT -1 FROM generate_series(1, 10)');

# ---- rights on the table, which check_destination tells before
like(checked('warehouse:public.t'), qr/permission denied for table "public"."t".*GRANT INSERT ON "public"."t" TO "loader"/s, 'check_destination: no right to insert');
there('GRANT INSERT ON t TO loader');
like(checked('warehouse:public.t'), qr/^PostgreSQL .*, as role "loader"; table "public"."t" is there$/, 'check_destination: a table that takes rows');
like(checked('warehouse:public.missing'), qr/^PostgreSQL .*; there is no table "public"."missing"$/, 'check_destination: a table that is missing');
here(q{CALL outflow.export('t', 'warehouse:public.t')});
is(there('SELECT count(*) FROM t'), '510', 'INSERT is enough to append');

# ---- what verify can tell without SELECT
my $job = here('SELECT max(job) FROM outflow.jobs');
my $finding = "SELECT status, detail ~ 'GRANT SELECT' FROM outflow.verify($job, '%s') WHERE detail IS NOT NULL";
is(here(sprintf($finding, 'quick')), 'ok|t', 'verify without SELECT: the ledger is well');
is(here(sprintf($finding, 'full')), 'unreadable|t', 'verify => full without it');

# ---- replaced: TRUNCATE is needed, readers wait, older snapshots see nothing
like(error_of(q{CALL outflow.export('t', 'warehouse:public.t', options => '{"publish": "replace"}')}), qr/GRANT INSERT, TRUNCATE ON "public"."t"/, 'no right to replace');
there('GRANT TRUNCATE, SELECT ON t TO loader; CREATE TABLE other (id int)');
my $reader = $warehouse->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM other');
hold_publications($node);
my ($call, $said) = start_psql($node, q{CALL outflow.export('t', 'warehouse:public.t', options => '{"publish": "replace"}')});
wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'all rows are staged');
is(there('SELECT count(*) FROM t'), '510', 'to replace: what is there stays to the end');
release_exports($node);
$call->finish;
same_rows($node, $warehouse, 't', 'replaced');
is($reader->query_safe('SELECT count(*) FROM t'), '0', 'an older snapshot sees it empty');
$reader->query_safe('COMMIT');
$reader->quit;

# ---- the ledger's schema: made by somebody else, for a role that may not make one
there('DROP SCHEMA outflow_loader CASCADE; REVOKE CREATE ON DATABASE postgres FROM loader');
my $create = qr/role "loader" cannot create schema "outflow_loader".*CREATE SCHEMA "outflow_loader" AUTHORIZATION "loader"/s;
like(error_of(q{CALL outflow.export('t', 'warehouse:public.t')}), $create, 'no right to make the schema of the ledger');
like(checked('warehouse:'), $create, 'check_destination says so, too');
there('CREATE SCHEMA "outflow_loader" AUTHORIZATION "loader"; TRUNCATE t');
here(q{CALL outflow.export('t', 'warehouse:public.t')});
same_rows($node, $warehouse, 't', 'a schema that was made for it');

# ---- a date that no timestamp can hold
here(q{CREATE TABLE dates (d date); INSERT INTO dates VALUES ('294276-12-31'), ('infinity')});
there('CREATE TABLE dates (d timestamp); GRANT SELECT, INSERT ON dates TO loader');
here(q{CALL outflow.export('dates', 'warehouse:')});
is(there('SELECT string_agg(d::text, \',\' ORDER BY d) FROM dates'), '294276-12-31 00:00:00,infinity', 'the last dates of a timestamp');
here(q{INSERT INTO dates VALUES ('294277-01-01')});
like(error_of(q{CALL outflow.export('dates', 'warehouse:')}), qr/timestamp out of range/, 'a later date ends the export');
is(there('SELECT count(*) FROM dates'), '2', 'and leaves no row there');
here('SELECT outflow.forget(max(job)) FROM outflow.jobs');

# ---- what is for files
foreach my $argument (q{encrypt_to => '{age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq}'}, q{options => '{"header": true}'}, q{options => '{"delimiter": ";"}'}, q{options => '{"mode": "0640"}'}, q{compression => 'zstd'})
{
	my $last = here('SELECT max(job) FROM outflow.jobs');

	like(error_of(qq{CALL outflow.export('t', 'warehouse:public.t', $argument)}), qr/not for exports to tables|is not for format|applies to|for files/, "$argument is refused");
	is(here('SELECT max(job) FROM outflow.jobs'), $last, 'and leaves no job');
}

# ---- the name is one to check certificates by, the address where to connect
append_to_file($warehouse->data_dir . '/pg_hba.conf', "host all loader 127.0.0.1/32 scram-sha-256\n");
$warehouse->reload;
here("CREATE SERVER named FOREIGN DATA WRAPPER outflow_postgres OPTIONS (host 'warehouse.invalid', hostaddr '127.0.0.1', port '"
	  . $warehouse->port . "', dbname 'postgres', allow_private 'true')");
here("CREATE USER MAPPING FOR CURRENT_USER SERVER named OPTIONS (user 'loader', password '$secret')");
like(checked('named:'), qr/server does not support SSL, but SSL was required/, 'without sslmode, TLS is a must');
here(q{ALTER SERVER named OPTIONS (ADD sslmode 'disable')});
like(checked('named:'), qr/^PostgreSQL /, 'hostaddr is where to connect');
there('TRUNCATE t');
here(q{CALL outflow.export('t', 'named:')});
same_rows($node, $warehouse, 't', 'and after the colon alone, to the table of its name');
done_testing();
