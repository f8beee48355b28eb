# Promise: stdout that is a regular file is confirmed once it is synced, and a
# service manager is told when the client streams, lives and stops.
use strict;
use warnings;

use ClientTest;
use File::Temp ();
use IO::Select;
use IO::Socket::UNIX;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Socket qw(SOCK_DGRAM);
use Test::More;

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $place = "${PostgreSQL::Test::Utils::tmp_check}";

client_setup($node);
create_slot($node, 'feed');

sub client
{
	return ('pg_outflow', 'stream', '-d', $node->connstr('postgres'), '-S', 'feed', @_);
}

# a file, and not a pipe
my $file = "$place/stdout.ndjson";
$node->safe_psql('postgres', 'CALL work(20)');
foreach my $round (1 .. 3)
{
	my $end = current_lsn($node);

	is(system(join(' ', map { "'$_'" } client('--to=stdout:', "--endpos=$end")) . " >>'$file' 2>>'$place/client'"), 0, "round $round: it ends there");
	cmp_ok(lsn_number(confirmed_lsn($node, 'feed')), '>=', lsn_number($end), "round $round: what is in the file is confirmed");
	$node->safe_psql('postgres', 'CALL work(5)');
}
my $end = current_lsn($node);
is(system(join(' ', map { "'$_'" } client('--to=stdout:', "--endpos=$end")) . " >>'$file' 2>>'$place/client'"), 0, 'and so do the last changes');
my @lines = split(/\n/, slurp_file($file));
check_once('file', @lines);
is(replay_records(@lines), table_rows($node), 'the file gives the table');
my ($code, undef, $err) = run_client($node, 'feed', '--to=stdout:/x', '--endpos=0/1');
is($code, 2, 'stdout has no path') or diag($err);

# one that can't be written to is waited for by nobody
SKIP:
{
	skip 'no /dev/full', 2 if !-e '/dev/full';
	$node->safe_psql('postgres', 'CALL work(5)');
	my $before = confirmed_lsn($node, 'feed');
	is(system(join(' ', map { "'$_'" } client('--to=stdout:', '--endpos=' . current_lsn($node))) . " >/dev/full 2>'$place/full'") >> 8, 1,
		'a full disk ends it');
	like(slurp_file("$place/full"), qr/could not (?:write to|sync) stdout: No space/, 'and is told');
	is(confirmed_lsn($node, 'feed'), $before, 'and nothing is confirmed');
}

# a service manager: a datagram for each state
foreach my $name (File::Temp::tempdir(CLEANUP => 1) . '/notify', "\@outflow-test-$$")
{
	my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $name =~ s/^@/\0/r) or die "$name: $!";
	my $select = IO::Select->new($manager);
	local $ENV{NOTIFY_SOCKET} = $name;
	local $ENV{WATCHDOG_USEC} = 300_000;
	my $client = IPC::Run::start([ client('--to=stdout:') ], '<', \undef, '>', '/dev/null', '2>>', "$place/client");
	# next_state(): what comes next, but signs of life
	my $signs = 0;
	my $next_state = sub {
		while ($select->can_read($PostgreSQL::Test::Utils::timeout_default))
		{
			my $state;

			$manager->recv($state, 1000);
			return $state if $state ne 'WATCHDOG=1' || ++$signs >= 3;
		}
		return 'nothing';
	};

	is($next_state->(), 'READY=1', "it says when it streams, to $name");
	is($next_state->(), 'WATCHDOG=1', 'again and again that it lives');
	$client->signal('TERM');
	$signs = -1000;
	is($next_state->(), 'STOPPING=1', 'and when it stops');
	$client->finish;
	is($client->result(0), 0, 'in order');
}

# One that started over, as far as its manager knows, still streams: while its target is away it
# lives.
foreach my $target ([ '--to=postgresql://127.0.0.1:9/shop' ], [ '--to=kafka://127.0.0.1:9/shop', '--exactly-once' ])
{
	my $name = File::Temp::tempdir(CLEANUP => 1) . '/notify';
	my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $name) or die "$name: $!";
	my $select = IO::Select->new($manager);
	local $ENV{NOTIFY_SOCKET} = $name;
	local $ENV{WATCHDOG_USEC} = 300_000;
	my $client = IPC::Run::start([ client(@$target) ], '<', \undef, '>', '/dev/null', '2>>', "$place/waits");
	my @states;

	while (@states < 3 && $select->can_read(10))
	{
		$manager->recv(my $state, 1000);
		push @states, $state;
	}
	is("@states", 'WATCHDOG=1 WATCHDOG=1 WATCHDOG=1', "it lives while it waits: $target->[0]");
	is(stop_client($client), 8, 'and stops') or diag(slurp_file("$place/waits"));
}

done_testing();
