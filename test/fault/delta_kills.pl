# Promise: wherever the making of a version is killed, the versions of before stay
# what they were, and the version is there whole or not at all; resume, and forget
# with another export, end with one that is exact, and no file is left that no
# version has.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run ();
use FailpointTest;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @points = qw(file-write:2 file-rename:2 plan-commit checkpoint-commit:2 checkpoint-committed:2 part-carried:2
  publish-part:2 publish-clean done-commit lake-commit lake-committed lake-checkpoint lake-checkpointed);
my $node = new_outflow_node('kills', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my $lake = "$dir/t";

need_failpoints($node);
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t AS SELECT i AS id, repeat('f', 90) AS note FROM generate_series(1, 4000) i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 10) i;
EOC

# all_are(NAME): every version is what it was, and every file some version's
sub all_are
{
	my ($name) = @_;
	my $last = lake_last($lake);
	my %named = map { $_->{path} => 1 } map { @{ delta_version($lake, $_)->{add} } } 0 .. $last;

	versions_are('plain', $lake, $dir, [ ($last > 3 ? $last - 3 : 0) .. $last ], "$name: the versions are what they were");
	is_deeply([ sort keys %named ], [ lake_files($lake) ], "$name: each file is a version's");
	# but what spares the next job the reading of the log
	is_deeply([ grep { /outflow/ && $_ ne '_delta_log/_outflow_state' } files_below($lake) ], [], "$name: nothing is left over");
	return;
}

# an export to $lake
my $export = "CALL outflow.export('t', 'file://$lake', format => 'delta', part_size => '64kB')";
my $round = 0;

is(call($node, $export), '', 'the first version');
keep_rows($node, 'id, note) FROM t', "$dir/0");
foreach my $workers (', workers => 1', ', workers => 0')
{
	foreach my $action ('crash', 'error')
	{
		foreach my $point (@points)
		{
			my $name = "$point $action$workers";
			my $last;

			# what only background workers do
			next if $workers =~ /0/ && ($point =~ /committed:|plan-commit|part-carried|done-commit/ || $action eq 'crash');
			$round++;
			# a tenth version comes next
			while ($point =~ /checkpoint/ && $point =~ /^lake/ && (lake_last($lake) + 1) % 10)
			{
				keep_rows($node, 'id, note) FROM t', "$dir/" . (lake_last($lake) + 1));
				call($node, $export);
			}
			$last = lake_last($lake);
			$node->safe_psql('postgres', "UPDATE t SET note = '$round' || note WHERE id IN ($round, 2000 + $round)");
			keep_rows($node, 'id, note) FROM t', "$dir/" . ($last + 1));
			arm($node, $point, $action);
			isnt(call($node, $export =~ s/\)$/$workers)/r), '', "$name: it ends");
			revive($node);
			my $now = lake_last($lake);
			my ($job, $state) = split(/\|/, $node->safe_psql('postgres', 'SELECT job, state FROM outflow.jobs ORDER BY job DESC LIMIT 1'));

			ok($now == $last || $now == $last + 1, "$name: at most one more version");
			versions_are('plain', $lake, $dir, [ $last .. $now ], "$name: which is whole");
			if ($state ne 'done' && $round % 2)
			{
				is(call($node, "CALL outflow.resume($job)"), '', "$name: resumed");
				is(lake_last($lake), $last + 1, "$name: one version of the job");
				is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"),
					'ok', "$name: which stands verification");
			}
			else
			{
				call($node, "SELECT outflow.forget($job)") if $state ne 'done';
				keep_rows($node, 'id, note) FROM t', "$dir/" . ($now + 1)) if $now > $last;
				is(call($node, $export), '', "$name: exported again");
				is(lake_last($lake), $now + 1, "$name: as another version");
			}
			all_are($name);
		}
	}
}

# another writer between the look at the log and the commit: one of them has it
{
	my $last = lake_last($lake);
	my $winner = sprintf('%s/_delta_log/%020d.json', $lake, $last + 1);

	arm($node, 'lake-commit', 'sleep');
	my ($session, $said) = start_psql($node, $export);
	wait_until($node, "SELECT publishing FROM outflow.job WHERE job = (SELECT max(job) FROM outflow.job)", 'the publication');
	sleep(10);
	append_to_file($winner, qq({"commitInfo":{"timestamp":1,"operation":"MERGE","engineInfo":"Other/1"}}\n{"remove":{"path":"x","dataChange":true}}\n));
	$session->finish;
	like($$said, qr/another writer has committed version .*Operation "MERGE" of "Other\/1" has made it/s, 'a lost race names the winner');
	is(lake_last($lake), $last + 1, 'whose version stays');
	revive($node);
	$node->safe_psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs');
	unlink($winner);
	all_are('after a lost race');
}

# of two tables one is committed: the other gets the same moment
foreach my $again (0, 1)
{
	my $both = "CALL outflow.export_tables(ARRAY['t', 'u']::regclass[], 'file://$dir/both', format => 'delta')";

	arm($node, 'lake-committed', 'crash');
	call($node, $both);
	revive($node);
	is(lake_last("$dir/both/public.t"), $again, 'one table has a version');
	is(lake_last("$dir/both/public.u"), $again - 1, 'and the other none yet');
	$node->safe_psql('postgres', 'UPDATE u SET id = id + 1; DELETE FROM t WHERE id > 3000');
	is(call($node, 'CALL outflow.resume(' . $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs') . ')'), '', 'resumed');
	is(lake_last("$dir/both/public.u"), $again, 'both have it');
	is_deeply(
		[ map { delta_version("$dir/both/public.$_", $again)->{commitInfo}[0]{outflow}{snapshot} } qw(t t) ],
		[ map { delta_version("$dir/both/public.$_", $again)->{commitInfo}[0]{outflow}{snapshot} } qw(u u) ],
		'of one snapshot');
}

$node->stop;
done_testing();
