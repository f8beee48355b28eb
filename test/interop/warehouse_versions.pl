# Promise: a PostgreSQL of another major version takes exports of every type, each
# row once, and a subscription there goes on from one.
#
# OUTFLOW_OTHER_BINDIR has its programs; without it, it is the one of PyPI's
# pgserver.
use strict;
use warnings;

use File::Basename qw(dirname);
use OutflowTest;
use OutflowValues;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source');
my $warehouse = new_warehouse('warehouse', '', dirname($ENV{OUTFLOW_OTHER_BINDIR}));

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }

my @versions = map { int($_->safe_psql('postgres', 'SHOW server_version_num') / 10000) } ($node, $warehouse);

isnt($versions[0], $versions[1], "from $versions[0] to $versions[1]");
here(warehouse_sql($warehouse));

my $values = OutflowValues->new(4711);
# some are built without libxml
my $has_xml = ($warehouse->psql('postgres', q{SELECT '<a/>'::xml}))[0] == 0;
my @types = grep { $has_xml || !/xml/ } OutflowValues::types();
my $sql = 'CREATE TABLE kinds (' . join(', ', 'id int', map { "c$_ $types[$_]" } 0 .. $#types) . ");\n";

foreach my $row (1 .. 60)
{
	$sql .= 'INSERT INTO kinds VALUES (' . join(', ', $row, map { $values->value($_) } @types) . ");\n";
}
here($sql);
my $plain = join(', ', map { "c$_" } grep { $types[$_] !~ /^reg|vector$/ } 0 .. $#types);
here("CREATE TABLE plain AS SELECT id, $plain FROM kinds");

foreach my $load ('staged', 'direct', 'kept')
{
	foreach my $table ('kinds', 'plain')
	{
		my $job = here(qq{CALL outflow.export('$table', 'warehouse:public.${table}_$load', part_size => '8kB', options => '{"create": true, "load": "$load"}')});

		same_rows($node, $warehouse, $table, "$table, $load", "${table}_$load");
		is(here("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', "$table, $load: verified");
		is(here("SELECT format FROM outflow.jobs WHERE job = $job"), $table eq 'plain' ? 'binary' : 'text', "$table, $load: its form");
		# names of objects are never carried over
		next if $load ne 'kept' || $table eq 'kinds';
		here("DELETE FROM $table WHERE id = 60");
		$job = here(qq{CALL outflow.export('$table', 'warehouse:public.${table}_$load', part_size => '8kB', base => $job, options => '{"publish": "replace", "load": "kept"}')})
		  if there("GRANT TRUNCATE ON ${table}_$load TO loader") eq '';
		same_rows($node, $warehouse, $table, "$table, carried", "${table}_$load");
		cmp_ok(here("SELECT parts_carried FROM outflow.jobs WHERE job = $job"), '>', 0, "$table: parts were carried over");
	}
}

# ---- and then a subscription
here(q{CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
	INSERT INTO orders (note) SELECT repeat('o', 60) FROM generate_series(1, 5000);
	CREATE PUBLICATION shop FOR TABLE orders});
my $job = here(q{CALL outflow.export_publication('shop', 'warehouse:', slot => 'shop_export', part_size => '100kB', options => '{"create": true}')});
here("SELECT outflow.subscription_slot($job, 'shop_subscription'); INSERT INTO orders (note) VALUES ('later'); DELETE FROM orders WHERE id = 7");
there('CREATE SUBSCRIPTION shop CONNECTION \'host=' . $node->host . ' port=' . $node->port . q{ dbname=postgres' PUBLICATION shop
	WITH (create_slot = false, slot_name = 'shop_subscription', copy_data = false)});
$node->wait_for_catchup('shop');
same_rows($node, $warehouse, 'orders', 'a subscription');
there('DROP SUBSCRIPTION shop');
done_testing();
