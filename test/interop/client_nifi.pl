# Promise: NiFi's own ListenHTTP takes what --http-profile nifi sends, and makes a
# FlowFile of each change, in order, with its attributes, whatever is killed and while
# its queue is full: none is missing, and what comes again is the same.  No position
# is confirmed before NiFi has answered.
use strict;
use warnings;

use ClientTest;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use KillRounds;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# OUTFLOW_NIFI runs ListenHTTP
my @listen = split(' ', $ENV{OUTFLOW_NIFI} // die "OUTFLOW_NIFI is not set: run this test by test/run\n");
my $node = new_outflow_node('main', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ],
	conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new->utf8;
my $place = new_export_dir();
my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
my ($nifi, $proxy);

sub kill_nifi
{
	$nifi->kill_kill(grace => 0) if $nifi;
	undef $nifi;
	return;
}

sub start_nifi
{
	kill_nifi();
	$nifi = IPC::Run::start(
		[ $listen[0], '-Xmx300m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
			@listen[ 1 .. $#listen ], 'Listen', $place, $port ],
		'<', \undef, '>>', "$log.nifi", '2>>', "$log.nifi");
	foreach my $try (1 .. 1800)
	{
		return if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
		die 'NiFi does not start: ' . slurp_file("$log.nifi") if !$nifi->pumpable;
		Time::HiRes::sleep(0.1);
	}
	die 'NiFi does not start: ' . slurp_file("$log.nifi");
}
END { local $?; kill_nifi(); $proxy->kill_kill(grace => 0) if $proxy; }

# flowfiles(): as NiFi has them
sub flowfiles { return map { $json->decode($_) } split(/\n/, slurp_file("$place/flowfiles")); }

client_setup($node);
ledger_setup($node);
start_nifi();
$proxy = start_peer('http_receiver.py', $place, "$log.proxy", $node->host . '/.s.PGSQL.' . $node->port, $port);
my @target = ('--to=http://127.0.0.1:' . slurp_file("$place/http_port") . '/contentListener', '--http-profile=nifi',
	'-o', 'include_transactions=off', '-o', 'tables=public.t');

create_slot($node, 'flow');
# connections break before NiFi has a request, and after, before its answer is heard
write_to($place, 'faults', '0 5 5 10');
kill_rounds(
	$node,
	before => sub { write_to($place, 'full', '') if $_[0] % 4 == 0 },
	client => sub { start_proxied_client($place, 'flow', $log, @target, $_[0] % 2 ? '--batch-bytes=20kB' : '--batch-bytes=0') },
	target => sub { start_nifi(); unlink "$place/full"; });
unlink "$place/full";
write_to($place, 'faults', '0 0 0 0');
finish_kills($node, 'flow', start_proxied_client($place, 'flow', $log, @target));

# what is full answers 503, until it isn't
write_to($place, 'full', '');
my $client = start_proxied_client($place, 'flow', "$log.full", @target);
foreach my $n (1 .. 600)
{
	# until NiFi has seen that it is
	$node->safe_psql('postgres', "INSERT INTO t VALUES (7000 + $n, 1, E'tab\\t, line\\n, \\u00e9 and \\u20ac')");
	last if slurp_file("$log.full") =~ /status 503; the request is sent again/;
	Time::HiRes::sleep(0.1);
}
wait_for_line("$log.full", qr/status 503; the request is sent again/);
my $end = current_lsn($node);
cmp_ok(lsn_number(confirmed_lsn($node, 'flow')), '<', lsn_number($end), 'what a full queue refuses is not confirmed');
unlink "$place/full";
wait_confirmed($node, 'flow', $end);
is(stop_client($client), 0, 'once it is not, it goes on');
ok(!-e "$place/violations", 'nothing was confirmed before it was answered')
  or diag(slurp_file("$place/violations"));
ok(-s "$place/confirmed", 'positions were seen on the wire');

my (@records, $wrong);
foreach my $flowfile (flowfiles())
{
	my ($content, $attribute) = @$flowfile{qw(content attributes)};
	my ($op, $id, $schema, $table) = $content =~ /^\{"op":"(\w+)",(?:"id":"([^"]*)",)?.*?"schema":"(\w+)","table":"(\w+)"/;

	utf8::encode($content);
	push @records, $content;
	$wrong //= $json->encode($flowfile)
	  if $attribute->{'outflow.op'} ne $op
	  || $attribute->{'outflow.table'} ne "$schema.$table"
	  || $attribute->{'outflow.slot'} ne 'flow'
	  || $attribute->{'mime.type'} ne 'application/json'
	  || $op ne 'schema' && ($attribute->{'outflow.id'} ne $id || $attribute->{filename} ne $id =~ tr{/}{-}r);
}
is($wrong, undef, 'attributes are those of the record');
check_ledger('FlowFiles', $node, map { change_of_json($_) } @records);
is(replay_records(@records), table_rows($node), 'they give the table');
like((grep { /"op":"insert".*"new":\{"id":7001,/ } @records)[0], qr/"filler":"tab\\t, line\\n, \xc3\xa9 and \xe2\x82\xac"/, 'texts are as they were');
done_testing();
