# Promise: restore_script prints what makes an export's tables in another database
# and loads every part of every format that COPY reads, however it was compressed
# and with whatever options; the rows are the same in both directions, and sequences go on.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('restore', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $export = new_export_dir();
my $number = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# differences(DATABASE, TABLE): rows of one that the other doesn't have, by their texts
sub differences
{
	my ($database, $table) = @_;
	my @rows = map { $node->safe_psql($_, "SELECT t::text FROM $table AS t ORDER BY 1") } 'postgres', $database;

	return '' if $rows[0] eq $rows[1];

	my %theirs = map { $_ => 1 } split(/\n/, $rows[1]);
	my ($first) = grep { !$theirs{$_} } split(/\n/, $rows[0]);
	return 'not there: ' . ($first // 'nothing');
}

# restore(CALL): into a new database, and its name
sub restore
{
	my ($call) = @_;
	my $job = sql("CALL outflow.$call");
	my $database = 'restored' . ++$number;
	my $script = sql("SELECT outflow.restore_script($job)");

	sql("CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE SCHEMA types; CREATE TYPE types.mood AS ENUM (\'sad\', \'ok\');'
		  . "CREATE TYPE types.pair AS (a int, b text); SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'; $script");
	return $database;
}

sql(<<'EOS');
CREATE SCHEMA types;
CREATE TYPE types.mood AS ENUM ('sad', 'ok');
CREATE TYPE types.pair AS (a int, b text);
CREATE SCHEMA "it's";
CREATE TABLE "it's"."Shop, ""x""" (id serial PRIMARY KEY, other bigint GENERATED ALWAYS AS IDENTITY,
	"a b" text, n numeric(12,3), f float8, d date, ts timestamptz, iv interval, b bytea, j json, jb jsonb,
	arr int[], texts text[], e types.mood, p types.pair, bool bool NOT NULL,
	twice int GENERATED ALWAYS AS (id_of_row * 2) STORED, id_of_row int, gone int);
ALTER TABLE "it's"."Shop, ""x""" DROP gone;
INSERT INTO "it's"."Shop, ""x""" ("a b", n, f, d, ts, iv, b, j, jb, arr, texts, e, p, bool, id_of_row)
SELECT CASE g % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'a,"b"\t\n\\' || g WHEN 3 THEN '\.' ELSE 'ünï' END,
	g * 1.001, g / 3.0, date '2026-01-02' + g, timestamptz '2026-03-04 05:06:07+02' + g * interval '1 h',
	g * interval '1 day 1 s', decode(lpad(to_hex(g), 8, '0'), 'hex'), '{"a" : 1}', jsonb_build_array(g, 'x'), ARRAY[g, NULL],
	ARRAY['a,b', NULL, ''], 'ok', (g, 'x y')::types.pair, g % 2 = 0, g
FROM generate_series(1, 3000) AS g;
CREATE TABLE plain (id int);
INSERT INTO plain VALUES (1), (NULL);
CREATE TABLE none (id int);
EOS
my $table = q{"it's"."Shop, ""x"""};
my $literal = q{'"it''s"."Shop, ""x"""'};

foreach my $case (
	[ 'csv', '' ],
	[ 'csv', ", compression => 'gzip', options => '{\"header\": true}'" ],
	[ 'csv', ", compression => 'zstd:3', options => '{\"delimiter\": \";\", \"null\": \"is NULL\", \"quote\": \"\\u0027\", \"escape\": \"|\", \"force_quote\": true}'" ],
	[ 'text', ", compression => 'lz4'" ],
	[ 'text', ", options => '{\"header\": \"on\", \"delimiter\": \"\\t\", \"null\": \"\\\\\\\\N\"}'" ],
	[ 'binary', ", compression => 'zstd'" ],
	[ 'jsonl', '' ],
	[ 'jsonl', ", compression => 'gzip'" ])
{
	my ($format, $arguments) = @$case;
	my $name = "$format$arguments";
	my $database = restore("export($literal, 'file://$export/it''s $number', format => '$format', part_size => '100kB'$arguments)");

	is(differences($database, $table), '', "the same rows: $name");
	is($node->safe_psql($database, "INSERT INTO $table (bool) VALUES (true) RETURNING id, other"),
		'3001|3001', "and its sequences go on: $name");
}
cmp_ok(sql("SELECT max(parts_total) FROM outflow.jobs"), '>', 3, 'there were several parts');

# many tables, an empty one too, and parts that lie elsewhere
my $many = "export_tables(ARRAY['plain', 'none', $literal]::regclass[], 'file://$export";
my $database = restore("$many/many', part_size => '100kB')");
is(differences($database, $_), '', "of many tables: $_") foreach 'plain', 'none', $table;
sql("INSERT INTO plain VALUES (7)");
$database = restore(qq{$many/later', part_size => '100kB', options => '{"base": "last", "carry": "reference"}')});
is(differences($database, $_), '', "from another export's directory: $_") foreach 'plain', $table;
cmp_ok(sql('SELECT parts_carried FROM outflow.jobs ORDER BY job DESC LIMIT 1'), '>', 0, 'where parts are');

# columns that the script's own names could be taken for, none at all, and numbers
# that go down or lie outside of what their sequence gives
sql(<<'EOS');
CREATE SCHEMA odd;
CREATE TABLE odd.outflow_line (line text, r int, l text, json_populate_record text, outflow_line text);
INSERT INTO odd.outflow_line VALUES ('a', 1, 'b', 'c', 'd'), (NULL, 2, NULL, NULL, NULL);
CREATE TABLE odd.empty ();
INSERT INTO odd.empty DEFAULT VALUES;
INSERT INTO odd.empty DEFAULT VALUES;
CREATE TABLE odd.made (one int GENERATED ALWAYS AS (1) STORED);
INSERT INTO odd.made DEFAULT VALUES;
CREATE TABLE odd.down (id int GENERATED ALWAYS AS IDENTITY (INCREMENT BY -1), t int);
INSERT INTO odd.down (t) VALUES (1), (2), (3);
CREATE TABLE odd.below (id serial, t int);
INSERT INTO odd.below VALUES (0, 0), (-5, 0);
CREATE TABLE odd.round (id smallint GENERATED BY DEFAULT AS IDENTITY (MINVALUE -2 MAXVALUE 2 START 1 CYCLE), t int);
INSERT INTO odd.round (t) VALUES (1), (2);
EOS
foreach my $format ('csv', 'text', 'binary', 'jsonl')
{
	$database = restore("export_schema('odd', 'file://$export/odd-$format', format => '$format')");
	is(differences($database, "odd.$_"), '', "$format: $_") foreach 'outflow_line', 'empty', 'made', 'down', 'below', 'round';
	foreach my $case ([ 'down', '-4' ], [ 'below', '1' ], [ 'round', '-2' ])
	{
		is($node->safe_psql($database, "INSERT INTO odd.$case->[0] (t) VALUES (9) RETURNING id"),
			$case->[1], "$format: numbers of $case->[0] go on");
	}
}

# columns and rows
$database = restore("export('plain', 'file://$export/some', columns => '{id}', filter => 'id > 1')");
is($node->safe_psql($database, 'SELECT * FROM plain'), '7', 'what was not exported is not there');
sql('DROP TABLE plain CASCADE');
my $script = sql("SELECT outflow.restore_script(max(job)) FROM outflow.jobs");
like($script, qr/CREATE TABLE IF NOT EXISTS public\.plain \(id integer\)/, 'a table that was dropped can be restored');
is($node->safe_psql('postgres', "$script; SELECT * FROM plain"), '7', 'where it was, too');

# refused
sub refused
{
	my ($query, $error, $name, @role) = @_;

	like(($node->psql('postgres', $query, extra_params => \@role))[2], $error, $name);
	return;
}
my $job = sql("CALL outflow.export('plain', 'file://$export/parquet', format => 'parquet')");
refused("SELECT outflow.restore_script($job)", qr/COPY cannot load format "parquet"/, 'parquet is refused');

# files in a bucket: all of them, or those that an export of files refers to
my $store = start_fake_s3();
sql($store->server_sql('lake', retries => 0));
$job = sql("CALL outflow.export('plain', 'lake:a/b')");
refused("SELECT outflow.restore_script($job)", qr{COPY cannot load "s3://[^"]*/a/b/part-[^"]+"\nDETAIL:  It reads files of the server only\.\nHINT: }, 'a bucket is refused');
sql('CREATE TABLE halves AS SELECT g AS id FROM generate_series(1, 20000) AS g');
$job = sql("CALL outflow.export('halves', 'lake:halves', part_size => '64kB')");
sql('DELETE FROM halves WHERE id = 20000');
$job = sql("CALL outflow.export('halves', 'file://$export/halves', part_size => '64kB', base => $job, options => '{\"carry\": \"reference\"}')");
is(sql("SELECT parts_carried BETWEEN 1 AND parts_total - 1 FROM outflow.jobs WHERE job = $job"), 't', 'some files are in the bucket still');
refused("SELECT outflow.restore_script($job)", qr{COPY cannot load "s3://[^"]*/halves/part-[^"]+"\n}, 'one file in a bucket is refused');
$job = sql("CALL outflow.export('halves', 'lake:later', part_size => '64kB', base => $job, options => '{\"carry\": \"reference\"}')");
refused("SELECT outflow.restore_script($job)", qr{COPY cannot load "s3://}, 'and so is a job in a bucket that refers to files');
$job = sql("CALL outflow.export('plain', 'lake:parquet', format => 'parquet')");
refused("SELECT outflow.restore_script($job)", qr/COPY cannot load format "parquet"/, 'the format counts more than the place');

$job = sql("CALL outflow.export('plain', 'file://$export/secret', encrypt_to =>"
	  . " '{age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p}')");
refused("SELECT outflow.restore_script($job)", qr/export job $job is encrypted/, 'so is what is encrypted');
sql('CREATE ROLE other LOGIN');
refused("SELECT outflow.restore_script($job)", qr/permission denied for export job $job/, "and another owner's job", '-U', 'other');
sql("UPDATE outflow.job SET state = 'failed' WHERE job = $job");
refused("SELECT outflow.restore_script($job)", qr/export job $job is not done/, 'and one that is not done');

$node->stop;
done_testing();
