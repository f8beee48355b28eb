# Promise: whoever keeps the last schema record of each table, and applies a
# transaction in progress at its stream_commit, has for every change the
# definition that its row was written under, whatever ended how in between.
use strict;
use warnings;

use JSON::PP;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node(
	'definitions',
	conf => <<'EOC');
logical_decoding_work_mem = 64kB
max_prepared_transactions = 10
autovacuum = off
EOC

sub stream
{
	my ($slot, %options) = @_;
	my $list = join('', map { ", '$_', '$options{$_}'" } sort keys %options);

	return split(
		/\n/,
		$node->safe_psql('postgres',
			"SELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL$list)"
		));
}

# mismatches(TABLE, LINE...): changes whose columns are not those of the table's
# last schema record
sub mismatches
{
	my ($table, @lines) = @_;
	my (%columns, %pieces, @mismatches);
	my $apply = sub {
		my ($record) = @_;

		if ($record->{op} eq 'schema')
		{
			$columns{ $record->{table} } =
			  join(' ', sort map { $_->{name} } @{ $record->{columns} });
			return;
		}
		my $got = join(' ', sort keys %{ $record->{new} });
		my $said = $columns{ $record->{table} } // 'nothing';

		push @mismatches, "$said: $got" unless $got eq $said;
	};
	my $changes = 0;

	foreach (@lines)
	{
		my $record = decode_json($_);
		my $xid = $record->{xid};

		if ($record->{op} =~ /^(schema|insert)$/)
		{
			next unless $record->{table} eq $table;
			$changes++;
			if ($record->{op} eq 'insert' ? $record->{subxid} : $xid)
			{
				push @{ $pieces{$xid} }, $record;
			}
			else
			{
				$apply->($record);
			}
		}
		elsif ($record->{op} eq 'stream_abort')
		{
			$pieces{$xid} = [
				grep { $xid != $record->{subxid} && ($_->{subxid} // 0) != $record->{subxid} }
				  @{ $pieces{$xid} // [] } ];
		}
		elsif ($record->{op} =~ /^(stream_commit|stream_prepare)$/)
		{
			$apply->($_) foreach @{ delete $pieces{$xid} // [] };
		}
	}
	cmp_ok($changes, '>', 0, "$table has changes");
	return join(', ', @mismatches);
}

# holds(TABLE, NAME, SQL): for a table a, b of its own
sub holds
{
	my ($table, $name, $sql) = @_;

	$node->safe_psql('postgres', "CREATE TABLE $table (a int PRIMARY KEY, b text)");
	$node->safe_psql('postgres',
		"SELECT FROM pg_create_logical_replication_slot('$table', 'outflow', false, true)");
	$node->safe_psql('postgres', $sql);
	foreach my $streaming (qw(off on))
	{
		foreach my $two_phase (qw(off on))
		{
			my @lines =
			  stream($table, streaming => $streaming, two_phase => $two_phase);

			is(mismatches($table, @lines),
				'', "$name (streaming $streaming, two_phase $two_phase)");
		}
	}
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$table')");
	return;
}

holds('undone', 'a definition that its transaction takes back', <<'EOS');
INSERT INTO undone VALUES (1, 'x');
BEGIN;
ALTER TABLE undone ADD COLUMN c int DEFAULT 3;
INSERT INTO undone SELECT i, 'y', i FROM generate_series(2, 3000) i;
ALTER TABLE undone DROP COLUMN c;
COMMIT;
INSERT INTO undone VALUES (4000, 'z');
EOS

holds('savepoint', 'one that a savepoint takes back', <<'EOS');
INSERT INTO savepoint VALUES (1, 'x');
BEGIN;
INSERT INTO savepoint SELECT i, 'y' FROM generate_series(2, 3000) i;
SAVEPOINT s;
ALTER TABLE savepoint ADD COLUMN c int DEFAULT 3;
INSERT INTO savepoint SELECT i, 'y', i FROM generate_series(3001, 6000) i;
ROLLBACK TO s;
INSERT INTO savepoint SELECT i, 'y' FROM generate_series(3001, 6000) i;
ALTER TABLE savepoint RENAME b TO bb;
INSERT INTO savepoint SELECT i, 'y' FROM generate_series(6001, 9000) i;
COMMIT;
INSERT INTO savepoint VALUES (10000, 'z');
EOS

holds('twice', 'one that the next transaction takes back', <<'EOS');
INSERT INTO twice VALUES (1, 'x');
BEGIN;
ALTER TABLE twice ADD COLUMN c int DEFAULT 3;
INSERT INTO twice SELECT i, 'y', i FROM generate_series(2, 3000) i;
COMMIT;
ALTER TABLE twice DROP COLUMN c;
INSERT INTO twice VALUES (4000, 'z');
EOS

holds('prepared', 'one of a prepared transaction', <<'EOS');
INSERT INTO prepared VALUES (1, 'x');
BEGIN;
ALTER TABLE prepared ADD COLUMN c int DEFAULT 3;
INSERT INTO prepared SELECT i, 'y', i FROM generate_series(2, 3000) i;
ALTER TABLE prepared DROP COLUMN c;
PREPARE TRANSACTION 'p';
COMMIT PREPARED 'p';
INSERT INTO prepared VALUES (4000, 'z');
BEGIN;
ALTER TABLE prepared ADD COLUMN d int;
INSERT INTO prepared SELECT i, 'y', i FROM generate_series(5001, 8000) i;
PREPARE TRANSACTION 'q';
ROLLBACK PREPARED 'q';
INSERT INTO prepared VALUES (5000, 'z');
EOS

# ---- a savepoint that is undone after its definition went out
$node->safe_psql('postgres', 'CREATE TABLE live (a int PRIMARY KEY, b text)');
create_slot($node, 'live');

my $file = "${PostgreSQL::Test::Utils::tmp_check}/definitions.out";
my $client = IPC::Run::start(
	[
		'pg_recvlogical', '--dbname', $node->connstr('postgres'),
		'--slot', 'live', '--start', '--no-loop', '--file', $file,
		'--fsync-interval', '0', '--option', 'streaming=on'
	]);
my $session = $node->background_psql('postgres', on_error_stop => 1);

$session->query_safe('INSERT INTO live VALUES (1); BEGIN; SAVEPOINT s;');
$session->query_safe(
	'ALTER TABLE live ADD c int; INSERT INTO live SELECT i FROM generate_series(2, 3000) i');
wait_for_line($file, qr/"op":"schema".*"name":"c"/);
$session->query_safe('ROLLBACK TO s; INSERT INTO live SELECT i FROM generate_series(2, 3000) i');
wait_for_line($file, qr/"op":"stream_abort"/);
$session->query_safe('SAVEPOINT s; ALTER TABLE live ADD d int; '
	  . 'INSERT INTO live SELECT i FROM generate_series(3001, 6000) i');
wait_for_line($file, qr/"op":"schema".*"name":"d"/);
$session->query_safe('ROLLBACK');
$session->query_safe('INSERT INTO live VALUES (9999)');
$session->quit;
wait_for_line($file, qr/"a":9999/);
$client->signal('TERM');
$client->finish;
is(mismatches('live', split(/\n/, slurp_file($file))),
	'', 'definitions that went out and were undone');

$node->stop;
done_testing();
