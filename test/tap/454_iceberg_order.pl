# Promise: an Iceberg table has the order of its key as a sort order, and a file is told
# to be in it exactly where its rows are, whatever was updated, carried, masked or
# converted, and after a kill; a key that changes gets another order.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run ();
use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ORDER_SEED} // int(rand(1e6));
my $rounds = $ENV{OUTFLOW_ROUNDS} // 5;
my $dir = new_export_dir();
my $node = new_outflow_node('order', conf => "autovacuum = off\noutflow.mask_key_file = '$dir/key'\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);

my $database = 'postgres';

sub sql { return $node->safe_psql($database, $_[0]) }

sub call_of
{
	my ($table, $options) = @_;

	return sprintf(q(CALL outflow.export('%s', 'file://%s/%s', format => 'iceberg', part_size => '64kB', options => '%s')),
		$table, $dir, $table, $options // '{}');
}

# export(TABLE, OPTIONS): and the files of its last version, as lake_orders() tells
sub export
{
	my ($table, $options) = @_;

	sql(call_of($table, $options));
	return lake_orders("$dir/$table", lake_last("$dir/$table"));
}

# default_order(TABLE): its id and fields, "1: 2,3"
sub default_order
{
	my ($table) = @_;
	my $metadata = iceberg_metadata("$dir/$table");
	my ($order) = grep { $_->{'order-id'} == $metadata->{'default-sort-order-id'} } @{ $metadata->{'sort-orders'} };

	foreach my $field (@{ $order->{fields} })
	{
		is("$field->{transform} $field->{direction} $field->{'null-order'}", 'identity asc nulls-first', "$table: how a field is sorted");
	}
	return "$order->{'order-id'}: " . join(',', map { $_->{'source-id'} } @{ $order->{fields} });
}

# marks(FILE...): of those, the ids in turn, each once: "0 1"
sub marks
{
	my %found = map { $_->[1] => 1 } @_;

	return join(' ', sort keys %found);
}

sub added { return grep { $_->[3] } @_ }
sub carried { return grep { !$_->[3] } @_ }

# is_exact(NAME, ID, FILE...): those are told to be in the order that are
sub is_exact
{
	my ($name, $id, @files) = @_;

	is_deeply([ map { "$_->[0] $_->[1]" } @files ], [ map { "$_->[0] " . ($_->[2] ? $id : 0) } @files ], "$name: exactly the files in order are told to be");
	return;
}

# ---- updates and keys

sql(<<'EOC');
CREATE TABLE t (a int NOT NULL, id bigint PRIMARY KEY, b int NOT NULL, note text);
INSERT INTO t SELECT i % 7, i, i / 5, 'note ' || i FROM generate_series(1, 5000) i;
EOC
my @files = export('t');
is(default_order('t'), '1: 2', 'the key is the default order');
is_deeply([ map { $_->{'order-id'} } @{ iceberg_metadata("$dir/t")->{'sort-orders'} } ], [ 0, 1 ], 'beside that of no order');
cmp_ok(scalar @files, '>', 4, 'there are several files');
is(marks(@files), '1', 'each is in order');
sql("UPDATE t SET note = 'x' || note WHERE id IN (10, 20)");
@files = export('t');
is(default_order('t'), '1: 2', 'after an update the same');
is(marks(carried(@files)), '1', 'what is carried stays marked');
is(marks(added(@files)), '0 1', 'of what is new, the file that rows moved to is not in order, the one that they left is');
is_exact('updated', 1, @files);
sql('VACUUM t');
sql("UPDATE t SET note = note || 'x' WHERE id = 4990");
@files = export('t');
is_exact('vacuumed', 1, @files);
is(marks(carried(@files)), '1', 'carried twice');
sql('CLUSTER t USING t_pkey');
@files = export('t');
is(marks(@files), '1', 'clustered, all are in order again');
sql('ALTER TABLE t RENAME id TO number');
@files = export('t');
is(default_order('t'), '1: 2', 'a renamed column is the same one');
is(marks(@files), '1', '... in files, too');
sql('ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b, number)');
@files = export('t');
is(default_order('t'), '2: 3,2', 'another key has another order, in the order of the key');
is(marks(carried(@files)), '1', 'carried files are in the one of before');
is(scalar(added(@files)), 0, 'and none is written anew for that');
sql("UPDATE t SET note = 'y' WHERE number = 3000");
@files = export('t');
is_exact('another key', 2, added(@files));
sql('CLUSTER t USING t_pkey');
@files = export('t');
is(marks(@files), '2', 'clustered by that');
sql('ALTER TABLE t DROP CONSTRAINT t_pkey; UPDATE t SET note = NULL WHERE number = 7');
@files = export('t');
is(default_order('t'), '0: ', 'without a key there is no order');
is(marks(added(@files)), '0', 'of new files');
is(marks(carried(@files)), '2', 'those of before are as they were');
sql('ALTER TABLE t ADD PRIMARY KEY (number)');
sql('CLUSTER t USING t_pkey');
@files = export('t');
is(default_order('t'), '1: 2', 'the first key again is the first order');
is(marks(@files), '1', '... which the files are in');
sql('ALTER TABLE t DROP COLUMN b, ALTER a TYPE bigint');
is(marks(export('t')), '1', 'a column of an older order may go');
is_deeply([ map { $_->{'order-id'} } @{ iceberg_metadata("$dir/t")->{'sort-orders'} } ], [ 0, 1, 2 ], 'all orders stay, as files refer to them');
sql('ALTER TABLE t REPLICA IDENTITY FULL');
export('t');
is(default_order('t'), '1: 2', 'the key of REPLICA IDENTITY FULL is the primary key');
sql('CREATE UNIQUE INDEX u ON t (a DESC, number); ALTER TABLE t ALTER a SET NOT NULL, REPLICA IDENTITY USING INDEX u');
@files = export('t');
is(default_order('t'), '3: 1,2', 'that of an index its columns');
sql('CREATE TABLE moved AS SELECT * FROM t');
sql('TRUNCATE t; INSERT INTO t SELECT * FROM moved ORDER BY a DESC, number');
@files = export('t');
is_exact('in the order of the index', 3, @files);
like(marks(@files), qr/^0/, '... which is not that of readers');
sql('TRUNCATE t; INSERT INTO t SELECT * FROM moved ORDER BY a, number');
is(marks(export('t')), '3', 'rows in the order of readers');
is(marks(lake_orders("$dir/t", 0)), '1', 'and the first version is what it was');

# ---- types, collations, masks and options

# key(NAME, COLUMNS, VALUES, KEY, OPTIONS): rows in the order of the key, whose columns
# are the first ones
sub key
{
	my ($name, $columns, $values, $key, $options) = @_;

	sql("CREATE TABLE $name ($columns, PRIMARY KEY ($key)); INSERT INTO $name SELECT $values FROM generate_series(1, 3000) i ORDER BY "
		  . join(', ', 1 .. split(/,/, $key)));
	return export($name, $options);
}

my $n = 0;
foreach my $case (
	[ 'int2', '(i - 1500)::int2' ], [ 'int4', 'i - 1500' ], [ 'int8', '(i - 1500) * 10000000000' ], [ 'date', q(date '1969-01-01' + i) ],
	[ 'timestamp', q(timestamp '1969-12-31' + i * interval '1.000001 min') ], [ 'timestamptz', q(timestamptz '1969-12-31Z' + i * interval '1.000001 min') ],
	[ 'numeric(8,2)', '(i - 1500) / 7.0' ], [ 'numeric(16,2)', '(i - 1500) * 12345' ], [ 'numeric(38,2)', '(i - 1500) * 12345678901234567890.12' ],
	[ 'text', q(chr(200 + i % 20000) || i) ], [ 'varchar(20) COLLATE "C"', q(left(md5(i::text), i % 10) || i) ], [ 'char(8)', q(i::text) ],
	[ 'text COLLATE "POSIX"', 'i::text' ], server_major($node) < 17 ? () : ([ 'text COLLATE "pg_c_utf8"', 'i::text' ]))
{
	my ($type, $value) = @$case;
	my $name = 'type' . ++$n;

	is(marks(key($name, "x $type", $value, 'x')), '1', "a key of $type");
	is(default_order($name), '1: 1', "$type: is an order");
}
foreach my $case ([ 'uuid', 'md5(i::text)::uuid' ], [ 'float8', 'i' ], [ 'bytea', q(decode(md5(i::text), 'hex')) ],
	[ 'numeric', 'i' ], [ 'time', q(time '10:00' + i * interval '1 s') ], [ 'text COLLATE "und-x-icu"', 'i::text' ], [ 'text COLLATE "C.utf8"', 'i::text' ], [ 'oid', 'i' ])
{
	my ($type, $value) = @$case;
	my $name = 'type' . ++$n;

	is(marks(key($name, "x $type", $value, 'x')), '0', "not a key of $type");
	is(default_order($name), '0: ', "$type: is no order");
}
foreach my $locale ([ 'libc', 'LC_COLLATE "C.utf8"', 0 ], [ 'icu', 'LOCALE_PROVIDER icu ICU_LOCALE "und" LC_COLLATE "C"', 0 ],
	server_major($node) < 17 ? () : [ 'builtin', 'LOCALE_PROVIDER builtin BUILTIN_LOCALE "C.UTF-8" LC_COLLATE "C.utf8"', 1 ])
{
	my ($name, $clauses, $is_order) = @$locale;

	$node->safe_psql('postgres', "CREATE DATABASE by_$name TEMPLATE template0 $clauses");
	$database = "by_$name";
	sql('CREATE EXTENSION outflow');
	is(marks(key("in_$name", 'x text', 'i::text', 'x')), $is_order, "text by a database's locale of $name: " . ($is_order ? 'a key' : 'no key'));
	is(marks(key("in_${name}_c", 'x text COLLATE "C"', 'i::text', 'x')), 1, '... and by C within it: a key');
	$database = 'postgres';
}
is(marks(key('halves', 'x int, y uuid', 'i / 3, md5(i::text)::uuid', 'x, y')), '1', 'the columns of a key before such a one');
is(default_order('halves'), '1: 1', '... are its order');
is(marks(key('reversed', 'y uuid, x int', 'md5(i::text)::uuid, i', 'y, x')), '0', 'those after it are not');
append_to_file("$dir/key", 'a key of 16 bytes or more');
chmod 0600, "$dir/key";
is(marks(key('masked', 'x text, y int', 'i, i', 'x', '{"mask_columns": "public.masked.x=hash"}')), '0', 'not a key that is masked');
is(default_order('masked'), '0: ', '... which is no order');
is(marks(key('as_text', 'x int, y int', 'i, i', 'x', '{"as": "x=string"}')), '0', 'not one that is written as another type');
sql(q(CREATE TABLE lossy (x date PRIMARY KEY); INSERT INTO lossy SELECT date '2000-01-01' + i FROM generate_series(1, 9000) i));
sql(q(INSERT INTO lossy VALUES ('infinity')));
@files = export('lossy', '{"lossy": "x=null"}');
is(default_order('lossy'), '1: 1', 'where a value cannot be held there is an order');
is(join(' ', map { $_->[1] } @files[ 0, -1 ]), '1 0', '... which the file with the null is not in');
sql('CREATE TABLE parts (x int, y int, PRIMARY KEY (x)) PARTITION BY RANGE (x)');
sql('CREATE TABLE parts_a (gone int, y int, x int NOT NULL); ALTER TABLE parts_a DROP gone; ALTER TABLE parts ATTACH PARTITION parts_a FOR VALUES FROM (0) TO (2000)');
sql('CREATE TABLE parts_b PARTITION OF parts DEFAULT; INSERT INTO parts SELECT i, -i FROM generate_series(1, 5000) i; INSERT INTO parts VALUES (0, 0)');
@files = export('parts');
is(default_order('parts'), '1: 1', 'a partitioned table has the order of its key');
is(marks(@files), '0 1', '... and partitions their files');
is_exact('partitions', 1, @files);
# in order in each row group, and in each page of one, but not from one to the next
sql('CREATE TABLE in_groups (x int PRIMARY KEY); INSERT INTO in_groups SELECT (9 - i / 64) * 64 + i % 64 FROM generate_series(0, 639) i');
is(marks(export('in_groups', '{"row_group_rows": 64}')), '0', 'not what is in order in each row group alone');
sql('CREATE TABLE in_pages (x int PRIMARY KEY); INSERT INTO in_pages SELECT (2 - i / 20480) * 20480 + i % 20480 FROM generate_series(0, 61439) i');
sql(call_of('in_pages') =~ s/64kB/64MB/r);
is(marks(lake_orders("$dir/in_pages", 0)), '0', 'nor in each page');
sql('TRUNCATE in_pages; INSERT INTO in_pages SELECT generate_series(0, 61439)');
sql(call_of('in_pages') =~ s/64kB/64MB/r);
is(marks(lake_orders("$dir/in_pages", 1)), '1', 'but what is in all of them');
sql(q(CREATE TABLE bare AS SELECT i AS x FROM generate_series(1, 3000) i));
is(marks(export('bare')), '0', 'without a key nothing is told');
is(default_order('bare'), '0: ', '... nor declared');
sql('CREATE TABLE chosen (x int, y int, z int, PRIMARY KEY (x, y)); INSERT INTO chosen SELECT i, i, i FROM generate_series(1, 100) i');
sql(call_of('chosen') =~ s/options/columns => '{y,z}', options/r);
is(default_order('chosen'), '0: ', 'a key whose first column is left out is no order');

# ---- an interrupted job, and who else has written

sql('CREATE TABLE killed (id int PRIMARY KEY, note text); INSERT INTO killed SELECT i, i FROM generate_series(1, 9000) i');
hold_exports($node, 3);
my ($session, $said) = start_psql($node, call_of('killed'));
wait_until($node, q(SELECT count(*) = 3 FROM outflow.parts WHERE state = 'done' AND job = (SELECT max(job) FROM outflow.jobs)), 'three parts are done');
$node->stop('immediate');
$session->finish;
$node->start;
release_exports($node);
my $job = sql('SELECT max(job) FROM outflow.jobs');
sql('UPDATE killed SET note = note WHERE id = 1');
sql("CALL outflow.resume($job)");
cmp_ok(sql("SELECT parts_carried FROM outflow.jobs WHERE job = $job"), '>', 0, 'the job has kept parts of before the kill');
@files = lake_orders("$dir/killed", 0);
is(marks(@files), '0 1', 'which are marked, and the one that a row has come to is not');
is_exact('killed', 1, @files);

# as exports of before left a table: entries without that field
sql('CREATE TABLE older (id int PRIMARY KEY, note text); INSERT INTO older SELECT i, i FROM generate_series(1, 9000) i');
export('older');
IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, "$FindBin::RealBin/../lib/lake/without_order.py", "$dir/older" ]) or die 'without_order.py failed';
is(marks(lake_orders("$dir/older", 0)), '0', 'a table of before');
sql('UPDATE older SET note = note WHERE id = 9000');
@files = export('older');
is(default_order('older'), '1: 1', 'gets an order');
is(marks(carried(@files)), '0', 'its files are told to be in none');
is(marks(added(@files)), '1', 'the new one is in order');
is(sql(q(SELECT string_agg(DISTINCT status, ' ') FROM outflow.jobs, outflow.verify(job))), 'ok', 'all of that stands verification');

# another default than ours, of the second column
sub choose_order
{
	my ($table) = @_;
	my $metadata = iceberg_metadata($table);
	my $number = iceberg_number($table) + 1;

	push @{ $metadata->{'sort-orders'} }, { 'order-id' => 5, fields => [ { 'source-id' => 2, transform => 'truncate[2]', direction => 'desc', 'null-order' => 'nulls-last' } ] };
	$metadata->{'default-sort-order-id'} = 5;
	append_to_file("$table/metadata/v$number.metadata.json", JSON::PP::encode_json($metadata));
	# as Hadoop leaves it
	append_to_file("$table/metadata/.v$number.metadata.json.crc", 'crc');
	return;
}

choose_order("$dir/older");
sql('UPDATE older SET note = note WHERE id = 9000');
@files = export('older');
is(iceberg_metadata("$dir/older")->{'default-sort-order-id'}, 5, 'who has chosen another default order keeps it');
is(marks(added(@files)), '1', '... and files are told to be in that of the key');
sql('UPDATE older SET note = note WHERE id = 9000');
@files = export('older');
is(iceberg_metadata("$dir/older")->{'default-sort-order-id'}, 5, '... for good');
sql('ALTER TABLE older DROP note');
@files = export('older');
is(default_order('older'), '1: 1', 'as long as its column is there');
sql("CREATE TABLE listed (id int PRIMARY KEY, note text); INSERT INTO listed VALUES (1, 'one')");
export('listed');
choose_order("$dir/listed");
sql('ALTER TABLE listed ALTER note TYPE text[] USING ARRAY[note]');
export('listed', '{"overwrite": true}');
is(default_order('listed'), '1: 1', '... and has no values within');

# ---- any table

srand($seed);
diag("ORDER_SEED=$seed");
my @kinds = (
	[ 'int4', '(%s)::int4' ], [ 'int8', '(%s) * 5000000000' ], [ 'int2', '((%s) %% 100)::int2' ], [ 'date', q((date '1960-01-01' + (%s)::int)) ],
	[ 'timestamptz', q((timestamptz '1969-12-31Z' + (%s) * interval '1.5 s')) ], [ 'numeric(12,3)', '((%s) / 8.0)' ],
	[ 'numeric(30,3)', '((%s) * 123456789012345.125)' ], [ 'text', q(('é' || repeat('x', (%s)::int %% 5) || (%s))) ], [ 'varchar', q(md5((%s)::text)) ]);
my $marked = 0;
my $unmarked = 0;
foreach my $round (1 .. $rounds)
{
	my $name = "any$round";
	my @columns = map { { name => "k$_", kind => $kinds[ rand @kinds ] } } (1 .. 1 + rand 3);
	# values that repeat in the columns before the last one
	my @values = map { my $of = $_ == $#columns ? 'i' : 'i / ' . (1 + int(rand 400)); $columns[$_]{kind}[1] =~ s/%s/$of/gr =~ s/%%/%/gr } 0 .. $#columns;
	my $key = join(', ', map { $_->{name} } sort { rand(2) <=> 1 } @columns);
	my $order = ('n', $key, $key, 'n % 3000, n', "$key DESC")[ rand 5 ];
	my $options = sprintf('{"row_group_rows": %d}', (64, 1000, 100000)[ rand 3 ]);
	my $described = join(', ', map { "$_->{name} $_->{kind}[0]" } @columns) . "; key $key; by $order; $options";

	sql("CREATE TABLE $name (" . join(', ', map { "$_->{name} $_->{kind}[0] NOT NULL" } @columns) . ', n int, fill text)');
	sql("INSERT INTO $name SELECT * FROM (SELECT DISTINCT ON ($key) * FROM (SELECT "
		  . join(', ', map { "$values[$_] AS k" . ($_ + 1) } 0 .. $#columns)
		  . ", i AS n, repeat('f', i % 50) FROM generate_series(1, 4000) i) s) s ORDER BY $order");
	sql("ALTER TABLE $name ADD PRIMARY KEY ($key)");
	foreach my $version (0 .. 2)
	{
		@files = export($name, $options);
		is_exact("round $round, version $version: $described", 1, @files);
		$marked += $_->[1] foreach @files;
		$unmarked += !$_->[1] foreach @files;
		sql("UPDATE $name SET n = -n WHERE n % 1000 = " . int(rand 1000) . "; DELETE FROM $name WHERE n % 50 = " . int(rand 50));
		sql("VACUUM $name") if rand(2) < 1;
	}
}
cmp_ok($marked, '>', 0, "$marked files were told to be in order");
cmp_ok($unmarked, '>', 0, "$unmarked were not");

$node->stop;
done_testing();
