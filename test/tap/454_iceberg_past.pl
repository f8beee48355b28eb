# Promise: an Iceberg table's metadata tells of the past what is still there, keeps what
# others have set, and lets no column that comes back have another type.
use strict;
use warnings;

use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('past', conf => "autovacuum = off\noutflow.retries = 0\n");
my $dir = new_export_dir();
my $now = time() * 1000;
my $day = 86400 * 1000;

# export(TABLE, OPTIONS)
sub export
{
	my ($table, $options) = @_;

	return run_sql($node, "CALL outflow.export('$table', 'file://$dir/$table', format => 'iceberg', workers => 0" . ($options ? ", $options" : '') . ')');
}

# write_metadata(CHANGE): the next one of t, made of the last
sub write_metadata
{
	my ($change) = @_;
	my $metadata = iceberg_metadata("$dir/t");

	$change->($metadata);
	append_to_file("$dir/t/metadata/v" . (iceberg_number("$dir/t") + 1) . '.metadata.json', JSON::PP::encode_json($metadata));
	return;
}

# what has expired, between a version with a tag and others that stay
run_sql($node, 'CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i');
foreach my $version (0 .. 3)
{
	like(export('t'), qr/^\d+/, "version $version");
	run_sql($node, 'UPDATE t SET id = id + 1');
}
my @ids = map { $_->{'snapshot-id'} } @{ iceberg_metadata("$dir/t")->{snapshots} };
my %kept = ('min-snapshots-to-keep' => 5, 'max-snapshot-age-ms' => 10 * $day, 'max-ref-age-ms' => 20 * $day);
write_metadata(sub {
	my ($metadata) = @_;
	my @ages = (30, 20, 10, 0);

	foreach my $i (0 .. 3)
	{
		$metadata->{$_}[$i]{'timestamp-ms'} = $now - $ages[$i] * $day foreach qw(snapshots snapshot-log);
	}
	$metadata->{refs}{main}{$_} = $kept{$_} foreach keys %kept;
	$metadata->{refs}{tag} = { 'snapshot-id' => $ids[0], type => 'tag', 'max-ref-age-ms' => 7 };
	$metadata->{statistics} = [ map { { 'snapshot-id' => $ids[$_], 'statistics-path' => "file:///of/$_" } } (1, 2) ];
	$metadata->{'partition-statistics'} = [ { 'snapshot-id' => $ids[1], 'statistics-path' => 'file:///of/1' } ];
});
unlike(run_sql($node, "SELECT count(*) FROM outflow.lake_vacuum('file://$dir/t')"), qr/ERROR/, 'a vacuum');
my $metadata = iceberg_metadata("$dir/t");
is_deeply([ map { $_->{'snapshot-id'} } @{ $metadata->{snapshots} } ], [ @ids[ 0, 2, 3 ] ], 'expires a version');
is_deeply([ map { $_->{'snapshot-id'} } @{ $metadata->{'snapshot-log'} } ], [ @ids[ 2, 3 ] ], 'and what the table was until then is not told any more');
is_deeply([ map { $_->{'snapshot-id'} } @{ $metadata->{statistics} } ], [ $ids[2] ], 'statistics of the expired version go');
is_deeply($metadata->{'partition-statistics'}, [], '... of its partitions, too');
foreach my $when ('a vacuum', 'an export')
{
	like(export('t'), qr/^\d+/, $when) if $when eq 'an export';
	$metadata = iceberg_metadata("$dir/t");
	is_deeply({ map { $_ => $metadata->{refs}{main}{$_} } keys %kept }, \%kept, "$when keeps how long the branch's versions are to stay");
	is($metadata->{refs}{main}{'snapshot-id'}, $metadata->{'current-snapshot-id'}, '... which is the table');
	is($metadata->{refs}{tag}{'max-ref-age-ms'}, 7, '... and tags as they are');
	is_deeply([ map { $_->{'snapshot-id'} } @{ $metadata->{statistics} } ], [ $ids[2] ], '... and statistics');
}

# many metadata files in the log
write_metadata(sub {
	my ($metadata) = @_;

	$metadata->{'metadata-log'} = [ map { { 'timestamp-ms' => $_, 'metadata-file' => "file:///of/$_" } } (1 .. 20_000) ];
});
like(export('t'), qr/^\d+/, 'an export after very many metadata files');
my @logged = map { $_->{'timestamp-ms'} } @{ iceberg_metadata("$dir/t")->{'metadata-log'} };
is_deeply([ @logged[ 0 .. $#logged - 1 ] ], [ 19_903 .. 20_000 ], 'tells of the last 99');

# a column that is left out, and comes back as something else
run_sql($node, 'CREATE TABLE d (id int, a int, b int); INSERT INTO d VALUES (1, 2, 3)');
like(export('d'), qr/^\d+/, 'all columns');
like(export('d', "columns => '{id,a}'"), qr/^\d+/, 'two of them');
run_sql($node, 'ALTER TABLE d ALTER b TYPE bigint');
like(export('d'), qr/^\d+/, 'the third is back, and wider');
like(export('d', "columns => '{id,a}'"), qr/^\d+/, 'and away');
run_sql($node, 'ALTER TABLE d ALTER b TYPE text');
like(export('d'), qr/ERROR:  column "b" of the Iceberg table cannot become what it is now.*It is "long" there/s, 'it cannot be back as text');
like(export('d', q(options => '{"overwrite": true}')), qr/^\d+/, 'unless all is replaced');
like(export('d', "columns => '{id,a}'"), qr/^\d+/, 'away once more');
like(export('d'), qr/^\d+/, '... and back as what it was last');

$node->stop;
done_testing();
