# Promise: chunks of an upload double after each thousand, so that no part of an
# export runs out of numbers; with equal_chunks they never do.
#
# That takes more than 5 GB, which the store reads and forgets.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mb = 1048576;
my $node = new_outflow_node('main', conf => "outflow.retries = 0\n");
my $store = start_fake_s3();

# sizes(NAME, OPTION => VALUE): of all chunks, in their order, of an export of
# 5011 MB that ends there
sub sizes
{
	my ($name, @with) = @_;

	$node->safe_psql('postgres', $store->server_sql($name, retries => 0, @with));
	$store->forget_requests;
	# a row is a MB with its line feed
	my ($code, $out, $err) = $node->psql('postgres',
		"CALL outflow.export_query('SELECT repeat(''x'', $mb - 1) FROM generate_series(1, 5011)', '$name:x', part_size => '6GB')");
	like($err, qr/could not complete the upload.*AccessDenied/s, "$name: all was sent");
	my %sizes = substr($store->requests, $store->{seen}) =~ /^part (\d+) (\d+)$/mg;
	is(join(' ', sort { $a <=> $b } keys %sizes), join(' ', 1 .. keys %sizes), "$name: no number is left out");
	return map { $sizes{$_} / $mb } sort { $a <=> $b } keys %sizes;
}

$store->faults('sizes', 'deny POST uploadId=');
is_deeply([ sizes('growing') ], [ (5) x 1000, 10, 1 ], 'the chunk after a thousand is twice as large');
is_deeply([ sizes('equal', equal_chunks => 'on') ], [ (5) x 1002, 1 ], 'with equal_chunks it is not');

$node->stop;
done_testing();
