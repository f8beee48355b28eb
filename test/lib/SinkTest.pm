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

our @EXPORT = qw(new_sink_node write_file refused sha256_of xxh128_of);

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
	[ 'memory_fail_at', 'number int, after bool', 'void', 'memory_fail_at' ],
	[ 'memory_failed', '', 'bool', 'memory_failed' ],
	[ 'memory_reset', '', 'void', 'memory_reset' ],
	[ 'memory_objects', '', 'text', 'memory_objects' ],
);

# new_sink_node(NAME): a running node with those functions in schema sink
sub new_sink_node
{
	my ($name) = @_;
	my $module = "$FindBin::RealBin/../modules/sink/sink_test.so";
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $sql = 'CREATE SCHEMA sink;';

	foreach my $function (@functions)
	{
		my ($sql_name, $arguments, $result, $c_name) = @$function;

		$c_name //= "sink_$sql_name";
		$sql .= "CREATE FUNCTION sink.$sql_name($arguments) RETURNS $result"
		  . " LANGUAGE c AS '$module', '$c_name';";
	}
	$node->init;
	# one test kills a backend
	$node->append_conf('postgresql.conf', 'restart_after_crash = on');
	$node->start;
	$node->safe_psql('postgres', $sql);
	return $node;
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

1;
