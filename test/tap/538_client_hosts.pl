# Promise: of a list of hosts, and of the addresses of one, those that say nothing are passed over, each after its own
# time, by every command and target; what a server says meanwhile comes by the log.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# a port whose connections nobody accepts, and one that refuses them
sub silent { return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100) || die }

my @silent = map { silent() } 1 .. 2;
my $refused = do { silent()->sockport };
my $node = new_outflow_node('main', conf => "listen_addresses = '127.0.0.1'\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/538_client_hosts";
my $place = new_export_dir();
my $socket = $node->host;
my ($first, $second) = map { $_->sockport } @silent;
my $lists = "host=127.0.0.1,127.0.0.1,127.0.0.1,$socket port=$first,$refused,$second," . $node->port;
my $quick = "dbname=postgres sslmode=disable gssencmode=disable connect_timeout=2";

# outflow(ARGUMENT...): exit code, stdout, stderr
sub outflow
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', @arguments ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return ($? >> 8, $out, $err);
}

client_setup($node);
create_slot($node, 'feed');

# ---- a stream, and what it is applied to
sub stream
{
	my ($from, @more) = @_;

	return eval { outflow('stream', '-d', $from, '-S', 'feed', '--endpos=' . current_lsn($node), @more) };
}

$node->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1)');
my ($code, $out, $err) = stream("$lists $quick", '--to=stdout:');
is($code, 0, 'a stream passes over two hosts of a list that say nothing') or diag($@);
like($out, qr/"id":1\b/, 'and brings what the last one has');
is(scalar(() = $err =~ /doesn't answer; trying the next/g), 1, 'it says so, of several in a row once') or diag($err);

write_to($place, 'services', "[far]\nhost=127.0.0.1,$socket\nport=$first," . $node->port . "\n" . ($quick =~ s/ /\n/gr) . "\n");
{
	local $ENV{PGSERVICEFILE} = "$place/services";
	local $ENV{PGPORT} = '1';

	($code) = stream('service=far', '--to=stdout:');
	is($code, 0, "the list may be a service's") or diag($@);
}

# ... and one address of a host: the server, by its second one
{
	my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.2', LocalPort => $node->port, Listen => 100) || die;

	write_to($place, 'names', "two.test 127.0.0.2\ntwo.test 127.0.0.1\n");
	local $ENV{LD_PRELOAD} = "$FindBin::RealBin/../modules/machine/machine_preload.so";
	local $ENV{MACHINE} = $place;
	($code, $out, $err) = stream("host=two.test,127.0.0.1 port=" . $node->port . ",$refused $quick", '--to=stdout:');
	is($code, 0, 'one of a host\'s addresses is passed over') or diag($@);
	is(() = $err =~ /doesn't answer/g, 1, '... and not its host') or diag($err);
	($code, $out) = outflow('check', '-d', 'host=two.test port=' . $node->port . " $quick", '-S', 'feed', '--to=stdout:');
	is($code, 0, '... also by check') or diag($out);
}
($code) = stream("host=127.0.0.1,$socket port=$first," . $node->port . " $quick target_session_attrs=prefer-standby", '--to=stdout:');
is($code, 0, 'a server that is not of the preferred kind is taken where another is silent') or diag($@);

$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->safe_psql('copy', 'CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, filler text)');
my $to = "--to=postgresql://127.0.0.1:$first," . ($socket =~ s/\//%2F/gr) . ':' . $node->port . '/copy?connect_timeout=2&sslmode=disable&gssencmode=disable';
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2, 1)');
($code, $out, $err) = stream($node->connstr('postgres'), $to);
is($code, 0, 'a target passes over a host of a list that says nothing') or diag($@);
is($node->safe_psql('copy', 'SELECT id FROM t WHERE id = 2'), 2, 'and gets the changes at the next');

# ---- the others; a server that speaks while a connection is made
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET default_text_search_config = 'gone'});
my $gone = qr/"message":"invalid value for parameter \\"default_text_search_config\\"/;
foreach my $case (
	[ 'check', qr/^ok   slot feed/m, 'check', '-S', 'feed', $to ],
	[ 'export', qr/^\d+$/m, 'export', 't', "file://$place/t" ],
	[ 'verify', qr/^$/, 'verify', '--job=1' ])
{
	my ($what, $pattern, $command, @more) = @$case;

	($code, $out, $err) = eval { outflow($command, '-d', "$lists $quick", '--log-format=json', @more) };
	is($code, 0, "$what passes over hosts that say nothing") or diag($@ || "$out$err");
	like($out, $pattern, '... and says what it is to say');
	like($err, $gone, '... a warning is in the log');
	is(scalar(grep { !/^\{|^job \d+/ } split(/\n/, $err)), 0, '... and nothing is beside it') or diag($err);
}
my $begin = Time::HiRes::time();
($code, $out) = outflow('check', '-d', "host=127.0.0.1,127.0.0.1 port=$first,$second $quick", '-S', 'feed');
is($code, 9, 'where all say nothing, check ends');
like($out, qr/^NOT  server: host "127.0.0.1", port $second doesn't answer$/m, '... and says so');
cmp_ok(Time::HiRes::time() - $begin, '<', 20, '... each was waited for once');

# ---- lists with empty elements, and addresses that libpq spells in its own way
my $last = $node->port;
foreach my $case (
	[ 0, 'an empty address', "host=x,$socket hostaddr=127.0.0.1, port=$first,$last" ],
	[ 0, "another spelling of an address", "host=x,$socket hostaddr=127.1,127.0.0.1 port=$first,$last" ],
	[ 9, 'an empty host is the default one, where nobody is', "host=127.0.0.1, port=$first,$refused" ])
{
	my ($expected, $what, $list) = @$case;

	($code, $out) = eval { outflow('check', '-d', "$list $quick", '-S', 'feed') };
	is($code, $expected, $what) or diag($@ || $out);
	unlike($out, qr/could not match|127\.0\.0\.1.*$refused/, '... and only what the list has is asked');
}

done_testing();
