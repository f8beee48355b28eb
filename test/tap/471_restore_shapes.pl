# Promise: what restore_script prints runs, and restores what the files have,
# whatever was left out or masked of keys, identities, sequences and generated
# columns.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('shapes', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my $number = 0;

# restores(NAME, COLUMNS, INSERT, ARGUMENTS, WHAT, EXPECTED): the rows, or what a query of the restored table t gives
sub restores
{
	my ($name, $columns, $insert, $arguments, $what, $expected) = @_;
	my $database = 'd' . ++$number;

	$node->safe_psql('postgres', "DROP TABLE IF EXISTS t; CREATE TABLE t ($columns); INSERT INTO t $insert");
	my $job = $node->safe_psql('postgres', "CALL outflow.export('t', 'file://$dir/$number'$arguments)");
	my $script = $node->safe_psql('postgres', "SELECT outflow.restore_script($job)");
	$expected //= $node->safe_psql('postgres', 'SELECT * FROM t');
	$node->safe_psql('postgres', "CREATE DATABASE $database");

	my ($status, $out, $err) = $node->psql($database, $script, on_error_stop => 1);
	is($status, 0, "$name: the script runs") or diag($err);
	is($node->safe_psql($database, $what // 'SELECT * FROM t'), $expected, "$name: restored");
	return;
}

sub mask { return q(, options => '{"mask_columns": "*.*.) . "$_[0]=$_[1]" . q("}'); }

my $key = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = 't'::regclass";
my $made = 'id int, n int, m int GENERATED ALWAYS AS (n + 1) STORED';
my $one = '(id, n) VALUES (1, 1)';
my $generated = "SELECT t.*, a.attgenerated FROM t, pg_attribute AS a WHERE attrelid = 't'::regclass AND attname = 'm'";

restores('a key that includes what is not exported', 'id int, note text, x int, PRIMARY KEY (id) INCLUDE (note, x) DEFERRABLE INITIALLY DEFERRED',
	"VALUES (1, 'a', 2)", ", columns => '{id,x}'", $key, 'PRIMARY KEY (id) INCLUDE (x) DEFERRABLE INITIALLY DEFERRED');
restores('a key that includes nothing that is exported', 'id int, note text, PRIMARY KEY (id) INCLUDE (note)',
	"VALUES (1, 'a')", ", columns => '{id}'", $key, 'PRIMARY KEY (id)');
restores('a key that includes what is exported', 'id int, note text, PRIMARY KEY (id) INCLUDE (note)', "VALUES (1, 'a')", '', $key,
	'PRIMARY KEY (id) INCLUDE (note)');
restores('a key of which half is exported', 'id int, no int, PRIMARY KEY (id, no)', 'VALUES (1, 2)', ", columns => '{id}'", $key, '');
restores('a key beside a mask', 'id int PRIMARY KEY, n int', 'VALUES (1, 2)', mask('n', 'redact'), $key, 'PRIMARY KEY (id)');
restores('quoted names in a key', q{"a""b\\c" int, "x y" text, n int, PRIMARY KEY ("a""b\\c") INCLUDE ("x y", n)}, "VALUES (1, 'y', 3)",
	q{, columns => ARRAY['a"b\\c', 'x y']}, 'SELECT * FROM t', '1|y');
restores('a key that a collation is in', 'a text COLLATE "C" PRIMARY KEY', "VALUES ('y')", '');

foreach my $method ('redact', 'null', 'truncate:1')
{
	my $masked = { redact => '***|1', null => '|1', 'truncate:1' => '7|1' }->{$method};

	restores("an identity, $method", 'id bigint GENERATED ALWAYS AS IDENTITY (START 70) PRIMARY KEY, n int', '(n) VALUES (1)', mask('id', $method),
		undef, $masked);
	restores("a serial, $method", 'id serial PRIMARY KEY, n int', '(id, n) VALUES (70, 1)', mask('id', $method), undef, $masked);
}
restores('a smallserial', 'id smallserial, n int', '(n) VALUES (1)', '');
restores('a sequence that goes down', 'id int GENERATED ALWAYS AS IDENTITY (INCREMENT -1), n int', '(n) VALUES (1)', '');

foreach my $format ('csv', 'text', 'binary', 'jsonl')
{
	my $as = ", format => '$format'";

	restores("a generated column, $format", $made, $one, $as, $generated, '1|1|2|s');
	restores("a generated column of a masked one, $format", $made, $one, $as . mask('n', 'redact'), undef, $format eq 'jsonl' ? '1|***|2' : '1|***');
	restores("a generated column that is masked, $format", $made, $one, $as . mask('m', 'redact'), undef, $format eq 'jsonl' ? '1|1|***' : '1|1');
	restores("a generated column of one that is not exported, $format", $made, $one, "$as, columns => '{id}'", undef, '1');
	restores("a generated column by name, $format", $made, $one, "$as, columns => '{id,n,m}'", undef, '1|1|2');
	restores("a generated column by name, without its source, $format", $made, $one, "$as, columns => '{id,m}'", $generated, '1|2|');
	restores("a generated column first, $format", 'm int GENERATED ALWAYS AS (n + 1) STORED, n int, o int', '(n, o) VALUES (1, 3)',
		"$as, columns => '{o,m,n}'", 'SELECT o, m, n FROM t', '3|2|1');
	restores("a generated column of one of two, $format", "$made, other int", $one, "$as, columns => '{id,n}'", $generated, '1|1|2|s');
}

# ---- whatever the settings are, of the session that exported, of the one that asks
# for the script, and of the one that runs it
my @sessions = ('SELECT', q{SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET extra_float_digits = -15; SET timezone = 'Asia/Tokyo'; SET bytea_output = 'escape'},
	# 19 can't turn standard_conforming_strings off any more
	(server_major($node) < 19 ? 'SET standard_conforming_strings = off; SET escape_string_warning = off; ' : '') . q{SET quote_all_identifiers = on; SET transform_null_equals = on; SET datestyle = German});

$node->safe_psql('postgres', q{DROP TABLE t; CREATE TABLE t (id int, d date, note text DEFAULT 'x', late bool GENERATED ALWAYS AS (d >= '2024-02-01') STORED,
	dur interval GENERATED ALWAYS AS ('-1 days -02:03:04'::interval * id) STORED, f float8 GENERATED ALWAYS AS (id + 0.1::float8 + 1.00000000001::float8) STORED,
	z timestamptz GENERATED ALWAYS AS ('2024-02-01 12:00:00+00'::timestamptz) STORED, s text GENERATED ALWAYS AS ('a\b''c' || note) STORED,
	m money GENERATED ALWAYS AS ('1234.56'::money) STORED, n bool GENERATED ALWAYS AS ((note = NULL) IS NULL) STORED);
	INSERT INTO t (id, d, note) VALUES (1, '2024-01-15', E'it''s \\\\'), (2, '2024-04-03', NULL)});
my $all = 'SELECT * FROM t ORDER BY id';
foreach my $format ('csv', 'text', 'binary', 'jsonl')
{
	foreach my $from (0 .. $#sessions)
	{
		my $to = ($from + 1) % @sessions;
		my $name = "$format, sessions $from and $to";
		my $database = 'd' . ++$number;
		my $job = $node->safe_psql('postgres', "$sessions[$to]; CALL outflow.export('t', E'file://$dir/it''s $number', format => '$format', compression => 'gzip')") =~ s/\s//gr;
		my (undef, $script, $error) = $node->psql('postgres', "$sessions[$from]; SELECT outflow.restore_script($job)");

		is($error, '', "$name: the script is made");
		$node->safe_psql('postgres', "CREATE DATABASE $database");
		my ($status, $out, $err) = $node->psql($database, "$sessions[$to]; $script", on_error_stop => 1);
		is($status, 0, "$name: the script runs") or diag($err);
		is(($node->psql($database, $all))[1], $node->safe_psql('postgres', $all), "$name: restored");
	}
}

# a format that writes its values under settings of its own names those
$node->safe_psql('postgres', "$sessions[1]; SET xmlbinary = hex; CALL outflow.export('t', 'file://$dir/told', format => 'jsonl')");
like(slurp_file("$dir/told/_manifest.json"), qr/"settings": \{"DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC", "bytea_output": "hex", "extra_float_digits": "1", "lc_monetary": "C", "quote_all_identifiers": "off", "timezone_abbreviations": "Default", "xmlbinary": "hex"\}/,
	'the settings of jsonl are its own, but for those that filters read');
$node->safe_psql('postgres', "$sessions[1]; CALL outflow.export('t', 'file://$dir/told_csv', format => 'csv')");
like(slurp_file("$dir/told_csv/_manifest.json"), qr/"settings": \{"DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard"/, 'those of csv are the session\'s');

done_testing();
