# Promise: whatever length a value says it has, a buffer has room for it, or says that
# it is too large.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_outflow_node('buffer');
my $module = File::Spec->rel2abs(dirname(__FILE__) . '/../modules/buffer/buffer_test.so');
my $largest = 2**30 - 1;

$node->safe_psql('postgres', qq(CREATE FUNCTION room_after(bigint, bigint) RETURNS bigint STRICT LANGUAGE c AS '$module', 'room_after'));

# room(LEN, N): or what it says
sub room
{
	my ($out, $error);

	$node->psql('postgres', "SELECT room_after($_[0], $_[1])", stdout => \$out, stderr => \$error);
	return $error || $out;
}

foreach my $len (0, 1, 1000)
{
	# one byte more than was asked for: a text may be ended there
	cmp_ok(room($len, $_), '>', $_, "$len bytes, and $_ more") foreach (0, 23, 24, 1024, 1_000_000, $largest - $len - 1);
	like(room($len, $_), qr/ERROR:  a row of more than 1 GB cannot be written/, "$len bytes, and $_ more are too many")
	  foreach ($largest - $len, $largest, 2**31 - 1, 2**31, 2**32, 2**32 + 5, 1 << 62);
}
$node->stop;
done_testing();
