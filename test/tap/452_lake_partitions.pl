# Promise: a version of a partitioned table is what a query has, whatever becomes of
# its partitions; and from each version a stream goes on with no gap and no duplicate.
use strict;
use warnings;

use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('partitions', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my @formats = qw(delta iceberg);
my $version = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# next_version(NAME, SQL): what changes, and the versions that have it
sub next_version
{
	my ($name, $change) = @_;

	sql($change);
	keep_rows($node, 'id, v) FROM p', "$dir/$version");
	foreach my $format (@formats)
	{
		sql("CALL outflow.export('p', 'file://$dir/$format/p', format => '$format', part_size => '16kB')");
		versions_are('plain', "$dir/$format/p", $dir, [ 0 .. $version ], "$format: $name");
	}
	$version++;
	return;
}

mkdir "$dir/$_" foreach @formats;
sql("SELECT pg_create_logical_replication_slot('feed', 'outflow')");
next_version('a table of partitions', <<'EOS');
CREATE TABLE p (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000) PARTITION BY RANGE (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (1000) TO (2000);
INSERT INTO p SELECT g, repeat('x', 50) FROM generate_series(0, 1999) AS g;
EOS
next_version('rows of one of them change', q(UPDATE p SET v = 'changed' WHERE id = 1500));
my @files = map { $_->{path} } @{ delta_version("$dir/delta/p", 1)->{add} };
cmp_ok(scalar(@files), '<=', 2, 'and few files are written anew');
next_version('a row moves to another one', 'UPDATE p SET id = 999 WHERE id = 1999');
next_version('one is attached, whose columns lie otherwise', <<'EOS');
CREATE TABLE p3 (gone int, v text, id int);
ALTER TABLE p3 DROP gone;
INSERT INTO p3 SELECT 'of the third', g FROM generate_series(2000, 2500) AS g;
ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (2000) TO (3000);
EOS
next_version('one is detached', 'ALTER TABLE p DETACH PARTITION p1');
next_version('one is emptied, another one dropped', 'TRUNCATE p2a; DROP TABLE p3');
next_version('the first one is there again', 'ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (1000)');

# a stream from each version
sql('CREATE TABLE log (id int)');
foreach my $id (1 .. 3)
{
	sql("INSERT INTO log VALUES ($id)");
	sql("CALL outflow.export('log', 'file://$dir/$_/log', format => '$_')") foreach @formats;
}
sql('INSERT INTO log VALUES (4)');
foreach my $format (@formats)
{
	my @snapshots = split(/\n/, sql("SELECT snapshot FROM outflow.lake_versions('file://$dir/$format/log')"));

	foreach my $number (1 .. 3)
	{
		is(sql("SELECT string_agg(data::json->'new'->>'id', ' ' ORDER BY lsn) FROM pg_logical_slot_peek_changes('feed', NULL, NULL,
			'tables', 'public.log', 'after_snapshot', '$snapshots[$number - 1]') WHERE data ~ '\"op\":\"insert\"'"),
			join(' ', $number + 1 .. 4), "$format: after version $number come the changes since");
	}
}

$node->stop;
done_testing();
