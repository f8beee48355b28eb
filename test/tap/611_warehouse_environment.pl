# Promise: what the environment of this server has of a password, a service or
# settings stays here, whomever an export connects to.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source');
my $warehouse = new_warehouse('warehouse');

sub restart_with
{
	my (%variables) = @_;
	local %ENV = (%ENV, %variables);

	$node->restart;
	return;
}

sub checked { return ($node->psql('postgres', "SELECT string_agg(step || ': ' || coalesce(detail, ''), E'\n') FROM outflow.check_destination('warehouse:') WHERE ok IS NOT TRUE"))[1, 2]; }

$node->safe_psql('postgres', warehouse_sql($warehouse));
foreach my $variable (
	[ PGOPTIONS => '-c no_such_setting=1' ],
	[ PGSERVICE => 'nowhere' ],
	[ PGHOSTADDR => '127.0.0.9' ],
	[ PGGEQO => 'nonsense' ])
{
	restart_with(@$variable);
	is(join('', checked()), '', "$variable->[0] does not take part");
}

# a server that asks for a password gets the mapping's, or none
restart_with(PGPASSWORD => $secret);
$node->safe_psql('postgres', q{ALTER USER MAPPING FOR CURRENT_USER SERVER warehouse OPTIONS (DROP password, ADD password_required 'false')});
like(join('', checked()), qr/no password supplied/, 'PGPASSWORD is not sent');

done_testing();
