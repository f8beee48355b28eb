# Promise: a client that waits sleeps, also once a file of file:// is old enough to be
# handed over and can't be, amid a transaction or with nothing in it.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use OutflowTest;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = PostgreSQL::Test::Utils::tempdir();
my $node = new_outflow_node('main');
my $directory = new_export_dir();
my @target = ("--to=file://$directory", '--file-rotate-age=1s');
my $runs = 0;

client_setup($node);
create_slot($node, 'slot');
$node->safe_psql('postgres', "INSERT INTO t SELECT g, 1, repeat('x', 300) FROM generate_series(1, 20000) AS g");

# start(ARGUMENT...): a client whose stdout nobody reads, the file of its calls, the other end
sub start
{
	my (@more) = @_;
	my %calls = watch_calls("$tmp/calls" . ++$runs);

	pipe(my $read, my $write) or die $!;
	my $pid = fork // die $!;
	if ($pid == 0)
	{
		@ENV{ keys %calls } = values %calls;
		open(STDOUT, '>&', $write);
		open(STDERR, '>>', "$tmp/512_client");
		exec('pg_outflow', 'stream', '-d', $node->connstr('postgres'), '-S', 'slot', @target, @more) or POSIX::_exit(1);
	}
	return ($pid, $calls{CALLS}, $read);
}

# sleeps(WHAT, CALLS): once the file is older than it should become.  A client that doesn't
# sleep makes many calls in that time, and on a slow machine fewer, but never none.
sub sleeps
{
	my ($what, $calls) = @_;

	sleep 2;
	my $start = -s $calls;
	sleep 3;
	my $polls = () = slurp_file($calls, $start) =~ /^poll 0$/mg;
	cmp_ok($polls, '<', 50, "$what: it looked $polls times without sleeping");
	return;
}

sub end
{
	my ($pid) = @_;

	kill 'KILL', $pid;
	waitpid $pid, 0;
	return;
}

sub hidden_file { return (grep { /^\.slot-/ } files_below($directory))[0]; }

# amid a transaction that is larger than the queue, while the other target is not read
my ($pid, $calls, $read) = start('--to=stdout:', '--queue-bytes=100kB');
wait_for_line($calls, qr/^poll [1-9]\d*\n/m);
foreach (1 .. 1800) { last if hidden_file() && -s "$directory/" . hidden_file(); select(undef, undef, undef, 0.1); }
ok(hidden_file(), 'amid a transaction');
sleeps('amid a transaction', $calls);
end($pid);

# with nothing in the file that the one before began
($pid, $calls, $read) = start('-o', 'tables=public.other');
wait_for_line("$tmp/512_client", qr/cut \d+ bytes off/);
wait_for_line($calls, qr/^poll [1-9]\d*\n/m);
is(-s "$directory/" . hidden_file(), 0, 'a file with nothing in it') if hidden_file();
sleeps('a file with nothing in it', $calls);
end($pid);

# and it is old enough once the transaction is whole
$node->safe_psql('postgres', 'DELETE FROM t');
($pid, $calls, $read) = start();
my $end = current_lsn($node);
wait_confirmed($node, 'slot', $end);
foreach (1 .. 1800) { last if !hidden_file(); select(undef, undef, undef, 0.1); }
is(hidden_file(), undef, 'what is whole is handed over while the client goes on');
end($pid);
done_testing();
