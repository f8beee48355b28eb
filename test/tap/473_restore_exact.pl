# Promise: restore_script's values, generated columns, identities and collations
# are those of the export, or it says why they can't be.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('exact', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my $number = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# exported(TABLE, SESSION, ARGUMENTS): the job
sub exported
{
	my ($table, $session, $arguments) = @_;

	$number++;
	return sql("$session; CALL outflow.export('$table', 'file://$dir/$number'$arguments)");
}

# restored(JOB, NAME): the database that its script was run in
sub restored
{
	my ($job, $name) = @_;
	my $database = "d$number";
	my ($printed, $script, $error) = $node->psql('postgres', "SELECT outflow.restore_script($job)");

	is($error, '', "$name: the script is made");
	sql("CREATE DATABASE $database");
	my ($status, $out, $err) = $node->psql($database, $script, on_error_stop => 1);
	is($status, 0, "$name: the script runs") or diag($err);
	return $database;
}

# refused(JOB, ERROR, NAME)
sub refused
{
	my ($job, $error, $name) = @_;

	like(($node->psql('postgres', "SELECT outflow.restore_script($job)"))[2], $error, $name);
	return;
}

# ---- dates, under whatever style they were written
sql(<<'EOS');
CREATE TABLE dates (d date, ts timestamp, at timestamptz, ds date[], span daterange, iv interval, t timetz);
INSERT INTO dates SELECT d, d + time '03:04:05.678', (d + time '23:04:05') AT TIME ZONE 'UTC', ARRAY[d, NULL], daterange(d, d + 2), '-1 mon +2 days -3:04:05', '01:02:03+05:30'
FROM unnest('{2000-01-02,2024-03-04,0005-03-04,0005-03-04 BC,0099-12-11,12345-06-07,1999-12-31,1970-01-01}'::date[]) AS d;
INSERT INTO dates (d, ts, at) VALUES ('infinity', 'infinity', 'infinity'), ('-infinity', '-infinity', '-infinity');
EOS
my $rows = 'SELECT * FROM dates ORDER BY d';
foreach my $style (qw(ISO SQL Postgres German))
{
	foreach my $order (qw(MDY DMY YMD))
	{
		foreach my $format (qw(csv text))
		{
			my $name = "$style, $order, $format";
			my $database = restored(exported('dates', "SET DateStyle = '$style, $order'; SET TimeZone = 'UTC'", ", format => '$format'"), $name);

			is(($node->psql($database, $rows))[1], sql($rows), "$name: the same");
		}
	}
}

# an abbreviation of a time zone may be another one's, or nobody's, or twice the same
sql(<<'EOS');
CREATE DOMAIN moment AS timestamptz;
CREATE TYPE stamped AS (a int, at moment);
CREATE DOMAIN stamps AS stamped[];
CREATE TABLE moments (at timestamptz);
CREATE TABLE precise (at timestamptz(3));
CREATE TABLE listed (at timestamptz[]);
CREATE TABLE spans (at tstzrange);
CREATE TABLE deep (at stamps);
CREATE TABLE rows_of (at moments);
CREATE TABLE none (at timestamp, t timetz, d date, tr tsrange);
INSERT INTO moments VALUES ('2024-03-04 05:06:07+00'), ('1900-01-01 00:00:00+00');
INSERT INTO none VALUES ('2024-03-04 05:06:07', '05:06:07+03', '2024-03-04', '[2024-03-04 05:06:07,2024-03-05 05:06:07]');
EOS
my $lossy = qr/ERROR:  the text of column "at" of table public\.\w+ does not tell which times it means.*HINT:.*DateStyle = ISO/s;
foreach my $zone ('Asia/Kolkata', 'Asia/Shanghai', 'America/St_Johns', 'Europe/Moscow')
{
	foreach my $style (qw(SQL Postgres German))
	{
		refused(exported('moments', "SET DateStyle = '$style'; SET TimeZone = '$zone'", ''), $lossy, "$style, $zone: refused");
	}
	my $session = "SET TimeZone = '$zone'; SET DateStyle";
	foreach my $case ([ "$session = 'ISO, DMY'", '' ], [ "$session = SQL", ", format => 'jsonl'" ], [ "$session = SQL", ", format => 'binary'" ])
	{
		my $database = restored(exported('moments', @$case), "$case->[0]$case->[1]");

		is(($node->psql($database, 'SELECT * FROM moments'))[1], sql('SELECT * FROM moments'), '... the same');
	}
}
my $session = q(SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kolkata');
refused(exported($_, $session, ", format => 'text'"), $lossy, "$_: refused") foreach qw(precise listed spans deep rows_of);
is(($node->psql(restored(exported('none', $session, ''), 'what has no zone'), 'TABLE none'))[1], sql('TABLE none'), 'what has no zone');
# of those by name, older ones need not be there
my %known = map { (lc($_) => 1) } split(/\n/, sql('SELECT name FROM pg_timezone_names'));
is(($node->psql(restored(exported('moments', "SET DateStyle = SQL; SET TimeZone = '$_'", ''), $_), 'TABLE moments'))[1], sql('TABLE moments'), "$_: exact")
  foreach (grep({ $known{ lc($_) } } qw(UTC Etc/UTC GMT Etc/GMT+5 UCT zulu Universal Greenwich)), qw(5.5 -3 <-03:30>+03:30 <+12>-12));
is(($node->psql(restored(exported('moments', "SET DateStyle = SQL; SET TIME ZONE $_", ''), $_), 'TABLE moments'))[1], sql('TABLE moments'), "$_: exact")
  foreach '+5.5', "INTERVAL '-08:30' HOUR TO MINUTE";
# more hours than a time may have
my $far = qr/ERROR:  COPY cannot load column "at" of table public\.moments.*HINT:.*TimeZone = UTC/s;
refused(exported('moments', "SET DateStyle = $_", ''), $far, "$_: refused")
  foreach 'ISO; SET TimeZone = 16', 'SQL; SET TimeZone = -16.5', q{ISO; SET TIME ZONE INTERVAL '16:00' HOUR TO MINUTE}, 'ISO; SET TimeZone = 120',
  map { "ISO; SET TimeZone = '$_'" } qw(<+20>-20 <FOO>-20 FOO-17);
is(($node->psql(restored(exported('moments', "SET DateStyle = $_", ''), $_), 'TABLE moments'))[1], sql('TABLE moments'), "$_: exact")
  foreach 'ISO; SET TimeZone = 15.5', q{ISO; SET TIME ZONE INTERVAL '-15:30' HOUR TO MINUTE},
  map { "ISO; SET TimeZone = '$_'" } qw(<+0530>-5:30 <-1030>+10:30 <+20>-5 EST5EDT);
is(($node->psql(restored(exported('moments', 'SET TimeZone = 16', ", format => 'jsonl'"), 'far jsonl'), 'TABLE moments'))[1], sql('TABLE moments'), 'jsonl: exact');
refused(exported('moments', "SET DateStyle = SQL; SET TimeZone = '$_'", ''), $lossy, "$_: refused") foreach qw(<+02>-03 <+02>+02 <-05>+05EDT GMT+3);
is(($node->psql(restored(exported('moments', $session, q(, options => '{"mask_columns": "*.*.at=null"}')), 'no times'), 'SELECT count(*) FROM moments WHERE at IS NULL'))[1], 2, 'no times');

# an owner may lack rights on the schema of a column's type
sql(<<'EOS');
CREATE ROLE keeper LOGIN;
GRANT pg_write_server_files TO keeper;
CREATE SCHEMA hid;
CREATE DOMAIN hid.word AS varchar(9);
CREATE DOMAIN hid.moment AS timestamptz;
CREATE TABLE kept (w hid.word[], v hid.word, n numeric(4,2));
CREATE TABLE kept_at (w hid.word, at hid.moment);
ALTER TABLE kept OWNER TO keeper;
ALTER TABLE kept_at OWNER TO keeper;
EOS
$session = "SET ROLE keeper; SET DateStyle = SQL; SET TimeZone = 'Asia/Kolkata'";
my %kept = map { $_ => exported($_, $session, '') } qw(kept kept_at);
like((($node->psql('postgres', "SET ROLE keeper; SELECT outflow.restore_script($kept{kept})"))[1]), qr/w hid\.word\[\], v hid\.word, n numeric\(4,2\)/, 'an owner without rights on types');
like((($node->psql('postgres', "SET ROLE keeper; SELECT outflow.restore_script($kept{kept_at})"))[2]), $lossy, '... is told of times');

# ---- generated columns, as they were when the export was made
sub table_of { my ($database, $query) = @_; return ($node->psql($database, $query))[1]; }
my $kind = "SELECT string_agg(concat_ws(' ', attname, nullif(attgenerated, '')), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'g'::regclass AND attnum > 0";
foreach my $case (
	[ 'one that was plain', 'a int, x int', '(1, 7)', 'DROP x, ADD x int GENERATED ALWAYS AS (a * 100) STORED', '1|7', 'a,x', '1|7', 'a,x' ],
	[ 'one that came later', 'a int', '(1)', 'ADD x int GENERATED ALWAYS AS (a * 100) STORED', '1', 'a', '1', 'a' ],
	[ 'another expression', 'a int, x int GENERATED ALWAYS AS (a + 1) STORED', '(1)', 'DROP x, ADD x int GENERATED ALWAYS AS (a * 100) STORED',
		'1|2', 'a,x', '1', 'a' ],
	[ 'another type', 'a int, x int GENERATED ALWAYS AS (a + 1) STORED', '(1)', 'ALTER x TYPE numeric(9,1)', '1|2', 'a,x', '1', 'a' ],
	[ 'what is plain now', 'a int, x int GENERATED ALWAYS AS (a + 1) STORED', '(1)', 'ALTER x DROP EXPRESSION', '1|2', 'a,x', '1', 'a' ],
	[ 'another column', 'a int, b int DEFAULT 5, x int GENERATED ALWAYS AS (a + 1) STORED', '(1)', 'ADD c int', '1|5|2', 'a,b,x s', '1|5|2', 'a,b,x s' ],
	[ 'the same again', 'a int, x text GENERATED ALWAYS AS (a::bpchar || E\'\\\\ü\') STORED', '(1)', 'DROP x, ADD x text GENERATED ALWAYS AS (a::bpchar || E\'\\\\ü\') STORED',
		'1|1\\ü', 'a,x s', '1|1\\ü', 'a,x s' ])
{
	my ($name, $columns, $values, $changes, @expected) = @$case;

	foreach my $format (qw(jsonl csv))
	{
		sql("DROP TABLE IF EXISTS g; CREATE TABLE g ($columns); INSERT INTO g VALUES $values");
		# 19 can't turn standard_conforming_strings off any more
		my $session = (server_major($node) < 19 ? 'SET standard_conforming_strings = off; ' : '') . 'SET quote_all_identifiers = on';
		my $job = exported('g', $session, ", format => '$format'");
		sql("ALTER TABLE g $changes");
		my $database = restored($job, "$name, $format");
		my ($rows, $kinds) = splice(@expected, 0, 2);

		is(table_of($database, 'TABLE g'), $rows, "$name, $format: the values");
		is(table_of($database, $kind), $kinds, "$name, $format: the columns");
	}
}

# a renaming changes nothing
foreach my $changes (
	'ALTER SCHEMA fs RENAME TO fs2',
	'ALTER FUNCTION fs.f RENAME TO f2',
	'ALTER TABLE g RENAME x TO y; ALTER TABLE g RENAME a TO x; ALTER TABLE g RENAME b TO a',
	'ALTER TABLE g DROP x, ADD x fs.whole GENERATED ALWAYS AS (   fs.f(a)) STORED')
{
	foreach my $format (qw(csv jsonl))
	{
		sql(q{DROP SCHEMA IF EXISTS fs, fs2 CASCADE; DROP TABLE IF EXISTS g; CREATE SCHEMA fs; CREATE FUNCTION fs.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
			CREATE DOMAIN fs.whole AS int; CREATE TABLE g (b int, x fs.whole GENERATED ALWAYS AS (fs.f(a)) STORED, a int); INSERT INTO g (b, a) VALUES (1, 2)});
		my $job = exported('g', 'SELECT', ", format => '$format'");
		sql($changes);
		my $script = sql("SELECT outflow.restore_script($job)");
		unlike($script, qr/left out/, "$changes, $format: nothing is left out");
		sql("CREATE DATABASE r$number");
		my ($status, $out, $err) = $node->psql("r$number", q{CREATE SCHEMA fs; CREATE FUNCTION fs.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
			CREATE DOMAIN fs.whole AS int;} . $script, on_error_stop => 1);
		is($status, 0, "$changes, $format: the script runs") or diag($err);
		is(table_of("r$number", $kind), 'b,x s,a', "$changes, $format: the columns");
		is(table_of("r$number", 'TABLE g'), '1|4|2', "$changes, $format: the values");
	}
}
is(sql(q{DROP TABLE g; CREATE TABLE g (a int, "x
SELECT 1/0; --" int GENERATED ALWAYS AS (a + 1) STORED)}), '', 'a name of many lines');
my $told = exported('g', 'SELECT', '');
sql(q{ALTER TABLE g DROP "x
SELECT 1/0; --"});
like(sql("SELECT outflow.restore_script($told)"), qr/^-- column "x\\nSELECT 1\/0; --" is not generated as it was any more: left out$/m, 'a comment has one line');

# expressions have what was masked or left out: no file tells them
sql(q{CREATE TABLE told (id int, salary int, kind text GENERATED ALWAYS AS (CASE WHEN salary > 123456 THEN 'boss' END) STORED); INSERT INTO told VALUES (1, 2)});
foreach my $arguments ('', ", columns => '{id}'", q(, format => 'jsonl', options => '{"mask_columns": "*.*.salary=redact,*.*.kind=redact"}'), ", format => 'parquet'")
{
	exported('told', 'SELECT', $arguments);
	unlike(slurp_file("$dir/$number/_manifest.json"), qr/123456/, "told$arguments: the manifest has no expression");
}

# ---- numbers
foreach my $case (
	[ 'a default with nulls', 'e int', 'VALUES (NULL), (3)', 'ALTER TABLE n ALTER e SET DEFAULT nextval(\'q\'); ALTER SEQUENCE q OWNED BY n.e', '', '' ],
	[ 'only owned', 'e int NOT NULL', 'VALUES (1)', 'ALTER SEQUENCE q OWNED BY n.e', '', '' ],
	[ 'a default of another sequence', 'e int NOT NULL', 'VALUES (1)', q{CREATE SEQUENCE q2; ALTER TABLE n ALTER e SET DEFAULT nextval('q2'); ALTER SEQUENCE q OWNED BY n.e}, '', '' ],
	[ 'a default of more than the number', 'e int NOT NULL', 'VALUES (1)', q{ALTER TABLE n ALTER e SET DEFAULT nextval('q') * 10 + 1; ALTER SEQUENCE q OWNED BY n.e}, '', '' ],
	[ 'an odd name', 'e int NOT NULL', 'VALUES (4)', q{CREATE SEQUENCE "it's \\ q"; ALTER TABLE n ALTER e SET DEFAULT nextval('"it''s \\ q"'); ALTER SEQUENCE "it's \\ q" OWNED BY n.e}, 'd', '1 1 2147483647 1' ],
	[ 'a default and not null', 'e int NOT NULL', 'VALUES (4)', q{ALTER TABLE n ALTER e SET DEFAULT nextval('q'); ALTER SEQUENCE q OWNED BY n.e}, 'd', '1 1 2147483647 1' ],
	[ 'a serial', 'e serial', 'VALUES (4)', '', 'd', '1 1 2147483647 1' ],
	[ 'MAXVALUE', 'e int GENERATED BY DEFAULT AS IDENTITY (MAXVALUE 6)', 'VALUES (4)', '', 'd', '1 1 6 1' ],
	[ 'START', 'e int GENERATED ALWAYS AS IDENTITY (START 50)', 'DEFAULT VALUES', '', 'a', '1 1 2147483647 50' ],
	[ 'CACHE', 'e bigint GENERATED ALWAYS AS IDENTITY (CACHE 7)', 'DEFAULT VALUES', '', 'a', '1 1 9223372036854775807 1' ],
	[ 'down', 'e smallint GENERATED ALWAYS AS IDENTITY (INCREMENT -2)', 'DEFAULT VALUES', '', 'a', '-2 -32768 -1 -1' ])
{
	my ($name, $columns, $insert, $changes, $identity, $sequence) = @$case;

	sql("DROP TABLE IF EXISTS n; DROP SEQUENCE IF EXISTS q, q2; CREATE SEQUENCE q; CREATE TABLE n ($columns); INSERT INTO n $insert; $changes");
	my $database = restored(exported('n', 'SELECT', ''), $name);
	is(table_of($database, 'TABLE n'), table_of('postgres', 'TABLE n'), "$name: the same");
	is(table_of($database, q{SELECT attidentity FROM pg_attribute WHERE attrelid = 'n'::regclass AND attname = 'e'}), $identity, "$name: its identity");
	is(table_of($database, q{SELECT concat_ws(' ', seqincrement, seqmin, seqmax, seqstart) FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('n', 'e')::regclass}),
		$sequence, "$name: its sequence");
}

# a key of a generated column that no file has
sql('CREATE TABLE made_key (a int, d int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY); INSERT INTO made_key SELECT generate_series(1, 3)');
foreach my $format (qw(csv jsonl))
{
	my $database = restored(exported('made_key', 'SELECT', ", format => '$format'"), "made_key, $format");

	is(table_of($database, 'TABLE made_key'), table_of('postgres', 'TABLE made_key'), "made_key, $format: the same");
	is(table_of($database, q{SELECT pg_get_constraintdef(c.oid), a.attnotnull FROM pg_constraint c, pg_attribute a
		WHERE c.conrelid = 'made_key'::regclass AND c.contype = 'p' AND a.attrelid = c.conrelid AND a.attname = 'd'}), 'PRIMARY KEY (d)|t', "made_key, $format: its key");
}

# keys, identities and generated columns by what they were called then
sql(q{CREATE TABLE renamed (a int, b int GENERATED ALWAYS AS IDENTITY (START 7), c int, x int, d int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (a, d) INCLUDE (c) DEFERRABLE);
	INSERT INTO renamed (a, c, x) VALUES (1, 3, 4)});
foreach my $format (qw(csv jsonl))
{
	my $job = exported('renamed', 'SELECT', ", format => '$format'");
	my $before = sql("SELECT outflow.restore_script($job)");

	sql('ALTER TABLE renamed DROP CONSTRAINT renamed_pkey, ALTER a DROP NOT NULL');
	sql('ALTER TABLE renamed RENAME a TO t; ALTER TABLE renamed RENAME x TO a; ALTER TABLE renamed RENAME b TO x; ALTER TABLE renamed RENAME c TO b; ALTER TABLE renamed RENAME t TO c');
	is(sql("SELECT outflow.restore_script($job)"), $before, "renamed, $format: the script is the same");
	my $database = restored($job, "renamed, $format");
	is(table_of($database, 'TABLE renamed'), '1|7|3|4|2', "renamed, $format: the rows");
	is(table_of($database, q{SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'renamed'::regclass AND contype = 'p'}),
		'PRIMARY KEY (a, d) INCLUDE (c) DEFERRABLE', "renamed, $format: its key");
	is(table_of($database, q{SELECT attname FROM pg_attribute WHERE attrelid = 'renamed'::regclass AND attidentity = 'a'}), 'b', "renamed, $format: its identity");
	sql('ALTER TABLE renamed RENAME c TO t; ALTER TABLE renamed RENAME b TO c; ALTER TABLE renamed RENAME x TO b; ALTER TABLE renamed RENAME a TO x; ALTER TABLE renamed RENAME t TO a');
	sql('ALTER TABLE renamed ADD PRIMARY KEY (a, d) INCLUDE (c) DEFERRABLE');
}

# a key that came later, of what was null then, or the same in two rows
foreach my $case ([ 'b int', 'b = 1' ], [ 'b int DEFAULT 3', 'b = 4' ], [ 'b int GENERATED ALWAYS AS (nullif(a, 2)) STORED', 'a = 1' ])
{
	my ($column, $change) = @$case;

	sql("DROP TABLE IF EXISTS later; CREATE TABLE later (a int PRIMARY KEY, $column); INSERT INTO later VALUES (1), (2)");
	my $job = exported('later', 'SELECT', '');
	sql("DELETE FROM later WHERE a = 2; UPDATE later SET $change; ALTER TABLE later DROP CONSTRAINT later_pkey, ADD PRIMARY KEY (b)");
	is(table_of(restored($job, "$column, a key of later"), q{SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'later'::regclass AND contype = 'p'}),
		'PRIMARY KEY (a)', "$column, a key of later: that of then");
}
sql('CREATE TABLE gone (a int PRIMARY KEY)');
my $gone = exported('gone', 'SELECT', '');
sql('DROP TABLE gone');
is(table_of(restored($gone, 'a table that is gone'), q{SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'gone'::regclass AND contype = 'p'}),
	'PRIMARY KEY (a)', 'a table that is gone: its key');
SKIP:
{
	skip 'keys without overlaps came with PostgreSQL 18', 1 if $node->pg_version < 18;
	sql(q{CREATE EXTENSION IF NOT EXISTS btree_gist; CREATE TABLE periods (id int, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS)); INSERT INTO periods VALUES (1, '[2026-01-01,2027-01-01)')});
	like(sql('SELECT outflow.restore_script(' . exported('periods', 'SELECT', '') . ')'), qr/PRIMARY KEY \(id, at WITHOUT OVERLAPS\)/, 'a key without overlaps');
}

# an identity has the type that the column had
foreach my $case (
	[ 'int GENERATED ALWAYS AS IDENTITY (START 1000)', 'bigint', '1 1 2147483647 1000' ],
	[ 'smallint GENERATED ALWAYS AS IDENTITY (INCREMENT 2)', 'int', '2 1 32767 1' ],
	[ 'smallint GENERATED ALWAYS AS IDENTITY (INCREMENT -2)', 'bigint', '-2 -32768 -1 -1' ],
	[ 'bigint GENERATED ALWAYS AS IDENTITY (INCREMENT 2)', 'int', '2 1 9223372036854775807 1' ],
	[ 'int GENERATED ALWAYS AS IDENTITY (MAXVALUE 100)', 'bigint', '1 1 100 1' ],
	[ 'serial', 'bigint', '1 1 2147483647 1' ])
{
	my ($column, $type, $sequence) = @$case;

	sql("DROP TABLE IF EXISTS n; CREATE TABLE n (e $column, o int); INSERT INTO n (o) VALUES (1)");
	my $job = exported('n', 'SELECT', '');
	sql("ALTER TABLE n ALTER e TYPE $type");
	my $database = restored($job, "$column that became $type");
	is(table_of($database, q{SELECT concat_ws(' ', seqincrement, seqmin, seqmax, seqstart) FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('n', 'e')::regclass}),
		$sequence, "$column that became $type: its sequence");
}

# a sequence of another type, whose values the column can't have: by default
foreach my $counts ('MINVALUE 40000', 'MINVALUE 32767', 'INCREMENT -1 MAXVALUE -40000 MINVALUE -50000', 'MINVALUE -50000 MAXVALUE -32768 INCREMENT 2', 'MINVALUE 32766')
{
	sql("DROP TABLE IF EXISTS n; DROP SEQUENCE IF EXISTS s; CREATE SEQUENCE s $counts;"
		  . q{CREATE TABLE n (e smallint NOT NULL DEFAULT nextval('s'), o int); ALTER SEQUENCE s OWNED BY n.e; INSERT INTO n VALUES (7, 1)});
	is(table_of(restored(exported('n', 'SELECT', ''), "smallint, $counts"), q{INSERT INTO n (o) VALUES (2) RETURNING e}),
		$counts eq 'MINVALUE 32766' ? '32766' : '8', "smallint, $counts: its sequence goes on");
}

# ---- collations, as they were
SKIP:
{
	my $ci = q{CREATE SCHEMA "my own"; CREATE COLLATION "my own".ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)};

	skip 'the server is built without ICU', 1 if ($node->psql('postgres', $ci))[0] != 0;
	sql(q{CREATE DOMAIN word AS text COLLATE "C"; CREATE TABLE c (t text COLLATE "my own".ci PRIMARY KEY, g bool GENERATED ALWAYS AS (t = 'A') STORED,
		x text COLLATE "C", w word, v varchar(9)[] COLLATE "POSIX", n name, low text COLLATE "C" GENERATED ALWAYS AS (lower(t)) STORED); INSERT INTO c VALUES ('a')});
	my $collations = q{SELECT string_agg(concat(attname, ' ', nullif(attcollation, 0)::regcollation), ',' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'c'::regclass AND attnum > 0};
	my $expected = sql($collations);
	my %jobs = map { $_ => exported('c', 'SET quote_all_identifiers = on', ", format => '$_'") } qw(csv jsonl binary);
	sql('CREATE DATABASE collated');
	foreach my $format (sort keys %jobs)
	{
		my $script = sql("SELECT outflow.restore_script($jobs{$format})");
		my ($status, $out, $err) = $node->psql('collated', qq{DROP SCHEMA IF EXISTS "my own" CASCADE; DROP DOMAIN IF EXISTS word CASCADE; DROP TABLE IF EXISTS c; $ci;
			CREATE DOMAIN word AS text COLLATE "C"; $script}, on_error_stop => 1);

		is($status, 0, "collations, $format: the script runs") or diag($err);
		is(table_of('collated', 'SELECT * FROM c'), 'a|t|||||a', "collations, $format: generated the same");
		is(table_of('collated', $collations), $expected, "collations, $format: the same");
		like(($node->psql('collated', q{INSERT INTO c VALUES ('A')}))[2], qr/duplicate key/, "collations, $format: the key is as it was");
	}
	sql('ALTER TABLE c ALTER x TYPE text COLLATE "POSIX"');
	like(sql("SELECT outflow.restore_script($jobs{csv})"), qr/x text COLLATE "C"/, 'a collation is the export\'s');
}

done_testing();
