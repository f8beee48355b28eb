# Promise: a hash is HMAC-SHA-256 of PostgreSQL's text of the value, whatever
# the type, the format and the settings, in files as in the stream; pgcrypto is
# the oracle.  Parts that were written under other masks, or another key, are
# not carried.
use strict;
use warnings;

use OutflowTest;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $key = 'a key of 16 bytes or more';
my $key_file = "$dir/key";
my $node = new_outflow_node('mask', conf => "outflow.mask_key_file = '$key_file'\n");

# write_key(TEXT, MODE)
sub write_key
{
	my ($text, $mode) = @_;

	unlink $key_file;
	append_to_file($key_file, "$text\n");
	chmod $mode, $key_file;
	return;
}

write_key($key, 0600);
need_library($node, 'pgcrypto');
$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION pgcrypto;
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b timestamptz);
CREATE DOMAIN mail AS text CHECK (VALUE ~ '@');
CREATE TABLE t (id int PRIMARY KEY, b bool, i2 smallint, i4 int, i8 bigint, o oid, f4 real, f8 float8, n numeric,
	t text, v varchar(30), c char(8), nm name, by bytea, u uuid, d date, tm time, tz timetz, ts timestamp,
	tstz timestamptz, j json, jb jsonb, e mood, h hstore, a int[], at timestamptz[], p pair, ip inet, iv interval,
	m money, r daterange, dom mail, long text);
CREATE PUBLICATION everything FOR ALL TABLES;
EOS
create_slot($node, 'feed');
$node->safe_psql('postgres', <<'EOS');
INSERT INTO t VALUES (1, true, -2, 42, 1234567890123, 77, 1.5, 0.1, 12.50, 'Grüße, "x"', 'v', 'pad', 'a name', '\x00ff',
	'0bd4c9a1-3f6f-4a19-a4c4-6d1a12c8f2f7', '2026-02-01', '10:00', '10:00+02', '2026-02-01 10:00', '2026-02-01 10:00+02',
	'{"a": [1, 2]}', '{"b": 1, "a": {"c": "é"}}', 'happy', 'a=>1', '{1,2,NULL}', '{2026-02-01 10:00+02}',
	'(1,2026-02-01 10:00+02)', '10.1.2.3/8', '1 day 02:00', 12.5, '[2026-01-01,2026-02-01)', 'x@y',
	(SELECT string_agg(md5(g::text), '') FROM generate_series(1, 3000) AS g));
INSERT INTO t (id) VALUES (2);
UPDATE t SET b = false WHERE id = 1;
EOS

my @columns = split /\n/, $node->safe_psql('postgres',
	q{SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 1 ORDER BY attnum});
my $oracle = 'SELECT ' . join(', ',
	map { "coalesce(encode(hmac(convert_to(format('%s', $_), 'UTF8'), '$key', 'sha256'), 'hex'), '')" } @columns);
# format() writes what the output function does, char(n)'s blanks included; but NULL as nothing
my $settings = "SET DateStyle = ISO, YMD; SET TimeZone = UTC; SET bytea_output = hex; SET lc_monetary = 'C';";
my $expected = $node->safe_psql('postgres', "$settings $oracle FROM t WHERE id = 1");
my @expected = split /\|/, $expected;
my @inserted = @expected;

$inserted[0] = $node->safe_psql('postgres', "SELECT encode(hmac('t', '$key', 'sha256'), 'hex')");
my $masks = 'public.t.*=hash';

# export(FORMAT, MORE, SETTINGS): the directory's parts
sub export
{
	my ($format, $more, $set) = @_;
	my $place = File::Temp::tempdir('export_XXXXXX', DIR => $dir);
	my $job = $node->safe_psql('postgres',
		($set // '') . "CALL outflow.export('t', 'file://$place', format => '$format', options => '{\"mask_columns\": \"$masks\", \"overwrite\": true}'"
		. ($more // '') . ')');

	return ($place, $job);
}

my $foreign = "SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET bytea_output = escape; SET extra_float_digits = 0;"
  . " SET IntervalStyle = iso_8601; SET lc_monetary = 'C.UTF-8';";
foreach my $set ('', $foreign)
{
	my ($place) = export('csv', '', $set);
	my ($second, $first) = split /\n/, exported_parts($place);
	my @fields = split /,/, $first;

	shift @fields;
	is_deeply(\@fields, \@expected, 'csv' . ($set ? ' under other settings' : ''));
	is($second =~ tr/,//cdr, ',' x @columns, '... and NULL stays NULL');
	($place) = export('jsonl', '', $set);
	my ($record) = map { JSON::PP->new->utf8->decode($_) } (split /\n/, exported_parts($place))[1];

	is_deeply([ map { $record->{$_} } @columns ], \@expected, 'jsonl' . ($set ? ' under other settings' : ''));
}

my ($insert, undef, $update) = grep { $_->{op} =~ /insert|update/ }
  slot_records($node, 'feed', { mask_columns => $masks, tables => 'public.t' });
is_deeply([ map { $insert->{new}{$_} } @columns ], \@inserted, 'stream');
like($insert->{new}{id}, qr/^[0-9a-f]{64}$/, '... its key, too');
is($update->{key}{id}, $insert->{new}{id}, '... is the key');
is_deeply($update->{unchanged}, ['long'], 'what the WAL only points to is unchanged, not hashed');

# a running stream keeps its key, whatever becomes of the file and the definitions
create_slot($node, 'running');
my $file = "$dir/running";
my $running = IPC::Run::start([ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', 'running', '--start', '-f', $file, '-F', '0',
		'-o', 'mask_columns=public.k.v=hash', '-o', 'include_schemas=off' ], '>', \my $said, '2>&1');
my ($old, $new) = split /\|/, $node->safe_psql('postgres', "SELECT encode(hmac('x', '$key', 'sha256'), 'hex'), encode(hmac('x', 'another $key', 'sha256'), 'hex')");
$node->safe_psql('postgres', 'CREATE TABLE k (id int PRIMARY KEY, v text)');
foreach my $row (1 .. 3)
{
	write_key("another $key", 0600) if $row == 2;
	unlink $key_file if $row == 3;
	$node->safe_psql('postgres', "ALTER TABLE k ADD c$row int; INSERT INTO k VALUES ($row, 'x')");
	wait_for_line($file, qr/"new":\{"id":$row,"v":"$old"/) if $row == 1;
}
my $tries = 0;
Time::HiRes::usleep(100_000) while slurp_file($file) !~ /"new":\{"id":3,/ && $tries++ < 300 && $running->pumpable;
is(join(' ', slurp_file($file) =~ /"v":"(\w+)"/g), "$old $old $old", 'a running stream keeps its key') or diag($said);
$running->kill_kill;
write_key("another $key", 0600);
wait_until($node, q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'running'}, 'the end of the stream');
$node->safe_psql('postgres', q{INSERT INTO k VALUES (4, 'x')});
my ($last) = grep { ($_->{new}{id} // 0) == 4 } slot_records($node, 'running', { mask_columns => 'public.k.v=hash' });
is($last->{new}{v}, $new, '... and a new one takes the new one');
write_key($key, 0600);
$node->safe_psql('postgres', 'DROP TABLE k');

# what is carried
my $base = (export('csv'))[1];

# carried(MORE): how many of a new export's parts are the base's
sub carried
{
	my ($job) = (export('csv', ", base => $base"))[1];

	return $node->safe_psql('postgres', "SELECT parts_carried FROM outflow.jobs WHERE job = $job");
}

is(carried(), 1, 'parts are carried under the same masks');
$masks = 'public.t.*=hash,public.other.x=null';
is($node->psql('postgres', "CALL outflow.export('t', 'file://$dir/none', options => '{\"mask_columns\": \"$masks\"}')"), 3,
	'a mask for no column is refused');
$masks = 'public.t.b=redact,public.t.*=hash';
is(carried(), 0, '... not under others');
$masks = '*.t.?=hash,*.t.*=hash';
is(carried(), 1, '... that are written otherwise don\'t count');
write_key("another $key", 0600);
is(carried(), 0, '... nor under another key');
write_key($key, 0640);
my ($status, $out, $err) = $node->psql('postgres',
	"CALL outflow.export('t', 'file://$dir/none', options => '{\"mask_columns\": \"$masks\"}')");
like($err, qr/could not read the key for masked columns.*Others than the server's user may use the file/s, 'a key that others read');
unlink $key_file;
($status, $out, $err) = $node->psql('postgres', "SELECT * FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'mask_columns', '$masks')");
like($err, qr/could not read the key for masked columns/, 'no key, no stream');
POSIX::mkfifo($key_file, 0600) or die;
($status, $out, $err) = $node->psql('postgres', "SELECT * FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'mask_columns', '$masks')",
	timeout => 60);
like($err, qr/could not read the key for masked columns.*It is not a regular file/s, 'nor is a FIFO waited for');
unlink $key_file;
$masks = 'public.t.*=redact';
is((split /\n/, exported_parts((export("csv"))[0]))[1], join(',', ('***') x (@columns + 1)), 'redact needs no key');

done_testing();
