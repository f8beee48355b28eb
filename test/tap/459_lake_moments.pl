# Promise: the tables of one export to a lake are of one moment, whatever became of
# the export after the first of them had its version.
use strict;
use warnings;

use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_outflow_node('moments');
my $dir = new_export_dir();
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub said_by { return ($node->psql('postgres', $_[0]))[2] }

# the two are always changed together
sub change
{
	$round++;
	return sql("BEGIN; UPDATE a SET v = $round; UPDATE b SET v = $round; COMMIT");
}

# versions(PLACE): of each table's versions, with the jobs that made them
sub versions
{
	my ($place) = @_;

	return map { sql("SELECT string_agg(job || ' ' || snapshot, ', ' ORDER BY job) FROM outflow.lake_versions('file://$place/public.$_')") } qw(a b);
}

sql('CREATE TABLE a AS SELECT i AS id, 0 AS v FROM generate_series(1, 500) AS i; CREATE TABLE b AS TABLE a');

foreach my $format ('delta', 'iceberg')
{
	my $log = $format eq 'delta' ? '_delta_log' : 'metadata';

	# what becomes of the export after it was stopped, and of its place
	foreach my $forget ('', 'BEGIN; SELECT outflow.forget(%d); ROLLBACK')
	{
		foreach my $next ('CALL outflow.resume(%d)', 'the same call')
		{
			my $name = "$format, " . ($forget ? 'forgotten for a moment, ' : '') . ($next =~ /resume/ ? 'resumed' : $next);
			my $place = "$dir/" . $name =~ s/\W+/_/gr;
			my $call = "CALL outflow.export_tables('{a,b}', 'file://$place', format => '$format', workers => 1)";

			sql($call);
			change();
			chmod(0555, "$place/public.b/$log") or die;
			like(said_by($call), qr/ERROR/, "$name: the second table can't have its version");
			chmod(0755, "$place/public.b/$log") or die;
			my $job = sql('SELECT max(job) FROM outflow.jobs');
			my ($first, $second) = versions($place);
			like($first, qr/, $job /, "$name: the first table has it");
			unlike($second, qr/ $job /, "$name: the second has not");
			sql(sprintf($forget, $job)) if $forget;
			change();
			my $said = said_by($next =~ /resume/ ? sprintf($next, $job) : $call);
			if ($forget && $next =~ /resume/)
			{
				like($said, qr/ERROR:  .*export job $job cannot begin anew after it committed a version of table public\.a\n/, "$name: it is refused");
				like($said, qr/HINT:  Forget the job and export again/, "$name: with what helps");
				like(said_by($call), qr/^(?!.*ERROR).*NOTICE:  export job $job is forgotten/s, "$name: as the same call does");
			}
			else
			{
				unlike($said, qr/ERROR/, "$name: it comes to its end");
			}
			($first, $second) = versions($place);
			my ($made) = $forget ? $first =~ /, (\d+) [^,]*$/ : $job;
			my ($of_first, $of_second) = map { /\b$made (\S+?)(,|$)/ ? $1 : 'none' } $first, $second;
			isnt($of_first, 'none', "$name: the first table is of the job that ended");
			is($of_second, $of_first, "$name: and both are of one moment");
			is(sql("SELECT DISTINCT status FROM outflow.verify($made)"), 'ok', "$name: verified");
		}
	}
}

$node->stop;
done_testing();
