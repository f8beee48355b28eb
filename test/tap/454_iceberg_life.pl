# Promise: an Iceberg table of many versions keeps the last hundred metadata files,
# and all versions in each; what was moved or copied is whole again with the next
# export, and names nothing of the place where it was; a column stays optional once it
# was.
use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('life', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my $lake = "$dir/t";

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export_sql(PLACE)
sub export_sql
{
	my ($place) = @_;

	return "CALL outflow.export('t', 'file://$place', format => 'iceberg', part_size => '16kB', workers => 0);\n";
}

# next_version(PLACE): and what it is
sub next_version
{
	my ($place) = @_;

	sql(export_sql($place));
	keep_rows($node, 'id, n) FROM t', "$dir/" . lake_last($place));
	return lake_last($place);
}

# required(): whether n is, as the current schema has it
sub required
{
	my $metadata = iceberg_metadata($lake);
	my ($schema) = grep { $_->{'schema-id'} == $metadata->{'current-schema-id'} } @{ $metadata->{schemas} };

	return (map { $_->{required} ? 1 : 0 } grep { $_->{name} eq 'n' } @{ $schema->{fields} })[0];
}

# outside(TABLE): what its last metadata and all manifests of that name elsewhere, also as
# deleted: whoever expires versions removes it
sub outside
{
	my ($table) = @_;
	my $metadata = iceberg_metadata($table);
	my @named = (
		$metadata->{location},
		map { ref ? () : $_ } map { values %$_ } map { @{ $metadata->{$_} // [] } } qw(snapshots metadata-log statistics));
	my ($out, $err) = ('', '');

	IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, '-c', <<'EOP', map { $_->{'manifest-list'} } @{ $metadata->{snapshots} } ], '>', \$out, '2>', \$err) or die $err;
import fastavro, sys
path = lambda uri: uri.removeprefix('file://')
for uri in sys.argv[1:]:
    for manifest in fastavro.reader(open(path(uri), 'rb')):
        print(manifest['manifest_path'])
        for entry in fastavro.reader(open(path(manifest['manifest_path']), 'rb')):
            print(entry['data_file']['file_path'])
EOP
	return grep { m{^file:} && index("$_/", "file://$table/") } @named, split(/\n/, $out);
}

# what was ever null
sql('CREATE TABLE t AS SELECT i AS id, i AS n FROM generate_series(1, 1000) i; ALTER TABLE t ALTER n SET NOT NULL');
next_version($lake);
is(required(), 1, 'a column that is never null');
sql('ALTER TABLE t ALTER n DROP NOT NULL; UPDATE t SET n = NULL WHERE id = 7');
next_version($lake);
is(required(), 0, 'that may be null from then on');
sql('UPDATE t SET n = 7 WHERE id = 7; ALTER TABLE t ALTER n SET NOT NULL');
my $last = next_version($lake);
is(required(), 0, '... stays so for readers of older versions');
versions_are('plain', $lake, $dir, [ 0 .. $last ], 'all versions are what they were');

# many versions
sql(join('', ("UPDATE t SET n = n + 1 WHERE id = 1;\n" . export_sql($lake)) x 102));
$last = lake_last($lake);
is($last, 104, 'a hundred versions more');
is_deeply([ sort { $a <=> $b } map { m{/v(\d+)\.metadata\.json$} ? $1 : () } glob("$lake/metadata/v*.json") ], [ 6 .. 105 ],
	'the last hundred metadata files are there');
my $metadata = iceberg_metadata($lake);
is_deeply([ grep { my $file = $_->{'metadata-file'} =~ s{^file://}{}r; !-e $file } @{ $metadata->{'metadata-log'} } ], [],
	'and all that the last one names');
is(scalar @{ $metadata->{snapshots} }, 105, 'which has all versions');
keep_rows($node, 'id, n) FROM t', "$dir/$last");
versions_are('plain', $lake, $dir, [ 0 .. 2, $last ], 'that can be read, the first ones, too');

# another place
my $moved = "$dir/moved";
rename($lake, $moved) or die $!;
sql('UPDATE t SET n = n + 1 WHERE id = 1');
$last = next_version($moved);
is($last, 105, 'a table that was moved goes on');
my @files = iceberg_files($moved, $last);
is_deeply([ grep { index($_, "file://$moved/") } @files ], [], 'and names all of its files where they are');
is(iceberg_snapshot($moved, $last)->{summary}{'added-data-files'}, scalar(@files), 'each of which is written anew');
# versions of before name what they had in the old place
symlink($moved, $lake) or die $!;
versions_are('plain', $moved, $dir, [$last], 'it is what was exported');
is_deeply([ outside($moved) ], [], 'and names nothing of the old place');

# a copy, whose original must outlive what is done to it
my ($original, $copy) = ("$dir/original", "$dir/copy");
sub vacuum { return sql("SELECT count(*) FROM outflow.lake_vacuum('file://$copy', '0')"); }

foreach (0 .. 2)
{
	sql('UPDATE t SET n = n + 1 WHERE id = 1');
	$last = next_version($original);
}
$metadata = iceberg_metadata($original);
my @ids = map { $_->{'snapshot-id'} } @{ $metadata->{snapshots} };
$metadata->{refs}{first} = { 'snapshot-id' => $ids[0], type => 'tag' };
$metadata->{refs}{main}{'max-ref-age-ms'} = 12345678;
$metadata->{statistics} = [ { 'snapshot-id' => $ids[0], 'statistics-path' => "file://$original/metadata/s.puffin" } ];
append_to_file("$original/metadata/v4.metadata.json", JSON::PP::encode_json($metadata));
system('cp', '-a', $original, $copy) == 0 or die $!;
vacuum();
is_deeply([ map { $_->{'snapshot-id'} } @{ iceberg_metadata($copy)->{snapshots} } ], [ @ids[ 0, 2 ] ], 'a copy, from which a version was expired');
sql('UPDATE t SET n = n + 1 WHERE id = 1');
$last = next_version($copy);
is_deeply([ outside($copy) ], [], 'after an export it names nothing of the original');
is(iceberg_snapshot($copy, $last)->{summary}{operation}, 'overwrite', 'it has other files than before');
$metadata = iceberg_metadata($copy);
is_deeply($metadata->{refs}, { main => { 'snapshot-id' => $metadata->{'current-snapshot-id'}, type => 'branch', 'max-ref-age-ms' => 12345678 } },
	'no tag is left without its version, and its branch keeps what others have set');
sql('UPDATE t SET n = n + 1 WHERE id = 1');
$last = next_version($copy);
is_deeply([ outside($copy) ], [], 'nor after another one');
is_deeply([ map { $_->{'sequence-number'} } @{ iceberg_metadata($copy)->{snapshots} } ], [ $last, $last + 1 ], '... which goes on from that');
versions_are('plain', $copy, $dir, [ $last - 1, $last ], 'each is what was exported');
vacuum();
is_deeply([ sort map { s{.*/}{}r } glob("$copy/part-*") ], [ sort map { s{.*/}{}r } iceberg_files($copy, $last) ], 'and no file is left of before');

$node->stop;
done_testing();
