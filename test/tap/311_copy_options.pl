# Promise: the options of csv and text do what COPY's do: force_quote takes lists
# and "*", and text is in the encoding that was asked for or the export is refused.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('options');
my $scratch = new_export_dir();
my $number = 0;

# export(DATABASE, OPTIONS): the bytes of table t's part and what was said
sub export
{
	my ($database, $options, $format) = @_;
	my $directory = "$scratch/out" . ++$number;
	my (undef, undef, $err) = $node->psql($database,
		"CALL outflow.export('t', 'file://$directory', format => '$format', workers => 0, options => '$options')");
	my ($file) = -d $directory ? grep { /^part-/ } files_below($directory) : ();

	return ($file ? slurp_file("$directory/$file") : '', $err);
}

# copy(DATABASE, OPTIONS): COPY's, by the server itself
sub copy
{
	my ($database, $options) = @_;
	my $file = "$scratch/copy" . ++$number;
	my (undef, undef, $err) = $node->psql($database, "COPY t TO '$file' ($options)");

	return (-e $file ? slurp_file($file) : '', $err);
}

# ---- force_quote
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE t (a int, "B, c" text, d date, "true" bool);
INSERT INTO t VALUES (1, 'x', '2026-11-28', true), (NULL, NULL, NULL, NULL), (-2, '', '2000-01-01', false);
EOS
foreach my $case (
	[ 'true', '*' ], [ '"*"', '*' ], [ 'false', undef ], [ '"a"', '(a)' ], [ '"a,d"', '(a, d)' ],
	[ '"\"B, c\""', '("B, c")' ], [ '"\"B, c\",d"', '("B, c", d)' ], [ '"\"true\""', '("true")' ])
{
	my ($option, $copy) = @$case;
	my ($ours, $err) = export('postgres', qq({"header": true, "force_quote": $option}), 'csv');
	my ($theirs) = copy('postgres', 'FORMAT csv, HEADER' . ($copy ? ", FORCE_QUOTE $copy" : ''));

	is($ours . $err, $theirs, "force_quote $option as COPY's" . ($copy ? " $copy" : ''));
}
my (undef, $err) = export('postgres', '{"force_quote": "a,zz"}', 'csv');
like($err, qr/column in option "force_quote" does not exist or is not exported: "zz"/, 'no such column');
(undef, $err) = export('postgres', '{"force_quote": "a"}', 'text');
like($err, qr/"force_quote" are for format "csv"|for format "csv"/, 'format text has no such option');

# ---- bytes without an encoding
$node->safe_psql('postgres', q{CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'});
$node->safe_psql('bytes', <<'EOS');
CREATE EXTENSION outflow;
CREATE TABLE t (a int, b text);
INSERT INTO t VALUES (1, 'plain'), (2, E'd\xc3\xa9j\xc3\xa0');
EOS
foreach my $format (qw(csv text))
{
	foreach my $encoding (qw(UTF8 SQL_ASCII LATIN1))
	{
		my ($ours, $err) = export('bytes', qq({"encoding": "$encoding"}), $format);
		my ($theirs) = copy('bytes', "FORMAT $format, ENCODING '$encoding'");

		is($ours . $err, $theirs, "$format: bytes that are text in $encoding");
	}
}
$node->safe_psql('bytes', q{INSERT INTO t VALUES (3, E'\xff')});
foreach my $format (qw(csv text))
{
	my (undef, $refused) = copy('bytes', "FORMAT $format, ENCODING 'UTF8'");
	my ($ours, $err) = export('bytes', '{"encoding": "UTF8"}', $format);

	like($refused, qr/invalid byte sequence for encoding "UTF8": 0xff/, "$format: COPY refuses bytes that are no UTF-8");
	like($err, qr/invalid byte sequence for encoding "UTF8": 0xff/, "$format: so does an export");
	($ours, $err) = export('bytes', '{}', $format);
	like($ours, qr/3[,\t]\xff\n/, "$format: without an encoding they are exported as they are");
}

$node->stop;
done_testing();
