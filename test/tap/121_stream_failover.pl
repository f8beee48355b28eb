# Promise: a failover slot of ours survives the loss of the primary: an export
# and the stream that goes on from it, first on the primary and then, from the
# same slot, on the promoted standby, are the table.  No row is lost, and what is
# delivered again has the id that it had.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_outflow_node('primary', conf => "autovacuum = off\n");

need_version($primary, 17, 'failover slots');

my $standby = PostgreSQL::Test::Cluster->new('standby');
my $export = new_export_dir();
my $check = ${PostgreSQL::Test::Utils::tmp_check};

sub sql
{
	return $primary->safe_psql('postgres', join(';', @_));
}

sql(q{SELECT pg_create_physical_replication_slot('physical', true)});
$primary->backup('backup');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
my $conninfo = $primary->connstr('postgres');
$standby->append_conf('postgresql.conf', <<"EOC");
hot_standby_feedback = on
primary_slot_name = 'physical'
primary_conninfo = '@{[ $conninfo =~ s/'/''/gr ]} application_name=standby'
sync_replication_slots = on
EOC
$standby->start;
# nobody hears of what the standby hasn't got
sql(q{ALTER SYSTEM SET synchronized_standby_slots = 'physical'});
$primary->reload;

sql('CREATE TABLE t (id int PRIMARY KEY, n int)',
	'INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) AS i',
	'CREATE PUBLICATION shop FOR TABLE t');
sql("CALL outflow.export_publication('shop', 'file://$export/shop', slot => 'shop')");
my $snapshot = sql('SELECT snapshot FROM outflow.jobs');

# the export's slot becomes a failover slot
command_ok(
	[ 'psql', '-XAtq', '-d', $primary->connstr('postgres') . ' replication=database',
		'-c', 'ALTER_REPLICATION_SLOT shop (FAILOVER true)' ],
	'ALTER_REPLICATION_SLOT');

# client(NODE, FILE): what pg_recvlogical writes down
sub client
{
	my ($node, $file) = @_;

	return IPC::Run::start(
		[ 'pg_recvlogical', '--dbname', $node->connstr('postgres'), '--slot', 'shop', '--start', '--no-loop',
			'--file', $file, '--status-interval', '1',
			'-o', 'publication_names=shop', '-o', "after_snapshot=$snapshot" ],
		'2>', "$file.err");
}

my $first = "$check/first.json";
my $client = client($primary, $first);
my $script = "$check/write.sql";
append_to_file($script, <<'EOC');
\set id random(1, 2000)
\set what random(1, 4)
\if :what
INSERT INTO t VALUES (:id, 1) ON CONFLICT (id) DO UPDATE SET n = t.n + 1;
\endif
BEGIN;
DELETE FROM t WHERE id = :id + :what;
UPDATE t SET n = n + 1 WHERE id = :id + 2;
END;
EOC
my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-T', '600', '-f', $script, $primary->connstr('postgres') ],
	'>', '/dev/null', '2>', '/dev/null');

$standby->poll_query_until('postgres',
	q{SELECT synced AND NOT temporary AND invalidation_reason IS NULL FROM pg_replication_slots WHERE slot_name = 'shop'})
  or die 'the slot is not synchronized';
wait_until($primary, q{SELECT confirmed_flush_lsn - restart_lsn > 0 FROM pg_replication_slots WHERE slot_name = 'shop'},
	'the client confirms');
my $size = -s $first;
PostgreSQL::Test::Utils::system_or_bail('sleep', '2');
cmp_ok(-s $first, '>', $size, 'the client receives while rows are written');
is($standby->safe_psql('postgres', q{SELECT slot FROM outflow.slots}), 'shop', 'the standby has the slot');
my ($code, $out, $err) = $standby->psql('postgres', q{SELECT pg_logical_slot_get_changes('shop', NULL, NULL)});
like($err, qr/cannot (use|alter|consume)|being synchronized/i, 'which nobody may use before the promotion');

# the primary is lost, with clients and writers at work
$primary->stop('immediate');
$writers->kill_kill;
$client->finish;
$standby->promote;
$standby->safe_psql('postgres', "ALTER SYSTEM RESET sync_replication_slots");
$standby->safe_psql('postgres', 'INSERT INTO t SELECT i, 7 FROM generate_series(5001, 5100) AS i');
$standby->safe_psql('postgres', 'DELETE FROM t WHERE id % 10 = 3');
my $second = "$check/second.json";
$client = client($standby, $second);
$standby->safe_psql('postgres', q{INSERT INTO t VALUES (9999, 9)});
wait_for_line($second, qr/"new":\{"id":9999,/);
$client->kill_kill;

# the export, and each change once, by its id
my %table;
foreach my $name (grep { /part-/ } files_below("$export/shop"))
{
	foreach my $row (split(/\n/, slurp_file("$export/shop/$name")))
	{
		my ($id, $n) = split(/,/, $row);

		$table{$id} = $n;
	}
}
is(scalar keys %table, 1000, 'the export has the rows of its snapshot');
my %seen;
my $changed = 0;
my $doubled = 0;
foreach my $line (map { split(/\n/, slurp_file($_)) } $first, $second)
{
	next unless $line =~ /^\{"op":"(insert|update|delete)","id":"([^"]+)"/;
	my ($op, $id) = ($1, $2);

	if ($seen{$id})
	{
		$doubled++;
		$changed++ if $seen{$id} ne $line;
		next;
	}
	$seen{$id} = $line;
	my ($key) = $line =~ /"key":\{"id":(\d+)/;
	my ($new, $n) = $line =~ /"new":\{"id":(\d+),"n":(\d+)\}/;
	delete $table{$key} if defined $key;
	$table{$new} = $n if $op ne 'delete';
}
is(join("\n", map { "$_|$table{$_}" } sort { $a <=> $b } keys %table),
	$standby->safe_psql('postgres', 'SELECT * FROM t ORDER BY id'),
	'export and stream across the failover are the table');
is($changed, 0, "what came again ($doubled records) is the same");

done_testing();
