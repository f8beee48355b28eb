# Promise: virtual generated columns, which no row stores, are in no export and
# in no stream, as in COPY; filters that name them mean what they mean in SQL.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('virtual');
my $export = new_export_dir();
my $last = 0;

need_version($node, 18, 'virtual generated columns');

sub sql
{
	return $node->safe_psql('postgres', join(';', @_));
}

# the leaves have their columns at other places
sql( <<'EOC');
CREATE TABLE v (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL, a int,
	stored int GENERATED ALWAYS AS (a + 1) STORED, note text GENERATED ALWAYS AS ('n' || a) VIRTUAL, b text);
INSERT INTO v (id, a, b) SELECT i, i % 100, 'b' FROM generate_series(1, 2000) AS i;
CREATE TABLE p (id int, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL, b text) PARTITION BY RANGE (id);
CREATE TABLE p1 (b text, gone int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL, id int, a int);
ALTER TABLE p1 DROP gone;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (1000);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (9000);
INSERT INTO p (id, a, b) SELECT id, a, b FROM v;
CREATE ROLE reader LOGIN IN ROLE pg_write_server_files;
GRANT SELECT (id, twice) ON v TO reader;
EOC

# export(TABLE, ARGUMENTS, ROLE): what is written
sub export
{
	my ($table, $arguments, $role) = @_;
	my $directory = "$export/" . ++$last;

	$node->safe_psql('postgres',
		"CALL outflow.export('$table', 'file://$directory'" . ($arguments ? ", $arguments" : '') . ')',
		extra_params => $role ? [ '-U', $role ] : []);
	return join('', map { slurp_file("$directory/$_") } grep { /part-/ } files_below($directory));
}

sub copied
{
	sql("COPY ($_[0]) TO '$export/copy' CSV");
	return slurp_file("$export/copy");
}

# ---- exports
sql("COPY v (id, a, b) TO '$export/copy' CSV");
is(export('v', 'columns => ARRAY[$$id$$, $$a$$, $$b$$]'), slurp_file("$export/copy"), 'csv is what COPY writes');
is(export('v', 'columns => ARRAY[$$id$$, $$stored$$]'), copied('SELECT id, stored FROM v'), 'a stored column can be asked for');
my $lines = export('v', "format => 'jsonl'");
like($lines, qr/"stored":2/, 'jsonl has stored columns');
unlike($lines, qr/twice|note/, 'and no virtual ones');
foreach my $columns ('twice', 'id,note')
{
	my ($code, $out, $err) = $node->psql('postgres',
		"CALL outflow.export('v', 'file://$export/none', columns => '{$columns}')");
	like($err, qr/virtual generated column "(twice|note)" cannot be exported/, "a virtual column can't be chosen: $columns");
}

my @filters = ('twice > 100', "note = 'n7'", 'twice IS NULL', 'twice + a > 240 AND stored < 95', "note || b LIKE 'n1%b'");
foreach my $filter (@filters)
{
	is(export('v', "filter => \$f\$$filter\$f\$"), copied("SELECT id, a, b FROM v WHERE $filter"), "filter: $filter");
}
is(export('p', "filter => 'twice > 100'"), copied('SELECT id, a, b FROM p WHERE twice > 100'), 'of partitions');
is(export('v', "columns => '{id}', filter => 'twice > 150'", 'reader'), copied('SELECT id FROM v WHERE twice > 150'),
	'with rights on the virtual column alone');
sql('CREATE POLICY few ON p USING (twice < 50)', 'ALTER TABLE p ENABLE ROW LEVEL SECURITY', 'GRANT SELECT ON p TO reader');
is(export('p', q{options => '{"row_security": true}'}, 'reader'), copied('SELECT id, a, b FROM p WHERE twice < 50'),
	'row security');

# ---- the expression is part of what a filter means: no part is carried past it
my $base = sql("CALL outflow.export('v', 'file://$export/base', part_size => '16kB', filter => 'twice > 100')");
export('v', "part_size => '16kB', filter => 'twice > 100', base => $base");
is(sql('SELECT parts_carried = parts_total FROM outflow.jobs ORDER BY job DESC LIMIT 1'), 't', 'parts are carried');
sql('ALTER TABLE v ALTER twice SET EXPRESSION AS (a * 3)');
is(export('v', "part_size => '16kB', filter => 'twice > 100', base => $base"),
	copied('SELECT id, a, b FROM v WHERE twice > 100'), 'another expression, other rows');
is(sql('SELECT parts_carried FROM outflow.jobs ORDER BY job DESC LIMIT 1'), '0', 'and no part is carried');
sql('ALTER TABLE v ALTER twice SET EXPRESSION AS (a * 2)');

# ---- streams
create_slot($node, 'feed');
sql(q{CREATE PUBLICATION few FOR TABLE v WHERE (twice > 100) WITH (publish = 'insert')});
sql('CREATE PUBLICATION everything FOR TABLE v, p');
sql('INSERT INTO v (id, a) VALUES (10001, 10), (10002, 99)', 'UPDATE v SET a = 98 WHERE id = 10001', 'DELETE FROM v WHERE id = 10002');
foreach my $format ('json', 'debezium')
{
	my $records = sql(
		"SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'publication_names', 'everything', 'format', '$format')");

	like($records, qr/"stored":99/, "$format has stored columns");
	unlike($records, qr/twice|note/, "$format has no virtual ones");
}
is( sql(q{SELECT string_agg(concat_ws(' ', data::json->>'op', data::json->'new'->>'id'), ', ' ORDER BY data::json->>'id')
		FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'publication_names', 'few') WHERE data ~ '"op":"(insert|update)"'}),
	'insert 10002', 'row filters');

done_testing();
