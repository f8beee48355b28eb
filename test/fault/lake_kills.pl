# Promise: wherever the making of a version is killed, the versions of before stay
# what they were, and the version is there whole or not at all; the same call again,
# another one, resume, and forget with another export, end with one that is exact,
# and no file is left that no version has.
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

my %points = (
	delta => [qw(file-write:2 file-rename:2 plan-commit checkpoint-commit:2 checkpoint-committed:2 part-carried:2
		publish-part:2 publish-clean done-commit lake-commit lake-committed lake-checkpoint lake-checkpointed)],
	iceberg => [qw(publish-part:2 lake-manifest lake-commit lake-committed lake-settle publish-clean done-commit)]);
my $node = new_outflow_node('kills', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my ($format, $lake, $export);
my $round = 0;

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

	versions_are('plain', $lake, "$dir/kept_$format", [ ($last > 3 ? $last - 3 : 0) .. $last ], "$name: the versions are what they were");
	is_deeply([ files_of_versions($lake) ], [ lake_files($lake) ], "$name: each file is a version's");
	# but what spares the next job the reading of the log
	is_deeply([ grep { /outflow/ && $_ ne '_delta_log/_outflow_state' } files_below($lake) ], [], "$name: nothing is left over");
	return if $format ne 'iceberg';
	is_deeply([ grep { /\.avro$/ } files_below($lake) ], [ sort map { "metadata/$_" } iceberg_manifests($lake) ], "$name: nor a manifest");
	is(slurp_file("$lake/metadata/version-hint.text"), iceberg_number($lake), "$name: the hint names the last metadata");
	return;
}

# keep(VERSION): the table is what that version is to be
sub keep
{
	my ($version) = @_;

	keep_rows($node, 'id, note) FROM t', "$dir/kept_$format/$version");
	return;
}

# kills_of_format(): a kill at each step
sub kills_of_format
{
	mkdir("$dir/kept_$format");
	is(call($node, $export), '', "$format: the first version");
	keep(0);
	foreach my $workers (', workers => 1', ', workers => 0')
	{
		foreach my $action ('crash', 'error')
		{
			foreach my $point (@{ $points{$format} })
			{
				my $name = "$format $point $action$workers";
				my $last;

				# what only background workers do
				next if $workers =~ /0/ && $point =~ /committed:|plan-commit|part-carried|done-commit/;
				$round++;
				# a tenth version comes next
				while ($point =~ /checkpoint/ && $point =~ /^lake/ && (lake_last($lake) + 1) % 10)
				{
					keep(lake_last($lake) + 1);
					call($node, $export);
				}
				$last = lake_last($lake);
				$node->safe_psql('postgres', "UPDATE t SET note = '$round' || right(note, 90) WHERE id IN ($round, 2000 + $round)");
				keep($last + 1);
				arm($node, $point, $action);
				isnt(call($node, $export =~ s/\)$/$workers)/r), '', "$name: it ends");
				revive($node);
				my $now = lake_last($lake);
				my ($job, $state) = split(/\|/, $node->safe_psql('postgres', 'SELECT job, state FROM outflow.jobs ORDER BY job DESC LIMIT 1'));

				ok($now == $last || $now == $last + 1, "$name: at most one more version");
				versions_are('plain', $lake, "$dir/kept_$format", [ $last .. $now ], "$name: which is whole");
				if ($state ne 'done' && $round % 4 == 1)
				{
					is(call($node, "CALL outflow.resume($job)"), '', "$name: resumed");
					is(lake_last($lake), $last + 1, "$name: one version of the job");
					is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"),
						'ok', "$name: which stands verification");
				}
				else
				{
					call($node, "SELECT outflow.forget($job)") if $state ne 'done' && $round % 4 == 3;
					keep($now + 1) if $now > $last;
					# by the same call, which goes on, or by another one
					is(call($node, $round % 4 == 2 ? $export : $export =~ s/\)$/$workers)/r), '', "$name: exported again");
					is(lake_last($lake), $now + 1, "$name: as another version");
					is($node->safe_psql('postgres', q(SELECT count(*) FROM outflow.jobs WHERE state <> 'done')), 0, "$name: no job is left over");
				}
				all_are($name);
			}
		}
	}
	return;
}

# lost_race(): another writer comes between the look at the table and the commit, and one of them has it
sub lost_race
{
	my $last = lake_last($lake);
	my $winner = $format eq 'delta' ? sprintf('%s/_delta_log/%020d.json', $lake, $last + 1)
	  : "$lake/metadata/v" . (iceberg_number($lake) + 1) . '.metadata.json';
	my $text = qq({"commitInfo":{"timestamp":1,"operation":"MERGE","engineInfo":"Other/1"}}\n{"remove":{"path":"x","dataChange":true}}\n);

	if ($format eq 'iceberg')
	{
		my $metadata = iceberg_metadata($lake);

		push @{ $metadata->{snapshots} }, { %{ $metadata->{snapshots}[-1] }, 'snapshot-id' => 77,
			summary => { operation => 'MERGE', 'engine-name' => 'Other/1' } };
		$metadata->{'current-snapshot-id'} = 77;
		$text = JSON::PP::encode_json($metadata);
	}
	arm($node, 'lake-commit', 'sleep');
	my ($session, $said) = start_psql($node, $export);
	wait_until($node, "SELECT publishing FROM outflow.job WHERE job = (SELECT max(job) FROM outflow.job)", 'the publication');
	sleep(10);
	append_to_file($winner, $text);
	$session->finish;
	like($$said, qr/another writer has committed version .*Operation "MERGE" of "Other\/1" has made it/s, "$format: a lost race names the winner");
	is(slurp_file($winner), $text, "$format: whose version stays");
	revive($node);
	$node->safe_psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs');
	unlink($winner);
	all_are("$format: after a lost race");
	return;
}

# one_of_two(): of two tables one is committed: the other gets the same moment, be
# it by the next call, which then makes versions of its own
sub one_of_two
{
	foreach my $again (0 .. 2)
	{
		my $both = "CALL outflow.export_tables(ARRAY['t', 'u']::regclass[], 'file://$dir/both_$format', format => '$format')";

		arm($node, 'lake-committed', 'crash');
		call($node, $both);
		revive($node);
		is(lake_last("$dir/both_$format/public.t"), $again, 'one table has a version');
		is(lake_last("$dir/both_$format/public.u"), $again - 1, 'and the other none yet');
		$node->safe_psql('postgres', 'UPDATE u SET id = id + 1; DELETE FROM t WHERE id > 3000');
		is(call($node, $again == 2 ? $both : 'CALL outflow.resume(' . $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs') . ')'), '', 'resumed');
		is(lake_last("$dir/both_$format/public.$_"), $again + ($again == 2), "both have it: $_") foreach qw(t u);
		my @snapshots = map {
			$node->safe_psql('postgres', "SELECT snapshot FROM outflow.lake_versions('file://$dir/both_$format/public.$_') ORDER BY committed DESC LIMIT 1")
		} qw(t u);
		is($snapshots[0], $snapshots[1], "$format: of one snapshot");
	}
	return;
}

# vacuum_kills(): versions that stay are what they were, wherever a vacuum ends
sub vacuum_kills
{
	$format = 'iceberg';
	$lake = "$dir/vacuum";
	mkdir("$dir/kept_vacuum");
	$export = "CALL outflow.export('t', 'file://$lake', format => '$format', part_size => '64kB')";
	foreach my $point (qw(lake-expired lake-settle lake-vacuum:1 lake-vacuum:3 lake-vacuum:8))
	{
		my $last;

		foreach (0 .. 2)
		{
			$node->safe_psql('postgres', 'UPDATE t SET note = note WHERE id % 1000 = 0');
			is(call($node, $export), '', "a version before $point");
		}
		$last = lake_last($lake);
		keep_rows($node, 'id, note) FROM t', "$dir/kept_vacuum/$last");
		arm($node, $point, 'crash');
		isnt(call($node, "SELECT outflow.lake_vacuum('file://$lake', interval '0')"), '', "$point: the vacuum is killed");
		revive($node);
		# whichever comes next mends it
		is(call($node, $export), '', "$point: a version after") if $point =~ /expired|:3/;
		keep_rows($node, 'id, note) FROM t', "$dir/kept_vacuum/" . lake_last($lake)) if lake_last($lake) > $last;
		is(call($node, "SELECT outflow.lake_vacuum('file://$lake', interval '0')"), '', "$point: vacuumed again");
		versions_are('plain', $lake, "$dir/kept_vacuum", [ lake_last($lake) ], "$point: the last version is what it was");
		is_deeply([ map { m{([^/]+)$} } sort { $a cmp $b } iceberg_files($lake, lake_last($lake)) ], [ lake_files($lake) ], "$point: and has all files that are left");
		is_deeply([ grep { /\.avro$/ } files_below($lake) ], [ sort map { "metadata/$_" } iceberg_manifests($lake) ], "$point: and manifests");
		is_deeply([ grep { /outflow/ } files_below($lake) ], [], "$point: nothing else is left");
	}
	return;
}

foreach (qw(iceberg delta))
{
	$format = $_;
	$lake = "$dir/$format";
	$export = "CALL outflow.export('t', 'file://$lake', format => '$format', part_size => '64kB')";
	kills_of_format();
	lost_race();
	one_of_two();
}
vacuum_kills();

$node->stop;
done_testing();
