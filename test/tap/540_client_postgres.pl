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
done_testing();
