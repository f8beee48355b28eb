# Promise: wherever an export of a query is killed, no file shows that is not whole,
# and forgetting the job leaves nothing; wherever it has an error, nothing is left at
# all. Called again, it is exact.
use strict;
use warnings;

use FailpointTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @points = qw(file-write:3 file-fsync:3 file-rename:3 file-directory-fsync:3
  query-written publish-part:3 publish-success publish-clean);

my $node = new_outflow_node('query');
my $export = new_export_dir();
my $last = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

need_failpoints($node);
sql(q{CREATE TABLE t AS SELECT i, repeat('q', 90) AS note FROM generate_series(1, 8000) i});
sql("COPY (SELECT * FROM t ORDER BY i DESC) TO '$export/copy' CSV");

foreach my $action ('crash', 'error')
{
	foreach my $point (@points)
	{
		my $directory = "$export/e" . ++$last;
		my $export_it = "CALL outflow.export_query('SELECT * FROM t ORDER BY i DESC', 'file://$directory', part_size => '64kB')";
		my $name = "$point $action";
		my ($err, $jobs);

		arm($node, $point, $action);
		$err = call($node, $export_it);
		revive($node);
		isnt($err, '', "$name: the call ends");
		$jobs = sql("SELECT string_agg(state, ' ') FROM outflow.jobs WHERE state <> 'done'");
		is($jobs, $action eq 'crash' ? 'interrupted' : '', "$name: what is left of the job");
		ok(!-e "$directory/_SUCCESS" || $point eq 'publish-clean', "$name: it does not look finished");
		sql("SELECT outflow.forget(job) FROM outflow.jobs WHERE state <> 'done'");
		is(-d $directory ? join(' ', files_below($directory)) : '', '', "$name: no file is left");

		is(call($node, $export_it) =~ s/^\d+\n//r, '', "$name: called again");
		ok(exported_parts($directory) eq slurp_file("$export/copy"), "$name: it is exact");
		is(sql("SELECT string_agg(DISTINCT v.status, ' ') FROM (SELECT max(job) AS job FROM outflow.jobs) AS j, outflow.verify(j.job) AS v"),
			'ok', "$name: the files stand verification");
	}
}

# Between the end of what failed and the end of its record others remove the
# extension, or are about to.
foreach my $end ('COMMIT', 'ROLLBACK')
{
	my ($call, $said, $drop, $dropped);

	arm($node, 'query-failed', 'sleep');
	($call, $said) = start_psql($node, "CALL outflow.export_query('SELECT 1 / i FROM generate_series(-9000, 9000) i', 'file://$export/failed')");
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL%' AND xact_start < clock_timestamp() - interval '1 s')", 'the failed query');
	($drop, $dropped) = start_psql($node, "BEGIN; DROP EXTENSION outflow; SELECT pg_advisory_lock(7); SELECT pg_sleep(CASE '$end' WHEN 'COMMIT' THEN 0 ELSE 90 END); $end");
	wait_until($node, $end eq 'COMMIT' ? "SELECT NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'outflow')"
		: "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 7)", 'what removes the extension');
	$_->finish foreach $call, $drop;
	like($$said, qr/ERROR:  division by zero/, "$end of DROP EXTENSION: the query's own error shows");
	revive($node);
	if ($end eq 'COMMIT')
	{
		unlike($$said, qr/NOTICE/, "$end of DROP EXTENSION: there is nothing to tell");
		sql('CREATE EXTENSION outflow');
	}
	else
	{
		like($$said, qr/NOTICE:  export job \d+ is interrupted\n.*forget\(\d+\)/, "$end of DROP EXTENSION: what to do is told");
		sql("SELECT outflow.forget(job) FROM outflow.jobs WHERE state <> 'done'");
	}
	is(join(' ', files_below("$export/failed")), '', "$end of DROP EXTENSION: no file is left");
}

done_testing();
