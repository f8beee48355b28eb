# Promise: a WebSocket client that comes back goes on without a gap and without
# repetitions, whatever is killed; when that can't be, it is told to fetch anew.
# No client holds the slot, however slow or hostile, and pages of other origins
# stay out.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use KillRounds;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket ();
use Test::More;
use Time::HiRes ();

die "OUTFLOW_PYTHON is not set: run this test by test/run\n" unless $ENV{OUTFLOW_PYTHON};

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client_ws";
my $json = JSON::PP->new->latin1;
my $place = new_export_dir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $url = "ws://127.0.0.1:$port";
my $seed = $ENV{SEED} || time;

srand($seed);
note("SEED=$seed");
client_setup($node);
delete @ENV{qw(TOKEN ORIGIN)};

sub python { return ($ENV{OUTFLOW_PYTHON}, "$FindBin::RealBin/../lib/ws_client.py", @_); }

sub start_ws
{
	my ($slot, @more) = @_;

	mkdir "$place/$slot";
	my $client = start_client($node, $slot, $log, "--to=$url", "--ws-spool=$place/$slot",
		'-o', 'include_transactions=off', @more);

	foreach (1 .. 300)
	{
		return $client if ask('GET / HTTP/1.1');
		Time::HiRes::sleep(0.1);
	}
	die 'nobody listens';
}

# ask(LINES...): the answer to a request
sub ask
{
	my (@lines) = @_;
	my $socket = IO::Socket::INET->new("127.0.0.1:$port") or return;

	push @lines, "Host: 127.0.0.1:$port" unless grep { /^Host/ } @lines;
	print $socket join("\r\n", @lines, '', '');
	my $answer = join('', <$socket>);
	return $answer;
}

# talk(COMMAND...): what a client prints
sub talk
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ python($url, @_) ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	diag($err) if $err;
	return $out;
}

# ---- kills ----

create_slot($node, 'ws');
my $follower;
my $client = start_ws('ws');
$follower = IPC::Run::start([ python($url, 'follow', "$place/seen") ], '<', \undef, '>>', "$log.out", '2>>', "$log.py");
foreach (1 .. 300) { last if -s "$place/seen.position"; Time::HiRes::sleep(0.1); }
kill_rounds(
	$node,
	transactions => 60, wait => [ 0.2, 1 ], server_every => 3,
	# it is there from the beginning, so that the one who follows finds it
	client => sub { return $_[0] == 1 ? $client : start_ws('ws'); });
$client = start_ws('ws');
wait_confirmed($node, 'ws', current_lsn($node));
$node->safe_psql('postgres', 'INSERT INTO t VALUES (-1, 0)');
foreach (1 .. 600) { last if slurp_file("$place/seen") =~ /"new":\{"id":-1,/; Time::HiRes::sleep(0.1); }
my @lines = split(/\n/, slurp_file("$place/seen"));
check_once('kills', @lines);
is(replay_records(@lines), table_rows($node), 'they give the table');
ok(!-e "$place/seen.refetch", 'and nothing had to be fetched anew');
$follower->signal('KILL');
$follower->finish;

# ---- resuming ----

my ($before) = talk('quiet', 1, '{"type":"subscribe"}') =~ /"position":"([^"]*)"/;
$node->safe_psql('postgres', 'INSERT INTO t VALUES (-2, 0)');
$node->safe_psql('postgres', 'BEGIN; INSERT INTO t VALUES (-3, 0); INSERT INTO t VALUES (-4, 0); COMMIT');
wait_confirmed($node, 'ws', current_lsn($node));
my $answer = talk('quiet', 2, qq({"type":"subscribe","after":"$before"}));
like($answer, qr/"recovered":true,"refetch":false/, 'resumed');
is(join(' ', $answer =~ /"new":\{"id":(-\d)/g), '-2 -3 -4', '... with what came meanwhile');

# what was seen before it was synced stays, however often the client starts anew
kill_client($client);
$client = start_ws('ws', '--linger=60s');
my ($unsynced) = talk('quiet', 1, '{"type":"subscribe"}') =~ /"position":"([^"]*)"/;
$node->safe_psql('postgres', 'INSERT INTO t VALUES (-1005, 0)');
foreach (1 .. 30)
{
	$answer = talk('quiet', 1, qq({"type":"subscribe","after":"$unsynced"}));
	last if $answer =~ /"id":-1005,/;
}
like($answer, qr/"id":-1005,/, 'a change that is not synced is sent');
foreach (1 .. 2)
{
	kill_client($client);
	$client = start_ws('ws', '--linger=60s');
}
like(talk('quiet', 2, qq({"type":"subscribe","after":"$unsynced"})), qr/"id":-1005,/, '... and is still there after two kills');
kill_client($client);
$client = start_ws('ws');
my ($epoch) = $answer =~ /"epoch":"([^"]*)"/;
like($epoch, qr/^\d+:1:ws$/, 'an epoch');
like(talk('quiet', 1, qq({"type":"subscribe","after":"$before","epoch":"0:1:ws"})),
	qr/"recovered":false,"refetch":true/, 'a position of another system is not resumed');
like(talk('quiet', 1, '{"type":"subscribe","after":"FFFFFF/0"}'), qr/"refetch":true/, '... nor one that is to come');
unlike(talk('quiet', 1, qq({"type":"subscribe","after":"$before","tables":["public.o*"]})),
	qr/"op"/, 'a filter by table');
like(talk('quiet', 1, qq({"type":"subscribe","after":"$before","tables":["pub*.?"]})),
	qr/"id":-2/, '... by a pattern');
like(talk('quiet', 1, qq({"type":"subscribe","after":"$before","tables":["*.\\\\t"]})),
	qr/"id":-2/, '... with what a backslash takes literally');
unlike(talk('quiet', 1, qq({"type":"subscribe","after":"$before","tables":["pub*.\\\\?"]})),
	qr/"op"/, '... such as ?');

# ---- the last changes, for who is new ----

sub ids { return join(' ', $_[0] =~ /"new":\{"id":(-?\d+)/g); }

foreach my $i (11 .. 14)
{
	$node->safe_psql('postgres', "INSERT INTO t VALUES (-$i, 0); CREATE TABLE IF NOT EXISTS others (id int); INSERT INTO others VALUES ($i)");
}
wait_confirmed($node, 'ws', current_lsn($node));
{
	my ($seen, $errors) = ('', '');
	my $new = IPC::Run::start([ python($url, 'until', '"id":-15,', '{"type":"subscribe","recent":3,"tables":["public.t"]}') ],
		'<', \undef, '>', \$seen, '2>', \$errors, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	$new->pump until $seen =~ /subscribed/;
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (-15, 0)');
	$new->finish;
	is(ids($seen), '-12 -13 -14 -15', 'the last changes of a table, and then those that come');
	like($seen, qr/"recovered":false,"refetch":false/, '... which no position asked for');
	my ($from) = $seen =~ /"position":"([^"]*)"/;
	is(ids(talk('quiet', 1, qq({"type":"subscribe","after":"$from","tables":["public.t"]}))), '-12 -13 -14 -15',
		'... after the position that is told');
	my ($now) = $seen =~ /.*"position":"([^"]*)"/s;
	my $again = talk('quiet', 1, qq({"type":"subscribe","after":"$now","recent":2,"tables":["public.t"]}));
	like($again, qr/"recovered":true/, 'a position');
	is(ids($again), '-14 -15', '... and the last changes before it');
	is(ids(talk('quiet', 1, qq({"type":"subscribe","after":"$from","recent":1,"tables":["public.t"]}))), '-12 -13 -14 -15',
		'... or all after it, if they are more');
	is(ids(talk('quiet', 1, qq({"type":"subscribe","recent":$_}))), '', "recent: $_") foreach ('0', '-1', '"x"', 'null', '[9]');
}
# of a transaction that is larger than what is looked through, in segments that are small
$node->safe_psql('postgres',
	"INSERT INTO t SELECT 2000000 + g, 0, repeat('x', 200) FROM generate_series(1, 20000) AS g");
wait_confirmed($node, 'ws', current_lsn($node));
$answer = talk('quiet', 2, '{"type":"subscribe","recent":3,"window":16000000}');
is(ids($answer), '2019998 2019999 2020000', 'the last changes of a large transaction');
{
	my ($from) = $answer =~ /"position":"([^"]*)"/;

	like(talk('quiet', 3, qq({"type":"subscribe","after":"$from","window":16000000})), qr/"new":\{"id":2000001,/,
		'... whose position is before it');
}
stop_client($client);
$client = start_ws('ws', '--ws-spool-bytes=1MB');
foreach my $i (0 .. 9)
{
	$node->safe_psql('postgres',
		"INSERT INTO t SELECT 3000000 + $i * 100 + g, 0, repeat('x', 200) FROM generate_series(1, 100) AS g");
}
wait_confirmed($node, 'ws', current_lsn($node));
is(ids(talk('quiet', 2, '{"type":"subscribe","recent":950,"window":16000000}')), join(' ', 3000051 .. 3001000),
	'the last changes from several segments');
is(ids(talk('quiet', 2, '{"type":"subscribe","recent":99999999,"window":16000000}')), join(' ', 3000001 .. 3001000),
	'... of which there are at most 1000');
stop_client($client);
$client = start_ws('ws');

# ---- windows, and clients that are too slow ----

my $all = length(talk('quiet', 3, '{"type":"subscribe","after":"0/0"}'));
ok($all > 0, 'a subscriber of everything');
$client->signal('TERM');
$client->finish;
is($client->result(0), 0, 'a clean stop');
$client = start_ws('ws', '--ws-spool-bytes=1MB');
($before) = talk('quiet', 1, '{"type":"subscribe"}') =~ /"position":"([^"]*)"/;
my $slow = '';
my $reader = IPC::Run::start([ python($url, 'read', 30, qq({"type":"subscribe","window":1000,"after":"$before"})) ],
	'<', \undef, '>', \$slow, '2>>', "$log.py");
foreach (1 .. 100) { last if $slow =~ /subscribed/; $reader->pump_nb; Time::HiRes::sleep(0.1); }
foreach my $i (1 .. 5)
{
	$node->safe_psql('postgres',
		"INSERT INTO t SELECT 100000 * $i + g, 0, repeat('y', 200) FROM generate_series(1, 2000) AS g");
}
wait_confirmed($node, 'ws', current_lsn($node));
pass('a client that acknowledges nothing holds up nobody');
my $spooled = 0;
$spooled += -s $_ foreach glob("$place/ws/*.spool");
cmp_ok($spooled, '<', 2 * 1024 * 1024, 'the spool is bounded');
$reader->pump_nb;
cmp_ok(length($slow), '<', 200_000, 'nor is it sent more than its window and one message');
like(talk('quiet', 1, qq({"type":"subscribe","after":"$before"})),
	qr/"recovered":false,"refetch":true/, 'who comes too late is told to fetch anew');
$reader->kill_kill;

# a transaction that is larger than the spool
($before) = talk('quiet', 1, '{"type":"subscribe"}') =~ /"position":"([^"]*)"/;
$node->safe_psql('postgres',
	"INSERT INTO t SELECT 1000000 + g, 0, repeat('z', 200) FROM generate_series(1, 10000) AS g");
wait_confirmed($node, 'ws', current_lsn($node));
like(talk('quiet', 1, qq({"type":"subscribe","after":"$before"})),
	qr/"refetch":true/, 'a transaction that is larger than the spool must be fetched');
($before) = talk('quiet', 1, '{"type":"subscribe"}') =~ /"position":"([^"]*)"/;

# ---- large records ----

stop_client($client);
$client = start_ws('ws', '--ws-spool-bytes=8MB');
$node->safe_psql('postgres', "INSERT INTO t VALUES (-5, 0, repeat('w', 1200000)), (-6, 0, 'after')");
wait_confirmed($node, 'ws', current_lsn($node));
$answer = talk('quiet', 2, qq({"type":"subscribe","after":"$before","window":16000000}));
like($answer, qr/\{"op":"insert","id":"[^"]*","schema":"public","table":"t","too_large":1200\d\d\d\}/,
	'a record of more than 1 MB is told by its id');
like($answer, qr/"filler":"after"/, '... and what follows it is whole');
cmp_ok(length($answer), '<', 10000, '... without it');

# ---- hostile clients ----

like(talk('raw', 'subscribe'), qr/"recovered":false,"refetch":false.*open/s, 'a subscriber');
like(talk('raw', '{"type":"ack","bytes":1}'), qr/closed 1008/, 'an ack before anything');
like(talk('raw', 'subscribe', '{"type":"ack","bytes":99999999}'), qr/closed 1008/, '... of what was not sent');
like(talk('raw', 'subscribe', '{"type":"ack","bytes":-1}'), qr/closed 1008/, '... of less than nothing');
like(talk('raw', 'hex:00ff'), qr/closed 1008/, 'binary');
like(talk('raw', 'utf8:'), qr/closed 1007/, 'no UTF-8');
like(talk('raw', 'big:200'), qr/closed 1009/, 'a message that is too large');
like(talk('raw', '[' x 50000), qr/closed 1008/, 'deep JSON');
like(talk('raw', '{"type":"subscribe","tables":[' . '"a.a",' x 200 . '"a.a"]}'), qr/closed 1008/, 'too many patterns');
like(talk('raw', '{"type":"subscribe","tables":{"a":1}}'), qr/closed 1008/, 'patterns that are none');
like(talk('raw', '{"type":"subscribe","tables":["t"]}'), qr/closed 1008/, '... without a schema');
like(talk('raw', 'subscribe', 'subscribe'), qr/closed 1008/, 'a second subscription');
{
	# pings without end, by a subscriber who reads none of the answers
	my $flood = IO::Socket::INET->new("127.0.0.1:$port");
	my ($sent, $accepted_at, $until) = (0, time, time + $PostgreSQL::Test::Utils::timeout_default);
	my $subscribe = '{"type":"subscribe"}';
	local $SIG{PIPE} = 'IGNORE';

	print $flood join("\r\n", 'GET / HTTP/1.1', "Host: 127.0.0.1:$port", 'Upgrade: websocket', 'Connection: Upgrade',
		'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13', '', '');
	$flood->flush;
	# so that the kernel holds few of the answers
	setsockopt($flood, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), pack('i', 65536)) or die;
	sysread($flood, my $handshake, 1000);
	syswrite($flood, "\x81" . chr(0x80 | length($subscribe)) . "\0\0\0\0$subscribe");
	$flood->blocking(0);
	# the kernel's buffers take tens of megabytes; then nothing is accepted any more
	while (time < $until && time < $accepted_at + 4 && $sent < 512 * 1024 * 1024)
	{
		my $n = syswrite($flood, "\x89\x80\0\0\0\0" x 10000);

		last unless defined $n || $!{EAGAIN};
		$sent += $n // 0;
		$n ? ($accepted_at = time) : Time::HiRes::sleep(0.01);
	}
	note "$sent bytes were accepted: $!";
	like(talk('raw', 'subscribe'), qr/"subscribed"/, 'a flood of pings holds up nobody');
	cmp_ok(time, '>=', $accepted_at + 4, '... and is not read any further');
}
{
	local $ENV{ORIGIN} = 'https://evil.example.com';
	is(talk('raw', 'subscribe'), "refused 403\n", 'a page of another origin');
	$ENV{ORIGIN} = "http://127.0.0.1:$port";
	like(talk('raw', 'subscribe'), qr/subscribed/, '... and our own');
}
like(ask('GET / HTTP/1.1', 'Host: rebound.example.com'), qr/^HTTP\/1.1 403/, 'a name that was pointed here');
like(ask('GET / HTTP/1.1'), qr/^HTTP\/1.1 200.*Content-Security-Policy: default-src 'none'/s, 'the page');
like(ask('GET /outflow.js HTTP/1.1'), qr/Access-Control-Allow-Origin: \*.*export class Outflow/s, '... and its library');
like(ask('GET /../../etc/passwd HTTP/1.1'), qr/^HTTP\/1.1 404/, 'no other file');
like(ask('POST / HTTP/1.1'), qr/^HTTP\/1.1 405/, 'no other method');
is(ask('GET / HTTP/1.1', 'X: ' . 'x' x 20000) // '', '', 'a head without end');
like(ask('GET / HTTP/1.1', 'Upgrade: websocket', 'Connection: Upgrade'), qr/^HTTP\/1.1 400/, 'no handshake');
is(stop_client($client), 0, 'it is still there');

# ---- signs of life ----

$client = start_ws('ws', '--status-interval=1s');
{
	my %said = map { ($_ => '') } qw(silent idle);
	my $errors = '';
	my @limits = ('2>', \$errors, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	my $silent = IPC::Run::start([ python($url, 'hold', 60) ], '<', \undef, '>', \$said{silent}, @limits);
	my $idle = IPC::Run::start([ python($url, 'read', 120, '{"type":"subscribe"}') ], '<', \undef, '>', \$said{idle}, @limits);

	$silent->finish;
	like($said{silent}, qr/^closed 4001/m, 'who subscribes to nothing is let go');
	$idle->pump until $said{idle} =~ m{"type":"records",.*"records":\[\]};
	pass('who has nothing to read gets a sign of life');
	is(stop_client($client), 0, 'a clean stop');
	$idle->finish;
	like($said{idle}, qr/^closed 1001/m, '... is told to all');
}

# ---- many clients ----

$client = start_ws('ws');
my ($crowd, $crowd_err) = ('', '');
my $many = IPC::Run::start([ python($url, 'crowd', 1000) ], '<', \undef, '>', \$crowd, '2>', \$crowd_err,
	IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$many->pump until $crowd =~ /^subscribed \d+\n/m;
like($crowd, qr/^subscribed 1000$/m, 'a thousand clients');
my $late = IO::Socket::INET->new(PeerAddr => $url =~ s{^ws://}{}r, Timeout => $PostgreSQL::Test::Utils::timeout_default);
is($late && sysread($late, my $byte, 1), 0, '... and none beyond');
$node->safe_psql('postgres', "INSERT INTO t VALUES (-7, 0, 'to all')");
$many->finish;
like($crowd, qr/^received 1000$/m, '... all get a change') or diag($crowd_err);
is(stop_client($client), 0, '... and are let go');

# ---- the example of README.md ----

{
	my $stream = start_readme_command($node, "$log.example", 'pg_outflow stream -d dbname=shop -S orders --to ws:', '-S orders', '-S ws',
		'127.0.0.1:8088', "127.0.0.1:$port", '/var/spool/outflow', "$place/ws");

	foreach (1 .. 300) { last if ask('GET / HTTP/1.1'); Time::HiRes::sleep(0.1); }
	like(talk('raw', 'subscribe'), qr/"subscribed"/, "README.md's example serves");
	is(stop_client($stream), 0, '... and stops');
}

# ---- tokens and addresses ----

my ($code, undef, $err) = run_client($node, 'ws', '--to=ws://0.0.0.0:1', "--ws-spool=$place/ws");
is($code, 2, 'other machines');
like($err, qr/--ws-token-file/, '... need a token');
($code, undef, $err) = run_client($node, 'ws', "--to=$url");
like($err, qr/needs --ws-spool/, 'a spool is needed');
($code, undef, $err) = run_client($node, 'ws', "--to=$url", "--ws-spool=$place/ws", '-o', 'format=debezium');
like($err, qr/format json only/, 'one format');
append_to_file("$place/token", "0123456789abcdefXYZ\n");
chmod(0644, "$place/token");
($code, undef, $err) = run_client($node, 'ws', "--to=$url", "--ws-spool=$place/ws", "--ws-token-file=$place/token");
like($err, qr/its mode must be 0600/, 'a token that all may read');
chmod(0600, "$place/token");
$client = start_ws('ws', "--ws-token-file=$place/token");
like(talk('raw', 'subscribe'), qr/closed 4003/, 'no token');
{
	local $ENV{TOKEN} = '0123456789abcdefXYA';
	like(talk('raw', 'subscribe'), qr/closed 4003/, 'a wrong one');
	$ENV{TOKEN} = '0123456789abcdefXYZ';
	like(talk('raw', 'subscribe'), qr/"subscribed"/, 'the right one');
}
stop_client($client);
unlike(slurp_file($log), qr/0123456789abcdef/, 'it is in no log');

done_testing();
