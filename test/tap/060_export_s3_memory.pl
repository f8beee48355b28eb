# Promise: an export to a store needs no more memory after many requests than after
# a few, while it writes parts and while it publishes them; so no copies of a secret
# pile up, either.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $PARTS = 120;
my $node = new_outflow_node('main', conf => "outflow.retries = 0\nautovacuum = off\n");
my $store = start_fake_s3();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# held_bytes(NAME): of all contexts that are named so, or begin so, in the job's
# processes, while these wait
sub held_bytes
{
	my ($name) = @_;
	my $begin = -s $node->logfile;
	my @pids = split /\n/, sql("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'outflow%'");
	my $sum = 0;
	my $log;

	sql("SELECT pg_log_backend_memory_contexts($_)") foreach @pids;
	foreach my $try (1 .. 600)
	{
		$log = substr(slurp_file($node->logfile), $begin);
		last if (() = $log =~ /Grand total:/g) >= @pids;
		Time::HiRes::sleep(0.1);
	}
	$sum += $1 while $log =~ /\bLOG: .*level: .*?; $name[^:\n]*: .* (\d+) used/g;
	return $sum;
}

# The server's own options are as large as those of a real one
sql($store->server_sql('lake', stall_timeout => 3600));
sql("ALTER USER MAPPING FOR PUBLIC SERVER lake OPTIONS (SET session_token '" . ('t' x 1000) . "')");
sql('CREATE TABLE t (id int, filler text) WITH (fillfactor = 10)');
sql("INSERT INTO t SELECT g, repeat('x', 700) FROM generate_series(1, $PARTS * 16) AS g");

my ($early, $late) = ('000019', sprintf('%06d', $PARTS - 1));
my %held;
$store->faults("hold PUT part-$early");
my $job = sql("SELECT outflow.export_start('t', 'lake:t', workers => 1, part_size => '128kB')");
foreach my $number ($early, $late)
{
	wait_for_line("$store->{dir}/log", qr/^PUT \S*part-$number/m);
	$held{$number} = held_bytes('outflow');
	$store->faults($number eq $early ? "hold PUT part-$late" : 'hold PUT _SUCCESS');
}
cmp_ok($held{$early}, '>', 0, 'a job holds memory');
cmp_ok($held{$late} - $held{$early}, '<', ($late - $early) * 200, 'but not for each part that it has written');
wait_for_line("$store->{dir}/log", qr/^PUT \S*_SUCCESS/m);
my $published = held_bytes('outflow export attempt');
cmp_ok($published, '<', 200_000 + $PARTS * 2000, 'nor does its publication for each part');
diag("bytes held: early $held{$early}, late $held{$late}, at the end $published");
$store->faults();
wait_until($node, "SELECT state = 'done' FROM outflow.jobs WHERE job = $job", 'the end of the job');
$node->stop;
done_testing();
