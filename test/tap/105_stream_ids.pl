# Promise: the id of a record of a transaction in progress is the same on every
# delivery, wherever its pieces are cut, whether it was spilled to disk, and also
# when it comes as a whole; no two records have the same.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{STREAM_SEED} || int(rand(1_000_000)) + 1;
srand($seed);
note("STREAM_SEED=$seed");

my $node = new_outflow_node('main');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE other (id int, v text);
SQL
create_slot($node, 'feed');

# What is written: messages, single rows, rows by the dozen in one WAL record,
# updates, out-of-line values and TRUNCATEs, in subtransactions that commit and
# some that don't, at random.
my $n = 0;
my $file = "${PostgreSQL::Test::Utils::tmp_check}/rows";
append_to_file($file, join('', map { "$_\tcopied\n" } 1 .. 60));
my @writers = (
	sub { $n++; "SELECT pg_logical_emit_message(true, 'm', 'message $n');" },
	sub { $n++; "INSERT INTO t VALUES ($n, 'row');" },
	sub { "COPY other FROM '$file';" },
	sub { "UPDATE t SET v = v || 'x' WHERE id BETWEEN $n - 3 AND $n;" },
	sub { $n++; "INSERT INTO t SELECT $n, string_agg(md5(g::text), '') FROM generate_series(1, 300) AS g;" },
	sub { 'TRUNCATE other;' });
my $some = sub {
	return join("\n",
		map { $writers[ rand() < 0.01 ? 5 : rand(5) ]->() } 1 .. 1 + int(rand 3));
};
foreach my $transaction (1 .. 3)
{
	my @statements = ('BEGIN;');

	foreach my $step (1 .. 400)
	{
		my $kind = rand();

		push @statements, $some->() if $kind < 0.7;
		push @statements, 'SAVEPOINT s;', $some->(), 'RELEASE s;'
		  if $kind > 0.3 && $kind < 0.9;
		# A message ends where the next record begins.  If that one is undone
		# while the server streams it, the server may drop the message with it;
		# no plugin sees it then.  Nor does one see rows beside a TRUNCATE that is
		# undone: the server fails to map their filenode, with test_decoding too.
		push @statements, $writers[1]->(), 'SAVEPOINT s;', $some->() =~ s/TRUNCATE other;//gr, 'ROLLBACK TO s;'
		  if $kind > 0.9;
	}
	$node->safe_psql('postgres', join("\n", @statements, 'COMMIT;'));
}

# delivered(MEMORY, OPTION...): what each id is of, without the part that is not
# known while a transaction is in progress, and how many pieces there were
sub delivered
{
	my ($memory, @options) = @_;
	my %what;
	my $pieces = 0;
	my $options = join('', map { ", '$_'" } @options);
	my @lines = split /\n/, $node->safe_psql('postgres', <<"SQL");
SET logical_decoding_work_mem = '$memory';
SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'include_schemas', 'off'$options)
SQL

	my (%pending, $undone, $twice);
	foreach my $line (@lines)
	{
		my ($op, $id) = $line =~ m{^\{"op":"(\w+)","id":"[^/]+/([^"]+)"};
		my ($xid, $subxid) = $line =~ m{"xid":(\d+)(?:,"subxid":(\d+))?};

		$pieces++ if $line =~ /"op":"stream_start"/;
		# what was delivered and then taken back
		delete @what{ grep { $pending{$_} == $subxid } keys %pending }
		  if $line =~ /"op":"stream_abort"/;
		next if !defined $id;
		my ($rest) = $line =~ /("schema".*|"prefix".*)/;
		$twice++ if exists $what{$id};
		$what{$id} = "$op $rest";
		$pending{$id} = $subxid || 0;
	}
	is($twice || 0, 0, "$memory @options: no id is given twice");
	return (\%what, $pieces);
}

my ($oracle) = delivered('64MB');
cmp_ok(scalar keys %$oracle, '>', 1000, 'there are records');
my $all = 0;
foreach my $round (1 .. 8)
{
	my $memory = 64 + int(rand(400)) . 'kB';
	my @batch = ('batch_bytes', int(rand 20000));
	my ($whole) = delivered($memory, @batch);
	my ($streamed, $pieces) = delivered($memory, 'streaming', 'on', @batch);

	is_deeply($whole, $oracle, "spilled beyond $memory: the same ids");
	is_deeply($streamed, $oracle, "in $pieces pieces of $memory: the same ids");
	$all += $pieces;
}
cmp_ok($all, '>', 20, 'transactions came in pieces');

# narrower: a message just before another subtransaction's row
$node->safe_psql('postgres', <<'SQL');
SELECT count(*) FROM pg_logical_slot_get_changes('feed', NULL, NULL);
DO $$ BEGIN FOR i IN 100001 .. 104000 LOOP
	PERFORM pg_logical_emit_message(true, 'm', 'm' || i);
	BEGIN INSERT INTO t VALUES (i, 'row'); EXCEPTION WHEN unique_violation THEN NULL; END;
END LOOP; END $$;
SQL
($oracle) = delivered('64MB');
is(scalar keys %$oracle, 8000, 'messages and rows');
foreach my $memory ('64kB', '100kB', int(64 + rand 200) . 'kB')
{
	my ($streamed, $pieces) = delivered($memory, 'streaming', 'on');

	is_deeply($streamed, $oracle, "in $pieces pieces of $memory: the same ids");
	my ($whole) = delivered($memory);
	is_deeply($whole, $oracle, "spilled beyond $memory: the same ids");
}

$node->stop;
done_testing();
