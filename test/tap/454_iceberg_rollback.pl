# Promise: which columns and which order an Iceberg table goes on from are its own, those
# of the version that it is: not those of a table whose place it has taken, whatever of
# that is expired, gone back from, or kept, and not what was only declared.
use strict;
use warnings;

use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('rollback', conf => "autovacuum = off\noutflow.retries = 0\n");
my $dir = new_export_dir();
my $overwrite = q(options => '{"overwrite": true}');

# export(TABLE, PLACE, OPTIONS, DATABASE)
sub export
{
	my ($table, $place, $options, $database) = @_;

	return run_sql($node, "CALL outflow.export('$table', 'file://$dir/$place', format => 'iceberg', workers => 0" . ($options ? ", $options" : '') . ')', $database);
}

# versions(PLACE, [TABLE, OPTIONS]...): each is one
sub versions
{
	my ($place, @exports) = @_;

	like(export($_->[0], $place, $_->[1]), qr/^\d+/, "$place: a version of $_->[0]") foreach @exports;
	return;
}

sub vacuum { return run_sql($node, "SELECT count(*) FROM outflow.lake_vacuum('file://$dir/$_[0]', '0 s')"); }

# roll_back(PLACE, VERSION, WITH_SCHEMA): the table is that version again; as Spark does
# it, the current schema stays
sub roll_back
{
	my ($place, $version, $with_schema) = @_;

	write_iceberg_metadata("$dir/$place", sub {
		my ($metadata) = @_;
		my $snapshot = $metadata->{snapshots}[$version];

		$metadata->{$_} = $snapshot->{'snapshot-id'} foreach ('current-snapshot-id');
		$metadata->{refs}{main}{'snapshot-id'} = $snapshot->{'snapshot-id'};
		push @{ $metadata->{'snapshot-log'} }, { 'timestamp-ms' => time() * 1000, 'snapshot-id' => $snapshot->{'snapshot-id'} };
		$metadata->{'current-schema-id'} = $snapshot->{'schema-id'} if $with_schema;
	});
	return;
}

# declare(PLACE, CHANGE): another program changes the current schema, and no version
sub declare
{
	my ($place, $change) = @_;

	write_iceberg_metadata("$dir/$place", sub {
		my ($metadata) = @_;
		my ($current) = grep { $_->{'schema-id'} == $metadata->{'current-schema-id'} } @{ $metadata->{schemas} };
		my $schema = JSON::PP::decode_json(JSON::PP::encode_json($current));

		$schema->{'schema-id'} = @{ $metadata->{schemas} };
		$change->($schema);
		push @{ $metadata->{schemas} }, $schema;
		$metadata->{'current-schema-id'} = $schema->{'schema-id'};
		$metadata->{'last-column-id'} = $_->{id} > $metadata->{'last-column-id'} ? $_->{id} : $metadata->{'last-column-id'} foreach @{ $schema->{fields} };
	});
	return;
}

# columns(PLACE): of the current schema: "1 id int, 2 v string!", "!" for what is never null
sub columns
{
	my $metadata = iceberg_metadata("$dir/$_[0]");
	my ($schema) = grep { $_->{'schema-id'} == $metadata->{'current-schema-id'} } @{ $metadata->{schemas} };

	return join(', ', map { "$_->{id} $_->{name} $_->{type}" . ($_->{required} ? '!' : '') } @{ $schema->{fields} })
	  . ($schema->{'identifier-field-ids'} ? " by @{ $schema->{'identifier-field-ids'} }" : '');
}

sub default_order { return iceberg_metadata("$dir/$_[0]")->{'default-sort-order-id'} }

# expired between: of the other table a version stays for its tag
run_sql($node, q(CREATE TABLE other (a int, b text, c text); INSERT INTO other VALUES (1, 'x', 'y'); CREATE TABLE tagged (a int, b text); INSERT INTO tagged VALUES (10, 'q')));
versions('tagged', ['other']);
run_sql($node, q(UPDATE other SET b = 'z'));
versions('tagged', ['other'], [ 'tagged', $overwrite ]);
write_iceberg_metadata("$dir/tagged", sub { $_[0]{refs}{old} = { 'snapshot-id' => $_[0]{snapshots}[0]{'snapshot-id'}, type => 'tag' } });
versions('tagged', ['tagged']);
like(vacuum('tagged'), qr/^\d+$/, 'a vacuum');
is(scalar @{ iceberg_metadata("$dir/tagged")->{snapshots} }, 2, 'expires what was between the other table\'s tagged version and the last one');
run_sql($node, 'ALTER TABLE tagged ADD c int DEFAULT 5');
versions('tagged', ['tagged']);
is(columns('tagged'), '1 a int, 2 b string, 3 c int', 'a new column is not what the other table had');

# the other is another database's, which expires its own
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', q(CREATE EXTENSION outflow; CREATE TABLE second (a text, b text, c text); INSERT INTO second VALUES ('p', 'q', 'r')));
run_sql($node, 'CREATE TABLE first (id int, v int); INSERT INTO first VALUES (1, 2)');
like(export('second', 'first', undef, 'second'), qr/^\d+/, 'another database\'s table');
versions('first', [ 'first', $overwrite ]);
run_sql($node, 'UPDATE first SET v = 3');
versions('first', ['first']);
like(vacuum('first'), qr/^\d+$/, 'a vacuum of what is the own');
run_sql($node, 'ALTER TABLE first ADD c int DEFAULT 3');
versions('first', ['first']);
is(columns('first'), '1 id int, 2 v int, 3 c int', '... a new column is not what the other database\'s table had');

# a rollback, by what brings the schema back and by what does not
foreach my $with_schema (1, 0)
{
	my $name = $with_schema ? 'back' : 'spark';

	run_sql($node, "CREATE TABLE $name (id int PRIMARY KEY, v int NOT NULL, w int); INSERT INTO $name VALUES (1, 2, 3)");
	run_sql($node, "CREATE TABLE not_$name (a text, b int PRIMARY KEY, w int, x text); INSERT INTO not_$name VALUES ('7', 8, 9, 'x')");
	versions($name, [$name], [ "not_$name", $overwrite ]);
	is(default_order($name), 2, "$name: another table has another order");
	roll_back($name, 0, $with_schema);
	versions($name, [$name]);
	is(columns($name), '1 id int!, 2 v int!, 3 w int', "$name: what was gone back to has its columns");
	is(default_order($name), 1, "$name: and its order");
	run_sql($node, "ALTER TABLE $name ADD x int DEFAULT 4");
	versions($name, [$name]);
	is(columns($name), '1 id int!, 2 v int!, 3 w int, 4 x int', "$name: and gets new ones");
}

# the same with types that agree, and with what tells rows apart
run_sql($node, 'CREATE TABLE f1 (id int PRIMARY KEY, v int NOT NULL, w int); INSERT INTO f1 VALUES (1, 2, 3); CREATE TABLE f2 (a int, b int PRIMARY KEY, w int)');
versions('f1', ['f1']);
declare('f1', sub { $_[0]{'identifier-field-ids'} = [1] });
versions('f1', ['f1'], [ 'f2', $overwrite ]);
declare('f1', sub { $_[0]{'identifier-field-ids'} = [2] });
versions('f1', ['f2']);
roll_back('f1', 1);
versions('f1', ['f1']);
is(columns('f1'), '1 id int!, 2 v int!, 3 w int by 1', 'what is never null stays so, and what tells rows apart');
is(default_order('f1'), 1, '... in the order of the own key');

# of its own versions, too, and of an order that another program has chosen
run_sql($node, 'CREATE TABLE own (a int NOT NULL, b int NOT NULL, PRIMARY KEY (a)); INSERT INTO own VALUES (1, 2)');
versions('own', ['own']);
run_sql($node, 'ALTER TABLE own DROP CONSTRAINT own_pkey, ADD PRIMARY KEY (b)');
versions('own', ['own']);
roll_back('own', 0);
run_sql($node, 'ALTER TABLE own DROP CONSTRAINT own_pkey, ADD PRIMARY KEY (b, a)');
versions('own', ['own']);
is(default_order('own'), 3, 'the order of a version that was given up is not what another program has chosen');
roll_back('own', 1);
write_iceberg_metadata("$dir/own", sub { $_[0]{'default-sort-order-id'} = 1 });
versions('own', ['own']);
is(default_order('own'), 1, '... but one that it has chosen since stays');

# what was null in a version that was given up
run_sql($node, 'CREATE TABLE nulls (id int NOT NULL, v int NOT NULL); INSERT INTO nulls VALUES (1, 2)');
versions('nulls', ['nulls']);
run_sql($node, 'ALTER TABLE nulls ALTER v DROP NOT NULL; INSERT INTO nulls VALUES (3)');
versions('nulls', ['nulls']);
roll_back('nulls', 0);
run_sql($node, 'DELETE FROM nulls WHERE v IS NULL; ALTER TABLE nulls ALTER v SET NOT NULL');
versions('nulls', ['nulls']);
is(columns('nulls'), '1 id int!, 2 v int', 'what was ever null stays so, also after a rollback');

# types that the own versions had count, wherever those stand
run_sql($node, 'CREATE TABLE typed (id int, v int, t text); INSERT INTO typed VALUES (1, 2, 3)');
versions('typed', ['typed'], [ 'f2', $overwrite ], [ 'typed', "$overwrite, columns => '{id,t}'" ]);
run_sql($node, 'ALTER TABLE typed ALTER v TYPE text');
like(export('typed', 'typed'), qr/ERROR:  column "v" of the Iceberg table cannot become what it is now.*It is "int" there/s, 'what a column was before another table took the place, it stays');

# columns that another program has declared, which no version has
run_sql($node, 'CREATE TABLE declared (id int NOT NULL, v text); INSERT INTO declared VALUES (1, 2)');
versions('declared', ['declared']);
declare('declared', sub {
	push @{ $_[0]{fields} }, { id => 3, name => 'x', type => 'string', required => JSON::PP::false };
	$_[0]{'identifier-field-ids'} = [1];
});
run_sql($node, 'ALTER TABLE declared ADD y int NOT NULL DEFAULT 4');
versions('declared', ['declared']);
is(columns('declared'), '1 id int!, 2 v string, 3 y int by 1', 'a column whose number was declared for another comes in its place');
declare('declared', sub { $_[0]{fields}[0]{type} = 'long' });
versions('declared', ['declared']);
is(columns('declared'), '1 id int!, 2 v string, 3 y int by 1', '... and what no version has is as it was');

# ... but a branch of that program has one, and is read by the table's columns
run_sql($node, 'CREATE TABLE branched (id int); INSERT INTO branched VALUES (1)');
versions('branched', ['branched']);
declare('branched', sub { push @{ $_[0]{fields} }, { id => 2, name => 'x', type => 'string', required => JSON::PP::false } });
write_iceberg_metadata("$dir/branched", sub {
	my ($metadata) = @_;

	push @{ $metadata->{snapshots} }, { %{ $metadata->{snapshots}[-1] }, 'snapshot-id' => 77, 'schema-id' => 1, summary => { operation => 'append', 'engine-name' => 'Other' } };
	$metadata->{refs}{audit} = { 'snapshot-id' => 77, type => 'branch' };
});
run_sql($node, 'ALTER TABLE branched ADD y int');
like(export('branched', 'branched'), qr/ERROR:  column "y" of the Iceberg table cannot become what it is now.*It is "string" there/s, 'a column of a branch does not become another');
write_iceberg_metadata("$dir/branched", sub { $_[0]{refs}{audit}{type} = 'tag' });
versions('branched', ['branched']);
is(columns('branched'), '1 id int, 2 y int', '... but that of a tag, which has its own columns, does');

$node->stop;
done_testing();
