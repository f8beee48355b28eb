# Promise: a connection over which bytes come is alive, however long a record takes;
# one whose server doesn't answer is given up and made again, at every step of it;
# and a host that vanished is missed soon, by the system's probes.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $log = "${PostgreSQL::Test::Utils::tmp_check}/534_client_silence";
my $place = new_export_dir();
my $node = new_outflow_node('main');
my $proxy = start_peer('slow_proxy.py', $place, "$log.proxy", $node->host . '/.s.PGSQL.' . $node->port);
my $port = slurp_file("$place/port");
my $here = "host=127.0.0.1 port=$port dbname=postgres sslmode=disable gssencmode=disable";

sub start
{
	my (@more) = @_;

	return IPC::Run::start([ 'pg_outflow', 'stream', '-d', $here, '-S', 'feed', '--status-interval=1s', @more ],
		'<', \undef, '>>', "$log.out", '2>>', $log);
}

# a record of 800 kB, which takes 9 seconds: more than six of the interval
client_setup($node);
create_slot($node, 'feed');
$node->safe_psql('postgres', "INSERT INTO t VALUES (1, 1, repeat('x', 800000))");
write_to($place, 'rate', '90000');
my $client = start('--to=stdout:', '--endpos=' . current_lsn($node));
$client->finish;
is($client->result(0), 0, 'a record that comes slowly arrives') or diag(slurp_file($log));
unlike(slurp_file($log), qr/doesn't answer/, 'and nobody is given up meanwhile');
write_to($place, 'rate', '0');

# a row that the server measures for longer than that, value by value, and leaves out
my @wide = map { "c$_" } 1 .. 48;
$node->safe_psql('postgres', join('; ', 'CREATE TABLE wide (id int PRIMARY KEY, ' . join(', ', map { "$_ text" } @wide) . ')',
	'INSERT INTO wide VALUES (1)'));
$node->safe_psql('postgres', join('; ', map { "UPDATE wide SET $_ = repeat(chr(1), 20000000)" } @wide));
pass_over($node, 'feed');
$node->safe_psql('postgres', 'ALTER TABLE wide REPLICA IDENTITY FULL; UPDATE wide SET id = 2');
$node->safe_psql('postgres', q{ALTER SYSTEM SET wal_sender_timeout = '6s'});
$node->reload;
$log .= '.wide';
$client = start('--to=stdout:', '--endpos=' . current_lsn($node));
$client->finish;
is($client->result(0), 0, 'a row that takes long to measure arrives') or diag(slurp_file($log));
unlike(slurp_file($log), qr/doesn't answer/, 'and nobody is given up meanwhile');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET wal_sender_timeout');
$node->reload;

# no answer to a question
$log .= '.deaf';
write_to($place, 'deaf', 'wal_sender_timeout');
$client = start('--to=stdout:');
wait_for_line($log, qr/streaming|the server doesn't answer; trying again/);
like(slurp_file($log), qr/the server doesn't answer; trying again/, 'a question that is not answered is given up');
unlink "$place/deaf";
wait_for_line($log, qr/streaming/);
is(stop_client($client), 0, 'and the next connection streams');

# probes of the source's connection and of the target's, by Linux's table of sockets: the
# timer of an idle one, in hundredths of a second
SKIP:
{
	skip 'there is no /proc/net/tcp', 1 if !-r '/proc/net/tcp';
	my $remote = sprintf('0100007F:%04X', $port);
	my @probed;

	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$client = start("--to=postgresql://127.0.0.1:$port/other?sslmode=disable&gssencmode=disable");
	foreach my $try (1 .. 600)
	{
		@probed = grep { hex($_) <= 3000 } slurp_file('/proc/net/tcp') =~ /: \w+:\w+ $remote 01 \w+:\w+ 02:(\w+) /g;
		last if @probed == 2;
		Time::HiRes::sleep(0.1);
	}
	is(scalar(@probed), 2, 'both connections are probed when nothing comes');
	wait_for_line($log, qr/has everything up to/);
	is(stop_client($client), 0, 'until they end');
}
done_testing();
