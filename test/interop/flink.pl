# Promise: Apache Flink reads what format debezium writes through its own
# debezium-json, event by event and in micro-batches, and what it makes of the
# changes, row by row and in sums, is what the source's tables hold.
#
# Flink runs in a process of its own (test/interop/flink), in streaming mode,
# and watches a directory for each table.  What it has computed goes back into
# PostgreSQL, which tells whether anything differs.
use strict;
use warnings;

use File::Path qw(make_path);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $limit = $PostgreSQL::Test::Utils::timeout_default;
my $end = 'end of the stream';
my $node = new_outflow_node('main',
	init => [ extra => [qw(--encoding=UTF8 --no-locale)] ]);

# Every type that Flink can declare, and some that come to it as strings.  Its
# TIME has milliseconds, PostgreSQL's floats and its have the same bits.
my @columns = (
	[ id => 'bigint PRIMARY KEY', 'BIGINT' ],
	[ s => 'smallint', 'SMALLINT' ],
	[ i => 'integer', 'INT' ],
	[ dec => 'numeric(20,4)', 'DECIMAL(20, 4)' ],
	[ big => 'numeric(38,10)', 'DECIMAL(38, 10)' ],
	[ f => 'real', 'FLOAT' ],
	[ d => 'double precision', 'DOUBLE' ],
	[ b => 'boolean', 'BOOLEAN' ],
	[ t => 'text', 'STRING' ],
	[ v => 'varchar(20)', 'VARCHAR(20)' ],
	[ c => 'char(6)', 'CHAR(6)' ],
	[ bin => 'bytea', 'BYTES' ],
	[ day => 'date', 'DATE' ],
	[ hour => 'time(3)', 'TIME(3)' ],
	[ ts => 'timestamp', 'TIMESTAMP(6)' ],
	[ tz => 'timestamptz', 'TIMESTAMP_LTZ(6)' ],
	[ u => 'uuid', 'STRING' ],
	[ j => 'json', 'STRING' ],
	[ jb => 'jsonb', 'STRING' ],
	[ m => 'mood', 'STRING' ],
	[ ip => 'inet', 'STRING' ],
	[ per => 'interval', 'STRING' ],
	[ r => 'int4range', 'STRING' ],
	[ ints => 'int[]', 'ARRAY<INT>' ],
	[ matrix => 'bigint[][]', 'ARRAY<ARRAY<BIGINT>>' ],
	[ texts => 'text[]', 'ARRAY<STRING>' ],
	[ decs => 'numeric(10,2)[]', 'ARRAY<DECIMAL(10, 2)>' ],
	[ times => 'timestamptz[]', 'ARRAY<TIMESTAMP_LTZ(6)>' ],
	[ bins => 'bytea[]', 'ARRAY<BYTES>' ],
	[ p => 'pair', 'ROW<x INT, y STRING>' ],
	[ ps => 'pair[]', 'ARRAY<ROW<x INT, y STRING>>' ],
	[ long => 'text', 'STRING' ]);
my $source_columns = join(', ', map { "$_->[0] $_->[1]" } @columns);
my $flink_columns = join(', ', map { "`$_->[0]` $_->[2]" } @columns);

$node->safe_psql('postgres', <<SQL);
CREATE TYPE mood AS ENUM ('sad', 'ok "very"');
CREATE TYPE pair AS (x int, y text);
CREATE TABLE types ($source_columns);
ALTER TABLE types ALTER long SET STORAGE EXTERNAL;
CREATE TABLE orders (id bigint PRIMARY KEY, region text, amount numeric(12,2), placed timestamptz);
-- its deletes have the key only
CREATE TABLE keyed (id int PRIMARY KEY, v text);
ALTER TABLE types REPLICA IDENTITY FULL;
ALTER TABLE orders REPLICA IDENTITY FULL;

CREATE FUNCTION some_text(size int) RETURNS text LANGUAGE sql VOLATILE AS
	\$\$SELECT string_agg(substr('abcäß€😀"\\/' || chr(9) || chr(10) || '{}[],:', 1 + (random() * 19)::int, 1), '')
	  FROM generate_series(1, size)\$\$;
-- a row of types, each of its values null from time to time
CREATE FUNCTION some_row(id bigint) RETURNS types LANGUAGE sql VOLATILE AS \$\$
	SELECT json_populate_record(NULL::types, (
		SELECT json_object_agg(key, value) FROM json_each(to_json(ROW(id, (random() * 65535 - 32768)::int::smallint,
			(random() * 4294967295 - 2147483648)::bigint::int, (random() * 1e16)::numeric(20,4), -(random() * 1e15)::numeric(38,10),
			(random() * 1e10)::real, random() * 1e-300, random() < 0.5, some_text(12), left(some_text(5), 20), left(some_text(9), 6),
			sha256(random()::text::bytea), '1600-01-01'::date + (random() * 300000)::int, (time '00:00' + random() * interval '23:59')::time(3),
			timestamp '1900-01-01' + random() * interval '200 years', timestamptz '1900-01-01' + random() * interval '200 years',
			gen_random_uuid(), json_build_object('a', ARRAY[1, NULL], 'b', some_text(3)), jsonb_build_object('k', random()),
			CASE WHEN random() < 0.5 THEN 'sad' ELSE 'ok "very"' END::mood, '10.0.0.0/8'::inet, random() * interval '3 days',
			int4range(1, 2 + (random() * 9)::int), ARRAY[1, NULL, (random() * 100)::int], ARRAY[[1, 2], [3, (random() * 1e18)::bigint]],
			ARRAY[some_text(4), NULL, '', 'null'], ARRAY[1.5, (random() * 1e6)::numeric(10,2)], ARRAY[now(), NULL], ARRAY[NULL, '\\x00ff'::bytea],
			ROW((random() * 9)::int, some_text(3))::pair, ARRAY[ROW(1, NULL)::pair, NULL, ROW(NULL, some_text(2))::pair],
			repeat(some_text(10), 300))::types)) WHERE key = 'id' OR random() < 0.9))\$\$;

CREATE PROCEDURE workload(rounds int) LANGUAGE plpgsql AS \$\$
DECLARE
	low bigint := (SELECT coalesce(max(id), 0) FROM orders);
BEGIN
	FOR n IN low + 1 .. low + rounds LOOP
		INSERT INTO types SELECT (some_row(n)).*;
		INSERT INTO orders VALUES (n, 'region ' || n % 5, (random() * 1000)::numeric(12,2), now());
		INSERT INTO keyed VALUES (n, some_text(5));
		-- all values, one beside an unchanged long one, another key
		UPDATE types SET (s, i, dec, big, f, d, b, t, v, c, bin, ts, tz, j, jb, ints, ps, long) =
			(SELECT x.s, x.i, x.dec, x.big, x.f, x.d, x.b, x.t, x.v, x.c, x.bin, x.ts, x.tz, x.j, x.jb, x.ints, x.ps, x.long FROM some_row(0) AS x)
			WHERE id = n - 3;
		UPDATE types SET t = 'beside a long one' WHERE id = n - 2;
		UPDATE types SET id = -id WHERE id = n - 5;
		UPDATE orders SET amount = amount + 0.01 * n, region = 'region ' || (n + 1) % 5 WHERE id = n - n % 3;
		DELETE FROM types WHERE id = n - 4;
		DELETE FROM orders WHERE id = n - 6 AND n % 4 = 0;
		DELETE FROM keyed WHERE id = n - 2;
		BEGIN
			DELETE FROM orders;
			INSERT INTO types (id) VALUES (n);
		EXCEPTION WHEN unique_violation THEN
			NULL;
		END;
		IF n % 3 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END \$\$;
SQL

my $read = join(', ', "'connector' = 'filesystem'",
	"'format' = 'debezium-json'",
	"'debezium-json.timestamp-format.standard' = 'ISO-8601'",
	"'source.monitor-interval' = '20 ms'");
# Rows and sums in one query, so that Flink reads the table's files once.
my @queries = (
	[ types => 'SELECT * FROM types' ],
	[ orders => <<SQL ],
SELECT 'row' AS kind, id, region, amount, amount AS least, placed FROM orders WHERE region <> '$end'
UNION ALL
SELECT 'sum', count(id), region, CAST(sum(amount) AS DECIMAL(12, 2)), min(amount), max(placed) FROM orders GROUP BY region
SQL
	[ keyed => 'SELECT * FROM keyed' ]);

# script(DIRECTORY, NUMBER): Flink SQL that reads the tables from directories
# there, with the first so many queries
sub script
{
	my ($directory, $number) = @_;
	my $text = '';
	my %table = (
		types => $flink_columns,
		orders =>
		  'id BIGINT, region STRING, amount DECIMAL(12, 2), placed TIMESTAMP_LTZ(6)',
		keyed => 'id INT, v STRING');

	make_path("$directory/new", "$directory/result");
	foreach my $name (sort keys %table)
	{
		make_path("$directory/$name");
		$text .= "CREATE TABLE $name ($table{$name}, "
		  . 'PRIMARY KEY (id) NOT ENFORCED) '
		  . "WITH ('path' = 'file://$directory/$name', $read);\n";
	}
	$text .= "$_->[1];\n" foreach @queries[ 0 .. $number - 1 ];
	append_to_file("$directory/script.sql", $text);
	return;
}

# start_flink(NAME, NUMBER, SETTING...): the program, reading what appears in
# its directory
sub start_flink
{
	my ($name, $number, @settings) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir($name);
	my $flink = {
		name => $name,
		directory => $directory,
		number => $number,
		out => '',
		err => '',
		files => 0,
		seen => {}
	};

	script($directory, $number);

	$flink->{harness} = IPC::Run::start(
		[
			'java',
			'-Xmx1g',
			(map { "--add-opens=java.base/$_=ALL-UNNAMED" }
				  qw(java.lang java.util java.net java.io java.nio
				  java.lang.invoke java.util.concurrent java.time)),
			'-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
			"-Djava.io.tmpdir=$directory",
			'-cp', "$ENV{OUTFLOW_FLINK}/*",
			'ReadChanges', "$directory/script.sql", $end,
			"$directory/result", @settings
		],
		'<', \undef, '>', \$flink->{out}, '2>', \$flink->{err},
		IPC::Run::timeout($limit * 3));
	return $flink;
}

# give(FLINK, TABLE, TEXT): a file of events; it appears whole
sub give
{
	my ($flink, $table, $text) = @_;
	my $name = sprintf('%06d.json', $flink->{files}++);

	append_to_file("$flink->{directory}/new/$name", $text);
	rename("$flink->{directory}/new/$name", "$flink->{directory}/$table/$name")
	  or die "could not rename \"$name\": $!";
	return;
}

# seen(FLINK, QUERY, COUNT): waits until so many entries of its changelog are
# those of rows
sub seen
{
	my ($flink, $query, $count) = @_;

	while (($flink->{seen}{$query} || 0) < $count)
	{
		$flink->{harness}->pumpable
		  or die "Flink ended before row $count of query $query:\n"
		  . $flink->{err};
		$flink->{harness}->pump;
		while ($flink->{out} =~ s/\A(\d+) ([^\n]*)\n//)
		{
			$flink->{seen}{$1}++ if $2 ne 'sum';
		}
	}
	return;
}

# receive(SLOT, OPTION...): the events until now, as pg_recvlogical writes them
sub receive
{
	my ($slot, @options) = @_;
	my $now = $node->safe_psql('postgres',
		'SELECT pg_current_wal_flush_lsn()');
	my ($lines, $err) = ('', '');

	IPC::Run::run(
		[
			'pg_recvlogical', '--start', '--no-loop', '--file=-',
			"--slot=$slot", "--endpos=$now", '--dbname=postgres',
			'--host=' . $node->host, '--port=' . $node->port,
			map { ('-o', $_) } 'format=debezium', @options
		],
		'>', \$lines, '2>', \$err, IPC::Run::timeout($limit))
	  or die "pg_recvlogical failed: $err";
	return grep { $_ ne '' } split(/\n/, $lines);
}

# by_table(EVENT...): the events of each table
sub by_table
{
	my %table;

	foreach my $event (@_)
	{
		$event =~ /"schema":"public","table":"(\w+)"/
		  or die "no table in $event";
		push @{ $table{$1} }, $event;
	}
	return %table;
}

# follow(FLINK, SLOT, ROUNDS, SIZE, OPTION...): makes changes, SIZE rounds at a
# time, and hands their events to Flink: each, or all of a table.  A file is
# read before the next one appears, as Flink doesn't sort them.
sub follow
{
	my ($flink, $slot, $rounds, $size, @options) = @_;
	my %number = (types => 0, orders => 1);
	my %entries = (c => 1, u => 2, d => 1);
	my ($events, %given) = (0);

	for (my $round = 0; $round <= $rounds; $round += $size)
	{
		$node->safe_psql('postgres',
			$round < $rounds
			? "SELECT setseed(0.1 + $round / 1000.0); CALL workload($size)"
			: "INSERT INTO types (id, t) VALUES (0, '$end'); INSERT INTO orders (id, region) VALUES (0, '$end')"
		);
		my @lines =
		  receive($slot, 'tables=public.types,public.orders', @options);
		$events += @lines;
		foreach my $part ($size == 1 ? map { [$_] } @lines : \@lines)
		{
			my %table = by_table(@$part);

			foreach my $name (sort keys %table)
			{
				give($flink, $name, join("\n", @{ $table{$name} }, ''));
				next if $round == $rounds;
				$given{$name} += $entries{$_}
				  foreach map { /,"op":"(\w)","ts_ms"/ } @{ $table{$name} };
				seen($flink, $number{$name}, $given{$name});
			}
		}
	}
	return $events;
}

# compare(FLINK, NUMBER): what a query has come to against the source
sub compare
{
	my ($flink, $number) = @_;
	my ($name, $query) = @{ $queries[$number] };
	my $file = "$flink->{directory}/result/$number";
	# documents are strings in Flink, so they are compared as such
	my $columns = $node->safe_psql('postgres',
		"CREATE TEMP VIEW s AS $query; SELECT string_agg(format('%I %s', attname, replace(replace("
		  . "format_type(atttypid, atttypmod), 'jsonb', 'text'), 'json', 'text')), ', ' ORDER BY attnum) "
		  . "FROM pg_attribute WHERE attrelid = 's'::regclass");

	is( $node->safe_psql(
			'postgres', <<SQL), '0|0|t', "$flink->{name}, $name: Flink has the source's rows");
SET client_min_messages = warning;
CREATE TEMP TABLE lines (line text);
-- a line as it is: these bytes are in none
COPY lines FROM '$file' (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02', ESCAPE E'\\x02');
CREATE TEMP TABLE flink ($columns);
INSERT INTO flink SELECT (json_populate_record(NULL::flink, line::json)).* FROM lines;
CREATE TEMP TABLE here AS SELECT r::text AS row FROM ($query) AS r;
CREATE TEMP TABLE there AS SELECT r::text AS row FROM flink AS r;
SELECT (SELECT count(*) FROM (TABLE here EXCEPT ALL TABLE there) AS x),
	(SELECT count(*) FROM (TABLE there EXCEPT ALL TABLE here) AS x),
	(SELECT count(*) > 1 FROM here)
SQL
	return;
}

# check(FLINK): it has ended well, with the source's content
sub check
{
	my ($flink) = @_;

	$flink->{harness}->finish;
	is($flink->{harness}->result(0),
		0, "$flink->{name}: Flink accepts every event")
	  or diag($flink->{err});
	compare($flink, $_) foreach 0 .. $flink->{number} - 1;
	return;
}

# event by event
create_slot($node, 'events');
my $flink = start_flink('events', 2);
my $events = follow($flink, 'events', 15, 1);
check($flink);
is($flink->{files}, $events, 'each event was a file');

# in micro-batches, with what was there given up first
$node->safe_psql('postgres', 'TRUNCATE types, orders, keyed');
create_slot($node, 'batches');
create_slot($node, 'again');
$flink = start_flink('batches', 2);
$events = follow($flink, 'batches', 400, 50, 'batch_bytes=65536');
check($flink);
cmp_ok($flink->{files}, '<', $events / 100,
	"$events events came in few files");

# Delivered again from some point on, as after a crash, with Flink's setting
# for that, which also makes do with deletes that have the key only.
$node->safe_psql('postgres', "INSERT INTO keyed VALUES (0, '$end')");
$flink =
  start_flink('again', 3, 'table.exec.source.cdc-events-duplicate=true');
my %table = by_table(receive('again'));
foreach my $name (sort keys %table)
{
	my @all = @{ $table{$name} };
	my $last = pop @all;

	give($flink, $name, join("\n", @all, @all[ @all / 2 .. $#all ], $last, ''));
}
check($flink);

done_testing();
