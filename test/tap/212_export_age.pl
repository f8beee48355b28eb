# Promise: files encrypted to several recipients are opened by each of them with
# plain age, hold the bytes of COPY, and can be verified without a key.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('age');
my $dir = new_export_dir();
my (@keys, @recipients);

foreach my $number (1, 2)
{
	my $key = "$dir/key$number";

	system_or_bail('age-keygen', '-o', $key);
	push @keys, $key;
	push @recipients, slurp_file($key) =~ /public key: (age1\w+)/;
}
is(scalar @recipients, 2, 'two recipients');

$node->safe_psql('postgres',
	"CREATE TABLE t AS SELECT g AS id, md5(g::text) AS v"
	  . " FROM generate_series(1, 20000) AS g;"
	  . " COPY t TO '$dir/copy' (FORMAT csv)");
my $job = $node->safe_psql('postgres',
	"CALL outflow.export('t', 'file://$dir/export', compression => 'gzip',"
	  . " part_size => '512kB', encrypt_to => '{$recipients[0],$recipients[1]}')");
my @parts = grep { /^part-/ } files_below("$dir/export");

cmp_ok(scalar @parts, '>', 1, 'several parts');
is(scalar(grep { !/^part-\d{6}\.csv\.gz\.age$/ } @parts),
	0, 'their names say what they are');
foreach my $key (@keys)
{
	my $plain = join('',
		map { scalar `age -d -i $key $dir/export/$_ | gunzip` } @parts);

	ok($plain eq slurp_file("$dir/copy"), 'the bytes that COPY writes');
}
is( $node->safe_psql(
		'postgres', "SELECT DISTINCT status FROM outflow.verify($job)"),
	'ok',
	'verified without a key');

$node->stop;
done_testing();
