# Promise: a Kinesis server that verifies signatures takes what pg_outflow sends, and
# whoever reads its shards finds every change, the changes of a row in order, whatever
# is killed and however requests fail.
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

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new->utf8;
my $place = new_export_dir();
my @moto = ($ENV{OUTFLOW_KINESIS}, "$FindBin::RealBin/../lib/kinesis_moto.py");
my $moto_port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
my $moto = IPC::Run::start([ @moto, $moto_port ], '<', \undef, '>', "$place/keys", '2>>', "$log.moto");
my $proxy;

END { local $?; $_->kill_kill(grace => 0) foreach grep { $_ } $moto, $proxy; }

client_setup($node);
wait_for_line("$place/keys", qr/\S+ \S+/);
my ($key, $secret) = split(/\s+/, slurp_file("$place/keys"));
delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
$ENV{AWS_ACCESS_KEY_ID} = $key;
$ENV{AWS_SECRET_ACCESS_KEY} = $secret;
append_to_file("$place/faults", '4711 20 10 5 5');
$proxy = start_peer('kinesis_server.py', $place, "$log.proxy", $node->host . '/.s.PGSQL.' . $node->port, $moto_port);
my @target = ('--to=kinesis://eu-north-1/shop', '--kinesis-endpoint=http://127.0.0.1:' . slurp_file("$place/kinesis_port"));

create_slot($node, 'slot');
kill_rounds($node, slot => 'slot', transactions => 20, wait => [ 0.5, 1 ], client => sub { start_client($node, 'slot', $log, @target) });
my ($code, undef, $err) = run_client($node, 'slot', @target, '--stop-timeout=10min', '--endpos=' . current_lsn($node));
is($code, 0, 'comes to the end') or diag($err);
my ($out) = run_command([ @moto, $moto_port, $key, $secret ]);
check_stored($node, 'shard', map { $json->decode($_) } split(/\n/, $out));
ok(!-e "$place/violations", 'no key was twice in a request') or diag(slurp_file("$place/violations"));

$node->safe_psql('postgres', 'INSERT INTO t VALUES (9000, 1)');
$ENV{AWS_SECRET_ACCESS_KEY} = 'wrong';
($code, undef, $err) = run_client($node, 'slot', @target, '--endpos=' . current_lsn($node));
is($code, 6, 'a wrong secret: exit code');
like($err, qr/InvalidSignatureException|SignatureDoesNotMatch/, 'a wrong secret: the reason');
done_testing();
