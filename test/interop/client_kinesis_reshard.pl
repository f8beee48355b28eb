# Promise: while a Kinesis stream is split and merged, throttles, loses answers, and
# pg_outflow is killed, whoever reads its shards, parents before children, finds every
# change, the changes of a row in order; and pg_outflow notices that it was resharded.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use KillRounds;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

die "NODE_PATH is not set: run this test by test/run\n" unless $ENV{NODE_PATH};

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new->utf8;
my $place = new_export_dir();
my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
my $server = IPC::Run::start([ 'node', "$FindBin::RealBin/../lib/kinesis_kinesalite.js", $port ],
	'<', \undef, '>', "$place/started", '2>>', "$log.kinesalite");
my @boto = ($ENV{OUTFLOW_KINESIS}, "$FindBin::RealBin/../lib/kinesis_moto.py", $port, 'AKID', 'SECRET');
my $proxy;

END { local $?; $_->kill_kill(grace => 0) foreach grep { $_ } $server, $proxy; }

wait_for_line("$place/started", qr/ready/);
client_setup($node);
delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
# it keeps region and account apart
@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY)} = qw(AKID SECRET);
run_command([ @boto, 'create', 2 ]);
append_to_file("$place/faults", '4711 15 10 5 5');
$proxy = start_peer('kinesis_server.py', $place, "$log.proxy", $node->host . '/.s.PGSQL.' . $node->port, $port);
my @target = ('--to=kinesis://eu-north-1/shop', '--kinesis-endpoint=http://127.0.0.1:' . slurp_file("$place/kinesis_port"));

create_slot($node, 'slot');
kill_rounds(
	$node,
	slot => 'slot',
	transactions => 20, wait => [ 0.5, 1 ], server_every => 0, target_every => 1,
	client => sub { start_client($node, 'slot', $log, @target) },
	target => sub
	{
		my ($out, $err) = run_command([ @boto, 'reshard', $_[0] ]);
		is($err, '', "round $_[0]: resharded");
	});

# one that lives through it, too
my $client = start_client($node, 'slot', "$log.living", @target);
wait_for_line("$log.living", qr/has \d+ shards/);
foreach my $round (1 .. 300)
{
	run_command([ @boto, 'reshard', 1000 + $round ]) if $round % 10 == 1 && $round < 50;
	$node->safe_psql('postgres', 'CALL work(3)');
	last if $round > 10 && slurp_file("$log.living") =~ /was resharded: shardId-\d+ has taken what was of shardId-\d+/;
	Time::HiRes::sleep(0.5);
}
like(slurp_file("$log.living"), qr/was resharded: shardId-\d+ has taken what was of shardId-\d+/, 'it is noticed');
my $end = current_lsn($node);
wait_confirmed($node, 'slot', $end);
is(stop_client($client), 0, 'a clean stop');

my ($out) = run_command([@boto]);
my @stored = map { $json->decode($_) } split(/\n/, $out);
my %shards = map { $_->{shard} => 1 } @stored;
cmp_ok(scalar(keys %shards), '>', 4, 'the changes are in ' . keys(%shards) . ' shards');
check_stored($node, 'key', @stored);
ok(!-e "$place/violations", 'no key was twice in a request, nothing was confirmed before it was answered')
  or diag(slurp_file("$place/violations"));
done_testing();
