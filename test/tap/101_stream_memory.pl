# Promise: buffers that a large row made grow shrink again: behind it, a
# walsender that goes on streaming holds as little of our memory as before.
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

# held(SLOT): bytes of the contexts that are ours or that we write to, as the
# slot's walsender itself reports them
sub held
{
	my ($slot) = @_;
	my $offset = -s $node->logfile;

	$node->safe_psql('postgres',
		"SELECT pg_log_backend_memory_contexts(active_pid) FROM pg_replication_slots WHERE slot_name = '$slot'"
	);
	$node->wait_for_log(qr/Grand total: /, $offset);
	my @bytes = slurp_file($node->logfile, $offset) =~
	  /level: \d+; (?:outflow stream[^:]*|Logical decoding context): (\d+) total/g;
	cmp_ok(scalar @bytes, '>', 2, "$slot: the report has our contexts");
	return sum0(@bytes);
}

foreach my $batch ('0', '64kB')
{
	my $slot = "batch_$batch" =~ s/[^a-z0-9_]//gir =~ tr/A-Z/a-z/r;
	my $file = "${PostgreSQL::Test::Utils::tmp_check}/$slot.out";
	my $received = sub {
		my ($id) = @_;

		foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
		{
			return 1 if -e $file && slurp_file($file) =~ /"new":\{"id":$id,/;
			select(undef, undef, undef, 0.1);
		}
		return 0;
	};

	$node->safe_psql('postgres', 'TRUNCATE t');
	create_slot($node, $slot);
	my $client = IPC::Run::start(
		[
			'pg_recvlogical', '--start', '--no-loop', "--file=$file",
			'--fsync-interval=0', "--slot=$slot", '--dbname',
			$node->connstr('postgres'), '-o', "batch_bytes=$batch"
		]);

	$node->safe_psql('postgres', q{INSERT INTO t VALUES (1, 'small')});
	ok($received->(1), "$slot: streaming");
	my $before = held($slot);

	$node->safe_psql('postgres', <<'SQL');
INSERT INTO t VALUES (2, repeat('large', 6000000)), (3, 'small');
UPDATE t SET id = id + 10;
SQL
	ok($received->(13), "$slot: large rows have come");
	cmp_ok(-s $file, '>', 80 * $megabyte, "$slot: whole");
	my $after = held($slot);

	cmp_ok($after, '<', $before + 4 * $megabyte,
		"$slot: memory was given back: $before bytes before, $after behind");
	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '$slot'"
	);
	$client->finish;
	unlink $file;
}

$node->stop;
done_testing();
