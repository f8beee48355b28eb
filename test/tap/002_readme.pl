# Promise: README.md says what is there: its tables name every option, every
# preflight row and every SQL object that users call, and the statements of
# its first steps run as they stand.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

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

# objects: what everyone may call or read is what users are told about
foreach my $object (
	split(
		/\n/,
		$node->safe_psql(
			'postgres', q{
	SELECT DISTINCT proname FROM pg_proc
	WHERE pronamespace = 'outflow'::regnamespace
	AND has_function_privilege('public', oid, 'EXECUTE')
	AND proname !~ '^(preflight|job)_'
	AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
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

# commands: every SQL block, in order, with a directory that exists here; what
# pg_cron is to run is run by itself
my $directory = new_export_dir();
my $steps = join('', map { section($_) }
	('## Quick start: stream', '## Quick start: export', '## Every night', '## Export', '## Types', '## Reference'));
$steps =~ s{/srv/export}{$directory}g;
while ($steps =~ /^```sql\n(.*?)^```/msg)
{
	my $block = $1;
	my $name = ($block =~ /^([^\n]*)/)[0];

	if ($block =~ /cron\.schedule/)
	{
		$block = join(";\n", $block =~ /\$\$(.*?)\$\$/sg);
		# directories of the same day are one
		$block = "$block; DO 'BEGIN WHILE EXISTS (SELECT FROM outflow.jobs WHERE state IN (''queued'', ''running''))"
		  . " LOOP PERFORM pg_sleep(0.1); END LOOP; END'";
	}
	($status, $stdout, $stderr) =
	  $node->psql('postgres', $block, on_error_stop => 1);
	if ($block =~ /resume/)
	{
		like($stderr, qr/export job 1 is done/, 'there is nothing to resume');
		next;
	}
	is($status, 0, "runs as it stands: $name") or diag($stderr);
}
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM restored) = (SELECT count(*) FROM orders)'),
	't', 'what was loaded again is the table');
is($node->safe_psql('postgres', "SELECT count(*) FROM outflow.jobs WHERE state <> 'done'"),
	'0', 'every export ends');

# the client: killed and run again, it has had every row
if ($ENV{OUTFLOW_PYTHON})
{
	my ($client) = $readme =~ /^```python\n(.*?)^```/ms or die 'README.md has no client';
	my $file = "$directory/client.py";
	my %seen;

	$client =~ s/"dbname=shop"/sys.argv[1]/ or die 'the client connects otherwise';
	append_to_file($file, "import sys\ndef apply(record): print(record['id'], record['new']['id'], flush=True)\n$client");
	$node->safe_psql('postgres',
		"SELECT pg_drop_replication_slot('orders'); SELECT pg_create_logical_replication_slot('orders', 'outflow')");
	foreach my $row (1001, 1002)
	{
		$node->safe_psql('postgres', "INSERT INTO orders VALUES ($row)");

		my $out = '';
		my $run = IPC::Run::start([ $ENV{OUTFLOW_PYTHON}, $file, $node->connstr('postgres') ],
			'>', \$out, '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
		$run->pump until $out =~ / $row\n/;
		$run->signal('KILL');
		$run->finish;
		$seen{$_} = 1 foreach $out =~ /^\S+ (\d+)$/mg;
		$node->poll_query_until('postgres', 'SELECT NOT bool_or(active) FROM pg_replication_slots');
	}
	is_deeply([ sort keys %seen ], [ 1001, 1002 ], 'a killed client misses nothing');
}

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
foreach my $paragraph (split(/\n\n|\n(?=\* )/, $text))
{
	my @words = split(' ', $paragraph);

	next if $paragraph =~ /^\||^\*\*Contents/ || @words <= 60;
	fail("a paragraph has at most 60 words: " . join(' ', @words[0 .. 7]));
}

done_testing();
