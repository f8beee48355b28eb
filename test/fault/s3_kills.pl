# Promise: whoever of worker, coordinator, server and store is killed while an
# export goes to an S3 store, it is resumed to all rows of one moment, and neither
# an object nor an upload of an earlier attempt is left.
#
# OUTFLOW_ROUNDS is how often (10), S3_SEED starts the random numbers.
use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;
use Time::HiRes qw(sleep);

my $seed = $ENV{S3_SEED} || 4711;
my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $node = new_outflow_node('s3', conf => "restart_after_crash = on\noutflow.retries = 1\nautovacuum = off\n"
	  . "shared_preload_libraries = 'outflow'\noutflow.rate_limit = '4MB'\n");
my $store = start_s3('versitygw');
my @whom = ('worker', 'coordinator', 'server', 'store');
my %killed = map { $_ => 0 } @whom;

srand($seed);
diag("S3_SEED=$seed");

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub try_sql
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $statement ], '<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	return $out;
}

sql(<<'EOS');
CREATE TABLE large (id int, payload text);
ALTER TABLE large ALTER payload SET STORAGE EXTERNAL;
INSERT INTO large SELECT g, string_agg(md5(g || '/' || i), '') FROM generate_series(1, 400) g, generate_series(1, 1000) i GROUP BY g ORDER BY g;
EOS
sql(s3_server_sql('lake', $store, retries => 1, stall_timeout => 5, connect_timeout => 2, chunk_size => '5MB', max_copy_size => '6MB'));

sub kill_one
{
	my ($whom) = @_;

	if ($whom eq 'store')
	{
		kill_s3($store);
		sleep(rand(1));
		restart_s3($store);
	}
	elsif ($whom eq 'server')
	{
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		my $pid = '';

		foreach my $try (1 .. 10)
		{
			$pid = try_sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'outflow $whom' ORDER BY random() LIMIT 1");
			last if $pid;
			sleep(0.05);
		}
		return 0 unless $pid =~ /^\d+$/;
		kill 'KILL', $pid;
	}
	$killed{$whom}++;
	return 1;
}

# rows_now(): what the audit of an export of this moment says
sub rows_now
{
	return sha256_hex(join("\n", sort split(/\n/, sql('COPY large TO STDOUT (FORMAT csv)'))));
}

sub state
{
	my ($job) = @_;

	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	$node->poll_query_until('postgres', "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job")
	  or die 'the job does not end';
	return sql("SELECT state FROM outflow.jobs WHERE job = $job");
}

foreach my $round (1 .. $rounds)
{
	# one part of eight chunks, or several of one and of two
	my $size = $round % 3 ? '4MB' : '1GB';
	my $job = sql("SELECT outflow.export_start('large', 'lake:$round', part_size => '$size', workers => 2)");
	my @moments = (rows_now());
	my @done;

	foreach my $kill (1 .. 1 + int(rand(3)))
	{
		my $whom = $whom[ ($round + $kill) % @whom ];

		if ($kill > 1 && rand() < 0.7)
		{
			last if state($job) eq 'done';
			if (rand() < 0.4)
			{
				sql("UPDATE large SET payload = reverse(payload) WHERE id = 1 + $round % 400");
				push @moments, rows_now();
			}
			try_sql("SELECT outflow.resume_start($job)");
		}
		sleep(rand(0.8));
		push @done, $whom . (kill_one($whom) ? '' : ' (gone)');
	}
	foreach my $try (1 .. 6)
	{
		last if state($job) eq 'done';
		try_sql("CALL outflow.resume($job)");
	}
	my $title = "round $round, $size, killed " . join(', ', @done);
	my $audit = JSON::PP::decode_json(s3_client($store, 'audit', "$round/"));

	is(state($job), 'done', "$title: done");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', "$title: verified");
	is_deeply(
		[ grep { !m{^$round/(part-\d+\.csv|_SUCCESS|_manifest\.json)$} } @{ $audit->{keys} } ], [], "$title: no other object");
	is_deeply($audit->{uploads}, [], "$title: no upload");
	ok((grep { $audit->{lines} eq $_ } @moments), "$title: all rows of one moment");
}
foreach my $whom (@whom)
{
	cmp_ok($killed{$whom}, '>', 0, "$whom was killed $killed{$whom} times");
}

$node->stop;
done_testing();
