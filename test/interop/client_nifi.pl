# Promise: what --http-profile nifi sends is what NiFi's ListenHTTP takes apart into
# FlowFiles: one for each change, in order, with its attributes, also when client and
# receiver are killed.  NiFi's own library reads the requests.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# OUTFLOW_NIFI has NiFi's jars
my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $place = new_export_dir();
my $json = JSON::PP->new->latin1;
my $receiver = start_peer('http_receiver.py', $place, "$log.receiver");
my @target = ('--to=http://127.0.0.1:' . slurp_file("$place/http_port") . '/contentListener', '--http-profile=nifi', '-o', 'include_transactions=off');

client_setup($node);
create_slot($node, 'flow');
write_to($place, 'faults', '10 5 5 10');
srand(4711);
foreach my $round (1 .. $rounds)
{
	my $writer = start_writer($node, 40);
	my $client = start_client($node, 'flow', $log, @target, $round % 2 ? '--batch-bytes=20kB' : '--batch-bytes=0');

	Time::HiRes::sleep(0.3 + rand(1));
	if ($round % 3 == 0)
	{
		$receiver->signal('KILL');
		$receiver->finish;
		$receiver = start_peer('http_receiver.py', $place, "$log.receiver");
	}
	kill_client($client);
	$writer->finish;
}
write_to($place, 'faults', '0 0 0 0');
$node->safe_psql('postgres', "INSERT INTO t VALUES (7000, 1, E'tab\\t, line\\n, \\u00e9 and \\u20ac')") if $node->safe_psql('postgres', 'SHOW server_encoding') eq 'UTF8';
my ($code, undef, $err) = run_client($node, 'flow', @target, '--endpos=' . current_lsn($node));
is($code, 0, 'comes to the end') or diag($err);
$receiver->signal('KILL');
$receiver->finish;

# each request that was answered, as a file
my @files;
foreach my $line (split(/\n/, slurp_file("$place/log")))
{
	my $request = $json->decode($line);

	next if $request->{status} != 200;
	push @files, sprintf('%s/%06d', $place, scalar(@files));
	open(my $file, '>:raw', $files[-1]) or die;
	print $file $request->{body};
	close($file);
	die $request->{headers}{'content-type'} if $request->{headers}{'content-type'} ne 'application/flowfile-v3';
}
my $said = '';
IPC::Run::run([ 'java', '-cp', "$ENV{OUTFLOW_NIFI}:$ENV{OUTFLOW_NIFI}/*", 'Unpack', @files ], '>', \$said, '2>', \$err)
  or die $err;
my (%seen, @lines, $wrong);
foreach my $line (split(/\n/, $said))
{
	my ($attributes, $content) = split(/\t/, $line, 2);
	my %attribute = map { split(/=/, $_, 2) } split(/,/, $attributes);
	my $record = $json->decode($content);

	$wrong //= $line
	  if $record->{op} ne 'schema'
	  && ($attribute{'outflow.id'} ne $record->{id}
		|| $attribute{'outflow.op'} ne $record->{op}
		|| $attribute{'outflow.table'} ne "$record->{schema}.$record->{table}"
		|| $attribute{'outflow.slot'} ne 'flow');
	push @lines, $content if !$seen{ $record->{id} // "schema $content" }++;
}
cmp_ok(scalar(@lines), '>', 100, @lines . ' FlowFiles in ' . @files . ' requests');
is($wrong, undef, 'attributes are those of the record');
check_once('FlowFiles, without repetitions', @lines);
is(replay_records(@lines), table_rows($node), 'they give the table');
done_testing();
