# Promise: a table of many versions is known without reading all of them, also
# when the older ones are gone; what was kept for that is believed only as long as
# the log is still that one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('long', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my $lake = "$dir/t";

# version([LAKE]): exports a change, and what it says
sub version
{
	my $to = $_[0] // $lake;
	my ($out, $err);
	my $status;

	$node->safe_psql('postgres', 'UPDATE t SET id = id + 1 WHERE id % 50 = 0; DELETE FROM t WHERE id % 99 = 7');
	$status = $node->psql('postgres',
		"CALL outflow.export('t', 'file://$to', format => 'delta', part_size => '16kB', workers => 0)",
		stdout => \$out, stderr => \$err);
	return $err if $status;
	keep_rows($node, 'id) FROM t', "$dir/" . lake_last($to)) if $to eq $lake;
	return '';
}

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 3000) i');
is(join('', map { version() } 0 .. 11), '', 'twelve versions');
ok(-e "$lake/_delta_log/00000000000000000010.checkpoint.parquet", 'the tenth has a checkpoint');
like(slurp_file("$lake/_delta_log/_last_checkpoint"), qr/"version":10,/, 'which is named');
versions_are('plain', $lake, $dir, [ 0 .. 11 ], 'all versions are what they were');

# the lines that are kept are what the log says
my %kept = map { ((%$_)[0] eq 'add') ? ($_->{add}{path} => 1) : () }
  map { JSON::PP::decode_json($_) } split(/\n/, slurp_file("$lake/_delta_log/_outflow_state"));
my %files;
foreach my $version (map { delta_version($lake, $_) } 0 .. 10)
{
	delete $files{ $_->{path} } foreach @{ $version->{remove} };
	$files{ $_->{path} } = 1 foreach @{ $version->{add} };
}
is_deeply(\%kept, \%files, 'the state has the files of its version');

# a state that is damaged is in the way of nobody who has the log
my $copy = "$dir/copy";
my $state = "$copy/_delta_log/_outflow_state";
system('cp', '-r', $lake, $copy) == 0 or die;
my $whole = slurp_file($state);
my %damaged = (
	'cut off in its first line' => substr($whole, 0, 50),
	'cut off at its end' => substr($whole, 0, length($whole) - 50),
	'cut off between lines' => $whole =~ s/[^\n]*\n\z//r,
	'empty' => '',
	'of another version' => $whole =~ s/"version":10,/"version":-5,/r,
	'without a file' => $whole =~ s/part-000001/part-000031/r,
	'zeros' => "\0" x length($whole));
foreach my $damage (sort keys %damaged)
{
	replace_file($state, $damaged{$damage});
	is(version($copy), '', "a version beside a state that is $damage");
}
unlink(map { sprintf('%s/_delta_log/%020d.json', $copy, $_) } 0 .. 9);
foreach my $damage (sort keys %damaged)
{
	replace_file($state, $damaged{$damage});
	like(version($copy), qr/the log of the Delta table in ".*" is not complete\n.*lacks version 9.* File "_delta_log\/_outflow_state", .* is damaged: \S.*\nHINT/, "without a log it is told: $damage");
}
replace_file($state, $whole);
is(version($copy), '', 'mended, it goes on');
# one that is whole, and of another log, is said to be that
my $unused = qr/is not complete\n.*File "_delta_log\/_outflow_state", which has what the older ones said, /;
my $tenth = sprintf('%s/_delta_log/%020d.json', $copy, 10);
rename($tenth, "$dir/tenth") or die $!;
like(version($copy), qr/${unused}is of version 10, which is not there any more\.\nHINT/, 'a state that is outdated');
rename("$dir/tenth", $tenth) or die $!;
system('cp', '-r', $copy, "$dir/older") == 0 or die;
unlink(map { sprintf('%s/_delta_log/%020d.json', "$dir/older", $_) } 10 .. lake_last($copy));
system('cp', glob("$lake/_delta_log/*0[5-9].json"), "$dir/older/_delta_log/") == 0 or die;
like(version("$dir/older"), qr/lacks version 4, .* 9\..*${\'is of version 10, which is later\.\nHINT'}/, 'a state that is newer');

unlink(map { sprintf('%s/_delta_log/%020d.json', $lake, $_) } 0 .. 9);
is(version(), '', 'a version more, without the first ten');
is(lake_last($lake), 12, 'is the next one');

foreach my $version (map { delta_version($lake, $_) } 11, 12)
{
	delete $files{ $_->{path} } foreach @{ $version->{remove} };
	$files{ $_->{path} } = 1 foreach @{ $version->{add} };
}
is_deeply(
	[ sort keys %files ],
	[ sort split(/\n/, $node->safe_psql('postgres',
			"SELECT regexp_replace(file, '.*/', '') FROM outflow.parts WHERE job = (SELECT max(job) FROM outflow.jobs)")) ],
	'and has the files of its job, no more and no less');
is( $node->safe_psql('postgres', "SELECT min(version), max(version), count(*) FROM outflow.lake_versions('file://$lake')"),
	'10|12|3', 'what is left of the versions is told');

append_to_file("$lake/_delta_log/00000000000000000010.json", "\n");
like(version(), qr/${unused}is of another version 10 than is there\.\nHINT/, 'the state of another log is not believed');

$node->stop;
done_testing();
