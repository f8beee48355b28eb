# SinkTest.pm: a node on which SQL reaches the stages and destinations of
# src/sink, through the module that test/modules/sink builds.
package SinkTest;

use strict;
use warnings;

use Exporter qw(import);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_sink_node add_sink_functions write_file refused sha256_of
  xxh128_of $destination_try try_destination);

# SQL name, arguments, result, C name if it is another; the first argument is a directory
my @functions = (
	[
		'write_file',
		'dir text, name text, kind text, bytes int8, max_chunk int,'
		  . ' seed int, compression text, recipients text[], ending text',
		'text'
	],
	[ 'read_file', 'dir text, name text, compression text', 'text' ],
	[
		'open_root',
		'path text, export_root text, may_create bool, missing_ok bool',
		'text'
	],
	[ 'open_subdir', 'dir text, name text, may_create bool', 'text' ],
	[ 'put', 'dir text, name text, content text, replace bool', 'void' ],
	[ 'get', 'dir text, name text, max int', 'text' ],
	[
		'carry', 'dir text, name text, from_dir text, from_name text',
		'boolean'
	],
	[ 'publish', 'dir text, name text, replace bool', 'boolean' ],
	[ 'remove', 'dir text, name text', 'boolean' ],
	[ 'list', 'dir text, temp bool', 'text' ],
	[ 'temp', 'dir text, what text', 'void' ],
	[ 'open_files', 'dir text', 'int' ],
	[ 'limit_file_size', 'bytes bigint', 'void' ],
	[ 'fail_at', 'number int, error text, call text', 'void' ],
	[ 'failed_call', '', 'text' ],
	[
		'do', 'place text, operation text, key text, data text', 'text',
		'destination_do'
	],
	[ 'flow', 'place text', 'text', 'destination_flow' ],
	[
		's3_sign',
		'method text, path text, query text[], headers text[], body text,'
		  . ' at text, region text, service text, key text, secret text',
		'text', 's3_sign'
	],
	[ 's3_address', 'address text', 'text', 's3_address' ],
	[ 's3_xml', 'document text, name text', 'text', 's3_xml' ],
	[ 'memory_fail_at', 'number int, after bool', 'void', 'memory_fail_at' ],
	[ 'memory_failed', '', 'bool', 'memory_failed' ],
	[ 'memory_reset', '', 'void', 'memory_reset' ],
	[ 'memory_objects', '', 'text', 'memory_objects' ],
);

# new_sink_node(NAME): a running node with those functions in schema sink
sub new_sink_node
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	# one test kills a backend
	$node->append_conf('postgresql.conf', 'restart_after_crash = on');
	$node->start;
	add_sink_functions($node);
	return $node;
}

# add_sink_functions(NODE, DATABASE): the same on a node that there is
sub add_sink_functions
{
	my ($node, $database) = @_;
	my $module = "$FindBin::RealBin/../modules/sink/sink_test.so";
	my $sql = 'CREATE SCHEMA sink;';

	foreach my $function (@functions)
	{
		my ($sql_name, $arguments, $result, $c_name) = @$function;

		$c_name //= "sink_$sql_name";
		$sql .= "CREATE FUNCTION sink.$sql_name($arguments) RETURNS $result"
		  . " LANGUAGE c AS '$module', '$c_name';";
	}
	$node->safe_psql($database // 'postgres', $sql);
	return;
}

# write_file(NODE, DIR, NAME, PARAMETER => VALUE): what the stages counted
sub write_file
{
	my ($node, $dir, $name, %with) = @_;
	my $recipients =
	  $with{recipients}
	  ? "'{" . join(',', @{ $with{recipients} }) . "}'"
	  : 'NULL';
	my %result;
	my $line = $node->safe_psql('postgres',
		sprintf q{SELECT sink.write_file('%s', '%s', '%s', %d, %d, %d, '%s',
			%s, '%s')},
		$dir, $name, $with{kind} // 'text', $with{bytes} // 1000,
		$with{max_chunk} // 0, $with{seed} // 1,
		$with{compression} // 'none', $recipients,
		$with{ending} // 'publish');

	@result{qw(bytes crc sha256 stored stored_xxh128 seconds)} =
	  split(/ /, $line);
	return \%result;
}

# refused(NODE, EXPRESSION, PATTERN, TITLE): an error with that text
sub refused
{
	my ($node, $expression, $pattern, $title) = @_;
	my ($code, $out, $err) =
	  $node->psql('postgres', "SELECT $expression");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($err, $pattern, $title) if $code != 0;
	return fail("$title: gave \"$out\"");
}

# sum_of(PROGRAM, COMMAND): of what a shell command writes, which must succeed
sub sum_of
{
	my ($program, $command) = @_;
	my $sum = qx{bash -c 'set -o pipefail; $command | $program'};

	die "failed: $command" if $? != 0;
	return $sum =~ s/ .*//sr;
}

sub sha256_of { return sum_of('sha256sum', @_); }
sub xxh128_of { return sum_of('xxh128sum', @_); }

# what a destination does, or why not, in few words
our $destination_try = <<'EOQ';
CREATE FUNCTION sink.try(place text, operation text, key text, data text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN sink.do(place, operation, key, data);
EXCEPTION WHEN OTHERS THEN
	RETURN CASE WHEN SQLERRM LIKE '%already exists%' THEN 'error: taken'
		WHEN SQLERRM LIKE '%longer than%' THEN 'error: too long'
		WHEN SQLERRM LIKE '%in the middle%' THEN 'error: middle'
		WHEN SQLERRM LIKE 'could not publish%' THEN 'error: not there'
		ELSE 'error: ' || SQLERRM END;
END $$;
EOQ

my @steps = (
	# operation, key, data, result, what that proves
	[ 'known', '', '', 'unknown', 'an unused place is not there' ],
	[ 'free', '', '', 'free', 'and is free' ],
	[ 'take', '', 'mine', 'missing', 'nothing is staged' ],
	[ 'claim', '', 'mine', 'granted', 'claimed' ],
	[ 'known', '', '', 'known', 'now it is there' ],
	[ 'free', '', '', '.outflow-job', 'and is not free for others' ],
	[ 'take', '', 'other', 'foreign', 'another token' ],
	[ 'join', '', 'other', 'foreign', 'does not join either' ],
	[ 'join', '', 'mine', 'granted', 'the same one does' ],
	[ 'locked', '', 'PLACE', 'locked', 'one process at a time' ],
	[ 'take', '', 'mine', 'granted', 'until it ends' ],
	[ 'write', 'a/part-1', 'first', 'done', 'a finished part' ],
	[ 'list', 'a', '', '', 'is not seen' ],
	[ 'read', 'a/part-1', '', 'none 0', 'nor read' ],
	[ 'read staged', 'a/part-1', '', '5 8A3EA150', 'but by its job' ],
	[ 'staged', 'a/part-1', '', 'true', 'which knows that it waits' ],
	[ 'break', 'a/part-1', 'second', 'error: middle', 'an attempt that ends' ],
	[ 'read staged', 'a/part-1', '', '5 8A3EA150', 'replaces nothing' ],
	[ 'publish', 'a/part-1', '', 'true', 'published' ],
	[ 'list', 'a', '', 'part-1:5', 'it has its key' ],
	[ 'staged', 'a/part-1', '', 'false', 'and waits no longer' ],
	[ 'publish', 'a/part-1', '', 'false', 'once' ],
	[ 'publish', 'a/never', '', 'error: not there', 'what was never written' ],
	[ 'write', 'a/part-1', 'other', 'done', 'one more of that key' ],
	[ 'publish', 'a/part-1', '', 'error: taken', 'replaces nothing' ],
	[ 'get', 'a/part-1', '100', 'first', 'what was there stays' ],
	[ 'staged', 'a/part-1', '', 'true', 'and the other waits' ],
	[ 'remove', 'a/part-1', '', 'true', 'removed' ],
	[ 'remove', 'a/part-1', '', 'false', 'once' ],
	[ 'publish', 'a/part-1', '', 'true', 'then the key is free' ],
	[ 'get', 'a/part-1', '100', 'other', 'for the other' ],
	[ 'put', '_manifest.json', '{}', 'done', 'a small file' ],
	[ 'put', '_manifest.json', '[]', 'error: taken', 'is not overwritten' ],
	[ 'get', '_manifest.json', '2', '{}', 'and stays' ],
	[ 'replace', '_manifest.json', '[1]', 'done', 'unless wanted' ],
	[ 'get', '_manifest.json', '3', '[1]', 'then it is new' ],
	[ 'get', '_manifest.json', '2', 'error: too long', 'no more than allowed' ],
	[ 'get', 'b/none', '2', 'none', 'what is not there' ],
	[ 'carry', 'a/part-2', 'OTHER', 'true', 'carried from another export' ],
	[ 'list', 'a', '', 'part-1:5', 'not seen before' ],
	[ 'publish', 'a/part-2', '', 'true', 'it is published' ],
	[ 'get', 'a/part-2', '100', 'carried', 'with its content' ],
	[ 'carry', 'a/part-9', 'OTHER', 'false', 'what is not there is not carried' ],
	[ 'carry', 'x/part-2', 'OTHER', 'false', 'nor what has no folder' ],
	[ 'abandon', 'a/part-3', 'PLACE', 'done', 'a killed process leaves' ],
	[ 'staged', 'a/part-3', '', 'false', 'what is no file' ],
	[ 'sweep', '', '', 'done', 'and is swept away' ],
	[ 'write', 'a/part-4', 'fourth', 'done', 'one more' ],
	[ 'discard', '', '', 'false', 'all that is staged is discarded' ],
	[ 'free', '', '', 'free', 'with the claim' ],
	[ 'read staged', 'a/part-4', '', 'none 0', 'nothing is staged' ],
	[ 'discard', '', '', 'false', 'discarded again' ],
	[ 'list', '', '', '_manifest.json:3 a/', 'what is final stays' ],
	[ 'list', 'a', '', 'part-1:5 part-2:7', 'in its folder, too' ],
	[ 'list', 'b', '', '', 'an unknown folder is empty' ],
	[ 'remove', 'b/none', '', 'false', 'and has nothing to remove' ],
	[ 'remove', 'a/', '', 'false', 'a folder that holds something stays' ],
	[ 'remove', 'a/part-1', '', 'true', 'when it holds nothing' ],
	[ 'remove', 'a/part-2', '', 'true', 'any more' ],
	[ 'remove', 'a/', '', undef, 'it may go' ],
	[ 'list', '', '', '_manifest.json:3', 'and is gone' ],
	[ 'remove place', '', '', 'done', 'a place that holds something' ],
	[ 'list', '', '', '_manifest.json:3', 'stays' ],
	[ 'remove', '_manifest.json', '', 'true', 'when it holds nothing' ],
	[ 'remove place', '', '', 'done', 'it may go' ]);

# try_destination(NODE, NAME, PLACE, OTHER): every promise of
# sink/destination.h, at two places of one kind that are not used otherwise
sub try_destination
{
	my ($node, $name, $place, $other) = @_;
	my @sql = map {
		sprintf("SELECT sink.try('%s', '%s', '%s', '%s');",
			$place, $$_[0], $$_[1],
			$$_[2] =~ s/^PLACE$/$place/r =~ s/^OTHER$/$other/r)
	} @steps;
	my @prepared = map { "SELECT sink.do('$other', $_);" } (
		q{'write', 'a/part-2', 'carried'}, q{'publish', 'a/part-2', ''});
	my @results = split(/\n/,
		$node->safe_psql('postgres', join("\n", @prepared, @sql)), -1);

	splice(@results, 0, @prepared);
	foreach my $i (0 .. $#steps)
	{
		my ($op, $key, $data, $expected, $title) = @{ $steps[$i] };

		is($results[$i], $expected, "$name: $op $key: $title")
		  if defined $expected;
	}
	return;
}

1;
