# Promise: a tag that others set in a catalog is neither expired nor lost to an export;
# where one comes in the midst of a vacuum, the vacuum says so and removes no file.
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

my $catalog = start_catalog($ENV{OUTFLOW_CATALOG} // die "OUTFLOW_CATALOG is not set: run this test by test/run\n");
my $node = new_outflow_node('refs', conf => "autovacuum = off\noutflow.retries = 0\n");
my $dir = new_export_dir();
my $lake = "$dir/t";
my $export = "CALL outflow.export('t', 'file://$lake', format => 'iceberg', part_size => '64kB', options => '{\"catalog\": \"cat:shop.t\"}')";
my $vacuum = "SELECT count(*) FROM outflow.lake_vacuum('file://$lake', interval '0', 'cat:shop.t')";

$ENV{LAKE_CATALOG} = "http://127.0.0.1:$catalog->{upstream} shop t";
$catalog->make_namespace('shop');
$node->safe_psql('postgres', $catalog->server_sql('cat', q{token 'T'})
	  . "CREATE TABLE t AS SELECT i AS id, repeat('n', 90) AS note FROM generate_series(1, 3000) i");

# next_versions(COUNT): their ids
sub next_versions
{
	my ($count) = @_;

	foreach (1 .. $count)
	{
		$node->safe_psql('postgres', 'UPDATE t SET note = note WHERE id % 1000 = 0');
		keep_rows($node, 'id, note) FROM t', "$dir/" . (lake_last($lake) + 1));
		$node->safe_psql('postgres', $export);
	}
	return map { $_->{'snapshot-id'} } $catalog->snapshots('shop', 't');
}

# refs(): name => snapshot
sub refs
{
	my $refs = iceberg_metadata($lake)->{refs};

	return map { $_ => $refs->{$_}{'snapshot-id'} } sort keys %$refs;
}

# while_held(FAULT, SQL, SNAPSHOT, TAG): what is said of it, where the tag is set meanwhile
sub while_held
{
	my ($fault, $sql, $snapshot, $tag) = @_;

	$catalog->set($_) foreach (qw(go held));
	$catalog->faults($fault);
	my ($session, $told) = start_psql($node, $sql);
	wait_for_line("$catalog->{dir}/held", qr/./);
	$catalog->set_ref('shop', 't', $tag, $snapshot);
	$catalog->set('go', '');
	$session->finish;
	$catalog->faults();
	return $$told;
}

my @ids = next_versions(3);

# an export
$node->safe_psql('postgres', 'UPDATE t SET note = note WHERE id % 1000 = 0');
keep_rows($node, 'id, note) FROM t', "$dir/3");
unlike(while_held('POST /tables/t$ hold', $export, $ids[1], 'second'), qr/ERROR/, 'an export beside which a tag is set');
is_deeply({ refs() }, { main => ($catalog->snapshots('shop', 't'))[-1]{'snapshot-id'}, second => $ids[1] }, 'the tag is there');
versions_are('plain', $lake, $dir, [ 0 .. 3 ], 'and all versions');

# a vacuum keeps what has a tag
$catalog->faults();
cmp_ok($node->safe_psql('postgres', $vacuum), '>', 0, 'a vacuum');
my $looks = 0;
foreach ($catalog->requests(qr{tables/t}))
{
	last if /^POST/;
	$looks++;
}
is_deeply([ map { $_->{'snapshot-id'} } $catalog->snapshots('shop', 't') ], [ $ids[1], { refs() }->{main} ], 'keeps the version that has a tag');
versions_are('plain', $lake, $dir, [ 1, 3 ], 'which is what it was');

# one that is set while the vacuum reads what it needs
@ids = next_versions(2);
my @files = files_below($lake);
like(while_held('GET /tables/t hold 1 ' . ($looks - 1), $vacuum, $ids[-2], 'before'), qr/another writer has changed the Iceberg table.*Try again/s,
	'a tag that is set while a vacuum reads');
is_deeply([ grep { !/metadata\.json/ } files_below($lake) ], [ grep { !/metadata\.json/ } @files ], 'no file is removed');
is({ refs() }->{before}, $ids[-2], 'the tag stays');
$node->safe_psql('postgres', $vacuum);
is({ refs() }->{before}, $ids[-2], 'and after the next vacuum, too');
versions_are('plain', $lake, $dir, [ 1, 4, 5 ], 'with all versions that have one');

# one that is set when the request is on its way
@ids = next_versions(2);
@files = files_below($lake);
my $said = while_held('POST /tables/t$ hold', $vacuum, $ids[-2], 'within');
like($said, qr/version $ids[-2] of the Iceberg table in ".*" was named "within" while it was being expired/, 'a tag that is set while one is expired');
is_deeply([ grep { !/metadata\.json/ } files_below($lake) ], [ grep { !/metadata\.json/ } @files ], 'no file is removed');
my ($file) = $said =~ /metadata file "([^"]+)" has them/;
ok(-e "$lake/metadata/$file", 'what it names is there');
$catalog->ask('DELETE', 'namespaces/shop/tables/t');
$catalog->ask('POST', 'namespaces/shop/register', { name => 't', 'metadata-location' => "file://$lake/metadata/$file" });
is({ refs() }->{within}, $ids[-2], 'registered anew, the tag is there again');
versions_are('plain', $lake, $dir, [ 1, 4 .. 7 ], 'and its version, and the others');

$node->stop;
done_testing();
