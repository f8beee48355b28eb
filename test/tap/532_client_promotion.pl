# Promise: after a promotion a stream goes on, by its memory, if the new timeline holds
# all that it had received; if the old primary had gone on without its standby, the
# stream is refused, and nothing is confirmed or delivered of a history that differs.
use strict;
use warnings;

use ClientTest;
use File::Copy qw(copy);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $first = new_outflow_node('first');
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
$first->stop;
$first->backup_fs_cold('copy');
my $second = PostgreSQL::Test::Cluster->new('second');
$second->init_from_backup($first, 'copy');
$second->set_standby_mode;
$second->start;

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
done_testing();
