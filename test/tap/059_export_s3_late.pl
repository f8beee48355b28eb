# Promise: what a store carries out long after it was given up replaces nothing
# that a later attempt has written, or is found out before it is published; and
# whoever forgets an export is told of what may still come.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SinkTest;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_outflow_node('main', conf => "outflow.retries = 0\nautovacuum = off\n");
my $store = start_fake_s3();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub wait_for_request
{
	my ($pattern) = @_;

	wait_for_line("$store->{dir}/log", qr/$pattern/m);
	return;
}

# given_up(PLACE, TEXT): a job that was cancelled while the store had not
# answered the first PUT of such a target; its rows have changed since
sub given_up
{
	my ($place, $text) = @_;

	$store->faults("late PUT $text");
	my $job = sql("SELECT outflow.export_start('t', 'lake:$place', workers => 1)");
	wait_for_request("^PUT \\S*/$place/\\S*$text");
	sql("SELECT outflow.cancel($job)");
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'the end of a job');
	sql('UPDATE t SET note = reverse(note)');
	return $job;
}

sub carry_out
{
	my ($place, $text) = @_;

	$store->faults();
	wait_for_request("^carried out PUT \\S*/$place/\\S*$text");
	return;
}

sub key_of { return (grep { /\Q$_[1]\E/ } split(/ /, $store->keys("$_[0]/")))[0]; }

sub rows { return sql('COPY t TO STDOUT (FORMAT csv)') . "\n"; }

# one block, whatever is updated
sql("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 20) AS g");
sql($store->server_sql('lake', stall_timeout => 3600));

# a part of one request, of the same size
my $job = given_up('part', 'part-000000');
hold_publications($node);
my ($call, $said) = start_psql($node, "CALL outflow.resume($job)");
wait_until($node, "SELECT parts_done = parts_total FROM outflow.jobs WHERE job = $job", 'all parts');
is($store->s3('GET', key_of('part', 'part-000000')), rows(), 'the part of the second attempt is staged');
carry_out('part', 'part-000000');
isnt($store->s3('GET', key_of('part', 'part-000000')), rows(), 'until that of the first one comes');
release_exports($node);
$call->finish;
like($$said, qr/object "\S+part-000000\S+" of server "lake" is not as it was exported.*Resume the job/s, 'which is not published');
$node->psql('postgres', "CALL outflow.resume($job)");
is($store->content('part/'), rows(), 'the job is resumed, and is whole');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', 'and verified');

# the claim of its place, which comes after the second attempt has looked for one
$job = given_up('claim', '_owner');
$store->forget_requests;
$store->faults('late PUT _owner', 'hold GET list-type=2');
($call, $said) = start_psql($node, "CALL outflow.resume($job)");
foreach my $try (1 .. 1000)
{
	last if $store->asked('^GET \S*list-type=2');
	usleep(100_000);
}
$store->faults('hold GET list-type=2');
wait_for_request('^carried out PUT \S*/claim/\S*_owner');
$store->faults();
$call->finish;
unlike($$said, qr/ERROR/, 'a claim that comes late is not taken for another export\'s');
is($store->content('claim/'), rows(), 'and the export is whole');
is($store->keys('claim/.outflow'), '', 'with nothing left');

# what has its final name at once
foreach my $case ([ 'manifest', '_manifest.json' ], [ 'success', '_SUCCESS' ])
{
	my ($place, $text) = @$case;

	$job = given_up($place, $text);
	sql("CALL outflow.resume($job)");
	my $written = $store->s3('GET', key_of($place, $text));
	carry_out($place, $text);
	ok($store->s3('GET', key_of($place, $text)) eq $written, "$text stays as the second attempt wrote it");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', "$place: verified");
}

# forgotten when it was sent, or long before; begun anew, when it has come (the store
# delays a text once)
my $forget = sub { return ($node->psql('postgres', "SELECT outflow.forget($_[0])"))[2]; };
unlike($forget->(given_up('early', 'part-00000')), qr/NOTICE/, 'nothing is told of what nobody takes for an export');
$job = given_up('forgotten', 'SUCCESS');
like($forget->($job), qr/NOTICE:  file "_SUCCESS" may still appear in "lake:forgotten".*HINT: .*remove it/s, '_SUCCESS: forget tells that it may come');
is($store->keys('forgotten'), '', 'it is not there yet, nor anything else');
carry_out('forgotten', 'SUCCESS');
is($store->keys('forgotten'), 'forgotten/_SUCCESS', 'it comes alone');
like(($node->psql('postgres', q{CALL outflow.export('t', 'lake:forgotten')}))[2], qr/is not empty.*It holds "_SUCCESS"/s, 'and the next export there says so');

# what may replace something, as a lake table's manifests
add_sink_functions($node);
$store->faults('late PUT replaced/a/1');
($call) = start_psql($node, q{SELECT sink.do('lake:replaced', 'replace', 'a/1', 'first')});
wait_for_request('^PUT \S*/replaced/a/1');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%sink.do%' AND pid <> pg_backend_pid()");
$call->finish;
sql(q{SELECT sink.do('lake:replaced', 'replace', 'a/1', 'second')});
carry_out('replaced', 'a/1');
is($store->s3('GET', 'replaced/a/1'), 'second', 'the later one stays');
$store->forget_requests;
sql(q{SELECT sink.do('lake:replaced', 'replace', 'a/1', 'second')});
is($store->asked('^PUT '), 0, 'and is not sent again');

$node->stop;
done_testing();
