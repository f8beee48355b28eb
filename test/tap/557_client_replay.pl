# Promise: replay sends what is in a file when it begins, and nothing else: it never
# reads what it writes; and it stops when it is told to, within --stop-timeout.
use strict;
use warnings;

use ClientTest;
use IO::Socket::INET;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = PostgreSQL::Test::Utils::tempdir();
my $place = new_export_dir();

# letters(FILE, NUMBER): so many dead letters
sub letters
{
	my ($file, $number) = @_;

	append_to_file($file, join('', map { '{"ts":1,"target":"x","system":"1","slot":"s","format":"json","kind":"record","reason":"r",'
		  . "\"id\":\"$_\",\"record\":{\"op\":\"insert\",\"id\":\"$_\",\"schema\":\"public\",\"table\":\"t\",\"new\":{\"id\":$_}}}\n" } 1 .. $number));
	return $file;
}

# replay(ARGUMENT...): exit code and messages; what doesn't end is ended
sub replay
{
	my (@arguments) = @_;
	my $err = '';

	IPC::Run::run([ 'timeout', '-s', 'KILL', $PostgreSQL::Test::Utils::timeout_default, 'pg_outflow', 'replay', @arguments ],
		'<', \undef, '>', '/dev/null', '2>', \$err);
	return ($? >> 8, $err);
}

# a receiver that takes nothing
my $receiver = start_peer('http_receiver.py', $place, "$tmp/557_receiver");
my $url = '--to=http://127.0.0.1:' . slurp_file("$place/http_port") . '/hook';
write_to($place, 'status', '422 .');

# the file that is read, under any name of it
my $file = letters("$tmp/letters", 40);
my $size = -s $file;
symlink($file, "$tmp/symlink") or die;
link($file, "$tmp/link") or die;
foreach my $name ($file, "$tmp/symlink", "$tmp/link")
{
	my ($code, $err) = replay($file, $url, '--queue-bytes=1kB', '--on-reject=dead-letter', "--dead-letter=$name");
	is($code, 2, "dead letters into the file that is read, as $name");
	like($err, qr/is the file that is read, and --dead-letter as well/, '... and the reason');
	is(-s $file, $size, '... which is as it was');
}
my $err = '';
IPC::Run::run([ 'timeout', '-s', 'KILL', $PostgreSQL::Test::Utils::timeout_default, 'pg_outflow', 'replay', $file, '--to=stdout:', '--queue-bytes=1kB' ],
	'<', \undef, '>>', $file, '2>', \$err);
is($? >> 8, 2, 'so with stdout');
like($err, qr/is the file that is read, and stdout as well/, '... and the reason');
is(-s $file, $size, '... which is as it was');
my $files = new_export_dir();
my ($code, $said) = replay($file, "--to=file://$files");
is($code, 2, 'files keep the order of a slot');
like($said, qr/replayed records have none/, '... and replayed records have none');
is_deeply([ files_below($files) ], [], '... of which nothing is left there');
($code, $said) = replay($file, $url, '--queue-bytes=1kB', '--on-reject=dead-letter', "--dead-letter=$tmp/others");
is($code, 0, 'another file gets what is rejected again') or diag($said);
my $others = () = slurp_file("$tmp/others") =~ /\n/g;
is($others, 40, '... each once');
is(-s $file, $size, '... and the one that is read is as it was');

# Told to stop while a target's next try is far away, it never sleeps beyond the limit.
$receiver->signal('KILL');
$receiver->finish;
my $busy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
my %calls = watch_calls("$tmp/calls");
my $replay;
{
	local @ENV{ keys %calls } = values %calls;
	$replay = IPC::Run::start([ 'pg_outflow', 'replay', letters("$tmp/letter", 1), '--to=http://127.0.0.1:' . $busy->sockport . '/hook', '--stop-timeout=1s' ],
		'<', \undef, '2>', \$err);
}
my $connection = $busy->accept;
while (defined(my $line = readline $connection)) { last if $line eq "\r\n"; }
print $connection "HTTP/1.1 503 Busy\r\nRetry-After: 50\r\nContent-Length: 0\r\n\r\n";
$connection->flush;
wait_for_line("$tmp/calls", qr/^poll (?:5[01]|4\d)\d{3}$/m);
$replay->signal('TERM');
$replay->finish;
is($replay->result(0), 8, 'replay is stopped: exit code');
my @polls = slurp_file("$tmp/calls") =~ /^poll (\d+)$/mg;
cmp_ok($polls[-1], '<=', 1000, "the last sleep was for $polls[-1] ms at most");
done_testing();
