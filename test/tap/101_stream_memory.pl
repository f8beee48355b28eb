# Promise: buffers that a large row made grow shrink again: after it, a
# walsender that goes on streaming holds as little of our memory as before; and
# so it does when thousands of tables, types and commands have come and gone.  Columns of enums cost
# what is seen of them.
use strict;
use warnings;

use List::Util qw(sum0);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $megabyte = 1024 * 1024;
my $node = new_outflow_node('main');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
ALTER TABLE t REPLICA IDENTITY FULL;
SQL

# held(SLOT): bytes of the contexts that are ours or that we write to, and of all,
# as the slot's walsender itself reports them
sub held
{
	my ($slot) = @_;
	my $offset = -s $node->logfile;

	$node->safe_psql('postgres',
		"SELECT pg_log_backend_memory_contexts(active_pid) FROM pg_replication_slots WHERE slot_name = '$slot'"
	);
	$node->wait_for_log(qr/Grand total: /, $offset);
	my @bytes = slurp_file($node->logfile, $offset) =~
	  /level: \d+; (?:outflow stream[^:]*|outflow watched types|Logical decoding context): (\d+) total/g;
	cmp_ok(scalar @bytes, '>', 1, "$slot: the report has our contexts");
	my ($all) = slurp_file($node->logfile, $offset) =~ /Grand total: (\d+) bytes/;
	return (sum0(@bytes), $all);
}

# follow(SLOT, OPTION...): a client of a new slot, and whether the row with an
# id has come
sub follow
{
	my ($slot, @options) = @_;
	my $file = "${PostgreSQL::Test::Utils::tmp_check}/$slot.out";

	create_slot($node, $slot);
	my $client = IPC::Run::start(
		[
			'pg_recvlogical', '--start', '--no-loop', "--file=$file",
			'--fsync-interval=0', "--slot=$slot", '--dbname',
			$node->connstr('postgres'), @options
		]);
	return ($client, $file, sub {
		my ($id) = @_;

		foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
		{
			return 1 if -e $file && slurp_file($file) =~ /"new":\{"id":$id,/;
			select(undef, undef, undef, 0.1);
		}
		return 0;
	});
}

sub leave
{
	my ($slot, $client, $file) = @_;

	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '$slot'"
	);
	$client->finish;
	unlink $file;
	return;
}

foreach my $batch ('0', '64kB')
{
	my $slot = "batch_$batch" =~ s/[^a-z0-9_]//gir =~ tr/A-Z/a-z/r;

	$node->safe_psql('postgres', 'TRUNCATE t');
	my ($client, $file, $received) = follow($slot, '-o', "batch_bytes=$batch");
	$node->safe_psql('postgres', q{INSERT INTO t VALUES (1, 'small')});
	ok($received->(1), "$slot: streaming");
	my ($before) = held($slot);

	$node->safe_psql('postgres', <<'SQL');
INSERT INTO t VALUES (2, repeat('large', 6000000)), (3, 'small');
UPDATE t SET id = id + 10;
SQL
	ok($received->(13), "$slot: large rows have come");
	cmp_ok(-s $file, '>', 80 * $megabyte, "$slot: whole");
	my ($after) = held($slot);

	cmp_ok($after, '<', $before + 4 * $megabyte,
		"$slot: memory was given back: $before bytes before, $after after");
	leave($slot, $client, $file);
}

# tables that are gone: of one stream's, and passed over by another
my %streams = (
	tables => [ follow('tables') ],
	excluded => [ follow('excluded', '-o', 'exclude_tables=public.gone_*') ]);
my $come_and_go = sub {
	my ($from, $to) = @_;

	$node->safe_psql('postgres', <<"SQL");
DO \$\$ BEGIN FOR i IN $from .. $to LOOP
	EXECUTE format('CREATE TYPE gone_mood_%s AS ENUM (''low'')', i);
	EXECUTE format('CREATE TABLE gone_%s (id int PRIMARY KEY, a text, b numeric[], c timestamptz, d gone_mood_%s)', i, i);
	EXECUTE format('INSERT INTO gone_%s VALUES (\$1, 2)', i) USING i;
	EXECUTE format('DROP TABLE gone_%s', i);
	EXECUTE format('DROP TYPE gone_mood_%s', i);
	COMMIT;
END LOOP; END \$\$;
INSERT INTO t VALUES (900000 + $to, 'after them');
SQL
	my %held;
	foreach my $slot (sort keys %streams)
	{
		ok($streams{$slot}[2]->(900000 + $to), "$slot: what follows table $to has come");
		$held{$slot} = [ held($slot) ];
	}
	return \%held;
};
my $few = $come_and_go->(1001, 1600);
my $many = $come_and_go->(2001, 4000);
foreach my $slot (sort keys %streams)
{
	my ($own, $all) = map { $many->{$slot}[$_] - $few->{$slot}[$_] } 0, 1;

	cmp_ok($own, '<', 64 * 1024, "$slot: two thousand tables and types leave nothing of ours: $own bytes more");
	cmp_ok($all, '<', 4 * $megabyte, "$slot: nor of the server's: $all bytes more");
	leave($slot, @{ $streams{$slot} }[ 0, 1 ]);
}

# commands that capture told of: where their messages stand is forgotten
$node->safe_psql('postgres', 'SELECT outflow.capture_ddl(true)');
my ($captured, $commands, $told) = follow('captured');
my $tell = sub {
	my ($times, $last) = @_;

	$node->safe_psql('postgres', <<"SQL");
DO \$\$ BEGIN FOR i IN 1 .. $times LOOP
	COMMENT ON TABLE t IS 'told';
	COMMIT;
END LOOP; END \$\$;
INSERT INTO t VALUES ($last, 'end');
SQL
	ok($told->($last), "$times commands have come");
	return (held('captured'))[0];
};
my $early = $tell->(500, 910001);
my $late = $tell->(10000, 910002);
cmp_ok($late - $early, '<', 64 * 1024, "ten thousand commands leave nothing: $early bytes before, $late after");
$node->safe_psql('postgres', 'SELECT outflow.capture_ddl(false)');
leave('captured', $captured, $commands);

# an enum's labels, of which most columns never see one
$node->safe_psql('postgres', <<'SQL');
TRUNCATE t;
CREATE TYPE mood AS ENUM ('low', 'high');
DO $$ BEGIN FOR i IN 1 .. 200 LOOP
	EXECUTE format('CREATE TABLE plain_%s (id int, a int, b int, c int, d int)', i);
	EXECUTE format('CREATE TABLE enums_%s (id int, a mood, b mood, c mood, d mood)', i);
END LOOP; END $$;
SQL
my ($client, $file, $received) = follow('enums');
my $fill = sub {
	my ($tables, $value, $last) = @_;

	$node->safe_psql('postgres', <<"SQL");
DO \$\$ BEGIN FOR i IN 1 .. 200 LOOP
	EXECUTE format('INSERT INTO ${tables}_%s (id, a) VALUES (\$1, $value)', i) USING i;
END LOOP; END \$\$;
INSERT INTO t VALUES ($last, 'end');
SQL
	ok($received->($last), "changes of tables $tables have come");
	return (held('enums'))[1];
};
my $plain = $fill->('plain', '1', 1001);
my $enums = $fill->('enums', q{''low''}, 1002);
cmp_ok($enums - $plain, '<', 4 * $megabyte,
	"800 columns of an enum take little: $plain bytes before, $enums after");

# all labels of an enum, in all of many columns
my $columns = join(', ', map { "c$_ mood500" } 1 .. 400);
my $value = join(', ', ("v::mood500") x 400);
$node->safe_psql('postgres', <<"SQL");
DO \$\$ BEGIN EXECUTE (SELECT format('CREATE TYPE mood500 AS ENUM (%s)', string_agg(format('%L', 'label ' || i), ', ')) FROM generate_series(1, 500) AS i); END \$\$;
CREATE TABLE wide (id int, $columns);
INSERT INTO wide SELECT 0, $value FROM (VALUES ('label 1')) AS l (v);
INSERT INTO t VALUES (1003, 'begin');
SQL
ok($received->(1003), 'a wide table\'s row has come');
my $one = (held('enums'))[1];
$node->safe_psql('postgres', <<"SQL");
INSERT INTO wide SELECT i, $value FROM (SELECT i, 'label ' || i FROM generate_series(1, 500) AS i) AS l (i, v);
INSERT INTO t VALUES (1004, 'end');
SQL
ok($received->(1004), 'all of its rows have come');
my $all = (held('enums'))[1];
cmp_ok($all - $one, '<', 8 * $megabyte, "500 labels in each of 400 columns take little: $one bytes before, $all after");
leave('enums', $client, $file);

# tables whose types have thousands of parts: 60 of them
$node->safe_psql('postgres', 'CREATE TYPE level1 AS (' . join(', ', map { "a$_ int" } 1 .. 1600) . ');'
	  . 'CREATE TYPE level2 AS (' . join(', ', map { "b$_ level1" } 1 .. 8) . ')');
($client, $file, $received) = follow('parts', '-o', 'include_schemas=off');
$node->safe_psql('postgres', <<'SQL');
DO $$ BEGIN FOR i IN 1 .. 60 LOOP
	EXECUTE format('CREATE TABLE parts_%s (c level2)', i);
	EXECUTE format('INSERT INTO parts_%s VALUES (NULL)', i);
END LOOP; END $$;
INSERT INTO t VALUES (1005, 'end');
SQL
ok($received->(1005), 'changes of tables of large types have come');
$all = (held('parts'))[1];
cmp_ok($all, '<', 200 * $megabyte, "what 60 of them need is bounded: $all bytes");
leave('parts', $client, $file);

# many masks of a table with many columns, and what each level of it is called
$node->safe_psql('postgres', 'CREATE TABLE masked (id int, ' . join(', ', map { "c$_ int" } 1 .. 500) . ') PARTITION BY LIST (id);'
	  . 'CREATE TABLE masked_1 PARTITION OF masked DEFAULT');
($client, $file, $received) = follow('masked', '-o', 'include_schemas=off', '-o', 'mask_columns=' . join(',', map { "*.x$_.*=null" } 1 .. 100));
$node->safe_psql('postgres', 'INSERT INTO masked VALUES (1); INSERT INTO t VALUES (1006, $$end$$)');
ok($received->(1006), 'a change of a table with many columns has come, past many masks');
my $offset = -s $node->logfile;
held('masked');
my $shapes = sum0(slurp_file($node->logfile, $offset) =~ /outflow row shape: (\d+) total/g);
cmp_ok($shapes, '>', 0, 'the report has its shape');
cmp_ok($shapes, '<', $megabyte, "which is small: $shapes bytes");
leave('masked', $client, $file);

$node->stop;
done_testing();
