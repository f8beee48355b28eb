# Promise: a file of a Delta table has bounds for all times of the years 1 to
# 9999, which no value of it is beyond, and none for a column that has others.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('delta_bounds', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my @rows = (q{to_char(local, 'YYYY-MM-DD"T"HH24:MI:SS.US')}, q{to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US')}, 'day');
my $tables = 0;

# check_bounds(FROM, TO, MINIMUM, MAXIMUM, NAME): those of a table with these two times, without "T"
sub check_bounds
{
	my ($from, $to, $min, $max, $name) = @_;
	my $table = 'ends' . $tables++;
	my $stats;

	$node->safe_psql('postgres', <<"EOC");
SET TimeZone = UTC;
CREATE TABLE $table AS SELECT t::timestamp AS local, t::timestamptz AS at, t::timestamp::date AS day FROM (VALUES ('$from'), ('$to')) AS v (t);
CALL outflow.export('$table', 'file://$dir/$table', format => 'delta');
EOC
	$stats = JSON::PP::decode_json(delta_version("$dir/$table", 0)->{add}[0]{stats});
	foreach my $bound ([ 'minValues', $min ], [ 'maxValues', $max ])
	{
		my $text = $bound->[1] ? $bound->[1] =~ s/ /T/r : undef;

		is_deeply($stats->{ $bound->[0] }, $text ? { local => $text, at => $text . 'Z', day => substr($text, 0, 10) } : {},
			"$name: $bound->[0]");
	}
	return unless $max;
	keep_rows($node, join(', ', @rows) . ") FROM $table", "$dir/$table.rows/0");
	versions_are('plain', "$dir/$table", "$dir/$table.rows", [0], "$name: no value is beyond them");
}

mkdir "$dir/ends$_.rows" foreach (0 .. 4);
check_bounds('0001-01-01 00:00:00', '9999-12-31 00:00:00', '0001-01-01 00:00:00', '9999-12-31 00:00:00', 'the first and the last day');
check_bounds('0001-01-01 00:00:00.0015', '9999-12-31 23:59:59.998001', '0001-01-01 00:00:00.001', '9999-12-31 23:59:59.999', 'to the millisecond');
check_bounds('2000-01-01 00:00:00', '9999-12-31 23:59:59.999001', '2000-01-01 00:00:00', '9999-12-31 23:59:59.999999', 'more than the last millisecond');
check_bounds('2000-01-01 00:00:00', '10000-01-01 00:00:00', undef, undef, 'a year of five digits');
check_bounds('0001-12-31 23:59:59 BC', '2000-01-01 00:00:00', undef, undef, 'a year before Christ');

$node->stop;
done_testing();
