# Promise: of two databases that begin to export to one lake table at the same
# moment at most one has it, whole; the other one is told why not, and leaves nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('writers', conf => "autovacuum = off\n");
my @databases = qw(postgres second);
my $told = qr/another export is writing|another writer has committed|is not of an export of table|is not empty|is in use/;
my $dir = new_export_dir();

$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION outflow');
$node->safe_psql($databases[$_], "CREATE TABLE t AS SELECT i AS id, $_ AS database FROM generate_series(1, 3000) i") foreach (0, 1);

# export(LAKE, FORMAT)
sub export
{
	my ($lake, $format) = @_;

	return "CALL outflow.export('t', 'file://$lake', format => '$format', part_size => '64kB')";
}

# forget_all(DATABASE): the jobs that failed
sub forget_all
{
	my ($database) = @_;

	return $node->safe_psql($database, q(SELECT outflow.forget(job) FROM outflow.jobs WHERE state <> 'done'));
}

# at_once(LAKE, FORMAT): which of them has exported
sub at_once
{
	my ($lake, $format) = @_;
	my @sessions = map { [ start_psql($node, export($lake, $format), $_) ] } @databases;
	my @won;

	foreach my $number (0, 1)
	{
		my ($session, $said) = @{ $sessions[$number] };

		$session->finish;
		push @won, $number if $$said !~ /ERROR/;
		like($$said, $told, "$format: the other one is told why") if $$said =~ /ERROR/;
	}
	return @won;
}

my %first;

foreach my $format (qw(delta iceberg))
{
	foreach my $round (1 .. 5)
	{
		my $lake = "$dir/$format$round";
		my @won = at_once($lake, $format);

		cmp_ok(scalar @won, '<=', 1, "$format: not both have the table");
		is(lake_last($lake), scalar(@won) - 1, "$format: it has as many versions");
		forget_all($_) foreach @databases;
		next if !@won;
		mkdir("$dir/kept_$format$round");
		keep_rows($node, "id, $won[0]) FROM t", "$dir/kept_$format$round/0");
		versions_are('plain', $lake, "$dir/kept_$format$round", [0], "$format: which is the winner's");
		is(scalar(() = lake_files($lake)), $node->safe_psql($databases[ $won[0] ],
				'SELECT count(*) FROM outflow.parts WHERE job = (SELECT max(job) FROM outflow.jobs)'),
			"$format: and nothing of the other one is left");
		is(scalar(grep { /outflow-/ } files_below($lake)), 0, "$format: nothing hidden either");
		$first{$format} //= [ $lake, $databases[ $won[0] ], $databases[ 1 - $won[0] ] ];
	}
	# the loser later, and the winner again
	if (!$first{$format})
	{
		$first{$format} = [ "$dir/$format", @databases ];
		$node->safe_psql('postgres', export("$dir/$format", $format));
	}
	my ($lake, $winner, $loser) = @{ $first{$format} };
	my (undef, undef, $said) = $node->psql($loser, export($lake, $format));
	like($said, qr/version \d+ of the \w+ table in ".*" is not of an export of table public\.t.*It is of export job \d+ of another database/s,
		"$format: the winner is named");
	is($node->psql($winner, export($lake, $format)), 0, "$format: and goes on");
	is(lake_last($lake), 1, "$format: with its next version");
}

$node->stop;
done_testing();
