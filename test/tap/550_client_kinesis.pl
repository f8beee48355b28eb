# Promise: a Kinesis stream gets every change, the changes of a row in order,
# through partial failures, throttling, lost answers, and whatever is killed; what
# comes again has the same id and is the same.  A request never has a key twice.
# No position is confirmed before each record up to it was answered.  Keys are found
# where Amazon's own clients look for them.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IPC::Run ();
use JSON::PP ();
use KillRounds;
use POSIX ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/550_client_kinesis";
my $json = JSON::PP->new->utf8;
my $place = new_export_dir();
my $server;

client_setup($node);
delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
$ENV{HOME} = $place;
my %keys = (AWS_ACCESS_KEY_ID => 'AKID', AWS_SECRET_ACCESS_KEY => 'SECRET');

sub kill_server
{
	return if !$server;
	$server->signal('KILL');
	$server->finish;
	undef $server;
	return;
}
END { local $?; kill_server(); }

# start_server(FAULTS): again, if it is there
sub start_server
{
	my ($faults) = @_;

	kill_server();
	write_to($place, 'faults', $faults);
	$server = start_peer('kinesis_server.py', $place, "$log.server", $node->host . '/.s.PGSQL.' . $node->port);
	return;
}

start_server('0 0 0 0 0');
my $port = slurp_file("$place/kinesis_port");
my @target = ('--to=kinesis://eu-north-1/shop', "--kinesis-endpoint=http://127.0.0.1:$port");

sub proxied_client
{
	my (@more) = @_;
	local @ENV{ keys %keys } = values %keys;

	return start_proxied_client($place, 'slot', $log, @target, @more);
}

create_slot($node, 'slot');
kill_rounds(
	$node,
	slot => 'slot',
	before => sub { start_server("$_[0] 20 10 5 5") },
	client => sub { proxied_client($_[0] % 2 ? () : '--kinesis-records=20') });
start_server('99 20 0 5 0');
finish_kills($node, 'slot', proxied_client());
ok(!-e "$place/violations", 'nothing was confirmed before it was answered, no key was twice in a request')
  or diag(slurp_file("$place/violations"));
ok(-s "$place/confirmed", 'positions were seen on the wire');

# each key by itself, in the order in which its records were stored
check_stored($node, 'key', map { $json->decode($_) } split(/\n/, slurp_file("$place/stored")));
cmp_ok((sort { $b <=> $a } split(/\n/, slurp_file("$place/requests")))[0], '>', 50, 'records go together');

# what the stream does not take
start_server('0 0 0 0 0');
$node->safe_psql('postgres', 'TRUNCATE t');

# deliver(ARGUMENT...): exit code and messages
sub deliver
{
	my (@more) = @_;
	local @ENV{ keys %keys } = values %keys;
	my ($code, undef, $err) = run_client($node, 'slot', @target, '--endpos=' . current_lsn($node), @more);

	return ($code, $err);
}

sub refused
{
	my ($what, $expected, $pattern, @more) = @_;
	my ($code, $err) = deliver(@more);

	is($code, $expected, "$what: exit code");
	like($err, $pattern, "$what: the reason");
	return;
}

# the example of README.md
{
	my $example = join(' && ', readme_command('export AWS_ACCESS_KEY_ID', 'KEY_ID=...', 'KEY_ID=AKID', 'ACCESS_KEY=...', 'ACCESS_KEY=SECRET'),
		'exec ' . readme_command('pg_outflow stream -d dbname=shop -S orders --to kinesis:', 'dbname=shop',
			"'" . $node->connstr('postgres') . "'", '-S orders', '-S slot') . " $target[1]");
	my $stream = IPC::Run::start([ 'bash', '-c', $example ], '<', \undef, '>>', "$log.example", '2>&1');

	$node->safe_psql('postgres', 'INSERT INTO t VALUES (8000, 1)');
	wait_for_line("$place/stored", qr/\\"new\\":\{\\"id\\":8000,/);
	is(stop_client($stream), 0, "README.md's example delivers");
}

# keys of partitions: a row's, that of its old key where that changes, and one for all of a
# table without a key
# partition_of(PATTERN): the keys of the records stored that match
sub partition_of
{
	my ($pattern) = @_;
	my %found = map { ($_->{key} => 1) } grep { $_->{data} =~ $pattern } map { $json->decode($_) } split(/\n/, slurp_file("$place/stored"));

	return join(' ', sort keys %found);
}
$node->safe_psql('postgres', q{CREATE TABLE keyless (a int); INSERT INTO keyless VALUES (1), (2);
	SELECT pg_logical_emit_message(true, 'p', g::text) FROM generate_series(1, 2) AS g; UPDATE t SET id = 8999, n = 77 WHERE id = 8000});
write_to($place, 'requests', '');
{
	my ($exit, $said) = deliver('-o', 'include_transactions=off');

	is($exit, 0, 'records without a key') or diag($said);
}
unlike(partition_of(qr/"table":"keyless".*"op":"insert"|"op":"insert".*"table":"keyless"/), qr/^$| /, 'a table without a key has one key of partitions');
unlike(partition_of(qr/"op":"message"/), qr/^$| /, '... and so have messages');
is(partition_of(qr/"new":\{"id":8999,/), partition_of(qr/"new":\{"id":8000,/), 'an update that changes the key has the old one');
$node->safe_psql('postgres', 'UPDATE t SET id = 8000, n = 78 WHERE id = 8999');
{
	my ($exit, $said) = deliver('-o', 'format=debezium');

	is($exit, 0, 'Debezium') or diag($said);
}
is(partition_of(qr/"op":"c"/), partition_of(qr/"new":\{"id":8000,/), '... of which the insert has the new key');
isnt(partition_of(qr/"op":"d"/), partition_of(qr/"op":"c"/), '... and the delete the old one');

# shards: those that its owner, or Amazon, makes of it
like(slurp_file($log), qr/has 2 shards/, 'shards are known');
unlike(slurp_file($log), qr/was resharded/, '... and the hash of a key says which takes it');
like(slurp_file($log), qr/(ProvisionedThroughputExceededException|InternalFailure) by shardId-00000000000[01], of 2 shards/,
	'the shard that fails is named');
my $listed = () = slurp_file($log) =~ /has 2 shards/g;
my $client = proxied_client();
foreach (1 .. 300)
{
	last if (() = slurp_file($log) =~ /has 2 shards/g) > $listed;
	Time::HiRes::sleep(0.1);
}
write_to($place, 'shards', '2 7');
foreach (1 .. 300)
{
	$node->safe_psql('postgres', 'CALL work(1)');
	last if slurp_file($log) =~ /has 7 shards/;
	Time::HiRes::sleep(0.1);
}
like(slurp_file($log), qr/was resharded: shardId-00000000000[2-8] has taken what was of shardId-00000000000[01]/,
	'a stream that is resharded is noticed');
like(slurp_file($log), qr/has 7 shards/, '... and asked for its shards, in pages');
is(stop_client($client), 0, '... and the stream goes on');

# too few shards
{
	my $throttled = () = slurp_file($log) =~ /ProvisionedThroughputExceededException by shardId-000000000007, of 1 shards/g;

	$node->safe_psql('postgres', 'TRUNCATE t');
	is((deliver())[0], 0, 'a table that is empty again');
	write_to($place, 'stored', '');
	write_to($place, 'shards', '7 1');
	write_to($place, 'throughput', '300');
	$client = proxied_client();
	$node->safe_psql('postgres', 'CALL work(20); INSERT INTO t SELECT 6000 + n, 0 FROM generate_series(1, 1000) AS n');
	wait_confirmed($node, 'slot', current_lsn($node));
	is(stop_client($client), 0, '... in the end');
	cmp_ok((() = slurp_file($log) =~ /ProvisionedThroughputExceededException by shardId-000000000007, of 1 shards/g), '>', $throttled,
		'... and the log says which shard it waits for');
	unlink "$place/throughput";
	check_stored($node, 'key', map { $json->decode($_) } split(/\n/, slurp_file("$place/stored")));
	ok(!-e "$place/violations", '... in order') or diag(slurp_file("$place/violations"));
}

# an endpoint whose list of shards has no end
write_to($place, 'operations', '');
write_to($place, 'endless', 'yes');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (0, 1) ON CONFLICT (id) DO UPDATE SET n = t.n + 1');
{
	my ($exit, $said) = deliver();
	is($exit, 0, 'a list of shards without an end') or diag($said);
	like($said, qr/has no end of shards: 0 of them are known/, '... is said');
	is((() = slurp_file("$place/operations") =~ /ListShards/g), 1000, '... and given up');
}
unlink "$place/endless";
write_to($place, 'shards', '0 2');
write_to($place, 'operations', '');
foreach my $operation (qw(ListShards DescribeStreamSummary))
{
	write_to($place, 'forbidden', $operation);
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (0, 1) ON CONFLICT (id) DO UPDATE SET n = t.n + 1');
	my ($code, $err) = deliver();
	is($code, 0, "without the right to $operation") or diag($err);
	like($err, qr/takes records of 1048576 bytes/, '... records may have 1 MiB');
}
write_to($place, 'forbidden', '');
$node->safe_psql('postgres', 'TRUNCATE t');

write_to($place, 'kilobytes', '4');
$node->safe_psql('postgres', "INSERT INTO t VALUES (1, 1, ''), (2, 1, repeat('y', 5000)), (3, 1, '')");
refused('a record that is too large', 7, qr/rejected record \S+: \d+ bytes are too large: at most 4096/);
my ($code, $err) = deliver('--on-reject=dead-letter', "--dead-letter=$place/dead");
is($code, 0, 'or goes into a file') or diag($err);
is($json->decode(slurp_file("$place/dead"))->{record}{new}{id}, 2, 'that record alone');
unlink "$place/dead";
write_to($place, 'kilobytes', '10240');
$node->safe_psql('postgres', "INSERT INTO t VALUES (8003, 1, repeat('y', 2000000)), (8004, 1, repeat('z', 8000000))");
refused('a record larger than a request', 7, qr/rejected record \S+: 8\d+ bytes are too large: at most 5242880/);
($code, $err) = deliver('--kinesis-bytes=10MB');
is($code, 0, 'records of 10 MiB, where the stream takes them') or diag($err);
ok(!-e "$place/violations", '... in requests that are no larger') or diag(slurp_file("$place/violations"));
unlink "$place/kilobytes";
$node->safe_psql('postgres', "INSERT INTO t VALUES (4, 1, ''), (5, 1, 'poison'), (6, 1, '')");
write_to($place, 'answer', '400 ValidationException poison');
refused('a record that is refused', 7, qr/rejected record \S+: .*ValidationException/);
($code, $err) = deliver('--on-reject=dead-letter', "--dead-letter=$place/dead");
is($code, 0, 'or goes into a file') or diag($err);
is($json->decode(slurp_file("$place/dead"))->{record}{new}{id}, 5, 'that record alone');
my $stored = slurp_file("$place/stored");
ok((!grep { $stored !~ /\\"new\\":\{\\"id\\":$_,/ } 1, 3, 4, 6), 'its neighbours were delivered');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (7, 1)');
write_to($place, 'answer', '400 AccessDeniedException id');
refused('no right', 6, qr/AccessDeniedException/);
write_to($place, 'answer', '');
refused('no such stream', 6, qr/ResourceNotFoundException/, '--to=kinesis://eu-north-1/other');
refused('no stream', 2, qr{must be kinesis://REGION/STREAM}, '--to=kinesis://eu-north-1');
refused('no schema records', 2, qr/finds keys by schema records/, '-o', 'include_schemas=off');

# keys
sub with_keys
{
	my ($what, %environment) = @_;

	%keys = %environment;
	$node->safe_psql('postgres', 'UPDATE t SET n = n + 1 WHERE id = 7');
	my ($exit, $said) = deliver();
	is($exit, 0, "keys of $what") or diag($said);
	return;
}

%keys = (AWS_ACCESS_KEY_ID => 'AKID', AWS_SECRET_ACCESS_KEY => 'wrong');
refused('a wrong secret', 6, qr/InvalidSignatureException/);
%keys = (AWS_EC2_METADATA_DISABLED => 'true');
refused('no keys', 2, qr/there are no keys/);
mkdir "$place/.aws";
append_to_file("$place/.aws/credentials",
	"# mine\n[other]\naws_access_key_id=x\n[default]\naws_access_key_id = AKID \naws_secret_access_key=SECRET\n");
with_keys('the profile file');
append_to_file("$place/profiles", "[shop]\naws_secret_access_key = SECRET\naws_access_key_id = AKID\naws_session_token = abc\n");
write_to($place, 'token', 'abc');
with_keys('a profile', AWS_SHARED_CREDENTIALS_FILE => "$place/profiles", AWS_PROFILE => 'shop');
%keys = (AWS_PROFILE => 'missing');
refused('no such profile', 2, qr/no keys of the profile "missing"/);
unlink "$place/.aws/credentials";
with_keys('the container', AWS_CONTAINER_CREDENTIALS_FULL_URI => "http://127.0.0.1:$port/container",
	AWS_CONTAINER_AUTHORIZATION_TOKEN => 'of-the-container');
write_to($place, 'metadata', '');
with_keys('the instance', AWS_EC2_METADATA_SERVICE_ENDPOINT => "http://127.0.0.1:$port");
is(slurp_file("$place/metadata"),
	"PUT /latest/api/token\nGET /latest/meta-data/iam/security-credentials/\nGET /latest/meta-data/iam/security-credentials/the-role\n",
	'its metadata, version 2');

append_to_file("$place/container_token", "of-the-container\n");
with_keys('the container, by a file', AWS_CONTAINER_CREDENTIALS_FULL_URI => "http://127.0.0.1:$port/container",
	AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE => "$place/container_token");

# ... by a path, which is one of the container service's address alone
mkdir "$place/machine";
append_to_file("$place/machine/routes", "169.254.170.2 80 127.0.0.1 $port\n169.254.170.23 80 127.0.0.1 $port\n");
my %elsewhere = (LD_PRELOAD => "$FindBin::RealBin/../modules/machine/machine_preload.so", MACHINE => "$place/machine",
	AWS_CONTAINER_AUTHORIZATION_TOKEN => 'of-the-container');
with_keys('the container, by a relative URI', %elsewhere, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI => '/container',
	AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://127.0.0.1:1/nobody');
with_keys("the container, at $_", %elsewhere, AWS_CONTAINER_CREDENTIALS_FULL_URI => "http://$_/container")
  foreach qw(169.254.170.2 169.254.170.23), "127.0.0.1:$port", "localhost:$port";
foreach my $bad (qw(http://keys.example.com/ http://127.example.com/ http://10.0.0.1/ http://169.254.170.2@keys.example.com/
	http://[2001:db8::1]/ ftp://localhost/ file:///etc/passwd nonsense))
{
	%keys = (AWS_CONTAINER_CREDENTIALS_FULL_URI => $bad);
	refused("the container, at $bad", 2, qr/AWS_CONTAINER_CREDENTIALS_FULL_URI must be an https URL/);
}
%keys = (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI => '@keys.example.com/');
refused('a relative URI that is none', 2, qr/must begin with a slash/);
%keys = (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI => '/container', AWS_CONTAINER_AUTHORIZATION_TOKEN => "a\r\nb: c");
refused('a token of two lines', 2, qr/AWS_CONTAINER_AUTHORIZATION_TOKEN must be one line/);
%keys = (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI => '/container', AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE => "$place/missing");
refused('no token file', 2, qr/could not open file/);

# by https it may be anywhere
{
	%keys = (AWS_CONTAINER_CREDENTIALS_FULL_URI => 'https://keys.invalid/container');
	$node->safe_psql('postgres', 'UPDATE t SET n = n + 1 WHERE id = 7');
	my ($exit, $said) = deliver('--stop-timeout=1s');
	is($exit, 8, 'a container that is asked by https: exit code');
	like($said, qr/no keys: .*keys.invalid.*; asking again/, '... it is asked');
}

# metadata that fails is asked again, never without a token; keys that end are replaced
%keys = (AWS_EC2_METADATA_SERVICE_ENDPOINT => "http://127.0.0.1:$port");
write_to($place, 'metadata', '');
write_to($place, 'metadata_status', '503');
write_to($place, 'expiration', POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + 120)));
$client = proxied_client();
wait_for_line($log, qr/no keys: status 503; asking again/);
is(join('', grep { !/^PUT/ } split(/^/, slurp_file("$place/metadata"))), '', 'no token, no other question');
unlink "$place/metadata_status";
$node->safe_psql('postgres', 'INSERT INTO t VALUES (8001, 1)');
wait_for_line("$place/stored", qr/\\"new\\":\{\\"id\\":8001,/);
wait_confirmed($node, 'slot', current_lsn($node));
# from now on the service takes only what the metadata says now, as after their end
write_to($place, 'token', 'def');
write_to($place, 'expiration', '2099-01-01T00:00:00Z');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (8002, 1)');
wait_for_line("$place/stored", qr/\\"new\\":\{\\"id\\":8002,/);
pass('keys that have ended are replaced');
is(stop_client($client), 0, 'a clean stop');
done_testing();
