# Promise: README.md says what is there: its tables name every option, every
# preflight row and every SQL object that users call, and the statements of
# its first steps run as they stand.
use strict;
use warnings;

use File::Copy qw(copy);
use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'usleep';

my $readme = slurp_file("$FindBin::Bin/../../README.md");
my $node = new_outflow_node('readme', conf => 'wal_level = logical');

# section(HEADING): the text below a heading, up to the next of its level
sub section
{
	my ($heading) = @_;
	my ($marks) = $heading =~ /^(#+) /;

	$readme =~ /^\Q$heading\E\n(.*?)(?=^#{1,${\length($marks)}} |\z)/ms
	  or die "README.md has no section \"$heading\"";
	return $1;
}

# first_cells(TEXT): the `names` in the first column of the tables there
sub first_cells
{
	my ($text) = @_;
	my @names;

	push @names, $1 =~ /`([^`]+)`/g
	  while $text =~ /^\| (`[^|]*) \|/mg;
	return @names;
}

# options: the server's own hint is the list to match
create_slot($node, 'options');
my ($status, $stdout, $stderr) = $node->psql('postgres',
	q{SELECT FROM pg_logical_slot_get_changes('options', NULL, NULL, 'x', '')}
);
my ($hint) = $stderr =~ /Valid names are: (.*)\./;
my %documented = map { $_ => 1 } section('## Streaming') =~ /`([a-z0-9_]+)`/g;
is_deeply(
	[ grep { !$documented{$_} } split(/, /, $hint) ],
	[], 'every option of the plugin is documented');
my %valid = map { $_ => 1 } split(/, /, $hint);
my ($option_table) =
  section('## Streaming') =~ /^(\| option \| default \|.*?)\n\n/ms;
is_deeply([ grep { !$valid{$_} } first_cells($option_table) ],
	[], 'every documented option exists');

# preflight: a name in capitals stands for an object's
my @items =
  map { s/ [A-Z]+$//r }
  first_cells(section('### preflight() → table (item text, ok boolean,'
	  . ' detail text, fix text)'));
foreach my $item (
	split(
		/\n/,
		$node->safe_psql(
			'postgres', q{
	CREATE TABLE no_key (id int);
	CREATE TABLE long (id int PRIMARY KEY, t text);
	ALTER TABLE long ALTER t SET STORAGE EXTERNAL;
	INSERT INTO long VALUES (1, repeat('x', 10000));
	CREATE PUBLICATION everything FOR ALL TABLES;
	SELECT item FROM outflow.preflight()})))
{
	ok((grep { $item eq $_ || index($item, "$_ ") == 0 } @items) > 0,
		"preflight row \"$item\" is documented");
}
$node->safe_psql('postgres', 'DROP PUBLICATION everything');

# objects: what is in the schema is what users are told about
foreach my $object (
	split(
		/\n/,
		$node->safe_psql(
			'postgres', q{
	SELECT DISTINCT proname FROM pg_proc
	WHERE pronamespace = 'outflow'::regnamespace
UNION ALL
	SELECT relname FROM pg_class
	WHERE relnamespace = 'outflow'::regnamespace AND relkind = 'v'})))
{
	ok(section('## Reference') =~ /^### .*\b\Q$object\E\b/m,
		"outflow.$object is documented");
}

# arguments of an export
my ($argument_table) =
  section('## Export') =~ /^(\| argument \| default \|.*?)\n\n/ms;
foreach my $argument (first_cells($argument_table))
{
	is( $node->safe_psql(
			'postgres', qq{
	SELECT '$argument' = ANY (proargnames) FROM pg_proc
	WHERE oid = 'outflow.export'::regproc}),
		't',
		"export has the argument $argument");
}

# the clients: what 005_client_python and the interop tests run
foreach my $block ([ 'python', 'py' ], [ 'js', 'js' ], [ 'go', 'go' ])
{
	my ($language, $suffix) = @$block;
	my ($shown) = $readme =~ /^```$language\n(.*?)^```/ms;

	is($shown, slurp_file("$FindBin::Bin/../clients/consume.$suffix"),
		"the client in $language is the one that is tested");
}
$node->stop;

# Commands: all of them from "Install" on, in order, on a server as it comes, but
# for those that this test's own server comes from: "make", and what installs.
my $directory = new_export_dir();
my $work = new_export_dir();
my $database = 'postgres';
my $more = 1000;
my $said;

{
	local $ENV{TEMP_CONFIG};
	delete $ENV{TEMP_CONFIG};
	$node = PostgreSQL::Test::Cluster->new('fresh');
	$node->init;
}
# what initdb leaves out, as a test's server has it
$node->append_conf('postgresql.conf', "wal_level = replica\nmax_wal_senders = 10\nmax_worker_processes = 16\n");
$node->start;
my $lists_plugins = $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'");
local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
copy("$FindBin::Bin/../clients/consume.py", $work);

# programs that the reader has: DuckDB's is a module of the tests' Python
mkdir("$work/bin");
append_to_file("$work/bin/duckdb", qq{#!/bin/sh\nexec "$ENV{OUTFLOW_PYTHON}" -c 'import duckdb, sys; print(duckdb.sql(sys.argv[2]))' "\$@"\n});
append_to_file("$work/bin/python3", qq{#!/bin/sh\nexec "$ENV{OUTFLOW_PYTHON}" "\$@"\n});
chmod(0755, glob("$work/bin/*"));
local $ENV{PATH} = "$work/bin:$ENV{PATH}";

# endless(COMMAND, SHOWN): one that goes on until it is stopped: it gets a row,
# and what it prints has the shape of what README.md shows
sub endless
{
	my ($command, $shown) = @_;
	my $out = '';
	my $row = ++$more;
	my $kinds = sub { my %seen; join(' ', grep { !$seen{$_}++ } $_[0] =~ /^\{"(?:op|action)":"(\w+)"/mg) };

	$node->safe_psql('shop', "INSERT INTO orders VALUES ($row, 1)");
	my $run = IPC::Run::start([ 'bash', '-c', "cd '$work' && exec $command" ],
		'<', \undef, '>', \$out, '2>&1',
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	if ($kinds->($shown))
	{
		my @wanted = sort split(/ /, $kinds->($shown));

		$run->pump until "@{[ sort split(/ /, $kinds->($out)) ]}" eq "@wanted";
		pass("prints what is shown: $command");
	}
	else
	{
		until ($node->safe_psql('warehouse', "SELECT count(*) FROM changes WHERE record #>> '{new,id}' = '$row'"))
		{
			$run->pump_nb;
			die "$command: $out" if !$run->pumpable || $out;
		}
	}
	# psycopg2 may not see SIGINT before a message comes
	$run->signal($command =~ /^pg_recvlogical/ ? 'INT' : 'TERM');
	$run->finish;
	$node->poll_query_until('postgres', 'SELECT NOT coalesce(bool_or(active), false) FROM pg_replication_slots');
	return;
}

# deliver(COMMAND): pg_outflow to a directory gets a row there
sub deliver
{
	my ($command) = @_;
	my $row = ++$more;

	$command =~ s{file:///srv/changes}{file://$work/changes};
	mkdir("$work/changes");
	$node->safe_psql('shop', "INSERT INTO orders VALUES ($row, 1)");
	my $run = IPC::Run::start([ 'bash', '-c', "exec $command" ], '<', \undef, '>', \$said, '2>&1',
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	until (grep { slurp_file($_) =~ /"new":\{"id":$row,/ } glob("$work/changes/.[a-z]* $work/changes/*"))
	{
		$run->pump_nb;
		last if !$run->pumpable;
		usleep(100_000);
	}
	$run->signal('TERM');
	ok($run->finish, "delivers: $command") or diag($said);
	return;
}

# the beginnings of what tests of the targets run of README.md
my %elsewhere = map { $_ => 1 } map { slurp_file($_) =~ /readme_command\((?:\$\w+, "\$\w+\.example", )?['"]([^'"]+)/g }
  glob("$FindBin::Bin/*.pl $FindBin::Bin/../interop/*.pl");

# run_client_command(COMMAND, SHOWN): one of pg_outflow, or of the reader of what it
# delivers, whose service is not here
sub run_client_command
{
	my ($command, $shown) = @_;
	my $at = $directory =~ s{/$}{}r;

	if ($command =~ m{^pg_outflow stream .*file:///srv/changes}) { return deliver($command); }
	if ($command !~ /^pg_outflow (?:check|export|verify)/)
	{
		ok((grep { index($command, $_) == 0 } keys %elsewhere) > 0, "a test of its target runs: $command");
		return;
	}
	# check finds what is missing, here and where nobody listens
	$command =~ s{https://hooks.example.com/orders}{http://127.0.0.1:9/orders};
	IPC::Run::run([ 'bash', '-c', $command ], '<', \undef, '>', \$said, '2>&1');
	is($? >> 8, $command =~ / check / ? 9 : 0, "runs as it stands: $command") or diag($said);
	my ($name) = $shown =~ /^ok   (\w+)/;
	like($said, qr/^(?:ok  |NOT)  *$name\b/m, '... and says what is shown') if defined $name;
	return;
}

sub run_shell
{
	my ($block) = @_;

	while ($block =~ /^\$ (.*)\n((?:(?!\$ ).*\n)*)/mg)
	{
		my ($command, $shown) = ($1 =~ s/ +#.*//r, $2);

		# what this test's own server comes from; the system's services; Milvus's own
		next if $command =~ /^(?:(?:sudo )?make|(?:sudo )?systemctl|curl|psql -d shop -c 'CREATE TABLE docs)\b|\| sudo tee /;
		$command =~ s/^sudo install -d -o postgres /mkdir -p /;
		if ($command =~ /^pg_recvlogical|consume/)
		{
			endless($command, $shown);
			next;
		}
		if ($command =~ /^(?:pg_outflow|kcat|mosquitto_sub|export AWS)\b/)
		{
			run_client_command($command, $shown);
			next;
		}
		my $ok = IPC::Run::run([ 'bash', '-c', "cd '$work' && $command" ], '<', \undef, '>', \$said, '2>&1');
		ok($ok, "runs as it stands: $command") or diag($said);
		$database = 'shop' if $command eq 'createdb shop';
	}
	return;
}

sub run_sql
{
	my ($block) = @_;
	my $name = ($block =~ /^([^\n]*)/)[0];

	return if $block =~ /output_plugin_libraries/ && !$lists_plugins;
	if ($block =~ /cron\.schedule/)
	{
		# what pg_cron is to run is run by itself; directories of the same day are one
		$block = join(";\n", $block =~ /\$\$(.*?)\$\$/sg);
		$block = "$block; DO 'BEGIN WHILE EXISTS (SELECT FROM outflow.jobs WHERE state IN (''queued'', ''running''))"
		  . " LOOP PERFORM pg_sleep(0.1); END LOOP; END'";
	}
	($status, $stdout, $stderr) = $node->psql($database, $block, on_error_stop => 1);
	if ($block =~ /resume/)
	{
		like($stderr, qr/export job 1 is done/, 'there is nothing to resume');
		return;
	}
	is($status, 0, "runs as it stands: $name") or diag($stderr);
	$node->restart if $block =~ /wal_level/;
	wait_until($node, "SELECT replace(current_setting('output_plugin_libraries'), '\"', '') = '$1'", $1)
	  if $block =~ /output_plugin_libraries = (.*);/;
	return;
}

my ($steps) = $readme =~ /^(## Install\n.*)/ms;
$steps =~ s{/srv/export}{$directory/export}g;
while ($steps =~ /^```(\w*)\n(.*?)^```/msg)
{
	my ($language, $block) = ($1, $2);

	run_sql($block) if $language eq 'sql';
	run_shell($block) if $language eq '' || $language eq 'console';
}
is($node->safe_psql('shop', 'SELECT count(*) FROM (SELECT * FROM restored WHERE id < 1000) r FULL JOIN (SELECT * FROM orders WHERE id < 1000) o USING (id)'
	  . ' WHERE r.id IS NULL OR o.id IS NULL'),
	'0', 'what was loaded again is the table');
is($node->safe_psql('shop', "SELECT count(*) FROM outflow.jobs WHERE state <> 'done'"),
	'0', 'every export ends');
$node->stop;

# links: to a heading, by the anchor that is made of it, or to a file
my $text = $readme =~ s/^```.*?^```$//msgr;
my %anchor;
$anchor{ lc($_) =~ s/[^\w -]//gr =~ tr/ /-/r } = 1
  foreach $text =~ /^#+ (.*)$/mg;
foreach my $link ($text =~ /\]\((?!https:)([^)]+)\)/g)
{
	ok( $link =~ /^#(.*)/ ? $anchor{$1} : -f "$FindBin::Bin/../../$link",
		"the link $link leads somewhere");
}

# paragraphs: none that is too long to read, tables apart
foreach my $paragraph (split(/\n{2,}|\n(?=\* )/, $text))
{
	my @words = split(' ', $paragraph);

	next if $paragraph =~ /^\||^\*\*Contents/ || @words <= 60;
	fail("a paragraph has at most 60 words: " . join(' ', @words[0 .. 7]));
}

done_testing();
