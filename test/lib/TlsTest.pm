# TlsTest.pm: authorities and certificates for tests of TLS, in a directory: NAME.key and
# NAME.cert.
package TlsTest;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run ();
use PostgreSQL::Test::Utils;

our @EXPORT = qw(expired new_authority new_certificate);

my @key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes');

sub openssl
{
	my (@arguments) = @_;
	my $said = '';

	IPC::Run::run([ 'openssl', @arguments ], '>', '/dev/null', '2>', \$said) or die $said;
	return;
}

# expired(): the options of a certificate that has ended.  Newer versions of openssl
# take no days below zero, older ones no dates.
sub expired
{
	my $help = `openssl x509 -help 2>&1`;

	return $help =~ /-not_after/ ? ('-not_before', '20200101000000Z', '-not_after', '20200102000000Z') : ('-days', -1);
}

# new_authority(PLACE, NAME)
sub new_authority
{
	my ($place, $name) = @_;

	openssl('req', '-x509', @key, '-subj', "/CN=$name", '-days', '2', '-keyout', "$place/$name.key", '-out', "$place/$name.cert");
	return;
}

# new_certificate(PLACE, NAME, AUTHORITY, HOST, OPTION...)
sub new_certificate
{
	my ($place, $name, $authority, $host, @options) = @_;

	openssl('req', '-new', @key, '-subj', "/CN=$name", '-keyout', "$place/$name.key", '-out', "$place/$name.csr");
	append_to_file("$place/$name.ext", "subjectAltName=$host\n");
	openssl('x509', '-req', '-in', "$place/$name.csr", '-CA', "$place/$authority.cert", '-CAkey', "$place/$authority.key",
		'-set_serial', int(rand(1e9)), '-extfile', "$place/$name.ext", '-out', "$place/$name.cert", @options);
	return;
}

1;
