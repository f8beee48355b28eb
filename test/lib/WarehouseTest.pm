# WarehouseTest.pm: another PostgreSQL that exports go to.
#
# Its role "loader" logs in by a password only; the server is named "warehouse".
package WarehouseTest;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_warehouse warehouse_sql same_rows leftovers $secret);

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
	$node->append_conf('postgresql.conf', $conf) if defined $conf;
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

1;
