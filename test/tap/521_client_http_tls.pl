# Promise: a webhook by https is trusted by its certificate alone: one of another host,
# one that has expired and one of an unknown authority end the program with the reason
# before anything is sent, and check says so.  A webhook that asks for a certificate
# gets ours.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use TlsTest;

my $node = new_outflow_node('main');
my $log = "${PostgreSQL::Test::Utils::tmp_check}/521_client_http_tls";
my $place = new_export_dir();

new_authority($place, $_) foreach qw(trusted unknown clients);
my $here = 'IP:127.0.0.1,DNS:localhost';
new_certificate($place, 'right', 'trusted', $here, '-days', 2);
new_certificate($place, 'elsewhere', 'trusted', 'DNS:hooks.example.com', '-days', 2);
new_certificate($place, 'old', 'trusted', $here, expired());
new_certificate($place, 'stranger', 'unknown', $here, '-days', 2);
new_certificate($place, 'right_asks', 'trusted', $here, '-days', 2);
new_certificate($place, 'pg_outflow', 'clients', 'DNS:nobody', '-days', 2);
new_certificate($place, 'intruder', 'unknown', 'DNS:nobody', '-days', 2);
append_to_file("$place/names", 'right elsewhere old stranger right_asks');
append_to_file("$place/log", '');
my $receiver = start_peer('tls_receiver.py', $place, "$log.receiver");

client_setup($node);
create_slot($node, 'hook');
my @ca = ("--http-ca=$place/trusted.cert");

sub url { return "--to=https://127.0.0.1:" . slurp_file("$place/$_[0].port") . '/hook'; }

sub taken { my @lines = split(/\n/, slurp_file("$place/log")); return join(', ', @lines); }

sub delivered
{
	my ($what, $expected, @arguments) = @_;

	truncate("$place/log", 0);
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1); DELETE FROM t');
	my ($code, undef, $err) = run_client($node, 'hook', @arguments, '--endpos=' . current_lsn($node));
	is($code, 0, $what) or diag($err);
	like(taken(), qr/^$expected(?:, $expected)*$/, "$what: it is there");
	return;
}

sub refused
{
	my ($what, $pattern, @arguments) = @_;
	my ($out, $said) = ('', '');

	truncate("$place/log", 0);
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1); DELETE FROM t');
	my ($code, undef, $err) = run_client($node, 'hook', @arguments, '--endpos=' . current_lsn($node));
	is($code, 6, "$what: exit code");
	like($err, $pattern, "$what: the reason");
	is(taken(), '', "$what: nothing was sent");
	IPC::Run::run([ 'pg_outflow', 'check', '-d', $node->connstr('postgres'), '-S', 'hook', @arguments ],
		'<', \undef, '>', \$out, '2>', \$said);
	is($? >> 8, 9, "$what: check notices") or diag($out . $said);
	like($out, qr/^NOT  target https:/m, "$what: of the target");
	return;
}

delivered('a certificate of our authority', 'right ', url('right'), @ca);
refused('the system\'s authorities', qr/issuer certificate|self.signed/i, url('right'));
refused('an unknown authority', qr/issuer certificate|self.signed/i, url('stranger'), @ca);
refused('another host', qr/no alternative certificate subject name/i, url('elsewhere'), @ca);
refused('a certificate that has expired', qr/certificate has expired/i, url('old'), @ca);
refused('a file that is not there', qr/certificate|CA|cert|trust anchors/i, url('right'), "--http-ca=$place/missing");

# certificates of ours
my @ours = (@ca, "--http-cert=$place/pg_outflow.cert", "--http-key=$place/pg_outflow.key");
delivered('a certificate of ours', 'right_asks pg_outflow', url('right_asks'), @ours);
delivered('which others don\'t ask for', 'right ', url('right'), @ours);
refused('another key', qr/cert|key/i, url('right_asks'), @ca, "--http-cert=$place/pg_outflow.cert", "--http-key=$place/right.key");
# a server that takes none of ours says so by hanging up, which may mend
foreach my $case ([ 'no certificate of ours' ], [ 'one of somebody else', "--http-cert=$place/intruder.cert", "--http-key=$place/intruder.key" ])
{
	my ($what, @mine) = @$case;

	truncate("$place/log", 0);
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1); DELETE FROM t');
	my $client = start_client($node, 'hook', "$log.asks", url('right_asks'), @ca, @mine, '--stop-timeout=1s');
	wait_for_line("$log.asks", qr/the request is sent again/);
	is(stop_client($client), 8, "$what: it is not taken");
	is(taken(), '', "$what: and nothing arrived");
	unlink("$log.asks");
}
delivered('nothing was lost', 'right_asks pg_outflow', url('right_asks'), @ours);
$receiver->signal('KILL');
$receiver->finish;
done_testing();
