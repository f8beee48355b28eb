# Promise: whatever another program has made the order or the partitions of an Iceberg
# table, readers can open the table after each export: what its columns do not fit any
# more is given up, or the export is refused.
use strict;
use warnings;

use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('fits', conf => "autovacuum = off\noutflow.retries = 0\n");
my $dir = new_export_dir();
my $overwrite = q(options => '{"overwrite": true}');

# export(TABLE, PLACE, OPTIONS)
sub export
{
	my ($table, $place, $options) = @_;

	return run_sql($node, "CALL outflow.export('$table', 'file://$dir/$place', format => 'iceberg', workers => 0" . ($options ? ", $options" : '') . ')');
}

# write_metadata(PLACE, CHANGE): the next one, made of the last
sub write_metadata
{
	my ($place, $change) = @_;
	my $metadata = iceberg_metadata("$dir/$place");

	$change->($metadata);
	append_to_file("$dir/$place/metadata/v" . (iceberg_number("$dir/$place") + 1) . '.metadata.json', JSON::PP::encode_json($metadata));
	return;
}

# ---- orders

# choose_order(PLACE, FIELD, TRANSFORM): order 5, as the default one
sub choose_order
{
	my ($place, $field, $transform) = @_;

	write_metadata($place, sub {
		my ($metadata) = @_;

		$metadata->{'sort-orders'} = [ (grep { $_->{'order-id'} != 5 } @{ $metadata->{'sort-orders'} }),
			{ 'order-id' => 5, fields => [ { 'source-id' => $field, transform => $transform, direction => 'asc', 'null-order' => 'nulls-first' } ] } ];
		$metadata->{'default-sort-order-id'} = 5;
	});
	return;
}

sub default_order { return iceberg_metadata("$dir/$_[0]")->{'default-sort-order-id'} }

# what each transform takes, by Iceberg Table Spec, "Partition Transforms"
my @types = ('bool', 'int', 'bigint', 'real', 'float8', 'numeric(9,2)', 'date', 'timestamp', 'timestamptz', 'text', 'uuid', 'bytea', 'int[]');
my %takes = (
	identity => qr/^(?!int\[)/, void => qr/^(?!int\[)/,
	'bucket[16]' => qr/^(int|bigint|numeric.*|date|timestamp|timestamptz|text|uuid|bytea)$/,
	'truncate[3]' => qr/^(int|bigint|numeric.*|text|bytea)$/,
	year => qr/^(date|timestamp.*)$/, month => qr/^(date|timestamp.*)$/, day => qr/^(date|timestamp.*)$/, hour => qr/^timestamp/);
run_sql($node, 'CREATE TABLE types (' . join(', ', map { 'c' . ($_ + 1) . " $types[$_]" } 0 .. $#types) . ')');
like(export('types', 'types'), qr/^\d+/, 'a table of all types');
foreach my $transform (sort keys %takes)
{
	# an integer, a date and a list tell enough of some
	my @fields = $transform =~ /^(year|month|void)/ ? (2, 7, 13) : 1 .. @types;
	my @kept;

	foreach my $field (@fields)
	{
		choose_order('types', $field, $transform);
		export('types', 'types');
		push @kept, $types[ $field - 1 ] if default_order('types') == 5;
	}
	is("@kept", join(' ', grep { $_ =~ $takes{$transform} } @types[ map { $_ - 1 } @fields ]), "a default order by $transform stays for what that takes");
}
run_sql($node, q(CREATE TABLE c (d date PRIMARY KEY, v int); INSERT INTO c VALUES ('2020-01-01', 1)));
like(export('c', 'c'), qr/^\d+/, 'a table with a date');
choose_order('c', 1, 'day');
run_sql($node, 'UPDATE c SET v = 2');
like(export('c', 'c'), qr/^\d+/, 'another default order, by the day');
is(default_order('c'), 5, '... stays');
run_sql($node, 'ALTER TABLE c ALTER d TYPE text');
like(export('c', 'c'), qr/ERROR.*cannot become what it is now/s, 'the date becomes a text');
like(export('c', 'c', $overwrite), qr/^\d+/, '... which replaces all');
is(default_order('c'), 1, '... and is in the order of the key again');
choose_order('c', 2, 'identity');
like(export('c', 'c', $overwrite), qr/^\d+/, 'the table replaces itself');
is(default_order('c'), 5, '... and the order stays that it may have');
run_sql($node, 'CREATE TABLE other (id int, v int)');
like(export('other', 'c', $overwrite), qr/^\d+/, 'another table takes its place');
is(default_order('c'), 0, '... whose columns have no such order, though they may');

$node->stop;
done_testing();
