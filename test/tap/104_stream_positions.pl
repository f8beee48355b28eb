# Promise: every message carries the LSN that test_decoding's would, so that a
# client, or its library on its behalf, never confirms what has not been stored,
# and pg_recvlogical stops where it was told to.  A stream that fails leaves its
# session's settings as they were.
use strict;
use warnings;

use FindBin;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# keepalives that want an answer come at half of the timeout
my $node = new_outflow_node('positions', conf => 'wal_sender_timeout = 1s');
$node->safe_psql('postgres', 'CREATE TABLE e (id int)');

my %options = (
	json => ['include_schemas=off'],
	batches => [ 'include_schemas=off', 'batch_bytes=65536' ],
	small_batches => [ 'include_schemas=off', 'batch_bytes=300' ],
	debezium => [ 'format=debezium', 'include_transactions=on' ],
	wal2json => [ 'format=wal2json', 'format-version=2' ],
	wal2json_v1 => [ 'format=wal2json', 'write-in-chunks=on' ],
);

# read_slot(SLOT, SECONDS, OPTION...): what the reader in psycopg2 prints
sub read_slot
{
	my ($slot, $seconds, @options) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[
			$ENV{OUTFLOW_PYTHON}, "$FindBin::RealBin/../lib/stream/psycopg2_reader.py",
			$node->connstr('postgres'), $slot, $seconds, @options
		],
		'>', \$out, '2>', \$err);
	is($err, '', "psycopg2 reads slot \"$slot\"");
	return split(/\n/, $out);
}

sub here
{
	return $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
}

# lsns(LINE...): of the messages, in their order, each once
sub lsns
{
	my @lsns = map { (split)[0] } @_;

	return [ map { $lsns[$_] }
		  grep { $_ == 0 || $lsns[$_] ne $lsns[ $_ - 1 ] } 0 .. $#lsns ];
}

foreach my $slot ('peer', keys %options)
{
	my $plugin = $slot eq 'peer' ? 'test_decoding' : 'outflow';

	$node->safe_psql('postgres',
		"SELECT FROM pg_create_logical_replication_slot('$slot', '$plugin')");
}
$node->safe_psql('postgres', <<'SQL');
INSERT INTO e VALUES (1), (2), (3);
INSERT INTO e VALUES (4);
BEGIN;
INSERT INTO e SELECT generate_series(5, 20);
SELECT pg_logical_emit_message(true, 'note', 'inside');
SAVEPOINT s;
UPDATE e SET id = 21 WHERE id = 20;
COMMIT;
SELECT pg_logical_emit_message(false, 'note', 'outside');
TRUNCATE e;
SQL

# a consumer reads all, stores nothing, and dies
my @expected = read_slot('peer', 3);
my %confirmed = map { split(/\|/) } split(/\n/, $node->safe_psql('postgres',
	'SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots'));
foreach my $name (sort keys %options)
{
	my @lines = read_slot($name, 3, @{ $options{$name} });
	my %seen = map { $_ => 1 } @{ lsns(@expected) };

	cmp_ok(scalar(@lines), '>', 5, "$name: records came");
	is_deeply([ grep { /^0\/0 / } @lines ],
		[], "$name: no message is without an LSN");
	is_deeply([ grep { !$seen{$_} } @{ lsns(@lines) } ],
		[], "$name: test_decoding knows each of the LSNs");
	is_deeply(lsns(@lines), lsns(@expected),
		"$name: and these are all, in its order")
	  if $name =~ /^(json|wal2json)$/;
	is($node->safe_psql('postgres',
			"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$name'"),
		$confirmed{$name}, "$name: the library has confirmed nothing by itself");
	is_deeply([ read_slot($name, 2, @{ $options{$name} }) ],
		\@lines, "$name: all of it comes again, under the same LSNs");
}

# where pg_recvlogical is told to stop
sub receive
{
	my ($slot, $end, @options) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[
			'pg_recvlogical', '--start', '--no-loop', '--file=-',
			"--slot=$slot", "--endpos=$end", '--dbname=' . $node->connstr('postgres'),
			map { ('-o', $_) } @options
		],
		'>', \$out, '2>', \$err);
	return [ $out =~
		  /(?:"new":\{"id":|"after":\{"id":|"type":"integer","value":|\[integer\]:)(\d+)/g ];
}

$node->safe_psql('postgres',
	join(';', map { "SELECT pg_replication_slot_advance('$_', pg_current_wal_lsn())" } 'peer', keys %options));
$node->safe_psql('postgres', 'INSERT INTO e VALUES (1)');
my $end = here();
$node->safe_psql('postgres', 'INSERT INTO e SELECT generate_series(100, 104)');
$node->safe_psql('postgres', 'INSERT INTO e VALUES (200)');
my $peer = receive('peer', $end);
is_deeply($peer, [1], 'test_decoding: rows up to endpos');
foreach my $name (grep { $_ ne 'wal2json_v1' } sort keys %options)
{
	is_deeply(receive($name, $end, @{ $options{$name} }),
		$peer, "$name: pg_recvlogical writes no row after endpos");
	is_deeply(receive($name, here(), @{ $options{$name} }),
		[ 100 .. 104, 200 ], "$name: and goes on with the next");
}

# a stream that fails
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE big (t text);
INSERT INTO big VALUES (repeat('x', 5000));
SQL
my %line = map { split(/ /, $_, 2) }
  read_slot('json', 3, 'oversize=error', 'max_value_bytes=1kB');
ok($line{error}, 'a stream fails');
is($line{after}, $line{before}, 'and its session has its settings back');

done_testing();
