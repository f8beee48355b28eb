# Promise: readers open an Iceberg table with the order of its key, of all its versions,
# and find each file's order; another writer's rows, and its choice of another order, are
# what they are without.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = $ENV{OUTFLOW_LAKE} // die "OUTFLOW_LAKE is not set: run this test by test/run\n";
my $spark = $ENV{OUTFLOW_LAKE_SPARK} // die "OUTFLOW_LAKE_SPARK is not set: run this test by test/run\n";
my $clickhouse = $ENV{OUTFLOW_LAKE_CLICKHOUSE} // die "OUTFLOW_LAKE_CLICKHOUSE is not set: run this test by test/run\n";
my %python = (spark => $spark, clickhouse => $clickhouse);
my $node = new_outflow_node('order', conf => "autovacuum = off\n", init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my $lake = "$dir/lake/t";
my $columns = 'n, note, id';

mkdir "$dir/lake";

# version(CHANGE, OPTIONS): the next one, after it, and what is kept of it
sub version
{
	my ($change, $options) = @_;

	$node->safe_psql('postgres', $change);
	$node->safe_psql('postgres', "CALL outflow.export('t', 'file://$lake', format => 'iceberg', part_size => '64kB', options => '" . ($options // '{}') . "')");
	keep_rows($node, "$columns) FROM t", "$dir/" . lake_last($lake));
	return;
}

# are_read(VERSION...)
sub are_read
{
	my @versions = @_;

	versions_are($_, $lake, $dir, \@versions, "$_ reads versions @versions", $python{$_} // $python)
	  foreach (qw(pyiceberg polars duckdb clickhouse spark));
	return;
}

# of_program(PYTHON, PROGRAM, INPUT): what it says
sub of_program
{
	my ($with, $program, $input) = @_;
	my ($out, $err);

	IPC::Run::run([ $with, @$program ], '<', \$input, '>', \$out, '2>', \$err);
	chomp $out;
	return $out =~ /\S/ ? $out : $err;
}

# of_spark(STATEMENT...): the rows of each
sub of_spark
{
	my @statements = @_;
	my $said = of_program($spark, [ "$FindBin::RealBin/../lib/lake/lake_spark.py", $lake ], join("\n", @statements));

	return map { s/^\n|\n$//gr } split(/^--$/m, $said);
}

# orders(): the orders of files, as pyiceberg has them, and the table's
sub orders
{
	return of_program($python, [ '-', $lake ], <<'EOP');
import sys
from pyiceberg.table import StaticTable
table = StaticTable.from_metadata(sys.argv[1])
marks = {task.file.sort_order_id for task in table.scan().plan_files()}
print(table.sort_order().order_id, [f.source_id for f in table.sort_order().fields], sorted(marks, key=str))
EOP
}

version('CREATE TABLE t (n int, note text, id int PRIMARY KEY); INSERT INTO t SELECT i % 10, i, i FROM generate_series(1, 9000) i');
is(orders(), '1 [3] [1]', 'pyiceberg finds the key, and each file in its order');
version('UPDATE t SET n = -1 WHERE id IN (5, 4500)');
is(orders(), '1 [3] [1, None]', '... and those that are not');
$columns .= ', code';
version('ALTER TABLE t ADD code int; UPDATE t SET code = id; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (code)');
$columns = 'n, note, id';
version('ALTER TABLE t DROP code, ADD PRIMARY KEY (n, id); CLUSTER t USING t_pkey');
is(orders(), '3 [1, 3] [3]', 'keys that change, the column of one gone by now');
are_read(0 .. 3);
is_deeply([ of_spark('SELECT sort_order_id, count(*) > 1 FROM TABLE_NAME.files GROUP BY 1',
			'SELECT count(*), sum(CAST(a.id AS bigint)) FROM TABLE_NAME a JOIN TABLE_NAME b USING (n, id)',
			'SELECT DISTINCT id = row FROM (SELECT id, row_number() OVER (ORDER BY id) AS row FROM TABLE_NAME)',
			q(INSERT INTO TABLE_NAME SELECT CAST(id % 3 AS int), 'spark', CAST(20000 - id AS int) FROM range(1000)),
			q(SELECT count(*), count_if(note = 'spark'), count(DISTINCT id) FROM TABLE_NAME)) ],
	[ '[3, true]', '[9000, ' . 9000 * 9001 / 2 . ']', '[true]', '', '[10000, 1000, 10000]' ],
	'Spark finds the order of files, joins by the key, sorts, and adds rows');
my $err = '';
my $status = $node->psql('postgres', "CALL outflow.export('t', 'file://$lake', format => 'iceberg')", stderr => \$err);
isnt($status, 0, 'the next export is refused');
like($err, qr/is not of an export of table public\.t/, 'and says whose the version is');
version('UPDATE t SET n = n + 1 WHERE id = 1', '{"overwrite": true}');
is(orders(), '3 [1, 3] [3, None]', 'but for one that overwrites, in the same order');
is_deeply([ (of_spark('ALTER TABLE TABLE_NAME WRITE ORDERED BY note DESC',
			q(CALL lake.system.rewrite_data_files(table => 'TABLE_NAME', strategy => 'sort', options => map('rewrite-all', 'true'))),
			'SELECT count(*), count(DISTINCT id) FROM TABLE_NAME'))[2] ],
	['[9000, 9000]'], 'Spark chooses another order, and sorts the table by it');
version('UPDATE t SET n = n + 1 WHERE id = 2', '{"overwrite": true}');
like(orders(), qr/^4 \[2\] \[3, None\]$/, 'which stays, beside the files of ours');
$columns = 'n, id, note';
version('ALTER TABLE t DROP note; ALTER TABLE t ADD note text', '{"overwrite": true}');
is(orders(), '3 [1, 3] [3, None]', 'without its column the order is ours again');
are_read(lake_last($lake));

$node->stop;
done_testing();
