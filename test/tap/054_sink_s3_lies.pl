# Promise: whatever a store says, what is not the job's own stays, nothing goes on
# without an end or grows without a limit, and no list that is not whole is taken
# for one.
use strict;
use warnings;

use FindBin;
use IPC::Run ();
use lib "$FindBin::RealBin/../lib";
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SinkTest;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('main');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $fake = IPC::Run::start([ 'python3', "$FindBin::RealBin/../lib/s3_fake.py", $dir ],
	'<', \undef, '>>', "$dir/out", '2>>', "$dir/out");

END { my $status = $?; $fake->kill_kill if $fake; $? = $status; }

foreach my $try (1 .. 600) { last if -s "$dir/port"; Time::HiRes::sleep(0.1); }
my $port = slurp_file("$dir/port");

sub faults
{
	append_to_file("$dir/faults.new", join("\n", @_));
	rename "$dir/faults.new", "$dir/faults" or die $!;
	return;
}

# s3(METHOD, TARGET, BODY): past the server; the answer's body
sub s3
{
	my ($method, $target, $body) = @_;
	my ($out, $err);

	IPC::Run::run([ 'python3', '-c', <<'EOP', $port, $method, "/lake/$target", $body // '' ], '>', \$out, '2>', \$err) or die $err;
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
connection.request(sys.argv[2], sys.argv[3], sys.argv[4].encode())
print(connection.getresponse().read().decode(), end="")
EOP
	return $out;
}

# keys(PREFIX): what is there
sub keys_of
{
	my ($prefix) = @_;
	my @keys;
	my $token = '';

	while (defined $token)
	{
		my $xml = s3('GET', "?list-type=2&prefix=$prefix&continuation-token=$token");

		push @keys, $xml =~ m{<Key>(.*?)</Key>}g;
		($token) = $xml =~ m{<NextContinuationToken>(.+?)<};
	}
	return join(' ', @keys);
}

sub uploads { return join(' ', s3('GET', '?uploads&prefix=') =~ m{<Key>(.*?)</Key>}g); }

add_sink_functions($node);

my $server = "CREATE SERVER lake FOREIGN DATA WRAPPER outflow_s3 OPTIONS (endpoint 'http://127.0.0.1:$port', bucket 'lake',"
  . " allow_private 'on', retries '2', stall_timeout '3', chunk_size '5MB');"
  . " CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS (access_key_id 'test', secret_access_key 'CANARY')";
$node->safe_psql('postgres', $server);

sub destination
{
	my ($place, $operation, $key, $data) = @_;
	my ($code, $out, $err) = $node->psql('postgres', sprintf(
		"SET statement_timeout = '60s'; SELECT sink.do('%s', '%s', '%s', '%s')", $place, $operation, $key // '', $data // ''));

	return $code == 0 ? $out : $err;
}

# An honest one, first
is(destination('lake:honest', 'write', 'a/1', 'x'), 'done', 'a file is staged');
is(destination('lake:honest', 'publish', 'a/1'), 'true', 'and published');
is(destination('lake:honest', 'list', 'a'), '1:1', 'and listed');
is(destination('lake:honest', 'discard'), 'false', 'and all that was staged goes');
is(keys_of('honest'), 'honest/a/1', 'but what is final');

# Lists and uploads that hold what was not asked for
s3('PUT', 'other/.outflow-theirs/_owner', 'theirs');
s3('PUT', 'other/data', 'theirs');
s3('POST', 'other/data?uploads');
destination('lake:mine', 'write', 'a/1', 'x');
faults('list-all');
like(destination('lake:mine', 'discard'), qr/ERROR:  could not list bucket "lake" of server "lake"\nDETAIL:  The store's list has "[^"]*", which does not begin with "mine/, 'a list that holds more than was asked for is refused');
faults();
is(keys_of('other'), 'other/.outflow-theirs/_owner other/data', 'nothing of others is removed');
is(uploads(), 'other/data', 'nor their uploads');
destination('lake:mine', 'discard');
is(keys_of('mine'), '', 'an honest list lets go on');

# Names in which a space is no plus
foreach my $fault ('', 'plain-plus')
{
	faults($fault);
	s3('PUT', 'a%20b/.outflow-job/1', 'theirs') if $fault;
	destination('lake:a+b', 'write', 'a/1', 'x');
	destination('lake:a+b', 'abandon', 'a/2', 'lake:a+b');
	is(destination('lake:a+b', 'discard'), 'false', "discarded $fault");
	is(keys_of('a%2Bb'), '', "nothing is left $fault");
}
is(keys_of('a%20b'), 'a%20b/.outflow-job/1', 'nothing of another name is removed');

# Lists without an end
destination('lake:mine', 'write', "a/$_", 'x') foreach 1 .. 9;
destination('lake:mine', 'publish', "a/$_") foreach 1 .. 9;
my $all = join(' ', map { "$_:1" } 1 .. 9);
is(destination('lake:mine', 'list', 'a'), $all, 'a list of several pages');
faults('empty-token');
is(destination('lake:mine', 'list', 'a'), $all, 'whose last one ends with an empty token');
faults('same-token');
like(destination('lake:mine', 'list', 'a'), qr/could not list bucket .*The store's list does not go on/s, 'the same page again and again');
like(destination('lake:mine', 'sweep'), qr/could not list .*The store's list does not go on/s, 'of uploads, too');
faults('no-token');
like(destination('lake:mine', 'list', 'a'), qr/could not list bucket .*The store's list does not go on/s, 'a page that is said not to be the last');
faults();

# A list that is long, in a place of its own
sub peak
{
	my ($pid) = @_;
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /VmHWM:\s+(\d+)/;

	return $kilobytes;
}
faults('many 20000');
my $session = $node->background_psql('postgres');
$session->query_safe(q{SELECT sink.do('lake:long', 'free', '', '')});
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $before = peak($pid);
is($session->query_safe(q{SELECT length(sink.do('lake:long', 'list', '', ''))}), 20000 * 9 - 1, 'a long list');
cmp_ok(peak($pid) - $before, '<', 40 * 1024, 'takes little more than its names');
$session->quit;
faults();

# Uploads that were left over
sub leave_upload
{
	my ($place) = @_;

	return s3('POST', "$place/.outflow-job/left?uploads");
}
leave_upload('mine');
faults('abort-503');
is(destination('lake:mine', 'sweep'), 'done', 'swept');
is(uploads(), 'other/data', 'also where the store turns a request away once');
faults();

# A database that does not speak UTF-8
$node->safe_psql('postgres', "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
$node->safe_psql('latin', "CREATE EXTENSION outflow; $server");
add_sink_functions($node, 'latin');
leave_upload('caf%C3%A9');
is($node->safe_psql('latin', q{SET client_encoding = 'UTF8'; SELECT sink.do(U&'lake:caf\00E9', 'sweep', '', '')}), 'done', 'swept in LATIN1');
is(uploads(), 'other/data', 'where keys are UTF-8 all the same');

$node->stop;
done_testing();
