# Promise: what pg_outflow writes into a directory is each change of the slot
# exactly once, in order, whatever is killed: the client, or PostgreSQL.  Files
# appear whole; what a crash tore is repaired before anything is appended.
use strict;
use warnings;

use ClientTest;
use KillRounds;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/510_client_files";

client_setup($node);
ledger_setup($node);

# whole(LINES): transactions that begin and end
sub whole
{
	my ($what, @lines) = @_;
	my ($open, $bad, $transactions) = (0, 0, 0);

	foreach my $line (@lines)
	{
		if ($line =~ /^\{"op":"begin"/) { $bad++ if $open++; }
		if ($line =~ /^\{"op":"commit"/) { $bad++ if --$open; $transactions++; }
	}
	is("$bad bad, $open open", '0 bad, 0 open', "$what: $transactions whole transactions");
	return;
}

sub check_directory
{
	my ($what, $directory) = @_;
	my @lines = delivered_lines($directory);

	check_once($what, @lines);
	whole($what, @lines);
	is(replay_records(@lines), table_rows($node), "$what: repeated, they give the table");
	return;
}

my @ways = (
	[ 'plain', '--file-rotate-bytes=200kB' ],
	[ 'compressed', '--file-rotate-bytes=20kB', '--file-compression=zstd' ]);

foreach my $way (@ways)
{
	my ($slot, @options) = @$way;
	my $directory = new_export_dir();
	my @target = ("--to=file://$directory", '--linger=20ms', '-o', 'tables=public.t', @options);

	ledger_clear($node);
	create_slot($node, $slot);
	kill_rounds($node, transactions => 60, wait => [ 0.1, 0.5 ], client => sub { start_client($node, $slot, $log, @target) });
	my ($code, undef, $err) = run_client($node, $slot, @target, '--endpos=' . current_lsn($node));
	is($code, 0, "$slot: comes to the end") or diag($err);
	check_directory($slot, $directory);
	check_ledger($slot, $node, map { change_of_json($_) } delivered_lines($directory));
	is(scalar(grep { m{^\.(?!$slot\.state)} } files_below($directory)), 0,
		"$slot: nothing is left over");
}

# A tail that a crash left behind is cut off, even if it looks like a record.
my $directory = new_export_dir();
my @target = ("--to=file://$directory", '--linger=20ms');

$node->safe_psql('postgres', 'DROP TRIGGER keep ON t; TRUNCATE t');
create_slot($node, 'torn');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1), (2, 2)');
my $client = start_client($node, 'torn', $log, @target);
my $known = current_lsn($node);
wait_confirmed($node, 'torn', $known);
kill_client($client);
my ($hidden) = grep { /^\.torn-/ } files_below($directory);
append_to_file("$directory/$hidden", qq({"op":"insert","id":"F","table":"t","new":{"id":3,"n":3}}\n{"op":));
$node->safe_psql('postgres', 'INSERT INTO t VALUES (4, 4)');
my ($code, undef, $err) = run_client($node, 'torn', @target, '--endpos=' . current_lsn($node));
is($code, 0, 'goes on after a torn tail') or diag($err);
check_directory('torn', $directory);

# What it can't repair, it refuses.
sub refused
{
	my ($what, $expected, $pattern, @arguments) = @_;
	my ($exit, undef, $said) = run_client($node, @arguments);

	is($exit, $expected, "$what: exit code");
	like($said, $pattern, "$what: the reason");
	return;
}

$client = start_client($node, 'torn', $log, @target);
refused('a directory in use', 2, qr/used by another/, 'torn', @target)
  if wait_for_line($log, qr/(?:streaming slot "torn".*){2}/s) || 1;
is(stop_client($client), 0, 'SIGTERM is a clean stop');

$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('torn')");
refused('a slot that is gone', 4, qr/slot "torn" is lost \(it doesn't exist any more\)/, 'torn', @target, '--create-slot');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (5, 5)');
create_slot($node, 'torn');
refused('a slot made again', 5, qr/what lies between is missing/, 'torn', @target);
refused('another compression', 2, qr/no value|none, zstd/, 'torn', @target, '--file-compression=lz4');
refused('no directory', 6, qr/there is no directory/, 'torn', '--to=file:///nowhere/at/all');

# Transactions that are larger than a batch, many of which come at once: each is written
# when its turn comes, with nothing else to wake the client.
$directory = new_export_dir();
create_slot($node, 'small');
$node->safe_psql('postgres', 'TRUNCATE t');
$node->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1 .. 300 LOOP INSERT INTO t VALUES (i, i); COMMIT; END LOOP; END $$');
($code, undef, $err) = run_client($node, 'small', "--to=file://$directory", '--batch-bytes=0', '--stop-timeout=60s',
	'--endpos=' . current_lsn($node));
is($code, 0, 'transactions that are larger than a batch') or diag($err);
check_directory('small', $directory);
done_testing();
