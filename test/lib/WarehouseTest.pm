# WarehouseTest.pm: another PostgreSQL that exports go to.
#
# Its role "loader" logs in by a password only; the server is named "warehouse".
package WarehouseTest;

use strict;
use warnings;

use Exporter qw(import);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_warehouse moved_warehouse write_rows warehouse_sql same_rows leftovers is_loaded cancel_held $secret);

our $secret = 'canary-7f3a91';

# new_warehouse(NAME, SETTINGS, INSTALL PATH, PORT): a running node with a role and
# nothing else; with a path it is of another version
sub new_warehouse
{
	my ($name, $conf, $path, $port) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, $path ? (install_path => $path) : (), $port ? (port => $port) : ());

	$node->init(allows_streaming => 'logical');
	# which not every version knows
	$node->adjust_conf('postgresql.conf', 'output_plugin_libraries', undef) if $path;
	# for several exports, each with a connection to a worker
	$node->append_conf('postgresql.conf', "max_connections = 30\n" . ($conf // ''));
	my $hba = $node->data_dir . '/pg_hba.conf';
	my $rules = slurp_file($hba);
	unlink $hba;
	append_to_file($hba, "local all loader scram-sha-256\nhost all loader all scram-sha-256\n$rules");
	$node->start;
	$node->safe_psql('postgres', <<"EOC");
SET password_encryption = 'scram-sha-256';
CREATE ROLE loader LOGIN PASSWORD '$secret';
GRANT CREATE ON DATABASE postgres TO loader;
GRANT CREATE, USAGE ON SCHEMA public TO loader;
EOC
	return $node;
}

# warehouse_sql(NODE, PASSWORD): makes the server and the mapping
sub warehouse_sql
{
	my ($node, $password) = @_;

	$password //= $secret;
	my ($host, $port) = ($node->host, $node->port);
	return <<"EOC";
CREATE SERVER warehouse FOREIGN DATA WRAPPER outflow_postgres
	OPTIONS (host '$host', port '$port', dbname 'postgres', allow_private 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER warehouse OPTIONS (user 'loader', password '$password');
EOC
}

# same_rows(NODE, WAREHOUSE, TABLE, WHAT, OTHER TABLE, FORM): EXCEPT ALL both ways, by
# their text, or what FORM makes of it
sub same_rows
{
	my ($node, $warehouse, $table, $what, $there, $form) = @_;
	my %count;

	foreach my $side ([ $node, $table, 1 ], [ $warehouse, $there || $table, -1 ])
	{
		my ($where, $name, $step) = @$side;

		$count{ $form ? $form->($_) : $_ } += $step
		  foreach split /\n/, $where->safe_psql('postgres',
			"SET datestyle = 'ISO'; SET timezone = 'UTC'; SELECT encode(t::text::bytea, 'escape') FROM $name AS t"
		  );
	}
	my @different = grep { $count{$_} != 0 } sort keys %count;

	is(scalar(@different), 0, "$what: the same rows")
	  or diag(map { "$count{$_}: " . substr($_, same_length(@different[ 0, 1 ]), 300) . "\n" } @different[ 0 .. ($#different > 5 ? 5 : $#different) ]);
	return;
}

# same_length(TEXT, TEXT): of what both begin with, but for a few characters
sub same_length
{
	my ($one, $other) = map { $_ // '' } @_;
	my $same = length(("$one" ^ "$other") =~ s/^(\0*).*/$1/sr);

	return $same > 50 && defined $_[1] ? $same - 50 : 0;
}

# leftovers(WAREHOUSE): staging tables there
sub leftovers
{
	my ($warehouse) = @_;

	return $warehouse->safe_psql('postgres',
		q{SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'outflow_loader')
		AND relkind = 'r' AND relname NOT IN ('job', 'part', 'target') ORDER BY 1});
}

# is_loaded(NODE, WAREHOUSE, JOB, NAME, HOW...): all of table t is there, and nothing
# else; verify says so, too
sub is_loaded
{
	my ($node, $warehouse, $job, $name, @how) = @_;

	same_rows($node, $warehouse, 't', $name);
	my @passed = (
		is(leftovers($warehouse), '', "$name: nothing is left over"),
		map { is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, '$_')"), 'ok', "$name: verify ($_) finds it well") } @how);
	return !grep { !$_ } @passed;
}

# cancel_held(NODE, CALL, JOB): the job, whose call is held and ends so
sub cancel_held
{
	my ($node, $call, $job) = @_;

	$node->safe_psql('postgres', "SELECT outflow.cancel($job)");
	$call->finish;
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'interrupted');
	release_exports($node);
	return $job;
}

# write_rows(NODE, TABLE, NUMBER): each in a transaction of its own, so that they
# have every number that another cluster's rows had
sub write_rows
{
	my ($node, $table, $number) = @_;

	$node->safe_psql('postgres', "DO \$\$ BEGIN FOR i IN 1..$number LOOP INSERT INTO $table VALUES (-i); COMMIT; END LOOP; END \$\$");
	return;
}

# moved_warehouse(NODE, NAME): its dump, restored into a new cluster at its address
sub moved_warehouse
{
	my ($old, $name) = @_;
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
	my $port = $old->port;

	PostgreSQL::Test::Utils::system_or_bail('pg_dump', '-f', $dump, $old->connstr('postgres'));
	$old->stop;
	my $new = new_warehouse($name, '', undef, $port);
	PostgreSQL::Test::Utils::system_or_bail('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $new->connstr('postgres'));
	return $new;
}

1;
