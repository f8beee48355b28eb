# Promise: names that the client's encoding lacks stop no stream: a WARNING and
# the context of any report show their bytes, and the text of an ERROR is the
# one that was raised.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');

# stream(SLOT, ENCODING, OPTION...): whether a client of this encoding comes to
# the end, what it is told, and what it gets
sub stream
{
	my ($slot, $encoding, @options) = @_;
	my $end = $node->safe_psql($slot, 'SELECT pg_current_wal_flush_lsn()');
	my $err = '';

	local $ENV{PGCLIENTENCODING} = $encoding;
	my $ok = IPC::Run::run(
		[
			'pg_recvlogical', '--start', '--no-loop', '--file=-',
			"--slot=$slot", "--endpos=$end", "--dbname=$slot",
			'--host=' . $node->host, '--port=' . $node->port,
			map { "--option=$_" } @options
		],
		'>', \my $out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($ok, $err, $out);
}

# name => [encoding of the database, of its client, letters, as shown]
my %cases = (
	ascii => [ 'SQL_ASCII', 'UTF8', '\xff\xe2\x82', '\\xff\\xe2\\x82' ],
	ascii_has => [ 'SQL_ASCII', 'UTF8', '\xe2\x82\xac', "\xe2\x82\xac" ],
	win => [ 'WIN1252', 'UTF8', '\x81\xe4', "\\x81\xc3\xa4" ],
	japan => [ 'EUC_JP', 'UTF8', '\xa9\xa1\xa4\xa2', "\\xa9\\xa1\xe3\x81\x82" ],
	utf8 => [ 'UTF8', 'LATIN1', '\u20ac\u00e4', "\\xe2\\x82\\xac\xe4" ]);
foreach my $case (sort keys %cases)
{
	my ($encoding, $client, $letters, $shown) = @{ $cases{$case} };

	$node->safe_psql('postgres',
		"CREATE DATABASE $case ENCODING $encoding LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
	);
	create_slot($node, $case, $case);
	$node->safe_psql($case, <<SQL);
SET client_encoding = '$encoding';
DO \$\$
DECLARE
	letters text = E'$letters';
BEGIN
	EXECUTE format('CREATE TABLE %I (a int, %I text)', 't' || letters, 'c' || letters);
	EXECUTE format('INSERT INTO %I VALUES (1, repeat(''x'', 2000))', 't' || letters);
	EXECUTE format('UPDATE %I SET a = 2', 't' || letters);
	PERFORM pg_logical_emit_message(true, 'in' || letters, repeat('x', 2000));
	PERFORM pg_logical_emit_message(false, 'out' || letters, repeat('x', 2000));
END
\$\$;
SQL
	my ($ok, $err, $out) =
	  stream($case, $client, 'max_value_bytes=1024', 'oversize=error',
		'messages=off');
	ok(!$ok, "$case: an error");
	foreach my $said (
		"ERROR:  value of column \"c$shown\" of table \"public.t$shown\" is too large",
		"writing a row of table \"public.t$shown\", change")
	{
		like($err, qr/\Q$said\E/, "$case: $said");
	}

	($ok, $err, $out) = stream($case, $client, 'max_value_bytes=1024');
	ok($ok, "$case: the stream goes on") or diag($err);
	foreach my $said (
		"table \"public.t$shown\" has no replica identity",
		"value of column \"c$shown\" of table \"public.t$shown\" is too large for the stream",
		"message with prefix \"in$shown\" is too large for the stream",
		"message with prefix \"out$shown\" is too large for the stream")
	{
		like($err, qr/WARNING:  \Q$said\E/, "$case: $said");
	}
	like($out, qr/"op":"update".*"op":"commit"/s, "$case: all of it");
}

# and however many reports there are, they leave nothing behind
my $reports = 500;
my $exports = new_export_dir();
$node->safe_psql('utf8', <<SQL);
CREATE EXTENSION outflow;
DO \$\$
BEGIN
	FOR i IN 1..$reports LOOP
		PERFORM pg_logical_emit_message(true, U&'many \\20AC' || repeat('p', i), repeat('x', 2000));
	END LOOP;
END
\$\$;
CREATE TABLE U&"many \\20AC" AS SELECT g AS id, g AS secret FROM generate_series(1, $reports) AS g;
CREATE FUNCTION noisy(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE NOTICE ''row %'', id; RETURN true; END';
CREATE FUNCTION tells(id int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''row %'', id; RETURN true; END';
CREATE TABLE U&"hidden \\20AC" AS TABLE U&"many \\20AC";
ALTER TABLE U&"hidden \\20AC" ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON U&"hidden \\20AC" USING (tells(id));
CREATE ROLE exporter LOGIN IN ROLE pg_write_server_files;
GRANT SELECT ON U&"hidden \\20AC" TO exporter;
SQL
foreach my $case (
	[ 'a stream', "SELECT count(*) FROM pg_logical_slot_peek_changes('utf8', NULL, NULL, 'max_value_bytes', '1024')",
		qr/message with prefix "many \\xe2\\x82\\xacp+/ ],
	[ 'an export', qq{CALL outflow.export(U&'"many \\20AC"', 'file://$exports/many', filter => 'public.noisy(id)', workers => 0)},
		qr/table public."many \\xe2\\x82\\xac", row with/ ],
	[ 'one of masked rows', qq{SET ROLE exporter; CALL outflow.export(U&'"hidden \\20AC"', 'file://$exports/hidden', workers => 0, options => }
		  . qq{'{"row_security": true, "mask_columns": "public.hidden*.secret=redact"}'); RESET ROLE},
		qr/a row filter of table "public.hidden \\xe2\\x82\\xac" has/ ])
{
	my ($name, $statement, $context) = @$case;
	my $used = q{SELECT 'used ' || used_bytes FROM pg_backend_memory_contexts WHERE name = 'ErrorContext'};

	local $ENV{PGCLIENTENCODING} = 'LATIN1';
	my ($code, $out, $err) = $node->psql('utf8', "SET client_min_messages = notice; \\set SHOW_CONTEXT always\n$used; $statement; $used");
	is($code, 0, "$name: ends well") or diag($err);
	cmp_ok(scalar(() = $err =~ /$context/g), '>=', $reports, "$name: its reports") or diag(substr($err, 0, 2000));
	my ($before, $after) = $out =~ /^used (\d+)/mg;
	cmp_ok($after - $before, '<', 10 * $reports, "$name: the memory of reports");
}

$node->stop;
done_testing();
