# Promise: delta-rs, polars, DuckDB, ClickHouse and Spark read every version of a Delta table,
# pyiceberg, polars, DuckDB, ClickHouse and Spark every one of an Iceberg table, as
# what the table was when it was exported, over a random chain of changes.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = $ENV{OUTFLOW_LAKE} // die "OUTFLOW_LAKE is not set: run this test by test/run\n";
my $seed = $ENV{LAKE_SEED} // int(rand(1e6));
my $node = new_outflow_node('readers', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my %lake = map { $_ => "$dir/$_/things" } qw(delta iceberg);
my @columns = ('id', 'small', 'n', 'amount::text', 'big::text', 'free::text', 'note', 'c',
	q{to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US')}, q{to_char(local, 'YYYY-MM-DD"T"HH24:MI:SS.US')},
	'doc::text', 'j::text', 'u', 'tags', 'f', 'r', 'day', 'ok', 't::text', 'span::text', 'o::bigint', 'm', 'pair', 'dec::text[]',
	q{'\x' || encode(b, 'hex')});
my $insert = <<'EOC';
INSERT INTO things (id, small, n, amount, big, free, note, c, at, local, doc, j, u, tags, f, r, day, ok, t, span, o, m, pair, dec, b)
	SELECT i, i %% 100, CASE WHEN i %% 11 > 0 THEN i END, (i - 1500) / 100.0, -i * 123456789012345678.0123456789, i / 7.0,
		CASE WHEN i %% 5 > 0 THEN 'né "' || i || E'" \n\\' END, 'x' || i %% 10,
		timestamptz '1700-01-01Z' + i * interval '31.000001 d', timestamp '1969-12-01' + i * interval '1.000001 min',
		jsonb_build_object('a', i), '{"a": 1, "a": 2}', md5(i::text)::uuid, ARRAY[i::text, NULL],
		i / 8.0 - 100, i / 8.0, date '1600-01-01' + (i * 20 %% 100000), i %% 3 = 0, time '10:00' + i * interval '1 s', i * interval '1 day', (4294967295 - i)::oid,
		CASE WHEN i %% 2 = 0 THEN 'sad'::mood ELSE 'ok' END, CASE WHEN i %% 4 > 0 THEN ROW(i, 'b' || i)::pair END,
		ARRAY[i / 8.0, NULL], decode(md5(i::text), 'hex')
	FROM generate_series(%1$d, %1$d + %2$d) i
EOC
my @change = (
	$insert,
	'UPDATE things SET n = n + 1, note = note || id WHERE id %% 97 = %d %% 97',
	'DELETE FROM things WHERE id %% 89 = %d %% 89',
	'UPDATE things SET amount = NULL, f = %d WHERE id < 40',
	'DELETE FROM things WHERE id > 1000 + %d %% 500',
	'VACUUM things /* %d */',
	'VACUUM (FULL) things /* %d */',
	'TRUNCATE things /* %d */',
	'ALTER TABLE things ALTER r TYPE float8, ALTER small TYPE int /* %d */',
	'ALTER TABLE things RENAME c TO c%d',
	'ALTER TABLE things ADD extra%d int DEFAULT 7');

$node->safe_psql('postgres', <<'EOC');
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE things (id bigint, small int2 NOT NULL, n int, amount numeric(12,2), big numeric(38,10), free numeric,
	note text, c char(5), at timestamptz, local timestamp, doc jsonb, j json, u uuid, tags text[], f float8, r float4, day date,
	ok boolean, t time, span interval, o oid, m mood, pair pair, dec numeric(9,3)[], b bytea);
EOC
$node->safe_psql('postgres', sprintf($insert, 0, 2999));
diag("LAKE_SEED=$seed");
srand($seed);
my $next = 10000;
foreach my $version (0 .. 24)
{
	if ($version > 0)
	{
		foreach (0 .. int(rand(3)))
		{
			my $change = $change[ int(rand(@change)) ];

			$next += 100;
			$change =~ s/RENAME c /RENAME $columns[7] /;
			$change =~ s/note, c, at/note, $columns[7], at/;
			$node->safe_psql('postgres', sprintf($change, $next, 60));
			$columns[7] = "c$next" if $change =~ /RENAME/;
			push @columns, "extra$next" if $change =~ /extra/;
		}
	}
	$node->safe_psql('postgres', "CALL outflow.export('things', 'file://$lake{$_}', format => '$_', part_size => '64kB')") foreach (keys %lake);
	keep_rows($node, join(', ', @columns) . ') FROM things', "$dir/$version");
}
my $spark = $ENV{OUTFLOW_LAKE_SPARK} // die "OUTFLOW_LAKE_SPARK is not set: run this test by test/run\n";
my $clickhouse = $ENV{OUTFLOW_LAKE_CLICKHOUSE} // die "OUTFLOW_LAKE_CLICKHOUSE is not set: run this test by test/run\n";
my %python = (plain => undef, spark => $spark, clickhouse => $clickhouse);
my %readers = (
	delta => [qw(plain spark deltalake polars duckdb clickhouse)],
	iceberg => [qw(plain spark pyiceberg polars duckdb clickhouse)]);
foreach my $format (sort keys %lake)
{
	is(lake_last($lake{$format}), 24, "$format: as many versions as exports");
	versions_are($_, $lake{$format}, $dir, [ 0 .. 24 ], "$format: $_ reads all versions", exists $python{$_} ? $python{$_} : $python)
	  foreach (@{ $readers{$format} });
}

# a time of day as such, which not every reader knows
$node->safe_psql('postgres', "CREATE TABLE times AS SELECT i AS id, time '10:00' + i * interval '1 s' AS t FROM generate_series(1, 10) i");
$node->safe_psql('postgres', qq(CALL outflow.export('times', 'file://$dir/iceberg/times', format => 'iceberg', options => '{"as": "time=default"}')));
mkdir "$dir/times";
keep_rows($node, 'id, t::text) FROM times', "$dir/times/0");
versions_are($_, "$dir/iceberg/times", "$dir/times", [0], "$_ reads a time of day", $python) foreach (qw(pyiceberg duckdb));
like(what_is_read('spark', "$dir/iceberg/times", "$dir/times", [0], $spark), qr/does not support time fields/, 'Spark does not');

# the log without what the last checkpoint has
ok(-e sprintf('%s/_delta_log/%020d.checkpoint.parquet', $lake{delta}, $_), "version $_ has a checkpoint") foreach (10, 20);
unlink(map { sprintf('%s/_delta_log/%020d.json', $lake{delta}, $_) } 0 .. 19);
versions_are($_, $lake{delta}, $dir, [ 20 .. 24 ], "$_ reads the checkpoint", $python) foreach (qw(deltalake polars duckdb));

$node->stop;
done_testing();
