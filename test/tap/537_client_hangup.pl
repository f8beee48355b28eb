# Promise: a client whose terminal is gone stops as if it had been told to, and leaves
# its slot to others; one that was started with nohup stays.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $log = "${PostgreSQL::Test::Utils::tmp_check}/537_client_hangup";
my $node = new_outflow_node('main');

# whoever runs the tests may have been started with nohup
$SIG{HUP} = 'DEFAULT';
client_setup($node);
create_slot($node, 'feed');

my $client = start_client($node, 'feed', $log, '--to=stdout:');
wait_for_line($log, qr/streaming slot/);
$node->safe_psql('postgres', "INSERT INTO t VALUES (1, 1, 'x')");
wait_for_line("$log.out", qr/"new":\{"id":1,/);
$client->signal('HUP');
$client->finish;
is($client->result(0), 0, 'a stream whose terminal is gone ends');
like(slurp_file($log), qr/stopping: waiting for acknowledgements/, 'in order');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots WHERE active'), '0', 'and leaves its slot');

$client = IPC::Run::start([ 'nohup', 'pg_outflow', 'stream', '-d', $node->connstr('postgres'), '-S', 'feed', '--to=stdout:' ],
	'<', \undef, '>>', "$log.nohup.out", '2>>', "$log.nohup");
wait_for_line("$log.nohup", qr/streaming slot/);
$client->signal('HUP');
$node->safe_psql('postgres', "INSERT INTO t VALUES (2, 2, 'x')");
wait_for_line("$log.nohup.out", qr/"new":\{"id":2,/);
pass('with nohup it goes on');
is(stop_client($client), 0, 'until it is told to stop');

# a target that isn't reached yet, and a replay
$client = start_client($node, 'feed', "$log.away", '--to=postgresql://127.0.0.1:1/postgres');
wait_for_line("$log.away", qr/trying again/);
$client->signal('HUP');
$client->finish;
is($client->result(0), 8, 'it ends also while a target is waited for');

append_to_file("$log.letters", '{"ts":1,"target":"x","system":"1","slot":"s","format":"json","kind":"record","reason":"r","id":"a",'
	  . '"record":{"op":"insert","id":"a","schema":"public","table":"t","new":{"id":1}}}' . "\n");
$client = IPC::Run::start([ 'pg_outflow', 'replay', "$log.letters", '--to=http://127.0.0.1:1/', '--stop-timeout=1s' ],
	'<', \undef, '>>', "$log.replay", '2>&1');
wait_for_line("$log.replay", qr/is sent again/);
$client->signal('HUP');
$client->finish;
is($client->result(0), 8, 'and so does a replay');
done_testing();
