# Promise: what a target remembers follows the server through promotions, also those
# within one run; a server that has not seen the last of them is refused, whether the
# client meets it after a restart or amid its run.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $log = "${PostgreSQL::Test::Utils::tmp_check}/533_client_failovers";
my $dir = new_export_dir();
my $first = new_outflow_node('first');

client_setup($first);
create_slot($first, 'feed');
$first->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1)');
my $second = PostgreSQL::Test::Cluster->new('second');

# both, whichever of them runs
my $either = sprintf('host=%s,%s port=%d,%d dbname=postgres', map({ $_->host } $first, $second), map({ $_->port } $first, $second));

sub start_either
{
	return IPC::Run::start([ 'pg_outflow', 'stream', '-d', $either, '-S', 'feed', "--to=file://$dir" ],
		'<', \undef, '>>', "$log.out", '2>>', $log);
}

sub wait_delivered
{
	my ($node) = @_;

	return wait_confirmed($node, 'feed', current_lsn($node));
}

sub remembered
{
	return join(' ', sort { $b <=> $a } slurp_file("$dir/.feed.state") =~ /"timeline":(\d+)/g);
}

my $client = start_either();
wait_delivered($first);
# as a standby that has all of it, its slot included
make_twin($first, $second);
$second->promote;
$second->safe_psql('postgres', 'INSERT INTO t VALUES (2, 2)');
wait_delivered($second);
like(remembered(), qr/^2/, 'a promotion within a run: the target remembers the new timeline');
is(stop_client($client), 0, 'and the client goes on') or diag(slurp_file($log));

$second->safe_psql('postgres', 'INSERT INTO t VALUES (3, 3)');
my ($code, undef, $err) = run_client($second, 'feed', "--to=file://$dir", '--endpos=' . current_lsn($second));
is($code, 0, 'after a restart, too') or diag($err);
is(join(' ', map { /"new":\{"id":(\d+)/ } delivered_lines($dir)), '1 2 3', 'each row is there once');

# the old primary comes back: after a restart, and amid a run
$client = start_either();
wait_delivered($second);
$second->stop;
$first->start;
$first->safe_psql('postgres', 'INSERT INTO t VALUES (4, 4)');
my $confirmed = confirmed_lsn($first, 'feed');
$client->finish;
is($client->result(0), 5, 'the old primary amid a run is refused') or diag(slurp_file($log));
($code, undef, $err) = run_client($first, 'feed', "--to=file://$dir", '--endpos=' . current_lsn($first));
is($code, 5, 'and after a restart');
like($err, qr/timeline 1, and timeline 2 was streamed before/, 'with the reason');
is(confirmed_lsn($first, 'feed'), $confirmed, 'nothing is confirmed');
is(join(' ', map { /"new":\{"id":(\d+)/ } delivered_lines($dir)), '1 2 3', 'and nothing delivered');
done_testing();
