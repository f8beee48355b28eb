# Promise: a slot whose plugin is named outflow_wal2json, or wal2json where the
# library lies under that name too, speaks wal2json without being asked to, and
# the server need not allow any other name of ours.
use strict;
use warnings;

use File::Temp ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('names');
my $change = '{"change":[{"kind":"insert","schema":"public","table":"t",'
  . '"columnnames":["id"],"columntypes":["integer"],"columnvalues":[1]}]}';

# allow(PLUGIN): this one alone, where the server has a list of them
sub allow
{
	my ($plugin) = @_;
	my $setting = 'output_plugin_libraries';

	return unless $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_settings WHERE name = '$setting'");
	$node->safe_psql('postgres', "ALTER SYSTEM SET $setting = $plugin");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$setting') = '$plugin'");
	return;
}

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY)');
# where a wal2json is installed, ours is found first
my $directory = File::Temp::tempdir(TMPDIR => 1, CLEANUP => 1);
symlink($node->config_data('--pkglibdir') . '/outflow.so', "$directory/wal2json.so")
  or die "symlink: $!";
$node->append_conf('postgresql.conf', "dynamic_library_path = '$directory:\$libdir'");
$node->reload;

foreach my $plugin ('outflow_wal2json', 'wal2json')
{
	allow($plugin);
	$node->safe_psql('postgres', <<"EOS");
SELECT FROM pg_create_logical_replication_slot('named', '$plugin');
TRUNCATE t;
INSERT INTO t VALUES (1);
EOS
	my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');

	# in a backend that has the library by its first name, too
	is( $node->safe_psql('postgres', <<'EOS'), $change, "$plugin through SQL");
SELECT count(*) AS loaded FROM outflow_internal.preflight_library() \gset
SELECT data FROM pg_logical_slot_peek_changes('named', NULL, NULL, 'include-empty-transaction', 'off', 'add-tables', 'public.t');
EOS
	my ($received) = run_command(
		[
			'pg_recvlogical', '--dbname', $node->connstr('postgres'), '--slot',
			'named', '--start', '--no-loop', '--endpos', $end, '--file', '-' ]);
	like($received, qr/^\Q$change\E$/m, "$plugin through a walsender");
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('named')");
}

$node->stop;
done_testing();
