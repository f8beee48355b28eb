# Promise: to another PostgreSQL pg_outflow applies each change once, in order, so
# that tables there are equal to the source's: values of every type, whatever the
# replica identity.
use strict;
use warnings;

use ClientTest;
use OutflowTest;
use OutflowValues;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;

my $seed = $ENV{SEED} || 11;
my $scale = $ENV{SCALE} || 1;
my $source = new_outflow_node('source', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $target = new_target();

note("SEED=$seed SCALE=$scale");
replica_setup($source, $target);
create_slot($source, 'feed');

my $values = OutflowValues->new($seed);
my $applied = 0;

# apply(WHAT, ARGUMENT...): all that happened since
sub apply
{
	my ($what, @arguments) = @_;
	my ($code, $out, $err) = run_client($source, 'feed', '--to', target_url($target), '--endpos=' . current_lsn($source), @arguments);

	is($code, 0, "$what: it ends") or diag(substr($err, -2000));
	check_replica($source, $target, $what);
	return;
}

foreach my $batch ([], ['--batch-bytes=0'], ['--linger=200ms'], ['--queue-bytes=50kB'])
{
	my ($code, $said, $errors) = $source->psql('postgres', random_transactions($values, 150 * $scale), on_error_stop => 0);

	unlike($errors, qr/syntax|does not exist|FATAL/, 'the workload is sound');
	apply("@$batch" || 'as it is', @$batch);
}

# the example of README.md, by a role with the rights that it names
my $set = server_major($target) < 15 ? 'ALTER ROLE apply SUPERUSER' : 'GRANT SET ON PARAMETER session_replication_role TO apply';

$target->safe_psql('postgres', "CREATE ROLE apply LOGIN; $set; DROP SCHEMA outflow_client CASCADE; GRANT CREATE ON DATABASE postgres TO apply;"
	  . ' GRANT USAGE ON SCHEMA r TO apply; GRANT ALL ON ALL TABLES IN SCHEMA r TO apply');
$source->safe_psql('postgres', "INSERT INTO r.parent VALUES (777, 'by the example')");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/540_client_postgres";
my $client = start_readme_command($source, "$log.example", 'pg_outflow stream -d dbname=shop -S orders --to postgresql:',
	'-S orders', '-S feed', 'postgresql://apply@new.example.com/shop', "'" . target_url($target, '&user=apply') . "'");
wait_until($target, q{SELECT count(*) = 1 FROM r.parent WHERE v = 'by the example'}, "README.md's example");
is(stop_client($client), 0, "README.md's example applies");
check_replica($source, $target, 'what it applied');
done_testing();
