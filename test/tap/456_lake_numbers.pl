# Promise: a table whose number cannot be followed by another one is refused, and
# stays as it is; a name of more digits is no version's.
use strict;
use warnings;

use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('numbers', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my $last = '9223372036854775807';

# export(LAKE, FORMAT): what it says
sub export
{
	my ($lake, $format) = @_;

	return run_sql($node, "CALL outflow.export('t', 'file://$lake', format => '$format', workers => 0)");
}

# vacuum(LAKE): the same
sub vacuum { return run_sql($node, "SELECT * FROM outflow.lake_vacuum('file://$_[0]', interval '0')"); }

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i');

my $lake = "$dir/iceberg";
like(export($lake, 'iceberg'), qr/^\d+/, 'an Iceberg table');
rename("$lake/metadata/v1.metadata.json", "$lake/metadata/v$last.metadata.json") or die $!;
my @there = files_below($lake);
like(export($lake, 'iceberg'), qr/has number $last, the greatest that there is/, 'its last number has no next');
is_deeply([ files_below($lake) ], \@there, '... and nothing is written');
is($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('file://$lake')"), '1', '... and its versions are told');
rename("$lake/metadata/v$last.metadata.json", "$lake/metadata/v1.metadata.json") or die $!;
append_to_file("$lake/metadata/v${last}0.metadata.json", '{}');
like(export($lake, 'iceberg'), qr/has features that exports do not write/, 'a number that is too great is not ours');

$lake = "$dir/delta";
like(export($lake, 'delta'), qr/^\d+/, 'a Delta table');
append_to_file("$lake/_delta_log/09223372036854775808.json", '{}');
append_to_file("$lake/_delta_log/99999999999999999999.json", '{}');
like(export($lake, 'delta'), qr/^\d+/, 'files whose numbers are too great are no versions');
is(lake_last($lake) && scalar(grep { /_delta_log\/0{19}\d\.json/ } files_below($lake)), 2, '... and do not count');
mkdir "$dir/$_" or die $! foreach 'last', 'last/_delta_log';
system_or_bail('cp', "$lake/_delta_log/00000000000000000000.json", "$dir/last/_delta_log/0$last.json");
like(export("$dir/last", 'delta'), qr/is not complete/, 'the last number of a log that has no other');
is_deeply([ files_below("$dir/last") ], ["_delta_log/0$last.json"], '... and nothing is written');

$node->stop;
done_testing();
