# Promise: Delta tables in S3 stores are the same tables: versions are carried,
# committed once, vacuumed, and refused where nothing decides between writers.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $node = new_outflow_node('s3', conf => "autovacuum = off\n");

foreach my $kind (qw(versitygw seaweedfs))
{
	my $store = start_s3($kind);
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
			"CALL outflow.export_tables(ARRAY['t', 'u']::regclass[], 'lake:tables', format => 'delta', part_size => '64kB')");
		keep_rows($node, 'id, note) FROM t', "$dir/$version");
		s3_client($store, 'save', 'tables/public.t/', $copy);
		versions_are('plain', $copy, $dir, [ 0 .. $version ], "$kind: version $version and those before");
		cmp_ok(abs(@{ delta_version($copy, $version)->{add} } - 1.5), '<', 1, "$kind: only what changed is written anew") if $version;
		$node->safe_psql('postgres', "UPDATE t SET note = '$version' WHERE id = $version + 1");
	}
	is( $node->safe_psql('postgres', 'SELECT DISTINCT status FROM outflow.verify((SELECT max(job) FROM outflow.jobs))'),
		'ok', "$kind: the last version stands verification");
	is( $node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('lake:tables/public.t')"),
		'3', "$kind: its versions");
	unlike(s3_client($store, 'list', ''), qr/\.outflow-/, "$kind: nothing is left over");
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_vacuum('lake:tables/public.t', interval '0')"),
		'>=', 1, "$kind: vacuumed");
	s3_client($store, 'save', 'tables/public.t/', "$dir/copy");
	versions_are('plain', "$dir/copy", $dir, [2], "$kind: the last version needs nothing of it");

	# another writer
	s3_client($store, 'put', 'tables/public.u/_delta_log/' . sprintf('%020d', 3) . '.json',
		'{"commitInfo":{"operation":"MERGE","engineInfo":"Other/1"}}' . "\n" . '{"remove":{"path":"x","dataChange":true}}');
	my (undef, undef, $said) =
	  $node->psql('postgres', "CALL outflow.export_tables(ARRAY['t', 'u']::regclass[], 'lake:tables', format => 'delta')");
	like($said, qr/version 3 of the Delta table in ".*" is not of an export.*MERGE/s, "$kind: a foreign version is refused");

	$node->safe_psql('postgres', "ALTER SERVER lake OPTIONS (ADD conditional 'none')");
	(undef, undef, $said) = $node->psql('postgres', "CALL outflow.export('t', 'lake:other', format => 'delta')");
	like($said, qr/nothing decides between two writers/, "$kind: a store without conditions is refused");
	$node->safe_psql('postgres', 'SELECT outflow.forget(job) FROM outflow.jobs; DROP SERVER lake CASCADE; DROP TABLE t, u');
	unlike(s3_client($store, 'list', 'other/'), qr/parquet/, "$kind: and leaves nothing");
	stop_s3($store);
}

$node->stop;
done_testing();
