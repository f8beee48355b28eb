# Promise: a webhook gets every change, in order, whatever is killed and however
# it fails; one that comes again has the same id and is the same.  No position is
# confirmed to PostgreSQL before each record up to it was answered: a proxy sees
# that on the wire.  Requests are signed, and their keys survive restarts.
use strict;
use warnings;

use ClientTest;
use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use KillRounds;
use MIME::Base64 qw(encode_base64);
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/520_client_http";
my $json = JSON::PP->new->latin1;
my $place = new_export_dir();

client_setup($node);
ledger_setup($node);

sub start_receiver
{
	return start_peer('http_receiver.py', $place, "$log.receiver", $node->host . '/.s.PGSQL.' . $node->port);
}

sub requests { return map { $json->decode($_) } split(/\n/, slurp_file("$place/log")); }

# records(REQUESTS): the lines in them, each once
sub records
{
	my ($what, @requests) = @_;
	my (%seen, @lines, $differ);

	foreach my $request (@requests)
	{
		foreach my $line (split(/\n/, $request->{body}))
		{
			my ($id) = $line =~ /"id":"([^"]*)"/ or next;

			if (!defined $seen{$id}) { push @lines, $line; $seen{$id} = $line; }
			elsif ($seen{$id} ne $line) { $differ = $id; }
		}
	}
	is($differ, undef, "$what: what comes again is the same");
	return @lines;
}

my $receiver = start_receiver();
my $port = slurp_file("$place/http_port");
my @target = ("--to=http://127.0.0.1:$port/hook", '--http-profile=ndjson', '-o', 'tables=public.t');
# the proxy, by a connection string that comes later and so counts
my @proxied = ('-o', 'include_transactions=off');

sub proxied_client
{
	my (@more) = @_;

	return start_proxied_client($place, 'hook', $log, @target, @more);
}

create_slot($node, 'hook');
write_to($place, 'faults', '10 5 5 20');
kill_rounds(
	$node,
	transactions => 60,
	client => sub { proxied_client($_[0] % 2 ? () : '--batch-bytes=500') },
	target => sub { $receiver->signal('KILL'); $receiver->finish; $receiver = start_receiver(); });
write_to($place, 'faults', '0 0 0 0');
finish_kills($node, 'hook', proxied_client('--batch-bytes=10kB'));
ok(!-e "$place/violations", 'nothing was confirmed before it was answered')
  or diag(slurp_file("$place/violations"));
ok(-s "$place/confirmed", 'positions were seen on the wire');
my @lines = records('kills', grep { $_->{status} == 200 } requests());
check_once('kills, without repetitions', @lines);
is(replay_records(@lines), table_rows($node), 'they give the table');
check_ledger('kills', $node, map { change_of_json($_) } grep { $_ ne '' } map { split(/\n/, $_->{body}) } grep { $_->{status} == 200 } requests());
$node->safe_psql('postgres', 'DROP TRIGGER keep ON t');

# each form, with a signature
sub fresh_log { write_to($place, 'log', ''); $receiver->signal('KILL'); $receiver->finish; $receiver = start_receiver(); return; }

sub deliver
{
	my (@more) = @_;

	my ($code, undef, $err) = run_client($node, 'hook', "--to=http://127.0.0.1:$port/hook",
		'--endpos=' . current_lsn($node), '-o', 'include_transactions=off', @more);
	return ($code, $err);
}

my $secret = 'whsec_' . encode_base64('a secret of some length', '');
append_to_file("$place/secret", "$secret\n");
append_to_file("$place/headers", "Authorization: Bearer abc\n");
chmod(0600, "$place/secret", "$place/headers");
fresh_log();
$node->safe_psql('postgres', 'TRUNCATE t; INSERT INTO t VALUES (1, 1); UPDATE t SET n = 2');
my ($code, $err) = deliver('--batch-bytes=0', "--http-secret-file=$place/secret", "--http-header-file=$place/headers");
is($code, 0, 'one by one') or diag($err);
my @requests = requests();
my @inserts = grep { $_->{body} =~ /"op":"insert"/ } @requests;
is(scalar(@inserts), 1, 'a request a record');
my $headers = $inserts[0]{headers};
my ($id) = $inserts[0]{body} =~ /"id":"([^"]*)"/;
like($headers->{'idempotency-key'}, qr{^\d+/hook/\Q$id\E$}, 'the key is the id');
is($headers->{authorization}, 'Bearer abc', 'headers of a file');
is(
	$headers->{'webhook-signature'},
	'v1,' . encode_base64(
		hmac_sha256("$headers->{'webhook-id'}.$headers->{'webhook-timestamp'}.$inserts[0]{body}",
			'a secret of some length'), ''),
	'the signature, as others compute it');

fresh_log();
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2, 1), (3, 1)');
($code) = deliver('--http-profile=cloudevents');
my $events = $json->decode((requests())[-1]{body});
is((requests())[-1]{headers}{'content-type'}, 'application/cloudevents-batch+json', 'CloudEvents: the type');
is_deeply(
	[ map { "$_->{specversion} $_->{type} " . ($_->{subject} // '') } @$events[-2, -1] ],
	[ ('1.0 outflow.insert public.t') x 2 ], 'CloudEvents: its attributes');
is($events->[-1]{data}{id}, $events->[-1]{id}, 'CloudEvents: the id is the record\'s');

fresh_log();
$node->safe_psql('postgres', 'INSERT INTO t VALUES (4, 1), (5, 1)');
deliver('--http-profile=nifi');
my $flow = (requests())[-1]{body};
my @contents;
while ($flow =~ s/^NiFiFF3//)
{
	my ($count) = unpack('n', substr($flow, 0, 2, ''));
	my %attributes = unpack("(n/a)" . 2 * $count, $flow);
	substr($flow, 0, length(pack('(n/a*)*', unpack("(n/a)" . 2 * $count, $flow))), '');
	my $content = substr($flow, 8, unpack('Q>', substr($flow, 0, 8)));
	substr($flow, 0, 8 + length($content), '');
	push @contents, [ \%attributes, $content ];
}
is($flow, '', 'FlowFiles: nothing is left over');
is($contents[-1][0]{'outflow.table'}, 'public.t', 'FlowFiles: attributes');
is($json->decode($contents[-1][1])->{new}{id}, 5, 'FlowFiles: content');

# what a target does not take
fresh_log();
$node->safe_psql('postgres', q{INSERT INTO t VALUES (6, 1, 'good'), (7, 1, 'poison'), (8, 1, 'good')});
write_to($place, 'status', '422 poison');
($code, $err) = deliver();
is($code, 7, 'a rejected record stops it');
like($err, qr{rejected record [0-9A-F/]+: status 422: said}, 'and is named');
($code, $err) = deliver('--on-reject=dead-letter', "--dead-letter=$place/dead");
is($code, 0, 'or goes into a file') or diag($err);
my @dead = map { $json->decode($_) } split(/\n/, slurp_file("$place/dead"));
is(scalar(@dead), 1, 'alone');
is("$dead[0]{record}{new}{id} $dead[0]{reason}", '7 status 422: said', 'with its reason');
is($dead[0]{id}, $dead[0]{record}{id}, 'and its id');
my ($bodies) = join("\n", map { $_->{status} == 200 ? $_->{body} : () } requests());
ok($bodies =~ /"id":6,/ && $bodies =~ /"id":8,/ && $bodies !~ /poison/, 'its neighbours were delivered');
my ($alone) = grep { $_->{status} == 422 } reverse requests();

write_to($place, 'status', '');
fresh_log();
my ($out, $replay_err) = run_command(
	[ 'pg_outflow', 'replay', "--to=http://127.0.0.1:$port/hook", '--batch-bytes=0', "$place/dead" ]);
like($replay_err, qr/sent 1 records again/, 'a dead letter is sent again');
my @again = requests();
is_deeply($json->decode($again[0]{body}), $dead[0]{record}, 'as it was');
is($again[0]{headers}{'idempotency-key'}, $alone->{headers}{'idempotency-key'}, 'by its key');
like($again[0]{headers}{'idempotency-key'}, qr{^\d+/\w+/\Q$dead[0]{id}\E$}, 'which is system, slot and id');

# one that is of two slots, and that two targets have shared
fresh_log();
my $other = $json->encode({ %{ $dead[0] }, slot => 'other', target => 'elsewhere', kind => 'begin', record => { op => 'begin' } });
append_to_file("$place/dead", "$other\n");
($out, $replay_err) = run_command([ 'pg_outflow', 'replay', "--to=http://127.0.0.1:$port/hook", "$place/dead" ]);
like($replay_err, qr/from line 2 on, of "elsewhere": all of them are sent.*sent 2 records again/s, 'of two targets: said');
@again = requests();
is($again[0]{headers}{'idempotency-key'}, $alone->{headers}{'idempotency-key'}, 'of two slots: the key of the first');
like($again[1]{headers}{'idempotency-key'}, qr{^$dead[0]{system}/other/begin/[0-9a-f]{8}$}, 'and of the other');

$node->safe_psql('postgres', 'INSERT INTO t VALUES (9, 1)');
write_to($place, 'status', '401 .');
($code, $err) = deliver();
is($code, 6, 'a target that refuses for good');
like($err, qr/answers with status 401/, 'and says so');
write_to($place, 'status', '429 .');
fresh_log();
my $client = start_client($node, 'hook', $log, "--to=http://127.0.0.1:$port/hook");
wait_for_line("$place/log", qr/"status": 429.*"status": 429/s);
write_to($place, 'status', '');
wait_for_line("$place/log", qr/"status": 200/);
is(stop_client($client), 0, 'one that is busy is waited for');
my %keys = map { $_->{headers}{'idempotency-key'} => 1 } requests();
is(scalar(keys %keys), 1, 'and gets the same key again');

# the example of README.md, TLS apart
fresh_log();
my $example = start_readme_command($node, "$log.example", 'pg_outflow stream -d dbname=shop -S orders --to https://hooks.example.com/orders --http-secret',
	'-S orders', '-S hook', 'https://hooks.example.com', "http://127.0.0.1:$port", '/etc/pg_outflow/secret', "$place/secret");
$node->safe_psql('postgres', 'INSERT INTO t VALUES (10, 1)');
wait_for_line("$place/log", qr/\\"new\\":\{\\"id\\":10,/);
is(stop_client($example), 0, "README.md's example delivers") or diag(slurp_file("$log.example"));
ok((requests())[-1]{headers}{'webhook-signature'}, 'and signs');
$receiver->signal('KILL');
$receiver->finish;
done_testing();
