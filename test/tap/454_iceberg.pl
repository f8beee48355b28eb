# Promise: each export with format iceberg is a snapshot of a table that equals what
# was exported; it writes anew only what changed, and says the rest of it right;
# columns are known by their ids; vacuum and forget leave what versions need.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('iceberg', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my $lake = "$dir/orders";
my @columns = ('id', 'n', 'amount::text', 'huge::text', 'note',
	q{to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US')}, q{to_char(local, 'YYYY-MM-DD"T"HH24:MI:SS.US')},
	'doc::text', 'u', 'tags', 'pairs', 'f', 'day', 'ok', 's', 't::text', 'o::bigint');

# export(TABLE, DIRECTORY, ARGUMENTS)
sub export
{
	my ($table, $directory, $arguments) = @_;

	return run_sql($node, "SET client_min_messages = notice; CALL outflow.export('$table', 'file://$directory', format => 'iceberg', part_size => '64kB'"
		  . ($arguments ? ", $arguments" : '') . ')');
}

# version(NUMBER, NAME, ARGUMENTS): exports, and keeps what was exported
sub version
{
	my ($number, $name, $arguments) = @_;
	my $said = export('orders', $lake, $arguments);

	unlike($said, qr/ERROR/, "$name: exported");
	is(lake_last($lake), $number, "$name is version $number");
	keep_rows($node, join(', ', @columns) . ') FROM orders', "$dir/$number");
	versions_are('plain', $lake, $dir, [ 0 .. $number ], "after $name, all versions are what they were");
	return $said;
}

# summary(VERSION, NAME)
sub summary
{
	my ($version, $name) = @_;

	return iceberg_snapshot($lake, $version)->{summary}{$name};
}

# fields(): of the current schema, by name
sub fields
{
	my $metadata = iceberg_metadata($lake);
	my ($schema) = grep { $_->{'schema-id'} == $metadata->{'current-schema-id'} } @{ $metadata->{schemas} };

	return { map { $_->{name} => $_ } @{ $schema->{fields} } };
}

$node->safe_psql('postgres', <<'EOC');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE orders (id bigint PRIMARY KEY, gone int, n int NOT NULL, amount numeric(12,2), huge numeric(30,3), note text,
	at timestamptz, local timestamp, doc jsonb, u uuid, tags text[], pairs pair[], f float4, day date, ok boolean, s int2,
	t time, o oid);
ALTER TABLE orders DROP gone;
COMMENT ON TABLE orders IS 'what was "ordered"';
COMMENT ON COLUMN orders.note IS 'a "note" of é';
INSERT INTO orders SELECT i, i % 7, (i - 1500) / 100.0, (i - 1500) * 12345678901234567890.123, CASE WHEN i % 5 > 0 THEN 'né ' || i END,
	timestamptz '2020-01-01Z' + i * interval '1.000001 h', timestamp '1969-12-01' + i * interval '1.000001 min',
	jsonb_build_object('a', i), md5(i::text)::uuid, ARRAY[i::text, NULL], ARRAY[ROW(i, 'b' || i)::pair, NULL], i / 8.0 - 100,
	date '1969-01-01' + i, i % 3 = 0, i % 100 - 50, time '10:00' + i * interval '1 s', (4294967295 - i)::oid
	FROM generate_series(1, 3000) i;
EOC

version(0, 'a first export');
my $table = iceberg_metadata($lake);
my $parts = lake_files($lake);
cmp_ok($parts, '>', 5, 'there are several files');
is(summary(0, 'added-data-files'), $parts, 'all of them are added');
is($table->{properties}{comment}, 'what was "ordered"', 'the table has its comment');
my $fields = fields();
is_deeply([ map { $fields->{$_}{type} } qw(id n amount note at local doc u day ok s t o) ],
	[ split(/ /, 'long int decimal(12,2) string timestamptz timestamp string uuid date boolean int string long') ], 'types');
is_deeply([ map { $fields->{$_}{id} } qw(id n amount) ], [ 1, 3, 4 ], 'ids are those of the columns');
is_deeply([ map { $fields->{$_}{required} ? 1 : 0 } qw(id n amount) ], [ 1, 1, 0 ], 'nulls');
is($fields->{note}{doc}, "a \"note\" of \x{e9}", 'a comment');
is($node->safe_psql('postgres', 'SELECT concat_ws($$ $$, job, snapshot) FROM outflow.jobs WHERE lsn = ' . "'" . summary(0, 'outflow.lsn') . "'"),
	join(' ', map { summary(0, "outflow.$_") } qw(job snapshot)),
	'the version says where it stands');

$node->safe_psql('postgres', 'UPDATE orders SET n = -1 WHERE id = 1');
like(version(1, 'an update'), qr/parts carried over/, 'it says so');
is(summary(1, 'operation'), 'overwrite', 'files were replaced');
cmp_ok(summary(1, 'added-data-files'), '<=', 2, 'few files are written anew');
is(iceberg_metadata($lake)->{'table-uuid'}, $table->{'table-uuid'}, 'of the same table');
version(2, 'nothing');
is(summary(2, 'added-data-files') + summary(2, 'deleted-data-files'), 0, 'no file changes');
$node->safe_psql('postgres', 'DELETE FROM orders WHERE id > 2000; VACUUM orders; INSERT INTO orders (id, n) SELECT i, 0 FROM generate_series(5001, 5100) i');
version(3, 'deletes, vacuum, inserts');

# columns come, go, and are renamed and widened
$node->safe_psql('postgres', "ALTER TABLE orders ADD more text NOT NULL DEFAULT 'new'; ALTER TABLE orders RENAME note TO remark");
splice(@columns, 4, 1, 'remark');
push @columns, 'more';
version(4, 'an added and a renamed column');
is(fields()->{remark}{id}, $fields->{note}{id}, 'the renamed one keeps its id');
ok(!fields()->{more}{required}, 'the added one is optional: files of before have none of it');
$node->safe_psql('postgres', "ALTER TABLE orders DROP more, ALTER n TYPE bigint, ALTER amount TYPE numeric(20,2), ALTER f TYPE float8");
pop @columns;
version(5, 'a dropped column and wider ones');
$node->safe_psql('postgres', 'TRUNCATE orders');
version(6, 'a truncation');
is(summary(6, 'total-records'), 0, 'which leaves no row');
is(lake_last($lake) + 1, scalar @{ iceberg_metadata($lake)->{snapshots} }, 'all versions are there');
$node->safe_psql('postgres', "ALTER TABLE orders ALTER n TYPE text USING n::text");
my $jobs = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
like(export('orders', $lake), qr/column "n" of the Iceberg table cannot become what it is now/, 'a column that readers of before could not read is refused');
is($node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs'), $jobs, '... at the call');
$node->safe_psql('postgres', "INSERT INTO orders (id, n) VALUES (1, 'x')");
version(7, 'the same with overwrite', q(options => '{"overwrite": true}'));

# what is not ours to replace
$node->safe_psql('postgres', 'CREATE TABLE other AS SELECT i AS id FROM generate_series(1, 3000) i');
like(export('other', $lake), qr/version \d+ of the Iceberg table in ".*" is not of an export of table public\.other/, 'another table is refused');
mkdir "$dir/full";
append_to_file("$dir/full/file", 'x');
like(export('other', "$dir/full"), qr/is not empty, and no Iceberg table/, 'nor what is no table');
mkdir "$dir/$_" foreach ('catalog', 'catalog/metadata');
append_to_file("$dir/catalog/metadata/00001-x.metadata.json", '{}');
like(export('other', "$dir/catalog"), qr/features that exports do not write/, 'nor the table of a catalog');
foreach my $wrong (
	[ q(base => 1), qr/takes no base/ ],
	[ q(encrypt_to => '{age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p}'), qr/cannot be encrypted/ ],
	[ q(options => '{"profile": "spark"}'), qr/takes no option "profile"/ ],
	[ q(options => '{"as": "o=default"}'), qr/cannot do that to column "o"/ ])
{
	like(export('orders', "$dir/wrong", $wrong->[0]), $wrong->[1], "refused: $wrong->[0]");
}
$node->safe_psql('postgres', 'CREATE TABLE named ("a b" int, "A B" int)');
like(export('named', "$dir/wrong"), qr/column "A B" cannot be in an Iceberg table/, 'refused: names that differ in case');

# names that readers take for those of parts, or have for columns of their own
$node->safe_psql('postgres', 'CREATE TYPE place AS (city text, "b.c" text); CREATE TYPE house AS (b place)');
foreach my $case ([ 'a place, "a.city" text', 'a.city' ], [ '"A.CITY" text, a place', 'A.CITY' ], [ 'a int[], "a.element" text', 'a.element' ],
	[ 'a place[], "a.element.city" text', 'a.element.city' ], [ 'a house, "a.b" text', 'a.b' ],
	map { [ "a int, $_ text", $_ ] } qw(_file _pos _deleted _spec_id _partition _row_id _last_updated_sequence_number _last_updated_timestamp_ms))
{
	$node->safe_psql('postgres', "DROP TABLE IF EXISTS wrong; CREATE TABLE wrong ($case->[0])");
	like(export('wrong', "$dir/wrong"), qr/ERROR:  column "\Q$case->[1]\E" cannot be in an Iceberg table.*HINT:  Rename it, or leave it out by "columns"/s, "refused: $case->[0]");
	is(-e "$dir/wrong" ? 'there' : 'none', 'none', '... at the call');
}
$node->safe_psql('postgres', 'CREATE TABLE dotted (a place, "a.towns" text, "a.city.x" text, "element" int[], "element.a" int, _change_type text, "_FILE" text); INSERT INTO dotted DEFAULT VALUES');
unlike(export('dotted', "$dir/dotted"), qr/ERROR/, 'other names with dots are none of parts');
mkdir "$dir/of_dotted";
keep_rows($node, 'a, "a.towns", "a.city.x", "element", "element.a", _change_type, "_FILE") FROM dotted', "$dir/of_dotted/0");
is(what_is_read('plain', "$dir/dotted", "$dir/of_dotted", [0]), 'ok', '... and are read');
$node->safe_psql('postgres', 'CREATE TABLE times ("a b" time)');
unlike(export('times', "$dir/times", q(options => '{"as": "time=default"}')), qr/ERROR/, 'a time of day as such, and any name');

# what users ask
is($node->safe_psql('postgres', "SELECT string_agg(version::text, ' ') FROM outflow.lake_versions('file://$lake')"),
	join(' ', map { iceberg_snapshot($lake, $_)->{'snapshot-id'} } 0 .. 7), 'lake_versions tells the snapshots');
is( $node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('file://$lake') AS v JOIN outflow.jobs AS j USING (job, snapshot, lsn)"),
	'8', 'with the snapshots and positions of the jobs');
is( $node->safe_psql('postgres', 'SELECT DISTINCT status FROM outflow.jobs, outflow.verify(job)'), 'ok', 'each stands verification');

# vacuum: of a table with a past
my $vacuumed = "$dir/other";
foreach my $version (0 .. 3)
{
	unlike(export('other', $vacuumed), qr/ERROR/, "version $version");
	keep_rows($node, 'id) FROM other', "$dir/other-$version");
	$node->safe_psql('postgres', "UPDATE other SET id = -id WHERE id BETWEEN 1 AND 1500 + $version * 100");
}
rename("$dir/other-$_", "$dir/" . (100 + $_)) foreach (0 .. 3);
my %before = map { $_ => 1 } files_below($vacuumed);
is($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_vacuum('file://$vacuumed')"), '0', 'nothing is old enough to go');
my @gone = split(/\n/, $node->safe_psql('postgres', "SELECT file FROM outflow.lake_vacuum('file://$vacuumed', interval '0')"));
cmp_ok(scalar @gone, '>', 10, 'files of older versions go');
is_deeply([ sort @gone ], [ sort grep { $_ ne 'metadata/v5.metadata.json' && !-e "$vacuumed/$_" } keys %before ], '... as it tells');
is($node->safe_psql('postgres', "SELECT file FROM outflow.lake_vacuum('file://$vacuumed', interval '0')"), '', 'once, and the metadata that the vacuum has replaced stays as long as the last names it');
is_deeply([ grep { my $file = $_->{'metadata-file'} =~ s{^file://}{}r; !-e $file } @{ iceberg_metadata($vacuumed)->{'metadata-log'} } ], [],
	'... which names nothing that has gone');
is(scalar @{ iceberg_metadata($vacuumed)->{snapshots} }, 1, 'the last version stays');
rename("$dir/103", "$dir/3x");
rename("$dir/3", "$dir/3-orders");
rename("$dir/3x", "$dir/3");
versions_are('plain', $vacuumed, $dir, [3], 'and needs nothing of what has gone');
unlike(export('other', $vacuumed), qr/ERROR/, 'and a version more');
is(lake_last($vacuumed), 4, 'is the next one');

# many tables, one snapshot
unlike(run_sql($node, "CALL outflow.export_tables(ARRAY['orders', 'other']::regclass[], 'file://$dir/both', format => 'iceberg')"), qr/ERROR/, 'two tables');
is(iceberg_snapshot("$dir/both/public.orders", 0)->{summary}{'outflow.snapshot'},
	iceberg_snapshot("$dir/both/public.other", 0)->{summary}{'outflow.snapshot'}, 'of one snapshot');

# a faster writer, and what is left of the slower one
$node->safe_psql('postgres', 'UPDATE other SET id = id + 1');
my @there = files_below($vacuumed);
$jobs = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
hold_publications($node);
my ($session, $heard) = start_psql($node, "CALL outflow.export('other', 'file://$vacuumed', format => 'iceberg', part_size => '64kB')");
wait_until($node, "SELECT bool_and(state = 'done') FROM outflow.parts WHERE job > $jobs", 'all parts are there');
my $metadata = iceberg_metadata($vacuumed);
push @{ $metadata->{snapshots} },
  { %{ $metadata->{snapshots}[-1] }, 'snapshot-id' => 77, 'sequence-number' => 9, summary => { operation => 'append', 'engine-name' => 'Other' } };
$metadata->{'current-snapshot-id'} = 77;
append_to_file("$vacuumed/metadata/v7.metadata.json", JSON::PP::encode_json($metadata));
release_exports($node);
$session->finish;
like($node->safe_psql('postgres', 'SELECT error FROM outflow.jobs WHERE job = (SELECT max(job) FROM outflow.jobs)'),
	qr/version 77 of the Iceberg table in ".*" is not of an export of table public\.other/, 'the foreign version is named');
$node->safe_psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs');
is_deeply([ grep { $_ ne 'metadata/v7.metadata.json' } files_below($vacuumed) ], \@there, 'and forget leaves nothing of the job');

$node->stop;
done_testing();
