# Promise: what an export in its session leaves when its server is killed is in
# nobody's way: the next export to the place removes it and succeeds.  What may
# still be somebody's stays, and so does what a version names.
use strict;
use warnings;

use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('left', conf => "autovacuum = off\nmax_prepared_transactions = 2\n");
my $dir = new_export_dir();
my $told = qr/NOTICE:  what an export had left in ".*" is removed\nDETAIL:  .*\.outflow-/;
my $refused = qr/ERROR:  another export is writing to destination ".*If no server knows it, remove the directory/s;
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said_by { return ($node->psql('postgres', $_[0]))[2]; }
sub hidden { my @found = glob("$_[0]/.outflow-* $_[0]/*/.outflow-*"); return @found; }
sub token { return slurp_file("$_[0]/_owner"); }

sub change
{
	$round++;
	sql("UPDATE t SET note = '$round' WHERE id IN ($round, 2000 + $round)");
	return;
}

# begun(WHEN, CALL): a session that waits when it is to finish that part, or when
# its job's row is to become so
sub begun
{
	my ($when, $call) = @_;
	my $table = $when =~ /^\d+$/ ? 'part' : 'job';

	$when = "NEW.state = 'done' AND NEW.part >= $when" if $table eq 'part';
	sql("CREATE TRIGGER hang BEFORE UPDATE ON outflow.$table FOR EACH ROW WHEN ($when) EXECUTE FUNCTION hang()");
	my ($session, $said) = start_psql($node, $call);
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')", 'the export has come there');
	return ($session, $said);
}

sub goes_on
{
	sql("DROP TRIGGER IF EXISTS hang ON outflow.$_") foreach qw(part job);
	return;
}

# killed(WHEN, CALL): the session is, and with it the server, when the call has come there
sub killed
{
	my ($session) = begun(@_);

	kill('KILL', sql(q(SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep')));
	$session->finish;
	$node->stop('immediate', fail_ok => 1);
	$node->start;
	goes_on();
	return;
}

# is_whole(PLACE, FORMAT, NAME): the last export there is the table
sub is_whole
{
	my ($place, $format, $name) = @_;

	is_deeply([ hidden($place) ], [], "$name: no hidden directory is left");
	is(sql(q(SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify((SELECT max(job) FROM outflow.jobs)))), 'ok', "$name: verified");
	is(sql('SELECT sum(rows) FROM outflow.parts WHERE job = (SELECT max(job) FROM outflow.jobs)'), sql('SELECT count(*) FROM t'), "$name: with all rows");
	ok(exported_parts($place) eq table_as_csv($node, 't', $dir), "$name: which are the table's") if $format eq 'csv';
	return;
}

# lake_is_well(LAKE, KEPT, VERSIONS, NAME)
sub lake_is_well
{
	my ($lake, $kept, $count, $name) = @_;

	is(lake_last($lake), $count - 1, "$name: as many versions as there should be");
	versions_are('plain', $lake, $kept, [ ($count > 2 ? $count - 2 : 0) .. $count - 1 ], "$name: the last ones are what the table was");
	is_deeply([ files_of_versions($lake) ], [ lake_files($lake) ], "$name: each file is a version's");
	is_deeply([ grep { /outflow/ && $_ ne '_delta_log/_outflow_state' } files_below($lake) ], [], "$name: nothing is left over");
	is_deeply([ hidden($lake) ], [], "$name: nor a directory");
	return;
}

sql(<<'EOS');
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(10000); RETURN NEW; END';
CREATE TABLE t AS SELECT i AS id, repeat('f', 90) AS note FROM generate_series(1, 4000) i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 10) i;
CREATE ROLE app LOGIN IN ROLE pg_write_server_files;
CREATE ROLE poor LOGIN;
GRANT SELECT ON t, u TO app, poor;
EOS

# ---- files: whoever comes next, in whichever way

my %next = (
	'workers => 0' => "CALL outflow.export('t', 'file://%s', format => '%s', workers => 0)",
	'workers' => "CALL outflow.export('t', 'file://%s', format => '%s')",
	'export_query' => "CALL outflow.export_query('SELECT * FROM t', 'file://%s', format => '%s')",
	'export_start' => "SELECT outflow.export_start('t', 'file://%s', format => '%s')",
	'repeatable read' => "SET default_transaction_isolation = 'repeatable read'; CALL outflow.export('t', 'file://%s', format => '%s', workers => 0)",
	'serializable' => "SET default_transaction_isolation = 'serializable'; CALL outflow.export('t', 'file://%s', format => '%s')",
	'another role' => "SET ROLE app; CALL outflow.export('t', 'file://%s', format => '%s')");

foreach my $format (qw(csv parquet))
{
	foreach my $way (sort keys %next)
	{
		my $name = "$format, next by $way";
		my $place = "$dir/$format" . $way =~ s/\W+/_/gr;

		killed(1, "CALL outflow.export('t', 'file://$place', format => '$format', part_size => '64kB', workers => 0)");
		is(scalar(hidden($place)), 1, "$name: a hidden directory was left");
		is(sql("SELECT count(*) FROM outflow.jobs WHERE destination = 'file://$place'"), 0, "$name: and no job");
		change();
		my $said = said_by(sprintf($next{$way}, $place, $format));
		unlike($said, qr/ERROR/, "$name: succeeds");
		like($said, $told, "$name: and tells what it removes");
		wait_until($node, q(SELECT count(*) = 0 FROM outflow.jobs WHERE state <> 'done'), 'the job ends') if $way eq 'export_start';
		is_whole($place, $format, $name);
	}
}

# two of them, and none of the place's own files
my $place = "$dir/two";
killed(0, "CALL outflow.export('t', 'file://$place', workers => 0)");
my ($first) = hidden($place);
rename($first, "$dir/.kept");
killed(0, "CALL outflow.export('t', 'file://$place', workers => 0)");
rename("$dir/.kept", $first);
is(scalar(hidden($place)), 2, 'two of them');
unlike(said_by("CALL outflow.export('t', 'file://$place', workers => 0)"), qr/ERROR/, 'two of them: are both removed');
is_whole($place, 'csv', 'two of them');

# ---- what may be somebody's

$place = "$dir/kept";
my $call = "CALL outflow.export('t', 'file://$place', workers => 0)";
killed(0, $call);
my ($hidden) = hidden($place);
my $token = token($hidden);
my ($uuid, $database, $system, $server) = split(/ /, $token, 4);

# stays(NAME, CALL, MESSAGE)
sub stays
{
	my ($name, $by, $message) = @_;
	my @before = files_below($place);

	like(said_by($by // $call), $message // $refused, "$name: refused");
	is_deeply([ files_below($place) ], \@before, "$name: nothing is removed");
	return;
}

my %foreign = (
	'another system' => "$uuid $database " . ($system + 1) . " $server",
	'another database' => "$uuid " . ($database + 1) . " $system $server",
	'a copy of the server' => "$uuid $database $system 1 2.3\n",
	'another job' => "00000000-0000-4000-8000-000000000000 $database $system $server",
	'the beginning of a token' => substr($token, 0, 60),
	'an empty token' => '',
	'more than a token' => "$token$token");
foreach my $whose (sort keys %foreign)
{
	replace_file("$hidden/_owner", $foreign{$whose});
	stays($whose);
}
unlink("$hidden/_owner");
stays('no owner');
mkdir("$hidden/_owner");
stays('an owner that is a directory');
rmdir("$hidden/_owner");
symlink("$dir/token", "$hidden/_owner");
replace_file("$dir/token", $token);
stays('an owner that is a link');
unlink("$hidden/_owner");
replace_file("$hidden/_owner", $token);

rename($hidden, "$dir/elsewhere");
symlink("$dir/elsewhere", $hidden);
stays('a link to a directory');
ok(-f "$dir/elsewhere/_owner", 'a link to a directory: nor what it leads to');
unlink($hidden);
replace_file($hidden, $token);
stays('a file');
unlink($hidden);
my %begun = ('nothing' => undef, 'an empty token' => '', 'the beginning of a token' => substr($token, 0, 60), "another's token" => $foreign{'another system'});

foreach my $what (sort keys %begun)
{
	my $at = "$dir/begun_" . ($what =~ s/\W/_/gr);

	mkdir($at);
	mkdir("$at/.outflow-$uuid");
	replace_file("$at/.outflow-$uuid/_owner", $begun{$what}) if defined $begun{$what};
	chmod(0600, "$at/.outflow-$uuid/_owner");
	my $said = said_by("CALL outflow.export('t', 'file://$at', workers => 0)");
	if ($what =~ /another/) { like($said, $refused, "a directory with $what: refused"); next; }
	unlike($said, qr/ERROR/, "a directory with $what: the next export succeeds");
	is_deeply([ hidden($at) ], [], "... and removes it");
}
foreach my $name ('.outflow-x', '.outflow-' . uc($uuid), ".outflow-$uuid-", '.outflow-' . '-' x 36, '.outflow-check-x')
{
	mkdir("$place/$name");
	replace_file("$place/$name/_owner", $token =~ s/^\S+/$name =~ s{^.outflow-}{}r/er);
	stays("a directory named $name");
	unlink("$place/$name/_owner");
	rmdir("$place/$name");
}
rename("$dir/elsewhere", $hidden);

# who only asks, may not write, or can't
stays('read only', "SET default_transaction_read_only = on; $call", qr/ERROR:  cannot execute outflow.export\S* in a read-only transaction/);
stays('without rights', "SET ROLE poor; $call", qr/ERROR:  permission denied to export to files of the server/);
stays('in a transaction', "BEGIN; $call", qr/ERROR:  CALL outflow.export cannot run inside a transaction block/);
stays('preflight', "SELECT * FROM outflow.preflight()", qr/^(?!.*ERROR)/s);
stays('check_destination', "SELECT * FROM outflow.check_destination('file://$place')", qr/^(?!.*ERROR)/s);
stays('an argument', $call =~ s/'t'/'t', format => 'x'/r, qr/ERROR/);
is(sql(q(SELECT count(*) FROM outflow.jobs WHERE state <> 'done')), 0, 'no job is left');

# a job has it, be it done
my $job = sql(q(SELECT max(job) FROM outflow.jobs));
my $its = sql("SELECT uuid FROM outflow.job WHERE job = $job");
rename($hidden, "$dir/elsewhere");
mkdir("$place/.outflow-$its");
replace_file("$place/.outflow-$its/_owner", $token =~ s/^\S+/$its/r);
stays('a job has it');
sql("SELECT outflow.forget($job)");
unlike(said_by($call), qr/ERROR/, 'none has it any more: removed');
is_whole($place, 'csv', 'a job that is forgotten');

# a job that runs, whose record is committed, in a place that has another name by now
$place = "$dir/runs";
$call = "CALL outflow.export('t', 'file://$place', workers => 0)";
my ($session, $said) = begun(1, "CALL outflow.export('t', 'file://$place', part_size => '64kB', workers => 1)");
stays('a job that runs', $call, qr/ERROR:  destination ".*" is in use by export job/);
rename($place, "$dir/renamed");
$place = "$dir/renamed";
$call = "CALL outflow.export('t', 'file://$place', workers => 0)";
stays('a job that runs, renamed');
# locks are unknown: nobody has locked this one
($hidden) = hidden($place);
replace_file("$hidden/_owner", token($hidden));
stays('a job that runs, renamed, without locks');
rename($place, "$dir/runs");
sql('SELECT outflow.cancel(max(job)) FROM outflow.jobs');
$session->finish;
goes_on();
sql(q(SELECT outflow.forget(job) FROM outflow.jobs WHERE state <> 'done'));

# an export in another session, and a query's
foreach my $live ("CALL outflow.export('t', 'file://%s', part_size => '64kB', workers => 0)", "CALL outflow.export_query('SELECT * FROM t', 'file://%s', part_size => '64kB')")
{
	my ($what) = $live =~ /outflow\.(\w+)/;

	# with locks, and where nobody knows any; under its name, and under another
	foreach my $how ('locked', 'without locks', 'renamed', 'renamed, without locks')
	{
		my $name = "a live $what, $how";

		$place = "$dir/live_$what" . $how =~ s/\W+/_/gr;
		($session, $said) = begun($what eq 'export' ? 1 : q(NEW.publishing AND NOT OLD.publishing), sprintf($live, $place));
		($hidden) = hidden($place);
		replace_file("$hidden/_owner", token($hidden)) if $how =~ /without/;
		rename($place, "$place.other") if $how =~ /renamed/;
		$place .= '.other' if $how =~ /renamed/;
		foreach my $next ('workers => 0', 'export_query', 'export_start')
		{
			stays("$name, $next", sprintf($next{$next}, $place, 'csv'), $what eq 'export' || $how =~ /renamed/ ? $refused : qr/ERROR:  destination ".*" is in use by export job/);
		}
		rename($place, $place =~ s/\.other$//r) if $how =~ /renamed/;
		$place =~ s/\.other$//;
		sql(q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'));
		$session->finish;
		goes_on();
		like($$said, qr/canceling statement/, "$name: it was alive");
		unlike(said_by(sprintf($next{'workers => 0'}, $place, 'csv')), qr/ERROR/, "$name: an export after it");
		is_whole($place, 'csv', $name);
	}
}

# a query's job has a record, which says what is left
$place = "$dir/query";
killed(q(NEW.publishing AND NOT OLD.publishing), "CALL outflow.export_query('SELECT * FROM t', 'file://$place')");
stays('a query that was killed', sprintf($next{export_query}, $place, 'csv'), qr/ERROR:  destination ".*" is in use by export job/);
sql('SELECT outflow.forget(max(job), abandon => true) FROM outflow.jobs');
like(said_by(sprintf($next{export_query}, $place, 'csv')), $told, 'a query that was killed, and its record abandoned');
is_whole($place, 'csv', 'a query that was killed');

# ---- lake tables

foreach my $format (qw(delta iceberg))
{
	my $lake = "$dir/$format";
	my $kept = "$dir/kept_$format";
	my $inline = "CALL outflow.export('t', 'file://$lake', format => '$format', part_size => '64kB', workers => 0)";
	my $versions = 0;

	# next_one(NAME): by each way in turn
	my $next_one = sub {
		my ($name) = @_;

		change();
		keep_rows($node, 'id, note) FROM t', "$kept/" . $versions++);
		my $answer = said_by($versions % 2 ? $inline : $inline =~ s/, workers => 0//r);
		unlike($answer, qr/ERROR/, "$format, $name: the next call succeeds");
		like($answer, $told, "$format, $name: and tells what it removes");
		lake_is_well($lake, $kept, $versions, "$format, $name");
		return;
	};

	# published(FILES): some of them have their names, and no version has them; the uuid
	my $published = sub {
		my ($files) = @_;
		my ($its) = hidden($lake);

		rename("$its/$_", "$lake/$_") foreach map { m{([^/]+)$} } glob("$its/$files");
		return $its =~ s/.*\.outflow-//r;
	};

	mkdir($kept);
	killed(2, $inline);
	$published->('part-000000*');
	# the log's folder comes before the log
	mkdir("$lake/_delta_log") if $format eq 'delta';
	$next_one->('files of no version, before the first one');
	foreach my $again (1 .. 2)
	{
		killed(2, $inline);
		$next_one->('while parts are written');

		killed(2, $inline);
		$uuid = $published->('part-*');
		if ($format eq 'iceberg')
		{
			replace_file("$lake/metadata/$uuid-m0.avro", 'x');
			replace_file("$lake/metadata/snap-1-$uuid.avro", 'x');
		}
		cmp_ok(scalar(grep { /$uuid/ } files_below($lake)), '>', 0, "$format: files of no version");
		$next_one->('files of no version');

		if ($format eq 'iceberg' && $again == 1)
		{
			my $passing = "$lake/metadata/8d1e0a52-6f27-4b3e-9d9c-5a0c7e6f1b2d.metadata.json";

			change();
			killed(2, $inline);
			$published->('part-*');
			replace_file($passing, '{}');
			like(said_by($inline), qr/ERROR:  another program may be writing to/, 'beside what may be a commit, an export is refused');
			unlink($passing);
			$next_one->('files of no version beside a commit');
		}

		# its version is there, and its record is not
		my @before = files_of_versions($lake);
		change();
		killed(q(NEW.state = 'done'), $inline);
		keep_rows($node, 'id, note) FROM t', "$kept/" . $versions++);
		lake_is_well($lake, $kept, $versions, "$format, with its version, which");
		# the hidden directory went before
		my ($of) = map { /-([0-9a-f-]{36})\./ } grep { my $file = $_; !grep { $_ eq $file } @before } files_of_versions($lake);
		mkdir("$lake/.outflow-$of");
		replace_file("$lake/.outflow-$of/_owner", $token =~ s/^\S+/$of/r);
		$next_one->('with its version');
	}

	# many tables: one directory, or one in a folder
	my $many = "CALL outflow.export_tables(ARRAY['t', 'u']::regclass[], 'file://$dir/many_$format', format => '$format', part_size => '64kB', workers => 0)";
	my @kept = map { "$dir/kept_${_}_$format" } qw(t u);
	mkdir($_) foreach @kept;
	killed(2, $many);
	($hidden) = hidden("$dir/many_$format");
	mkdir("$dir/many_$format/public.t");
	rename("$hidden/$_", "$dir/many_$format/public.t/$_") foreach map { m{([^/]+)$} } glob("$hidden/part-000000*");
	keep_rows($node, 'id, note) FROM t', "$kept[0]/0");
	keep_rows($node, 'id) FROM u', "$kept[1]/0");
	$said = said_by($many);
	unlike($said, qr/ERROR/, "$format, many: the next call succeeds");
	like($said, $told, "$format, many: and tells what it removes");
	lake_is_well("$dir/many_$format/public.t", $kept[0], 1, "$format, many: t");
	lake_is_well("$dir/many_$format/public.u", $kept[1], 1, "$format, many: u");
	is_deeply([ hidden("$dir/many_$format") ], [], "$format, many: no hidden directory is left");

	my $one = "CALL outflow.export('t', 'file://$dir/many_$format/public.t', format => '$format', part_size => '64kB', workers => 0)";
	change();
	killed(2, $one);
	keep_rows($node, 'id, note) FROM t', "$kept[0]/1");
	keep_rows($node, 'id) FROM u', "$kept[1]/1");
	# alive, it keeps those of the whole away
	unlike(said_by($many =~ s/, workers => 0//r), qr/ERROR/, "$format, one of many: the next call of all succeeds");
	lake_is_well("$dir/many_$format/public.t", $kept[0], 2, "$format, one of many");
	($session, $said) = begun(2, $one);
	like(said_by($many), $refused, "$format, one of many that is alive: refused");
	sql(q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'));
	$session->finish;
	goes_on();

	# many tables, of which the next export has not all, or is another one
	my $call_for = sub { return "CALL outflow.export_tables('{$_[1]}', 'file://$_[0]', format => '$_[2]', part_size => '64kB', workers => 0)"; };
	my $of_it = sub { return join(' ', grep { /$uuid/ && !/\.outflow-/ } files_below($_[0])); };
	my $left_in = sub {
		my ($to) = @_;

		killed(2, $call_for->($to, 't,u', $format));
		my ($its) = hidden($to);
		my @parts = map { m{([^/]+)$} } sort glob("$its/part-*");
		mkdir("$to/public.$_") foreach qw(t u);
		rename("$its/$_", "$to/public." . ($_ eq $parts[-1] ? 'u' : 't') . "/$_") foreach @parts;
		$uuid = $its =~ s/.*\.outflow-//r;
		foreach my $folder ($format eq 'iceberg' ? map { "$to/public.$_/metadata" } qw(t u) : ())
		{
			mkdir($folder);
			replace_file("$folder/$uuid-m0.avro", 'x');
		}
		isnt($of_it->($to), '', "$format, many, $to: files are there");
		return;
	};
	foreach my $next ([ 't', $format ], [ 't', $format eq 'delta' ? 'iceberg' : 'delta' ], [ 't', 'csv' ], [ 't,u', 'csv' ])
	{
		my ($tables, $as) = @$next;
		my $name = "$format, many, next $tables as $as";
		my $to = "$dir/next_${format}_" . "${tables}_$as" =~ s/,//r;

		$left_in->($to);
		my $before = $of_it->("$to/public.u");
		replace_file("$to/public.u/theirs", 'x');
		like(said_by($call_for->($to, $tables, $as)), $refused, "$name, beside what is somebody's: refused");
		is($of_it->("$to/public.u"), $before, "$name, beside what is somebody's: nothing is removed there");
		is(scalar(hidden($to)), 1, "$name, beside what is somebody's: and what tells of it stays");
		unlink("$to/public.u/theirs");
		$said = said_by($call_for->($to, $tables, $as));
		unlike($said, qr/ERROR/, "$name: succeeds");
		like($said, $told, "$name: and tells what it removes");
		is($of_it->($to), '', "$name: all of it");
		is_deeply([ hidden($to) ], [], "$name: and the directory");
		unlike(said_by($call_for->($to, 't,u', $as)), qr/ERROR/, "$name: then all of them") if $as ne 'csv';
	}

	# in folders of tables, and where it has versions
	change();
	$left_in->("$dir/many_$format");
	keep_rows($node, 'id, note) FROM t', "$kept[0]/2");
	unlike(said_by($call_for->("$dir/many_$format", 't', $format)), qr/ERROR/, "$format, beside versions of many: one of them succeeds");
	is($of_it->("$dir/many_$format"), '', "$format, beside versions of many: removes all that no version has");
	lake_is_well("$dir/many_$format/public.t", $kept[0], 3, "$format, beside versions of many: t");
	lake_is_well("$dir/many_$format/public.u", $kept[1], 2, "$format, beside versions of many: u");
	my @before = files_of_versions("$dir/many_$format/public.t");
	change();
	killed(q(NEW.state = 'done'), $call_for->("$dir/many_$format", 't,u', $format));
	keep_rows($node, 'id, note) FROM t', "$kept[0]/3");
	keep_rows($node, 'id) FROM u', "$kept[1]/$_") foreach 2, 3;
	my ($of) = map { /-([0-9a-f-]{36})\./ } grep { my $file = $_; !grep { $_ eq $file } @before } files_of_versions("$dir/many_$format/public.t");
	mkdir("$dir/many_$format/.outflow-$of");
	replace_file("$dir/many_$format/.outflow-$of/_owner", $token =~ s/^\S+/$of/r);
	like(said_by($call_for->("$dir/many_$format", 'u', $format)), $told, "$format, many with versions: the next one removes the directory");
	lake_is_well("$dir/many_$format/public.t", $kept[0], 4, "$format, many with versions: t");
	lake_is_well("$dir/many_$format/public.u", $kept[1], 4, "$format, many with versions: u");

	# what is not sure to be no version's stays
	killed(2, $inline);
	($hidden) = hidden($lake);
	($uuid) = $hidden =~ /\.outflow-(.*)/;
	$published->('part-000000*');
	replace_file("$lake/_outflow_sent_$uuid", (time + 600) * 1000);
	change();
	unlike(said_by($inline), qr/ERROR/, "$format: a version that may still come: the next call succeeds");
	ok(-f "$lake/_outflow_sent_$uuid" && (() = glob("$lake/part-000000-$uuid*")), "$format: and leaves its files");
	is_deeply([ hidden($lake) ], [], "$format: but not the directory");
}

# a first version of which nothing but the metadata was missing, and one of another
# format that is there
killed(2, "CALL outflow.export('t', 'file://$dir/other', format => 'iceberg', part_size => '64kB', workers => 0)");
($hidden) = hidden("$dir/other");
($uuid) = $hidden =~ /\.outflow-(.*)/;
rename("$hidden/$_", "$dir/other/$_") foreach map { m{([^/]+)$} } glob("$hidden/part-000000*");
mkdir("$dir/other/metadata");
replace_file("$dir/other/metadata/snap-1-$uuid.avro", 'x');
replace_file("$dir/other/metadata/v1.metadata.json", '{}');
like(said_by("CALL outflow.export('t', 'file://$dir/other', format => '$_', workers => 0)"), qr/ERROR:  another export is writing/, "$_: what a table of another format may have is not removed") foreach qw(delta csv);
ok((() = glob("$dir/other/part-000000-$uuid*")), '... nor are its files');
unlink("$dir/other/metadata/v1.metadata.json");
unlike(said_by("CALL outflow.export('t', 'file://$dir/other', format => 'iceberg', workers => 0)"), qr/ERROR/, 'a first version whose metadata was missing: the next call succeeds');
is_deeply([ grep { /$uuid/ } glob("$dir/other/* $dir/other/metadata/* $dir/other/.outflow*") ], [], '... and all is removed');

$node->stop;
done_testing();
