# Promise: a target that stores its position is not taken for one that has what a new
# primary committed: what it got of a history that the server left, or has lost, is
# refused with the gap and the way back, and nothing is confirmed or passed over.
use strict;
use warnings;

use ClientTest;
use File::Copy qw(copy);
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;

my $state = "${PostgreSQL::Test::Utils::tmp_check}/535.state";
my $log = "${PostgreSQL::Test::Utils::tmp_check}/535_client_target_ahead";
my $first = new_outflow_node('first', conf => "autovacuum = off\n");
my $target = new_target();

$_->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, n text)') foreach $first, $target;
create_slot($first, 'feed');
$first->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1)');

sub there { return $target->safe_psql('postgres', $_[0]); }

# run(NODE, ARGUMENT...): exit code, small ids in the target, stderr
sub run
{
	my ($node, @more) = @_;
	my ($code, undef, $err) = run_client($node, 'feed', '--to', target_url($target), '--endpos=' . current_lsn($node), @more);

	return ($code, there(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM t WHERE id < 100}), $err);
}

# refused(WHAT, PATTERN, NODE, ARGUMENT...)
sub refused
{
	my ($what, $pattern, $node, @more) = @_;
	my $slot = confirmed_lsn($node, 'feed');
	my ($code, $rows, $err) = run($node, @more);

	is("$code: $rows", '5: 1 2', "$what: refused");
	like($err, $pattern, "$what: the reason");
	unlike($err, qr/going on/, "$what: nothing else is said");
	is(confirmed_lsn($node, 'feed'), $slot, "$what: nothing is confirmed");
	return $err;
}

my ($code, $rows, $err) = run($first, "--state=$state");
is("$code: $rows", '0: 1', 'the primary') or diag($err);
is(there('SELECT timeline FROM outflow_client.position'), '1', 'the timeline is stored with the position');

# a standby that has all of it, its slot included; the old primary goes on alone
my $second = PostgreSQL::Test::Cluster->new('second');
make_twin($first, $second);
copy($state, "$state.behind") or die;
$first->start;
$first->safe_psql('postgres', 'INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1000, 9000) AS g; INSERT INTO t VALUES (2, 2)');
($code, $rows, $err) = run($first, "--state=$state");
is("$code: $rows", '0: 1 2', 'the primary, whose standby is behind') or diag($err);
# as the client writes it: from 19 on the server writes more zeros
my $reached = there('SELECT lsn FROM outflow_client.position') =~ s{/0+}{/}r;

$first->stop;
$second->promote;
$second->safe_psql('postgres', 'INSERT INTO t VALUES (3, 3)');

# ---- the new primary's WAL ends before that
my $left = qr{has changes up to $reached, and the server is on timeline 2, which left timeline 1 at ([0-9A-F]+/[0-9A-F]+)};
refused('without a memory', $left, $second);
# as a client leaves it that died between the target's COMMIT and its own memory
copy("$state.behind", "$state.1") or die;
refused('with a memory of before', $left, $second, "--state=$state.1");
there('UPDATE outflow_client.position SET timeline = NULL');
refused('of no timeline, with that memory', $left, $second, "--state=$state.1");
refused('of no timeline', qr{has changes up to $reached, and the server's WAL ends at }, $second);

# ---- and after that
$second->safe_psql('postgres', 'SELECT pg_switch_wal()');
$second->safe_psql('postgres', 'INSERT INTO t VALUES (4, 4)');
cmp_ok(lsn_number(current_lsn($second)), '>', lsn_number($reached), 'the new primary goes past that position');
refused('of no timeline, with a memory of before', $left, $second, "--state=$state.1");
there('UPDATE outflow_client.position SET timeline = 1');
$err = refused('without a memory, later', $left, $second);

# ---- the way back that the message names
like($err, qr/export_publication\(\).*of another name than "feed".*--after-job/, 'the way back is named');
my ($shared) = $err =~ m{set the position in outflow_client\.position to ([0-9A-F]+/[0-9A-F]+)};
there("UPDATE outflow_client.position SET lsn = '$shared'");
($code, $rows, $err) = run($second);
is("$code: $rows", '0: 1 2 3 4', 'the difference is accepted: what the new primary committed comes') or diag($err);
like($err, qr/streaming slot/, 'it streams');
is(there('SELECT timeline FROM outflow_client.position'), '2', 'and the timeline is the new one');

# ---- the old primary again
$second->stop;
$first->start;
my $slot = confirmed_lsn($first, 'feed');
($code, $rows, $err) = run($first);
is("$code: $rows", '5: 1 2 3 4', 'the old primary is refused');
like($err, qr/has changes of timeline 2, and the server is on timeline 1/, 'with the reason');
is(confirmed_lsn($first, 'feed'), $slot, 'and nothing is confirmed');
$first->stop;
$second->start;

# ---- a promotion within a run
my $third = PostgreSQL::Test::Cluster->new('third');
my $either = sprintf('host=%s,%s port=%d,%d dbname=postgres', map({ $_->host } $second, $third), map({ $_->port } $second, $third));
my $client = IPC::Run::start([ 'pg_outflow', 'stream', '-d', $either, '-S', 'feed', '--to', target_url($target) ],
	'<', \undef, '>>', "$log.out", '2>>', $log);
wait_confirmed($second, 'feed', current_lsn($second));
make_twin($second, $third);
$third->promote;
$third->safe_psql('postgres', 'INSERT INTO t VALUES (5, 5)');
wait_until($target, 'SELECT timeline = 3 FROM outflow_client.position', 'the timeline of a promotion within a run');
is(stop_client($client), 0, 'the client goes on') or diag(slurp_file($log));
is(there(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM t WHERE id < 100}), '1 2 3 4 5', 'with each row');

# ---- a table of positions that was made without the timeline
there('ALTER TABLE outflow_client.position DROP COLUMN timeline');
my $dump = $target->background_psql('postgres');
$dump->query_safe('BEGIN; LOCK TABLE outflow_client.position IN ACCESS SHARE MODE');
($code, undef, $err) = run($third);
is($code, 0, 'a table without the column that somebody reads') or diag($err);
like($err, qr/lock timeout.*outflow_client\.position gets no timeline for now/s, 'stays so');
$dump->quit;
$third->safe_psql('postgres', 'INSERT INTO t VALUES (6, 6)');
($code, $rows, $err) = run($third);
is("$code: $rows", '0: 1 2 3 4 5 6', 'a table without the column') or diag($err);
is(there('SELECT timeline FROM outflow_client.position'), '3', 'gets it');
there('ALTER TABLE outflow_client.position DROP COLUMN timeline; CREATE ROLE plain LOGIN; GRANT ALL ON t TO plain; '
	  . 'GRANT SET ON PARAMETER session_replication_role TO plain; GRANT USAGE ON SCHEMA outflow_client TO plain; '
	  . 'GRANT SELECT, INSERT, UPDATE ON outflow_client.position TO plain');
$third->safe_psql('postgres', 'INSERT INTO t VALUES (7, 7)');
($code, undef, $err) = run_client($third, 'feed', '--to', target_url($target, '&user=plain'), '--endpos=' . current_lsn($third));
is($code, 0, 'by a role that may not add it') or diag($err);
is(there('SELECT id FROM t WHERE id = 7'), '7', 'it is done without');
done_testing();
