# Promise: whoever may not write outside outflow.export_root, or faster than
# outflow.rate_limit, finds no way around: not by a connection's options, a
# role's or database's settings, a SET that came before the library, or a
# worker.  Where the limit can't be told, nothing is exported, and no directory
# is made.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = new_export_dir();
my $outside = new_export_dir();
my $node = new_outflow_node('limits', conf => "outflow.export_root = '$root'\n");

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE alice LOGIN IN ROLE pg_write_server_files;
CREATE ROLE bob LOGIN IN ROLE alice;
CREATE ROLE chief SUPERUSER LOGIN;
CREATE SCHEMA alice AUTHORIZATION alice;
CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) AS i;
GRANT SELECT ON t TO PUBLIC;
EOS

# run(ROLE, OPTIONS, SQL): what a session says that connects with OPTIONS
sub run
{
	my ($role, $options, $sql) = @_;

	local $ENV{PGOPTIONS} = $options;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql,
		extra_params => [ '-U', $role ]);
	return $stderr;
}

my $exports = 0;

# to(DIRECTORY, MORE): a CALL that exports to a new directory there
sub to
{
	my ($directory, $more) = @_;

	$exports++;
	return "CALL outflow.export('t', 'file://$directory/$exports'" . ($more // '') . ');';
}

my @ways = ('', ', workers => 0');
my $unsure = qr/ERROR:  setting "outflow\.\w+" has a value that cannot be used/;
my $not_beneath = qr/is not beneath the export root/;

foreach my $way (@ways)
{
	is(run('alice', '', to($root, $way)), '', "beneath the root$way");
	like(run('alice', '', to($outside, $way)), $not_beneath, "outside$way");
	foreach my $options ('-c outflow.export_root=/', '-c outflow.export_root=',
		"-c outflow.export_root=$outside", '-c OUTFLOW.Export_Root=/',
		'-c outflow.rate_limit=0', '-c outflow.rate_limit=2TB')
	{
		like(run('alice', $options, to($outside, $way)), $unsure,
			"options $options$way");
		like(run('alice', $options, to($root, $way)), $unsure,
			'... nor can it be told what is beneath the root');
		like(run('alice', $options, "SET outflow.export_root = '$root';"
				  . " RESET outflow.export_root; DISCARD ALL; SELECT outflow.run_queue();"
				  . to($outside, $way)),
			$unsure, '... whatever is set afterwards');
	}
	like(run('alice', '', "SET outflow.export_root = '/'; " . to($outside, $way)),
		$not_beneath, "SET before the library is loaded$way");
	unlike(run('alice', '', "SET outflow.export_root = '/'; " . to($root, $way)),
		qr/ERROR/, '... leaves the limit');
	like(run('alice', '', 'BEGIN; SET LOCAL outflow.export_root = $$/$$;'
			  . ' SAVEPOINT s; SET outflow.export_root = $$$$; ROLLBACK TO s;'
			  . " SELECT outflow.export_start('t', 'file://$outside/tx')"),
		$not_beneath, 'SET LOCAL and ROLLBACK TO');
	like(run('alice', '', "CREATE FUNCTION alice.f() RETURNS int LANGUAGE sql"
			  . q{ SET outflow.export_root = '/' AS 'SELECT 1'}),
		qr/permission denied to set parameter/, 'a function of alice\'s own');
	like(run('alice', '', 'ALTER ROLE alice SET outflow.export_root = $$/$$'),
		qr/permission denied to set parameter/, 'a setting of alice\'s own');
}

# the ways of superusers are open
is(run('chief', "-c outflow.export_root=$outside/chief", to("$outside/chief", ', workers => 0')), '',
	'a superuser\'s connection') if mkdir "$outside/chief";
$node->safe_psql('postgres', "ALTER ROLE alice SET outflow.export_root = '$root/alice'");
mkdir "$root/alice";
foreach my $way (@ways)
{
	is(run('alice', '', to("$root/alice", $way)), '', "a role's own root$way");
	like(run('alice', '', to($root, $way)), $not_beneath, '... is narrower');
	like(run('alice', '-c outflow.export_root=/', to($outside, $way)), $unsure,
		'... and not passed over');
}
# bob's session has the server's root, a job as alice hers
like(run('bob', '', 'SET ROLE alice; ' . to("$root/made")), $not_beneath,
	'a worker keeps to its owner\'s root');
ok(!-e "$root/made", '... and nobody has made the directory before');

# what a superuser did by mistake hides the server's value, too
$node->safe_psql('postgres', 'ALTER ROLE alice RESET ALL;'
	  . ' ALTER DATABASE postgres SET outflow.rate_limit = 0');
like(run('alice', '', to($root)), $unsure, 'a database\'s setting that may not be set there');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');
is(run('alice', '', to($root)), '', '... until it is gone');

# loaded early, by one way or another
$node->safe_psql('postgres', q{ALTER ROLE alice SET session_preload_libraries = 'outflow'});
like(run('alice', '-c outflow.export_root=/', to($outside)), $unsure,
	'session_preload_libraries');
$node->safe_psql('postgres', 'ALTER ROLE alice RESET ALL');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'outflow'\n");
$node->restart;
like(run('alice', '-c outflow.export_root=/', to($outside)),
	qr/permission denied to set parameter/, 'shared_preload_libraries');
is(run('alice', '', to($root)), '', '... and an export within the limits');

# a function of whoever's may load it in the middle of a parallel operation
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
$node->safe_psql('postgres', q{CREATE FUNCTION loads(OUT text, OUT text, OUT boolean, OUT bigint, OUT bigint, OUT bigint, OUT bigint)
	LANGUAGE c PARALLEL RESTRICTED AS 'outflow', 'outflow_preflight_library';
	CREATE FUNCTION loads_late() RETURNS void LANGUAGE plpgsql PARALLEL RESTRICTED AS 'BEGIN PERFORM loads(); END'});
my $parallel = server_major($node) < 16 ? 'force_parallel_mode' : 'debug_parallel_query';
my $loads = "SET $parallel = regress; SELECT FROM loads_late(); RESET $parallel; ";
is(run('alice', '', $loads . to($root, $_)), '', "loaded by a parallel query, an export within the limits$_") foreach @ways;
like(run('alice', '', $loads . to($outside, $_)), $not_beneath, "... and none outside$_") foreach @ways;
like(run('alice', '-c outflow.export_root=/', $loads . to($outside, $_)), $unsure, "... whatever options say$_") foreach @ways;

# a limit that the server could not understand is no limit to go without
$node->append_conf('postgresql.conf', "outflow.rate_limit = 'often'\n");
$node->restart;
foreach my $way (@ways)
{
	like(run('postgres', '', to($root, $way)), $unsure, "nonsense in the file$way");
}
is($node->safe_psql('postgres', 'SELECT string_agg(item, $$,$$) FROM outflow.preflight()'
		  . " WHERE NOT ok AND item ~ '^outflow'"),
	'outflow.rate_limit', '... of which preflight tells');

is_deeply([ grep { !/^chief/ } files_below($outside) ], [], 'nothing lies outside');
opendir(my $handle, $outside) or die;
is(join(',', grep { !/^\./ } readdir $handle), 'chief', '... not even a directory');
$node->stop;
done_testing();
