# Promise: wherever the server, the catalog or their connection dies while a version
# of a catalog's table is made, versions of before stay what they were, the version
# is there whole or not at all, and no file of one is removed; resume, the same call
# again, or forget with another export, ends with one that is exact, and no file is
# left that none has.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CatalogTest;
use FailpointTest;
use IPC::Run ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $seed = $ENV{OUTFLOW_SEED} // int(rand(1e6));
my $catalog = start_catalog($ENV{OUTFLOW_CATALOG} // die "OUTFLOW_CATALOG is not set: run this test by test/run\n");
my $node = new_outflow_node('kills', conf => "autovacuum = off\noutflow.retries = 0\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my ($lake, $kept, $export, $table);
my ($tables, $rounds) = (0, 0);

need_failpoints($node);
$catalog->make_namespace('shop');
$node->safe_psql('postgres', $catalog->server_sql('cat', q{client_id 'outflow', client_secret 'secret'}, retries => 1)
	  . "CREATE TABLE t AS SELECT i AS id, repeat('f', 90) AS note FROM generate_series(1, 4000) i");

# last_version(): the number of the last one, as the catalog has it
sub last_version
{
	$ENV{LAKE_CATALOG} = "http://127.0.0.1:$catalog->{upstream} shop $table";
	return lake_last($lake);
}

# new_table(): none yet
sub new_table
{
	$table = 't' . ++$tables;
	$lake = "$dir/$table";
	$kept = "$dir/kept_$table";
	mkdir($kept);
	$export = "CALL outflow.export('t', 'file://$lake', format => 'iceberg', part_size => '64kB', workers => 1,"
	  . qq( options => '{"catalog": "cat:shop.$table"}'\));
	return;
}

# keep(VERSION): the table is what that version is to be
sub keep
{
	keep_rows($node, 'id, note) FROM t', "$kept/$_[0]");
	return;
}

# all_are(NAME): every version is what it was, and every file some version's
sub all_are
{
	my ($name) = @_;
	my $last = last_version();

	versions_are('plain', $lake, $kept, [ ($last > 3 ? $last - 3 : 0) .. $last ], "$name: the versions are what they were");
	is_deeply([ lake_files($lake) ], [ files_of_versions($lake) ], "$name: each file is a version's");
	is_deeply([ grep { /\.avro$/ } files_below($lake) ], [ sort map { "metadata/$_" } iceberg_manifests($lake) ], "$name: each manifest, too");
	is_deeply([ grep { /outflow/ } files_below($lake) ], [], "$name: nothing else is left");
	return;
}

# last_job(): its number and state
sub last_job
{
	return split(/\|/, $node->safe_psql('postgres', 'SELECT job, state FROM outflow.jobs ORDER BY job DESC LIMIT 1') || '0|done');
}

# finish(NAME, JOB): by resume, or by forget and another export; how many versions are more
sub finish
{
	my ($name, $job) = @_;
	my $said = $rounds % 2 ? call($node, "SELECT outflow.forget($job)") : undef;

	if (defined $said && $said eq '')
	{
		is(call($node, $export), '', "$name: exported again");
		return 1;
	}
	like($said, qr/not known yet whether export job $job has changed/, "$name: forget waits") if defined $said;
	is(call($node, "CALL outflow.resume($job)"), '', "$name: resumed");
	is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"),
		'ok', "$name: the version stands verification");
	return 0;
}

# round_of(NAME, HOW): a version whose making is disturbed; where that has a job of its
# own, what comes of it; HOW has a failpoint, faults of the catalog, or what does it
sub round_of
{
	my ($name, %how) = @_;
	my $before = (last_job())[0] // 0;
	my $last = last_version();
	my ($said, $now, $job, $state);

	$rounds++;
	$node->safe_psql('postgres', "UPDATE t SET note = '$rounds' || right(note, 80) WHERE id IN ($rounds, 2000 + $rounds)");
	keep($last + 1);
	arm($node, $how{point}, $how{action} // 'crash') if $how{point};
	$catalog->faults(@{ $how{faults} // [] });
	$said = $how{call} ? $how{call}->() : call($node, $export);
	if ($how{point}) { isnt($said, '', "$name: it ends") }
	if ($how{works}) { is($said, '', "$name: it works all the same") }
	$catalog->set('go', '');
	revive($node) if $how{point} || $how{call};
	$catalog->revive;
	$now = last_version();
	($job, $state) = last_job();
	ok($now == $last || $now == $last + 1, "$name: at most one more version");
	versions_are('plain', $lake, $kept, [ ($last > 0 ? $last : 0) .. $now ], "$name: what is there is whole") if $now >= 0;
	if (($job // 0) == $before) { is(call($node, $export), '', "$name: refused at the call, and exported again") }
	elsif ($state ne 'done' && $rounds % 3 == 2)
	{
		is(call($node, $export), '', "$name: the same call again");
		is($node->safe_psql('postgres', q(SELECT count(*) FROM outflow.jobs WHERE state <> 'done')), 0, "$name: no job is left over");
		# a version of the job comes first if it may be there already
		$last++ if last_version() == $last + 2;
		cmp_ok($last, '>=', $now, "$name: the table as it is now");
		keep($last + 1) if last_version() == $last + 1 && !-e "$kept/" . ($last + 1);
	}
	elsif ($state ne 'done')
	{
		keep($now + 1) if $now > $last && $rounds % 2;
		$last++ if finish($name, $job) && $now > $last;
	}
	is(last_version(), $last + 1, "$name: one version of each job");
	all_are($name);
	return;
}

# the server dies, and a step fails
foreach my $first (1, 0)
{
	my $kind = $first ? 'a first version' : 'a next version';

	foreach my $action ('crash', 'error')
	{
		foreach my $point (qw(publish-part lake-manifest catalog-staged lake-commit lake-noted catalog-answered lake-committed
			lake-settle publish-clean done-commit))
		{
			next if $point eq 'catalog-staged' && !$first;
			next if $action eq 'error' && $point =~ /publish|done|settle/;
			new_table() if $first;
			round_of("$kind, $point $action", point => $point, action => $action);
		}
	}
}

# the catalog dies, says no, or what it says is lost
my @steps = ('POST oauth/tokens', 'GET /config', 'GET /tables/t', 'POST /tables$', 'POST /tables/t');
my %works = map { $_ => 1 } ('lost', 'late-500', '409', '503');

foreach my $step (@steps)
{
	foreach my $fault (qw(die late-die lost late-500 503 409 silent))
	{
		my $changes = $step =~ m{POST /tables};

		next if !$changes && $fault =~ /409|silent|late-500|lost/;
		new_table() if $step =~ /tables\$$/ || ($changes && $rounds % 2);
		# one fault that passes is met by another try
		round_of("$step $fault", faults => ["$step $fault"], works => $works{$fault} && !($step =~ /tables\$$/ && $fault eq '409'));
	}
}

# late: what was called an error is done after all, once the catalog was asked, or
# after the job has failed, or beside another try of it
round_of('a late commit', faults => [ "POST /tables/$table late 1", "POST /tables/$table 503 10" ]);
{
	my $last = last_version();
	my $job;

	$node->safe_psql('postgres', 'UPDATE t SET note = note || 1 WHERE id < 10');
	keep($last + 1);
	$catalog->faults("POST /tables/$table late 2");
	like(call($node, $export), qr/could not learn whether.*was changed/, 'two late commits: nobody knows');
	($job) = last_job();
	$catalog->faults();
	is(call($node, "CALL outflow.resume($job)"), '', 'resumed before they are done');
	$catalog->set('go', '');
	Time::HiRes::sleep(0.1) foreach 1 .. 5;
	$catalog->revive;
	is(last_version(), $last + 1, 'whichever is done first, there is one version');
	all_are('two late commits');
}

# a vacuum
foreach my $fault (qw(die late-die lost 409 503 silent late))
{
	my $last;

	foreach (0 .. 1)
	{
		$node->safe_psql('postgres', 'UPDATE t SET note = note WHERE id % 1000 = 0');
		keep(last_version() + 1);
		is(call($node, $export), '', "a version before a vacuum and $fault");
	}
	$last = last_version();
	$catalog->faults("POST /tables/$table $fault" . ($fault =~ /late$/ ? ' 9' : ''));
	my $said = call($node, "SELECT outflow.lake_vacuum('file://$lake', interval '0', 'cat:shop.$table')");
	versions_are('plain', $lake, $kept, [$last], "vacuum $fault: the last version is what it was") if $catalog->lives;
	like($said, qr/No file has been removed|another writer has changed|^$/, "vacuum $fault: it says what is there");
	$catalog->set('go', '');
	Time::HiRes::sleep(0.1) foreach 1 .. 3;
	$catalog->revive;
	last_version();
	versions_are('plain', $lake, $kept, [$last], "vacuum $fault: and when all is done");
	is(call($node, "SELECT outflow.lake_vacuum('file://$lake', interval '0', 'cat:shop.$table')"), '', "vacuum $fault: vacuumed again");
	is_deeply([ lake_files($lake) ], [ sort map { m{([^/]+)$} } iceberg_files($lake, $last) ], "vacuum $fault: what is left is the version's");
	is_deeply([ grep { /\.avro$/ } files_below($lake) ], [ sort map { "metadata/$_" } iceberg_manifests($lake) ], "vacuum $fault: its manifests, too");
}

# at random moments, of tables that have all of their versions
new_table();
diag("OUTFLOW_SEED=$seed");
srand($seed);
foreach my $round (1 .. $ENV{OUTFLOW_ROUNDS} || 20)
{
	my @faults = map { $steps[ rand @steps ] . ' ' . (qw(die midway late-die lost late-500 503 409 late))[ rand 8 ] } 0 .. int(rand(3));
	my $wait = rand() < 0.5 ? rand(0.8) : undef;

	new_table() if rand() < 0.4;
	push @faults, 'POST /tables/t midway' if rand() < 0.5;
	round_of("round $round (@{[ join('; ', @faults) ]}" . ($wait ? sprintf('; the server after %.2f s', $wait) : '') . ')',
		faults => \@faults,
		call => sub {
			my ($session, $told) = start_psql($node, "$export");

			if ($wait)
			{
				Time::HiRes::sleep($wait);
				$node->stop('immediate');
			}
			$session->finish;
			return $$told;
		});
}

$node->stop;
done_testing();
