# Promise: pg_outflow check says in a line each what a stream has and what it
# lacks, with the fix, and changes nothing; its exit code is 0 only if a stream
# with the same arguments would run.
use strict;
use warnings;

use IO::Socket::INET;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
my $dir = new_export_dir();
my @here = ('-d', $node->connstr('postgres'));

# check(ARGUMENT...): exit code, stdout
sub check
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', 'check', @arguments ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out . $err);
}

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t (id int PRIMARY KEY);
CREATE PUBLICATION good FOR TABLE t;
CREATE ROLE plain LOGIN;
CREATE DATABASE other;
SELECT pg_create_logical_replication_slot('foreign', 'test_decoding');
EOC
create_slot($node, 'feed');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('prepared', 'outflow', false, true)");

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
my $port = $listener->sockport;
my $closed = do { my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die; $s->sockport };
my $before = $node->safe_psql('postgres', 'SELECT * FROM pg_replication_slots');

my ($code, $out) = check(@here, '-S', 'feed', '-o', 'publication_names=good', '--to', "file://$dir", '--to=stdout:', "--to=http://127.0.0.1:$port/x");
is($code, 0, 'all is there') or diag($out);
unlike($out, qr/^(?!ok   )/m, 'every line is ok');
like($out, qr/^ok   \Q$_\E/m, "of $_")
  foreach 'server: PostgreSQL', 'wal_level: logical', 'output_plugin_libraries: ', 'plugin outflow: installed', 'role: may replicate', 'slot feed: plugin outflow, WAL reserved',
	'publication good: 1 table', 'replica identity: all', 'replication connection: ', "target file://$dir: ", 'target stdout:: ', "target http://127.0.0.1:$port/x: ";
is_deeply([ glob("$dir/.* $dir/*") ], [ "$dir/.", "$dir/.." ], 'nothing is made at the target');
is($node->safe_psql('postgres', 'SELECT * FROM pg_replication_slots'), $before, 'and nothing at the server');

# what is missing, a case each
$node->safe_psql('postgres', 'CREATE TABLE keyless (a int); CREATE PUBLICATION bad FOR TABLE keyless; CREATE PUBLICATION "odd, ""names" FOR TABLE keyless');
foreach my $case (
	[ 'no server', qr/^NOT  server: .*(?:No such file|refused)/m, '-d', 'host=/nowhere dbname=x' ],
	[ 'a database', qr/^NOT  server: .*database "nowhere" does not exist/m, '-d', $node->connstr('nowhere') ],
	[ 'a right', qr/^NOT  role: lacks.*\n     -> ALTER ROLE plain REPLICATION;$/m, '-d', $node->connstr('postgres') . ' user=plain' ],
	[ 'a right, tried', qr/^NOT  replication connection: /m, '-d', $node->connstr('postgres') . ' user=plain' ],
	[ 'a slot', qr/^NOT  slot absent: does not exist\n     -> .*--create-slot/m, @here, '-S', 'absent' ],
	[ 'a slot of prepared transactions', qr/^NOT  slot prepared: .*two_phase\n     -> a slot without two_phase/m, @here, '-S', 'prepared' ],
	[ 'the plugin', qr/^NOT  slot foreign: plugin test_decoding,.*\n     -> .*with the plugin outflow/m, @here, '-S', 'foreign' ],
	[ 'its database', qr/^NOT  slot feed: .*of database postgres/m, '-d', $node->connstr('other'), '-S', 'feed' ],
	[ 'a publication', qr/^NOT  publication nobody: does not exist\n     -> CREATE PUBLICATION nobody FOR/m, @here, '-o', 'publication_names=good, nobody' ],
	[ 'an identity', qr/^NOT  replica identity: public\.keyless has none: its .*fail\n     -> ALTER TABLE public\.keyless REPLICA IDENTITY FULL/m, @here, '-o', 'publication_names=bad' ],
	[ 'an identity of another', qr/^ok   publication odd, "names: 1 table\n(?:.*\n)*?NOT  replica identity: public\.keyless/m, @here, '-o', 'publication_names=good, "odd, ""names"' ],
	[ 'a directory', qr/^NOT  target \S+: there is no directory/m, @here, '--to=file:///nowhere/at/all' ],
	[ 'a receiver', qr/^NOT  target \S+: .*(?:connect|refused)/im, @here, "--to=http://127.0.0.1:$closed/" ],
	[ 'a target of that name', qr/^NOT  target \S+: no target is called "gopher:"/m, @here, '--to=gopher://x' ],
	[ 'what goes on', qr/^NOT  target file:.*\n.*^ok   target stdout/ms, @here, '--to=file:///nowhere', '--to=stdout:' ])
{
	my ($what, $pattern, @arguments) = @$case;

	($code, $out) = check(@arguments);
	is($code, 9, "$what is missing: exit code");
	like($out, $pattern, "$what is missing: the line");
}
SKIP:
{
	skip 'no /dev/full', 1 if !-e '/dev/full';
	IPC::Run::run([ 'pg_outflow', 'check', @here, '-S', 'feed' ], '<', \undef, '>', '/dev/full', '2>', \my $err);
	is(($? >> 8) . " $err", "1 pg_outflow: error: could not write what was found: No space left on device\n", 'a full disk');
}
($code, $out) = check(@here, '-S', 'feed');
is($code, 0, 'a table without a key stops no stream');
like($out, qr/^note replica identity: .*come without a key\n     -> /m, 'but is noted');

SKIP:
{
	skip('this server allows every plugin', 2)
	  if $node->safe_psql('postgres', q{SELECT current_setting('output_plugin_libraries', true) IS NULL}) eq 't';
	$node->safe_psql('postgres', 'ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding');
	$node->reload;
	$node->poll_query_until('postgres', q{SELECT current_setting('output_plugin_libraries') !~ 'outflow'});
	($code, $out) = check(@here);
	is($code, 9, 'a plugin that is not allowed: exit code');
	like($out, qr/^NOT  output_plugin_libraries: .*\n     -> ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, outflow;/m, 'and the fix');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET output_plugin_libraries');
	$node->reload;
}

# the configuration file of a stream
append_to_file("$dir/conf", 'dbname = ' . $node->connstr('postgres') . "\nslot = feed\nto = stdout:\nfile-rotate-age = 1min\nformat = parquet\n");
($code, $out) = check('-c', "$dir/conf");
is($code, 0, 'a configuration file') or diag($out);
like($out, qr/^ok   slot feed.*^ok   target stdout/ms, 'is what is checked');
is((check())[0], 2, 'without a database');
is((check(@here, '--resume=1'))[0], 2, 'with an option of another command');
done_testing();
