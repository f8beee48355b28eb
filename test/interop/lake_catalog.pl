# Promise: Iceberg tables in a REST catalog are there with their first version, have
# each later one once, whatever becomes of requests and answers, and are refused to
# all but the one who writes them; other readers find them by the catalog.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CatalogTest;
use IPC::Run ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readers = $ENV{OUTFLOW_LAKE} // die "OUTFLOW_LAKE is not set: run this test by test/run\n";
my $spark = $ENV{OUTFLOW_LAKE_SPARK} // die "OUTFLOW_LAKE_SPARK is not set: run this test by test/run\n";
my $catalog = start_catalog($ENV{OUTFLOW_CATALOG} // die "OUTFLOW_CATALOG is not set: run this test by test/run\n");
my $node = new_outflow_node('catalog', conf => "autovacuum = off\noutflow.retries = 0\n",
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

# versions_in(NAMESPACE, TABLE): how many the catalog has
sub versions_in
{
	my @found = $catalog->snapshots(@_);

	return scalar @found;
}

# last_job(): its number
sub last_job
{
	return $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
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

# what the key is, step by step: of which order the table is, and new files are
foreach my $step (
	[ 'ALTER TABLE things ADD PRIMARY KEY (id)', '1: 1', 0 ],
	[ 'CLUSTER things USING things_pkey', '1: 1', 1 ],
	[ 'ALTER TABLE things DROP CONSTRAINT things_pkey', '0: ', 1 ],
	[ 'ALTER TABLE things ADD PRIMARY KEY (day, id); CLUSTER things USING things_pkey', '2: 10,1', 2 ],
	[ 'ALTER TABLE things DROP CONSTRAINT things_pkey, ADD PRIMARY KEY (id)', '1: 1', 2 ])
{
	my ($change, $order, $mark) = @$step;

	$node->safe_psql('postgres', $change);
	next_version($change);
	$table = $catalog->ask('GET', 'namespaces/shop/tables/things')->{metadata};
	my ($default) = grep { $_->{'order-id'} == $table->{'default-sort-order-id'} } @{ $table->{'sort-orders'} };
	is("$default->{'order-id'}: " . join(',', map { $_->{'source-id'} } @{ $default->{fields} }), $order, "$change: the order in the catalog");
	is_deeply([ grep { $_ != $mark } map { $_->[1] } lake_orders($lake, $version) ], [], "$change: that of files");
}
$node->safe_psql('postgres', 'ALTER TABLE things ALTER day DROP NOT NULL');
$node->safe_psql('postgres', "ALTER TABLE things RENAME note TO remark; ALTER TABLE things ADD more text NOT NULL DEFAULT 'new';"
	  . " ALTER TABLE things ALTER n TYPE bigint, ALTER amount TYPE numeric(20,2); COMMENT ON TABLE things IS NULL");
$columns[3] = 'remark';
push @columns, 'more';
next_version('an added, a renamed and wider columns');
$table = $catalog->ask('GET', 'namespaces/shop/tables/things')->{metadata};
is(scalar @{ $table->{schemas} }, 2, 'that is one schema more');
is($table->{properties}{comment}, undef, 'the comment is gone');
$node->safe_psql('postgres', q(DELETE FROM things WHERE id > 2000; VACUUM things; INSERT INTO things (id, n, pairs) SELECT i, 0, '{}' FROM generate_series(5001, 5100) i));
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
	is(versions_in('shop', 'things'), $version + 1, "$fault->[1]: one snapshot");
	is(scalar(() = $catalog->requests(qr/$commits.*@{[$fault->[0] =~ s{late-}{}r]}/)), 1, "$fault->[1]: it was met");
}
$catalog->faults('GET /tables/things 503 2');
next_version('tables that can be loaded at the third try only');


# an outcome that stays unknown: all is kept until it is known
foreach my $done (1, 0)
{
	my $name = $done ? 'a commit that was made, then silence' : 'silence';

	$node->safe_psql('postgres', 'UPDATE things SET n = n + 1 WHERE id < 10');
	keep();
	$catalog->faults($done ? 'POST /tables/things$ silent' : 'POST /tables/things$ 503 1000');
	like((export('things', $lake, 'cat:shop.things'))[1],
		qr/could not learn whether table "shop\.things" was changed of server "cat".*503.*Resume the job/s, "$name: the job fails");
	my $job = last_job();
	if ($done)
	{
		(undef, undef, $said) = $node->psql('postgres', "SELECT outflow.forget($job)");
		like($said, qr/could not (get a token|load table)/, "$name: a job whose outcome is unknown is not forgotten");
	}
	$catalog->faults();
	versions_are('plain', $lake, $dir, [ 0 .. $version - !$done ], "$name: no file of a version is missing");
	$node->safe_psql('postgres', "CALL outflow.resume($job)");
	versions_are('plain', $lake, $dir, [ 0 .. $version ], "$name: resumed");
	is(versions_in('shop', 'things'), $version + 1, "$name: one snapshot");
}

# what is known of it, and what nobody needs
is($node->safe_psql('postgres', "SELECT count(*), count(job) FROM outflow.lake_versions('file://$lake', 'cat:shop.things')"),
	join('|', ($version + 1) x 2), 'its versions');
is($node->safe_psql('postgres', 'SELECT DISTINCT status FROM outflow.verify((SELECT max(job) FROM outflow.jobs))'),
	'ok', 'the last one stands verification');
versions_are('spark', $lake, $dir, [ 0 .. $version ], 'Spark reads all versions by the catalog', $spark);
versions_are($_, $lake, $dir, [ 0 .. $version ], "$_ reads all versions", $readers) foreach (qw(pyiceberg polars duckdb));
$catalog->faults('POST /tables/things$ lost');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_vacuum('file://$lake', interval '0', 'cat:shop.things')"),
	'>', $version, 'a vacuum whose answer was lost');
is(versions_in('shop', 'things'), 1, 'leaves one version');
versions_are('plain', $lake, $dir, [$version], 'which needs nothing of the others');
versions_are('pyiceberg', $lake, $dir, [$version], 'and pyiceberg reads', $readers);
is($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_vacuum('file://$lake', interval '0', 'cat:shop.things')"),
	0, 'the next one finds nothing');

# another writer, while a commit is on its way: the loser names the winner
$node->safe_psql('postgres', 'UPDATE things SET n = n + 1 WHERE id < 10');
my @before = files_below($lake);
$catalog->faults('POST /tables/things$ hold');
my ($loser, $told) = start_psql($node,
	"CALL outflow.export('things', 'file://$lake', format => 'iceberg', part_size => '64kB', options => '{\"catalog\": \"cat:shop.things\"}')");
wait_for_line("$catalog->{dir}/held", qr/./);
IPC::Run::run([ $readers, '-c', <<'EOP', $ENV{LAKE_CATALOG} ]) or die;
import sys
from pyiceberg.catalog import load_catalog
uri, namespace, name = sys.argv[1].split()
table = load_catalog('lake', type='rest', uri=uri).load_table((namespace, name))
table.append(table.scan(limit=1).to_arrow())
EOP
$catalog->set('go', '');
$loser->finish;
like($$told, qr/another writer has committed version \d+ of the Iceberg table in ".*things".*Operation "append"/s,
	'the loser names the winner');
is(versions_in('shop', 'things'), 2, 'the winner has its version, the loser none');
like((export('things', $lake, 'cat:shop.things'))[1], qr/version \d+ of the Iceberg table in .* is not of an export.*append/s,
	'a foreign version is refused at the call');
$node->safe_psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs');
is(scalar(grep { my $file = $_; !grep { $_ eq $file } @before } grep { !/metadata/ && /part-/ } files_below($lake)), 0,
	'and takes its files along');
like((export('things', $lake, 'cat:shop.things'))[1], qr/version \d+ of the Iceberg table in .* is not of an export.*append/s,
	'a foreign version is refused at the call');

# a type that readers of before could not read is refused at the call
$node->safe_psql('postgres', 'CREATE TABLE narrow AS SELECT i::bigint AS id FROM generate_series(1, 10) i');
is((export('narrow', "$dir/narrow", 'cat:shop.narrow'))[0], 0, 'another table of the namespace');
$node->safe_psql('postgres', 'ALTER TABLE narrow ALTER id TYPE int');
my $jobs = $node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs');
like((export('narrow', "$dir/narrow", 'cat:shop.narrow'))[1], qr/column "id" of the Iceberg table cannot become what it is now/,
	'a narrower column');
like((export('narrow', "$dir/elsewhere", 'cat:shop.narrow'))[1], qr/table "shop\.narrow" of the catalog is in another place/,
	'a table of another place');
is($node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs'), $jobs, 'neither leaves a job');

# many tables, each under its own name
$catalog->make_namespace('a', 'b');
$node->safe_psql('postgres', 'CREATE SCHEMA other; CREATE TABLE other.narrow (id int); CREATE TABLE other."odd /.name" AS SELECT 1 AS id');
foreach (1 .. 2)
{
	$node->safe_psql('postgres', qq{CALL outflow.export_tables(ARRAY['narrow', 'other."odd /.name"']::regclass[],
		'file://$dir/many', format => 'iceberg', options => '{"catalog": "cat:a.b"}')});
	is(versions_in('a%1Fb', 'narrow'), $_, "many tables: version $_ of the first");
	is(versions_in('a%1Fb', 'odd%20%2F.name'), $_, "many tables: version $_ of the second");
}
(undef, undef, $said) = $node->psql('postgres', qq{CALL outflow.export_tables(ARRAY['narrow', 'other.narrow']::regclass[],
	'file://$dir/twice', format => 'iceberg', options => '{"catalog": "cat:a.b"}')});
like($said, qr/two tables would be "narrow" in the catalog/, 'two of one name are refused');

# two databases that make one table at the same moment, each in a place of its own
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION outflow; CREATE TABLE narrow AS SELECT 2::bigint AS id;'
	  . $catalog->server_sql('cat', q{client_id 'second', client_secret 'x'}));
$catalog->set('go');
$catalog->set('held');
$catalog->faults('POST /tables/raced$ hold 2');
my @races = map {
	[ start_psql($node, "CALL outflow.export('narrow', 'file://$dir/raced_$_', format => 'iceberg', options => '{\"catalog\": \"cat:shop.raced\"}')", $_) ]
} qw(postgres second);
wait_for_line("$catalog->{dir}/held", qr/raced.*raced/s);
$catalog->set('go', '');
$_->[0]->finish foreach @races;
is(scalar(grep { ${ $_->[1] } !~ /ERROR/ } @races), 1, 'of two that make one table one has it');
is(scalar(grep { ${ $_->[1] } =~ /table "shop\.raced" of the catalog is in another place.*It is in "file:.*raced_/s } @races),
	1, 'and the other is told where it is');
is(versions_in('shop', 'raced'), 1, 'it has one version');
my $winner = ${ $races[0][1] } =~ /ERROR/ ? 'second' : 'postgres';
keep_rows($node, 'id) FROM (SELECT ' . ($winner eq 'second' ? '2::bigint' : 'generate_series(1, 10)') . ') AS narrow (id)', "$dir/raced");
mkdir "$dir/kept_raced";
rename "$dir/raced", "$dir/kept_raced/0";
{
	local $ENV{LAKE_CATALOG} = "http://127.0.0.1:$catalog->{upstream} shop raced";

	versions_are('plain', "$dir/raced_$winner", "$dir/kept_raced", [0], 'the winner\'s');
}

# whose it is, and with which token
$catalog->set('token', 'T0KEN');
$node->safe_psql('postgres', $catalog->server_sql('closed', q{token 'WRONG-CANARY'}) . 'CREATE ROLE nobody LOGIN; GRANT SELECT ON narrow TO nobody; '
	  . 'GRANT pg_write_server_files TO nobody');
like((export('narrow', "$dir/closed", 'closed:shop.closed'))[1],
	qr/could not get the configuration of the catalog of server "closed".*401 NotAuthorizedException.*Correct the user mapping/s, 'a wrong token');
$node->safe_psql('postgres', q{ALTER USER MAPPING FOR PUBLIC SERVER closed OPTIONS (SET token 'T0KEN')});
is((export('narrow', "$dir/closed", 'closed:shop.closed'))[0], 0, 'the right one');
$catalog->set('token', 'client-credentials-token:sub=outflow');
is((export('narrow', "$dir/open", 'cat:shop.open'))[0], 0, 'one that the catalog gives');
(undef, undef, $said) = $node->psql('postgres',
	"SET ROLE nobody; CALL outflow.export('narrow', 'file://$dir/nobody', format => 'iceberg', options => '{\"catalog\": \"cat:shop.nobody\"}')");
like($said, qr/permission denied for foreign server cat/, 'a role without USAGE');
unlike(slurp_file($node->logfile) =~ s/.*(USER MAPPING|CREATE SERVER).*//gr, qr/CANARY|T0KEN/, 'no secret is in the log');

$node->stop;
done_testing();
