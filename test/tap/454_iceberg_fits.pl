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

# ---- orders

# choose_order(PLACE, FIELD, TRANSFORM): order 5, as the default one
sub choose_order
{
	my ($place, $field, $transform) = @_;

	write_iceberg_metadata("$dir/$place", sub {
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

# ---- partitions that were tried, and taken back

# past_specs(PLACE, [NAME, FIELD, TRANSFORM]...): from number 1 on
sub past_specs
{
	my ($place, @specs) = @_;

	write_iceberg_metadata("$dir/$place", sub {
		my ($metadata) = @_;
		my $number = 0;

		push @{ $metadata->{'partition-specs'} },
		  map { { 'spec-id' => ++$number, fields => [ { name => $_->[0], 'source-id' => $_->[1], transform => $_->[2], 'field-id' => 999 + $number } ] } } @specs;
		$metadata->{'last-partition-id'} = 999 + @specs;
	});
	return;
}

sub specs { return join(' ', map { $_->{'spec-id'} } @{ iceberg_metadata("$dir/$_[0]")->{'partition-specs'} }) }

my @specs = ([ 'ts_day', 2, 'day' ], [ 'id_bucket', 1, 'bucket[4]' ], [ 'gone', 9, 'hour' ], [ 'first', 1, 'identity' ], [ 'void', 2, 'void' ]);
run_sql($node, q(CREATE TABLE d (id int, ts timestamptz); INSERT INTO d VALUES (1, '2020-01-01'); CREATE TABLE e (id int, v text); INSERT INTO e VALUES (1, 'a')));
like(export('d', 'd'), qr/^\d+/, 'a table that had partitions');
past_specs('d', @specs);
like(export('d', 'd'), qr/^\d+/, 'its next version');
is(specs('d'), '0 1 2 3 4 5', '... has all specs of before');
like(export('e', 'd', $overwrite), qr/^\d+/, 'another table takes its place');
is(specs('d'), '0 2 3 4 5', '... without the one that its columns do not fit');
is(iceberg_metadata("$dir/d")->{'last-partition-id'}, 1004, '... whose number is not given again');
run_sql($node, 'ALTER TABLE e RENAME v TO id_bucket');
like(export('e', 'd'), qr/^\d+/, 'a column is called as a field of a past spec was');
is(specs('d'), '0 3 4 5', '... which goes');
run_sql($node, 'ALTER TABLE e ADD gone int');
like(export('e', 'd'), qr/^\d+/, '... also one of a column that is gone');
is(specs('d'), '0 4 5', '... which goes');
run_sql($node, 'ALTER TABLE e RENAME id TO first');
like(export('e', 'd'), qr/^\d+/, 'the very column may be called so');
is(specs('d'), '0 4 5', '... where the values are its own');
run_sql($node, 'CREATE TYPE part AS (id int, ts timestamptz); CREATE TABLE nested (id int, p part)');
like(export('nested', 'nested'), qr/^\d+/, 'parts of a column');
my ($of_part) = map { $_->{type}{fields}[1]{id} } grep { $_->{name} eq 'p' } @{ iceberg_metadata("$dir/nested")->{schemas}[0]{fields} };
past_specs('nested', [ 'p.ts_day', $of_part, 'day' ], [ 'p.ts', $of_part, 'identity' ], [ 'p.id', 1, 'identity' ], [ 'p', 2, 'bucket[2]' ]);
like(export('nested', 'nested'), qr/^\d+/, '... as partitions');
is(specs('nested'), '0 1 2', '... where they have values, and no other\'s name');

# versions that may need them
like(export('d', 'kept'), qr/^\d+/, 'a table that another program has written to');
write_iceberg_metadata("$dir/kept", sub {
	my ($metadata) = @_;

	push @{ $metadata->{snapshots} }, { %{ $metadata->{snapshots}[-1] }, 'snapshot-id' => 77, summary => { operation => 'append', 'engine-name' => 'Other' } };
});
past_specs('kept', @specs);
run_sql($node, 'INSERT INTO d VALUES (2)');
like(export('d', 'kept'), qr/^\d+/, '... goes on');
my $number = iceberg_number("$dir/kept");
my $refused = qr/ERROR:  the columns do not fit partitions that the Iceberg table has had\nDETAIL:  .*"ts_day", and version 77, of another program.*\nHINT:  Expire that version/;
like(export('e', 'kept', $overwrite), $refused, 'its place is not taken by another that its partitions do not fit');
run_sql($node, 'ALTER TABLE d ALTER ts TYPE text');
like(export('d', 'kept', $overwrite), $refused, '... nor by itself');
is(iceberg_number("$dir/kept"), $number, '... and it stays what it is');
system_or_bail('cp', '-a', "$dir/kept", "$dir/moved");
like(export('d', 'moved', $overwrite), qr/^\d+/, 'a copy, which has no versions of before, may change');
is(specs('moved'), '0 2 3 4 5', '... without the spec');
write_iceberg_metadata("$dir/kept", sub { $_[0]{snapshots} = [ grep { $_->{'snapshot-id'} != 77 } @{ $_[0]{snapshots} } ] });
like(export('d', 'kept', $overwrite), qr/^\d+/, 'as may the table once the version is expired');
is(specs('kept'), '0 2 3 4 5', '... without the spec');

$node->stop;
done_testing();
