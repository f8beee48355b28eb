# Promise: wherever an export to lake tables was killed, the same call again is all
# that it takes: it succeeds, each version is what the table was, and nothing is left
# over.  What runs, waits or belongs to others is not touched.
use strict;
use warnings;

use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('again', conf => "autovacuum = off\nmax_prepared_transactions = 2\nwal_level = logical\n");
my $dir = new_export_dir();
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# said_by(SQL): with the status, as a server that dies says nothing
sub said_by
{
	my ($status, undef, $said) = $node->psql('postgres', $_[0]);

	return $status < 2 ? $said : "ERROR: $said";
}

sub last_job { return sql('SELECT max(job) FROM outflow.jobs'); }
sub unfinished { return sql(q(SELECT count(*) FROM outflow.jobs WHERE state <> 'done')); }
sub change { $round++; return sql("UPDATE t SET note = '$round' WHERE id IN ($round, 2000 + $round)"); }

sub kill_server
{
	my ($pid) = split(/\n/, slurp_file($node->data_dir . '/postmaster.pid'));

	$node->kill9;
	Time::HiRes::sleep(0.1) while kill(0, $pid);
	$node->stop('immediate', fail_ok => 1);
	foreach my $try (1 .. 60)
	{
		return if $node->start(fail_ok => 1);
		sleep(1);
	}
	die 'the server does not start';
}

# killed(WHEN, CALL, ROLE): the server is, when the call's job is to finish that part,
# or a job's row is to become so
sub killed
{
	my ($when, $call, $role) = @_;
	my $table = $when =~ /^\d+$/ ? 'part' : 'job';

	$when = "NEW.state = 'done' AND NEW.part >= $when" if $table eq 'part';
	sql("CREATE TRIGGER hang BEFORE UPDATE ON outflow.$table FOR EACH ROW WHEN ($when) EXECUTE FUNCTION hang()");
	local $ENV{PGOPTIONS} = "-c role=$role" if $role;
	my ($session) = start_psql($node, $call);
	delete $ENV{PGOPTIONS};
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')", 'the job has come there');
	kill_server();
	$session->finish;
	sql("DROP TRIGGER hang ON outflow.$table");
	return last_job();
}

# all_is_well(LAKE, KEPT, VERSIONS, NAME)
sub all_is_well
{
	my ($lake, $kept, $count, $name) = @_;

	is(lake_last($lake), $count - 1, "$name: as many versions as there should be");
	versions_are('plain', $lake, $kept, [ ($count > 2 ? $count - 2 : 0) .. $count - 1 ], "$name: the last ones are what the table was");
	is_deeply([ files_of_versions($lake) ], [ lake_files($lake) ], "$name: each file is a version's");
	is_deeply([ grep { /outflow/ && $_ ne '_delta_log/_outflow_state' } files_below($lake) ], [], "$name: nothing is left over");
	is(unfinished(), 0, "$name: no job is");
	is(sql('SELECT count(*) FROM pg_replication_slots'), 0, "$name: nor a slot");
	return;
}

sql(<<'EOS');
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(10000); RETURN NEW; END';
CREATE TABLE t AS SELECT i AS id, repeat('f', 90) AS note FROM generate_series(1, 4000) i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 10) i;
CREATE PUBLICATION p FOR TABLE t, u WITH (publish = 'insert');
CREATE ROLE app LOGIN IN ROLE pg_write_server_files;
CREATE ROLE other LOGIN IN ROLE pg_write_server_files;
GRANT SELECT ON t, u TO app, other;
EOS

# where it is killed, and what the next call makes of its job
my @steps = (
	[ q(NEW.state = 'running'), 'queued', 'goes on' ],
	[ 0, 'before its first part', 'goes on' ],
	[ 3, 'between parts', 'goes on' ],
	[ 'NEW.publishing AND NOT OLD.publishing', 'with all parts', 'goes on' ],
	[ q(NEW.state = 'done'), 'with its version', 'finished' ]);

foreach my $format (qw(delta iceberg))
{
	my $lake = "$dir/$format";
	my $kept = "$dir/kept_$format";
	my $arguments = "('t', 'file://$lake', format => '$format', part_size => '64kB')";
	my $versions = 0;

	mkdir($kept);
	foreach my $later (0, 1)
	{
		foreach my $step (@steps)
		{
			my ($hold, $where, $becomes) = @$step;
			my $name = "$format, killed $where" . ($later ? ', by a function' : '');
			my $before = sql('SELECT count(*) FROM outflow.jobs');

			change();
			my $job = killed($hold, $later ? "SELECT outflow.export_start$arguments" : "CALL outflow.export$arguments");
			keep_rows($node, 'id, note) FROM t', "$kept/" . $versions++) if $becomes eq 'finished';
			change();
			keep_rows($node, 'id, note) FROM t', "$kept/" . $versions++);
			my $said = said_by($later ? "SELECT outflow.export_start$arguments" : "CALL outflow.export$arguments");
			unlike($said, qr/ERROR/, "$name: the next call succeeds");
			like($said, $becomes eq 'finished' ? qr/NOTICE:  export job $job is finished/ : qr/NOTICE:  export job $job goes on/, "$name: and names the job");
			wait_until($node, q(SELECT count(*) = 0 FROM outflow.jobs WHERE state <> 'done'), 'the job ends') if $later;
			is(sql('SELECT count(*) FROM outflow.jobs'), $before + ($becomes eq 'finished' ? 2 : 1), "$name: as few jobs as can be");
			all_is_well($lake, $kept, $versions, $name);
		}
	}

	# with other arguments it is not the same job
	foreach my $step (@steps[ 2, 3 ])
	{
		change();
		my $job = killed($step->[0], "CALL outflow.export$arguments");
		keep_rows($node, 'id, note) FROM t', "$kept/" . $versions++);
		my $said = said_by("CALL outflow.export('t', 'file://$lake', format => '$format', part_size => '128kB')");
		unlike($said, qr/ERROR/, "$format: another call succeeds, too");
		like($said, qr/NOTICE:  export job $job is forgotten/, "$format: without the job");
		is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $job"), 0, "$format: which is gone");
		all_is_well($lake, $kept, $versions, "$format, another call after one that was killed $step->[1]");
	}

	# without workers
	change();
	killed(3, "CALL outflow.export$arguments");
	keep_rows($node, 'id, note) FROM t', "$kept/" . $versions++);
	unlike(said_by("CALL outflow.export('t', 'file://$lake', format => '$format', part_size => '64kB', workers => 0)"), qr/ERROR/, "$format: without workers");
	all_is_well($lake, $kept, $versions, "$format, without workers");

	# a transaction that comes to nothing
	change();
	my $job = killed(3, "CALL outflow.export$arguments");
	sql("BEGIN; SELECT outflow.export_start('t', 'file://$lake', format => '$format'); ROLLBACK");
	is(unfinished(), 1, "$format: a call that is rolled back has taken nothing");
	like(said_by("BEGIN; CALL outflow.export$arguments"), qr/ERROR:  CALL outflow.export cannot run inside a transaction block/, "$format: nor has one in a transaction");
	like(said_by("SET default_transaction_read_only = on; CALL outflow.export$arguments"), qr/ERROR:  cannot execute outflow.export\S* in a read-only transaction/, "$format: nor one that may only read");
	like(said_by("CALL outflow.export('u', 'file://$lake', format => '$format')"), qr/ERROR:  version \d+ of the \w+ table in ".*" is not of an export of table public\.u/, "$format: nor one of another table");
	like(said_by("CALL outflow.export('t', 'file://$lake/below', format => '$format')"), qr/ERROR:  destination ".*" is in use by export job $job/, "$format: nor one beside it");
	like(said_by("CALL outflow.export('t', 'file://$lake')"), qr/ERROR:  destination ".*" is in use by export job $job/, "$format: nor one of files");
	like(said_by("SET ROLE other; CALL outflow.export$arguments"), qr/ERROR:  destination ".*" is in use by export job $job/, "$format: nor another role's");
	is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'interrupted', "$format: the job is what it was");
	keep_rows($node, 'id, note) FROM t', "$kept/" . $versions++);
	is(sql("CALL outflow.export$arguments"), $job, "$format: and goes on");
	all_is_well($lake, $kept, $versions, "$format, refused calls");

	# what runs is not touched; of two at once, one goes on
	change();
	$job = killed(3, "CALL outflow.export$arguments");
	hold_exports($node, 3);
	my @sessions = map { [ start_psql($node, "CALL outflow.export$arguments") ] } 0, 1;
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)", 'the job runs');
	like(said_by("CALL outflow.export$arguments"), qr/ERROR:  destination ".*" is in use by export job $job\n/, "$format: a running job is not touched");
	release_exports($node);
	$_->[0]->finish foreach @sessions;
	my @refused = grep { ${ $_->[1] } =~ /ERROR/ } @sessions;
	cmp_ok(scalar(@refused), '<=', 1, "$format: one of two at once succeeds");
	like(${ $_->[1] }, qr/ERROR:  (destination ".*" is in use by|export job $job is (running|being changed))/, "$format: the other one is told why") foreach @refused;
	# the other one may have come when that was over
	keep_rows($node, 'id, note) FROM t', "$kept/" . $versions++) foreach $versions .. lake_last($lake);
	all_is_well($lake, $kept, $versions, "$format, two at once");
	versions_are('plain', $lake, $kept, [ 0 .. $versions - 1 ], "$format: each version is what the table was");

	# somebody who may act for the owner
	change();
	$job = killed(0, "CALL outflow.export('t', 'file://$dir/app_$format', format => '$format')", 'app');
	like(said_by("CALL outflow.export('t', 'file://$dir/app_$format', format => '$format')"), qr/NOTICE:  export job $job is forgotten/, "$format: a superuser takes the owner's place");
	is(lake_last("$dir/app_$format"), 0, "$format: with one version");
	$job = killed(q(NEW.state = 'done'), "CALL outflow.export('t', 'file://$dir/apps_$format', format => '$format')", 'app');
	like(said_by("CALL outflow.export('t', 'file://$dir/apps_$format', format => '$format')"), qr/^(?!.*ERROR).*NOTICE:  export job $job goes on/s, "$format: or has it finished");
	is(lake_last("$dir/apps_$format"), 1, "$format: and has a version besides");

	# many tables, and their slot
	my $many = "'p', 'file://$dir/many_$format', format => '$format', part_size => '64kB', slot => 's_$format'";
	my @kept = map { "$dir/kept_${_}_$format" } qw(t u);
	mkdir($_) foreach @kept;
	$job = killed(3, "CALL outflow.export_publication($many)");
	is(sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 's_$format'"), 1, "$format: the slot was made");
	keep_rows($node, 'id, note) FROM t', "$kept[0]/0");
	keep_rows($node, 'id) FROM u', "$kept[1]/0");
	like(said_by("CALL outflow.export_publication($many)"), qr/NOTICE:  export job $job goes on/, "$format: many tables go on");
	is(sql("SELECT slot FROM outflow.jobs WHERE job = $job AND state = 'done'"), "s_$format", "$format: with their slot");
	sql("SELECT pg_drop_replication_slot('s_$format')");
	all_is_well("$dir/many_$format/public.t", $kept[0], 1, "$format, many: t");
	all_is_well("$dir/many_$format/public.u", $kept[1], 1, "$format, many: u");

	# the slot was made, and all versions: there is no second one of that name
	$job = killed(q(NEW.state = 'done'), "CALL outflow.export_publication(" . $many =~ s/many_/more_/r . ')');
	like(said_by('CALL outflow.export_publication(' . $many =~ s/many_/more_/r . ')'), qr/NOTICE:  export job $job is finished/, "$format: a job with its slot is finished");
	is(last_job(), $job, "$format: and is the one that was asked for");
	sql("SELECT pg_drop_replication_slot('s_$format')");
	like(said_by("CALL outflow.export_publication($many)"), qr/^(?!.*ERROR)/s, "$format: the slot's name is free again");
	sql("SELECT pg_drop_replication_slot('s_$format')");

	# a slot that was lost has to be made again, at another moment
	$job = killed(q(NEW.state = 'done'), 'CALL outflow.export_publication(' . $many =~ s/many_/lost_/r . ')');
	sql("SELECT pg_drop_replication_slot('s_$format')");
	like(said_by('CALL outflow.export_publication(' . $many =~ s/many_/lost_/r . ')'), qr/^(?!.*ERROR).*NOTICE:  export job $job is finished/s, "$format: a job without its slot is finished");
	isnt(last_job(), $job, "$format: but is not the one that was asked for");
	is(sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 's_$format' AND outflow_internal.job_slot(" . last_job() . ", '') = 's_$format'"), 1, "$format: which has its slot");
	sql("SELECT pg_drop_replication_slot('s_$format')");

	# one of them alone: all of the job goes, its slot too
	$job = killed(3, "CALL outflow.export_publication(" . $many =~ s/many_/few_/r . ')');
	like(said_by("CALL outflow.export('t', 'file://$dir/few_$format/public.t', format => '$format')"), qr/NOTICE:  export job $job is forgotten/, "$format: a job of many gives way to one of one");
	mkdir("$dir/few_kept_$format");
	keep_rows($node, 'id, note) FROM t', "$dir/few_kept_$format/0");
	all_is_well("$dir/few_$format/public.t", "$dir/few_kept_$format", 1, "$format, one of many");
	is_deeply([ grep { /public\.u|outflow-/ } files_below("$dir/few_$format") ], [], "$format: nothing of the other table is left");
}

$node->stop;
done_testing();
