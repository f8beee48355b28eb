# Promise: every kind of value goes through every format of both halves whole:
# csv, text and binary as COPY writes it, jsonl, json and debezium as the server's
# own JSON has it, wal2json as that plugin writes it, Parquet as its readers see it.
#
# The kinds are read from the source: one without values here fails.
use strict;
use warnings;

use File::Basename qw(dirname);
use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# KIND => [[TYPE, VALUE...]...]: of each value's literal
my %values = (
	BOOL => [ [qw(bool t f)] ],
	INT2 => [ [qw(int2 0 -32768 32767)] ],
	INT4 => [ [qw(int4 0 -2147483648 2147483647)] ],
	INT8 => [ [qw(int8 0 -9223372036854775808 9223372036854775807)] ],
	OID => [ [qw(oid 0 4294967295)], [qw(xid 3 4294967295)], [qw(cid 0 7)] ],
	FLOAT4 => [ [qw(float4 1.5 -0 0 NaN Infinity -Infinity 3.4e38 1e-45)] ],
	FLOAT8 => [ [qw(float8 1.5 -0 0 NaN Infinity -Infinity 1e-320 123456789.125)] ],
	NUMERIC => [
		[qw(numeric 0 -1.50 NaN Infinity -Infinity 1e-30 123456789012345678901234567890.5)],
		[qw{numeric(12,3) 0 -1.5 999999999.999}],
		[qw{numeric(38,10) 1 -9999999999999999999999999999.9999999999}] ],
	TEXT => [
		[ 'text', '', 'plain', qq{a "quoted", \\ back\nline\ttab}, '\\N', '\\.', 'é', '😀' ],
		[ 'varchar(20)', 'x', '' ],
		[ 'char(5)', 'ab', '' ] ],
	NAME => [ [ 'name', '', 'a,b"c' ] ],
	BYTEA => [ [ 'bytea', '', '\x00ff0a5c' ] ],
	UUID => [ [qw(uuid 00000000-0000-0000-0000-000000000000 a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11)] ],
	DATE => [ [ 'date', '2026-11-28', '1582-10-10', '0044-03-15 BC', '5874897-12-31' ] ],
	TIME => [ [qw(time 00:00:00 23:59:59.999999)] ],
	TIMETZ => [ [qw(timetz 00:00:00+15:59 23:59:59.5-05:30:15)] ],
	TIMESTAMP => [ [ 'timestamp', '2026-11-28 06:00:00.5', '0044-03-15 10:00 BC', '294246-12-31 23:59:59.999999' ] ],
	TIMESTAMPTZ => [ [ 'timestamptz', '2026-11-28 06:00:00.5+02', '0044-03-15 10:00+00 BC', '1883-11-18 12:03:57+00' ] ],
	JSON => [ [ 'json', '{"a": [1, null, "x\"y"]}', 'null', '3', '[ ]' ] ],
	JSONB => [ [ 'jsonb', '{"a": [1, null, "x\"y"], "é": 1.50}', 'null', '"s"', '[]' ] ],
	ENUM => [ [ 'shade', 'red', 'a,b "c"' ] ],
	HSTORE => [ [ 'hstore', 'a=>1, "b c"=>NULL', '' ] ],
	VECTOR => [ [ 'vector', '[1,-0.5,3e10]', '[0.25]' ] ],
	ARRAY => [ [ 'numbers', '{1,NULL,-3}', '{}' ], [ 'words', '{"",NULL,"NULL","a,\"b"}' ] ],
	COMPOSITE => [ [ 'pair', '(1,"a ""b""")', '(,)' ] ],
	OTHER => [
		[ 'interval', '1 mon -2 d 04:05:06.7' ], [ 'int4range', '[1,5)', 'empty' ],
		[qw(inet 10.0.0.1/8 ::1)], [qw(money 1.50 -2)], [ 'xml', '<a b="c"/>' ],
		[ 'tsvector', 'a fat cat' ], [ 'point', '(1,-0)' ], [ 'varbit', '101' ],
		[ 'tstzrange', '["2020-01-01 00:00:00+00",)' ], [ 'jsonpath', '$."a"' ],
		[ 'pg_lsn', '16/B374D848' ], [ 'regclass', 'pg_class' ], [ 'int4multirange', '{[1,2),[5,9)}' ] ]);

# where ours has another form than the server's JSON: a function of the value
my %json = map { $_ => 'to_jsonb($1::text::bigint)' } qw(oid xid cid);
my %debezium = (
	%json,
	bytea => q{to_jsonb(translate(encode($1, 'base64'), E'\n', ''))},
	json => 'to_jsonb($1::text)',
	jsonb => q{to_jsonb(replace(replace($1::text, ': ', ':'), ', ', ','))},
	hstore => 'to_jsonb(hstore_to_json($1)::text)');

# ---- every kind has values
my $source = slurp_file(dirname(__FILE__) . '/../../src/row/row.h');
my ($list) = $source =~ /typedef enum TypeKind\s*\{(.*?)\} TypeKind;/s;
my @kinds = ($list =~ s{/\*.*?\*/}{}gsr) =~ /\bKIND_(\w+)/g;

cmp_ok(scalar(@kinds), '>', 20, 'the kinds are read from the source');
is_deeply([ sort keys %values ], [ sort @kinds ], 'every kind has values here');

# ---- a table for each type: the value, an array, a composite and a domain of it
my $node = new_outflow_node('kinds',
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $module = dirname(__FILE__) . '/../modules/vector/vector_test.so';
my $scratch = new_export_dir();
my @tables;

$node->safe_psql('postgres', <<"EOS");
CREATE EXTENSION hstore;
CREATE TYPE shade AS ENUM ('red', 'a,b "c"');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN numbers AS int[];
CREATE DOMAIN words AS text[];
CREATE TYPE vector;
CREATE FUNCTION vector_in(cstring) RETURNS vector AS '$module' LANGUAGE c STRICT;
CREATE FUNCTION vector_out(vector) RETURNS cstring AS '$module' LANGUAGE c STRICT;
CREATE FUNCTION vector_send(vector) RETURNS bytea AS 'byteasend' LANGUAGE internal STRICT;
CREATE TYPE vector (INPUT = vector_in, OUTPUT = vector_out, SEND = vector_send, STORAGE = external);
EOS

sub literal { return "'" . ($_[0] =~ s/'/''/gr) . "'" }

sub element { return '"' . ($_[0] =~ s/(["\\])/\\$1/gr) . '"' }

my $setup = '';
foreach my $kind (@kinds)
{
	foreach my $entry (@{ $values{$kind} || [] })
	{
		my ($type, @values) = @$entry;
		my $table = lc("k_${kind}_" . @tables);
		my $form = $debezium{$type} // 'to_jsonb($1)';
		my $id = 0;

		push @tables, { name => $table, type => $type, kind => $kind };
		$setup .= "CREATE TYPE ${table}_c AS (v $type, a $type\[]);\n"
		  . "CREATE DOMAIN ${table}_d AS $type;\n"
		  . "CREATE FUNCTION ${table}_f($type) RETURNS jsonb LANGUAGE sql STRICT AS " . literal("SELECT $form") . ";\n"
		  . "CREATE TABLE $table (id bigint PRIMARY KEY, v $type, a $type\[], c ${table}_c, d ${table}_d);\n"
		  . "ALTER TABLE $table REPLICA IDENTITY FULL;\n"
		  . "INSERT INTO $table (id) VALUES (0);\n";
		foreach my $value (@values)
		{
			my $v = literal($value) . "::$type";
			my $e = element($value);
			my $two = literal("{$e,NULL,$e}");
			my $one = literal("{$e}");

			$id++;
			$setup .= "INSERT INTO $table VALUES ($id, $v, $two, ROW($v, $one), $v);\n";
		}
	}
}
create_slot($node, $_) foreach qw(json debezium wal1 wal2);
my $peer = -e $node->config_data('--pkglibdir') . '/wal2json.so';
my @versions = $peer ? (1, 2) : ();
# a new server's is not packaged yet
BAIL_OUT("wal2json is not installed: run 'make test-deps'")
  unless $peer || server_major($node) >= 19;
$node->safe_psql('postgres',
	"SELECT pg_create_logical_replication_slot('peer$_', 'wal2json')") foreach @versions;
# text of output functions that JSON can't hold as it is, such as lines
$node->safe_psql('postgres', "SET client_encoding = 'UTF8';\n$setup"
	  . join('', map { "UPDATE $_->{name} SET id = id + 1000;\n" } @tables));

# ---- streams, before an export changes a table
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');

sub stream
{
	my ($slot, $options) = @_;

	$node->safe_psql('postgres', "CREATE TABLE got_$slot AS SELECT row_number() OVER () AS n, data FROM "
		  . "pg_logical_slot_get_changes('$slot', '$end', NULL$options)");
	return;
}
stream('json', ", 'include_schemas', 'off', 'include_transactions', 'off'");
stream('debezium', ", 'format', 'debezium'");
stream("wal$_", ", 'format', 'wal2json', 'format-version', '$_'") foreach 1, 2;
stream("peer$_", ", 'format-version', '$_'") foreach @versions;

# ---- COPY's formats
sub export_error
{
	my ($table, $format, $directory, $set) = @_;
	my (undef, undef, $err) = $node->psql('postgres',
		"$set CALL outflow.export('$table', 'file://$directory', format => '$format', workers => 0)");

	return $err;
}

my $number = 0;
my %settings = (
	default => '',
	odd => "SET DateStyle = 'German'; SET extra_float_digits = 0; SET bytea_output = escape; "
	  . "SET IntervalStyle = iso_8601; SET TimeZone = 'America/St_Johns';");
foreach my $table (@tables)
{
	foreach my $format (qw(csv text binary))
	{
		foreach my $name (sort keys %settings)
		{
			my $title = "$table->{type} as $format, $name settings";
			my $directory = "$scratch/out" . ++$number;
			my $copy = "$scratch/copy$number";
			my $err = export_error($table->{name}, $format, $directory, $settings{$name});
			my (undef, undef, $refused) = $node->psql('postgres',
				"$settings{$name} COPY $table->{name} TO '$copy' (FORMAT $format)");

			# what has no binary output function is refused by both
			if ($refused =~ /no binary output function/)
			{
				like($err, qr/no binary output function/, "$title: refused, as by COPY");
				next;
			}
			if ($err =~ /ERROR|connection/)
			{
				fail($title);
				diag($err);
				die "the server is gone\n" if $err =~ /connection/;
				next;
			}
			my ($file) = grep { /^part-/ } files_below($directory);
			ok(slurp_file("$directory/$file") eq slurp_file($copy), $title);
		}
	}
}

# ---- JSON: the server's own, but for the form of UTC
my $pinned = "SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET DateStyle = ISO; SET bytea_output = hex; "
  . "SET IntervalStyle = postgres; SET extra_float_digits = 1; SET lc_monetary = 'C';\n";

# expected(TABLE, FORM): a query of id and the row as JSON
sub expected
{
	my ($table, $form) = @_;
	my $name = $table->{name};
	my $row = "to_jsonb(t)";

	if (($form ? \%debezium : \%json)->{ $table->{type} })
	{
		my $f = "${name}_f";
		my $array = sub { "(SELECT jsonb_agg($f(x) ORDER BY n) FROM unnest($_[0]) WITH ORDINALITY u(x, n))" };

		$row = "jsonb_build_object('id', id, 'v', $f(v), 'a', " . $array->('a') . ", 'd', $f(d), 'c', "
		  . "CASE WHEN v IS NOT NULL THEN jsonb_build_object('v', $f((c).v), 'a', " . $array->('(c).a') . ") END)";
	}
	return "SELECT id % 1000 AS id, replace(($row - 'id'::text)::text, '+00:00', 'Z')::jsonb AS j FROM $name t";
}

# same(TABLE, FORM, LINES, NAME): a query of id and j is what is expected
sub same
{
	my ($table, $form, $lines, $name) = @_;
	my $differ = $node->safe_psql('postgres', $pinned
		  . "SELECT concat_ws(' ', coalesce(e.id, l.id), e.j, 'but', l.j) FROM (" . expected($table, $form)
		  . ") e FULL JOIN ($lines) l USING (id) WHERE e.j IS DISTINCT FROM l.j");

	is($differ, '', $name);
}

foreach my $table (@tables)
{
	my $directory = "$scratch/out" . ++$number;
	my $err = export_error($table->{name}, 'jsonl', $directory, '');
	my ($file) = grep { /^part-/ } files_below($directory);

	next unless is($err, '', "$table->{type} is exported as jsonl");
	same($table, 0,
		"SELECT (line::jsonb->>'id')::bigint % 1000 AS id, line::jsonb - 'id'::text AS j FROM "
		  . "regexp_split_to_table(pg_read_file('$directory/$file'), E'\\n') line WHERE line <> ''",
		"$table->{type} as jsonl");
	check_parquet($node, 'postgres', 'compare', $table->{name},
		export_parquet($node, $table->{name}, arguments => 'workers => 0'));
}

# ---- what the streams wrote
foreach my $table (@tables)
{
	foreach my $member (qw(new old))
	{
		my $op = $member eq 'new' ? 'insert' : 'update';

		same($table, 0,
			"SELECT (data::jsonb->'$member'->>'id')::bigint AS id, (data::jsonb->'$member') - 'id'::text AS j "
			  . "FROM got_json WHERE data::jsonb->>'table' = '$table->{name}' AND data::jsonb->>'op' = '$op'",
			"$table->{type} as json, $member");
	}
	foreach my $member (qw(after before))
	{
		my $op = $member eq 'after' ? 'c' : 'd';

		same($table, 1,
			"SELECT DISTINCT (data::jsonb->'$member'->>'id')::bigint AS id, (data::jsonb->'$member') - 'id'::text AS j "
			  . "FROM got_debezium WHERE data::jsonb->'source'->>'table' = '$table->{name}' "
			  . "AND data::jsonb->>'op' = '$op' AND (data::jsonb->'$member'->>'id')::bigint < 1000",
			"$table->{type} as debezium, $member");
	}
}
foreach my $version (@versions)
{
	is( $node->safe_psql('postgres',
			"SELECT concat_ws(E'\\n', a.data, b.data) FROM got_wal$version a FULL JOIN got_peer$version b USING (n) "
			  . "WHERE a.data IS DISTINCT FROM b.data LIMIT 1"),
		'', "every kind as wal2json, version $version, byte for byte");
	cmp_ok($node->safe_psql('postgres', "SELECT sum(length(data)) FROM got_wal$version"), '>', 10000, 'and it is something');
}

$node->stop;
done_testing();
