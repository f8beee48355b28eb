# Promise: an export to another PostgreSQL leaves there exactly the rows of one
# instant, of every type, in tables that are found or made by name.
use strict;
use warnings;

use OutflowTest;
use OutflowValues;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source');
my $warehouse = new_warehouse('warehouse');

$node->safe_psql('postgres', warehouse_sql($warehouse));

# fully_verified(WHAT): every row of the last export is read back
sub fully_verified
{
	my ($what) = @_;

	is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify((SELECT max(job) FROM outflow.jobs), 'full')}), 'ok', "$what: verified");
	return;
}

# ---- one table, several parts, appended
my $orders = 'CREATE TABLE orders (id int PRIMARY KEY, amount numeric(12,2), note text NOT NULL, at timestamptz)';
$node->safe_psql('postgres', "$orders; INSERT INTO orders SELECT i, i * 1.5, repeat('n', i % 90), "
	  . "'2026-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, 20000) i");
$warehouse->safe_psql('postgres', "$orders; GRANT INSERT, TRUNCATE ON orders TO loader");
my $job = $node->safe_psql('postgres',
	q{CALL outflow.export('public.orders', 'warehouse:public.orders', part_size => '200kB')});

$warehouse->safe_psql('postgres', 'GRANT SELECT ON orders TO loader');
same_rows($node, $warehouse, 'orders', 'a table');
fully_verified('a table, in binary form');
is(leftovers($warehouse), '', 'no staging table is left');
is($node->safe_psql('postgres', "SELECT state, format, rows, parts_total > 3 FROM outflow.jobs WHERE job = $job"),
	'done|binary|20000|t', 'the job is done, and was sent in binary form');
is($node->safe_psql('postgres', "SELECT DISTINCT status FROM outflow.verify($job)"), 'ok', 'verify finds it well');

# ---- replaced; a second append would violate the key
my ($code, $out, $err) = $node->psql('postgres', q{CALL outflow.export('public.orders', 'warehouse:public.orders')});
isnt($code, 0, 'what violates a key fails');
like($err, qr/duplicate key value violates unique constraint "orders_pkey"/, 'and the error is the remote\'s');
same_rows($node, $warehouse, 'orders', 'after an append that failed');
my $failed = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
is($node->safe_psql('postgres', "SELECT state FROM outflow.jobs WHERE job = $failed"), 'failed', 'it can be resumed');
isnt(leftovers($warehouse), '', 'its rows wait in a staging table');
$warehouse->safe_psql('postgres', 'TRUNCATE orders');
$node->safe_psql('postgres', "CALL outflow.resume($failed)");
same_rows($node, $warehouse, 'orders', 'a resumed publication');
is($node->safe_psql('postgres', "SELECT parts_redone FROM outflow.jobs WHERE job = $failed"), '0', 'nothing was sent again');
$node->safe_psql('postgres', "UPDATE orders SET note = 'changed' WHERE id % 7 = 0; DELETE FROM orders WHERE id > 19000");
$node->safe_psql('postgres', q{CALL outflow.export('public.orders', 'warehouse:public.orders', options => '{"publish": "replace"}')});
same_rows($node, $warehouse, 'orders', 'a replaced table');

# ---- every type
my $values = OutflowValues->new(4711);
my @types = OutflowValues::types();
my @columns = map { "c$_ $types[$_]" } 0 .. $#types;
my $sql = 'CREATE TABLE kinds (' . join(', ', 'id int', @columns) . ");\n";

foreach my $row (1 .. 60)
{
	$sql .= 'INSERT INTO kinds VALUES (' . join(', ', $row, map { $values->value($_) } @types) . ");\n";
}
$node->safe_psql('postgres', $sql);
foreach my $format ('csv', 'text')
{
	$node->safe_psql('postgres',
		qq{CALL outflow.export('kinds', 'warehouse:public."made by $format"', format => '$format', options => '{"create": true}')});
	same_rows($node, $warehouse, 'kinds', "every type, $format", qq{"made by $format"});
	fully_verified("every type, $format");
}

# ---- what can go in binary form does, whatever the session's settings
my @plain = grep { $types[$_] !~ /^reg|vector$/ } 0 .. $#types;
my $list = join(', ', map { "c$_" } @plain);
$node->safe_psql('postgres', "CREATE TABLE plain AS SELECT id, $list FROM kinds");
$job = $node->safe_psql('postgres', <<'EOC');
SET DateStyle = 'German'; SET IntervalStyle = 'sql_standard'; SET extra_float_digits = -10; SET TimeZone = 'Asia/Tokyo';
CALL outflow.export('plain', 'warehouse:', options => '{"create": true}');
CALL outflow.export('plain', 'warehouse:public.as_text', format => 'text', options => '{"create": true}');
EOC
fully_verified('text under other settings');
same_rows($node, $warehouse, 'plain', 'binary form');
same_rows($node, $warehouse, 'plain', 'text under other settings', 'as_text');
is($node->safe_psql('postgres', "SELECT format FROM outflow.jobs ORDER BY job DESC LIMIT 2"), "text\nbinary", 'formats');

is(leftovers($warehouse), '', 'no staging table is left at the end');
done_testing();
