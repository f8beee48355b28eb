# Promise: each export with format delta is a version of a table that equals what
# was exported; a version writes anew only what changed and carries the rest
# without being told; versions of before stay as they were.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('delta', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my $lake = "$dir/orders";
my @columns = ('id', 'n', 'amount::text', 'note',
	q{to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US')}, q{to_char(local, 'YYYY-MM-DD"T"HH24:MI:SS.US')},
	'doc::text', 'u', 'tags', 'f', 'day', 'ok');

# export(TABLE, DIRECTORY, ARGUMENTS): status and what it says
sub export
{
	my ($table, $directory, $arguments) = @_;
	my ($out, $err);
	my $status = $node->psql('postgres',
		"SET client_min_messages = notice; CALL outflow.export('$table', 'file://$directory', format => 'delta', part_size => '64kB'"
		  . ($arguments ? ", $arguments" : '') . ')',
		stdout => \$out, stderr => \$err);

	return ($status, "$out$err");
}

# version(NUMBER, NAME): exports, and keeps what was exported
sub version
{
	my ($number, $name) = @_;
	my ($status, $said) = export('orders', $lake);

	is($status, 0, "$name: exported") or diag($said);
	is(lake_last($lake), $number, "$name is version $number");
	keep_rows($node, join(', ', @columns) . ') FROM orders', "$dir/$number");
	versions_are('plain', $lake, $dir, [ 0 .. $number ], "after $name, all versions are what they were");
	return $said;
}

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE orders (id bigint PRIMARY KEY, n int NOT NULL, amount numeric(12,2), note text,
	at timestamptz, local timestamp, doc jsonb, u uuid, tags text[], f float8, day date, ok boolean);
COMMENT ON TABLE orders IS 'what was ordered';
COMMENT ON COLUMN orders.note IS 'a "note" of é';
INSERT INTO orders SELECT i, i % 7, (i - 1500) / 100.0, CASE WHEN i % 5 > 0 THEN 'né ' || i END,
	timestamptz '2020-01-01Z' + i * interval '1.000001 h', timestamp '1969-12-01' + i * interval '1.000001 min',
	jsonb_build_object('a', i), md5(i::text)::uuid, ARRAY[i::text, NULL], i / 8.0 - 100,
	date '1999-01-01' + i, i % 3 = 0 FROM generate_series(1, 3000) i;
EOC

version(0, 'a first export');
my $first = delta_version($lake, 0);
my $parts = @{ $first->{add} };
cmp_ok($parts, '>', 5, 'there are several files');
is_deeply([ lake_files($lake) ], [ sort map { $_->{path} } @{ $first->{add} } ], 'all of them are in the log');
my $metadata = $first->{metaData}[0];
my $schema = JSON::PP::decode_json($metadata->{schemaString});
is($metadata->{description}, 'what was ordered', 'the table has its comment');
is($schema->{fields}[3]{metadata}{comment}, "a \"note\" of \x{e9}", 'and a column its own');
is_deeply([ map { $_->{type} } @{ $schema->{fields} }[ 0 .. 7 ] ],
	[ split(/ /, 'long integer decimal(12,2) string timestamp timestamp_ntz string string') ], 'types');
is_deeply([ map { $_->{nullable} ? 1 : 0 } @{ $schema->{fields} }[ 0 .. 2 ] ], [ 0, 0, 1 ], 'nulls');
is_deeply($first->{protocol}[0]{readerFeatures}, ['timestampNtz'], 'a local timestamp needs a feature');
my $info = $first->{commitInfo}[0]{outflow};
is($node->safe_psql('postgres', 'SELECT concat_ws($$ $$, job, snapshot) FROM outflow.jobs WHERE lsn = ' . "'$info->{lsn}'"),
	"$info->{job} $info->{snapshot}",
	'the version says where it stands');

# readers take a file without bounds for one without what they look for
my @told = map { JSON::PP::decode_json($_->{stats}) } @{ $first->{add} };
is_deeply([ map { $_->{minValues}{ok} . ' ' . $_->{maxValues}{ok} } @told ], [ ('0 1') x $parts ], 'booleans have bounds');

# what changed is written anew, nothing else
$node->safe_psql('postgres', 'UPDATE orders SET n = -1 WHERE id = 1');
my $said = version(1, 'an update');
like($said, qr/parts carried over/, 'it says so');
my $second = delta_version($lake, 1);
cmp_ok(scalar @{ $second->{add} }, '<=', 2, 'few files are written anew');
cmp_ok(scalar @{ $second->{remove} }, '<=', 2, 'in place of few');
ok(!$second->{metaData} && !$second->{protocol}, 'and nothing else is said again');
is(scalar lake_files($lake), $parts + @{ $second->{add} }, 'no file of before is touched or copied');
is($second->{txn}[0]{appId}, $first->{txn}[0]{appId}, 'both are of one writer');

version(2, 'nothing');
is(@{ delta_version($lake, 2)->{add} } + @{ delta_version($lake, 2)->{remove} }, 0, 'no file changes');

$node->safe_psql('postgres', 'DELETE FROM orders WHERE id > 2000; VACUUM orders; INSERT INTO orders (id, n) SELECT i, 0 FROM generate_series(5001, 5100) i');
version(3, 'deletes, vacuum, inserts');
$node->safe_psql('postgres', "ALTER TABLE orders ADD more text DEFAULT 'new'");
push @columns, 'more';
version(4, 'an added column');
ok(delta_version($lake, 4)->{metaData}, 'a new schema is told');
is(delta_version($lake, 4)->{metaData}[0]{id}, $metadata->{id}, 'of the same table');
$node->safe_psql('postgres', 'ALTER TABLE orders DROP more');
pop @columns;
version(5, 'a dropped column');
$node->safe_psql('postgres', 'TRUNCATE orders');
version(6, 'a truncation');

# what is not ours to replace
my ($status, $out);
$node->safe_psql('postgres', 'CREATE TABLE other (id int)');
($status, $out) = export('other', $lake);
isnt($status, 0, 'another table is refused');
like($out, qr/version 6 of the Delta table in ".*" is not of an export of table public\.other/, 'by name');
mkdir "$dir/full";
append_to_file("$dir/full/file", 'x');
($status, $out) = export('other', "$dir/full");
like($out, qr/is not empty, and no Delta table/, 'nor what is no table');
($status, $out) = export('other', $lake, q(options => '{"overwrite": true}'));
is($status, 0, 'unless the table is to be replaced') or diag($out);
keep_rows($node, 'id) FROM other', "$dir/7");
versions_are('plain', $lake, $dir, [ 5, 6, 7 ], 'then it is the other one, and its versions of before stay');

foreach my $wrong (
	[ q(base => 1), qr/takes no base/ ],
	[ q(encrypt_to => '{age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p}'), qr/cannot be encrypted/ ],
	[ q(options => '{"profile": "spark"}'), qr/takes no option "profile"/ ],
	[ q(options => '{"carry": "reference"}'), qr/takes no option "carry"/ ],
	[ q(options => '{"as": "u=default"}'), qr/cannot do that to column "u"/ ])
{
	($status, $out) = export('orders', "$dir/wrong", $wrong->[0]);
	like($out, $wrong->[1], "refused: $wrong->[0]");
}
$node->safe_psql('postgres', 'CREATE TABLE named ("a b" int)');
($status, $out) = export('named', "$dir/wrong");
like($out, qr/column "a b" cannot be in a Delta table/, 'refused: a name with a space');

# a column that is renamed, or of another type, needs no mapping: all files are written anew
my @changed = ('a', 'b');
my @names;
my $changed = "$dir/changed";
mkdir "$dir/kept";
$node->safe_psql('postgres', 'CREATE TABLE changed AS SELECT i AS a, i::text AS b FROM generate_series(1, 3000) i');
foreach my $change ('', 'RENAME a TO "A1"', 'ALTER "A1" TYPE bigint', 'ALTER b TYPE int USING b::int')
{
	my $version = lake_last($changed) + 1;

	$node->safe_psql('postgres', "ALTER TABLE changed $change") if $change;
	$changed[0] = '"A1"' if $version;
	($status, $out) = export('changed', $changed);
	is($status, 0, "version $version: $change") or diag($out);
	keep_rows($node, join(', ', @changed) . ') FROM changed', "$dir/kept/$version");
	versions_are('plain', $changed, "$dir/kept", [ 0 .. $version ], 'which all versions stand');
	is_deeply([ sort map { $_->{path} } @{ delta_version($changed, $version)->{remove} } ], [ sort @names ], 'and has none of the files of before');
	@names = map { $_->{path} } @{ delta_version($changed, $version)->{add} };
}
is_deeply(delta_version($changed, 0)->{protocol}, [ { minReaderVersion => 1, minWriterVersion => 2 } ], 'any reader will do');
$node->safe_psql('postgres', q(CREATE TABLE moments AS SELECT timestamp '2020-01-01 00:00' AS at));
is((export('moments', "$dir/moments", q(options => '{"as": "timestamp=string"}')))[0], 0, 'a timestamp as a string');
is_deeply(delta_version("$dir/moments", 0)->{protocol}, [ { minReaderVersion => 1, minWriterVersion => 2 } ], '... also then');

$node->stop;
done_testing();
