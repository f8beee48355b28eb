# Promise: what a version keeps of a job goes when no version has it any more,
# however long ago the job's own version was expired, or its log cleaned up; and
# what is not of this database stays.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('cold', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my $versions = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# next_version(LAKE, FORMAT, WHERE): the rows there change, and a version is made
sub next_version
{
	my ($lake, $format, $where) = @_;

	sql("UPDATE t SET n = n + 1 WHERE $where") if $where;
	sql("CALL outflow.export('t', 'file://$lake', format => '$format', part_size => '64kB', workers => 0)");
	return;
}

# vacuum(LAKE): the files that went
sub vacuum { return split(/\n/, sql("SELECT file FROM outflow.lake_vacuum('file://$_[0]', interval '0')")); }

# edit_metadata(LAKE, EDIT): the last one
sub edit_metadata
{
	my ($lake, $edit) = @_;
	my $metadata = iceberg_metadata($lake);
	my $file = "$lake/metadata/v" . iceberg_number($lake) . '.metadata.json';

	$edit->($metadata);
	unlink $file;
	append_to_file($file, JSON::PP::encode_json($metadata));
	return;
}

# only_last(LAKE, NAME): nothing is there but what the last version has
sub only_last
{
	my ($lake, $name) = @_;
	my $last = lake_last($lake);

	is_deeply([ lake_files($lake) ], [ sort map { s{.*/}{}r } iceberg_files($lake, $last) ], "$name: no data file more");
	is_deeply([ sort map { s{.*/}{}r } glob("$lake/metadata/*.avro") ], [ sort(iceberg_manifests($lake)) ], "$name: no manifest more");
	keep_rows($node, 'id, n, note) FROM t', "$dir/" . ++$versions);
	rename("$dir/$versions", "$dir/$last") or die $!;
	versions_are('plain', $lake, $dir, [$last], "$name: the last version holds");
	unlink "$dir/$last";
	return;
}

# files_of_job(): those of the last job's version
sub files_of_job { return [ split(/\n/, sql("SELECT regexp_replace(file, '.*/', '') COLLATE \"C\" AS name FROM outflow.parts WHERE job = (SELECT max(job) FROM outflow.jobs) ORDER BY name")) ]; }

# fill(): the rows of the beginning, and no room between them
sub fill
{
	sql("TRUNCATE t; INSERT INTO t SELECT i, 0, repeat('n', 90) FROM generate_series(1, 3000) i");
	return;
}

sql('CREATE TABLE t (id int, n int, note text)');
fill();

my $lake = "$dir/iceberg";
next_version($lake, 'iceberg');
my @first = lake_files($lake);
foreach my $round (1 .. 3)
{
	next_version($lake, 'iceberg', 'id = 1');
	vacuum($lake);
}
vacuum($lake);
my @cold = grep { -e "$lake/$_" } @first;
cmp_ok(scalar @cold, '>', 1, 'files of the first job are there still, whose version is told nowhere');
foreach my $round (1, 2)
{
	my %gone;

	next_version($lake, 'iceberg', 'true');
	$gone{$_} = 1 foreach vacuum($lake), vacuum($lake);
	is_deeply([ grep { !$gone{$_} } @cold ], [], 'they go with the last version that has them') if $round == 1;
	only_last($lake, "round $round");
}

# what a vacuum leaves that is killed once its metadata is there
$lake = "$dir/killed";
fill();
next_version($lake, 'iceberg');
foreach my $round (1 .. 2)
{
	next_version($lake, 'iceberg', 'id = 1');
	vacuum($lake);
}
vacuum($lake);
next_version($lake, 'iceberg', 'true');
system_or_bail('cp', '-a', $lake, "$dir/before");
vacuum($lake);
system_or_bail('cp', '-an', "$dir/before/.", "$lake/");
vacuum($lake) foreach 1, 2;
only_last($lake, 'after the next one');

# a manifest that is damaged, of a version that nobody needs
$lake = "$dir/damaged";
fill();
next_version($lake, 'iceberg');
next_version($lake, 'iceberg', 'true') foreach 1, 2;
foreach my $file (glob("$lake/metadata/*.avro"))
{
	my $name = $file =~ s{.*/}{}r;

	truncate($file, 100) or die $! if iceberg_snapshot($lake, 0)->{'manifest-list'} =~ /\Q$name\E$/;
}
vacuum($lake) foreach 1, 2;
only_last($lake, 'damaged');
# old metadata that is damaged is in no vacuum's way
$lake = "$dir/metadata";
fill();
next_version($lake, 'iceberg');
next_version($lake, 'iceberg', 'true') foreach 1 .. 4;
replace_file("$lake/metadata/v3.metadata.json", 'damaged');
my ($code, $out, $err) = $node->psql('postgres', "SELECT file FROM outflow.lake_vacuum('file://$lake', interval '0')");
is($code, 0, 'damaged metadata: the vacuum ends well');
like($err, qr/WARNING:  not all versions in "v3.metadata.json" of the Iceberg table are known\nDETAIL:  ./, '... and tells of it');
vacuum($lake);
only_last($lake, 'damaged metadata');
is(join(' ', grep { -e "$lake/metadata/v$_.metadata.json" } 1 .. 4), '', 'damaged metadata: none that is older is left');

# a copy of the server says that the job is its own, whose files are carried
foreach my $damaged (0, 1)
{
	$lake = "$dir/copy_$damaged";
	fill();
	next_version($lake, 'iceberg');
	@first = lake_files($lake);
	edit_metadata($lake, sub { $_[0]{snapshots}[0]{summary}{'outflow.server'} = 'another' });
	sql("UPDATE t SET n = n + 1 WHERE id = 1");
	sql("CALL outflow.export('t', 'file://$lake', format => 'iceberg', part_size => '64kB', workers => 0, options => '{\"overwrite\": true}')");
	my %carried = map { s{.*/}{}r => 1 } iceberg_files($lake, 1);
	cmp_ok(scalar(grep { $carried{$_} } @first), '>', 1, "a copy's files are carried");
	next_version($lake, 'iceberg', 'true');
	edit_metadata($lake, sub { shift @{ $_[0]{snapshots} }; shift @{ $_[0]{'snapshot-log'} } });
	replace_file("$lake/metadata/v$_.metadata.json", 'damaged') foreach $damaged ? (1, 2) : ();
	vacuum($lake) foreach 1, 2;
	is_deeply([ grep { !-e "$lake/$_" } @first ], [], '... and stay where they are' . ($damaged ? ', though what says so is damaged' : ''));
}

# another program has cleaned up the log of a Delta table
$lake = "$dir/delta";
fill();
next_version($lake, 'delta');
@first = lake_files($lake);
next_version($lake, 'delta', 'id = 1') foreach 1 .. 10;
vacuum($lake);
unlink map { sprintf("$lake/_delta_log/%020d.json", $_) } 0 .. 9;
@cold = grep { -e "$lake/$_" } @first;
cmp_ok(scalar @cold, '>', 1, 'files of the first job are there still, whose version is not in the log');
next_version($lake, 'delta', 'true');
vacuum($lake);
is_deeply([ grep { -e "$lake/$_" } @cold ], [], 'they go with the last version that has them');
is_deeply([ lake_files($lake) ], files_of_job(), '... and nothing else is there');

# the same, removed before the state was written
$lake = "$dir/removed";
fill();
next_version($lake, 'delta');
@first = lake_files($lake);
next_version($lake, 'delta', 'id = 1') foreach 1 .. 8;
next_version($lake, 'delta', 'true') foreach 9, 10;
unlink map { sprintf("$lake/_delta_log/%020d.json", $_) } 0 .. 9;
vacuum($lake);
is_deeply([ grep { -e "$lake/$_" } @first ], [], 'what was removed before the clean-up goes');
next_version($lake, 'delta', 'id = 1') foreach 11 .. 20;
unlink map { sprintf("$lake/_delta_log/%020d.json", $_) } 10 .. 19;
next_version($lake, 'delta', 'true');
vacuum($lake);
is_deeply([ lake_files($lake) ], files_of_job(), '... and so after another one');

$node->stop;
done_testing();
