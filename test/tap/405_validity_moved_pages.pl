# Promise: pages that change without a row of theirs cost no part of an incremental
# export: a server from 19 on marks them all-visible while it reads, pg_checksums
# rewrites them all.  Changed rows still show.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ValidityTest;

foreach my $way ('plain', 'checksums')
{
	my $node = new_validity_node("visible_$way", checksums => $way eq 'checksums');
	my $visible = q{SELECT relallvisible FROM pg_class WHERE relname = 't'};

	# rows of a transaction that has ended, on pages that nobody has marked
	foreach my $read ('SELECT count(*) FROM t', 'SELECT count(*) FROM t WHERE i > 5',
		'SET enable_seqscan = off; SELECT count(x) FROM t WHERE i BETWEEN 1 AND 1000000')
	{
		$node->safe_psql('postgres', q{DROP TABLE IF EXISTS t; CREATE TABLE t (i int PRIMARY KEY, x text);
			INSERT INTO t SELECT i, repeat('x', i % 100) FROM generate_series(1, 5000) AS i});
		my $stamp = take_stamp($node, 't');
		$node->safe_psql('postgres', 'CHECKPOINT');
		$node->safe_psql('postgres', $read) foreach 1 .. 2;
		like(check_stamp($node, $stamp), qr/^t\|(no page was changed|the rows are the same)\|/, "$way: after $read");
		$node->safe_psql('postgres', 'UPDATE t SET x = NULL WHERE i = 77');
		$node->safe_psql('postgres', $read);
		is_invalid($node, $stamp, 'rows were changed', "$way: an update after $read");

		# while the part is read
		my $part = begin_part($node, 't');
		$node->safe_psql('postgres', 'INSERT INTO t VALUES (0, NULL)');
		$node->safe_psql('postgres', "CHECKPOINT; $read");
		$stamp = finish_part($part);
		is_invalid($node, $stamp, 'rows were changed\|xmin', "$way: an insert before $read in between");
	}
	$node->stop;
}

# ---- checksums, switched on and off
my $node = new_validity_node('switched');
$node->safe_psql('postgres', 'CREATE EXTENSION outflow');
my $export = new_export_dir();
my $last = 0;

$node->safe_psql('postgres', q{CREATE TABLE t (i int PRIMARY KEY, x text);
	INSERT INTO t SELECT i, repeat('x', i % 100) FROM generate_series(1, 20000) AS i});

# export(NAME, BASE): as COPY writes it; whether all parts were carried
sub export
{
	my ($name, $base) = @_;
	my $directory = "$export/" . ++$last;
	my $job = $node->safe_psql('postgres', "CALL outflow.export('t', 'file://$directory', part_size => '64kB'"
		  . ($base ? ", base => $base" : '') . ')');

	$node->safe_psql('postgres', "COPY t TO '$export/copy' CSV");
	ok(slurp_file("$export/copy") eq
		  join('', map { slurp_file("$directory/$_") } grep { /^part-/ } files_below($directory)), "$name: exact");
	return $node->safe_psql('postgres', "SELECT parts_carried = parts_total FROM outflow.jobs WHERE job = $job");
}

export('at first');
my $stamp = take_stamp($node, 't');
foreach my $switch ('enable', 'disable')
{
	$node->stop;
	command_ok([ 'pg_checksums', "--$switch", '--no-sync', '--pgdata', $node->data_dir ], "pg_checksums --$switch");
	$node->start;
	is_untouched($node, $stamp, "checksums, $switch: the stamp is valid");
	is(export("checksums, $switch", 1), 't', 'and all parts are carried');
}
$node->safe_psql('postgres', 'UPDATE t SET x = NULL WHERE i = 10000');
is(export('after an update', 1), 'f', 'changed parts are not');

done_testing();
