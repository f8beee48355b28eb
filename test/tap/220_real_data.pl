# Promise: both halves give back real data, which nobody made up for them:
# files are what COPY writes, whatever they are compressed with, and each
# JSON object, of a file or of the stream, casts back to its row.
#
# The data is the machine's own package catalogue; PACKAGES is how many rows.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $wanted = $ENV{PACKAGES} || 6000;
my $node = new_outflow_node('real',
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# loaded by the demo, under a slot
{
	my $loader = "$FindBin::RealBin/../demo/load_packages.pl";
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;

	create_slot($node, 'feed');
	system_or_bail('bash', '-c', <<"END");
set -e
apt-cache dumpavail | perl -00 -ne 'print if \$. <= $wanted' >'$dir/catalogue'
perl '$loader' packages <'$dir/catalogue' | psql -qX -v ON_ERROR_STOP=1 postgres
END
	unlink "$dir/catalogue";
}
my $rows = sql('SELECT count(*) FROM packages');
cmp_ok($rows, '>', 1000, 'the catalogue has packages: run apt-get update');

# differences(TABLE): rows that are in one of it and packages only
sub differences
{
	my ($table) = @_;

	return sql("SELECT count(*) FROM ((SELECT p::text FROM packages AS p"
		  . " EXCEPT ALL SELECT x::text FROM $table AS x) UNION ALL"
		  . " (SELECT x::text FROM $table AS x"
		  . " EXCEPT ALL SELECT p::text FROM packages AS p)) AS d");
}

# the stream, to its end
sql(<<'END');
CREATE TABLE streamed AS
SELECT (jsonb_populate_record(NULL::packages, data::jsonb -> 'new')).*
FROM pg_logical_slot_get_changes('feed', NULL, NULL, 'tables',
	'public.packages', 'include_transactions', 'off', 'include_schemas', 'off')
END
is(differences('streamed'), '0', 'the stream gives the rows');
is(sql('SELECT count(*) FROM streamed'), $rows, 'and as many');

# columns that rows on disk have or lack
sql('ALTER TABLE packages DROP COLUMN maintainer,'
	  . " ADD COLUMN added text DEFAULT 'ü, \"x\"'");

# files in every format that mirrors COPY, through the real decompressors
my %programs = (none => 'cat', gzip => 'gzip -dc', zstd => 'zstd -dcq',
	lz4 => 'lz4 -dcq');
foreach my $case (
	[ 'csv', 'none' ], [ 'csv', 'zstd' ], [ 'csv', 'lz4' ],
	[ 'text', 'gzip' ])
{
	my ($format, $compression) = @$case;
	my $place = "$dir/$format-$compression";

	sql("CALL outflow.export('packages', 'file://$place',"
		  . " format => '$format', compression => '$compression',"
		  . " part_size => '4MB')");
	sql("SET synchronize_seqscans = off;"
		  . " COPY packages TO '$dir/copy' (FORMAT $format)");
	cmp_ok(scalar(grep { /^part-/ } files_below($place)),
		'>', 1, "$format, $compression: in parts");
	is( system("cat $place/part-* | $programs{$compression}"
			  . " | cmp - $dir/copy"),
		0,
		"$format, $compression: what COPY writes");
}

sql("CALL outflow.export('packages', 'file://$dir/jsonl', format => 'jsonl',"
	  . " compression => 'gzip', part_size => '4MB')");
sql(<<"END");
CREATE TABLE lines (line text);
COPY lines FROM PROGRAM 'cat $dir/jsonl/part-* | gzip -dc'
	(FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02');
CREATE TABLE back AS
SELECT (jsonb_populate_record(NULL::packages, line::jsonb)).* FROM lines;
END
is(differences('back'), '0', 'jsonl: every line casts back to its row');

is( sql("SELECT DISTINCT v.status FROM outflow.jobs AS j,"
		  . " outflow.verify(j.job) AS v"),
	'ok',
	'every file is verified');

done_testing();
