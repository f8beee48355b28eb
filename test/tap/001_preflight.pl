# Promise: preflight() names what a plain server lacks, and what it says to do
# makes the server ready: afterwards the plugin may be used.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# a server as it comes, without the settings of the other tests
delete $ENV{TEMP_CONFIG};
my $node = PostgreSQL::Test::Cluster->new('plain');
$node->init;
$node->append_conf('postgresql.conf', <<'EOC');
wal_level = minimal
max_replication_slots = 0
max_wal_senders = 0
max_worker_processes = 2
EOC
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION outflow');

# not_ok(): the items that are not in order
sub not_ok
{
	return $node->safe_psql('postgres',
		q{SELECT item FROM outflow.preflight() WHERE NOT ok AND item !~ '^disk'});
}

my $listed = $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'");
my $expected = "wal_level\nmax_replication_slots\nmax_wal_senders\n"
  . 'max_worker_processes';
$expected = "output_plugin_libraries\n$expected" if $listed;
is(not_ok(), $expected, 'a plain server lacks what it lacks');

# do what it says, with a table and a slot to be mended: each fix is one query, in
# a session of its own, as a driver or psql -c sends it
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE no_key (id int);
CREATE TABLE long (id int PRIMARY KEY, t text);
ALTER TABLE long ALTER t SET STORAGE EXTERNAL;
INSERT INTO long VALUES (1, repeat('x', 10000));
CREATE PUBLICATION all_of_them FOR ALL TABLES;
EOC
sub paste_fixes
{
	foreach my $fix (split(/\n/, $node->safe_psql('postgres',
		q{SELECT fix FROM outflow.preflight() WHERE fix IS NOT NULL})))
	{
		command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $fix ],
			"runs as it stands: $fix");
	}
	return;
}
paste_fixes();
$node->restart;
is(not_ok(), '', 'after its own fixes nothing is missing');
is($node->safe_psql('postgres', q{SELECT ok, detail FROM outflow.preflight() WHERE item = 'outflow.export_root'}),
	't|/srv/export', 'a choice was made, too');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL; DROP PUBLICATION all_of_them');

# what can lose something is told and not done
create_slot($node, 'idle');
paste_fixes();
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), '1', 'no fix drops a slot');
is($node->safe_psql('postgres', 'SHOW max_slot_wal_keep_size'), '-1', 'no fix makes slots be lost');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('idle'); ALTER DATABASE postgres RESET ALL});

# the longest list that the fix had to keep whole
if ($listed)
{
	$node->safe_psql('postgres',
		q{ALTER SYSTEM SET output_plugin_libraries = pgoutput, '$libdir/a b'});
	$node->reload;
	$node->poll_query_until('postgres',
		q{SELECT current_setting('output_plugin_libraries') ~ 'a b'});
	like(
		$node->safe_psql('postgres',
			q{SELECT fix FROM outflow.preflight() WHERE NOT ok}),
		qr{= pgoutput, "\$libdir/a b", outflow;},
		'the fix keeps the libraries that were listed');

	# under its other name alone
	$node->safe_psql('postgres',
		'ALTER SYSTEM SET output_plugin_libraries = outflow_wal2json');
	$node->reload;
	$node->poll_query_until('postgres',
		q{SELECT current_setting('output_plugin_libraries') = 'outflow_wal2json'});
	is(not_ok(), '', 'the name for consumers of wal2json is enough');
}

# logical decoding on demand: wal_level = replica is enough from 19 on
sub wal_level
{
	return $node->safe_psql('postgres',
		q{SELECT ok, detail, fix FROM outflow.preflight() WHERE item = 'wal_level'});
}

$node->safe_psql('postgres', $_)
  foreach 'ALTER SYSTEM SET wal_level = replica',
  'ALTER SYSTEM SET output_plugin_libraries = outflow' x !!$listed;
$node->restart;
if (server_major($node) < 19)
{
	is(wal_level(), 'f|replica|ALTER SYSTEM SET wal_level = logical; -- then restart the server',
		'before 19 replica is not enough');
}
else
{
	my $export = new_export_dir();

	is(wal_level(), 't|replica|', 'replica is enough');
	$node->safe_psql('postgres', <<"EOC");
CREATE TABLE t (id int PRIMARY KEY, big text);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
INSERT INTO t VALUES (1, repeat('x', 3000));
CREATE PUBLICATION shop FOR TABLE t;
EOC
	$node->safe_psql('postgres',
		"CALL outflow.export_publication('shop', 'file://$export/shop', slot => 'shop')");
	is(wal_level(), 't|replica, at present logical|', 'the first slot raises it');
	is(slurp_file("$export/shop/public.t/part-000000.csv"), '1,' . 'x' x 3000 . "\n", 'an export with a slot');
	$node->safe_psql('postgres', q{SELECT outflow.capture_ddl(true)});
	$node->safe_psql('postgres', 'ALTER TABLE t ADD n int');
	$node->safe_psql('postgres', 'UPDATE t SET n = 2; DELETE FROM t');
	is(join(' ', map { $_->{op} . ($_->{unchanged} ? " without @{ $_->{unchanged} }" : '') }
			  slot_records($node, 'shop', { publication_names => 'shop',
				after_snapshot => $node->safe_psql('postgres', 'SELECT snapshot FROM outflow.jobs'),
				include_transactions => 'off', include_schemas => 'off' })),
		'ddl update without big delete', 'and its stream, with captured DDL');
	$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('shop')});
	$node->poll_query_until('postgres', q{SELECT current_setting('effective_wal_level') = 'replica'});
	is(wal_level(), 't|replica|', 'after the last slot it falls again');
	$node->safe_psql('postgres', 'ALTER TABLE t ADD m int');
	create_slot($node, 'again');
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
	is(join(' ', map { $_->{op} } slot_records($node, 'again', { include_transactions => 'off' })),
		'schema insert', 'a new slot raises it once more');
}

$node->stop;
done_testing();
