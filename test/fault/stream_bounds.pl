# Promise: nothing that a role without rights writes stops a stream in its
# default settings: messages of any size and prefix, definitions, enums and
# commands of any length; and only capture makes ddl records.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('bounds', conf => "max_wal_size = 8GB\n");
my $mb = 1_000_000;
my %formats = (
	json => {},
	debezium => { format => 'debezium', messages => 'on' },
	wal2json => { format => 'wal2json', 'format-version' => 2, 'include-default' => 'on',
		max_value_bytes => '100MB' });

$node->safe_psql('postgres', 'CREATE ROLE nobody_special LOGIN; CREATE SCHEMA theirs AUTHORIZATION nobody_special');
create_slot($node, 'feed');
sub attack { $node->safe_psql('postgres', "SET ROLE nobody_special; SET search_path = theirs; $_[0]") }

# Whether each format has come to the end, and what it said of what is there;
# then the slot is empty again.
sub survives
{
	my ($name, %expected) = @_;

	attack('CREATE TABLE IF NOT EXISTS last (n int PRIMARY KEY); INSERT INTO last SELECT count(*) FROM last');
	foreach my $format (sort keys %formats)
	{
		my $options = join '', map { ", '$_', '$formats{$format}{$_}'" } sort keys %{ $formats{$format} };
		my $found = $node->safe_psql('postgres', <<SQL);
SELECT count(*) FILTER (WHERE data LIKE '%"table":"last"%' AND data ~ '"(op|action)":"(insert|c|I)"'), max(length(data)) < 70000000,
	count(data::json) = count(*), count(*) FILTER (WHERE data LIKE '%$expected{$format}%') > 0
FROM pg_logical_slot_peek_changes('feed', NULL, NULL$options)
SQL
		is($found, '1|t|t|t', "$name, format $format");
	}
	$node->safe_psql('postgres', "SELECT pg_replication_slot_advance('feed', pg_current_wal_lsn())");
}

attack("SELECT pg_logical_emit_message(true, repeat(chr(1), 200 * $mb), 'x')");
survives('prefix of 200 MB', json => '"op":"message"%"omitted":true', debezium => '"message":null,"omitted":true',
	wal2json => '"prefix":null,"content":null');
attack("SELECT pg_logical_emit_message(true, 'p', repeat(chr(1), 200 * $mb))");
survives('content of 200 MB', json => '"omitted":["content"]', debezium => '"content":null', wal2json => '"content":null');

# a tag of 200 MB, as capture would write it: 1, tag, no command
attack("SELECT pg_logical_emit_message(true, 'outflow.ddl', '\\x3100'::bytea || convert_to(repeat(chr(1), 200 * $mb), 'UTF8') || '\\x0000'::bytea)");
survives('forged command', json => '"op":"message"%"prefix":"outflow.ddl"', debezium => '"content":null', wal2json => '"content"');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_logical_slot_peek_changes('feed', NULL, NULL) WHERE data LIKE '%\"op\":\"ddl\"%'"),
	'0', 'and no command');

attack("DO \$\$ BEGIN EXECUTE format('CREATE TABLE d (id int PRIMARY KEY, v text DEFAULT %L)', repeat(chr(1), 50 * $mb)); END \$\$;"
	. " INSERT INTO d VALUES (1, 'x')");
survives('default of 50 MB', json => '"omitted":["default"]', debezium => '"table":"d"', wal2json => '"table":"d"');

# values of a default that have 1 GB of text, and one of a type that has changed
attack("DO \$\$ BEGIN EXECUTE format('CREATE TABLE g (id int PRIMARY KEY, n numeric[] DEFAULT %L)', '{' || repeat('1e131000,', 8300) || '1}'); END \$\$;"
	. " INSERT INTO g VALUES (1, NULL)");
survives('default of numbers', json => '"omitted":["default"]', debezium => '"table":"g"', wal2json => '"table":"g"');
attack("CREATE TYPE changed AS (a int); CREATE TABLE h (id int PRIMARY KEY, v text DEFAULT ('(1)'::changed)::text);"
	. " ALTER TYPE changed ALTER ATTRIBUTE a TYPE text; INSERT INTO h VALUES (1, 'x')");
survives('default of a changed type', json => '"omitted":["default"]', debezium => '"table":"h"', wal2json => '"table":"h"');

attack("DO \$\$ BEGIN EXECUTE 'CREATE TYPE many AS ENUM (' || (SELECT string_agg(quote_literal(rpad(g::text, 63, 'x')), ',') FROM generate_series(1, 10500) AS g) || ')';"
	. " EXECUTE 'CREATE TABLE e (id int PRIMARY KEY,' || (SELECT string_agg('c' || g || ' many', ',') FROM generate_series(1, 1500) AS g) || ')'; END \$\$;"
	. " INSERT INTO e (id) VALUES (1)");
survives('enum of 10,500 labels in 1,500 columns', json => '"omitted":["base","labels","fields","default"]',
	debezium => '"table":"e"', wal2json => '"table":"e"');

# bits are a character each
attack("CREATE TABLE b (id int PRIMARY KEY, v varbit); INSERT INTO b SELECT 1, v || v FROM (SELECT repeat('1', 600 * $mb)::varbit AS v) AS t");
survives('bits of 150 MB', json => '"omitted":["v"]', debezium => '"omitted":["v"]', wal2json => '"table":"b"');

$node->stop;
done_testing();
