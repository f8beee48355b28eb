# Promise: clients that were written for wal2json work unchanged, whether they
# can choose the plugin of their slot or nothing but wal2json's own options, and
# receive what they receive from wal2json itself.
#
# The clients are npm's pg-logical-replication, with its Wal2JsonPlugin, and
# psycopg2, found by NODE_PATH and OUTFLOW_PYTHON.
use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $programs = dirname(__FILE__) . '/wal2json_clients';
my $node = new_outflow_node('main',
	init => [ extra => [qw(--encoding=UTF8 --no-locale)] ]);
my $json = JSON::PP->new->canonical;
my $user = $node->safe_psql('postgres', 'SELECT current_user');
my %connection = (host => $node->host, port => $node->port + 0, user => $user);

BAIL_OUT("wal2json is not installed: run 'make test-deps'")
  unless -e $node->config_data('--pkglibdir') . '/wal2json.so';

# what each client calls its database, and the names of options
my %clients = (
	'pg-logical-replication' => {
		command => [ 'node', "$programs/consume.js" ],
		connection => { %connection, database => 'postgres' },
		options => [
			{},
			{ formatVersion => 2, includeXids => JSON::PP::true },
			{ formatVersion => 2, includeLsn => JSON::PP::true, addTables => 'public.orders,*.other' },
			{ includeTimestamp => JSON::PP::true, includeTypes => JSON::PP::false, filterTables => '*.other' } ]
	},
	'psycopg2' => {
		command => [ $ENV{OUTFLOW_PYTHON}, "$programs/consume.py" ],
		connection => { %connection, dbname => 'postgres' },
		options => [
			{},
			{ 'format-version' => '2', 'include-lsn' => '1', 'include-pk' => 'on' },
			{ 'pretty-print' => '1', 'include-types' => 'false', 'add-tables' => 'public.orders' } ]
	});

my %slots = (theirs => 'wal2json', by_name => 'outflow_wal2json', by_option => 'outflow');

# received(CLIENT, SLOT, OPTIONS, LAST): what the client prints
sub received
{
	my ($client, $slot, $options, $last) = @_;
	my ($out, $err) = run_command(
		[
			@{ $client->{command} }, $json->encode($client->{connection}), $slot,
			$json->encode($options), $last ]);

	note($err) if $err;
	# a slot is free when its walsender has ended
	$node->poll_query_until('postgres',
		"SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'");
	return $out;
}

$node->safe_psql('postgres', <<'EOS');
CREATE TABLE orders (id int PRIMARY KEY, item text, price numeric(8,2), at timestamptz DEFAULT now());
CREATE TABLE other (id int PRIMARY KEY, doc jsonb);
EOS

# compare(NAME, CLIENT, OPTIONS): on slots of their own, which see a workload
sub compare
{
	my ($name, $client, $options) = @_;
	my $shown = $json->encode($options);
	my %got;

	$node->safe_psql('postgres',
		"SELECT FROM pg_create_logical_replication_slot('$_', '$slots{$_}')")
	  foreach sort keys %slots;
	$node->safe_psql('postgres', <<'EOS');
BEGIN;
INSERT INTO orders SELECT i, 'item "' || i || E'"\\', i * 1.5 FROM generate_series(1, 50) AS i;
INSERT INTO other VALUES (1, '{"a": [1, null, "x"]}');
COMMIT;
UPDATE orders SET price = NULL WHERE id < 10;
DELETE FROM orders WHERE id % 3 = 0;
SELECT FROM pg_logical_emit_message(true, 'audit', 'a "message"');
TRUNCATE other;
INSERT INTO orders VALUES (100, 'the end');
EOS
	foreach my $slot (sort keys %slots)
	{
		# without options there is nothing that chooses the format
		next if $slot eq 'by_option' && !%$options;
		$got{$slot} = received($client, $slot, $options, 'the end');
	}
	like($got{theirs}, qr/the end/, "$name receives from wal2json, $shown");
	is($got{$_}, $got{theirs}, "the same from $slots{$_}, $shown")
	  foreach grep { $_ ne 'theirs' } sort keys %got;
	$node->safe_psql('postgres',
		"SELECT pg_drop_replication_slot('$_'); TRUNCATE orders, other")
	  foreach sort keys %slots;
	return;
}

foreach my $name (sort keys %clients)
{
	compare($name, $clients{$name}, $_) foreach @{ $clients{$name}{options} };
}

$node->stop;
done_testing();
