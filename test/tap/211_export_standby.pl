# Promise: on a standby an export is refused with the reason, what the primary
# did can be read, and after a promotion exports run; what was the primary's is
# taken over by its owner's will.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_outflow_node('primary');
my $dir = new_export_dir();

$primary->safe_psql('postgres', 'CREATE TABLE t AS SELECT 1 AS a');
$primary->safe_psql('postgres', "CALL outflow.export('t', 'file://$dir/a')");
$primary->safe_psql('postgres', "CALL outflow.export('t', 'file://$dir/lake', format => 'delta')");
$primary->backup('backup');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

foreach my $call (
	"CALL outflow.export('t', 'file://$dir/b')",
	"CALL outflow.export('t', 'file://$dir/b', workers => 0)",
	"CALL outflow.export_tables('{t}', 'file://$dir/b')",
	"CALL outflow.export_schema('public', 'file://$dir/b')",
	"CALL outflow.export_publication('none', 'file://$dir/b')",
	"CALL outflow.export_query('TABLE t', 'file://$dir/b')",
	"SELECT outflow.export_start('t', 'file://$dir/b')",
	'CALL outflow.resume(1)',
	'SELECT outflow.resume_start(1)',
	'SELECT outflow.run_queue()',
	'SELECT outflow.cancel(1)',
	'SELECT outflow.forget(1)',
	"SELECT outflow.prune('file://$dir/', 1)",
	"SELECT outflow.lake_vacuum('file://$dir/lake')",
	'SELECT outflow.heartbeat()',
	'SELECT outflow.capture_ddl(true)')
{
	my ($code, $out, $err) = $standby->psql('postgres', $call);
	my ($name) = $call =~ /(outflow\.\w+)/;

	like($err, qr/ERROR:  cannot execute \Q$name\E on a standby\nHINT:  Call it on the primary server\./, "refused: $call");
}
ok(!-e "$dir/b", 'nothing was made');
is($standby->safe_psql('postgres', "SELECT * FROM outflow.check_destination('file://$dir/tried') WHERE NOT ok"),
	'write|f|cannot execute outflow.check_destination on a standby|Call it on the primary server.',
	'check_destination tries what can be tried');
is($standby->safe_psql('postgres', 'SELECT state, rows FROM outflow.jobs WHERE job = 1'),
	'done|1', 'the jobs of the primary are seen');
is( $standby->safe_psql('postgres',
		q{SELECT ok FROM outflow.preflight() WHERE item = 'primary server'}),
	'f',
	'preflight says so');

$standby->promote;
$standby->safe_psql('postgres', "CALL outflow.export('t', 'file://$dir/b')");
is(slurp_file("$dir/b/part-000000.csv"), "1\n", 'promoted: exports run');

my $version = "CALL outflow.export('t', 'file://$dir/lake', format => 'delta'";
like(($standby->psql('postgres', "$version)"))[2], qr/ERROR: .*is not this server's\nDETAIL:  A server with the same past/,
	"it does not go on with the primary's lake table by itself");
$standby->safe_psql('postgres', qq{$version, options => '{"overwrite": true}')});
$standby->safe_psql('postgres', "$version)");
is($standby->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('file://$dir/lake')"), 3, 'but when it was taken over');

done_testing();
