# Promise: Iceberg tables in a REST catalog are there with their first version, have
# each later one once, whatever becomes of requests and answers, and are refused to
# all but the one who writes them; other readers find them by the catalog.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CatalogTest;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readers = $ENV{OUTFLOW_LAKE} // die "OUTFLOW_LAKE is not set: run this test by test/run\n";
my $spark = $ENV{OUTFLOW_LAKE_SPARK} // die "OUTFLOW_LAKE_SPARK is not set: run this test by test/run\n";
my $catalog = start_catalog();
my $node = new_outflow_node('catalog', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my $lake = "$dir/things";
my $commits = qr{^POST /v1/namespaces/shop/tables/things};

$ENV{LAKE_CATALOG} = "http://127.0.0.1:$catalog->{upstream} shop things";
$node->safe_psql('postgres', $catalog->server_sql('cat', q{client_id 'outflow', client_secret 'CANARY&secret'}));

# export(TABLE, DIRECTORY, CATALOG, ARGUMENTS): status, and what it says
sub export
{
	my ($table, $directory, $name, $arguments) = @_;
	my ($out, $err);
	my $status = $node->psql('postgres',
		"CALL outflow.export('$table', 'file://$directory', format => 'iceberg', part_size => '64kB',"
		  . qq( options => '{"catalog": "$name"}') . ($arguments ? ", $arguments" : '') . ')',
		stdout => \$out, stderr => \$err);

	return ($status, "$out$err");
}

my @columns = ('id', 'n', 'amount::text', 'note', q{to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US')}, 'u', 'tags', 'pairs', 'day');
my $version = -1;

# keep(): the rows that the next version has
sub keep
{
	$version++;
	keep_rows($node, join(', ', @columns) . ') FROM things', "$dir/$version");
	return;
}

# next_version(NAME): exports, and looks at all versions
sub next_version
{
	my ($name) = @_;

	keep();
	my ($status, $said) = export('things', $lake, 'cat:shop.things');
	is($status, 0, "$name: exported") or diag($said);
	versions_are('plain', $lake, $dir, [ 0 .. $version ], "after $name, all versions are what they were");
	return;
}

$node->safe_psql('postgres', <<'EOC');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE things (id bigint NOT NULL, gone int, n int, amount numeric(12,2), note text, at timestamptz, u uuid, tags text[],
	pairs pair[], day date);
ALTER TABLE things DROP gone;
COMMENT ON TABLE things IS 'what was "ordered"';
INSERT INTO things SELECT i, i % 7, i / 100.0, 'né ' || i, timestamptz '2020-01-01Z' + i * interval '1.000001 h', md5(i::text)::uuid,
	ARRAY[i::text, NULL], ARRAY[ROW(i, 'b')::pair, NULL], date '2000-01-01' + i FROM generate_series(1, 3000) i;
EOC

# what is refused at the call
like((export('things', $lake, 'cat:shop.things'))[1], qr/could not find the namespace in the catalog.*404.*Make the namespace/s,
	'a namespace that is missing');
ok(!-e $lake || !files_below($lake), 'and nothing is left of it');
$catalog->make_namespace('shop');
like((export('things', $lake, 'cat:shop'))[1], qr/invalid name of a catalog's table.*server:namespace\.table/s, 'a name without a table');
like((export('things', $lake, 'nobody:shop.things'))[1], qr/server "nobody" does not exist/, 'a server that is not there');
like((export('things', $lake, 'cat:shop.things', q(base => 1)))[1], qr/takes no base/, 'a base');
my (undef, undef, $said) = $node->psql('postgres',
	qq(CALL outflow.export('things', 'file://$lake', format => 'delta', options => '{"catalog": "cat:shop.things"}')));
like($said, qr/export option "catalog" is for format "iceberg"/, 'another format');

# versions
next_version('a first export');
my $table = $catalog->ask('GET', 'namespaces/shop/tables/things')->{metadata};
is($table->{location}, "file://$lake", 'it is where it was exported to');
is_deeply([ map { $_->{id} } @{ $table->{schemas}[0]{fields} } ], [ 1, 3 .. 10 ], 'ids are those of the columns');
is($table->{properties}{comment}, 'what was "ordered"', 'it has its comment');
$node->safe_psql('postgres', 'UPDATE things SET n = -1 WHERE id = 1');
next_version('an update');
my @snapshots = $catalog->snapshots('shop', 'things');
cmp_ok($snapshots[1]{summary}{'added-data-files'}, '<=', 2, 'few files are written anew');
is($snapshots[1]{summary}{'outflow.job'}, $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs'), 'it says which job made it');
next_version('nothing');
$node->safe_psql('postgres', "ALTER TABLE things RENAME note TO remark; ALTER TABLE things ADD more text NOT NULL DEFAULT 'new';"
	  . " ALTER TABLE things ALTER n TYPE bigint, ALTER amount TYPE numeric(20,2); COMMENT ON TABLE things IS NULL");
$columns[3] = 'remark';
push @columns, 'more';
next_version('an added, a renamed and wider columns');
$table = $catalog->ask('GET', 'namespaces/shop/tables/things')->{metadata};
is(scalar @{ $table->{schemas} }, 2, 'that is one schema more');
is($table->{properties}{comment}, undef, 'the comment is gone');
$node->safe_psql('postgres', 'DELETE FROM things WHERE id > 2000; VACUUM things; INSERT INTO things (id, n) SELECT i, 0 FROM generate_series(5001, 5100) i');
next_version('deletes, vacuum, inserts');

# faults: each once, and the version is there once
foreach my $fault (
	[ 'lost', 'an answer that was lost' ],
	[ 'late-500', 'a 500 for what was done' ],
	[ '503', 'a 503' ],
	[ '429', 'a 429' ],
	[ '409', 'a conflict that is none' ],
	[ '401', 'a token that is too old' ])
{
	$node->safe_psql('postgres', "UPDATE things SET n = n + 1 WHERE id = $version + 1");
	$catalog->faults("POST /tables/things\$ $fault->[0]");
	next_version($fault->[1]);
	is(scalar $catalog->snapshots('shop', 'things'), $version + 1, "$fault->[1]: one snapshot");
	cmp_ok(scalar $catalog->requests($commits), '>=', 1, "$fault->[1]: it was met");
}
$catalog->faults('GET /tables/things 503 2');
next_version('tables that can be loaded at the third try only');

$node->stop;
done_testing();
