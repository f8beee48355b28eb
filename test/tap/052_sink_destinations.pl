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
$node->safe_psql('postgres', $destination_try);
$node->safe_psql('postgres', <<'EOQ');
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

foreach my $kind ("file://$top", 'memory://bucket')
{
	my $name = $kind =~ s/:.*//r;
	my $place = "$kind/place";
	my $other = "$kind/other";
	try_destination($node, $name, $place, $other);
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

# A directory that has no token yet is removed as left over at any moment: whoever
# was about to claim it makes it anew.
{
	my $place = "file://$top/begins";
	my ($remover, $removed) = start_psql($node, <<"EOQ");
DO \$\$
DECLARE
	given text;
BEGIN
	WHILE pg_stat_file('$top/enough', true) IS NULL LOOP
		given := sink.do('$place', 'left', '', 'theirs');
		IF given = 'granted' THEN RAISE EXCEPTION 'taken'; END IF;
	END LOOP;
END \$\$
EOQ

	is($node->safe_psql('postgres', "SELECT sink.do('$place', 'discard', '', '') FROM generate_series(1, 5000)") =~ s/^false\n?//mgr,
		'', 'each claim is granted');
	PostgreSQL::Test::Utils::append_to_file("$top/enough", '');
	$remover->finish;
	unlike($$removed, qr/ERROR/, 'no directory is taken by another token');
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
