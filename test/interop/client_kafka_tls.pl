# Promise: a Kafka that is reached by TLS and a login gets the changes, by SCRAM, which
# a user in the URL means, and by PLAIN.  A wrong password, a certificate of an unknown
# authority and one of another host end the program with the reason; check says so
# before.  A password is never shown.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use KafkaTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

# OUTFLOW_KAFKA has Kafka's jars
my $node = new_outflow_node('main');
my $place = new_export_dir();
my @openssl = ('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2');

# certificate(NAME, HOST): one that is its own authority
sub certificate
{
	my ($name, $host) = @_;

	IPC::Run::run([ @openssl, '-subj', "/CN=$name", '-addext', "subjectAltName=$host",
			'-keyout', "$place/$name.key", '-out', "$place/$name.cert" ], '2>', '/dev/null') or die;
	return (key => "$place/$name.key", cert => "$place/$name.cert");
}

client_setup($node);
create_slot($node, 'feed');
my $broker = KafkaTest->new(certificate('right', 'IP:127.0.0.1'))->start;
certificate('unknown', 'IP:127.0.0.1');
my $address = $broker->secure_address;
my @right = ("--to=kafka://me:secret%40word\@$address/shop", '-X', "ssl.ca.location=$place/right.cert");
my @more = ('--kafka-partitions=1');

# SCRAM, which Debian's librdkafka can't with Kafka 4, and PLAIN, with both
my $number = 0;
my @plain = ('-X', 'sasl.mechanism=PLAIN');
foreach my $case ([ 1 ], [ 1, '--exactly-once' ], [ 1, @plain ], [ 0, @plain ], [ 0, @plain, '--exactly-once' ])
{
	my ($newer, @mechanism) = @$case;
	my $mechanism = \@mechanism;
	local $ENV{LD_LIBRARY_PATH} = $newer ? $ENV{OUTFLOW_RDKAFKA} : '';

	$number++;
	$node->safe_psql('postgres', "INSERT INTO t VALUES ($number, $number)");
	my ($code, undef, $err) = run_client($node, 'feed', @right, @$mechanism, @more, '--endpos=' . current_lsn($node));

	is($code, 0, "by TLS, librdkafka $newer, @$mechanism") or diag($err);
	unlike($err, qr/secret/, 'and says no password');
	my @stored = $broker->messages('shop.public.t', 'isolation.level=read_committed');
	is(scalar(@stored), $number, 'each change is there once');
}
is(command_check(@right, @plain)->[0], 0, 'check: it can be reached');

# what can't work, in a stream and in check
sub command_check
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', 'check', '-d', $node->connstr('postgres'), '-S', 'feed', @arguments ],
		'<', \undef, '>', \$out, '2>', \$err);
	return [ $? >> 8, $out . $err ];
}

sub refused
{
	my ($what, $pattern, @arguments) = @_;
	my ($code, undef, $err) = run_client($node, 'feed', @arguments, @more, '--endpos=' . current_lsn($node));

	is($code, 6, "$what: exit code") or diag($err);
	like($err, $pattern, "$what: the reason");
	my $check = command_check(@arguments);
	is($check->[0], 9, "$what: check notices");
	like($check->[1], qr/^NOT  target kafka:.*$pattern/m, "$what: and says why");
	unlike($err . $check->[1], qr/secret|wrong\@word/, "$what: no password is shown");
	return;
}

sub rdkafka_is_old
{
	my $said = '';

	local $ENV{LD_LIBRARY_PATH} = '';
	IPC::Run::run([ 'kcat', '-V' ], '>', \$said);
	return $said =~ /librdkafka (\d+)\.(\d+)\.(\d+)/ && $1 * 10000 + $2 * 100 + $3 < 20601;
}

$node->safe_psql('postgres', 'INSERT INTO t VALUES (100, 1)');
my @ca = ('-X', "ssl.ca.location=$place/right.cert");
refused('SCRAM with an old librdkafka', qr/[Aa]uthentication failed.*before 2\.6\.1 it cannot log in by SCRAM/, @right)
  if rdkafka_is_old();
$ENV{LD_LIBRARY_PATH} = $ENV{OUTFLOW_RDKAFKA};
refused('a wrong password', qr/[Aa]uthentication failed/, "--to=kafka://me:wrong%40word\@$address/shop", @ca);
refused('a wrong password, PLAIN', qr/[Aa]uthentication failed|Invalid username or password/, "--to=kafka://me:wrong%40word\@$address/shop", @ca, '-X', 'sasl.mechanism=PLAIN');
refused('an unknown authority', qr/certificate verify failed/, $right[0], '-X', "ssl.ca.location=$place/unknown.cert");
refused('the system\'s authorities', qr/certificate verify failed/, $right[0]);
refused('another host', qr/certificate verify failed/, $right[0] =~ s/127\.0\.0\.1/localhost/r, @ca);
my ($code, undef, $err) = run_client($node, 'feed', $right[0], '-X', "ssl.ca.location=$place/missing", @more);
is($code, 2, 'a file that is not there: exit code');
like($err, qr/ssl\.ca\.location/, 'a file that is not there: the reason');
# nothing was lost meanwhile
is((run_client($node, 'feed', @right, @more, '--endpos=' . current_lsn($node)))[0], 0, 'and then it goes on');
my @all = $broker->messages('shop.public.t', 'isolation.level=read_committed');
is(scalar(@all), $number + 1, 'with what waited');
$broker->kill;
done_testing();
