# Promise: what --metrics tells is true.  A stream that has caught up has no lag;
# a target that acknowledges nothing is named with the age of the oldest commit it
# lacks, and its neighbours aren't; retries are counted by their reason; /healthz
# says whether the slot is streamed.
use strict;
use warnings;

use ClientTest;
use IO::Socket::INET;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 6s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/531_client_metrics";
my $place = new_export_dir();
my $files = new_export_dir();

client_setup($node);
create_slot($node, 'feed');

sub free_port { my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die; return $s->sockport; }

my $port = free_port();

sub get
{
	my ($path) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or return '';

	print $socket "GET $path HTTP/1.1\r\n\r\n";
	return join('', <$socket>);
}

# metric(NAME, LABELS): all values of it whose labels match
sub metric
{
	my ($name, $labels) = @_;

	return [ map { (split / /)[-1] } grep { /^pg_outflow_\Q$name\E[ {]/ && (!$labels || $_ =~ $labels) }
		  split(/\n/, get('/metrics')) ];
}

sub wait_metric
{
	my ($what, $test, $name, $labels) = @_;
	my $value = '';

	foreach my $try (1 .. 1800)
	{
		$value = metric($name, $labels)->[0] // '';
		return pass($what) if $value ne '' && $test->($value);
		Time::HiRes::sleep(0.1);
	}
	return fail("$what: $name is $value");
}

my $receiver = start_peer('http_receiver.py', $place, "$log.receiver");
my $hook = 'http://127.0.0.1:' . slurp_file("$place/http_port") . '/hook';
my $client = start_client($node, 'feed', $log, "--to=$hook", "--to=file://$files", "--metrics=$port", '--http-timeout=1s');
my ($slow, $fast) = (qr/hook/, qr/file:/);

# nothing to do
wait_metric('caught up: up', sub { $_[0] == 1 }, 'up');
wait_metric('caught up: the server has nothing left', sub { $_[0] == 0 }, 'receive_lag_seconds');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1)');
wait_metric('caught up: everything delivered', sub { $_[0] >= 3 }, 'target_records_total', $slow);
wait_metric('caught up: no lag', sub { $_[0] == 0 }, 'target_lag_seconds', $slow);
wait_metric('caught up: and nothing waits', sub { $_[0] == 0 }, 'target_unacknowledged_seconds', $slow);
is(metric('target_lag_bytes', $slow)->[0], 0, 'caught up: no bytes either');
like(get('/healthz'), qr{^HTTP/1.1 200 .*\nok\n$}s, 'caught up: healthy');
unlike(get('/metrics') =~ s/^HTTP.*?\r\n\r\n//sr,
	qr/^(?!# HELP pg_outflow_\w+ \S|# TYPE pg_outflow_\w+ (?:gauge|counter)$|pg_outflow_\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? [-+.\de]+$)/m,
	'every line is one of Prometheus');

# each reason to try again, with a target that is behind and one that isn't
my %reason = ('503 .' => 'throttled', '500 .' => 'error', '408 .' => 'timeout');
foreach my $status (sort keys %reason)
{
	my $labels = qr/hook.*reason="$reason{$status}"/;
	my $before = metric('target_retries_total', $labels)->[0];

	write_to($place, 'status', $status);
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (2, 1); DELETE FROM t WHERE id = 2');
	wait_metric("status $status is counted as $reason{$status}", sub { $_[0] > $before }, 'target_retries_total', $labels);
	write_to($place, 'status', '');
	wait_metric("status $status: no lag when it is over", sub { $_[0] == 0 }, 'target_lag_seconds', $slow);
}
my $before = Time::HiRes::time();
write_to($place, 'status', '503 .');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (3, 1)');
my $committed = Time::HiRes::time();
my $inserted = current_lsn($node);
wait_metric('behind: the lag grows', sub { $_[0] > 2 }, 'target_lag_seconds', $slow);
my $lag = metric('target_lag_seconds', $slow)->[0];
my $now = Time::HiRes::time();
cmp_ok($lag, '<=', $now - $before, 'behind: by no more than the age of the commit');
wait_metric('behind: so does the age of what is unacknowledged', sub { $_[0] > 2 }, 'target_unacknowledged_seconds', $slow);
is(metric($_, $fast)->[0], 0, "behind: not $_ of its neighbour")
  foreach 'target_lag_seconds', 'target_unacknowledged_seconds', 'target_lag_bytes';
cmp_ok(metric('target_delivered_lsn', $fast)->[0], '>=', lsn_number($inserted), 'behind: which has it all');
cmp_ok(metric('target_delivered_lsn', $slow)->[0], '<', lsn_number($inserted), 'behind: and the target has not');
cmp_ok(metric('target_lag_bytes', $slow)->[0], '>', 0, 'behind: in bytes');
cmp_ok(metric('confirmed_lsn')->[0], '<', lsn_number($inserted), 'behind: nor is it confirmed');

# no connection, and no answer
$receiver->signal('STOP');
wait_metric('no answer is a timeout', sub { $_[0] > 1 }, 'target_retries_total', qr/hook.*reason="timeout"/);
$receiver->signal('KILL');
$receiver->signal('CONT');
$receiver->finish;
wait_metric('nobody there', sub { $_[0] > 0 }, 'target_retries_total', qr/hook.*reason="connection"/);
write_to($place, 'status', '');
$receiver = start_peer('http_receiver.py', $place, "$log.receiver");
wait_metric('all mended: no lag', sub { $_[0] == 0 }, 'target_lag_seconds', $slow);

# changes of other databases are no lag
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE TABLE noise AS SELECT generate_series(1, 100000)');
wait_metric('nothing for this slot: no lag', sub { $_[0] == 0 }, 'receive_lag_seconds');

# the server is away
$node->stop('fast');
wait_metric('no server: not up', sub { $_[0] == 0 }, 'up');
wait_metric('no server: what may have been missed', sub { $_[0] > 1 }, 'receive_lag_seconds');
like(get('/healthz'), qr{^HTTP/1.1 503 .*not streaming}s, 'no server: unhealthy');
$node->start;
wait_metric('the server is back', sub { $_[0] == 1 }, 'up');
wait_metric('the server is back: no lag', sub { $_[0] == 0 }, 'receive_lag_seconds');
is(metric('reconnects_total')->[0], 1, 'one reconnect');
like(get('/nowhere'), qr{^HTTP/1.1 404}, 'nothing else is there');
is(stop_client($client), 0, 'a clean stop');
$receiver->signal('KILL');
$receiver->finish;
done_testing();
