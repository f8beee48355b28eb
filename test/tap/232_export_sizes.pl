# Promise: tables of 1,600 columns, of none, and without rows are exported in
# each format and compression: as COPY writes them, as JSON that casts back, as
# Parquet that readers take.
use strict;
use warnings;

use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('sizes');
my $dir = new_export_dir();
my %unpack = (none => 'cat', gzip => 'gzip -dc', zstd => 'zstd -dcq', lz4 => 'lz4 -dcq');
my $count = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export(TABLE, FORMAT, COMPRESSION, ARGUMENTS): the job and its directory
sub export
{
	my ($table, $format, $compression, $arguments) = @_;
	my $directory = "$dir/e" . ++$count;
	my $job = sql("CALL outflow.export('$table', 'file://$directory', format => '$format', compression => '$compression'"
		  . ($arguments ? ", $arguments" : '') . ')');

	is(sql("SELECT DISTINCT status FROM outflow.verify($job)"), 'ok', "$table, $format, $compression: verified");
	return ($job, $directory);
}

sub content
{
	my ($directory, $compression) = @_;
	my $content = '';

	foreach my $file (grep { /^part-/ } files_below($directory))
	{
		$content .= `$unpack{$compression} $directory/$file`;
		die "$unpack{$compression} failed" if $?;
	}
	return $content;
}

# as_copy(TABLE, FORMAT, COMPRESSION): a part is a whole file of format binary
sub as_copy
{
	my ($table, $format, $compression, $arguments) = @_;
	my ($job, $directory) = export($table, $format, $compression, "part_size => '1GB'");

	sql("COPY (SELECT * FROM $table) TO '$dir/copy' (FORMAT $format)");
	ok(content($directory, $compression) eq slurp_file("$dir/copy"), "$table, $format, $compression: the bytes of COPY");
	return;
}

# as_json(TABLE, COMPRESSION): each line casts back to its row
sub as_json
{
	my ($table, $compression) = @_;
	my ($job, $directory) = export($table, 'jsonl', $compression);
	my $content = content($directory, $compression);

	append_to_file("$dir/lines$count", $content);
	is( sql(<<"EOS"),
CREATE TEMP TABLE lines (line jsonb);
COPY lines FROM '$dir/lines$count' (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02');
CREATE TEMP TABLE back (LIKE $table);
INSERT INTO back SELECT r.* FROM lines, LATERAL jsonb_populate_record(NULL::$table, line) AS r;
SELECT (SELECT count(*) FROM (SELECT t::text FROM $table AS t EXCEPT ALL SELECT b::text FROM back AS b) AS lost),
	(SELECT count(*) FROM (SELECT b::text FROM back AS b EXCEPT ALL SELECT t::text FROM $table AS t) AS invented),
	(SELECT count(*) FROM lines) = (SELECT count(*) FROM $table);
EOS
		'0|0|t', "$table, jsonl, $compression: casts back to the rows");
	return;
}

sub as_parquet
{
	my ($table, $codec) = @_;
	my ($job, $directory) = export($table, 'parquet', $codec);

	check_parquet($node, 'postgres', 'compare', $table, $directory);
	return;
}

# the most columns that there can be: rows with values, with nulls, with values
# out of line
sql(<<'EOS');
DO $$ DECLARE names text; makers text; nulls text; BEGIN
SELECT string_agg(format('"c %s" %s', i, (ARRAY['int2', 'text', 'bool', 'numeric(6,2)', 'date', 'text'])[1 + i % 6]), ',' ORDER BY i),
	string_agg(CASE i % 6 WHEN 0 THEN format('(g * %s %% 30000)::int2', i)
		WHEN 1 THEN format('CASE WHEN g %% 4 = 0 THEN ''"t,'' || g %% %s END', i)
		WHEN 2 THEN 'g % 3 = 0' WHEN 3 THEN '(g % 4000) * 0.25'
		WHEN 4 THEN 'date ''2020-01-01'' + g'
		ELSE format('CASE WHEN %s = 1505 AND g %% 10 = 0 THEN repeat(md5(g::text), 2000) END', i) END, ',' ORDER BY i),
	string_agg('NULL', ',')
	INTO names, makers, nulls FROM generate_series(1, 1599) AS i;
EXECUTE format('CREATE TABLE widest (id bigint, %s)', names);
EXECUTE format('INSERT INTO widest SELECT g, %s FROM generate_series(1, 200) AS g', makers);
EXECUTE format('INSERT INTO widest VALUES (201, %s)', nulls);
EXECUTE format('CREATE TABLE widest_empty (id bigint, %s)', names);
END $$;
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE nothing ();
CREATE TABLE no_rows (id bigint, t text);
CREATE TABLE deleted (id bigint, t text);
INSERT INTO deleted SELECT g, 'gone' FROM generate_series(1, 5000) AS g;
DELETE FROM deleted;
CREATE TABLE tree (id bigint, t text) PARTITION BY RANGE (id);
CREATE TABLE tree_low PARTITION OF tree FOR VALUES FROM (0) TO (100);
CREATE TABLE tree_high (t text, id bigint);
ALTER TABLE tree ATTACH PARTITION tree_high FOR VALUES FROM (100) TO (200);
CREATE TABLE bare_tree (id bigint, t text) PARTITION BY RANGE (id);
CREATE MATERIALIZED VIEW no_rows_view AS SELECT * FROM no_rows;
EOS
is(sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'widest'::regclass AND attnum > 0"), '1600', '1,600 columns');

# each format with each compression, in turn
my @compressions = sort keys %unpack;
foreach my $table (qw(widest widest_empty no_columns nothing no_rows deleted tree bare_tree no_rows_view))
{
	foreach my $format (qw(csv text binary))
	{
		foreach my $compression ($table eq 'widest' ? @compressions : $compressions[ ++$count % @compressions ])
		{
			as_copy($table, $format, $compression);
		}
	}
	as_json($table, $_) foreach $table eq 'widest' ? @compressions : $compressions[ ++$count % @compressions ];
}
# readers take seconds for so many
as_parquet('widest', $_) foreach $ENV{OUTFLOW_ROUNDS} ? qw(none snappy gzip zstd lz4) : 'zstd';
as_parquet($_, 'snappy') foreach qw(widest_empty deleted tree bare_tree no_rows_view);

$node->stop;
done_testing();
