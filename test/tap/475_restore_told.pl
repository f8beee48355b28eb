# Promise: restore_script restores every value as it was, or ends before its COMMIT
# where a line of jsonl doesn't tell it; and what is told is not refused.
use strict;
use warnings;

use JSON::PP qw(decode_json);
use OutflowTest;
use OutflowValues;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('told', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my $number = 0;
my $types = <<'EOS';
CREATE EXTENSION hstore;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE deep AS (p pair[], j json, "q ""r" jsonb, n numeric, r int4range);
CREATE TYPE tagged AS (h hstore);
CREATE TYPE mood AS ENUM ('sad', 'so "so"');
CREATE DOMAIN document AS jsonb;
CREATE DOMAIN ints AS int[];
CREATE DOMAIN few AS numeric(9,3) CHECK (VALUE < 1000);
CREATE TYPE texts AS RANGE (subtype = text);
EOS

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql("$types CREATE DATABASE back");
$node->safe_psql('back', $types);

# cases(TEXT): of lines of a name, a type and values
sub cases { return map { [ split(/\s* \| \s*/, $_) ] } split(/\n/, $_[0]); }

# make_table(CASES): a column for each, c0 and so on, whose values go round
sub make_table
{
	my ($rows) = sort { $b <=> $a } map { $#$_ - 1 } @_;

	sql('DROP TABLE IF EXISTS t; CREATE TABLE t ('
		  . join(', ', 'id int', map { "c$_ $_[$_][1]" } 0 .. $#_)
		  . '); INSERT INTO t VALUES '
		  . join(', ', map { my $row = $_; "($row, " . join(', ', map { $_->[ 2 + $row % ($#$_ - 1) ] } @_) . ')' } 0 .. $rows - 1));
	return;
}

# restored(FORMAT): into database back; what the script fails with
sub restored
{
	my ($format) = @_;
	my $job = sql("CALL outflow.export('t', 'file://$dir/" . ++$number . "', format => '$format')");
	my $script = sql("SELECT outflow.restore_script($job)");

	$node->safe_psql('back', 'DROP TABLE IF EXISTS t');
	my ($status, $out, $err) = $node->psql('back', $script, on_error_stop => 1);
	return $status == 0 ? '' : $err;
}

# columns(DATABASE, CASES): the texts in each column of table t, an array's with its bounds
sub columns
{
	my ($database, @cases) = @_;
	my $texts = join(', ', map { "c${_}::text" } 0 .. $#cases);
	my @rows = map { decode_json($_) } split(/\n/, $node->safe_psql($database, "SELECT array_to_json(ARRAY[$texts]) FROM t ORDER BY id"));

	return map { my $i = $_; [ map { $_->[$i] } @rows ] } 0 .. $#cases;
}

# exact(FORMAT, CASES): of table t
sub exact
{
	my ($format, @cases) = @_;

	is(restored($format), '', "$format: the script runs") or return;
	my @expected = columns('postgres', @cases);
	my @found = columns('back', @cases);
	is_deeply($found[$_], $expected[$_], "$cases[$_][0], $format: the same") foreach 0 .. $#cases;
	return;
}

# ---- what a line doesn't tell
my @untold = cases(<<'EOS');
bounds of an array | int[] | '[0:1]={5,6}' | '{1}'
bounds of an inner dimension | int[] | '[1:1][2:3]={{5,6}}'
bounds in a composite | deep | ROW('[0:0]={"(1,x)"}', NULL, NULL, NULL, NULL)::deep
null of jsonb | jsonb | 'null' | NULL
null of json | json | E' null\t' | NULL
null of a domain | document NOT NULL | 'null'
null in a composite | deep | ROW(NULL, 'null', NULL, NULL, NULL)::deep
null in an array | jsonb[] | ARRAY['null'::jsonb, NULL]
arrays in an array of json | json[] | ARRAY[' [1,2]'::json]
empty arrays in an array of jsonb | jsonb[] | ARRAY['[]'::jsonb]
arrays of arrays | ints[] | ARRAY['{1,2}'::ints]
hstore | hstore | 'a=>1, "b\"\\"=>NULL'
empty hstore | hstore | ''
hstore in a composite | tagged | ROW('a=>1')::tagged
hstore in an array | hstore[] | ARRAY['a=>1'::hstore]
a zero in json | json | '{"a":["\\\u0000"]}'
a zero in the name of one | json | '{"\u0000":1}'
vectors | int2vector | '1 2'
an empty array of vectors' kind | int2vector | ''
ids | oidvector | '' | '26 23'
EOS
foreach my $case (@untold)
{
	make_table($case);
	like(restored('jsonl'), qr/ERROR:  lines of table public\.t have values that jsonl does not tell\nDETAIL: .*\nHINT:  Export it again as csv, text or binary\./,
		"$case->[0], jsonl: refused");
	is(($node->psql('back', q(SELECT count(*) FROM pg_class WHERE relname = 't')))[1], '0', "$case->[0], jsonl: nothing is there");
}
make_table(@untold);
exact($_, @untold) foreach qw(csv text);
# COPY can't read what it writes of some empty ones
my @portable = grep { $_->[1] !~ /vector/ } @untold;
make_table(@portable);
exact('binary', @portable);

# ---- what it does tell
my @told = cases(<<'EOS');
arrays | int[] | '{}' | '{NULL}' | '{{1,NULL},{NULL,2}}' | '{{{1}},{{2}}}' | NULL
arrays of texts | text[] | '{NULL,"NULL","","a\"b\\c,{}"}'
arrays of json | json[] | ARRAY['{"a":[1,null]}', '"[1]"', NULL, '1']::json[] | '{{1,2},{3,4}}'
jsonb | jsonb | '"null"' | '[null]' | '{"a":null,"b":"\\u0000"}' | NULL
json | json | '"null"' | '{"a" : 1.50, "a":1e400}' | '{"a":"\\u0000 \u0001"}' | NULL
jsonb that is not null | jsonb NOT NULL | 'null' | '"null"' | '{}'
json that is not null | json NOT NULL | 'null' | '"null"'
composites | deep | ROW('{"(1,x)",NULL,"(,)"}', '[[]]', '{"a":null}', 'NaN', '[1,5)')::deep | ROW(NULL, NULL, NULL, NULL, NULL)::deep | NULL
arrays of composites | pair[] | '{"(1,\"x\"\"y\")",NULL,"(,)"}'
ranges of texts | texts | '["a""b,","c\\)"]' | 'empty' | '(,)'
enums | mood[] | '{"so \"so\"",sad}'
domains | few | 999.999 | NULL
arrays of domains | few[] | '{1.5,NULL}'
numerics | numeric | 'NaN' | 'Infinity' | '-Infinity' | 1.500 | 1e300 | -0.00
floats | float8 | 'NaN' | '-Infinity' | '-0' | 5e-324 | 1.7976931348623157e308 | 0.1
reals | real | 'Infinity' | '-0' | 1e-45 | 16777216
money | money | '-92233720368547758.08' | 0.01
bits | bit(5) | '00000' | '10101'
varying bits | varbit | '' | '0101'
bytes | bytea | '' | '\x00ff5c0a'
xml | xml | '<a b="c">d&amp;e</a>' | 'plain' | ''
tsvectors | tsvector | '' | $$'a b':1 c:2A$$
dates | date | 'infinity' | '-infinity' | '4713-01-01 BC' | '5874897-12-31' | '0001-01-01'
timestamps | timestamp | '-infinity' | '4713-01-01 00:00:00 BC' | '294276-12-31 23:59:59.999999' | '12345-06-07 01:02:03'
timestamps with zone | timestamptz | 'infinity' | '4713-01-02 00:00:00+00 BC' | '294276-12-31 23:59:59.999999+00' | '0044-03-15 12:00 BC'
times | time | '24:00:00' | '23:59:59.999999'
times with zone | timetz | '24:00:00-15:59:59' | '00:00+15:59'
intervals | interval | '-178000000 years' | '1 mon -1 day +00:00:00.000001' | '0'
texts | text | '' | E'a"\n\r\\\x01\x02\x7fü€𝄞\t' | '\.' | 'a ' | '\u0000' | NULL
chars | "char" | '' | E'\x01' | '"'
blanks | char(4) | 'a' | ''
EOS
make_table(@told);
exact($_, @told) foreach qw(csv text binary jsonl);
my @unread = cases(q(an empty tsquery | tsquery | ''));
make_table(@unread);
exact($_, @unread) foreach qw(csv text jsonl);

# ---- any values: as many rows as are not refused come back
my $values = OutflowValues->new(475);
my @any = map { my $type = $_; [ $type, $type, map { $values->value($type) } 1 .. 12 ] } grep { !/vector$/ } OutflowValues->types;
make_table(@any);
exact($_, @any) foreach qw(csv text binary);
$values->{portable} = 1;
@any = map { my $type = $_; [ $type, $type, map { $values->value($type) } 1 .. 25 ] } grep { !/vector$|jsonb\[\]/ } OutflowValues->types;
make_table(@any);
exact('jsonl', @any);

# what is marked is what is not told
sub lines_of
{
	my (@names) = @_;

	make_table(map { my $type = $_; [ $type, $type, map { $values->value($type) } 1 .. 300 ] } @names);
	restored('jsonl');
	sql("DROP TABLE IF EXISTS lines; CREATE TABLE lines (line text); COPY lines FROM '$dir/$number/part-000000.jsonl' WITH (FORMAT csv, DELIMITER E'\\002', QUOTE E'\\001')");
	cmp_ok(sql("SELECT count(*) FROM lines WHERE line $_ '% '"), '>', 30, "@names: $_") foreach 'LIKE', 'NOT LIKE';
	return;
}
delete $values->{portable};
my $differs = 'FROM lines AS l, json_populate_record(NULL::t, l.line::json) AS r JOIN t USING (id) WHERE r::text IS DISTINCT FROM t::text';
lines_of(qw(int4[] jsonb));
is(sql("SELECT count(*) FILTER (WHERE line NOT LIKE '% ') $differs"), '0', 'all that is not told is marked');
is(sql("SELECT count(*) $differs"), sql("SELECT count(*) FROM lines WHERE line LIKE '% '"), '... and nothing else');
lines_of('jsonb[]');
sql("DELETE FROM lines WHERE line LIKE '% '");
is(sql("SELECT count(*) $differs"), '0', 'nor is any other array of JSON');

done_testing();
