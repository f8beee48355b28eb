# Promise: an export to another PostgreSQL that dies at any step of ours, by kill
# -9 or by an error, has each row there once when it is resumed, and nothing else.
#
# Then at random, here and there: OUTFLOW_ROUNDS is how often (10),
# WAREHOUSE_SEED starts the random numbers.
use strict;
use warnings;

use FindBin;
use IPC::Run ();
use FailpointTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WarehouseTest;

my $seed = $ENV{WAREHOUSE_SEED} || 4711;
my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $node = new_outflow_node('source', conf => "restart_after_crash = on\n");
my $warehouse = new_warehouse('warehouse', "restart_after_crash = on\n");

need_failpoints($node);
srand($seed);
diag("WAREHOUSE_SEED=$seed");
$node->safe_psql('postgres', warehouse_sql($warehouse));
$node->safe_psql('postgres', q{CREATE TABLE t AS SELECT i AS id, repeat('r', i % 100) AS note FROM generate_series(1, 12000) i;
	CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 3000) i; VACUUM t, u});
$warehouse->safe_psql('postgres', 'CREATE TABLE t (id int, note text); CREATE TABLE u (id int); GRANT INSERT, SELECT, DELETE, TRUNCATE ON t, u TO loader');

sub export { return "CALL outflow.export_tables('{t,u}', 'warehouse:', part_size => '100kB', options => '{\"load\": \"$_[0]\"}')"; }

sub ends_well
{
	my ($job, $name) = @_;

	same_rows($node, $warehouse, $_, "$name: $_") foreach ('t', 'u');
	is(leftovers($warehouse), '', "$name: nothing is left over");
	is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', "$name: verify finds it well");
	return;
}

foreach my $case ([ 'staged', 'crash' ], [ 'staged', 'error' ], [ 'direct', 'crash' ])
{
	my ($load, $action) = @$case;

	foreach my $point ('remote-loaded:2', 'remote-committed:2', 'checkpoint-commit:2', 'checkpoint-committed:2',
		'remote-published', 'remote-publish-committed', 'done-commit')
	{
		$warehouse->safe_psql('postgres', 'TRUNCATE t, u');
		arm($node, $point, $action);
		isnt(call($node, export($load)), '', "$load, $point $action: the failpoint is hit");
		revive($node);
		my $job = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
		# whatever was loaded under an older snapshot has to be loaded again
		$node->safe_psql('postgres', q{UPDATE t SET note = note || '!' WHERE id = 100; DELETE FROM t WHERE id = (SELECT max(id) FROM t)})
		  if $point !~ /publish|done/;
		is(call($node, "CALL outflow.resume($job)"), '', "$load, $point $action: resume ends");
		ends_well($job, "$load, $point $action");
	}
}

# whoever logs in there now has no record of a publication that may have been
$warehouse->safe_psql('postgres', qq{TRUNCATE t, u; CREATE ROLE loader2 LOGIN PASSWORD '$secret';
	GRANT CREATE ON DATABASE postgres TO loader2; GRANT INSERT, SELECT ON t, u TO loader2});
my $hba = $warehouse->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
unlink $hba;
append_to_file($hba, "local all loader2 scram-sha-256\nhost all loader2 all scram-sha-256\n$rules");
$warehouse->reload;
arm($node, 'remote-publish-committed', 'crash');
isnt(call($node, export('staged')), '', 'another login: the failpoint is hit');
revive($node);
my $unknown = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
$node->safe_psql('postgres', q{ALTER USER MAPPING FOR CURRENT_USER SERVER warehouse OPTIONS (SET user 'loader2')});
like(call($node, "CALL outflow.resume($unknown)"), qr/not known whether export job \d+ was published/, 'another login: nothing is published again');
$node->safe_psql('postgres', q{ALTER USER MAPPING FOR CURRENT_USER SERVER warehouse OPTIONS (SET user 'loader')});
is(call($node, "CALL outflow.resume($unknown)"), '', 'the first login again: resume ends');
ends_well($unknown, 'the first login again');

sub victims
{
	my ($where, $what) = @_;
	return split /\n/, eval { $where->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $what") } // '';
}

foreach my $round (1 .. $rounds)
{
	$warehouse->safe_psql('postgres', 'TRUNCATE t, u');
	my ($out, $err) = ('', '');
	my $load = ('staged', 'direct')[ rand 2 ];
	my $last = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
	my $call = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', export($load) ], '<', \undef, '>', \$out, '2>', \$err);
	my @done;

	foreach my $kill (1 .. 1 + int(rand(3)))
	{
		my $whom = int(rand(6));

		sleep(0.1 + rand(0.3));
		if ($whom >= 4)
		{
			my $server = $whom == 4 ? $node : $warehouse;

			$server->stop('immediate');
			$server->start;
			push @done, ('this server', 'the other server')[ $whom - 4 ];
			next;
		}
		my @pids = $whom < 2 ? victims($node, "backend_type ~ 'outflow'") : victims($warehouse, "usename = 'loader'");

		kill($whom == 3 ? 'TERM' : 'KILL', $pids[ rand @pids ]) if @pids;
		push @done, ('here', 'here', 'there', 'there, softly')[$whom] . (@pids ? '' : ' (nobody)');
	}
	$call->finish;
	$_->poll_query_until('postgres', 'SELECT true') foreach ($node, $warehouse);
	my $job = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');

	# it may not have come to be one
	if ($job == $last)
	{
		is(call($node, export($load)), '', "round $round: begun again");
		$job = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
	}
	foreach my $try (1 .. 5)
	{
		last if $node->safe_psql('postgres', "SELECT state FROM outflow.jobs WHERE job = $job") eq 'done';
		call($node, "CALL outflow.resume($job)");
	}
	ends_well($job, "round $round, $load, killed " . join(', ', @done));
}
done_testing();
