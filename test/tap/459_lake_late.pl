# Promise: what a store or a catalog may still carry out names no file that is gone:
# from the last sending of a version on, forget waits, however long it was tried.
use strict;
use warnings;

use CatalogTest;
use FakeS3;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('late', conf => "autovacuum = off\noutflow.retries = 0\n");
my $store = start_fake_s3();
my $catalog = start_catalog();
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub error_of { return ($node->psql('postgres', $_[0]))[2]; }
sub last_job { return sql('SELECT max(job) FROM outflow.jobs'); }

# notes(PLACE): what is kept of versions on their way
sub notes { return grep { /_outflow_sent_/ } split(/ /, $store->keys("$_[0]/")); }

# data_files(KEYS): those that are no staged ones
sub data_files { return grep { m{/part-[^/]*parquet$} && !m{/\.outflow-} } split(/ /, $_[0]); }

# stamps(SESSION, LOOK): the different texts that LOOK finds until the session ends
sub stamps
{
	my ($session, $look) = @_;
	my %seen;

	while ($session->pumpable)
	{
		my $text = $look->();

		$seen{$text} = 1 if defined $text && $text =~ /^\d+$/;
		$session->pump_nb;
		Time::HiRes::sleep(0.01);
	}
	$session->finish;
	return sort { $a <=> $b } keys %seen;
}

$catalog->make_namespace('shop');
sql('CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i');
sql($store->server_sql('lake', stall_timeout => 3600, retries => 0) . $store->server_sql('hasty', stall_timeout => 1, retries => 2)
	  . $catalog->server_sql('cat', q{token 'T'}, retries => 5));

# a note that may not be removed, or not now, takes nothing back
foreach my $workers (0, 1)
{
	foreach my $format (qw(delta iceberg))
	{
		my $place = "kept_${format}_$workers";

		$store->faults('deny DELETE _outflow_sent_');
		my ($status, undef, $err) = $node->psql('postgres', "CALL outflow.export('t', 'lake:$place', format => '$format', workers => $workers)");
		$store->faults();
		is($status, 0, "$place: the export ends well") or diag($err);
		is(sql("SELECT count(*) FROM outflow.lake_versions('lake:$place')"), 1, "$place: its version is there");
		is(sql('SELECT state FROM outflow.jobs WHERE job = ' . last_job()), 'done', "$place: the job is done");
	}
}

# a store
foreach my $format (qw(delta iceberg))
{
	my $place = "late_$format";
	my @version = map { "$place/" . ($format eq 'delta' ? sprintf('_delta_log/%020d.', $_) : 'metadata/v' . ($_ + 1) . '.') } 0 .. 2;
	my $export = "CALL outflow.export('t', 'lake:$place', format => '$format')";

	$store->faults();
	unlike(error_of($export), qr/ERROR/, "$format: a first version");
	is_deeply([ notes($place) ], [], "$format: nothing is on its way");
	sql('UPDATE t SET id = id + 1');
	$store->faults("late PUT $version[1]");
	my $job = sql("SELECT outflow.export_start('t', 'lake:$place', format => '$format')");
	wait_for_line("$store->{dir}/log", qr{^PUT \S*/\Q$version[1]\E}m);
	sql("SELECT outflow.cancel($job)");
	wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
	my $keys = $store->keys("$place/");
	like(error_of("SELECT outflow.forget($job)"), qr/not known yet whether export job $job has changed the \w+ table in "lake:$place".*try again/s,
		"$format: forget waits for a version that was given up");
	is($store->keys("$place/"), $keys, "$format: and removes nothing");
	$store->faults();
	wait_for_line("$store->{dir}/log", qr{^carried out PUT \S*/$place/}m);
	error_of("SELECT outflow.forget($job)");
	is(sql("SELECT string_agg(job::text, ' ') FROM outflow.lake_versions('lake:$place') WHERE job = $job"), $job, "$format: which comes late");
	is_deeply([ data_files($store->keys("$place/")) ], [ data_files($keys) ], "$format: with its files");
	is_deeply([ notes($place) ], [], "$format: then nothing is on its way");

	# one that has come to nothing
	sql('UPDATE t SET id = id + 1');
	$store->faults("deny PUT $version[2]");
	like(error_of($export), qr/could not write object.*403/s, "$format: one that is refused");
	is(error_of('SELECT outflow.forget(max(job)) FROM outflow.jobs'), '', "$format: is known at once");
	$store->faults("hang PUT $version[2]");
	my ($session) = start_psql($node, $export =~ s/lake:/hasty:/r);
	my @stamps = stamps($session, sub { my ($note) = notes($place); return $note ? $store->s3('GET', $note) : undef; });
	cmp_ok(scalar(@stamps), '>', 1, "$format: each try counts");
	like(error_of('SELECT outflow.forget(max(job)) FROM outflow.jobs'), qr/not known yet/, "$format: the last one most");
	$store->faults("deny PUT $version[2]");
	like(error_of('CALL outflow.resume(' . last_job() . ')'), qr/could not write object.*403/s, "$format: another attempt is refused");
	like(error_of('SELECT outflow.forget(max(job)) FROM outflow.jobs'), qr/not known yet/, "$format: which says nothing of the first one");
	$store->faults();
	$store->s3('PUT', (notes($place))[0], '1000');
	is(error_of('SELECT outflow.forget(max(job)) FROM outflow.jobs'), '', "$format: later it is forgotten");
	is_deeply([ notes($place) ], [], "$format: with what was kept of it");
}

# the next call need not wait: only the job's own version can decide what comes of it
foreach my $format (qw(delta iceberg))
{
	my $place = "soon_$format";
	my $first = "$place/" . ($format eq 'delta' ? sprintf('_delta_log/%020d.', 0) : 'metadata/v1.');
	my $arguments = "('t', 'lake:$place', format => '$format')";

	$store->faults("late PUT $first");
	my $job = sql("SELECT outflow.export_start$arguments");
	wait_for_line("$store->{dir}/log", qr{^PUT \S*/\Q$first\E}m);
	sql("SELECT outflow.cancel($job)");
	wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
	like(error_of("SELECT outflow.export_start$arguments"), qr/not known yet whether export job $job has changed/, "$format: who cannot wait is refused");
	my $said = error_of("CALL outflow.export$arguments");
	unlike($said, qr/ERROR/, "$format: a call finishes it");
	like($said, qr/NOTICE:  export job $job goes on\nDETAIL:  It may have changed a table/, "$format: first");
	$store->faults();
	wait_for_line("$store->{dir}/log", qr{^carried out PUT \S*/\Q$first\E}m);
	is(sql("SELECT string_agg(v.job::text, ' ' ORDER BY v.job) FROM outflow.lake_versions('lake:$place') AS v"), "$job " . last_job(), "$format: each has a version");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify(" . last_job() . ')'), 'ok', "$format: which are whole");
	is_deeply([ notes($place) ], [], "$format: nothing is on its way");
}

# another writer is faster
$store->faults();
sql('UPDATE t SET id = id + 1');
my $version = 'late_delta/_delta_log/' . sprintf('%020d', 2) . '.json';
my $winner = qq({"commitInfo":{"operation":"MERGE","engineInfo":"Other/1"}}\n{"remove":{"path":"x","dataChange":true}}\n);
$store->forget_requests;
$store->faults("late PUT $version");
my ($loser, $told) = start_psql($node, "CALL outflow.export('t', 'lake:late_delta', format => 'delta')");
Time::HiRes::sleep(0.1) while !$store->asked(qr{^PUT \S*/\Q$version\E});
$store->s3('PUT', $version, $winner);
$store->faults();
$loser->finish;
like($$told, qr/another writer has committed version 2 of the Delta table in "lake:late_delta".*Operation "MERGE" of "Other\/1" has made it/s,
	'who loses a race in a store is told who was first');
is($store->s3('GET', $version), $winner, 'and leaves that');
is(error_of('SELECT outflow.forget(max(job)) FROM outflow.jobs'), '', 'its job is forgotten at once');

# a catalog, whose answers are to wait
my $place = "$dir/t";
$catalog->faults('POST /tables/t$ 429 4');
my ($session, $said) = start_psql($node,
	"CALL outflow.export('t', 'file://$place', format => 'iceberg', options => '{\"catalog\": \"cat:shop.t\"}')");
my @stamps = stamps($session, sub { my ($note) = glob("$place/_outflow_sent_*"); return $note && -s $note ? eval { slurp_file($note) } : undef; });
unlike($$said, qr/ERROR/, 'a catalog that is busy at first');
is(scalar(() = $catalog->requests(qr{POST .*/tables/t })), 5, 'is asked five times');
cmp_ok(scalar(@stamps), '>', 2, 'each of which counts');
cmp_ok($stamps[-1] - $stamps[0], '>', 300, 'from its own time on');
is_deeply([ glob("$place/_outflow_sent_*") ], [], 'until all is known');

$node->stop;
done_testing();
