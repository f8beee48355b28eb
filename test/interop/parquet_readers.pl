# Promise: with the profile "spark" Apache Spark, and with "clickhouse" ClickHouse,
# reads an export's directory, opens every column of every type, finds all values and all rows with a NaN; and
# parquet-java understands who wrote the file.
use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

die "OUTFLOW_READERS is not set: run this test by test/run\n" unless $ENV{OUTFLOW_READERS};

my $program = dirname(__FILE__) . '/../lib/parquet/open_files.py';
my $node = new_outflow_node('readers', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);

$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE types AS SELECT g::bigint AS id, g % 2 = 0 AS b, g::int2 AS i2, g::int4 AS i4, g::oid AS o,
	g::real AS f4, CASE WHEN g % 100 = 0 THEN float8 'NaN' ELSE g END AS f8,
	g::numeric(9,2) AS n9, g::numeric(18,4) AS n18, g::numeric(38,10) AS n38, g + 0.5 AS n,
	'text ' || g AS t, 'c'::char(5) AS c, 'n'::name AS nm, '\x00ff'::bytea AS by, md5(g::text)::uuid AS u,
	ARRAY[md5(g::text)::uuid] AS us, date '2000-01-01' + g AS d, time '10:00' AS tm, timetz '10:00+02' AS tz,
	timestamp '2000-01-01' + g * interval '1 h' AS ts, timestamptz '2000-01-01Z' + g * interval '1 h' AS tstz,
	g * interval '1 day' AS iv, jsonb_build_array(g) AS ja, to_jsonb(g) AS js, '{"a": 1, "a": 2}'::json AS j,
	hstore('a', g::text) AS hs, 'ok'::mood AS e, ARRAY[g, NULL] AS ia, ARRAY['a', 'b'] AS ta, int4range(g, g + 1) AS r,
	inet '10.0.0.1' AS ip, g::text::money AS m FROM generate_series(1, 30000) g;
INSERT INTO types (id) VALUES (0);
EOS
my @columns = split(/\n/, $node->safe_psql('postgres',
		"SELECT attname FROM pg_attribute WHERE attrelid = 'types'::regclass AND attnum > 0"));

foreach my $reader (qw(spark clickhouse))
{
	my $directory = new_export_dir() . '/out';
	my ($out, $err);

	$node->safe_psql('postgres', "CALL outflow.export('types', 'file://$directory', format => 'parquet', "
		  . "options => '{\"profile\": \"$reader\", \"row_group_rows\": 5000}')");
	IPC::Run::run([ $ENV{OUTFLOW_READERS}, $program, $reader, $directory ], '>', \$out, '2>', \$err)
	  or die "$reader: $err";
	my ($line) = $out =~ /^(\{.*\})$/m;
	my $found = JSON::PP->new->utf8->decode($line);

	is_deeply($found->{errors}, {}, "$reader opens every column");
	foreach my $column (@columns)
	{
		# ClickHouse has no null arrays: theirs are empty
		my $rows = $column eq 'id' || ($reader eq 'clickhouse' && $column =~ /^(us|ia|ta)$/) ? 30001 : 30000;

		is($found->{counts}{$column}, $rows, "$reader finds all values of $column");
	}
	is($found->{nan}, 300, "$reader finds all rows with a NaN");
	like($found->{writer}, qr/application=outflow, semver=1\.0/, 'parquet-java knows who wrote the file')
	  if $reader eq 'spark';
}

$node->stop;
done_testing();
