# Promise: the memory of a stream that runs for long is flat.  SOAK_SECONDS (1800)
# of changes of all sizes go to files, to a webhook that fails now and then and to
# another PostgreSQL; from the second quarter on the client's memory does not grow.
use strict;
use warnings;

use ClientTest;
use IO::Socket::INET;
use IPC::Run ();
use List::Util qw(max);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;
use Time::HiRes ();

my $seconds = $ENV{SOAK_SECONDS} || 1800;
my $allowed = 3 * 1024; # kB: what the allocator may keep back of a larger transaction
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 30s\n");
my $target = new_target();
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $place = new_export_dir();
my $files = new_export_dir();

client_setup($node);
$target->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, filler text)');
create_slot($node, 'feed');
write_to($place, 'faults', '2 1 1 5');
my $receiver = start_peer('http_receiver.py', $place, "$log.receiver");
my $port = do { my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die; $s->sockport };
my $client = start_client(
	$node, 'feed', $log, "--to=file://$files", '--file-rotate-bytes=1MB',
	'--to=http://127.0.0.1:' . slurp_file("$place/http_port") . '/hook', '--to=' . target_url($target),
	"--metrics=$port", '--queue-bytes=4MB');
my $pid = $client->{KIDS}[0]{PID};

sub resident
{
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+) kB/m;
	return $kilobytes;
}

# what the peers keep is not the client's, and would fill the disk
sub tidy
{
	my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or return;

	print $socket "GET /metrics HTTP/1.1\r\n\r\n";
	my @lines = <$socket>;
	truncate("$place/log", 0);
	unlink glob("$files/*");
	return;
}

my $start = Time::HiRes::time();
my (@samples, $writer);
while ((my $passed = Time::HiRes::time() - $start) < $seconds)
{
	$writer->finish if $writer;
	$writer = start_writer($node, 100);
	push @samples, [ $passed, resident() ];
	tidy();
	Time::HiRes::sleep(1);
}
$writer->finish;
my $end = current_lsn($node);
wait_until($node, "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'feed'", 'everything is confirmed');

sub most
{
	my ($from, $to) = @_;
	return max(map { $_->[0] >= $from * $seconds && $_->[0] < $to * $seconds ? $_->[1] : () } @samples) // 0;
}

my ($settled, $last) = (most(0.25, 0.5), most(0.75, 1));
note(sprintf('%d kB at the start, %d kB in the second quarter, %d kB in the last; %d kB at the end, after %d s',
		$samples[0][1], $settled, $last, resident(), $seconds));
my ($changes) = $node->safe_psql('postgres', q{SELECT last_value FROM tick});
note("$changes rows were changed");
cmp_ok($last, '<=', $settled + $allowed, 'memory is flat');
is(table_rows($target), table_rows($node), 'and the other PostgreSQL is equal');
is(stop_client($client), 0, 'a clean stop');
$receiver->signal('KILL');
$receiver->finish;
done_testing();
