# Promise: every kind of destination keeps what sink/destination.h says, with
# directories or with no more than an object store has: unfinished files are
# seen by nobody, nobody else's are replaced, and an export that breaks at
# whatever call or request ends as it would have without, when it is run again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Cwd qw(realpath);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SinkTest;
use Test::More;

my $node = new_sink_node('destinations');
my $top = realpath(new_export_dir());

# a store in memory is one session's
$node->safe_psql('postgres', <<'EOQ');
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
-- runs the flow until it ends, each time with an error at the next place
CREATE FUNCTION sink.sweep(place text, arm text, failed text, clean text)
RETURNS TABLE (failures int, wrong text) LANGUAGE plpgsql AS $$
DECLARE
	expected CONSTANT text :=
		'_SUCCESS:0 a/ b/ a: part-1:8 part-2:8 b: part-3:8';
	n int := 0;
	result text;
	hit bool;
BEGIN
	wrong := '';
	LOOP
		n := n + 1;
		EXECUTE format(clean, n);
		EXECUTE format(arm, n);
		BEGIN
			result := sink.flow(format(place, n));
		EXCEPTION WHEN OTHERS THEN
			result := SQLERRM;
		END;
		EXECUTE failed INTO hit;
		IF result <> expected THEN
			result := sink.flow(format(place, n));
		END IF;
		IF result <> expected THEN
			wrong := wrong || n || ': ' || result || E'\n';
		END IF;
		EXIT WHEN NOT hit OR n > 500;
	END LOOP;
	failures := n - 1;
	RETURN NEXT;
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

foreach my $kind ("file://$top", 'memory://bucket')
{
	my $name = $kind =~ s/:.*//r;
	my $place = "$kind/place";
	my $other = "$kind/other";
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
}

# An error at any place, then the same steps once more
foreach my $after (qw(false true))
{
	my ($failures, $wrong) = split(
		/\|/,
		$node->safe_psql('postgres',
			"SELECT * FROM sink.sweep('memory://bucket',"
			  . "'SELECT sink.memory_fail_at(%s, $after)',"
			  . "'SELECT sink.memory_failed()', 'SELECT sink.memory_reset()')"),
		-1);
	cmp_ok($failures, '>', 10, "requests failed, effect: $after");
	is($wrong, '', 'each time the export ends well');
	my ($code, $out, $err) = $node->psql('postgres',
		"SELECT sink.memory_fail_at(5, $after);"
		  . "SELECT sink.flow('memory://bucket')");
	like($err, qr/the store does not answer/, 'an error is one');
}
foreach my $error (qw(EIO ENOSPC))
{
	my ($failures, $wrong) = split(
		/\|/,
		$node->safe_psql('postgres',
			"SELECT * FROM sink.sweep('file://$top/$error-%s',"
			  . "'SELECT sink.fail_at(%s, ''$error'', '''')',"
			  . "'SELECT sink.failed_call() IS NOT NULL', 'SELECT %s')"),
		-1);
	cmp_ok($failures, '>', 50, "system calls failed with $error");
	is($wrong, '', 'each time the export ends well');
}

# Nothing is left: no upload, no staged object, no lock
is( $node->safe_psql('postgres',
		"SELECT sink.try('memory://bucket', 'break', 'a/part-1', 'x');"
		  . "SELECT sink.flow('memory://bucket');"
		  . 'SELECT sink.memory_objects()') =~ s/.*\n//sr,
	join(' ',
		map { "bucket/$_" } qw(a/part-1 a/part-2 b/part-3 _SUCCESS)),
	'what a store holds in the end');

$node->stop;
done_testing();
