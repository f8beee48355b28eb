# Promise: a stream goes on from any version of a lake table exactly: the rows of the
# version and what is streamed after its job, or after its snapshot, are the table,
# with nothing lost or twice; also of a version whose job was killed and resumed.
use strict;
use warnings;

use ClientTest;
use KillRounds;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('lake', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my $log = "${PostgreSQL::Test::Utils::tmp_check}/545_client_lake";
my @formats = qw(delta iceberg);

sub sql { return $node->safe_psql('postgres', $_[0]) }

# export_to(FORMAT, MORE)
sub export_to
{
	my ($format, $more) = @_;

	return sql("CALL outflow.export('t', 'file://$dir/$format/t', format => '$format', part_size => '64kB'" . ($more // '') . ')');
}

# goes_on(NAME, ROWS, LINES...): each record finds what it was made of; what it all comes to
sub goes_on
{
	my ($name, $rows, @lines) = @_;
	my %is = map { $_->[0] => $_->[1] } @$rows;
	my ($wrong, $changes) = ('', 0);

	is(scalar keys %is, scalar @$rows, "$name: the version has each row once");
	foreach my $change (grep { defined } map { change_of_json($_) } @lines)
	{
		my ($op, $id, $n) = split(/\|/, $change->{change});
		my $had = $is{$id};

		$changes++;
		$wrong ||= "$change->{change}, where " . ($had // 'nothing') . ' was'
		  if $op eq 'insert' ? defined $had : !defined $had || ($op eq 'update' && $n <= $had);
		if ($op eq 'delete') { delete $is{$id} }
		else { $is{$id} = $n }
	}
	is($wrong, '', "$name: $changes changes have neither a gap nor anything twice");
	is(join("\n", map { "$_|$is{$_}" } sort { $a <=> $b } keys %is), table_rows($node), "$name: they make the table");
	return $changes;
}

client_setup($node);
mkdir "$dir/$_" foreach @formats;
sql('CALL work(50)');

# versions while the table is written; the first one's job makes the slot
my $writer = start_writer($node, 150);
export_to('delta', ", slot => 'feed'");
export_to('iceberg');
foreach my $version (1 .. 2)
{
	# the moments differ
	my $before = sql('SELECT last_value FROM tick');
	wait_until($node, "SELECT last_value > $before + 200 OR NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL work%' AND pid <> pg_backend_pid()) FROM tick", 'changes');
	export_to($_) foreach @formats;
}

# a job that ends where all but its version is there, and one that goes on at another moment
foreach my $format (@formats)
{
	my $publishes = $format eq 'delta';

	if ($publishes) { hold_publications($node) }
	else { hold_exports($node, 3) }
	my ($session) = start_psql($node, "CALL outflow.export('t', 'file://$dir/$format/t', format => '$format', part_size => '64kB')");
	wait_until($node, q(SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid IN (4711, 4712) AND NOT granted)), 'the job is held');
	my ($job, $snapshot) = split(/\|/, sql('SELECT job, snapshot FROM outflow.jobs ORDER BY job DESC LIMIT 1'));
	$node->stop('immediate');
	$session->finish;
	$writer->finish;
	$node->start;
	release_exports($node);
	$writer = start_writer($node, 40);
	sql('CALL work(20)');
	sql("CALL outflow.resume($job)");
	is(sql("SELECT snapshot = '$snapshot' FROM outflow.jobs WHERE job = $job"), $publishes ? 't' : 'f', "$format: a job that was killed goes on");
}
$writer->finish;
sql('CALL work(50)');
my $end = current_lsn($node);

foreach my $format (@formats)
{
	my @versions = map { [ split(/\|/, $_) ] }
	  split(/\n/, sql("SELECT job, snapshot, lsn FROM outflow.lake_versions('file://$dir/$format/t')"));

	is(scalar @versions, 4, "$format: four versions");
	foreach my $version (0 .. $#versions)
	{
		my ($job, $snapshot) = @{ $versions[$version] };
		my @rows = lake_rows("$dir/$format/t", $version);

		is(sql("SELECT snapshot FROM outflow.jobs WHERE job = $job"), $snapshot, "$format: job and version $version are of one snapshot");
		foreach my $after ("--after-job=$job", "--option=after_snapshot=$snapshot")
		{
			sql("SELECT pg_copy_logical_replication_slot('feed', 'from_here')");
			my ($code, $out, $err) = run_client($node, 'from_here', '--to=stdout:', $after, "--endpos=$end");
			is($code, 0, "$format: after version $version, $after") or diag($err);
			cmp_ok(goes_on("$format, version $version, $after", \@rows, split(/\n/, $out)), '>', 100, 'they are many');
			sql("SELECT pg_drop_replication_slot('from_here')");
		}
	}
}

# by a client that is killed, into files that have each record once
my ($job) = split(/\|/, sql("SELECT job FROM outflow.lake_versions('file://$dir/iceberg/t') LIMIT 1"));
mkdir "$dir/files";
my @stream = ('feed', '--to', "file://$dir/files", "--after-job=$job");
my $client = start_client($node, $stream[0], $log, @stream[ 1 .. $#stream ]);
wait_for_line($log, qr/streaming slot "feed"/);
kill_client($client);
my ($code, undef, $err) = run_client($node, @stream, "--endpos=$end");
is($code, 0, 'a client that was killed goes on') or diag($err);
my @lines = delivered_lines("$dir/files");
check_once('the files', @lines);
goes_on('the files', [ lake_rows("$dir/iceberg/t", 0) ], @lines);

$node->stop;
done_testing();
