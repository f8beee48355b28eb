# Promise: a real store takes each option of a server as it is meant: what objects
# are stored as, buckets in hosts' names, checksums of whole objects, copies by
# ranges, and keys that are exchanged while a job runs.
use strict;
use warnings;

use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $node = new_outflow_node('s3', conf => "outflow.retries = 0\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub json { return JSON::PP->new->allow_nonref->decode($_[0]); }

sql(<<'EOS');
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 20000) g;
CREATE TABLE large (id int, payload text);
ALTER TABLE large ALTER payload SET STORAGE EXTERNAL;
INSERT INTO large SELECT g, string_agg(md5(g || '/' || i), '') FROM generate_series(1, 600) g, generate_series(1, 1000) i GROUP BY g;
EOS
my %lines = map { $_ => join("\n", sort split(/\n/, sql("COPY $_ TO STDOUT (FORMAT csv)"))) } qw(orders large);

# is_whole(STORE, TABLE, PREFIX, TITLE): as boto3 reads it; and nothing beside it
sub is_whole
{
	my ($store, $table, $prefix, $title) = @_;

	ok(join("\n", sort split(/\n/, s3_client($store, 'parts', "$prefix/"))) eq $lines{$table}, "$title: whole");
	unlike(s3_client($store, 'list', "$prefix/"), qr/\.outflow-/, "$title: nothing is staged any more");
	is(s3_client($store, 'uploads'), '', "$title: no upload is left");
	return;
}

# What objects are stored as: small ones, multipart ones, carried ones
my $moto = start_s3('moto');
my $key = 'arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555';
my %stored = (
	s3 => { encryption => 's3', storage_class => 'STANDARD_IA' },
	kms => { encryption => 'kms', kms_key_id => $key, storage_class => 'ONEZONE_IA' });
foreach my $encryption (sort keys %stored)
{
	sql(s3_server_sql('lake', $moto, %{ $stored{$encryption} }, tags => 'team=data&note=a%20b', content_type => 'text/csv', chunk_size => '5MB', max_copy_size => '6MB'));
	my $job = sql("CALL outflow.export('large', 'lake:$encryption/large', part_size => '1GB')");

	sql("CALL outflow.export('large', 'lake:$encryption/carried', part_size => '1GB', base => $job)");
	sql("CALL outflow.export('orders', 'lake:$encryption/orders', part_size => '1MB')");
	is_whole($moto, 'large', "$encryption/carried", "carried with $encryption");
	foreach my $name (map { "$encryption/$_" } qw(large/part-000000.csv carried/part-000000.csv orders/part-000001.csv orders/_manifest.json orders/_SUCCESS))
	{
		my $head = json(s3_client($moto, 'head', $name));

		is($head->{ServerSideEncryption}, $encryption eq 's3' ? 'AES256' : 'aws:kms', "$name: encrypted");
		is($head->{SSEKMSKeyId}, $encryption eq 'kms' ? $key : undef, "$name: by its key");
		is($head->{StorageClass}, $stored{$encryption}{storage_class}, "$name: storage class");
		is($head->{ContentType}, 'text/csv', "$name: type");
		is_deeply({ map { $_->{Key} => $_->{Value} } @{ json(s3_client($moto, 'tags', $name)) } },
			{ team => 'data', note => 'a b' }, "$name: tags");
	}
	sql('DROP SERVER lake CASCADE');
}

# Keys that are exchanged in mid-job: the old one is refused when the new one is there
sql(s3_server_sql('lake', $moto));
hold_exports($node, 1);
my $job = sql("SELECT outflow.export_start('orders', 'lake:rotated', part_size => '1MB', workers => 1)");
wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)", 'the part that is held');
my ($id, $secret) = split(/ /, s3_client($moto, 'rotate'));
my $old = { %$moto };
@$moto{qw(key secret)} = ($id, $secret);
ok(!eval { s3_client($old, 'list'); 1 }, 'the old key is refused');
sql("ALTER USER MAPPING FOR PUBLIC SERVER lake OPTIONS (SET access_key_id '$id', SET secret_access_key '$secret')");
release_exports($node);
wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
is(sql("SELECT state || ' ' || coalesce(error, '') FROM outflow.jobs WHERE job = $job"), 'done ', 'the job goes on with the new key');
is_whole($moto, 'orders', 'rotated', 'rotated');
sql('DROP SERVER lake CASCADE');

# The bucket in the host's name
my $hosted = start_s3('versitygw', domain => 'localhost');
foreach my $store ($moto, $hosted)
{
	my ($port) = $store->{endpoint} =~ /:(\d+)$/;

	sql(s3_server_sql('lake', { %$store, endpoint => "http://localhost:$port" }, path_style => 'off', chunk_size => '5MB'));
	foreach my $table (qw(orders large))
	{
		sql("CALL outflow.export('$table', 'lake:host/$table', part_size => '1GB')");
		is_whole($store, $table, "host/$table", "$store->{kind}: a bucket in the host's name, $table");
	}
	sql('DROP SERVER lake CASCADE');
}

# Each checksum is verified by a store that knows it, of whole objects where there is one
foreach my $checksum (qw(crc32c crc64nvme sha256 md5 none))
{
	sql(s3_server_sql('lake', $hosted, checksum => $checksum, chunk_size => '5MB', max_copy_size => '6MB'));
	$job = sql("CALL outflow.export('large', 'lake:$checksum/large', part_size => '1GB')");
	is_whole($hosted, 'large', "$checksum/large", "checksum $checksum");
	sql("CALL outflow.export('large', 'lake:$checksum/carried', part_size => '1GB', base => $job)");
	is_whole($hosted, 'large', "$checksum/carried", "checksum $checksum, carried by ranges");
	sql("CALL outflow.export('orders', 'lake:$checksum/orders', part_size => '100kB')");
	is_whole($hosted, 'orders', "$checksum/orders", "checksum $checksum, many removals");
	sql("ALTER SERVER lake OPTIONS (DROP max_copy_size)");
	sql("CALL outflow.export('large', 'lake:$checksum/whole', part_size => '1GB')");
	is_whole($hosted, 'large', "$checksum/whole", "checksum $checksum, copied by one request");
	my $head = json(s3_client($hosted, 'head', "$checksum/whole/part-000000.csv"));

	ok($head->{'Checksum' . uc $checksum}, "checksum $checksum is the object's") if $checksum =~ /crc|sha/;
	is($head->{ChecksumType}, 'FULL_OBJECT', 'and that of its whole') if $checksum eq 'crc64nvme';
	like(sql("SELECT ok || detail FROM outflow.check_destination('lake:$checksum/check') WHERE step = 'checksum'"),
		$checksum eq 'none' ? qr/^truethe server's option checksum is 'none'/ : qr/^truea wrong checksum is refused/,
		"checksum $checksum: wrong ones are refused");
	sql('DROP SERVER lake CASCADE');
}

$node->stop;
done_testing();
