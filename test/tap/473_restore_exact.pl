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
is(($node->psql(restored(exported('moments', "SET DateStyle = SQL; SET TimeZone = '$_'", ''), $_), 'TABLE moments'))[1], sql('TABLE moments'), "$_: exact")
  foreach qw(UTC Etc/UTC GMT Etc/GMT+5);

done_testing();
