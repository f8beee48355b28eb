# Promise: whatever a database's encoding, every line of the stream is valid
# JSON in UTF-8 and brings names and values back as they were; bytes that have
# no character in UTF-8 show as U+EFNN and stop nothing.
use strict;
use warnings;

use Encode qw(encode);
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
my $json = JSON::PP->new->utf8->allow_bignum;

# sql(DATABASE, STATEMENTS): both in UTF-8, converted by the server
sub sql
{
	my ($database, $statements) = @_;

	return $node->safe_psql($database, $statements,
		extra_params => [ '--set=ON_ERROR_STOP=1' ]);
}

# lines(DATABASE): the stream as a client of the protocol gets it, which has
# no transaction around messages that have none
sub lines
{
	my ($database) = @_;
	my $end = $node->safe_psql($database, 'SELECT pg_current_wal_flush_lsn()');
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[
			'pg_recvlogical', '--start', '--no-loop', '--file=-',
			"--slot=$database", "--endpos=$end", "--dbname=$database",
			'--host=' . $node->host, '--port=' . $node->port
		],
		'>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default))
	  or fail("$database: pg_recvlogical: $err");
	return grep { $_ ne '' } split(/\n/, $out);
}

# new_database(NAME, ENCODING)
sub new_database
{
	my ($name, $encoding) = @_;

	$node->safe_psql('postgres',
		"CREATE DATABASE $name ENCODING $encoding LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
	);
	$node->safe_psql($name, 'CREATE EXTENSION outflow; CREATE EXTENSION hstore');
	create_slot($node, $name, $name);
	return;
}

# checked_lines(DATABASE): each is JSON; in ASCII but for UTF8
sub checked_lines
{
	my ($database) = @_;
	my @peeked = split /\n/, sql($database,
		"SET client_encoding = 'SQL_ASCII'; SELECT data FROM pg_logical_slot_peek_changes('$database', NULL, NULL)"
	);
	my @lines = lines($database);
	my @bad = grep { !eval { $json->decode($_) } } @lines;

	is("@bad", '', "$database: every line is JSON in UTF-8");
	is(scalar(grep { /[\x80-\xff]/ } @lines) > 0, $database eq 'utf8',
		"$database: only UTF8 has bytes beyond ASCII");
	is_deeply(\@lines, \@peeked,
		"$database: the SQL functions bring the same");
	return @lines;
}

# encodings whose characters UTF-8 has
my %letters = (
	latin1 => join('', map { chr } 0xA0 .. 0xFF),
	euc_jp => "\x{3042}\x{4E00}\x{FF76}\x{4E02}\\\x{A7}",
	koi8r => "\x{416}\x{444}\x{2550}",
	utf8 => "\x{E4}\x{20AC}\x{1F600}\x{EFFF}\x{2028}\x{7F}");
foreach my $database (sort keys %letters)
{
	my $text = $letters{$database};
	my $utf8 = encode('UTF-8', $text);
	my $name = encode('UTF-8', substr($text, 0, 3));

	new_database($database, uc $database);
	(my $quoted = $utf8) =~ s/(["\\])/\\$1/g;
	sql($database, <<SQL);
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
CREATE TYPE mood AS ENUM ('$name');
CREATE TYPE pair AS ("$name" text, n int);
CREATE TABLE "table $name" (id int PRIMARY KEY, "$name" text, m mood, p pair, a text[], h hstore, j json, b jsonb, n name, c char(40), x xml);
SQL
	# long enough to be converted in several pieces, cut at every place
	sql($database, <<SQL);
SET client_encoding = 'UTF8';
LOAD 'outflow';
SELECT outflow.capture_ddl(true);
COMMENT ON TABLE "table $name" IS '$utf8';
SELECT outflow.capture_ddl(false);
SELECT FROM pg_logical_emit_message(false, '$name', '$utf8');
SELECT FROM pg_logical_emit_message(true, '$name', '$utf8');
INSERT INTO "table $name" VALUES (1, '$utf8', '$name', ROW('$utf8', 1), ARRAY['$utf8', NULL], hstore('$utf8', '$utf8'),
	'{"$quoted":"$quoted"}', '{"$quoted":"$quoted"}', '$name', '$name', '<a>$name</a>');
INSERT INTO "table $name" SELECT 10 + g, repeat('a', g) || repeat('$utf8', 200) || '"' FROM generate_series(1, 7) AS g;
SQL
	my @events = split /\n/, sql($database,
		"SET client_encoding = 'SQL_ASCII'; SELECT data FROM pg_logical_slot_peek_changes('$database', NULL, NULL, 'format', 'debezium')"
	);
	my @lines = checked_lines($database);

	my @records = map { $json->decode($_) } @lines;
	my ($row) = grep { $_->{op} eq 'insert' && $_->{new}{id} == 1 } @records;
	my $short = substr($text, 0, 3);
	is($row->{table}, "table $short", "$database: the table's name");
	is($row->{new}{$short}, $text, "$database: column and text");
	is($row->{new}{m}, $short, "$database: enum");
	is_deeply($row->{new}{p}, { $short => $text, n => 1 },
		"$database: composite");
	is_deeply($row->{new}{a}, [ $text, undef ], "$database: array");
	is_deeply($row->{new}{h}, { $text => $text }, "$database: hstore");
	is_deeply($row->{new}{j}, { $text => $text }, "$database: json");
	is_deeply($row->{new}{b}, { $text => $text }, "$database: jsonb");
	is($row->{new}{n}, $short, "$database: name");
	is($row->{new}{x}, "<a>$short</a>", "$database: xml");
	is(
		scalar(
			grep {
				     $_->{op} eq 'insert'
				  && $_->{new}{id} > 10
				  && $_->{new}{$short} eq
				  'a' x ($_->{new}{id} - 10) . $text x 200 . '"'
			} @records),
		7,
		"$database: long texts");
	my ($ddl) = grep { $_->{op} eq 'ddl' } @records;
	is($ddl->{command}, "COMMENT ON TABLE \"table $short\" IS '$text'",
		"$database: captured DDL");
	is($ddl->{objects}[0]{identity} =~ s/"//gr, "public.table $short",
		"$database: its object");
	my ($event) = grep { ($_->{after}{id} // 0) == 1 }
	  map { $json->decode($_) } @events;
	is($event->{source}{table}, "table $short",
		"$database: format debezium, the table's name");
	is($event->{after}{$short}, $text, "$database: format debezium, text");
	is_deeply($json->decode(encode('UTF-8', $event->{after}{b})),
		{ $text => $text }, "$database: format debezium, jsonb");
	my @messages = grep { $_->{op} eq 'message' } @records;
	is_deeply(
		[ map { [ $_->{prefix}, $_->{content} ] } @messages ],
		[ [ $short, $text ], [ $short, $text ] ],
		"$database: messages, also outside of transactions");

	# the server reads its own text back
	foreach my $record (grep { /"op":"insert"/ } @lines)
	{
		next if $record =~ /"id":1[0-9],/;
		$record =~ s/'/''/g;
		is( sql($database, <<SQL), 't', "$database: cast back to the row");
SET client_encoding = 'UTF8';
SELECT r."$name" = t."$name" AND r.p = t.p AND r.m = t.m AND r.a = t.a AND r.b = t.b AND r.c = t.c
FROM jsonb_populate_record(NULL::"table $name", ('$record'::jsonb->'new') - 'h' - 'x') AS r, "table $name" AS t WHERE t.id = 1;
SQL
	}
}

# raw(BYTE...): what stands for them
sub raw
{
	return join '', map { chr(0xEF00 + $_) } @_;
}

# bytes without a character in UTF-8
new_database('ascii', 'SQL_ASCII');
# up to 18
new_database('mule', 'MULE_INTERNAL') if server_major($node) < 19;
new_database('japan', 'EUC_JP');
my %bytes = (
	# a lone byte, UTF-8 as it is, a cut character, one that stands for a byte
	ascii => [
		'\xff a\xe2\x82\xac\xe2\x82 \xee\xbe\x80"\xc0\x80\xed\xa0\x80',
		raw(0xff) . " a\x{20AC}" . raw(0xe2, 0x82) . ' '
		  . raw(0xee, 0xbe, 0x80) . '"'
		  . raw(0xc0, 0x80, 0xed, 0xa0, 0x80)
	],
	# the server can't convert this encoding to UTF-8
	mule => [ 'x\x81\xe9\\\\', 'x' . raw(0x81, 0xe9) . '\\' ],
	# an unassigned character between two others
	japan => [
		'\xa4\xa2\xa9\xa1\xa4\xa4',
		"\x{3042}" . raw(0xa9, 0xa1) . "\x{3044}"
	]);
delete $bytes{mule} if server_major($node) >= 19;
foreach my $database (sort keys %bytes)
{
	my ($literal, $expected) = @{ $bytes{$database} };
	my $text = "E'$literal'::text";

	sql($database, <<SQL);
SET client_encoding = 'SQL_ASCII';
CREATE TABLE t (id int PRIMARY KEY, v text, a text[], j json, b jsonb);
SELECT FROM pg_logical_emit_message(false, 'p', $text);
INSERT INTO t VALUES (1, $text, ARRAY[$text], to_json($text), to_jsonb($text));
INSERT INTO t VALUES (2, repeat('a', 15) || repeat($text, 300));
SQL
	my @lines = checked_lines($database);
	my %new = map { $_->{new}{id} => $_->{new} }
	  grep { $_->{op} eq 'insert' } map { $json->decode($_) } @lines;
	is($new{1}{v}, $expected, "$database: text");
	is_deeply($new{1}{a}, [$expected], "$database: array");
	is($new{1}{j}, $expected, "$database: json");
	is($new{1}{b}, $expected, "$database: jsonb");
	is($new{2}{v}, 'a' x 15 . $expected x 300, "$database: long text");
}

$node->stop;
done_testing();
