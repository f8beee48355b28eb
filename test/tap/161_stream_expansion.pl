# Promise: no row wedges a slot, not even one of a few kilobytes whose text
# would pass the 1 GB that PostgreSQL's messages end at.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, n numeric[], j jsonb);
ALTER TABLE t REPLICA IDENTITY FULL;
SQL
create_slot($node, 'feed');
$node->safe_psql('postgres', <<'SQL');
INSERT INTO t VALUES (0, NULL, '1');
INSERT INTO t VALUES (1, array_fill(1e131071, ARRAY[9000]), '1');
INSERT INTO t SELECT 2, NULL, jsonb_agg('1e131071'::jsonb) FROM generate_series(1, 9000);
UPDATE t SET id = 3 WHERE id = 1;
INSERT INTO t VALUES (4, NULL, '1');
SQL
my $text = $node->safe_psql('postgres',
	'SELECT pg_column_size(n) FROM t WHERE id = 3');
cmp_ok($text, '<', 200_000, 'the value is small as it is stored');

foreach my $batch ('0', '64kB', '256MB')
{
	my %options = (batch_bytes => $batch, include_schemas => 'off');
	my $options = join '', map { ", '$_', '$options{$_}'" } sort keys %options;
	my $lines = $node->safe_psql('postgres', <<SQL);
SELECT line::json->>'op', line::json->'new', line::json->'old', line::json->'omitted'
FROM pg_logical_slot_peek_changes('feed', NULL, NULL$options), string_to_table(data, E'\\n') AS line
WHERE line ~ '"new"';
SQL
	is($lines, <<'END' =~ s/\n\z//r, "left out and named, batch_bytes $batch");
insert|{"id":0,"n":null,"j":1}||
insert|{"id":1,"j":1}||["n"]
insert|{"id":2,"n":null}||["j"]
update|{"id":3,"j":1}|{"id":1,"j":1}|["n"]
insert|{"id":4,"n":null,"j":1}||
END
}

$node->stop;
done_testing();
