# Promise: check_destination leaves nothing behind, removes nothing that is not
# its own, and writes nothing where nothing may be written.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('leaves');
my $dir = new_export_dir();

# steps(PLACE, BEFORE): which went well
sub steps
{
	my ($place, $before) = @_;

	return $node->safe_psql('postgres', ($before // '')
		  . "SELECT string_agg(concat(step, ' ', ok), ', ') FROM outflow.check_destination('file://$place')");
}

my $fine = 'reach t, write t, list t, read t, remove t';

is(steps("$dir/a/b/c"), $fine, 'directories that are not there: the trial is fine');
ok(!-e "$dir/a", 'directories that are not there: none is left');

mkdir "$dir/here" or die;
is(steps("$dir/here"), $fine, 'an empty directory: the trial is fine');
ok(-d "$dir/here", 'an empty directory: it stays');
is(steps("$dir/here/below/it"), $fine, 'below an empty directory: the trial is fine');
is(join(' ', files_below("$dir/here")), '', 'below an empty directory: nothing is left');
ok(-d "$dir/here" && !-e "$dir/here/below", 'below an empty directory: which stays');

# somebody else uses what the trial made
$node->safe_psql('postgres', <<"EOS");
SELECT outflow_internal.preflight_destination('file://$dir/shared/deep', 'write', '_outflow_check_1');
\\! touch $dir/shared/other
SELECT outflow_internal.preflight_destination('file://$dir/shared/deep', 'remove', '_outflow_check_1');
EOS
is(join(' ', files_below("$dir/shared")), 'other', 'a directory that is in use by now stays');
ok(!-e "$dir/shared/deep", '... with all that the trial did not make');
mkdir "$dir/mine" or die;
$node->safe_psql('postgres', "SELECT outflow_internal.preflight_destination('file://$dir/mine', 'remove', '_outflow_check_2')");
ok(-d "$dir/mine", 'nobody removes by it what a trial did not make');

# a trial of the same name, at another place
mkdir "$dir/yours" or die;
mkdir "$dir/yours/empty" or die;
$node->safe_psql('postgres', <<"EOS");
SELECT outflow_internal.preflight_destination('file://$dir/deep/and/deeper', 'write', '_outflow_check_3');
SELECT outflow_internal.preflight_destination('file://$dir/yours/empty', 'remove', '_outflow_check_3');
EOS
ok(-d "$dir/yours/empty", 'nor at another place than the trial\'s');

is(steps("$dir/read/only", "SET default_transaction_read_only = on; "), 'reach t, write f', 'a read-only transaction: nothing is written');
ok(!-e "$dir/read", 'a read-only transaction: and nothing is made');

# who stops waiting for it: at a step after the first, which looks at many files
mkdir "$dir/full" or die;
foreach my $number (1 .. 30000)
{
	symlink('nowhere', "$dir/full/$number") or die;
}
foreach my $place ("$dir/full", "$dir/full/new/place")
{
	# a step that has its time comes next to one that has none left
	foreach my $timeout (map { 4 * $_ } 1 .. 25)
	{
		$node->psql('postgres', "SET statement_timeout = $timeout; SELECT FROM outflow.check_destination('file://$place')");
	}
	is(join(' ', grep { /outflow/ } files_below("$dir/full")), '', 'a cancel leaves no trial');
	ok(!-e "$dir/full/new", '... and no directory');
}

# at the first step, when a store has the trial and has not said so
{
	my $store = start_fake_s3();

	$node->safe_psql('postgres', $store->server_sql('lake', stall_timeout => 3600));
	$store->faults('mute PUT _outflow_check_');
	my ($session, $said) = start_psql($node, q(SELECT FROM outflow.check_destination('lake:tried')));
	foreach my $try (1 .. 1800)
	{
		last if $store->keys('tried/') =~ /_outflow_check_/;
		die "not there\n$$said" if $try == 1800;
		Time::HiRes::sleep(0.1);
	}
	$node->safe_psql('postgres', q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT FROM outflow.check'));
	$session->finish;
	like($$said, qr/canceling statement/, 'a store that does not answer: the trial is cancelled');
	is($store->keys('tried/'), '', '... and leaves nothing');
	$store->faults();

	$store->s3('PUT', 'tried/_outflow_check_4', 'mine');
	my (undef, undef, $error) = $node->psql('postgres', q(SELECT outflow_internal.preflight_destination('lake:tried', 'write', '_outflow_check_4')));
	like($error, qr/already exists/, 'a trial of a name that is taken fails');
	is($store->keys('tried/'), 'tried/_outflow_check_4', '... and removes nothing of another one');
}

done_testing();
