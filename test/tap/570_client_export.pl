# Promise: pg_outflow export makes the same job as CALL outflow.export() with the
# same arguments, shows how far it is, ends it cleanly at Ctrl-C and goes on with
# it, and passes on all that the server says.
use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', conf => "max_prepared_transactions = 5\n");
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my @here = ('-d', $node->connstr('postgres'));

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t (id int PRIMARY KEY, "a,""b\" text);
INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g;
CREATE SCHEMA shop;
CREATE TABLE shop.one AS SELECT 1 AS a;
CREATE TABLE shop.two AS SELECT 2 AS a;
CREATE PUBLICATION feed FOR TABLE t WHERE (id < 10);
CREATE ROLE plain LOGIN;
EOC

# outflow(ARGUMENT...): exit code, stdout, stderr
sub outflow
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', @arguments ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out, $err);
}

sub state_of
{
	my ($job) = @_;

	return $node->safe_psql('postgres', "SELECT state FROM outflow.jobs WHERE job = $job");
}

# the arguments are the procedure's
my $place = new_export_dir();
my ($code, $out, $err) = outflow('export', @here, 't', "file://$place/all", '--format=csv', '--compression', 'gzip:3',
	'--columns', 'id,a\\,"b\\\\', '--filter', 'id <= 100', '--part-size=1MB', '--workers=1', '--slot=own',
	'--options={"header": true, "checksum": "sha256"}');
is($code, 0, 'an export') or diag($err);
like($out, qr/^\d+\n$/, 'stdout is the job\'s number');
chomp(my $job = $out);
is($node->safe_psql('postgres', "SELECT state, rows, format, slot, destination FROM outflow.jobs WHERE job = $job"),
	"done|100|csv|own|file://$place/all", 'with all arguments');
my $manifest = JSON::PP->new->decode(slurp_file("$place/all/_manifest.json"));
is($manifest->{compression}, 'gzip:3', 'compression') or diag(explain($manifest->{compression}));
is(join('/', map { $_->{name} } @{ $manifest->{columns} }), 'id/a,"b\\', 'columns, whatever they are called');
is($manifest->{options}{checksum}, 'sha256', 'options');
like($err, qr/job $job done: \d+ of \d+ parts, 100 rows/, 'plain lines where there is no terminal');
unlike($err, qr/\e|\r/, 'and nothing for a terminal in them');

my $base = $job;
($code, $out, $err) = outflow('export', @here, 't', "file://$place/changed", '--columns=id', "--base=$base");
is($code, 0, 'with a base') or diag($err);

# many tables
foreach my $case (
	[ 'many', [ 'shop.one', 'shop.two' ], [] ],
	[ 'schema', [], ['--schema=shop'] ],
	[ 'publication', [], ['--publication=feed'] ])
{
	my ($name, $sources, $options) = @$case;

	($code, $out, $err) = outflow('export', @here, @$options, @$sources, "file://$place/$name");
	is($code, 0, "$name: exported") or diag($err);
	chomp($job = $out);
	is($node->safe_psql('postgres', "SELECT rows FROM outflow.jobs WHERE job = $job"),
		$name eq 'publication' ? 9 : 2, "$name: its rows");
}

# what the server refuses
($code, $out, $err) = outflow('export', @here, 't', "file://$place/all");
is($code, 3, 'another export is there');
like($err, qr/error: .*\n(?:\tDETAIL: .*\n)?\tHINT:  .*overwrite/, 'with its hint');
is($out, '', 'and no number');
($code, $out, $err) = outflow('export', @here, 'nowhere', "file://$place/x");
is($code, 3, 'no such table');
like($err, qr/relation "nowhere" does not exist/, 'says the server');
($code, $out, $err) = outflow('export', '-d', $node->connstr('postgres') . ' user=plain', 't', "file://$place/x");
is($code, 3, 'no right');
like($err, qr/permission denied for table t/, 'and which one');
($code, $out, $err) = outflow('export', '-d', $node->connstr('nowhere'), 't', "file://$place/x");
is($code, 3, 'no such database');
foreach my $bad (
	[ 'no destination', qr/SOURCE and DESTINATION/, 't' ],
	[ 'too much', qr/takes one argument/, '--schema=shop', 't', 'file:///x' ],
	[ 'a column of many', qr/are of one table/, '--columns=a', 't', 'shop.one', 'file:///x' ],
	[ 'two ways', qr/exclude each other/, '--schema=shop', '--publication=feed', 'file:///x' ],
	[ 'another command\'s option', qr/export has no option "--to"/, '--to=stdout:', 't', 'file:///x' ])
{
	my ($what, $pattern, @arguments) = @$bad;

	($code, $out, $err) = outflow('export', @here, @arguments);
	is($code, 2, "$what: exit code");
	like($err, $pattern, "$what: why");
}
($code, $out, $err) = outflow('export', '--help');
is($code, 0, 'help');
like($out, qr/Usage:.*--part-size=SIZE.*Examples:.*Exit codes:/s, 'is a manual');
unlike($out, qr/--kafka|.{80}/, 'of this command, in lines that fit');

# JSON for programs; a worker at work is counted
hold_exports($node, 1);
my ($json_out, $json_err) = ('', '');
my $run = IPC::Run::start([ 'pg_outflow', 'export', @here, 't', "file://$place/json", '--part-size=1MB', '--progress=json' ],
	'<', \undef, '>', \$json_out, '2>', \$json_err);
foreach my $try (1 .. 1800)
{
	$run->pump_nb;
	last if $json_out =~ /"state":"running".*"workers":[12]/;
	Time::HiRes::sleep(0.1);
}
like($json_out, qr/^\{"job":\d+,"state":"running",.*"workers":[12],/m, 'JSON while it runs');
release_exports($node);
$run->finish;
is($run->result(0), 0, 'JSON: exit code') or diag($json_err);
my @lines = map { JSON::PP->new->decode($_) } split(/\n/, $json_out);
is($lines[-1]{state}, 'done', 'JSON: the last one is the end');
is($lines[-1]{rows}, 20000, 'JSON: with all rows');

# A terminal: a bar, a notice above it, and Ctrl-C
hold_exports($node, 2);
my ($screen, $number) = ('', '');
$run = IPC::Run::start([ 'pg_outflow', 'export', @here, 't', "file://$place/bar", '--part-size=1MB' ],
	'<', \undef, '>', \$number, '2>pty>', \$screen);
foreach my $try (1 .. 1800)
{
	$run->pump_nb;
	last if $screen =~ /[1-9]\d* %/;
	Time::HiRes::sleep(0.1);
}
like($screen, qr/\rjob (\d+) \[#+ *\] +\d+ % [1-9]\d* rows, [\d.]+ MB.*\e\[K/, 'a bar');
($job) = $screen =~ /job (\d+) \[/;
unlike($screen, qr/\[#* *\][^\r]{60}/, 'no wider than the terminal');
$run->signal('INT');
$run->finish;
is($run->result(0), 8, 'Ctrl-C: an exit code of its own');
like($screen, qr/cancelling; once more leaves at once/, 'it says so');
like($screen, qr/export job $job is interrupted/, 'the server\'s notice comes through');
like($screen, qr/--resume $job/, 'and how to go on');
is(state_of($job), 'interrupted', 'the job has stopped');
is($number, '', 'no number of a job that is not done');
release_exports($node);

($code, $out, $err) = outflow('export', @here, "--resume=$job");
is($code, 0, 'resumed') or diag($err);
is($out, "$job\n", 'it is that job');
is(state_of($job), 'done', 'to its end');
like($err, qr/parts carried over/, 'the server\'s word');

# the second Ctrl-C does not wait for a server that does not answer
hold_exports($node, 1);
($screen, $number) = ('', '');
$run = IPC::Run::start([ 'pg_outflow', 'export', @here, 't', "file://$place/twice" ],
	'<', \undef, '>', \$number, '2>pty>', \$screen);
foreach my $try (1 .. 1800)
{
	$run->pump_nb;
	last if $screen =~ /job \d+ \[/;
	Time::HiRes::sleep(0.1);
}
($job) = $screen =~ /job (\d+) \[/;
my $backend = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL outflow.export(%'});
kill('STOP', $backend);
$run->signal('INT');
foreach my $try (1 .. 1800)
{
	$run->pump_nb;
	last if $screen =~ /cancelling/;
	Time::HiRes::sleep(0.1);
}
$run->signal('INT');
$run->finish;
is($run->result(0), 8, 'the second Ctrl-C leaves');
like($screen, qr/left; the server stops/, 'and says what becomes of the job');
kill('CONT', $backend);
$node->poll_query_until('postgres', "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job");
is(state_of($job), 'interrupted', 'the server has noticed');
release_exports($node);

# a session that is ended by the administrator
hold_exports($node, 1);
$run = IPC::Run::start([ 'pg_outflow', 'export', @here, 't', "file://$place/ended", '--progress=json' ],
	'<', \undef, '>', \$json_out, '2>', \$json_err);
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM outflow.jobs WHERE state = 'running')");
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL outflow.export(%'});
$run->finish;
is($run->result(0), 8, 'a session that is ended');
like($json_err, qr/terminating connection due to administrator command/, 'says why');
release_exports($node);

# without a second connection it works, unseen
$node->safe_psql('postgres', 'ALTER ROLE plain CONNECTION LIMIT 1; GRANT pg_write_server_files TO plain; GRANT SELECT ON t TO plain');
($code, $out, $err) = outflow('export', '-d', $node->connstr('postgres') . ' user=plain', 't', "file://$place/alone");
is($code, 0, 'one connection is enough') or diag($err);
like($err, qr/warning: progress is not shown: .*too many connections/, 'with a warning');
done_testing();
