# Promise: a value that Parquet can't hold stops an export with its column and
# row named, unless the option "lossy" says that it becomes a null, or that its
# column becomes text.
use strict;
use warnings;

use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('lossy');

# what each type has that Parquet has not
my @cases = (
	[ 'numeric(10,2)', 'NaN', 'NaN or an infinity' ],
	[ 'numeric(38,2)', 'NaN', 'NaN or an infinity' ],
	[ 'date', 'infinity', 'an infinite date' ],
	[ 'date', '-infinity', 'an infinite date' ],
	[ 'timestamp', 'infinity', 'an infinite timestamp' ],
	[ 'timestamptz', '-infinity', 'an infinite timestamp' ],
	[ 'timestamp', '294276-12-31 23:59:59', 'a timestamp after the year' ],
	[ 'time', '24:00:00', 'the time 24:00:00' ],
	[ 'timetz', '24:00:00+02', 'the time 24:00:00' ],
	[ 'int[]', '{{1,2},{3,4}}', 'an array of 2 dimensions .* with 1' ],
	[ 'int[][]', '{1,2}', 'an array of 1 dimensions .* with 2' ],
	[ 'date[]', '{2000-01-01,infinity}', 'an infinite date' ],
	[ 'holder', '(1,infinity)', 'an infinite date' ],
	[ 'holder[]', '{"(1,infinity)"}', 'an infinite date' ],
	[ 'limited', 'NaN', 'NaN or an infinity' ]);

$node->safe_psql('postgres', <<'EOS');
CREATE TYPE holder AS (n int, d date);
CREATE DOMAIN limited AS numeric(20,5);
EOS

# export_error(TABLE, OPTIONS): what a failing export says
sub export_error
{
	my ($table, $options) = @_;
	my $directory = new_export_dir() . '/out';
	my (undef, undef, $err) = $node->psql('postgres',
		"CALL outflow.export('$table', 'file://$directory', "
		  . "format => 'parquet', workers => 0, options => '$options')");

	return $err;
}

my $number = 0;
foreach my $case (@cases)
{
	my ($type, $value, $what) = @$case;
	my $table = 'lossy_' . ++$number;

	$node->safe_psql('postgres', "CREATE TABLE $table
		(id bigint NOT NULL, fine int NOT NULL, v $type NOT NULL, w $type);
		INSERT INTO $table VALUES (1, 1, '$value', NULL), (2, 2, '$value', NULL)");
	like(export_error($table, '{}'),
		qr/column "v" has a value that Parquet cannot hold.*The row with ctid \(0,1\) has $what/s,
		"$type: $value stops the export");

	# as text the table is whole
	my $directory = export_parquet($node, $table,
		arguments => q{options => '{"lossy": "string"}'});
	check_parquet($node, 'postgres', 'compare', $table, $directory, 'v,w');
	$directory = export_parquet($node, $table,
		arguments => q{options => '{"lossy": "v=string"}'});
	check_parquet($node, 'postgres', 'compare', $table, $directory, 'v');
}

# the row is named, though many rows are put at a time
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE far_row AS SELECT g::bigint AS id, g AS n,
	CASE WHEN g = 777 THEN 'infinity' ELSE date '2000-01-01' + g END AS d,
	CASE WHEN g % 5 > 0 THEN timestamp '2000-01-01' + g * interval '1 day' END
		AS t
FROM generate_series(1, 1000) g;
CREATE SCHEMA expected;
CREATE TABLE expected.far_row AS
	SELECT id, n, nullif(d, 'infinity') AS d, t FROM far_row;
EOS
my $place = $node->safe_psql('postgres', 'SELECT ctid FROM far_row WHERE id = 777');
like(export_error('far_row', '{"row_group_rows": 300}'),
	qr/The row with ctid \Q$place\E has an infinite date/, 'a row far from the start');
check_parquet($node, 'postgres', 'compare', 'expected.far_row',
	export_parquet($node, 'far_row',
		arguments => q{options => '{"lossy": "null", "row_group_rows": 300}'}));

# as nulls: compare with a table in which they are
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE nulled (id bigint NOT NULL, a numeric(10,2) NOT NULL, b date[],
	c holder NOT NULL, d int[], e timestamptz NOT NULL, f text);
INSERT INTO nulled VALUES (1, 'NaN', '{2000-01-01,infinity,NULL}',
		'(1,infinity)', '{{1}}', 'infinity', 'x'),
	(2, 1.5, '{}', '(2,2000-01-01)', '{1}', '2000-01-01 00:00+00', 'y');
CREATE TABLE expected.nulled (LIKE nulled);
ALTER TABLE expected.nulled ALTER a DROP NOT NULL, ALTER e DROP NOT NULL;
INSERT INTO expected.nulled VALUES (1, NULL, '{2000-01-01,NULL,NULL}', '(1,)',
		NULL, NULL, 'x'),
	(2, 1.5, '{}', '(2,2000-01-01)', '{1}', '2000-01-01 00:00+00', 'y');
EOS
foreach my $lossy ('null', 'error,a=null,b=null,c=null,d=null,e=null',
	'a=string,null')
{
	my $directory = export_parquet($node, 'nulled',
		arguments => qq{options => '{"lossy": "$lossy"}'});

	check_parquet($node, 'postgres', 'compare', 'expected.nulled', $directory);
	# what can't become a null is said to have none
	is(join(' ', @{ parquet_facts($node, "$directory/part-000000.parquet")->{required} }),
		$lossy =~ /c=null/ ? 'id' : 'id c', "$lossy: REQUIRED is what has no nulls");
}

# a catalog that says NOT NULL of a column with nulls
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE claimed (id bigint, v text);
INSERT INTO claimed VALUES (1, 'x'), (2, NULL);
UPDATE pg_attribute SET attnotnull = true
	WHERE attrelid = 'claimed'::regclass AND attname = 'v';
EOS
like(export_error('claimed', '{}'),
	qr/column "v" is declared NOT NULL and has a null/,
	'a file never says REQUIRED of a column with nulls');
my $claimed = export_parquet($node, 'claimed',
	arguments => q{options => '{"lossy": "v=null"}'});
check_parquet($node, 'postgres', 'compare', 'claimed', $claimed);
if ($node->pg_version >= 18)
{
	# a constraint that has not been validated promises nothing
	$node->safe_psql('postgres', <<'EOS');
CREATE TABLE unproven (id bigint, v text);
INSERT INTO unproven VALUES (1, 'x'), (2, NULL);
ALTER TABLE unproven ADD CONSTRAINT v_there NOT NULL v NOT VALID;
EOS
	check_parquet($node, 'postgres', 'compare', 'unproven',
		export_parquet($node, 'unproven'));
}

# the policy itself
like(export_error('nulled', '{"lossy": "ignore"}'),
	qr/unrecognized policy "ignore" in option "lossy"/, 'an unknown policy');
like(export_error('nulled', '{"lossy": "a=clamp"}'),
	qr/unrecognized policy "clamp" in option "lossy"/,
	'an unknown policy of a column');
like(export_error('nulled', '{"lossy": "nothing=null"}'),
	qr/column in option "lossy" does not exist/, 'an unknown column');
like(export_error('nulled', '{"lossy": "b=null"}'),
	qr/column "a" has a value/, 'other columns keep the default');
foreach my $compression ('brotli', 'zstd:99', 'zstd:', 'snappy:1', 'gzip:x')
{
	my (undef, undef, $err) = $node->psql('postgres',
		"CALL outflow.export('nulled', 'file://" . new_export_dir()
		  . "/x', format => 'parquet', compression => '$compression')");

	like($err, qr/compression|level/, "compression \"$compression\" is refused");
}
my (undef, undef, $err) = $node->psql('postgres',
	"CALL outflow.export('nulled', 'file://" . new_export_dir()
	  . q{/x', format => 'parquet', options => '{"header": true}')});
like($err, qr/takes no options of format "csv"/, 'and so is a header');

foreach my $option ('"lossy": "null"', '"row_group_rows": 7')
{
	(undef, undef, $err) = $node->psql('postgres',
		"CALL outflow.export('nulled', 'file://" . new_export_dir()
		  . "/x', format => 'jsonl', options => '{$option}')");
	like($err, qr/format "jsonl" takes no options of format "parquet"/,
		"$option is for Parquet alone");
}

$node->stop;
done_testing();
