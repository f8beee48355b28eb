# Promise: a standby's slot gives what the primary's gives, record by record and
# with the same ids, and after a promotion it goes on where it was: no row is
# lost, and what is delivered again has the id that it had.
use strict;
use warnings;

use OutflowTest;
use OutflowWorkload;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_outflow_node('primary',
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ],
	conf => "autovacuum = off\nmax_prepared_transactions = 10\nlogical_decoding_work_mem = 64kB\n");
my $standby = PostgreSQL::Test::Cluster->new('standby');

$primary->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('physical', true)});
$primary->backup('backup');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nprimary_slot_name = 'physical'\n");
$standby->start;
$primary->wait_for_catchup($standby);

my $create = q{SELECT pg_create_logical_replication_slot('feed', 'outflow')};

if (server_major($primary) < 16)
{
	my ($code, $out, $err) = $standby->psql('postgres', $create);

	like($err, qr/logical decoding cannot be used while in recovery/,
		'before 16 the server refuses slots on a standby');
	done_testing();
	exit 0;
}

# the slot is there once the primary has told of its running transactions
sub create_on_standby
{
	my ($session, $said) = start_psql($standby, $create);

	while ($session->pumpable)
	{
		$primary->safe_psql('postgres', 'SELECT pg_log_standby_snapshot()');
		Time::HiRes::sleep(0.1);
		$session->pump_nb;
	}
	$session->finish or die $$said;
	return;
}

my $workload = OutflowWorkload->new(seed => $ENV{SEED} || 4711, transactions => 60, replayable => 1);

$primary->safe_psql('postgres', $workload->setup);
create_slot($primary, 'feed');
create_on_standby();
$workload->run($primary, 'postgres');
$primary->safe_psql('postgres', 'CREATE PUBLICATION everything FOR ALL TABLES');
$primary->safe_psql('postgres', 'CREATE TABLE kept (id int PRIMARY KEY, v text)');
$primary->safe_psql('postgres', "INSERT INTO kept SELECT i, 'v' FROM generate_series(1, 100) AS i");
my $end = $primary->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
$primary->wait_for_catchup($standby);

# peek(NODE, OPTION => VALUE...): what the slot has up to the common end
sub peek
{
	my ($node, %options) = @_;
	my $list = join('', map { ", '$_', '$options{$_}'" } sort keys %options);

	# an envelope tells when it was written
	return $node->safe_psql('postgres',
		"SELECT data FROM pg_logical_slot_peek_changes('feed', '$end', NULL$list)")
	  =~ s/"op":"\w",\K"ts_ms":\d+,"ts_us":\d+,"ts_ns":\d+//gr;
}

my $whole = peek($primary);
cmp_ok(($whole =~ tr/\n//), '>', 300, 'there is a stream');
foreach my $options (
	[], [ streaming => 'on' ], [ format => 'debezium' ],
	[ format => 'wal2json', 'format-version' => 2 ],
	[ batch_bytes => 65536 ], [ publication_names => 'everything' ])
{
	my $name = "@$options" || 'defaults';

	ok(peek($standby, @$options) eq peek($primary, @$options), "the standby's is the primary's: $name");
}

my $snapshot = $primary->safe_psql('postgres', 'SELECT pg_current_snapshot()');
is(peek($standby, after_snapshot => $snapshot, include_transactions => 'off', messages => 'off'), '', 'after_snapshot works there');
is($standby->safe_psql('postgres', q{SELECT slot, active FROM outflow.slots WHERE slot = 'feed'}),
	'feed|f', 'outflow.slots shows it');
is( $standby->safe_psql('postgres',
		q{SELECT item FROM outflow.preflight() WHERE NOT ok AND item IN ('wal_level', 'max_replication_slots')}),
	'', 'preflight finds nothing wrong with streaming there');

# a client across the promotion
my $file = "${PostgreSQL::Test::Utils::tmp_check}/standby.json";
my @command = ('pg_recvlogical', '--dbname', $standby->connstr('postgres'),
	'--slot', 'feed', '--start', '--file', $file, '--status-interval', '1');
my $client = IPC::Run::start([@command], '2>', '/dev/null');
$primary->safe_psql('postgres', "INSERT INTO kept SELECT i, 'v' FROM generate_series(101, 200) AS i");
$primary->wait_for_catchup($standby);
wait_for_line($file, qr/"table":"kept","new":\{"id":200,/);
$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', "INSERT INTO kept SELECT i, 'v' FROM generate_series(201, 300) AS i");
wait_for_line($file, qr/"table":"kept","new":\{"id":300,/);

# once more after a crash that the client doesn't survive
$client->kill_kill;
$standby->stop('immediate');
$standby->start;
$standby->safe_psql('postgres', "INSERT INTO kept SELECT i, 'v' FROM generate_series(301, 400) AS i");
$client = IPC::Run::start([@command], '2>', '/dev/null');
wait_for_line($file, qr/"table":"kept","new":\{"id":400,/);
$client->kill_kill;

my %seen;
my $doubled = 0;
my $changed = 0;
foreach my $line (split(/\n/, slurp_file($file)))
{
	next unless $line =~ /"op":"insert","id":"([^"]+)".*"table":"kept"/;
	my $id = $1;

	$doubled++ if $seen{$id};
	$changed++ if $seen{$id} && $seen{$id} ne $line;
	$seen{$id} = $line;
}
my @rows = sort { $a <=> $b } map { /"new":\{"id":(\d+)/ ? $1 : () } values %seen;
is_deeply(\@rows, [ 1 .. 400 ], 'every row came, under one id');
is($changed, 0, "what came again ($doubled records) is the same");

done_testing();
