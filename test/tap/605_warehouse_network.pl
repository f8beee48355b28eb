# Promise: another PostgreSQL is reached over TCP with a server's default
# options, by whichever of its host's addresses answers, and one that answers
# without end is given up before its answer fills the memory.  Only the proof of a
# password is computed to its end.
use strict;
use warnings;

use ClientTest;
use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket ();
use Test::More;
use WarehouseTest;

my $dir = new_export_dir();
my $machine = PostgreSQL::Test::Utils::tempdir();
my $node;
{
	local $ENV{LD_PRELOAD} = "$FindBin::RealBin/../modules/machine/machine_preload.so";
	local $ENV{MACHINE} = $machine;

	$node = new_outflow_node('source');
}
my $warehouse = new_warehouse('warehouse', "listen_addresses = '127.0.0.1'\n");

append_to_file($warehouse->data_dir . '/pg_hba.conf', "host all loader 127.0.0.1/32 scram-sha-256\n");
$warehouse->reload;

# server(NAME, PORT, HOST): over TCP
sub server
{
	my ($name, $port, $host) = @_;

	$host //= '127.0.0.1';
	$node->safe_psql('postgres', <<"EOC");
CREATE SERVER $name FOREIGN DATA WRAPPER outflow_postgres OPTIONS
	(host '$host', port '$port', dbname 'postgres', allow_private 'true', sslmode 'disable');
CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (user 'loader', password '$secret', password_required 'false');
EOC
	return;
}

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) AS i');
server('near', $warehouse->port);
is($node->safe_psql('postgres', q{SELECT string_agg(step || ': ' || detail, '; ') FROM outflow.check_destination('near:') WHERE NOT ok}),
	'', 'a check over TCP');
$node->safe_psql('postgres', q{CALL outflow.export('t', 'near:public.t', options => '{"create": true}')});
same_rows($node, $warehouse, 't', 'over TCP');

# of two addresses, the first says nothing: the time is for each of them
my $silent = hang_at('127.0.0.2', $warehouse->port);
append_to_file("$machine/names", "two.test 127.0.0.2\ntwo.test 127.0.0.1\n");
server('two', $warehouse->port, 'two.test');
$node->safe_psql('postgres', q{ALTER SERVER two OPTIONS (ADD connect_timeout '3')});
is($node->safe_psql('postgres', q{SELECT string_agg(step || ': ' || detail, '; ') FROM outflow.check_destination('two:') WHERE NOT ok}),
	'', 'by the second address, where the first says nothing');
append_to_file("$machine/names.new", "two.test 127.0.0.2\n");
rename "$machine/names.new", "$machine/names" or die $!;
like($node->safe_psql('postgres', q{SELECT string_agg(detail, '; ') FROM outflow.check_destination('two:') WHERE NOT ok}),
	qr/could not connect to server "two"/, 'by none, where it is the only one');
undef $silent;

# it listens on one of the addresses of a name, which another one may come before
SKIP:
{
	my ($error, @found) = Socket::getaddrinfo('localhost', '', { socktype => Socket::SOCK_STREAM() });
	my @addresses = map { (Socket::getnameinfo($_->{addr}, Socket::NI_NUMERICHOST()))[1] } @found;

	skip 'localhost has one address', 1 if $error || @addresses < 2;
	$warehouse->append_conf('postgresql.conf', "listen_addresses = '$addresses[1]'");
	append_to_file($warehouse->data_dir . '/pg_hba.conf', "host all loader ::1/128 scram-sha-256\n");
	$warehouse->restart;
	server('named', $warehouse->port, 'localhost');
	is($node->safe_psql('postgres', q{SELECT string_agg(step || ': ' || detail, '; ') FROM outflow.check_destination('named:') WHERE NOT ok}),
		'', 'by the address that answers');
}

# rows without end, and a row so large that it would be
foreach my $size (1_000_000, 1_500_000_000)
{
	my $place = "$dir/$size";

	mkdir $place or die;
	my $peer = start_peer('pg_flood.py', $place, "$place/log", $size);
	server("flood$size", slurp_file("$place/port") + 0);
	my $answer = $node->safe_psql('postgres', qq{SELECT string_agg(detail, '; ') FROM outflow.check_destination('flood$size:')});
	like($answer, qr/answers otherwise than PostgreSQL does/, "rows of $size bytes without end");
	$peer->finish;
	cmp_ok(slurp_file("$place/sent"), '<', 256 << 20, '... which it could not get rid of');
}

# a password that takes libpq half an hour to prove
my $proof = 'A' x 43 . '=';
$warehouse->safe_psql('postgres', "UPDATE pg_authid SET rolpassword = 'SCRAM-SHA-256\$2147483647:c2FsdA==\$$proof:$proof' WHERE rolname = 'loader'");
$node->safe_psql('postgres', q{ALTER SERVER near OPTIONS (ADD connect_timeout '2')});
my ($call) = start_psql($node, q{SELECT 1 FROM outflow.check_destination('near:')});
my $at_work = q{FROM pg_stat_activity WHERE query LIKE '%check_destination%' AND pid <> pg_backend_pid()};
wait_until($node, "SELECT count(*) = 1 $at_work AND now() > query_start + '6 s'", 'the time for it is up');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $at_work");
sleep(2);
is($node->safe_psql('postgres', "SELECT count(*) $at_work"), '1', 'iterations without end: nothing ends it but the end of the server');
# which kills who does not listen
$node->stop('immediate');
$call->finish;

$warehouse->stop;
done_testing();
