# Promise: an Iceberg table's metadata tells of the past what is still there, keeps what
# others have set and heeds it, and lets no column that comes back have another type.
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

# write_metadata(CHANGE, TABLE): the next one of t
sub write_metadata { return write_iceberg_metadata("$dir/" . ($_[1] // 't'), $_[0]) }

# what has expired, between a version with a tag and others that stay
run_sql($node, 'CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i');
foreach my $version (0 .. 3)
{
	like(export('t'), qr/^\d+/, "version $version");
	run_sql($node, 'UPDATE t SET id = id + 1');
}
my @ids = map { $_->{'snapshot-id'} } @{ iceberg_metadata("$dir/t")->{snapshots} };
my %kept = ('min-snapshots-to-keep' => 2, 'max-snapshot-age-ms' => 10 * $day, 'max-ref-age-ms' => 20 * $day);
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
run_sql($node, 'DROP TABLE d; CREATE TABLE d (id int)');
like(export('d', q(options => '{"overwrite": true}')), qr/^\d+/, 'another table in its place');
run_sql($node, 'ALTER TABLE d ADD a date; INSERT INTO d VALUES (1, current_date)');
like(export('d'), qr/^\d+/, '... has columns of its own, though they are as many');
like(export('d', "columns => '{id}'"), qr/^\d+/, '... which are away');
run_sql($node, 'ALTER TABLE d ALTER a TYPE text');
like(export('d'), qr/ERROR:  column "a" of the Iceberg table cannot become what it is now.*It is "date" there/s, '... and back as what they were, and nothing else');

# versions that are to stay however old they are, and a table whose files are another's
run_sql($node, 'CREATE TABLE g AS SELECT i AS id FROM generate_series(1, 100) i');
foreach my $version (0 .. 6)
{
	like(export('g'), qr/^\d+/, "version $version");
	run_sql($node, 'UPDATE g SET id = id + 1');
}
my ($metadata_of_g) = iceberg_metadata("$dir/g");
@ids = map { $_->{'snapshot-id'} } @{ $metadata_of_g->{snapshots} };

sub left_of_g { return [ map { my $id = $_->{'snapshot-id'}; grep { $ids[$_] == $id } 0 .. $#ids } @{ iceberg_metadata("$dir/g")->{snapshots} } ] }
sub vacuum { return run_sql($node, "SELECT count(*) FROM outflow.lake_vacuum('file://$dir/g', '0')"); }

write_metadata(sub { $_[0]{properties}{'gc.enabled'} = 'false' }, 'g');
my @files = files_below("$dir/g");
like(vacuum(), qr/ERROR:  no file of the Iceberg table is to be removed\nDETAIL:  .*"gc.enabled" is "false".*HINT:  .*set the property to true/s, 'gc.enabled = false');
is_deeply([ files_below("$dir/g") ], \@files, '... removes nothing');
write_metadata(sub {
	my ($metadata) = @_;

	$metadata->{properties} = { 'gc.enabled' => 'TRUE' };
	$metadata->{snapshots}[$_]{'timestamp-ms'} = $now - (7 - $_) * $day foreach (0 .. 6);
	$metadata->{refs}{main}{'max-snapshot-age-ms'} = 6.5 * $day;
}, 'g');
unlike(vacuum(), qr/ERROR/, 'another property');
is_deeply(left_of_g(), [ 1 .. 6 ], 'a branch keeps versions for as long as it is to');
write_metadata(sub {
	my ($metadata) = @_;

	$metadata->{properties}{'history.expire.min-snapshots-to-keep'} = '3';
	$metadata->{refs}{main} = { 'snapshot-id' => $ids[6], type => 'branch', 'min-snapshots-to-keep' => 2, 'max-snapshot-age-ms' => 0.5 * $day };
	$metadata->{refs}{other} = { 'snapshot-id' => $ids[3], type => 'branch' };
}, 'g');
unlike(vacuum(), qr/ERROR/, 'by number');
is_deeply(left_of_g(), [ 1, 2, 3, 5, 6 ], '... and as many as it is to');
write_metadata(sub {
	my ($metadata) = @_;

	delete $metadata->{refs}{other};
	delete $metadata->{refs}{main}{'min-snapshots-to-keep'};
}, 'g');
unlike(vacuum(), qr/ERROR/, 'as the table says');
is_deeply(left_of_g(), [ 5, 6 ], '... what the branch says not, as far as versions are there');
write_metadata(sub { delete $_[0]{properties}{'history.expire.min-snapshots-to-keep'} }, 'g');
unlike(vacuum(), qr/ERROR/, 'nothing is said');
is_deeply(left_of_g(), [6], '... the last one');

# what tells rows apart, as others have set it
run_sql($node, 'CREATE TYPE part AS (x int); CREATE TABLE k (id int NOT NULL, f float8 NOT NULL, n int NOT NULL, p part NOT NULL, s text); INSERT INTO k VALUES (1, 2, 3, ROW(4), 5)');

# identifiers(): of the current schema, and its id
sub identifiers
{
	my $metadata_of_k = iceberg_metadata("$dir/k");
	my ($schema) = grep { $_->{'schema-id'} == $metadata_of_k->{'current-schema-id'} } @{ $metadata_of_k->{schemas} };

	return join(',', @{ $schema->{'identifier-field-ids'} // ['none'] }) . " in $schema->{'schema-id'}";
}

like(export('k'), qr/^\d+/, 'a table');
is(identifiers(), 'none in 0', 'exports set no identifier fields');
write_metadata(sub {
	my ($metadata) = @_;

	push @{ $metadata->{schemas} }, { %{ $metadata->{schemas}[0] }, 'schema-id' => 1, 'identifier-field-ids' => [ 3, 1 ] };
	$metadata->{'current-schema-id'} = 1;
}, 'k');
foreach my $change ([ q(UPDATE k SET s = 'x'), '3,1 in 1' ], [ 'ALTER TABLE k RENAME n TO m', '3,1 in 2' ], [ 'ALTER TABLE k ADD z int', '3,1 in 3' ],
	[ 'ALTER TABLE k ALTER m DROP NOT NULL', '1 in 4' ], [ 'ALTER TABLE k DROP z', '1 in 5' ], [ q(UPDATE k SET s = 'y'), '1 in 5' ])
{
	run_sql($node, $change->[0]);
	like(export('k'), qr/^\d+/, $change->[0]);
	is(identifiers(), $change->[1], '... they stay, as far as they may');
}
like(export('k', q(options => '{"overwrite": true}')), qr/^\d+/, 'all is replaced, by the same columns');
is(identifiers(), '1 in 5', '... they stay');
like(export('k', q(columns => '{s}')), qr/^\d+/, 'another set of columns');
is(identifiers(), 'none in 6', '... without them');

$node->stop;
done_testing();
