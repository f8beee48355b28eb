# Promise: names of roles, databases and origins, which databases of another
# encoding give, stop nothing in a UTF8 database: records and files stay UTF-8,
# and bytes that are no character there show as U+EFNN.
use strict;
use warnings;

use Encode qw(decode);
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $json = JSON::PP->new->utf8->allow_bignum;
my $dir = new_export_dir();
my $database = "d\xe9";

$node->safe_psql('postgres', "CREATE DATABASE latin1 ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
$node->safe_psql('postgres', "CREATE DATABASE euc ENCODING 'EUC_JP' TEMPLATE template0 LOCALE 'C'");
# the role with the last oid ends in the byte with which a longer character begins
$node->safe_psql('latin1', <<'EOS');
SET client_encoding = 'UTF8';
SELECT pg_replication_origin_create('o' || chr(233));
DO $$ BEGIN EXECUTE format('CREATE ROLE %I', 'r' || chr(233) || 'q'); EXECUTE format('CREATE ROLE %I', 'r' || chr(240)); END $$;
EOS
my ($odd, $cut) = split /\n/, $node->safe_psql('postgres', 'SELECT oid FROM pg_authid ORDER BY oid DESC LIMIT 2');
($odd, $cut) = ($cut, $odd);
$node->safe_psql('latin1', q{SET client_encoding = 'LATIN1'; CREATE DATABASE "} . $database . q{" ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C'});

my $table = <<"EOS";
CREATE EXTENSION outflow;
CREATE DOMAIN who AS regrole;
CREATE TYPE pair AS (r regrole, v text);
CREATE TABLE x (id int PRIMARY KEY, r regrole, rs regrole[], a aclitem, d who, p pair, t text, n name);
DO \$\$ BEGIN EXECUTE format('ALTER TABLE x ALTER a SET DEFAULT %L::aclitem', makeaclitem($odd, 10, 'SELECT', false)); END \$\$;
EOS
my $rows = <<"EOS";
INSERT INTO x VALUES (1, '$odd', '{$odd,$cut}', makeaclitem($odd, 10, 'SELECT', false), '$odd', ROW('$cut', 'v'), 'plain', (SELECT rolname FROM pg_authid WHERE oid = $odd));
INSERT INTO x (id, r) VALUES (2, '$cut');
EOS
foreach my $name ($database, 'euc')
{
	$node->safe_psql($name, $table);
	create_slot($node, $name eq 'euc' ? 'euc' : 'utf8', $name);
}
$node->safe_psql($database, <<"EOS");
SELECT pg_replication_origin_session_setup(roname) FROM pg_replication_origin;
$rows
EOS
$node->safe_psql('euc', $rows);

# peek(DATABASE, SLOT, OPTION...): lines
sub peek
{
	my ($name, $slot, @options) = @_;
	my ($status, $out, $err) = $node->psql($name, "SET client_encoding = 'SQL_ASCII'; SELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL"
		  . join('', map { ", '$_'" } @options) . ')');

	is($err, '', "$slot @options: the stream comes to its end");
	return grep { $_ ne '' } split /\n/, $out;
}

# bytes of no character
sub is_utf8 { my $text = $_[0]; return defined eval { decode('UTF-8', $text, Encode::FB_CROAK); 1 }; }

my @formats = ([], [ 'nested', 'text' ], [ 'format', 'debezium', 'topic_prefix', 'x' ], [ 'format', 'debezium' ],
	[ 'format', 'wal2json', 'include-default', 'on', 'include-origin', 'on' ], [ 'format', 'wal2json', 'format-version', '2', 'include-default', 'on' ],
	map { [ 'mask_columns', "public.x.*=$_" ] } qw(truncate:1 truncate:2 truncate:9));
foreach my $options (@formats)
{
	my @lines = peek($database, 'utf8', @$options);
	my $whole = join("\n", @lines);

	ok(is_utf8($whole), "@$options: is UTF-8");
	like($whole, qr/r\xee\xbf\xa9q|mask/, '... and shows the byte') unless "@$options" =~ /truncate:1|truncate:2/;
	next if "@$options" =~ /^format wal2json/;
	is(scalar(grep { !eval { $json->decode($_) } } @lines), 0, '... and JSON');
}
my @records = map { $json->decode($_) } peek($database, 'utf8');
my ($row) = map { $_->{new} } grep { $_->{op} eq 'insert' && $_->{new}{id} == 1 } @records;
is_deeply($row, { id => 1, r => "\"r\x{efe9}q\"", rs => [ "\"r\x{efe9}q\"", "\"r\x{eff0}\"" ], a => $row->{a}, d => "\"r\x{efe9}q\"",
		p => { r => "\"r\x{eff0}\"", v => 'v' }, t => 'plain', n => "r\x{efe9}q" }, 'values');
like($row->{a}, qr/^"?r\x{efe9}q"?=r/, 'an aclitem');
my ($begin) = grep { $_->{op} eq 'begin' } @records;
is($begin->{origin}, "o\x{efe9}", 'an origin');
my ($schema) = grep { $_->{op} eq 'schema' } @records;
like($schema->{columns}[3]{default}, qr/r\x{efe9}q.*::aclitem/, 'a default');
like(join("\n", peek($database, 'utf8', 'format', 'debezium')), qr/"db":"d\xee\xbf\xa9"/, 'a database');

# a database of another encoding of several bytes
foreach my $options ([], [ 'mask_columns', 'public.x.*=truncate:9' ], [ 'format', 'debezium', 'topic_prefix', 'x' ])
{
	my @lines = peek('euc', 'euc', @$options);

	is(scalar(grep { !eval { $json->decode($_) } } @lines), 0, "EUC_JP @$options: JSON");
	unlike("@lines", qr/[\x80-\xff]/, '... in ASCII');
}

# files
foreach my $format ('csv', 'jsonl', 'parquet')
{
	my $place = "$dir/$format";
	my ($status, $out, $err) = $node->psql($database, "CALL outflow.export('x', 'file://$place', format => '$format', compression => 'none')");

	unlike($err, qr/ERROR/, "$format: an export");
	ok(is_utf8(slurp_file("$place/_manifest.json")), '... its manifest is UTF-8');
	next if $format eq 'parquet';
	ok(is_utf8(exported_parts($place)), '... and its file');
}
my ($part) = grep { /^part-/ } files_below("$dir/csv");
$node->safe_psql($database, "CREATE TABLE back (id int, r text, rs text, a text, d text, p text, t text, n text); COPY back FROM '$dir/csv/$part' (FORMAT csv)");
is($node->safe_psql($database, 'SELECT count(*) FROM back'), 2, 'COPY takes the csv');
my ($status, $out, $err) = $node->psql($database, 'SET client_encoding = SQL_ASCII; SELECT outflow.restore_script(max(job)) FROM outflow.jobs');
ok(is_utf8($out), 'a script is UTF-8');

$node->stop;
done_testing();
