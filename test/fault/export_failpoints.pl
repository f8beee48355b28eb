# Promise: wherever an export is killed, resume ends with an exact export, its
# files stand verification, and nothing is left over.
#
# Every failpoint is hit, once by kill -9 and once as an error.
use strict;
use warnings;

use File::Path qw(remove_tree);
use FindBin;
use IPC::Run ();
use FailpointTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# those of the first run, and those that only a resumed one comes to
my @first = qw(
  file-write:3 file-fsync:3 file-rename:3 file-directory-fsync:3
  plan-commit checkpoint-commit:2 checkpoint-committed:2 publish-part:3
  publish-success publish-clean done-commit slot-named slot-made
);
my @resumed = qw(part-carried:2);
# those that query_kills.pl and warehouse_kills.pl come to
my @elsewhere = qw(query-written query-failed remote-loaded remote-committed remote-published remote-publish-committed);

# the sources have no failpoint that isn't among them
my %named;
foreach my $file (glob "$FindBin::RealBin/../../src/*.c $FindBin::RealBin/../../src/*/*.c $FindBin::RealBin/../../src/*/*/*.c")
{
	$named{$_} = 1 foreach slurp_file($file) =~ /FAILPOINT\("([^"]+)"\)/g;
}
# those of lake tables and catalogs: lake_kills.pl, catalog_kills.pl
is_deeply([ sort map { s/:.*//r } @first, @resumed, @elsewhere ], [ sort grep { !/^(lake|catalog)-/ } keys %named ], 'every failpoint is in the list');

my $node = new_outflow_node('failpoints');
my $export = new_export_dir();
my $last = 0;

need_failpoints($node);
$node->safe_psql('postgres',
	q{CREATE TABLE t AS SELECT i, repeat('f', 90) AS note FROM generate_series(1, 8000) i; VACUUM t});

sub is_exact
{
	my ($job, $directory, $name) = @_;
	my @files = files_below($directory);

	$node->safe_psql('postgres', "COPY (SELECT * FROM t) TO '$export/copy' CSV");
	ok(slurp_file("$export/copy") eq join('', map { slurp_file("$directory/$_") } grep { /^part/ } @files),
		"$name: the export is exact");
	is_deeply([ grep { !/^(part-\d+\.csv|_manifest\.json|_SUCCESS)$/ } @files ], [], "$name: nothing is left over");
	is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"),
		'ok', "$name: the files stand verification");
	return;
}

foreach my $action ('crash', 'error')
{
	foreach my $point (@first, @resumed)
	{
		my $directory = "$export/e" . ++$last;
		my $slot = $point =~ /^slot/ ? ", slot => 's$last'" : '';
		my $resumed = grep { $_ eq $point } @resumed;
		my $name = "$point $action";
		my $job;
		my $err;

		arm($node, $resumed ? 'checkpoint-commit:5' : $point, $resumed ? 'crash' : $action);
		$err = call($node, "CALL outflow.export('t', 'file://$directory', part_size => '64kB'$slot)");
		revive($node);
		$job = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
		if ($resumed)
		{
			arm($node, $point, $action);
			$err = call($node, "CALL outflow.resume($job)");
			revive($node);
		}
		ok( $err ne '' && $node->safe_psql('postgres',
				"SELECT state IN ('interrupted', 'failed') FROM outflow.jobs WHERE job = $job") eq 't',
			"$name: the failpoint is hit");
		is(call($node, "CALL outflow.resume($job)"), '', "$name: resume ends");
		is_exact($job, $directory, $name);
		is( $node->safe_psql('postgres', "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 's$last'"),
			$slot ? '1' : '0', "$name: the slot is there if asked for");
		$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('s$last')") if $slot;
	}
}

# many tables: each point of their publication, between folders too
$node->safe_psql('postgres', 'CREATE TABLE u AS SELECT i FROM generate_series(1, 2000) i; CREATE TABLE "V/w" (id int)');
my %folders = (t => 'public.t', u => 'public.u', '"V/w"' => 'public.@56@2fw');

sub are_exact
{
	my ($job, $directory, $name) = @_;
	my @files = files_below($directory);

	foreach my $table (sort keys %folders)
	{
		$node->safe_psql('postgres', "COPY (SELECT * FROM $table) TO '$export/copy' CSV");
		ok(slurp_file("$export/copy") eq join('', map { slurp_file("$directory/$_") } grep { m{^\Q$folders{$table}\E/part} } @files),
			"$name: $table is exact");
	}
	is_deeply([ grep { !m{^([\w.@]+/(part-\d+\.csv|_manifest\.json)|_manifest\.json|_SUCCESS)$} } @files ], [],
		"$name: nothing is left over");
	is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"),
		'ok', "$name: the files stand verification");
	return;
}

my $many = q{export_tables(ARRAY['t', 'u', '"V/w"']::regclass[], };

foreach my $action ('crash', 'error')
{
	foreach my $point (qw(checkpoint-commit:4 publish-part:3 publish-part:17 publish-success publish-clean done-commit))
	{
		# whether resume has only to publish, or must take back what it did
		foreach my $damage (0, 1)
		{
			my $directory = "$export/e" . ++$last;
			my $name = "many tables, $point $action" . ($damage ? ', damaged' : '');
			my $job;

			arm($node, $point, $action);
			call($node, "CALL outflow.${many}'file://$directory', part_size => '64kB')");
			revive($node);
			$job = $node->safe_psql('postgres',
				"SELECT job FROM outflow.jobs WHERE destination = 'file://$directory' AND state IN ('interrupted', 'failed')");
			isnt($job, '', "$name: the failpoint is hit");
			if ($damage)
			{
				my ($file) = grep { m{/part-} } files_below($directory);

				unlink("$directory/$file") or die "could not remove \"$directory/$file\": $!";
				$node->safe_psql('postgres', 'UPDATE u SET i = i + 1 WHERE i < 10; INSERT INTO "V/w" VALUES (1)');
			}
			# published to the end: nothing but the job's row proves it ours
			if ($damage && $point eq 'done-commit')
			{
				like(call($node, "CALL outflow.resume($job)"), qr/is not empty/,
					"$name: resume leaves a damaged export to its owner");
				remove_tree($directory);
			}
			is(call($node, "CALL outflow.resume($job)"), '', "$name: resume ends");
			are_exact($job, $directory, $name);
		}
	}
}

# in the session, an error takes back what was published
foreach my $point (qw(publish-part:2 publish-part:17 publish-success))
{
	my $directory = "$export/e" . ++$last;

	arm($node, $point, 'error');
	isnt(call($node, "CALL outflow.${many}'file://$directory', part_size => '64kB', workers => 0)"),
		'', "in the session, $point: the failpoint is hit");
	revive($node);
	opendir(my $handle, $directory) or die "could not open directory \"$directory\": $!";
	is_deeply([ grep { !/^\.\.?$/ } readdir($handle) ], [], "in the session, $point: nothing is left over");
	closedir($handle);
}

done_testing();
