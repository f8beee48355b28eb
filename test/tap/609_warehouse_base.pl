# Promise: an export to another PostgreSQL that keeps its staging tables is the
# base of a later one, to which unchanged parts are copied there, on that server.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "restart_after_crash = on\nautovacuum = off\n");
my $warehouse = new_warehouse('warehouse');

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }

sub refused
{
	my ($arguments, $pattern, $what) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.export('t', $arguments)");

	isnt($code, 0, "$what: refused");
	like($err, $pattern, "$what: and the error says why");
	return;
}

# sound(JOB, CARRIED, REDONE, WHAT)
sub sound
{
	my ($job, $carried, $what) = @_;

	same_rows($node, $warehouse, 't', $what);
	is(here("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', "$what: verify finds it well");
	like(here("SELECT parts_carried, parts_redone FROM outflow.jobs WHERE job = $job"), $carried, "$what: parts that were carried over, and were not");
	return;
}

here(warehouse_sql($warehouse) . q{CREATE TABLE t (id int PRIMARY KEY, note text);
	INSERT INTO t SELECT i, repeat('r', i % 100) FROM generate_series(1, 15000) i; VACUUM t});
there('CREATE TABLE t (id int PRIMARY KEY, note text); GRANT INSERT, SELECT, TRUNCATE ON t TO loader');
my $kept = q{'warehouse:public.t', part_size => '100kB', options => '{"publish": "replace", "load": "kept"%s}'};

my $plain = here(q{CALL outflow.export('t', 'warehouse:public.t', options => '{"publish": "replace"}')});
refused(qq{'warehouse:public.t', base => $plain, options => '{"publish": "replace"}'}, qr/argument "base" is not for exports to tables.*"load": "kept"/s, 'a base that has kept nothing');
my $first = here("CALL outflow.export('t', " . sprintf($kept, '') . ')');
isnt(leftovers($warehouse), '', 'a staging table is kept');
refused(qq{'warehouse:public.t', base => $first}, qr/argument "base" is not for exports to tables.*"publish": "replace"/s, 'to append');

here(q{UPDATE t SET note = 'x' WHERE id = 15000; VACUUM t});
my $second = here("CALL outflow.export('t', base => $first, destination => " . sprintf($kept, '') . ')');
sound($second, qr/^[5-9]\|1$|^\d\d\|1$/, 'carried over');
is(there(q{SELECT count(DISTINCT left(relname, 36)) FROM pg_class WHERE relnamespace = 'outflow_loader'::regnamespace AND relkind = 'r' AND length(relname) > 36}), '1', 'one staging table is kept, the newer one');

# ---- the last one, by itself; its table has changed its mind about types there
here(q{DELETE FROM t WHERE id = 14999});
my $third = here("CALL outflow.export('t', " . sprintf($kept, ', "base": "last"') . ')');
sound($third, qr/^[5-9]\|1$|^\d\d\|1$/, 'the last one');
there('ALTER TABLE t ALTER id TYPE bigint');
my $fourth = here("CALL outflow.export('t', format => 'text', base => $third, destination => " . sprintf($kept, '') . ')');
sound($fourth, qr/^0\|/, 'another format');

# ---- killed in the middle
hold_exports($node, 3);
my ($call, $output) = start_psql($node, "CALL outflow.export('t', format => 'text', workers => 1, base => $fourth, destination => " . sprintf($kept, '') . ')');
wait_until($node, "SELECT count(*) = 1 FROM outflow.jobs WHERE job > $fourth AND parts_done = 3", 'three parts');
my $fifth = here('SELECT max(job) FROM outflow.jobs');
$node->stop('immediate');
$call->finish;
$node->start;
release_exports($node);
here("UPDATE t SET note = 'y' WHERE id = 1; CALL outflow.resume($fifth)");
sound($fifth, qr/^[5-9]\|[12]$|^\d\d\|[12]$/, 'resumed');

# ---- a staging table that somebody has dropped is no base; forgotten ones go
there('DROP TABLE outflow_loader."' . there(q{SELECT relname FROM pg_class WHERE relnamespace = 'outflow_loader'::regnamespace AND relkind = 'r' AND length(relname) > 36}) . '"');
my $sixth = here("CALL outflow.export('t', format => 'text', base => $fifth, destination => " . sprintf($kept, '') . ')');
sound($sixth, qr/^0\|/, 'a staging table that is gone');
isnt(leftovers($warehouse), '', 'the next one is kept');
here("SELECT outflow.forget($sixth)");
is(leftovers($warehouse), '', 'until its job is forgotten');
same_rows($node, $warehouse, 't', 'the rows stay');

# ---- another database of that server has its own: neither is the other's base
my $again = q{part_size => '100kB', options => '{"publish": "replace", "load": "kept", "create": true, "base": "last"}'};

sub base { return here('SELECT coalesce(base, 0) FROM outflow.job ORDER BY job DESC LIMIT 1'); }

$warehouse->safe_psql('postgres', 'CREATE DATABASE second; GRANT CREATE ON DATABASE second TO loader');
$warehouse->safe_psql('second', 'GRANT CREATE, USAGE ON SCHEMA public TO loader');
here(warehouse_sql($warehouse) =~ s/warehouse/second/gr =~ s/dbname 'postgres'/dbname 'second'/r);
here('VACUUM t');
there('DROP TABLE t');
here("CALL outflow.export('t', '$_', $again)") foreach 'warehouse:', 'second:';
is(base(), 0, 'the first one to the other database has no base');
my $here = here('SELECT max(job) - 1 FROM outflow.jobs');
refused(qq{'second:', base => $here, options => '{"publish": "replace", "load": "kept"}'}, qr/argument "base" is not for exports to tables.*to the same database/s, 'a base elsewhere');

# a job that is not done needs the base that another one has used
hold_exports($node, 0);
($call) = start_psql($node, "CALL outflow.export('t', 'warehouse:public.waiting', workers => 1, $again)");
wait_until($node, "SELECT EXISTS (SELECT FROM outflow.jobs WHERE job > $here + 1 AND state = 'running')", 'a job');
my $waiting = here('SELECT max(job) FROM outflow.jobs');
is(base(), $here, 'the last one of this database');
here("SELECT outflow.cancel($waiting)");
$call->finish;
release_exports($node);
here("CALL outflow.export('t', '$_', $again)") foreach 'warehouse:public.another', 'second:';
here("CALL outflow.resume($waiting)");
like(here("SELECT string_agg(parts_carried || '/' || parts_redone, ' ') FROM outflow.jobs WHERE job >= $waiting"), qr{^(\d+/0) \1 \1$}, 'all carry over all');
done_testing();
