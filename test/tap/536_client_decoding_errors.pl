# Promise: a stream that the server can't decode any further ends pg_outflow, once all
# before that place is delivered; until then it is tried with growing pauses, and so is
# what passes, however often it comes.
use strict;
use warnings;

use ClientTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $log = "${PostgreSQL::Test::Utils::tmp_check}/536_client_decoding_errors";
my $node = new_outflow_node('node', conf => "autovacuum = off\n");
my @error = ('-o', 'oversize=error', '-o', 'max_value_bytes=1kB');

client_setup($node);

sub starts
{
	my ($at) = @_;

	return scalar(() = slurp_file($node->logfile, $at) =~ /starting logical decoding for slot/g);
}

# failing(NAME, SQL): a slot with a transaction before, and one that can't be decoded
sub failing
{
	my ($slot, $rows) = @_;

	$node->safe_psql('postgres', 'TRUNCATE t');
	create_slot($node, $slot);
	$node->safe_psql('postgres', "INSERT INTO t VALUES (1, 1, 'x')");
	my $before = current_lsn($node);
	$node->safe_psql('postgres', "BEGIN; $rows; COMMIT; INSERT INTO t VALUES (9, 9, 'x')");
	return $before;
}

my $large = q{INSERT INTO t VALUES (3, 1, repeat(md5('1'), 1000))};

foreach my $case ([ 'first', $large ], [ 'later', "INSERT INTO t VALUES (2, 1, 'x'); $large" ])
{
	my ($slot, $rows) = @$case;
	my $before = failing($slot, $rows);
	my $at = -s $node->logfile;
	my ($code, $out, $err) = run_client($node, $slot, '--to=stdout:', '--endpos=' . current_lsn($node), @error);

	is($code, 3, "the $slot row of a transaction: exit code");
	like($err, qr/the stream can't go on: ERROR:  value of column "filler" of table "public\.t" is too large/, 'with the reason') or diag($err);
	like($out, qr/"new":\{"id":1,/, 'what came before is delivered');
	unlike($out, qr/"new":\{"id":9,/, 'and nothing after');
	is(starts($at), 3, 'it was tried three times');
	($code, $out, $err) = run_client($node, $slot, '--to=stdout:', '--endpos=' . current_lsn($node), '-o', 'oversize=omit', '-o', 'max_value_bytes=1kB');
	is($code, 0, 'with other options it goes on') or diag($err);
	like($out, qr/"new":\{"id":3,.*"new":\{"id":9,/s, 'from that place');
}

# a target that is away doesn't have what came before that place
failing('away', $large);
my $at = -s $node->logfile;
my $client = start_client($node, 'away', "$log.away", '--to=http://127.0.0.1:1/', @error);
wait_for_line("$log.away", qr/trying again/);
sleep 10;
ok($client->pumpable, 'while a target lacks what came before, it is tried on');
cmp_ok(starts($at), '<', 11, 'with growing pauses: ' . starts($at) . ' times in 10 s');
kill_client($client);

# what passes
$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, 'passes');
$client = start_client($node, 'passes', "$log.passes", '--to=stdout:');
foreach my $i (1 .. 5)
{
	my $pid;

	# which the next one may follow at once
	wait_until($node, q{SELECT active FROM pg_replication_slots WHERE slot_name = 'passes'}, "stream $i");
	$pid = $node->safe_psql('postgres', q{SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'passes'}) || next;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", "its end");
}
$node->safe_psql('postgres', "INSERT INTO t VALUES (5, 5, 'x')");
wait_for_line("$log.passes.out", qr/"new":\{"id":5,/);
is(stop_client($client), 0, 'streams that are ended from outside are begun again');
done_testing();
