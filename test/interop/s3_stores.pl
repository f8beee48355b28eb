# Promise: exports to S3 stores that check signatures are complete, and only
# then seen: small parts and multipart ones, many tables, checked by another
# client; cancelled, resumed, carried, replaced and forgotten ones leave no
# object and no upload that is not theirs.
use strict;
use warnings;

use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use S3Test;
use SinkTest;
use Test::More;

my $node = new_outflow_node('s3', conf => "outflow.max_jobs = 4\n");

$node->safe_psql('postgres', <<'EOS');
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 20000) g;
CREATE TABLE large (id int, payload text);
ALTER TABLE large ALTER payload SET STORAGE EXTERNAL;
INSERT INTO large SELECT g, string_agg(md5(g || '/' || i), '') FROM generate_series(1, 700) g, generate_series(1, 1000) i GROUP BY g;
CREATE TABLE empty (id int);
CREATE PUBLICATION shop FOR TABLE orders, large, empty;
EOS

add_sink_functions($node);
$node->safe_psql('postgres', $destination_try);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# the lines of a table's parts, as the other client reads them, sorted
sub lines_of
{
	my ($store, $prefix) = @_;

	return join("\n", sort split(/\n/, s3_client($store, 'parts', $prefix)));
}

sub lines_of_table
{
	my ($table) = @_;

	return join("\n", sort split(/\n/, sql("COPY $table TO STDOUT (FORMAT csv)")));
}

sub not_ok_in
{
	my ($job, $how) = @_;

	$how //= 'full';
	return sql("SELECT coalesce(string_agg(concat_ws(' ', file, status, detail), '; '), 'all ok')"
		  . " FROM outflow.verify($job, '$how') WHERE status <> 'ok'");
}

foreach my $kind (qw(versitygw seaweedfs moto))
{
	my $store = start_s3($kind);
	my ($job, $listed);

	sql(s3_server_sql('lake', $store, retries => 2, stall_timeout => 20));

	try_destination($node, $kind, 'lake:place', 'lake:other');

	my $check = sql("SELECT step, ok, detail, fix FROM outflow.check_destination('lake:check')");
	if ($kind eq 'moto')
	{
		like($check, qr/^checksum\|f\|the store accepts an object whose checksum is wrong\|Set the server's option checksum/m,
			"$kind: a checksum that nobody checks is noticed");
	}
	else
	{
		unlike($check, qr/\|f\|/, "$kind: all is well");
		like($check, qr/^checksum\|t\|a wrong checksum is refused/m, "$kind: checksums are verified");
	}
	is(s3_client($store, 'list', 'check'), '', "$kind: nothing stays of the trial");

	# one table, small parts
	$job = sql("CALL outflow.export('orders', 'lake:a/orders', part_size => '1MB')");
	is(lines_of($store, 'a/orders/'), lines_of_table('orders'), "$kind: boto3 reads all rows");
	$listed = s3_client($store, 'list', 'a/');
	like($listed, qr{ a/orders/_SUCCESS$}m, "$kind: _SUCCESS is there");
	unlike($listed, qr/\.outflow-/, "$kind: nothing is staged any more");
	is(s3_client($store, 'uploads'), '', "$kind: no upload is left");
	is(not_ok_in($job), 'all ok', "$kind: verified");
	my $manifest = JSON::PP->new->utf8->decode(s3_client($store, 'cat', 'a/orders/_manifest.json'));
	is($manifest->{rows}, 20000, "$kind: the manifest counts the rows");

	# a large part: multipart, put together in the right order
	$job = sql("CALL outflow.export('large', 'lake:a/large', part_size => '1GB')");
	ok(lines_of($store, 'a/large/') eq lines_of_table('large'), "$kind: a multipart upload is whole");
	is(not_ok_in($job), 'all ok', "$kind: verified");

	# a place that is in use is refused, unless it may be replaced
	my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.export('orders', 'lake:a/orders')");
	like($err, qr/destination "lake:a\/orders" is not empty/, "$kind: an export there is not overwritten");
	s3_client($store, 'put', 'a/orders/stranger', 'x');
	sql("CALL outflow.export('large', 'lake:a/orders', options => '{\"overwrite\": true}')");
	ok(lines_of($store, 'a/orders/') eq lines_of_table('large'), "$kind: but replaced when asked to");
	is(s3_client($store, 'cat', 'a/orders/stranger'), 'x', "$kind: a stranger's object stays");

	# what is still there, and is not what was written
	$job = sql("CALL outflow.export('orders', 'lake:damaged', part_size => '1MB', compression => 'zstd')");
	is(not_ok_in($job, 'quick'), 'all ok', "$kind: verified without reading");
	my $damaged = sql("SELECT file FROM outflow.parts WHERE job = $job ORDER BY part LIMIT 1");
	my $size = sql("SELECT bytes_stored FROM outflow.parts WHERE job = $job ORDER BY part LIMIT 1");
	s3_client($store, 'put-crc32c', "damaged/$damaged", 'x' x $size);
	like(not_ok_in($job), qr/^\Q$damaged\E wrong checksum xxh128 was/, "$kind: other bytes are noticed");
	like(not_ok_in($job, 'quick'), qr/^\Q$damaged\E wrong checksum crc32c was/, "$kind: as the store's own checksum says, without reading")
	  if $kind ne 'seaweedfs';
	s3_client($store, 'put', "damaged/$damaged", 'x');
	like(not_ok_in($job, 'quick'), qr/^\Q$damaged\E wrong size/, "$kind: another size is noticed without reading");

	# many tables
	$job = sql("CALL outflow.export_publication('shop', 'lake:shop', part_size => '1MB', workers => 2)");
	ok(lines_of($store, "shop/public.$_/") eq lines_of_table($_), "$kind: table $_ of many") foreach qw(orders large empty);
	is(not_ok_in($job), 'all ok', "$kind: verified");

	# parts that hold are copied by the store
	sql('DELETE FROM orders WHERE id = 20000');
	$job = sql("CALL outflow.export_publication('shop', 'lake:shop2', part_size => '1MB', base => $job)");
	ok(lines_of($store, "shop2/public.$_/") eq lines_of_table($_), "$kind: table $_ carried") foreach qw(orders large empty);
	cmp_ok(sql("SELECT parts_carried FROM outflow.jobs WHERE job = $job"), '>', 3, "$kind: most parts were");
	is(not_ok_in($job), 'all ok', "$kind: verified");
	sql('INSERT INTO orders SELECT 20000, repeat(md5(20000::text), 4)');

	# in the caller's own backend; all or nothing
	sql("CALL outflow.export('orders', 'lake:inline', workers => 0)");
	is(lines_of($store, 'inline/'), lines_of_table('orders'), "$kind: without workers");

	# what is not the job's is found
	s3_client($store, 'put', 'inline/left', 'x');
	my ($gone) = s3_client($store, 'list', 'shop2/public.orders/part-') =~ / shop2\/(\S+)/;
	s3_client($store, 'delete', "shop2/$gone");
	like(not_ok_in($job), qr/^\Q$gone\E missing$/, "$kind: a missing object is noticed");
	like(not_ok_in(sql('SELECT max(job) FROM outflow.jobs')), qr/^left left over/, "$kind: and one too many");

	sql('DROP SERVER lake CASCADE');
	stop_s3($store);
}

$node->stop;
done_testing();
