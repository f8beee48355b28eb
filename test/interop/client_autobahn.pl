# Promise: pg_outflow speaks the WebSocket protocol as RFC 6455 has it: the cases of the
# Autobahn test suite, which PyPI's kosoku runs, find frames, fragments, control frames,
# UTF-8, closing and limits right.  Compression (12, 13) is not offered.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

die "OUTFLOW_AUTOBAHN is not set: run this test by test/run\n" unless $ENV{OUTFLOW_AUTOBAHN};

my $node = new_outflow_node('main');
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client_autobahn";
my $place = new_export_dir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $client;

create_slot($node, 'echo');
{
	local $ENV{LD_PRELOAD} = "$FindBin::RealBin/../modules/websocket/echo_preload.so";
	$client = start_client($node, 'echo', $log, "--to=ws://127.0.0.1:$port", "--ws-spool=$place");
}
foreach (1 .. 300)
{
	last if IO::Socket::INET->new("127.0.0.1:$port");
	Time::HiRes::sleep(0.1);
}

# its verdict is read case by case: it also fails for what is not strict
IPC::Run::run([ $ENV{OUTFLOW_AUTOBAHN}, '-c', 'from kosoku._cli import main; main()', '-x', '12.*', '-x', '13.*',
		'-o', "$place/report", "ws://127.0.0.1:$port/" ],
	'<', \undef, '>', "$log.out", '2>&1', IPC::Run::timeout(10 * $PostgreSQL::Test::Utils::timeout_default));
my ($cases) = values %{ JSON::PP->new->decode(slurp_file("$place/report/index.json")) };

cmp_ok(scalar(keys %$cases), '>', 290, scalar(keys %$cases) . ' cases');
foreach my $case (sort keys %$cases)
{
	my ($behavior, $close) = @{ $cases->{$case} }{qw(behavior behaviorClose)};
	my $as = "$behavior, closed $close";

	# an echo that was due may be dropped for a violation that follows it
	like($as, qr/^(OK|NON-STRICT|INFORMATIONAL), closed (OK|INFORMATIONAL)$/, "case $case: $as");
}
is(stop_client($client), 0, 'a clean stop');

done_testing();
