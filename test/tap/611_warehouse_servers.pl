# Promise: of several servers that lead to one database, each by a role of its own, a
# job keeps to the one that it was given; where none is left that can be told from
# another, it says so and touches nothing.  Nor does it go on in another database.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "outflow.retries = 0\n");
my $warehouse = new_warehouse('warehouse');

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }

# another role there
sub add_role
{
	my ($role) = @_;
	my $hba = $warehouse->data_dir . '/pg_hba.conf';
	my $rules = slurp_file($hba);

	there("CREATE ROLE $role LOGIN PASSWORD '$secret'; GRANT CREATE ON DATABASE postgres TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role");
	unlink $hba;
	append_to_file($hba, "local all $role scram-sha-256\nhost all $role all scram-sha-256\n$rules");
	$warehouse->reload;
	return;
}

# the same place, as another role; made before the other, so it is found before it
sub other_sql
{
	my ($name, $role) = @_;
	return warehouse_sql($warehouse) =~ s/SERVER warehouse/SERVER $name/gr =~ s/'loader'/'$role'/r;
}

sub status { return here("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($_[0], 'full')"); }

# a job whose publication fails: its rows stay in its staging table
sub failed_job
{
	there('INSERT INTO t VALUES (1)');
	isnt(($node->psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')}, stderr => \my $none))[0], 0, 'a job fails');
	there('DELETE FROM t WHERE id = 1');
	isnt(leftovers($warehouse), '', 'and its rows wait there');
	return here('SELECT max(job) FROM outflow.jobs');
}

add_role('loader2');
here(other_sql('another', 'loader2'));
here(warehouse_sql($warehouse));
here('CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 3000) i');
there('CREATE TABLE t (id int PRIMARY KEY); GRANT SELECT, INSERT, TRUNCATE, DELETE ON t TO loader, loader2');

# ---- the one that the job names
my $job = here(q{CALL outflow.export('t', 'warehouse:public.t')});
is(status($job), 'ok', 'verify asks the server that the job names');
there('TRUNCATE t');
my $failed = failed_job();
here("SELECT outflow.forget($failed)");
is(leftovers($warehouse), '', 'so does forget');
is(there(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'outflow_loader2'}), '0', 'the other one was not used');

# ---- it has another name by now, and two lead there
$job = here(q{CALL outflow.export('t', 'warehouse:public.t')});
there('CREATE TABLE kept AS SELECT * FROM t; TRUNCATE t');
$failed = failed_job();
there('INSERT INTO t SELECT * FROM kept');
here('ALTER SERVER warehouse RENAME TO renamed');
my ($code, $out, $err) = $node->psql('postgres', "SELECT outflow.forget($failed)");
isnt($code, 0, 'forget does not guess');
like($err, qr/servers "another" and "renamed" lead to "postgresql:.*" by different roles.*HINT: .*"warehouse"/s, 'and says why');
isnt(leftovers($warehouse), '', 'nothing was touched');
($code, $out, $err) = $node->psql('postgres', "SELECT DISTINCT status FROM outflow.verify($job)");
is($out, 'unreadable', 'verify does not guess either');
like($err, qr/WARNING:  servers "another" and "renamed"/, 'and says why');

# ---- two of one role are one
here(q{ALTER USER MAPPING FOR CURRENT_USER SERVER another OPTIONS (SET user 'loader')});
here("SELECT outflow.forget($failed)");
is(leftovers($warehouse), '', 'two servers of one role are one');
here(q{ALTER USER MAPPING FOR CURRENT_USER SERVER another OPTIONS (SET user 'loader2')});

# ---- the only one
there('TRUNCATE t; DROP TABLE kept');
here('ALTER SERVER renamed RENAME TO warehouse');
$failed = failed_job();
here('ALTER SERVER warehouse RENAME TO renamed; DROP SERVER another CASCADE');
here("SELECT outflow.forget($failed)");
is(leftovers($warehouse), '', 'the only one that leads there has any name');

# ---- it leads to another database by now
my $other = new_warehouse('elsewhere');
my ($host, $port) = ($warehouse->host, $warehouse->port);
my ($other_host, $other_port) = ($other->host, $other->port);
my $table = 'CREATE TABLE direct (id int); GRANT SELECT, INSERT, TRUNCATE, DELETE ON direct TO loader';
$other->safe_psql('postgres', $table);
there($table);
here('ALTER SERVER renamed RENAME TO warehouse; CREATE TABLE direct AS SELECT * FROM t');
hold_exports($node, 3);
my ($call) = start_psql($node, q{CALL outflow.export('direct', 'warehouse:public.direct', part_size => '16kB', options => '{"load": "direct"}')});
wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'the export waits');
$failed = cancel_held($node, $call, here('SELECT max(job) FROM outflow.jobs'));
cmp_ok(there('SELECT count(*) FROM direct'), '>', 0, 'some rows are loaded');
here("ALTER SERVER warehouse OPTIONS (SET host '$other_host', SET port '$other_port')");
($code, $out, $err) = $node->psql('postgres', "CALL outflow.resume($failed)");
isnt($code, 0, 'a job does not go on in another database');
like($err, qr/server "warehouse" leads to another place by now.*at "postgresql:\S+$port\/postgres\S*".*HINT: .*forget/s, 'and says where it was');
is($other->safe_psql('postgres', 'SELECT count(*) FROM direct'), '0', 'which gets no rows');
here(warehouse_sql($warehouse) =~ s/SERVER warehouse/SERVER back/gr);
here("SELECT outflow.forget($failed)");
is(there('SELECT count(*) FROM direct'), '0', 'by another server that leads there the rows go');
done_testing();
