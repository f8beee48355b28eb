# Promise: an Iceberg table of many versions keeps the last hundred metadata files,
# and all versions in each; what was moved is whole again with the next export; a
# column stays optional once it was.
use strict;
use warnings;

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

$node->stop;
done_testing();
