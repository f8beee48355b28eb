# Promise: a publication's tables are moved to another server while they are
# written: the export is restored there, the stream goes on after it, and the
# tables are equal, with no gap and nothing twice.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use OutflowTest;
use OutflowValues;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;

my $seed = $ENV{SEED} || 7;
my $source = new_outflow_node('source', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $target = new_target();
my $log = "${PostgreSQL::Test::Utils::tmp_check}/543_client_postgres_handover";
my $place = new_export_dir();
my $values = OutflowValues->new($seed);

note("SEED=$seed");
replica_setup($source, $target);

# start_workload(TRANSACTIONS): a session that writes
sub start_workload
{
	my ($transactions) = @_;
	my $script = "$log.$transactions.sql";

	append_to_file($script, random_transactions($values, $transactions));
	return IPC::Run::start([ 'psql', '-X', '-q', '-d', $source->connstr('postgres'), '-f', $script ], '<', \undef, '>', \my $said, '2>', \my $errors);
}

start_workload(300)->finish;
$source->safe_psql('postgres', 'CREATE PUBLICATION move FOR TABLES IN SCHEMA r');

my $writer = start_workload(800);
my $job = $source->safe_psql('postgres', "CALL outflow.export_publication('move', 'file://$place', slot => 'move')");
start_workload(50)->finish;
my $script = $source->safe_psql('postgres', "SELECT outflow.restore_script($job)");

$target->safe_psql('postgres', "SET session_replication_role = replica; $script");

my $client = start_client($source, 'move', $log, '--to', target_url($target), "--after-job=$job", '-o', 'publication_names=move');
wait_for_line($log, qr/streaming slot "move"/);
kill_client($client);
$writer->finish;
my ($code, undef, $err) = run_client($source, 'move', '--to', target_url($target), "--after-job=$job", '-o', 'publication_names=move', '--endpos=' . current_lsn($source));
is($code, 0, 'it comes to the end') or diag($err);
check_replica($source, $target, 'moved while it was written');
done_testing();
