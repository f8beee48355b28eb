# Promise: what an export has written to an S3 store is listed and read there by
# PyArrow's S3 file system and by DuckDB's httpfs, small objects and multipart
# ones alike.
use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use FindBin;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $python = $ENV{OUTFLOW_LAKE} or die "run this by test/run\n";
my $node = new_outflow_node('s3');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'EOS');
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 20000) g;
CREATE TABLE large (id int, note text);
ALTER TABLE large ALTER note SET STORAGE EXTERNAL;
INSERT INTO large SELECT g, string_agg(md5(g || '/' || i), '') FROM generate_series(1, 400) g, generate_series(1, 1000) i GROUP BY g;
EOS

sub reads
{
	my ($store, $reader, $prefix) = @_;
	my ($out, $err) = ('', '');

	local %ENV = (
		%ENV, AWS_EC2_METADATA_DISABLED => 'true',
		S3_ENDPOINT => $store->{endpoint}, S3_KEY => $store->{key}, S3_SECRET => $store->{secret}, S3_BUCKET => $store->{bucket});
	IPC::Run::run([ $python, "$FindBin::RealBin/../lib/s3_readers.py", $reader, $prefix ], '<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	return $out || $err;
}

my %rows = map { $_ => sql("SELECT count(*) || ' ' || sum(id) || ' ' FROM $_")
	  . md5_hex(join('', sort split(/\n/, sql("SELECT note FROM $_")))) } qw(orders large);

foreach my $kind (qw(versitygw seaweedfs moto))
{
	my $store = start_s3($kind);

	sql(s3_server_sql('lake', $store, chunk_size => '5MB'));
	foreach my $table (qw(orders large))
	{
		my $size = $table eq 'large' ? '1GB' : '1MB';

		sql("CALL outflow.export('$table', 'lake:$table', format => 'parquet', part_size => '$size')");
		my $parts = sql('SELECT parts_total FROM outflow.jobs ORDER BY job DESC LIMIT 1');
		is(reads($store, $_, $table), "$rows{$table} $parts", "$kind: $_ reads $table") foreach qw(pyarrow duckdb);
	}
	sql('DROP SERVER lake CASCADE');
	stop_s3($store);
}

$node->stop;
done_testing();
