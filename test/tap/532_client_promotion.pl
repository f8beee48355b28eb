# Promise: after a promotion a stream goes on, by its memory, if the new timeline holds
# all that it had received; if the old primary had gone on without its standby, the
# stream is refused, and nothing is confirmed or delivered of a history that differs.
use strict;
use warnings;

use ClientTest;
use File::Copy qw(copy);
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $first = new_outflow_node('first', conf => "autovacuum = off\n");
my $state = "${PostgreSQL::Test::Utils::tmp_check}/state";

client_setup($first);
create_slot($first, 'feed');
$first->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1)');

# run(NODE, STATE): exit code, ids of the rows, stderr
sub run
{
	my ($node, $file) = @_;
	my ($code, $out, $err) = run_client($node, 'feed', '--to=stdout:', '--state', $file, '--endpos=' . current_lsn($node));

	return ($code, join(' ', $out =~ /"new":\{"id":(\d+)/g), $err);
}

my ($code, $rows, $err) = run($first, $state);
is("$code: $rows", '0: 1', 'the primary') or diag($err);

# a standby that has all of it, its slot included
my $second = PostgreSQL::Test::Cluster->new('second');
make_twin($first, $second);

# the old primary goes on for a while, alone
copy($state, "$state.behind") or die;
$first->start;
$first->safe_psql('postgres', 'INSERT INTO t VALUES (2, 2)');
($code, $rows, $err) = run($first, $state);
# before 17 a restart may forget a position, and what was confirmed comes again
like("$code: $rows", qr/^0: (?:1 )?2$/, 'the primary, whose standby is behind') or diag($err);
$first->stop;
$second->promote;
$second->safe_psql('postgres', 'INSERT INTO t VALUES (3, 3)');
my $slot = confirmed_lsn($second, 'feed');

($code, $rows, $err) = run($second, $state);
is("$code: $rows", '5: ', 'what the new primary never had was received: refused');
like($err, qr/timeline/, 'with the reason');
is(confirmed_lsn($second, 'feed'), $slot, 'and nothing is confirmed');

($code, $rows, $err) = run($second, "$state.behind");
like("$code: $rows", qr/^0: (?:1 )?3$/, 'the new primary has all that was received: it goes on') or diag($err);
($code, $rows, $err) = run($second, "$state.behind");
is("$code: $rows", '0: ', 'and remembers the new timeline') or diag($err);

# a transaction is cut off halfway, and the next standby has all of it but its commit
$second->stop;
$second->backup_fs_cold('copy2');
my $third = PostgreSQL::Test::Cluster->new('third');
$third->init_from_backup($second, 'copy2', has_streaming => 1);
# the client meets it when it is promoted
my $aside = PostgreSQL::Test::Utils::tempdir_short();
$third->append_conf('postgresql.conf', "unix_socket_directories = '$aside'");
$_->start foreach $second, $third;
my $log = "${PostgreSQL::Test::Utils::tmp_check}/532_client_promotion";
my $either = sprintf('host=%s,%s port=%d,%d dbname=postgres', map({ $_->host } $second, $third), map({ $_->port } $second, $third));
my $client = IPC::Run::start(
	[ 'pg_outflow', 'stream', '-d', $either, '-S', 'feed', '--to=http://127.0.0.1:9/', "--state=$state.half", '--queue-bytes=1MB', '--status-interval=1s' ],
	'<', \undef, '>>', "$log.out", '2>>', $log, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
my $session = $second->background_psql('postgres');
$session->query_safe(q{BEGIN; INSERT INTO t SELECT g, g, repeat('x', 1000) FROM generate_series(1000, 40000) AS g});
# writes what is before it
$second->safe_psql('postgres', 'CREATE TABLE other ()');
$second->wait_for_catchup($third, 'flush', current_lsn($second));
$third->stop;
$session->query_safe('COMMIT');
wait_until($second, q{SELECT wait_event = 'WalSenderWriteData' FROM pg_stat_activity WHERE backend_type = 'walsender'}, 'the queue is full');
$session->quit;
$second->stop('immediate');
$third->start;
$third->promote;
$third->append_conf('postgresql.conf', sprintf("unix_socket_directories = '%s'", $third->host));
$third->restart;
$third->safe_psql('postgres', 'INSERT INTO t VALUES (4, 4)');
$client->finish;
is($client->result(0), 5, 'part of a transaction that the new primary never had: refused') or diag(slurp_file($log));
like(slurp_file($log), qr/on timeline 3, which left timeline 2 at .* were received from that/, '... with the reason');
like(slurp_file("$state.half"), qr/"timeline":2\b/, '... and nothing is taken for the new timeline\'s');
done_testing();
