# Promise: every message carries its LSN as test_decoding's do, so that a client
# confirms nothing that it has not received: not by the position of a message,
# not where its library confirms keepalives, not at pg_recvlogical's --endpos.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# OUTFLOW_PYTHON with psycopg2; a keepalive is due every second
my $node = new_outflow_node('main', conf => <<'CONF');
wal_sender_timeout = 2s
max_prepared_transactions = 5
max_replication_slots = 40
CONF
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');

# the ways in which records are cut into messages
my %ways = (
	json => { include_schemas => 'off' }, # as many records as test_decoding's
	schemas => {},
	batched => { batch_bytes => 300 },
	rows => { include_transactions => 'off', include_schemas => 'off' },
	batched_rows => { include_transactions => 'off', batch_bytes => 100 },
	debezium => { format => 'debezium' },
	debezium_metadata => { format => 'debezium', include_transactions => 'on' },
	wal2json_1 => { format => 'wal2json' },
	wal2json_2 => { format => 'wal2json', 'format-version' => 2 },
	wal2json_rows => {
		format => 'wal2json',
		'format-version' => 2,
		'include-transaction' => 'off'
	},
	streaming => { streaming => 'on', two_phase => 'on' });

sub here
{
	return $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
}

sub drop_slots
{
	$node->safe_psql('postgres',
		'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
	return;
}

# receive(SLOT, END_LSN, OPTIONS): what pg_recvlogical writes
sub receive
{
	my ($slot, $end, $options) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(
		[
			'pg_recvlogical', '--start', '--no-loop', '--file=-', "--slot=$slot",
			"--endpos=$end", '--dbname', $node->connstr('postgres'),
			map { ('-o', "$_=$options->{$_}") } sort keys %$options
		], '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	diag($err) if !$ok;
	return $out;
}

# rows(TEXT): the ids of the rows in it, by any of the formats
sub rows
{
	my ($text) = @_;
	my @rows;

	push @rows, $1 // $2 // $3 // $4
	  while $text =~ m{
		"(?:new|after)":\{"id":(\d+)
		| "name":"id","type":"integer","value":(\d+)
		| "columnvalues":\s*\[(\d+)
		| table\ public\.t:\ INSERT:\ id\[integer\]:(\d+)}gx;
	return \@rows;
}

# transactions that overlap, so that rows of one have smaller LSNs than the end
# of another; a table in rows of its own, a multi-insert, messages, a savepoint
my @slots = sort keys %ways;
my $write = sub {
	my ($from) = @_;
	my $late = $node->background_psql('postgres', on_error_stop => 1);

	$late->query_safe("BEGIN; INSERT INTO t VALUES ($from, 'first in, last out')");
	$node->safe_psql('postgres',
		"INSERT INTO t VALUES ($from + 1, 'between'), ($from + 2, 'between')");
	$late->query_safe("INSERT INTO t VALUES ($from + 3, 'last out')");
	$node->safe_psql('postgres', <<"SQL");
BEGIN;
INSERT INTO t SELECT g, 'many' FROM generate_series($from + 4, $from + 9) AS g;
SELECT pg_logical_emit_message(true, 'note', 'inside');
SAVEPOINT s;
INSERT INTO t VALUES ($from + 10, 'in a savepoint');
COMMIT;
SELECT pg_logical_emit_message(false, 'note', 'outside');
SQL
	$late->query_safe('COMMIT');
	$late->quit;
	return;
};

# ---- --endpos: at every position in and around what was written

$node->safe_psql('postgres',
	q{SELECT FROM pg_create_logical_replication_slot('oracle', 'test_decoding')});
$write->(100);
my $last = here();
my @oracle = map { [ split /\|/, $_, 2 ] } split /\n/, $node->safe_psql('postgres',
	q{SELECT lsn - '0/0', data FROM pg_logical_slot_peek_changes('oracle', NULL, NULL)});
my %seen;
my @positions = sort { $a <=> $b } grep { !$seen{$_}++ } map { $_->[0] } @oracle;
cmp_ok(scalar @positions, '>', 10, 'there are positions to stop at');

# stop(PLUGIN, POSITION, OPTIONS): the rows that a client receives which
# stops at the position, and those that another one then does
sub stop
{
	my ($plugin, $position, $options) = @_;

	$node->safe_psql('postgres',
		"SELECT FROM pg_copy_logical_replication_slot('oracle', 'copy', false, '$plugin')"
	);
	my $lsn = sprintf('%X/%X', $position >> 32, $position & 0xffffffff);
	my @runs = map { rows(receive('copy', $_, $options)) } $lsn, $last;
	$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('copy')});
	return @runs;
}

foreach my $n (0 .. $#positions)
{
	my $position = $positions[$n];
	my ($stopped, $left) = stop('test_decoding', $position, {});
	my %reached = map { $_ => 1 }
	  @{ rows(join("\n", map { $_->[1] } grep { $_->[0] <= $position } @oracle)) };

	# each way at some, since a client's start takes its time
	foreach my $slot ('json', $slots[ $n % @slots ], $slots[ ($n + 5) % @slots ])
	{
		my ($received, $then) = stop('outflow', $position, $ways{$slot});
		my %come = map { $_ => 1 } @$received, @$then;

		is_deeply($received, $stopped,
			"json stops at $position where test_decoding does")
		  if $slot eq 'json';
		is_deeply($then, $left, "$slot: goes on after $position with what test_decoding does");
		is_deeply([ grep { !$reached{$_} } @$received ],
			[], "$slot: no row beyond the position");
		is(scalar keys %come, 11, "$slot: every row in one of the two runs");
	}
}
drop_slots();

# ---- a client whose library confirms on keepalives, and that is then killed

my $client = "${PostgreSQL::Test::Utils::tmp_check}/positions.py";
append_to_file($client, <<'PYTHON');
# positions.py DSN SLOT CONFIRM WAIT OPTION=VALUE...: reads until a message holds the
# word "last", never confirms more than CONFIRM messages that end a transaction,
# waits for keepalives and dies without a word
import os, select, sys, time
import psycopg2, psycopg2.extras

dsn, slot, confirm, wait = sys.argv[1:5]
confirm, wait = int(confirm), float(wait)
connection = psycopg2.connect(
    dsn, connection_factory=psycopg2.extras.LogicalReplicationConnection)
cursor = connection.cursor()
cursor.start_replication(slot_name=slot, decode=True, status_interval=1,
                         options=dict(a.split('=', 1) for a in sys.argv[5:]))
until = None
while until is None or time.monotonic() < until:
    message = cursor.read_message()
    if message is None:
        select.select([cursor], [], [], 0.1)
        continue
    print('%X/%X %s' % (message.data_start >> 32, message.data_start & 0xffffffff,
                        message.payload.replace('\n', ' ')), flush=True)
    if confirm > 0 and '"confirm' in message.payload:
        message.cursor.send_feedback(flush_lsn=message.data_start, force=True)
        confirm -= 1
    if '"last' in message.payload:
        until = time.monotonic() + wait
os._exit(9)
PYTHON

# consume(SLOT, CONFIRM, OPTIONS): what that client received before it died
sub consume
{
	my ($slot, $confirm, $options) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[
			$ENV{OUTFLOW_PYTHON}, $client, $node->connstr('postgres'), $slot,
			$confirm, 4, map { "$_=$options->{$_}" } sort keys %$options
		], '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	is($err, '', "$slot: the client reads without an error");
	$node->poll_query_until('postgres',
		"SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'");
	return $out;
}

$node->safe_psql('postgres', 'TRUNCATE t');
create_slot($node, $_) foreach @slots;
$write->(200);
$node->safe_psql('postgres', q{INSERT INTO t VALUES (299, 'last')});
my %first;
foreach my $slot (@slots)
{
	my $before = $node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$slot'");
	$first{$slot} = consume($slot, 0, $ways{$slot});
	is( $node->safe_psql('postgres',
			"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$slot'"),
		$before,
		"$slot: nothing is confirmed for a client that confirmed nothing");
	is(scalar @{ rows($first{$slot}) }, 12, "$slot: it had received all rows");
	unlike($first{$slot}, qr{^0/0 }m, "$slot: every message has its LSN");
	is(scalar @{ rows(receive($slot, here(), $ways{$slot})) }, 12,
		"$slot: all rows come again after it was killed");
}

# one that confirms a transaction which ended after rows of the next
foreach my $slot (@slots)
{
	my $late = $node->background_psql('postgres', on_error_stop => 1);

	$node->safe_psql('postgres', 'DELETE FROM t');
	receive($slot, here(), $ways{$slot});
	$late->query_safe(q{BEGIN; INSERT INTO t VALUES (301, 'last')});
	$node->safe_psql('postgres', q{INSERT INTO t VALUES (302, 'confirm this')});
	$late->query_safe('COMMIT');
	$late->quit;
	my $out = consume($slot, 1, $ways{$slot});
	is_deeply(rows($out), [ 302, 301 ], "$slot: both rows are received");
	my $again = rows(receive($slot, here(), $ways{$slot}));
	is($again->[-1], 301, "$slot: the row that was not confirmed comes again");
}

$node->stop;
done_testing();
