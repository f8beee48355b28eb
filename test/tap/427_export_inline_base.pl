# Promise: an export in the caller's own transaction (workers => 0) is exact under
# any isolation, whatever is done to the table while it waits; and the files of
# other exports that it refers to stay, though nobody else sees it yet.  A base that
# nobody has named may be gone by then.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('inline', conf => "autovacuum = off\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my (undef, undef, $err) = $node->psql('postgres', $_[0]);

	return $err;
}

# who waits for a table: as who calls an export does, or as who rewrites it
sub waits_for
{
	my ($table, $is_writer) = @_;
	my $comparison = $is_writer ? '=' : '<>';

	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = '$table'::regclass AND NOT granted AND mode $comparison 'AccessExclusiveLock')",
		"a lock of $table");
	return;
}

sub verdicts { return sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($_[0])"); }

sql('CREATE TABLE t AS SELECT g AS id, repeat(md5(g::text), 3) AS note FROM generate_series(1, 3000) AS g');

#
# A table that is rewritten while the export waits for it
#
foreach my $isolation ('read committed', 'repeatable read', 'serializable')
{
	foreach my $format ('csv', 'delta')
	{
		my $name = $isolation =~ s/ /_/r . "_$format";
		sql("CALL outflow.export('t', 'file://$dir/$name', format => '$format')");
		my $place = $format eq 'csv' ? "$dir/$name-next" : "$dir/$name";
		my $options = $format eq 'csv' ? q(, options => '{"base": "last"}') : '';
		my $holder = $node->background_psql('postgres');

		# the call has looked at the table, and the one who rewrites it is next
		$holder->query_safe("BEGIN; LOCK TABLE outflow.job IN EXCLUSIVE MODE");
		sql("BEGIN; SELECT pg_advisory_xact_lock(4713); PREPARE TRANSACTION 'rewrite'");
		local $ENV{PGOPTIONS} = '-c default_transaction_isolation=' . $isolation =~ s/ /\\ /r;
		my ($session, $said) = start_psql($node, "CALL outflow.export('t', 'file://$place', format => '$format', workers => 0$options)");
		delete $ENV{PGOPTIONS};
		waits_for('outflow.job');
		my ($writer) = start_psql($node, "BEGIN; CREATE TEMP TABLE copy AS TABLE t; TRUNCATE t; INSERT INTO t SELECT id + 1, note FROM copy; "
			  . 'SELECT pg_advisory_xact_lock_shared(4713); COMMIT');
		waits_for('t', 1);
		$holder->query_safe('COMMIT');
		$holder->quit;
		waits_for('t');
		sql("ROLLBACK PREPARED 'rewrite'");
		$_->finish foreach $writer, $session;
		unlike($$said, qr/ERROR/, "$name: the export is done");
		my $job = sql("SELECT max(job) FROM outflow.jobs WHERE destination = 'file://$place'");
		is(sql("SELECT rows FROM outflow.jobs WHERE job = $job"), 3000, "$name: with all rows");
		is(verdicts($job), 'ok', "$name: verified");
		ok(exported_parts($place) eq table_as_csv($node, 't', $dir), "$name: equals COPY") if $format eq 'csv';
	}
}

#
# A base that is removed, or being removed, while the export waits
#
foreach my $case ([ 'csv', '' ], [ 'csv', 'BEGIN; ' ], [ 'delta', '' ])
{
	my ($format, $open) = @$case;
	my $name = 'gone_' . $format . ($open ? '_soon' : '');
	my $old = sql("CALL outflow.export('t', 'file://$dir/$name/a', format => '$format')");
	my $place = "file://$dir/$name/" . ($format eq 'csv' ? 'b' : 'a');
	my $options = $format eq 'csv' ? q(, options => '{"base": "last"}') : '';
	my ($holder, $remover) = map { $node->background_psql('postgres') } 1, 2;

	$holder->query_safe("BEGIN; LOCK TABLE outflow.job IN EXCLUSIVE MODE");
	sql("BEGIN; SELECT pg_advisory_xact_lock(4713); PREPARE TRANSACTION 'hold'");
	my ($session, $said) = start_psql($node, "CALL outflow.export('t', '$place', format => '$format', workers => 0$options)");
	waits_for('outflow.job');
	my ($locker) = start_psql($node, 'BEGIN; LOCK TABLE t; SELECT pg_advisory_xact_lock_shared(4713); COMMIT');
	waits_for('t', 1);
	$holder->query_safe('COMMIT');
	waits_for('t');
	$remover->query_safe("${open}SELECT outflow.forget($old)");
	sql("ROLLBACK PREPARED 'hold'");
	$_->finish foreach $locker, $session;
	$_->quit foreach $holder, $remover;
	like($$said, qr/^(?!.*ERROR).*NOTICE:  no finished export to carry parts over from/s, "$name: the export goes on without it");
	my $job = sql("SELECT max(job) FROM outflow.jobs WHERE destination = '$place'");
	is(sql("SELECT j.state, j.rows, j.parts_carried, w.base FROM outflow.jobs AS j JOIN outflow.job AS w USING (job) WHERE j.job = $job"),
		'done|3000|0|', "$name: all of it is written");
	is(verdicts($job), 'ok', "$name: verified");
}

#
# Others would remove what it refers to
#
my ($first, $second) = map { sql("CALL outflow.export('t', 'file://$dir/n$_', part_size => '64kB')") } 1, 2;
my $parts = sql("SELECT parts_total FROM outflow.jobs WHERE job = $first");

foreach my $attack ('prune', 'overwrite', 'overwrite by a job')
{
	my $name = $attack =~ s/ /_/gr;
	my $replace = qq{'t', 'file://$dir/n1', workers => %d, options => '{"overwrite": true}'};

	hold_exports($node, 3);
	my ($session, $said) = start_psql($node, "CALL outflow.export('t', 'file://$dir/$name', workers => 0, part_size => '64kB', base => $first, "
		  . q{options => '{"carry": "reference"}')});
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event = 'advisory')", 'parts that refer');
	if ($attack eq 'prune')
	{
		my ($code, $out, $err) = $node->psql('postgres', "SELECT job FROM outflow.prune('file://$dir/n', 1)");

		is($out, '', 'prune removes nothing');
		like($err, qr/export job $first stays\nDETAIL:  Another call is at it/, 'prune says why');
	}
	elsif ($attack eq 'overwrite')
	{
		like(error_of('CALL outflow.export(' . sprintf($replace, 0) . ')'), qr/in use by another call/, "$attack: is refused");
	}
	else
	{
		like(error_of('SELECT outflow.export_start(' . sprintf($replace, 1) . ')'), qr/in use by another call/, "$attack: is refused");
	}
	release_exports($node);
	$session->finish;
	unlike($$said, qr/ERROR/, "$attack: the export is done");
	my $job = sql("SELECT max(job) FROM outflow.jobs WHERE destination = 'file://$dir/$name'");
	is(sql("SELECT parts_carried FROM outflow.jobs WHERE job = $job"), $parts, "$attack: all parts were carried");
	is(verdicts($job), 'ok', "$attack: and all files are there");
	sql("SELECT outflow.forget($job)");
}

#
# One that is about to replace them waits
#
sql(<<'EOS');
CREATE FUNCTION waits(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(4713);
	RETURN true;
END $$;
BEGIN;
SELECT pg_advisory_xact_lock(4713);
PREPARE TRANSACTION 'filter';
EOS
hold_publications($node);
my $replacing = sql(qq{SELECT outflow.export_start('t', 'file://$dir/n1', part_size => '64kB', workers => 1, options => '{"overwrite": true}')});
wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4712)", 'the publication');
my ($session, $said) = start_psql($node, "CALL outflow.export('t', 'file://$dir/late', workers => 0, part_size => '64kB', base => $first, "
	  . q{filter => 'waits(id)', options => '{"carry": "reference"}')});
wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4713)", 'who may refer to files');
release_exports($node);
wait_until($node, "SELECT retries > 0 FROM outflow.jobs WHERE job = $replacing", 'another try');
ok(-e "$dir/n1/part-000000.csv", 'the files are there, as long as others may refer to them');
sql("ROLLBACK PREPARED 'filter'");
$session->finish;
unlike($$said, qr/ERROR/, 'which they do');
wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $replacing", 'its end');
is(sql("SELECT state FROM outflow.jobs WHERE job = $replacing"), 'done', 'then they are replaced');
is(verdicts("(SELECT max(job) FROM outflow.jobs WHERE destination = 'file://$dir/late')"), 'ok', 'and both exports are whole');

#
# One that fails leaves nothing, and keeps what it has not made
#
mkdir "$dir/there" or die;
sql('CREATE TABLE u AS SELECT 5 AS id; CREATE ROLE reader LOGIN IN ROLE pg_write_server_files; GRANT SELECT ON t, u TO reader; '
	  . 'ALTER TABLE u ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON u USING (10 / (id - 5) > 0)');
foreach my $format ('csv', 'parquet', 'delta', 'iceberg')
{
	foreach my $call (
		"CALL outflow.export('t', 'file://$dir/there/a/b', format => '$format', workers => 0, filter => '10 / (id - 2000) > 0')",
		"SET ROLE reader; CALL outflow.export_tables('{t,u}', 'file://$dir/there/a/b', format => '$format', workers => 0, options => '{\"row_security\": true}')")
	{
		like(error_of($call), qr/division by zero/, "$format: an export fails");
		ok(!-e "$dir/there/a" && -d "$dir/there", "$format: no directory that it made is left");
		mkdir "$dir/there/a" or die;
		mkdir "$dir/there/a/b" or die;
		like(error_of($call), qr/division by zero/, "$format: it fails where a directory is");
		ok(-d "$dir/there/a/b", "$format: which stays");
		rmdir "$dir/there/a/b" or die "not empty";
		rmdir "$dir/there/a" or die "not empty";
	}
}

# the last thing that it does, when its files have their names
sql(q{CREATE FUNCTION not_done() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not done''; END'; }
	  . q{CREATE TRIGGER not_done BEFORE UPDATE ON outflow.job FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION not_done()});
foreach my $call ("export('t', '%s')", "export_tables('{t,u}', '%s')")
{
	my $store = start_fake_s3();

	sql('DROP SERVER IF EXISTS lake CASCADE; ' . $store->server_sql('lake'));
	foreach my $place ("file://$dir/there/a/b", 'lake:late')
	{
		my $error = error_of('CALL outflow.' . sprintf($call =~ s/\)$/, workers => 0)/r, $place));

		like($error, qr/not done/, "$call, $place: fails at its end");
		unlike($error, qr/WARNING/, "$call, $place: and has taken back");
	}
	ok(!-e "$dir/there/a" && -d "$dir/there", "$call: no file is left");
	is($store->keys('late/'), '', "$call: no object is left");
}

done_testing();
