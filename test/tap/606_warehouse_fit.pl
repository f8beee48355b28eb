# Promise: a value arrives in another PostgreSQL as it is, whatever type its
# column has there, or the export is refused when it is called.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $seed = $ENV{OUTFLOW_SEED} || 4711;
my $node = new_outflow_node('source', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $warehouse = new_warehouse('warehouse');

note("OUTFLOW_SEED=$seed");
srand($seed);
$node->safe_psql('postgres', warehouse_sql($warehouse));

# values that a narrower type would round, cut or refuse
my %values = (
	text => [ "'abc   '", "'ab '", "''", "'   '", "'1'" ],
	'varchar(10)' => [ "'abc   '", "'ab '", "'abcdefghij'" ],
	'varchar' => [ "'ab    '", "'x'" ],
	'char(6)' => [ "'abc'", "'abcdef'" ],
	name => [ "'x'", "'abcd'", "'ab '" ],
	'"char"' => [ "'a'" ],
	smallint => [ '-32768', '3' ],
	int => [ '123', '-2147483648', '16777217' ],
	bigint => [ '150', '-1', '9223372036854775807', '9007199254740993' ],
	oid => [ '4294967295' ],
	numeric => [ '1.23456', '1e30' ],
	'numeric(6,3)' => [ '123.456' ],
	real => [ '0.1', '1e38' ],
	'double precision' => [ '0.1', '1e300' ],
	date => [ "'2026-01-01'" ],
	time => [ "'00:00:00.75'", "'24:00'" ],
	'time(3)' => [ "'00:00:00.755'" ],
	timetz => [ "'00:00:00.75+03'" ],
	timestamp => [ "'2026-01-01 00:00:00.75'" ],
	'timestamptz' => [ "'2026-01-01 00:00:00.755555+00'" ],
	interval => [ "'1 day 02:00:00.25'" ],
	bool => [ 'true' ],
	'bit(3)' => [ "B'101'" ],
	'bit varying(5)' => [ "B'10101'" ],
	cidr => [ "'10.0.0.0/8'" ],
	inet => [ "'10.0.0.1/8'" ],
	json => [ q{'{"a":1,"a":2}  '} ],
	jsonb => [ q{'{"a": 1}'} ],
	uuid => [ "'00000000-0000-0000-0000-000000000001'" ],
	'varchar(10)[]' => [ "ARRAY['abc   ']" ],
	'text[]' => [ "ARRAY['abc   ', 'a,b']" ],
	'int[]' => [ 'ARRAY[123, -1]' ],
	'box[]' => [ "ARRAY['(1,1),(0,0)'::box, '(2,2),(0,0)']" ],
	'time[]' => [ "'{00:00:00.75,24:00}'", "'{{24:00,NULL}}'" ],
	'pg_lsn' => [ "'0/0'", "'1/2A'", "'FFFFFFFF/1234567A'" ],
	'pg_lsn[]' => [ "'{0/0,NULL,1/2A}'" ],
	'numeric[]' => [ 'ARRAY[1.255]' ]);
my @from = sort keys %values;
my @to = (@from, 'varchar(3)', 'char(5)', 'char(3)', 'varchar(63)', 'numeric(5,-2)', 'numeric(10,-2)', 'numeric(10,0)',
	'numeric(6,2)', 'timestamptz(0)', 'timestamp(0)', 'timetz(0)', 'interval(0)', 'interval day', 'varbit(2)', 'bit(2)',
	'varchar(3)[]', 'numeric(5,1)[]', 'bigint[]', 'interval[]', 'regclass', 'citext', 'xml');

# pairs that once lost something, and as many others
my @pairs = map { [ split / > / ] } ('text > varchar(3)', 'varchar(10) > varchar(3)', 'varchar > varchar(3)',
	'text > char(5)', 'varchar(10) > char(5)', 'timestamp > timestamptz(0)', 'time > interval(0)', 'time > timetz(0)',
	'int > numeric(5,-2)', 'bigint > numeric(10,-2)', 'varchar(10)[] > varchar(3)[]', 'bigint > oid', 'bit(3) > varbit(2)',
	'name > varchar(3)', 'json > varchar(3)', 'box[] > text[]', 'numeric(6,3) > numeric(6,2)',
	'int > varchar(3)', 'bool > varchar(3)', 'uuid > varchar(10)', 'numeric(6,3) > varchar(3)', 'timestamp > varchar(10)');
push @pairs, [ $from[rand @from], $to[rand @to] ] foreach (1 .. 40);
# what must not be refused
my %fits = map { $_ => 1 } ('int > bigint', 'int > numeric', 'varchar(10) > text', 'int > text', 'varchar(10) > varchar(63)',
	'int[] > bigint[]', 'bit(3) > bit varying(5)', 'date > timestamp', 'name > varchar(63)', 'varchar(10)[] > text[]',
	'bool > varchar(3)', 'uuid > varchar(63)', 'numeric(6,3) > varchar(10)', 'time(3) > varchar(63)', 'time > interval', 'time[] > interval[]',
	'pg_lsn > pg_lsn', 'pg_lsn[] > pg_lsn[]', 'cidr > inet', 'numeric(6,3) > numeric', 'time(3) > time', 'char(6) > text');
push @pairs, map { [ split / > / ] } sort keys %fits;

my ($count, $refused, $arrived) = (0, 0, 0);
foreach my $pair (@pairs)
{
	my ($from, $to) = @$pair;
	my $table = 't' . ++$count;
	my @rows = @{ $values{$from} };

	next if $warehouse->psql('postgres', "CREATE TABLE $table (n int, a $to); GRANT INSERT, SELECT ON $table TO loader", stderr => \my $none);
	$node->safe_psql('postgres', "CREATE TABLE $table (n int, a $from); INSERT INTO $table VALUES "
		  . join(', ', map { "($_, ($rows[$_])::$from)" } 0 .. $#rows));
	my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.export('$table', 'warehouse:public.$table')");
	if ($code)
	{
		ok(!$fits{"$from > $to"}, "$from > $to need not be refused") or diag($err) if $fits{"$from > $to"};
		like($err, qr/has type .*\n.*Not every .* can become one/, "$from > $to: refused");
		$refused++;
		next;
	}
	# as it is, and as it was
	my $there = $to eq $from || $to =~ /^(?:text|varchar)/ ? 'a::text' : $to =~ /^interval/ ? "(a::text::$from)::text" : "(a::$from)::text";
	is($warehouse->safe_psql('postgres', "SET timezone = 'UTC'; SELECT '[' || $there || ']' FROM $table ORDER BY n"),
		$node->safe_psql('postgres', "SET timezone = 'UTC'; SELECT '[' || "
			  . ($to =~ /^(?:text|varchar)/ ? "format('%s', a)" : 'a::text') . " || ']' FROM $table ORDER BY n"),
		"$from > $to: as it was");
	is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify((SELECT max(job) FROM outflow.jobs), 'full')}),
		'ok', "$from > $to: and is read back as it was sent");
	$arrived++;
}
# row types of one name are the same if what they are made of is
my %row = ('int, n numeric(10,2)' => 'r', 'int, n numeric(10,2), t text' => 'more', 'int, n numeric(10,1)' => 'shorter', 'smallint, n numeric(10,2)' => 'narrower');
my %differs = (more => q{nothing here, and (?:\[\])?\.'t' 'text'}, shorter => q{(\[\])?\.'n' 'numeric'\(655366\) here, and (?:\[\])?\.'n' 'numeric'\(655365\)},
	narrower => q{(?:\[\])?\.'i' 'int4' here, and (?:\[\])?\.'i' 'int2'});

$node->safe_psql('postgres', q{CREATE TYPE r AS (i int, n numeric(10,2)); CREATE TABLE rows (n int, a r, b r[]);
	INSERT INTO rows VALUES (1, (1, 1.25), ARRAY[(2, 3.75)::r, NULL])});
foreach my $fields (sort keys %row)
{
	$warehouse->safe_psql('postgres', "DROP TYPE IF EXISTS r CASCADE; DROP TABLE IF EXISTS rows; CREATE TYPE r AS (i $fields);
		CREATE TABLE rows (n int, a r, b r[]); GRANT INSERT, SELECT ON rows TO loader");
	foreach my $columns ('{n,a}', '{n,b}')
	{
		my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.export('rows', 'warehouse:public.rows', columns => '$columns')");

		is($code, 0, "a row of the same fields, $columns") or diag($err) if $row{$fields} eq 'r';
		like($err, qr/type public\.r(?:\[\])? of column "[ab]" is another one on server "warehouse".*differ is $differs{$row{$fields}} there\./s,
			"a row of other fields ($row{$fields}), $columns") if $row{$fields} ne 'r';
	}
}

# types of one name, whatever they are made of: here, there, the column's, a value,
# and whether the rows go there
my $outer = 'CREATE TYPE inside AS (v %s); CREATE TYPE own AS (i inside)';
my @own = (
	[ 'CREATE DOMAIN own AS numeric', 'CREATE DOMAIN own AS numeric(10,2)', 'own', '1.23456' ],
	[ 'CREATE DOMAIN own AS numeric', 'CREATE DOMAIN own AS numeric(10,2)', 'own[]', '{1.23456}' ],
	[ 'CREATE DOMAIN own AS numeric(10,2)', 'CREATE DOMAIN own AS numeric(10,2) CHECK (value > 0)', 'own[]', '{1.23}', 1 ],
	[ 'CREATE DOMAIN d AS numeric(10,2); CREATE DOMAIN own AS d', 'CREATE DOMAIN own AS numeric(10,2)', 'own[]', '{1.23}', 1 ],
	[ 'CREATE TYPE own AS RANGE (subtype = float8)', 'CREATE TYPE own AS RANGE (subtype = float4)', 'own', '[0.123456789012,0.2)' ],
	[ 'CREATE TYPE own AS RANGE (subtype = float8, multirange_type_name = owns)', 'CREATE TYPE own AS RANGE (subtype = float4, multirange_type_name = owns)', 'owns', '{[0.123456789012,0.2)}' ],
	[ 'CREATE TYPE own AS RANGE (subtype = float8, multirange_type_name = owns)', 'CREATE TYPE own AS RANGE (subtype = float8, multirange_type_name = owns)', 'owns[]', '{"{[0.5,0.75)}"}', 1 ],
	[ sprintf($outer, 'numeric'), sprintf($outer, 'numeric(10,2)'), 'own', '("(9.87654321)")' ],
	[ sprintf($outer, 'numeric'), sprintf($outer, 'numeric(10,2)'), 'own[]', '{"(\"(9.87654321)\")"}' ],
	[ sprintf($outer, 'numeric[]'), sprintf($outer, 'numeric(10,2)[]'), 'own', '("(\"{9.87654321}\")")' ],
	[ sprintf($outer, 'timestamp'), sprintf($outer, 'timestamp'), 'own', '("(\"2026-01-01 00:00:00.25\")")', 1 ],
	[ 'CREATE TYPE own AS (lat numeric, lon numeric)', 'CREATE TYPE own AS (lon numeric, lat numeric)', 'own', '(48.1,11.5)' ],
	[ 'CREATE TYPE own AS (gone int, "it\'s \\ a" text, "select" own_label, c citext, r int4range, a text[], m int8multirange)',
	  'CREATE TYPE own AS ("it\'s \\ a" text, "select" own_label, c citext, r int4range, gone int, a text[], m int8multirange)',
	  'own', '(x,one,C,"[1,5)","{a,b}","{[1,2)}")', 1 ],
	[ 'CREATE TYPE own AS ENUM (\'a\', \'b\')', 'CREATE TYPE own AS ENUM (\'b\', \'c\', \'a\')', 'own', 'b', 1 ],
	# whose array has another name than there
	[ 'CREATE TYPE _own AS ENUM (\'a\'); CREATE TYPE own AS (i int)', 'CREATE TYPE own AS (i int)', 'own[]', '{(1)}', 1 ]);
my $citext = 'CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE own_label AS ENUM (\'one\')';

$node->safe_psql('postgres', $citext);
$warehouse->safe_psql('postgres', $citext);
foreach my $case (@own)
{
	my ($here, $there, $type, $value, $fits) = @$case;
	my $quoted = $value =~ s/'/''/gr;
	my $drop = q{DROP TABLE IF EXISTS own_rows; DO $$DECLARE t record; BEGIN LOOP
		SELECT typname, typtype INTO t FROM pg_type WHERE typname IN ('own', 'inside', 'd') AND typnamespace = 'public'::regnamespace LIMIT 1;
		EXIT WHEN t IS NULL; EXECUTE format('DROP %s %I CASCADE', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.typname); END LOOP; END$$};
	$node->safe_psql('postgres', "$drop; $here; " . ($here =~ /gone/ ? 'ALTER TYPE own DROP ATTRIBUTE gone; ' : '')
		  . "CREATE TABLE own_rows (n int, a $type); INSERT INTO own_rows VALUES (1, '$quoted')");
	foreach my $way ('there', 'made')
	{
		my $options = $way eq 'made' ? q{, options => '{"create": true}'} : '';

		$warehouse->safe_psql('postgres', "$drop; $there; " . ($there =~ /gone/ ? 'ALTER TYPE own DROP ATTRIBUTE gone; ' : '')
			  . ($way eq 'made' ? '' : "CREATE TABLE own_rows (n int, a $type); GRANT INSERT, SELECT ON own_rows TO loader"));
		my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.export('own_rows', 'warehouse:public.own_rows'$options)");

		if (!$fits)
		{
			like($err, qr/type public\.owns?(?:\[\])? of column "a" is another one on server "warehouse"/, "$there for $type, $way: refused");
			next;
		}
		is($code, 0, "$there for $type, $way: accepted") or diag($err);
		is($warehouse->safe_psql('postgres', 'SELECT a::text FROM own_rows'), $node->safe_psql('postgres', 'SELECT a::text FROM own_rows'), "$there for $type, $way: as it was");
	}
}

# a type of more parts than are compared
$node->safe_psql('postgres', 'CREATE TYPE wide0 AS (a int, b int); CREATE TABLE wide_rows (n int); '
	  . join('; ', map { sprintf('CREATE TYPE wide%d AS (a wide%d, b wide%d)', $_, $_ - 1, $_ - 1) } 1 .. 12) . '; ALTER TABLE wide_rows ADD w wide12[]');
my ($wide_code, $wide_out, $wide_err) = $node->psql('postgres', "CALL outflow.export('wide_rows', 'warehouse:public.wide_rows', options => '{\"create\": true}')");
like($wide_err, qr/type public\.wide12\[\] has more parts than are compared/, 'a type that is too large to be compared is refused');

# what the staging tables call their own
$node->safe_psql('postgres', 'CREATE TABLE named_so (n int, "outflow part" int); INSERT INTO named_so VALUES (1, 2)');
$warehouse->safe_psql('postgres', 'CREATE TABLE named_so (n int, "outflow part" int); GRANT INSERT, SELECT, DELETE ON named_so TO loader');
my $jobs = $node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs');
my ($so_code, $so_out, $so_err) = $node->psql('postgres', "CALL outflow.export('named_so', 'warehouse:public.named_so')");
like($so_err, qr/column "outflow part" .*name of the staging tables' own.*"load": "direct"/s, 'a column of that name is refused');
is($node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs'), $jobs, 'when the export is called');
$node->safe_psql('postgres', "CALL outflow.export('named_so', 'warehouse:public.named_so', options => '{\"load\": \"direct\"}')");
is($warehouse->safe_psql('postgres', 'SELECT * FROM named_so'), '1|2', 'but goes there directly');

# nothing but rows, alone and among others
$node->safe_psql('postgres', 'CREATE SCHEMA bare; CREATE TABLE bare.rows (); INSERT INTO bare.rows DEFAULT VALUES; CREATE TABLE bare.full (n int);'
	  . 'CREATE TABLE bare.made (n int, m int GENERATED ALWAYS AS (1) STORED); ALTER TABLE bare.made DROP n');
$warehouse->safe_psql('postgres', 'CREATE SCHEMA bare; CREATE TABLE bare.rows (); GRANT ALL ON SCHEMA bare TO loader; GRANT ALL ON bare.rows TO loader');
$jobs = $node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs');
foreach my $call (
	q{export('bare.rows', 'warehouse:'}, q{export('bare.rows', 'warehouse:', options => '{"load": "direct"}'},
	q{export('bare.made', 'warehouse:', options => '{"create": true}'}, q{export('bare.rows', 'warehouse:bare.other', options => '{"create": true, "publish": "replace"}'},
	q{export_tables('{bare.full,bare.rows}', 'warehouse:', options => '{"create": true}'})
{
	my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.$call)");

	like($err, qr/table "(?:rows|made)" has no columns to export\nHINT:  Leave it out/, "$call: a table without columns is refused");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs'), $jobs, '... when it is called');

cmp_ok($refused, '>', 10, 'some are refused');
cmp_ok($arrived, '>=', scalar(keys %fits), 'and some arrive');

# another encoding is that of rows, and not of names.  (Bytes of UTF-8, as the
# test's file is none.)
my $name = "gr\xc3\xb6\xc3\x9fe";
my $there = PostgreSQL::Test::Cluster->new('there');
$there->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$there->start;
$there->safe_psql('postgres', "CREATE ROLE writer LOGIN PASSWORD 'canary-7f3a91'; GRANT CREATE ON DATABASE postgres TO writer; GRANT CREATE, USAGE ON SCHEMA public TO writer");
my $hba = $there->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
unlink $hba;
append_to_file($hba, "local all writer scram-sha-256\n$rules");
$there->reload;
$node->safe_psql('postgres', sprintf(q{CREATE SERVER named FOREIGN DATA WRAPPER outflow_postgres OPTIONS (host '%s', port '%s', dbname 'postgres', allow_private 'true');
	CREATE USER MAPPING FOR CURRENT_USER SERVER named OPTIONS (user 'writer', password 'canary-7f3a91')}, $there->host, $there->port));
$node->safe_psql('postgres', "SET client_encoding = UTF8; CREATE TABLE \"$name\" AS SELECT 1 AS \"$name\", '$name'::text AS note");
$node->safe_psql('postgres', "SET client_encoding = UTF8; CALL outflow.export('\"$name\"', 'named:', format => 'text', options => '{\"encoding\": \"latin1\", \"create\": true}')");
is($there->safe_psql('postgres', "SET client_encoding = UTF8; SELECT \"$name\", note FROM public.\"$name\""), "1|$name", 'names keep theirs when rows have another encoding');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify((SELECT max(job) FROM outflow.jobs), 'full')"), 'ok', 'and verify finds both');

$node->stop;
$there->stop;
$warehouse->stop;
done_testing();
