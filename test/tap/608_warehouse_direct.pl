# Promise: rows that are loaded directly into empty tables are there once, whoever
# is killed, and what is forgotten takes its own rows with it, and no others.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "restart_after_crash = on\n");
my $warehouse = new_warehouse('warehouse');
my $direct = q{options => '{"load": "direct"}'};

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }

sub verified
{
	my ($job, $how) = @_;
	return here("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, verify => '$how')");
}

# refused(CALL'S ARGUMENTS, PATTERN, WHAT)
sub refused
{
	my ($arguments, $pattern, $what) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "CALL $arguments");

	isnt($code, 0, "$what: refused");
	like($err, $pattern, "$what: and the error says why");
	return;
}

here(warehouse_sql($warehouse) . q{
CREATE TABLE t (id int PRIMARY KEY, note text, at timestamptz);
INSERT INTO t SELECT i, repeat('r', i % 100), '2026-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 15000) i;
CREATE TABLE empty (id int);});
my $table = 'CREATE TABLE t (id int PRIMARY KEY, note text, at timestamptz)';

# ---- refused
there("$table; GRANT INSERT ON t TO loader");
refused(qq{outflow.export('t', 'warehouse:public.t', $direct)}, qr/GRANT INSERT, SELECT, DELETE ON "public"."t" TO "loader"/, 'no right to take back');
there('GRANT SELECT, DELETE ON t TO loader; INSERT INTO t VALUES (-1)');
refused(qq{outflow.export('t', 'warehouse:public.t', $direct)}, qr/cannot be loaded directly into table "public"."t".*has rows already.*Empty it/s, 'a table with rows');
there(q{DELETE FROM t; CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER noop AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION noop()});
refused(qq{outflow.export('t', 'warehouse:public.t', $direct)}, qr/has triggers or rules.*Leave out the option "load"/s, 'a table with a trigger');
there('DROP TRIGGER noop ON t; CREATE RULE r AS ON INSERT TO t DO ALSO NOTHING');
refused(qq{outflow.export('t', 'warehouse:public.t', $direct)}, qr/has triggers or rules/, 'a table with a rule');
there('DROP RULE r ON t; CREATE TABLE empty (id int REFERENCES t); GRANT INSERT, SELECT, DELETE ON empty TO loader');
refused(qq{outflow.export_tables('{t,empty}', 'warehouse:', $direct)}, qr/table "public"."t".*A foreign key refers to it/s, 'a foreign key that refers to one');
refused(q{outflow.export('t', 'warehouse:public.t', options => '{"load": "direct", "publish": "replace"}')}, qr/exclude each other/, 'and to replace');
refused(q{outflow.export('t', 'file:///tmp/nowhere', options => '{"load": "direct"}')}, qr/"load" is for exports to tables only/, 'files');
is(here('SELECT count(*) FROM outflow.jobs'), 0, 'none of them left a job');
there('DROP TABLE empty');

# ---- the rows, and what verify says of them
my $job = here(q{CALL outflow.export_tables('{t,empty}', 'warehouse:', part_size => '100kB', options => '{"load": "direct", "create": true}')});
same_rows($node, $warehouse, $_, "direct: $_") foreach ('t', 'empty');
is(leftovers($warehouse), '', 'no staging table');
is(verified($job, 'quick') . verified($job, 'full'), 'okok', 'verify finds it well');
is(here("SELECT part, file, status FROM outflow.verify($job) WHERE part IS NULL"), "|warehouse:|ok\n|warehouse:public.t|ok\n|warehouse:public.empty|ok", 'and names the tables');
there('INSERT INTO t VALUES (-1)');
is(verified($job, 'full'), 'ok', "another's row is none of ours");
there(q{UPDATE t SET note = 'x' WHERE id = 5; DELETE FROM t WHERE id = 6; VACUUM FREEZE t});
foreach my $how ('quick', 'full')
{
	is(here("SELECT status, detail FROM outflow.verify($job, '$how') WHERE status <> 'ok'"), 'wrong rows|15000 rows were written, 14998 are there as they were', "$how: rows that were changed or removed");
}
there('REVOKE SELECT ON t FROM loader');
is(verified($job, 'quick') . ' ' . verified($job, 'full'), 'ok ok unreadable', 'no right to read them');
there("DROP TABLE t; $table; GRANT INSERT, SELECT, DELETE ON t TO loader");
is(here("SELECT status FROM outflow.verify($job) WHERE file = 'warehouse:public.t'"), 'missing', 'a table that is another one');
like(($node->psql('postgres', "SELECT outflow.verify($job, 'fully')"))[2], qr/invalid value for argument "verify": "fully".*quick and full/s, 'what there is to choose');

# ---- staged rows are verified as well, in any form
there('CREATE TABLE wide (id bigint, n numeric(20, 6), c char(12), d timestamptz, note text); GRANT INSERT, SELECT ON wide TO loader');
here(q{CREATE TABLE wide (id int, n numeric(8, 2), c char(5), d date, note int[]);
	INSERT INTO wide SELECT i, i / 7.0, 'c' || i % 7, CASE i WHEN 3 THEN 'infinity' ELSE date '2026-01-01' + i END, CASE WHEN i % 3 > 0 THEN ARRAY[i, NULL] END FROM generate_series(1, 3000) i});
my $wide = here(q{CALL outflow.export('wide', 'warehouse:public.wide', part_size => '8kB')});
is(here("SELECT format FROM outflow.jobs WHERE job = $wide") . verified($wide, 'quick') . verified($wide, 'full'), 'textokok', 'rows in wider types');
there(q{CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id = CASE NEW.id WHEN 7 THEN 8 ELSE NEW.id END; RETURN NEW; END';
	CREATE TRIGGER spoil BEFORE INSERT ON wide FOR EACH ROW EXECUTE FUNCTION spoil()});
$wide = here(q{CALL outflow.export('wide', 'warehouse:public.wide')});
is(verified($wide, 'quick'), 'ok', 'what a trigger changes is seen');
is(here("SELECT status, detail FROM outflow.verify($wide, 'full') WHERE status <> 'ok'"), 'wrong content|There are as many rows as were written, but not the same.', 'by full verification alone');

# ---- held at a lock of the ledger, where a part begins
my ($holder, $said);

sub begin
{
	there('TRUNCATE t');
	($holder, $said) = start_psql($warehouse, "BEGIN; LOCK TABLE outflow_loader.part IN EXCLUSIVE MODE; SELECT pg_sleep(600)");
	wait_until($warehouse, q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'outflow_loader.part'::regclass AND granted AND mode = 'ExclusiveLock'}, 'the lock');
	my ($call, $output) = start_psql($node, "CALL outflow.export('t', 'warehouse:public.t', part_size => '300kB', $direct)");
	wait_until($warehouse, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'loader' AND wait_event_type = 'Lock'}, 'the export waits there');
	return ($call, here('SELECT max(job) FROM outflow.jobs'), $output);
}

sub release
{
	there(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()});
	$holder->finish;
	return;
}

my ($call, $output);
($call, $job, $output) = begin();
$node->stop('immediate');
$call->finish;
$node->start;
release();
here("UPDATE t SET note = note || '!' WHERE id % 5000 = 1; DELETE FROM t WHERE id % 5000 = 2");
here("CALL outflow.resume($job)");
same_rows($node, $warehouse, 't', 'this server dies');
is(verified($job, 'full'), 'ok', 'this server dies: verify finds it well');

# stop_after_parts(): a direct export that ends when some of its parts are there
sub stop_after_parts
{
	my ($options) = @_;

	my $last = here('SELECT max(job) FROM outflow.jobs');

	hold_exports($node, 5);
	($call, $output) = start_psql($node, "CALL outflow.export('t', 'warehouse:public.t', part_size => '100kB', workers => 1, options => '$options')");
	wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE job > $last AND parts_done = 5", 'five parts');
	$job = here('SELECT max(job) FROM outflow.jobs');
	here("SELECT outflow.cancel($job)");
	$call->finish;
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'interrupted');
	release_exports($node);
	return;
}

# ---- parts that are made again
there('TRUNCATE t');
stop_after_parts('{"load": "direct"}');
cmp_ok(there('SELECT count(*) FROM t'), '>', 0, 'rows are seen as they come');
here("UPDATE t SET note = note || '?' WHERE id % 1000 = 1");
here("CALL outflow.resume($job)");
same_rows($node, $warehouse, 't', 'parts that were made again');
is(verified($job, 'full'), 'ok', 'parts that were made again: verify finds it well');
cmp_ok(here("SELECT parts_redone FROM outflow.jobs WHERE job = $job"), '>', 0, 'there were some');

# ---- but not when somebody has changed what is to be replaced
there('TRUNCATE t');
stop_after_parts('{"load": "direct"}');
here("UPDATE t SET note = note || '?' WHERE id = 11");
there(q{UPDATE t SET note = 'theirs' WHERE id = 10});
refused("outflow.resume($job)", qr/rows of the export were changed on server "warehouse".*Forget the job/s, 'rows that are not ours any more');

# ---- forgotten: own rows go, no others
there('INSERT INTO t VALUES (-1)');
my (undef, undef, $notice) = $node->psql('postgres', "SELECT outflow.forget($job)");
like($notice, qr/rows stay in table public\.t on.*1 were changed or removed/s, 'forget tells what it cannot remove');
is(there('SELECT string_agg(id::text, \',\' ORDER BY id) FROM t'), '-1,10', "and leaves what is not the job's");
is(there('SELECT count(*) FROM outflow_loader.job WHERE published IS NULL'), '0', 'no record is left');

# ---- nor rows that refer to them
there('TRUNCATE t');
stop_after_parts('{"load": "direct"}');
there('CREATE TABLE notes (t int REFERENCES t ON DELETE CASCADE); INSERT INTO notes SELECT min(id) FROM t');
here("UPDATE t SET note = note || '?' WHERE id % 1000 = 1");
refused("outflow.resume($job)", qr/rows of table public\.t on server.*cannot be loaded again.*foreign key of table public.notes.*Drop the foreign key/s, 'rows that others refer to');
(undef, undef, $notice) = $node->psql('postgres', "SELECT outflow.forget($job)");
like($notice, qr/rows stay in table public\.t on.*foreign key of table public.notes/s, 'forget tells why they stay');
is(there('SELECT count(*) FROM notes'), '1', 'and they do, with what refers to them');
there('DROP TABLE notes, t');
there('GRANT CREATE ON SCHEMA public TO loader');
stop_after_parts('{"load": "direct", "create": true}');
is(there(q{SELECT to_regclass('public.t') IS NOT NULL}), 't', 'a table was made');
here("SELECT outflow.forget($job)");
is(there(q{SELECT to_regclass('public.t') IS NULL}), 't', 'and is no more when the job is forgotten');
stop_after_parts('{"load": "direct", "create": true}');
there('DROP TABLE t');
refused("outflow.resume($job)", qr/is not the one that was loaded into before/, 'a table that is gone');
here("SELECT outflow.forget($job)");
done_testing();
