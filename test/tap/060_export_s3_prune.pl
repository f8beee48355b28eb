# Promise: a nightly export to a dated prefix of a store, on the base of the last
# one, is retried, and prune removes whole old ones, with none of which a kept
# one still has parts, and nothing of anybody else's.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', conf => "outflow.retries = 5\nautovacuum = off\n");
my $store = start_fake_s3();
my $said;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub nightly
{
	my ($day, $more) = @_;

	return sql("CALL outflow.export('t', 'lake:nightly/2026-11-$day'" . ($more // '') . ')');
}

sub prune
{
	my ($prefix, $keep) = @_;
	my $out;

	$node->psql('postgres', "SELECT string_agg(job::text, ' ' ORDER BY job) FROM outflow.prune('$prefix', $keep)", stdout => \$out, stderr => \$said);
	return $out;
}

# the days of which there is anything
sub days
{
	my %days = map { m{^nightly/2026-11-(\d+)/} ? ($1 => 1) : () } split(/ /, $store->keys('nightly/'));

	return join(' ', sort keys %days);
}

sub all_ok
{
	my ($name) = @_;

	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.jobs, outflow.verify(job, 'full')"), 'ok', "$name: what is kept is whole");
	return;
}

sql($store->server_sql('lake', retries => 0));
sql(q{CREATE TABLE t AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 30000) AS g; VACUUM t});

my @jobs = nightly(21, q{, part_size => '500kB'});
foreach my $day (22 .. 24)
{
	sql("UPDATE t SET note = 'day $day' WHERE id = 30000");
	push @jobs, nightly($day, q{, part_size => '500kB', options => '{"base": "last"}'});
}
cmp_ok(sql("SELECT parts_carried FROM outflow.jobs WHERE job = $jobs[3]"), '>', 0, 'parts are carried from night to night');
sql(q{CALL outflow.export('t', 'lake:nightly-other/2026-11-01')});

# one night the store is out of order for a while
$store->faults('hold PUT 2026-11-25');
push @jobs, sql(q{SELECT outflow.export_start('t', 'lake:nightly/2026-11-25', part_size => '500kB', options => '{"base": "last"}')});
wait_for_line("$store->{dir}/log", qr{^PUT \S*nightly/2026-11-25/}m);
$store->faults('answer 503 <Error><Code>SlowDown</Code></Error>');
wait_until($node, "SELECT waiting_for LIKE 'the next try%' FROM outflow.jobs WHERE job = $jobs[4]", 'a retry');
$store->faults();
wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $jobs[4]", 'the end of a job');
is(sql("SELECT state FROM outflow.jobs WHERE job = $jobs[4]"), 'done', 'a night of a store that is out of order for a while');

is(prune('lake:nightly/', 3), "$jobs[0] $jobs[1]", 'all but three are removed, and named');
is($said, '', 'without a word more');
is(days(), '23 24 25', 'nothing of them is left');
isnt($store->keys('nightly-other/'), '', 'another prefix stays');
all_ok('pruned');
is(prune('lake:nightly/', 3), '', 'again, there is nothing to do');

# others' objects, and one that was changed
$store->s3('PUT', 'nightly/2026-11-23/notes', 'mine');
$store->s3('PUT', 'nightly/2026-11-24/part-000000.csv', 'changed');
$store->s3('PUT', 'nightly/2026-11-01/part-000000.csv', 'theirs');
is(prune('lake:nightly/', 1), "$jobs[2] $jobs[3]", 'exports with objects of others go');
like($said, qr{/lake/nightly/2026-11-$_" stays\nDETAIL:  It holds something that is not known}, "what is not ours of the $_ stays, and that is said") foreach 23, 24;
is($store->keys('nightly/2026-11-23/') . ' ' . $store->keys('nightly/2026-11-24/'), 'nightly/2026-11-23/notes nightly/2026-11-24/part-000000.csv',
	'it alone');
is(days(), '01 23 24 25', 'what no job has made stays');

# an export that another one refers to
push @jobs, nightly(26, q{, part_size => '500kB', options => '{"base": "last", "carry": "reference"}'});
is(prune('lake:nightly/2026-11-2', 1), '', 'an export that a kept one refers to stays');
like($said, qr/export job $jobs[4] stays\nDETAIL:  Parts of export job $jobs[5] refer to its files/, 'and that is said');
all_ok('referred to');

# another export that was made in a table's folder
my @many = map { sql("CALL outflow.export_tables('{t}', 'lake:many/$_')") } 1, 2;
$store->s3('DELETE', $_) foreach split(/ /, $store->keys('many/1/public.t/'));
my $inner = sql(q{CALL outflow.export('t', 'lake:many/1/public.t')});
is(prune('lake:many/', 2), $many[0], 'an export goes that has another one in a folder');
like($said, qr{/lake/many/1" stays\nDETAIL:  It holds something that is not known}, 'what is not its own stays, and that is said');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($inner)"), 'ok', 'and the other one is whole');
is(sql("CALL outflow.export_tables('{t}', 'lake:many/3')") && prune('lake:many/', 2), $many[1], 'a whole one goes');
is($store->keys('many/2/'), '', 'with its folders');

# the store refuses in the midst
push @jobs, nightly(27);
$store->faults('deny DELETE 2026-11-26');
prune('lake:nightly/', 1);
like($said, qr/AccessDenied/, 'a store that refuses is heard');
$store->faults();
prune('lake:nightly/', 1);
is(days(), '01 23 24 27', 'the next night removes what was left');
all_ok('after a refusal');

$node->stop;
done_testing();
