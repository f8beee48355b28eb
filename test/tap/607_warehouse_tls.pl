# Promise: a server whose certificate is not that of its name, by the authority
# that the server's option names, or no longer valid, never gets the password.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TlsTest;
use WarehouseTest;

my $node = new_outflow_node('source');
my $warehouse = new_warehouse('warehouse');
my $place = PostgreSQL::Test::Utils::tempdir();

# serve(NAME): the other server shows that certificate
sub serve
{
	my ($name) = @_;

	$warehouse->append_conf('postgresql.conf', "ssl_cert_file = '$place/$name.cert'\nssl_key_file = '$place/$name.key'\n");
	$warehouse->restart;
	return;
}

sub export
{
	return ($node->psql('postgres', q{SET client_min_messages = warning; CALL outflow.export('t', 'warehouse:public.t', options => '{"publish": "replace"}')}))[2];
}

# refused(PATTERN, WHAT)
sub refused
{
	my ($pattern, $what) = @_;
	my $from = -s $warehouse->logfile;

	like(export(), qr/could not connect to server "warehouse".*$pattern/s, $what);
	unlike(substr(slurp_file($warehouse->logfile), $from), qr/connection authorized/, "$what: nobody logs in");
	return;
}

new_authority($place, $_) foreach ('ours', 'theirs');
new_certificate($place, 'right', 'ours', 'DNS:localhost', '-days', 2);
new_certificate($place, 'named', 'ours', 'DNS:elsewhere.example.com', '-days', 2);
new_certificate($place, 'foreign', 'theirs', 'DNS:localhost', '-days', 2);
new_certificate($place, 'expired', 'ours', 'DNS:localhost', expired());

$warehouse->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nssl = on\nlog_connections = on\n");
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT 1 AS id');
$warehouse->safe_psql('postgres', 'CREATE TABLE t (id int); GRANT INSERT, TRUNCATE ON t TO loader');
my $port = $warehouse->port;
$node->safe_psql('postgres', <<"EOC");
CREATE SERVER warehouse FOREIGN DATA WRAPPER outflow_postgres
	OPTIONS (host 'localhost', port '$port', dbname 'postgres', allow_private 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER warehouse OPTIONS (user 'loader', password '$secret');
EOC

serve('right');
refused(qr/root certificate|certificate verify failed/, 'no authority is named');
$node->safe_psql('postgres', "ALTER SERVER warehouse OPTIONS (ADD sslrootcert '$place/ours.cert')");
is(export(), '', 'the right certificate');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM t'), '1', 'the row is there');
like(slurp_file($warehouse->logfile), qr/connection authorized: user=loader .*SSL enabled/, 'over TLS');

serve('named');
refused(qr/server certificate for "elsewhere\.example\.com".*does not match host name "localhost"/s, "another host's certificate");
serve('foreign');
refused(qr/certificate verify failed/, "another authority's certificate");
serve('expired');
refused(qr/certificate verify failed|certificate has expired/, 'an expired certificate');

# a server without TLS is not talked to in clear
$warehouse->append_conf('postgresql.conf', "ssl = off\n");
$warehouse->restart;
refused(qr/server does not support SSL/, 'no TLS');
done_testing();
