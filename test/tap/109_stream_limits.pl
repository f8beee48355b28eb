# Promise: a replication connection whose options hold a setting of ours, of a role
# that may set it or not, gets an answer: what a connection that asks with SQL gets.
# Its commands load the library outside of any transaction.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
my $dir = new_export_dir();
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE ROLE reader LOGIN REPLICATION;
CREATE ROLE trusted LOGIN REPLICATION;
GRANT SELECT ON t TO reader, trusted;
GRANT pg_write_server_files TO reader, trusted;
GRANT SET ON PARAMETER outflow.mask_columns, outflow.export_root TO trusted;
SQL
create_slot($node, 'feed');
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

# receive(ROLE, OPTIONS): what pg_recvlogical says, its records among it
sub receive
{
	my ($role, $options) = @_;
	my ($out, $err) = ('', '');

	$node->safe_psql('postgres', q{DELETE FROM t; INSERT INTO t VALUES (1, 'canary')});
	my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');

	local $ENV{PGOPTIONS} = $options;
	IPC::Run::run([ 'pg_recvlogical', '--start', '--no-loop', '--file=-', '--slot=feed', "--endpos=$end",
			'--dbname=' . $node->connstr('postgres') . " user=$role" ],
		'>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return $out . $err;
}

# command(ROLE, OPTIONS, COMMAND...): one replication connection, what psql says
sub command
{
	my ($role, $options, @commands) = @_;
	my ($out, $err) = run_command([ 'psql', '-XqAt', '-d', $node->connstr('postgres')
			  . " user=$role replication=database options='$options'", map { ('-c', $_) } @commands ]);

	return $out . $err;
}

my $lost = qr/ERROR:  setting "outflow\.mask_columns" has a value that cannot be used/;
my $create = "CREATE_REPLICATION_SLOT tmp TEMPORARY LOGICAL outflow (SNAPSHOT 'nothing')";
my $exports = 0;
my $export = sub { return "CALL outflow.export('t', 'file://$dir/" . ++$exports . "')" };
my $peek = q{SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL)};
my @masks = ('-c outflow.mask_columns=', '-c outflow.mask_columns=public.t.v=null');

foreach my $options (@masks)
{
	like(receive('reader', $options), $lost, "START_REPLICATION, $options");
	# a new slot has no values yet, but its session goes on
	foreach my $how ("(SNAPSHOT 'nothing')", "(SNAPSHOT 'export')", '')
	{
		my $said = command('reader', $options, "CREATE_REPLICATION_SLOT tmp TEMPORARY LOGICAL outflow $how", $peek, $export->());

		like($said, qr/^tmp\|/, "CREATE_REPLICATION_SLOT $how, $options");
		like($said, qr/$lost.*$lost/s, '... and neither a stream nor an export after it');
	}
	like(command('reader', $options, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
			"CREATE_REPLICATION_SLOT tmp TEMPORARY LOGICAL outflow (SNAPSHOT 'use')", 'SELECT count(*) FROM t', 'COMMIT', $export->()),
		qr/^tmp\|.*^1.*$lost/ms, '... and in a transaction');
}

# export_root limits exports alone
my $options = '-c outflow.export_root=/';
like(receive('reader', $options), qr/"new":\{"id":1,"v":"canary"\}/, "START_REPLICATION, $options");
like(command('reader', $options, $create), qr/^tmp\|/, "CREATE_REPLICATION_SLOT, $options");
like(command('reader', $options, "CREATE_REPLICATION_SLOT tmp TEMPORARY LOGICAL outflow (SNAPSHOT 'export')", 'SELECT 1'),
	qr/^tmp\|.*^1/ms, '... with a snapshot');
like(command('reader', $options, $create, $export->()),
	qr/ERROR:  setting "outflow\.export_root" has a value that cannot be used/, '... and an export after it');

# whom a superuser trusts with them
like(receive('trusted', $masks[1]), qr/"new":\{"id":1,"v":null\}/, 'START_REPLICATION with a mask of one\'s own');
like(receive('trusted', $masks[0]), qr/"v":"canary"/, '... with none');
like(command('trusted', $masks[1], $create, 'SHOW outflow.mask_columns'), qr/^tmp\|.*must be superuser|^tmp\|.*permission denied/s,
	'CREATE_REPLICATION_SLOT');
like(command('trusted', "-c outflow.export_root=$dir/beneath", $create, "CALL outflow.export('t', 'file://$dir/beside')"),
	qr/^tmp\|.*is not beneath the export root/s, 'an export_root of one\'s own is in force');

# a setting of the role, which a process takes over before it loads the library, too
$node->safe_psql('postgres', q{ALTER ROLE trusted SET outflow.mask_columns = 'public.t.v=redact'});
unlike(receive('trusted', ''), qr/canary/, 'a setting of the role');
like(command('trusted', '', $create), qr/^tmp\|/, '... for a new slot');
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'the server did not restart');

# what workers of a parallel query load
$node->safe_psql('postgres', 'ALTER TABLE t SET (parallel_workers = 2)');
my $parallel = join('; ', 'SET parallel_setup_cost = 0', 'SET parallel_tuple_cost = 0', 'SET min_parallel_table_scan_size = 0',
	$node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'debug_parallel_query'})
	? 'SET debug_parallel_query = on' : 'SET force_parallel_mode = on', 'SELECT count(*) FROM t');
is(command('trusted', '', $create, $parallel) =~ s/^tmp.*\n//r, '1', 'a parallel query after the library is loaded');

$node->stop;
done_testing();
