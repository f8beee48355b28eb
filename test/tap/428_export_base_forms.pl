# Promise: a part is carried only if it would be written as the same bytes anew. What
# a file is besides names and types of columns counts too: numbers of fields and
# dimensions, the forms of nested types, what old rows show in a row type's fields,
# settings of functions, and those that a filter reads.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('forms', conf => "autovacuum = off\n");
my $export = new_export_dir();
my $last = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export(TABLE, FORMAT, OPTIONS, MORE, SETTINGS): where it is, and "carried|redone".  A
# lake table is always the same, of others the last export is the base.
sub export
{
	my ($table, $format, $options, $more, $settings) = @_;
	my $lake = $format =~ /^(?:delta|iceberg)$/;
	my $place = "$export/$table-$format" . ($lake ? '' : '-' . ++$last);
	my $base = $lake ? '' : '"base": "last"';

	$options = join(', ', grep { length } $options // '', $base);
	sql(($settings // '')
		  . "CALL outflow.export('$table', 'file://$place', format => '$format', options => '{$options}'" . ($more // '') . ')');
	return ($place, sql('SELECT parts_carried, parts_redone FROM outflow.jobs ORDER BY job DESC LIMIT 1'));
}

sub content
{
	my ($place) = @_;

	return join('', map { slurp_file("$place/$_") } grep { m{(?:^|/)part-[^/]*$} } files_below($place));
}

# is_redone(NAME, TABLE, FORMAT, CHANGE, OPTIONS, MORE)
sub is_redone
{
	my ($name, $table, $format, $change, @more) = @_;

	export($table, $format, @more);
	is((export($table, $format, @more))[1], '1|0', "$name, $format: carried before");
	sql($change);
	is((export($table, $format, @more))[1], '0|1', '... not after');
	is((export($table, $format, @more))[1], '1|0', '... and the next one is carried again');
	return;
}

# ---- the numbers of columns
my $other_number = <<'EOS';
ALTER TABLE parted DETACH PARTITION leaf;
ALTER TABLE parted DROP COLUMN b;
ALTER TABLE parted ADD COLUMN b int;
ALTER TABLE parted ATTACH PARTITION leaf FOR VALUES FROM (0) TO (100);
EOS
sql(<<'EOS');
CREATE TABLE parted (id int, b int) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (0) TO (100);
INSERT INTO parted VALUES (1, 11), (2, 22);
EOS
is_redone('number of a column', 'parted', $_, $other_number) foreach qw(iceberg delta parquet);
export('parted', 'jsonl');
sql($other_number);
is((export('parted', 'jsonl'))[1], '1|0', '... jsonl has no such numbers');

# ---- dimensions
foreach my $format (qw(parquet delta))
{
	sql(q{DROP TABLE IF EXISTS grids; CREATE TABLE grids (id int, grid int[]); INSERT INTO grids VALUES (1, NULL), (2, '{}')});
	is_redone('dimensions', 'grids', $format, 'ALTER TABLE grids ALTER grid TYPE int[][]');
}

# ---- names of types within
sql(<<'EOS');
CREATE DOMAIN price AS int;
CREATE TYPE item AS (v price);
CREATE TABLE items (id int, c item);
INSERT INTO items VALUES (1, ROW(15)::item);
EOS
is_redone('name of a domain within a composite', 'items', 'parquet',
	'ALTER DOMAIN price RENAME TO price_old; CREATE DOMAIN price AS int', '"as": "price=string"');
sql(q{CREATE EXTENSION hstore; CREATE TABLE pairs (h hstore); INSERT INTO pairs VALUES ('a=>1')});
is_redone('the function that makes JSON of hstore', 'pairs', 'jsonl', 'ALTER FUNCTION hstore_to_json(hstore) RENAME TO hidden');

# ---- rows of another table that are older than their column
sql(<<'EOS');
CREATE TABLE addresses (a int);
INSERT INTO addresses VALUES (1), (2);
ALTER TABLE addresses ADD COLUMN b int DEFAULT 5;
CREATE TABLE history (was addresses);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO history VALUES (old); RETURN new; END';
CREATE TRIGGER keep BEFORE UPDATE ON addresses FOR EACH ROW EXECUTE FUNCTION keep();
UPDATE addresses SET a = a + 10;
EOS
is_redone('what is missing in rows', 'history', 'csv', 'VACUUM FULL addresses');
is(content((export('history', 'csv'))[0]), sql('COPY history TO STDOUT CSV') . "\n", '... and they are as COPY has them');

# ---- functions
sql(<<'EOS');
CREATE EXTENSION cube;
CREATE TABLE cubes AS SELECT i AS id, cube(1.0 / 3) AS c FROM generate_series(1, 2) AS i;
CREATE TABLE names (n text);
INSERT INTO names VALUES ('abc'), ('A b');
CREATE FUNCTION quoted(text) RETURNS text LANGUAGE internal IMMUTABLE STRICT AS 'quote_ident';
EOS
is_redone("an output function's settings", 'cubes', 'csv', 'ALTER FUNCTION cube_out(cube) SET extra_float_digits = -10');
is(content((export('cubes', 'csv'))[0]), sql('COPY cubes TO STDOUT CSV') . "\n", '... and it is as COPY has it');
is_redone("a filter's function", 'names', 'csv', 'ALTER FUNCTION quoted(text) SET quote_all_identifiers = on', '',
	q{, filter => 'public.quoted(n) = n'});

# ---- settings that a filter reads: those of the session, in all workers
sql(<<'EOS');
CREATE TABLE read (id int, b bytea, at timestamptz, words text[], note text);
INSERT INTO read VALUES (1, '\xff00ff', '2024-01-01 12:00+00', '{NULL}', 'a'), (2, '\x01', '2024-06-01 12:00+00', '{"NULL"}', 'b');
EOS
foreach my $case (
	[ 'xmlbinary', 'hex', 'base64', q{xmlelement(name a, b)::text = '<a>FF00FF</a>'} ],
	[ 'timezone_abbreviations', 'Australia', 'Default', q{at AT TIME ZONE 'EST' < '2024-01-02' AND at AT TIME ZONE 'EST' > '2024-01-01 20:00'} ],
	[ 'quote_all_identifiers', 'on', 'off', q{quote_ident(note) = '"a"'} ],
	[ 'array_nulls', 'on', 'off', q{words = '{NULL}'::text[]} ],
	[ 'xmloption', 'content', 'document', q{note < xmlserialize(CONTENT 'b<c/>'::xml AS text) AND id < 2} ])
{
	my ($setting, $mine, $others, $filter) = @$case;
	my @more = ('', ", columns => '{id}', filter => \$f\$$filter\$f\$", "SET $setting = '$mine';");

  SKIP:
	{
		skip 'the server is built without XML', 6
		  if $setting =~ /^xml/ && $node->psql('postgres', q{SELECT xmlcomment('')}) != 0;
		if ($setting eq 'xmlbinary' && server_major($node) >= 19)
		{
			like(($node->psql('postgres', "CALL outflow.export('read', 'file://$export/refused'$more[1])"))[2],
				qr/must be immutable/, 'PostgreSQL 19 knows what xmlelement() depends on');
			next;
		}
		my $wanted = sql("$more[2] SELECT id FROM read WHERE $filter");

		is($wanted, '1', "$setting: one row passes");
		foreach my $format (qw(csv jsonl))
		{
			sql("ALTER ROLE CURRENT_USER SET $setting = '$others'");
			is(join("\n", content((export('read', $format, @more))[0]) =~ /(\d+)/g), $wanted, "$setting is the session's, $format");
			sql('ALTER ROLE CURRENT_USER RESET ALL');
			is((export('read', $format, @more))[1], '1|0', '... and the part is carried, whatever the role has');
			next unless $setting =~ /binary|abbreviations|quote/;
			is((export('read', $format, @more[ 0, 1 ], "SET $setting = '$others';"))[1], '0|1', '... but not under another one');
		}
	}
}

# ---- names as values: as COPY has them in csv and text, the same always in other formats
sql(q{CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE quoted_names AS SELECT 'read'::regclass AS c, 'lower(text)'::regprocedure AS p, 'ok'::mood AS m, 'mood'::regtype AS t, 'ok'::text AS n});
foreach my $format (qw(csv text))
{
	my $session = 'SET quote_all_identifiers = on;';

	is(content((export('quoted_names', $format, '', '', $session))[0]), sql("$session SET search_path = pg_catalog; COPY public.quoted_names TO STDOUT (FORMAT $format)") . "\n", "names as COPY has them, $format");
	is(content((export('quoted_names', $format, '"mask_columns": "*.quoted_names.c=redact"', '', $session))[0]) =~ s/[^*]//gr, '***', "beside a mask, $format");
}
foreach my $filter ('', q{, filter => 'quote_ident(n) = $q$"ok"$q$'})
{
	is(content((export('quoted_names', 'jsonl', '', $filter, 'SET quote_all_identifiers = on;'))[0]),
		content((export('quoted_names', 'jsonl'))[0]), 'names have one form in jsonl');
}

done_testing();
