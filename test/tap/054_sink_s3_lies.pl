# Promise: whatever a store says, what is not the job's own stays, nothing goes on
# without an end or grows without a limit, and no list that is not whole is taken
# for one.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SinkTest;
use Test::More;

my $node = new_outflow_node('main');
my $store = start_fake_s3();

add_sink_functions($node);
$node->safe_psql('postgres', $store->server_sql('lake'));

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
is($store->keys('honest'), 'honest/a/1', 'but what is final');

# Lists and uploads that hold what was not asked for
$store->s3('PUT', 'other/.outflow-theirs/_owner', 'theirs');
$store->s3('PUT', 'other/data', 'theirs');
$store->s3('POST', 'other/data?uploads');
destination('lake:mine', 'write', 'a/1', 'x');
$store->faults('list-all');
like(destination('lake:mine', 'discard'), qr/ERROR:  could not list bucket "lake" of server "lake"\nDETAIL:  The store's list has "[^"]*", which does not begin with "mine/, 'a list that holds more than was asked for is refused');
$store->faults();
is($store->keys('other'), 'other/.outflow-theirs/_owner other/data', 'nothing of others is removed');
is($store->uploads, 'other/data', 'nor their uploads');
destination('lake:mine', 'discard');
is($store->keys('mine'), '', 'an honest list lets go on');

# Names in which a space is no plus
foreach my $fault ('', 'plain-plus')
{
	$store->faults($fault);
	$store->s3('PUT', 'a%20b/.outflow-job/1', 'theirs') if $fault;
	destination('lake:a+b', 'write', 'a/1', 'x');
	destination('lake:a+b', 'abandon', 'a/2', 'lake:a+b');
	is(destination('lake:a+b', 'discard'), 'false', "discarded $fault");
	is($store->keys('a%2Bb'), '', "nothing is left $fault");
}
is($store->keys('a%20b'), 'a%20b/.outflow-job/1', 'nothing of another name is removed');

# Lists without an end
destination('lake:mine', 'write', "a/$_", 'x') foreach 1 .. 9;
destination('lake:mine', 'publish', "a/$_") foreach 1 .. 9;
my $all = join(' ', map { "$_:1" } 1 .. 9);
is(destination('lake:mine', 'list', 'a'), $all, 'a list of several pages');
$store->faults('empty-token');
is(destination('lake:mine', 'list', 'a'), $all, 'whose last one ends with an empty token');
$store->faults('same-token');
like(destination('lake:mine', 'list', 'a'), qr/could not list bucket .*The store's list does not go on/s, 'the same page again and again');
like(destination('lake:mine', 'discard'), qr/could not list .*The store's list does not go on/s, 'of uploads, too');
$store->faults('no-token');
like(destination('lake:mine', 'list', 'a'), qr/could not list bucket .*The store's list does not go on/s, 'a page that is said not to be the last');
$store->faults();

# A list that is long, in a place of its own
sub peak
{
	my ($pid) = @_;
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /VmHWM:\s+(\d+)/;

	return $kilobytes;
}
$store->faults('many 20000');
my $session = $node->background_psql('postgres');
$session->query_safe(q{SELECT sink.do('lake:long', 'free', '', '')});
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $before = peak($pid);
is($session->query_safe(q{SELECT length(sink.do('lake:long', 'list', '', ''))}), 20000 * 9 - 1, 'a long list');
cmp_ok(peak($pid) - $before, '<', 40 * 1024, 'takes little more than its names');
$session->quit;
$store->faults();

# Uploads that were left over
sub leave_upload
{
	my ($place) = @_;

	return $store->s3('POST', "$place/.outflow-job/left?uploads");
}
leave_upload('mine');
$store->faults('abort-503');
is(destination('lake:mine', 'discard'), 'false', 'ended');
is($store->uploads, 'other/data', 'also where the store turns a request away once');
$store->faults();

# Whose key may read the one may not read the other: the store copies for one key only
$node->safe_psql('postgres', $store->server_sql('sea', bucket => 'sea') . "ALTER USER MAPPING FOR PUBLIC SERVER sea OPTIONS (SET access_key_id 'other')");
foreach my $from ('sea:mine', 'lake:honest')
{
	my $before = () = $store->requests =~ /\n/g;

	is(destination('lake:carried', 'carry', 'a/1', $from), 'true', "carried from $from");
	my @asked = (split(/\n/, $store->requests))[$before .. 10000];
	my $read = grep { m{^GET /\w+/\w+/a/1$} } grep { defined } @asked;
	is($read, $from =~ /^sea/ ? 1 : 0, $from =~ /^sea/ ? 'through the server' : 'by the store');
	destination('lake:carried', 'discard');
}

# A database that does not speak UTF-8
$node->safe_psql('postgres', "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
$node->safe_psql('latin', "CREATE EXTENSION outflow; " . $store->server_sql('lake'));
add_sink_functions($node, 'latin');
leave_upload('caf%C3%A9');
is($node->safe_psql('latin', q{SET client_encoding = 'UTF8'; SELECT sink.do(U&'lake:caf\00E9', 'discard', '', '')}), 'false', 'ended in LATIN1');
is($store->uploads, 'other/data', 'where keys are UTF-8 all the same');

$node->stop;
done_testing();
