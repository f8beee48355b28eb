# Promise: nothing removes a file that a version about to come has kept.  A vacuum
# and an export never are at one place together, whichever names what lies around
# it; and what others have removed is seen before a version names it.
use strict;
use warnings;

use IPC::Run ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $node = new_outflow_node('lake', conf => "autovacuum = off\nmax_prepared_transactions = 2\noutflow.retries = 0\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub error_of { return ($node->psql('postgres', $_[0]))[2]; }

sub options { return "format => '$_[0]'" . ($_[1] ? ", options => '{\"overwrite\": true}'" : ''); }

sql(<<'EOS');
CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 1000) AS i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 10) AS i;
EOS

foreach my $format ('delta', 'iceberg')
{
	my $place = "file://$dir/$format";
	my $vacuum = "SELECT count(*) FROM outflow.lake_vacuum('$place/public.t', '0')";
	my $export = "CALL outflow.export_tables('{t}', '$place', " . options($format) . ')';

	# its file is removed by the second version, and not yet from the disk
	sql($export);
	sql("CALL outflow.export('t', '$place/public.t', filter => 'id < 0', " . options($format, 1) . ')');

	# a vacuum at work
	sql("BEGIN; $vacuum; PREPARE TRANSACTION 'vacuum'");
	like(error_of($export), qr/ERROR:  destination ".*" is in use by another call/, "$format: an export around a vacuum is refused");
	like(error_of($export =~ s/CALL (\w+\.\w+)\(/SELECT $1_start(/r), qr/ERROR:  destination ".*" is in use by another call/, "$format: one that begins later, too");
	is(error_of("CALL outflow.export('u', '$place/other', " . options($format) . ')') =~ s/^NOTICE.*\n?//mgr =~ s/^DETAIL.*\n?//mgr, '', "$format: not one beside it");
	sql("COMMIT PREPARED 'vacuum'");
	sql($export);
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify((SELECT max(job) FROM outflow.jobs))"), 'ok', "$format: afterwards it has all rows");

	# an export at work: a vacuum of what lies in it
	my ($session, $said) = start_psql($node, "BEGIN; SELECT outflow.export_tables_start('{t}', '$place', " . options($format) . '); SELECT pg_sleep(1000)');
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')", 'the transaction');
	like(error_of($vacuum), qr/ERROR:  destination ".*" is in use\nDETAIL:  Another call is at it/, "$format: a vacuum in an export is refused");
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	$session->finish;

	# somebody else removes a file that was carried already
	hold_publications($node);
	my $job = sql("SELECT outflow.export_tables_start('{t}', '$place', " . options($format) . ')');
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712 AND NOT granted)", 'the publication');
	is(sql("SELECT count(location) FROM outflow.part WHERE job = $job AND state = 'done'"), '1', "$format: a part is carried");
	is(unlink(glob("$dir/$format/public.t/*.parquet")) > 0, 1, "$format: its file is removed");
	release_exports($node);
	wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
	like(sql("SELECT state || ' ' || error FROM outflow.jobs WHERE job = $job"), qr/^failed file "public\.t\/\S+" of the last version was removed or changed$/, "$format: no version names it");
	sql("CALL outflow.resume($job)");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', "$format: the next attempt writes its rows");
	is(sql("SELECT sum(rows) FROM outflow.parts WHERE job = $job"), '1000', "$format: all of them");
}

done_testing();
