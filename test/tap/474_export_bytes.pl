# Promise: in a database whose encoding is SQL_ASCII a table is exported whatever
# bytes its name and comments have, and what jsonl can't give back there is refused.
use strict;
use warnings;

use JSON::PP;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('bytes', init => [ extra => [ '--encoding=SQL_ASCII', '--no-locale' ] ]);
my $dir = new_export_dir();
my $bytes = "\xe9\xc3\xa9\xff";    # a byte, a character, a byte
my $shown = "\x{efe9}\x{e9}\x{efff}";

$ENV{PGCLIENTENCODING} = 'SQL_ASCII';

sub sql { return $node->safe_psql('postgres', $_[0]); }

# ---- names and comments
sql(qq{CREATE TABLE "t$bytes" (id int, "x" text); INSERT INTO "t$bytes" VALUES (1, 'a');
	COMMENT ON TABLE "t$bytes" IS 'table $bytes'; COMMENT ON COLUMN "t$bytes".id IS 'x$bytes"y';
	CREATE TABLE "t$bytes 2" (id int); INSERT INTO "t$bytes 2" VALUES (2)});
foreach my $format (qw(csv text binary jsonl parquet delta iceberg))
{
	my ($status, $out, $err) = $node->psql('postgres', qq{CALL outflow.export('"t$bytes"', 'file://$dir/$format', format => '$format')});

	is($err, '', "$format: exported");
	next if $format =~ /delta|iceberg/;
	my $read = eval { JSON::PP->new->utf8->decode(slurp_file("$dir/$format/_manifest.json")) } || {};
	is($read->{source}, qq{public."t$shown"}, "$format: the manifest has the name");
}
my ($delta) = map { decode($_, 'metaData') } slurp_file("$dir/delta/_delta_log/00000000000000000000.json");
my ($iceberg) = map { JSON::PP->new->utf8->decode(slurp_file($_)) } glob("$dir/iceberg/metadata/*.metadata.json");

sub decode
{
	my ($lines, $action) = @_;

	return map { $_->{$action} // () } map { JSON::PP->new->utf8->decode($_) } split(/\n/, $lines);
}
is($delta->{name}, qq{public."t$shown"}, 'delta: the name');
is($delta->{description}, "table $shown", 'delta: the comment');
is(JSON::PP->new->decode($delta->{schemaString})->{fields}[0]{metadata}{comment}, qq{x$shown"y}, "delta: a column's");
is($iceberg->{properties}{comment}, "table $shown", 'iceberg: the comment');
is($iceberg->{schemas}[0]{fields}[0]{doc}, qq{x$shown"y}, "iceberg: a column's");
is($iceberg->{snapshots}[0]{summary}{'outflow.source'}, qq{public."t$shown"}, 'iceberg: the name');
like(slurp_file(glob("$dir/parquet/*.parquet")), qr/\Qpublic."t\E\xee\xbf\xa9\xc3\xa9\xee\xbf\xbf"/, 'parquet: the name');
sql(qq{CALL outflow.export('"t$bytes"', 'file://$dir/delta', format => 'delta')});
is_deeply([ decode(slurp_file("$dir/delta/_delta_log/00000000000000000001.json"), 'metaData') ], [], 'delta: the same the next time');
is(($node->psql('postgres', qq{CALL outflow.export_tables(ARRAY['"t$bytes"', '"t$bytes 2"']::regclass[], 'file://$dir/two')}))[2], '', 'several tables');

# ---- restored
sql(qq{CREATE DATABASE utf ENCODING 'UTF8' TEMPLATE template0});
my $number = 0;
foreach my $case (
	[ "a\\\\u00e9\\\\\\\\uefff\x01", 'jsonl', '', 'postgres', 1 ],
	[ "a\xe9", 'jsonl', '', 'postgres', 0 ],
	[ "\xc3\xa9", 'jsonl', '', 'postgres', 0 ],
	[ "\xc3\xa9\\\\\\\\", 'jsonl', '', 'utf', 1 ],
	[ "\\\\\xe9", 'jsonl', '', 'utf', 0 ],
	[ "a\xe9\xc3\xa9", 'binary', '', 'postgres', 1 ],
	[ "a\xe9\xc3\xa9", 'csv', q(, options => '{"encoding": "SQL_ASCII"}'), 'postgres', 1 ],
	(map { my $format = $_; map { [ $_->[0], $format, '', @$_[ 1, 2 ] ] }
		  ([ "a\xe9\xc3\xa9", 'postgres', 1 ], [ "a\xc3\xa9", 'utf', 1 ], [ "a\xe9\xc3\xa9", 'utf', 0 ]) } qw(csv text binary)))
{
	my ($value, $format, $arguments, $database, $restores) = @$case;
	my $name = sprintf('%vd', $value) . ", $format into $database";

	$number++;
	sql("DROP TABLE IF EXISTS v; CREATE TABLE v (x text); INSERT INTO v VALUES (E'$value')");
	my $job = sql("CALL outflow.export('v', 'file://$dir/v$number', format => '$format'$arguments)");
	my $script = sql("SELECT outflow.restore_script($job)");
	my $expected = sql('TABLE v');

	$node->safe_psql($_, 'DROP TABLE IF EXISTS v') foreach 'postgres', $database;
	my ($status, $out, $err) = $node->psql($database, $script, on_error_stop => 1);
	if ($restores)
	{
		is($status, 0, "$name: the script runs") or diag($err);
		is($node->safe_psql($database, 'TABLE v'), $expected, "$name: the same");
	}
	else
	{
		like($err, $format eq 'jsonl' ? qr/lines of jsonl have text that this database cannot read back.*as binary/s
			: qr/invalid byte sequence for encoding "UTF8": 0xe9 0xc3 0xa9/, "$name: refused");
	}
}

done_testing();
