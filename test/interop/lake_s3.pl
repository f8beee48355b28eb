# Promise: lake tables in S3 stores are the same tables: versions are carried,
# committed once, vacuumed, and refused where nothing decides between writers.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CatalogTest;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $node = new_outflow_node('s3', conf => "autovacuum = off\n");

# files_added(FORMAT, TABLE, VERSION): how many
sub files_added
{
	my ($format, $table, $version) = @_;

	return scalar @{ delta_version($table, $version)->{add} } if $format eq 'delta';
	return iceberg_snapshot($table, $version)->{summary}{'added-data-files'};
}

# foreign_version(FORMAT, STORE, DIRECTORY): key and text of the fourth version of u, by somebody else
sub foreign_version
{
	my ($format, $store, $dir) = @_;
	my $metadata;

	return ("tables_$format/public.u/_delta_log/" . sprintf('%020d', 3) . '.json',
		'{"commitInfo":{"operation":"MERGE","engineInfo":"Other/1"}}' . "\n" . '{"remove":{"path":"x","dataChange":true}}')
	  if $format eq 'delta';
	s3_client($store, 'save', "tables_$format/public.u/", "$dir/u");
	$metadata = iceberg_metadata("$dir/u");
	push @{ $metadata->{snapshots} },
	  { %{ $metadata->{snapshots}[-1] }, 'snapshot-id' => 77, summary => { operation => 'MERGE', 'engine-name' => 'Other/1' } };
	$metadata->{'current-snapshot-id'} = 77;
	return ("tables_$format/public.u/metadata/v4.metadata.json", JSON::PP::encode_json($metadata));
}

# tables_in(KIND, STORE, FORMAT)
sub tables_in
{
	my ($kind, $store, $format) = @_;
	my $dir = new_export_dir();

	$node->safe_psql('postgres', s3_server_sql('lake', $store, retries => 2, stall_timeout => 20));
	$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t AS SELECT i AS id, repeat('n', 90) AS note FROM generate_series(1, 3000) i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 100) i;
EOC
	foreach my $version (0 .. 2)
	{
		my $copy = "$dir/copy$version";

		$node->safe_psql('postgres',
			"CALL outflow.export_tables(ARRAY['t', 'u']::regclass[], 'lake:tables_$format', format => '$format', part_size => '64kB')");
		keep_rows($node, 'id, note) FROM t', "$dir/$version");
		s3_client($store, 'save', "tables_$format/public.t/", $copy);
		versions_are('plain', $copy, $dir, [ 0 .. $version ], "$kind, $format: version $version and those before");
		cmp_ok(abs(files_added($format, $copy, $version) - 1.5), '<', 1, "$kind, $format: only what changed is written anew") if $version;
		$node->safe_psql('postgres', "UPDATE t SET note = '$version' WHERE id = $version + 1");
	}
	is( $node->safe_psql('postgres', 'SELECT DISTINCT status FROM outflow.verify((SELECT max(job) FROM outflow.jobs))'),
		'ok', "$kind, $format: the last version stands verification");
	is( $node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('lake:tables_$format/public.t')"),
		'3', "$kind, $format: its versions");
	unlike(s3_client($store, 'list', ''), qr/\.outflow-/, "$kind, $format: nothing is left over");
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_vacuum('lake:tables_$format/public.t', interval '0')"),
		'>=', 1, "$kind, $format: vacuumed");
	s3_client($store, 'save', "tables_$format/public.t/", "$dir/copy");
	versions_are('plain', "$dir/copy", $dir, [2], "$kind, $format: the last version needs nothing of it");

	# another writer
	s3_client($store, 'put', foreign_version($format, $store, $dir));
	my (undef, undef, $said) =
	  $node->psql('postgres', "CALL outflow.export_tables(ARRAY['t', 'u']::regclass[], 'lake:tables_$format', format => '$format')");
	like($said, qr/version (3|77) of the \w+ table in ".*" is not of an export.*MERGE/s, "$kind, $format: a foreign version is refused");

	$node->safe_psql('postgres', "ALTER SERVER lake OPTIONS (ADD conditional 'none')");
	(undef, undef, $said) = $node->psql('postgres', "CALL outflow.export('t', 'lake:other_$format', format => '$format')");
	like($said, qr/nothing decides between two writers/, "$kind, $format: a store without conditions is refused");
	$node->safe_psql('postgres', 'SELECT outflow.forget(job) FROM outflow.jobs; DROP SERVER lake CASCADE; DROP TABLE t, u');
	unlike(s3_client($store, 'list', "other_$format/"), qr/parquet/, "$kind, $format: and leaves nothing");
	return;
}

# table_of_catalog(KIND, STORE, CATALOG): with files in the store
sub table_of_catalog
{
	my ($kind, $store, $catalog) = @_;
	my $dir = new_export_dir();

	local $ENV{LAKE_CATALOG} = "http://127.0.0.1:$catalog->{upstream} $kind t";
	$catalog->make_namespace($kind);
	$node->safe_psql('postgres', s3_server_sql('lake', $store, retries => 2, stall_timeout => 20) . $catalog->server_sql('cat', q{token 'T'})
		  . "CREATE TABLE t AS SELECT i AS id, repeat('n', 90) AS note FROM generate_series(1, 3000) i");
	foreach my $version (0 .. 2)
	{
		keep_rows($node, 'id, note) FROM t', "$dir/$version");
		$catalog->faults("POST /tables/t\$ lost");
		$node->safe_psql('postgres', qq(CALL outflow.export('t', 'lake:catalog/t', format => 'iceberg', part_size => '64kB',
			options => '{"catalog": "cat:$kind.t"}')));
		s3_client($store, 'save', 'catalog/t/', "$dir/copy$version");
		versions_are('plain', "$dir/copy$version", $dir, [ 0 .. $version ], "$kind: version $version of a catalog's table and those before");
		$node->safe_psql('postgres', "UPDATE t SET note = '$version' WHERE id = $version + 1");
	}
	$node->safe_psql('postgres', 'DROP SERVER lake CASCADE; DROP SERVER cat CASCADE; DROP TABLE t');
	return;
}

my $catalog = start_catalog();

foreach my $kind (qw(versitygw seaweedfs))
{
	my $store = start_s3($kind);

	tables_in($kind, $store, $_) foreach (qw(delta iceberg));
	table_of_catalog($kind, $store, $catalog);
	stop_s3($store);
}

$node->stop;
done_testing();
