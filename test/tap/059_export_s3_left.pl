# Promise: what an export in its session leaves in a store when its server is killed
# is in nobody's way: the next export removes it, whatever may still come.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('left', conf => "outflow.retries = 0\nautovacuum = off\n");
my $store = start_fake_s3();
my $told = qr/NOTICE:  what an export had left in ".*" is removed\nDETAIL:  .*\.outflow-/;
my $refused = qr/ERROR:  another export is writing to destination ".*If no server knows it, remove the directory/s;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said_by { return ($node->psql('postgres', $_[0]))[2]; }
sub staged { return join(' ', grep { /\.outflow-/ } split(/ /, $store->keys($_[0]))); }
sub rows { return sql('COPY t TO STDOUT (FORMAT csv)') . "\n"; }
sub inline { return "CALL outflow.export('t', 'lake:$_[0]', format => '$_[1]', workers => 0)"; }

# begun(CALL, FAULT, PATTERN): a session that waits at such a request
sub begun
{
	my ($call, $fault, $pattern) = @_;

	$store->forget_requests;
	$store->faults($fault);
	my ($session, $said) = start_psql($node, $call);
	foreach my $try (1 .. 600)
	{
		last if $store->asked($pattern);
		die "not asked: $pattern\n$$said" if $try == 600;
		Time::HiRes::sleep(0.1);
	}
	return ($session, $said);
}

# killed(CALL, FAULT, PATTERN): it is, and with it the server
sub killed
{
	my ($session) = begun(@_);

	kill('KILL', sql(q(SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL%' AND state = 'active' AND pid <> pg_backend_pid())));
	$session->finish;
	$node->stop('immediate', fail_ok => 1);
	$node->start;
	return;
}

sql('CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 3000) AS g');
sql($store->server_sql('lake', stall_timeout => 3600));
# the same store by another name, which no lock of the other one covers
sql($store->server_sql('alias', endpoint => "http://localhost:$store->{port}", stall_timeout => 3600));

# a part on its way, and one that is being copied to its key
my $place = 'p0';
foreach my $step ([ 'hang PUT part-', '^PUT \S*part-' ], [ 'hang copy', ' copy$' ])
{
	foreach my $next ("CALL outflow.export('t', 'lake:%s', workers => 0)", "CALL outflow.export('t', 'lake:%s')", "CALL outflow.export_query('SELECT * FROM t', 'lake:%s')", "CALL outflow.export('t', 'alias:%s')")
	{
		my $call = sprintf($next, ++$place);

		killed(inline($place, 'csv'), @$step);
		$store->faults();
		isnt(staged($place), '', "$step->[0], $call: something was left");
		my $said = said_by($call);
		unlike($said, qr/ERROR/, "$step->[0], $call: succeeds");
		like($said, $told, "$step->[0], $call: and tells what it removes");
		is(staged($place), '', "$step->[0], $call: all of it");
		is($store->uploads, '', "$step->[0], $call: uploads, too");
		is($store->content("$place/"), rows(), "$step->[0], $call: and is the table");
	}
}

# somebody's
$store->s3('PUT', "$_/.outflow-00000000-0000-4000-8000-000000000000/part-000000.csv", 'theirs') foreach qw(others nobodys);
$store->s3('PUT', 'others/.outflow-00000000-0000-4000-8000-000000000000/_owner', 'theirs');
foreach my $whose (qw(others nobodys))
{
	my $before = $store->keys($whose);

	like(said_by(inline($whose, 'csv')), $refused, "$whose: refused");
	is($store->keys($whose), $before, "$whose: nothing is removed");
}

# one that is alive: by the same way there, and by another
my ($session, $said) = begun(inline('live', 'csv'), 'hold PUT part-', '^PUT \S*part-');
my $before = $store->keys('live');
foreach my $server (qw(lake alias))
{
	like(said_by("CALL outflow.export('t', '$server:live', workers => 0)"), $refused, "alive, by $server: refused");
}
is($store->keys('live'), $before, 'alive: nothing is removed');
$store->faults();
$session->finish;
unlike($$said, qr/ERROR/, 'alive: comes to its end');
is($store->content('live/'), rows(), 'alive: and is the table');

# files that no version has, which a clone of this server could be about to give one,
# and a version that may still come
sql(inline('delta', 'delta'));
foreach my $case ([ 'hang copy', ' copy$', 0 ], [ 'hang PUT _delta_log', '^PUT \S*_delta_log', 1 ])
{
	my ($fault, $pattern, $may_come) = @$case;

	sql(q(UPDATE t SET t = md5(t)));
	killed(inline('delta', 'delta'), $fault, $pattern);
	$store->faults();
	my ($uuid) = staged('delta') =~ /\.outflow-([0-9a-f-]{36})/;
	my $answer = said_by(inline('delta', 'delta'));
	unlike($answer, qr/ERROR/, "delta, $fault: the next call succeeds");
	like($answer, $told, "delta, $fault: and tells what it removes");
	is(staged('delta'), '', "delta, $fault: all of it");
	my @its = grep { /$uuid/ } split(/ /, $store->keys('delta'));
	if ($may_come)
	{
		cmp_ok(scalar(grep { /part-/ } @its), '>', 0, "delta, $fault: files stay that a version may name");
		is(scalar(grep { /_outflow_sent_/ } @its), 1, "delta, $fault: and what says until when");
	}
	else
	{
		is(scalar(grep { !/part-/ } @its), 0, "delta, $fault: but for files of no version");
	}
}

# no table is there, and one may come
killed(inline('new', 'delta'), 'hang PUT _delta_log', '^PUT \S*_delta_log');
$store->faults();
my $all = $store->keys('new');
like(said_by(inline('new', 'delta')), qr/ERROR:  it is not known yet whether an export that was killed has made the Delta table in "lake:new"/, 'delta, a first version that may come: refused');
is($store->keys('new'), $all, 'delta, a first version that may come: nothing is removed');
my ($note) = $all =~ /(\S+_outflow_sent_\S+)/;
my ($its) = $note =~ /_outflow_sent_(.*)/;
$store->s3('PUT', $note, '1000');
unlike(said_by(inline('new', 'delta')), qr/ERROR/, 'delta, a first version that comes no more: the next call succeeds');
unlike($store->keys('new'), qr/$its/, 'delta, a first version that comes no more: nothing is left');

# many tables, and the next export has others: with one that may come, and that comes no more
sql('CREATE TABLE u AS SELECT 1 AS id; CREATE TABLE "Odd/Ü" AS SELECT 2 AS id');
my $many = sub { return "CALL outflow.export_tables(ARRAY[$_[0]]::regclass[], 'lake:many', format => '$_[1]', workers => 0)"; };
killed($many->(q('"Odd/Ü"', 'u'), 'delta'), 'hang PUT _delta_log', '^PUT \S*_delta_log');
$store->faults();
$all = $store->keys('many');
like($all, qr{many/public\.%404fdd%402f%40c3%409c/part-}, 'many: a file in the folder of a table');
like(said_by($many->("'u'", 'delta')), qr/ERROR:  it is not known yet whether an export that was killed has made the Delta table in "lake:many.public\.\@4fdd/, 'many, a version that may come: refused');
is($store->keys('many'), $all, 'many, a version that may come: nothing is removed');
like(said_by($many->("'u'", 'csv')), $refused, 'many, a version that may come: so is another format');
is($store->keys('many'), $all, 'many, a version that may come: nothing is removed by it');
($note) = $all =~ /(\S+_outflow_sent_\S+)/;
$its = $note =~ s/.*_outflow_sent_//r;
$store->s3('PUT', $note, '1000');
unlike(said_by($many->("'u'", 'delta')), qr/ERROR/, 'many, versions that come no more: the next call of others succeeds');
unlike($store->keys('many'), qr/$its/, 'many, versions that come no more: nothing is left');

is(sql(q(SELECT count(*) FROM outflow.lake_versions('lake:delta'))), 3, 'delta: a version of each call that came to its end');
is(sql(q(SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify((SELECT max(job) FROM outflow.jobs), 'full'))), 'ok', 'delta: verified');

$node->stop;
done_testing();
