# Promise: a Parquet file that was cut is refused by readers and by verify(),
# and readers, which are told by statistics, skip the row groups that a filter
# rules out.
use strict;
use warnings;

use Digest::SHA ();
use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('damage');

$node->safe_psql('postgres', <<'EOS');
CREATE TABLE source AS SELECT g::bigint AS id, md5(g::text) AS t,
	g * 0.25 AS n, ARRAY[g, g % 7] AS l FROM generate_series(1, 5000) g;
EOS

my $directory = export_parquet($node, 'source',
	arguments => q{options => '{"row_group_rows": 500}'});
my $file = "$directory/part-000000.parquet";
my $job = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');

check_parquet($node, 'postgres', 'damage', $file);

# ---- filters, on columns whose values grow with the row's number
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE sorted AS SELECT g::bigint AS id, g - 2500 AS small,
	(g * 0.25)::numeric(12,2) AS price, (g * 12345678901234567.5)::numeric(30,4)
	AS large, (g - 2500) * 0.5::float8 AS number, 'key ' || lpad(g::text, 8, '0')
	AS key, repeat('long prefix ', 4) || lpad(g::text, 100, '0') AS long_key,
	date '2020-01-01' + g AS day, timestamp '1969-12-01' + g * interval '1 hour'
	AS local, timestamptz '1969-12-01 00:00+00' + g * interval '1 hour' AS at,
	g > 4500 AS late, CASE WHEN g % 3 = 0 THEN g END AS gappy,
	ARRAY[g, g % 7] AS l FROM generate_series(1, 5000) g;
EOS
my $sorted = export_parquet($node, 'sorted',
	arguments => q{options => '{"row_group_rows": 500}'}) . '/part-000000.parquet';
my @columns = qw(id small price large number key day local at gappy);
check_parquet($node, 'postgres', 'skip', $sorted, 3333, @columns);
check_parquet($node, 'postgres', 'skip', $sorted, 4998, @columns, 'late');

# verdict(): what verify() says of the file
sub verdict
{
	return $node->safe_psql('postgres',
		"SELECT status, detail FROM outflow.verify($job)
		WHERE file = 'part-000000.parquet'");
}

# crc32c(BYTES)
sub crc32c
{
	my ($crc, @table) = (0xFFFFFFFF);

	foreach my $n (0 .. 255)
	{
		$n = $n & 1 ? ($n >> 1) ^ 0x82F63B78 : $n >> 1 foreach 1 .. 8;
		push @table, $n;
	}
	$crc = $table[($crc ^ $_) & 0xFF] ^ ($crc >> 8) foreach unpack('C*', $_[0]);
	return $crc ^ 0xFFFFFFFF;
}

# replace(BYTES): the file, with the job's record saying that it is right
sub replace
{
	my ($bytes) = @_;
	my $size = length($bytes);

	open(my $handle, '>:raw', $file) or die "could not write \"$file\": $!";
	print $handle $bytes;
	close($handle);
	$node->safe_psql('postgres', sprintf(
		q{UPDATE outflow.part SET bytes = %d, bytes_stored = %d, crc32c = %d,
			checksum = 'sha256:%s' WHERE job = %d},
		$size, $size, crc32c($bytes), Digest::SHA::sha256_hex($bytes), $job));
	return;
}

my $whole = slurp_file($file);
is(verdict(), 'ok|', 'verify() is content with the file');
foreach my $length (0, 7, 100, length($whole) / 2, length($whole) - 1)
{
	open(my $handle, '>:raw', $file) or die "could not write \"$file\": $!";
	print $handle substr($whole, 0, $length);
	close($handle);
	like(verdict(), qr/^wrong size\|/, "verify() sees that it was cut");
	replace(substr($whole, 0, $length));
	like(verdict(), qr/^wrong content\|The file has no sound end/,
		'even if its record was cut with it');
}
my $tail = length($whole) - unpack('V', substr($whole, -8, 4)) - 8;
foreach my $byte ($tail, $tail + 3, $tail + 40)
{
	my $flipped = $whole;

	substr($flipped, $byte, 1) = chr(ord(substr($whole, $byte, 1)) ^ 0x55);
	replace($flipped);
	like(verdict(), qr/^wrong /, 'or its end changed');
}
replace($whole);
$node->safe_psql('postgres',
	"UPDATE outflow.part SET rows = rows + 1 WHERE job = $job");
like(verdict(), qr/^wrong rows\|5001 rows were written, 5000 are there/,
	'the rows of the file are those of the record');

$node->stop;
done_testing();
