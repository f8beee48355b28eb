# Promise: a PostgreSQL of another major version takes exports of every type, each
# row once, also when it is killed, and a subscription there goes on from one.
#
# OUTFLOW_OTHER_BINDIRS has their programs, with colons between; without it they
# are 12 and 14 of npm's embedded-postgres, 16 of PyPI's pgserver, and Debian's 13,
# 17, 18 and 19.
use strict;
use warnings;

use File::Basename qw(dirname);
use OutflowTest;
use OutflowValues;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "outflow.retries = 0\n");
my ($warehouse, $version);

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }
sub major { return int($_[0]->safe_psql('postgres', 'SHOW server_version_num') / 10000); }

# what 19 writes as 0/0000001A is 0/1A before
sub old_lsn { return $_[0] =~ s{\b([0-9A-F]{1,8})/0{1,7}([0-9A-F]{1,8})\b}{$1/$2}gr; }

sub all_ok
{
	my ($job, $name) = @_;
	return is(here("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', "$version: $name: verified");
}

# make_tables(): kinds has a column of every type, plain those that are sent in binary
sub make_tables
{
	my $values = OutflowValues->new(4711);
	# some are built without libxml
	my $has_xml = ($warehouse->psql('postgres', q{SELECT '<a/>'::xml}))[0] == 0;
	# 13 brought these, 14 multiranges, and numbers without end
	my @types = grep { ($has_xml || !/xml/) && (major($warehouse) >= 13 || !/snapshot|xid8|regcollation/)
		&& (major($warehouse) >= 14 || !/multirange|num/) } OutflowValues::types();
	my $sql = 'CREATE TABLE kinds (' . join(', ', 'id int', map { "c$_ $types[$_]" } 0 .. $#types) . ");\n";

	foreach my $row (1 .. 60)
	{
		$sql .= 'INSERT INTO kinds VALUES (' . join(', ', $row, map { $values->value($_) } @types) . ");\n";
	}
	here($sql);
	my $plain = join(', ', map { "c$_" } grep { $types[$_] !~ /^reg|vector$/ } 0 .. $#types);
	here("CREATE TABLE plain AS SELECT id, $plain FROM kinds");
	return;
}

sub try_every_load
{
	foreach my $load ('staged', 'direct', 'kept')
	{
		foreach my $table ('kinds', 'plain')
		{
			my $job = here(qq{CALL outflow.export('$table', 'warehouse:public.${table}_$load', part_size => '8kB', options => '{"create": true, "load": "$load"}')});

			same_rows($node, $warehouse, $table, "$version: $table, $load", "${table}_$load", \&old_lsn);
			all_ok($job, "$table, $load");
			is(here("SELECT format FROM outflow.jobs WHERE job = $job"), $table eq 'plain' ? 'binary' : 'text', "$version: $table, $load: its form");
			# names of objects are never carried over
			next if $load ne 'kept' || $table eq 'kinds';
			here("DELETE FROM $table WHERE id = 60");
			$job = here(qq{CALL outflow.export('$table', 'warehouse:public.${table}_$load', part_size => '8kB', base => $job, options => '{"publish": "replace", "load": "kept"}')})
			  if there("GRANT TRUNCATE ON ${table}_$load TO loader") eq '';
			same_rows($node, $warehouse, $table, "$version: $table, carried", "${table}_$load", \&old_lsn);
			cmp_ok(here("SELECT parts_carried FROM outflow.jobs WHERE job = $job"), '>', 0, "$version: $table: parts were carried over");
		}
	}
	return;
}

# both sides say the same of types that are the same
sub try_own_types
{
	my $types = q{CREATE DOMAIN amount AS numeric(10,2); CREATE TYPE mood AS ENUM ('good'); CREATE TYPE span AS RANGE (subtype = float8);
		CREATE TYPE inside AS (gone int, "it's \\" mood, a amount[], at timestamp(3)); ALTER TYPE inside DROP ATTRIBUTE gone; CREATE TYPE outside AS (i inside, s span[], r int4range)};

	here("$types; CREATE TABLE own (id int, a amount[], o outside, s span)");
	here(q{INSERT INTO own VALUES (1, '{1.25}', ROW(ROW('good', '{2.5}', '2026-01-01 00:00:00.125')::inside, '{"[0.5,0.75)"}', '[1,5)'), '[0.1,0.2)')});
	there($types);
	my $job = here(q{CALL outflow.export('own', 'warehouse:', options => '{"create": true}')});
	same_rows($node, $warehouse, 'own', "$version: types of one's own");
	here(q{CALL outflow.export('own', 'warehouse:', options => '{"publish": "replace"}')}) if there('GRANT TRUNCATE ON own TO loader') eq '';
	same_rows($node, $warehouse, 'own', "$version: ... into a table that is there");
	there("DROP TABLE own; DROP DOMAIN amount CASCADE; CREATE DOMAIN amount AS numeric(10,1); ALTER TYPE inside ADD ATTRIBUTE a amount[]");
	my (undef, undef, $err) = $node->psql('postgres', q{CALL outflow.export('own', 'warehouse:', options => '{"create": true}')});
	like($err, qr/type public\.amount\[\] of column "a" is another one/, "$version: one that is not the same");
	here('DROP TABLE own; DROP TYPE outside, inside, span, mood; DROP DOMAIN amount');
	return;
}

# a part of the job waits here, committed there, when that server is killed
sub try_kill
{
	my ($load) = @_;
	my $name = "killed, $load";

	hold_exports($node, 3);
	my ($call, $said) = start_psql($node, qq{CALL outflow.export('many', 'warehouse:public.many_$load', part_size => '100kB', options => '{"create": true, "load": "$load"}')});
	wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'the export waits');
	my $job = here('SELECT max(job) FROM outflow.jobs');

	$warehouse->stop('immediate');
	release_exports($node);
	$call->finish;
	is(here("SELECT state IN ('failed', 'interrupted') FROM outflow.jobs WHERE job = $job"), 't', "$version: $name: the job has failed")
	  or diag($$said);
	$warehouse->start;
	here("UPDATE many SET note = note || '!' WHERE id % 1000 = 1; DELETE FROM many WHERE id = (SELECT max(id) FROM many)");
	here("CALL outflow.resume($job)");
	same_rows($node, $warehouse, 'many', "$version: $name", "many_$load");
	is(leftovers($warehouse), '', "$version: $name: nothing is left over");
	all_ok($job, $name);
	return;
}

sub try_subscription
{
	my $job = here(q{CALL outflow.export_publication('shop', 'warehouse:', slot => 'shop_export', part_size => '100kB', options => '{"create": true}')});

	here("SELECT outflow.subscription_slot($job, 'shop_subscription'); INSERT INTO orders (note) VALUES ('later'); DELETE FROM orders WHERE id = (SELECT min(id) FROM orders)");
	there('CREATE SUBSCRIPTION shop CONNECTION \'host=' . $node->host . ' port=' . $node->port . q{ dbname=postgres' PUBLICATION shop
		WITH (create_slot = false, slot_name = 'shop_subscription', copy_data = false)});
	$node->wait_for_catchup('shop');
	same_rows($node, $warehouse, 'orders', "$version: a subscription");
	there('DROP SUBSCRIPTION shop');
	here(q{SELECT pg_drop_replication_slot('shop_export')});
	return;
}

here(q{CREATE TABLE many AS SELECT i AS id, repeat('r', i % 100) AS note FROM generate_series(1, 8000) i; VACUUM many;
	CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
	INSERT INTO orders (note) SELECT repeat('o', 60) FROM generate_series(1, 5000);
	CREATE PUBLICATION shop FOR TABLE orders});

my $number = 0;
foreach my $programs (split /:/, $ENV{OUTFLOW_OTHER_BINDIRS})
{
	$number++;
	$warehouse = new_warehouse("warehouse_$number", '', dirname($programs));
	$version = 'from ' . major($node) . ' to ' . major($warehouse);
	isnt(major($node), major($warehouse), $version);
	here(warehouse_sql($warehouse));
	try_kill($_) foreach ('staged', 'direct');
	try_own_types();
	make_tables();
	try_every_load();
	try_subscription();
	here('DROP TABLE kinds, plain; DROP SERVER warehouse CASCADE');
	$warehouse->stop;
}
done_testing();
