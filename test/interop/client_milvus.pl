# Promise: a collection of a real Milvus becomes what the table is, embeddings that the WAL
# doesn't have included, whatever is killed: pg_outflow, Milvus, PostgreSQL.
#
# The engine is milvus-lite, which has Milvus's gRPC interface and no REST: test/lib/milvus_server.py
# speaks REST before it, as Milvus's proxy does, and has each call carried out by pymilvus.  So the
# schema, the checks of rows, upserts, partial updates, deletes by filter, queries and what is there
# after a kill are the engine's; the HTTP is ours.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use KillRounds;
use MilvusTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

die "OUTFLOW_MILVUS is not set: run this test by test/run\n" unless $ENV{OUTFLOW_MILVUS};

my $node = new_outflow_node('main', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ],
	conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $json = JSON::PP->new->utf8->canonical;
my $place = new_export_dir();
my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
my ($milvus, $server);

# its programs, and their Python for the server before it
$ENV{PATH} = "$ENV{OUTFLOW_MILVUS}:$ENV{PATH}";
# milvus-lite takes no other JSON
docs_setup($node, '{}', '{"a": [1, {"b": "\"x\""}]}', '{"c": 1.5}', '{"d": true}', '{"e": null}');

sub kill_milvus
{
	foreach my $process ($server, $milvus)
	{
		next if !$process;
		$process->signal('KILL');
		$process->finish;
		undef $process;
	}
	return;
}
END { local $?; kill_milvus(); }

# start_milvus(FAULTS): again, if it is there, and the server before it
sub start_milvus
{
	my ($faults) = @_;

	kill_milvus();
	write_to($place, 'faults', $faults);
	$milvus = IPC::Run::start([ 'milvus-lite', 'server', '--data-dir', "$place/milvus", '--host', '127.0.0.1', '--port', $port ],
		'<', \undef, '>>', "$log.milvus", '2>>', "$log.milvus");
	IPC::Run::run([ 'python3', "$FindBin::RealBin/../lib/milvus_collection.py", $port, 'docs' ],
		'<', \$json->encode(docs_fields()), '>>', "$log.milvus", '2>>', "$log.milvus")
	  or die 'no collection: ' . slurp_file("$log.milvus");
	$server = start_peer('milvus_server.py', $place, "$log.server", $node->host . '/.s.PGSQL.' . $node->port, $port);
	return;
}

start_milvus('0 0 0 0 0');
create_slot($node, 'slot');
kill_rounds(
	$node,
	slot => 'slot',
	wait => [ 0.5, 1 ],
	before => sub { start_milvus("$_[0] 5 5 5 5") if $_[0] % 3 == 1 },
	writer => sub { start_docs_writer($node, 20) },
	client => sub { proxied_milvus_client($place, $log, $_[0] % 2 ? () : '--batch-bytes=20kB') },
	# while something is under way
	target => sub { start_milvus("$_[0] 0 0 5 0") });
start_milvus('0 0 0 0 0');
finish_kills($node, 'slot', proxied_milvus_client($place, $log));
ok(!-e "$place/violations", 'nothing was confirmed before it was answered, no row was twice in a request')
  or diag(slurp_file("$place/violations"));
check_docs('kills', $node, $place);

# what the engine itself rejects
$node->safe_psql('postgres', 'UPDATE docs SET n = n + 1; INSERT INTO docs SELECT 5000, 1, NULL, NULL, NULL, NULL, ARRAY[1, 2]::real[]');
my ($code, undef, $err) = run_client($node, 'slot', '--to=milvus://127.0.0.1:' . slurp_file("$place/milvus_port"),
	'--endpos=' . current_lsn($node));
is($code, 7, 'another dimension: exit code');
like($err, qr/rejected record \S+: code 1100: .*dim/, 'another dimension: the reason');
$node->safe_psql('postgres', 'DELETE FROM docs WHERE id = 5000');
($code, undef, $err) = run_client($node, 'slot', '--to=milvus://127.0.0.1:' . slurp_file("$place/milvus_port"),
	'--endpos=' . current_lsn($node), '--on-reject=dead-letter', "--dead-letter=$place/dead");
is($code, 0, 'with a dead letter it goes on') or diag($err);
check_docs('the others', $node, $place);
my @partial = grep { /"partialUpdate": true/ && !/"embedding"/ } split(/\n/, slurp_file("$place/log"));
cmp_ok(scalar(@partial), '>', 0, scalar(@partial) . ' partial updates left embeddings alone');
done_testing();
