# Promise: with page checksums or wal_log_hints, where the export's own reading
# moves page LSNs, an untouched table stays valid all the same.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ValidityTest;

foreach my $way ('plain', 'checksums', 'wal_log_hints')
{
	my $node = new_validity_node($way,
		checksums => $way eq 'checksums',
		conf => 'wal_log_hints = ' . ($way eq 'wal_log_hints' ? 'on' : 'off') . "\n");

	# no hint bits yet, and a checkpoint since: the first reader writes WAL.  Row
	# by row: a bulk load may leave zeroed pages after its rows
	$node->safe_psql('postgres',
		q{CREATE TABLE t (i int, x text);
		INSERT INTO t SELECT i, repeat('x', i % 100) FROM generate_series(1, 20000) i});
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $before = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	my $blocks = $node->safe_psql('postgres', q{SELECT pg_relation_size('t') / 8192});
	my $stamp = take_stamp($node, 't');
	my $wal = $node->safe_psql('postgres', "SELECT pg_current_wal_insert_lsn() - '$before'");

	if ($way eq 'plain')
	{
		cmp_ok($wal, '<', 8192, "$way: reading writes no WAL");
	}
	else
	{
		cmp_ok($wal, '>', $blocks * 1000, "$way: the part's own scan has moved its pages' LSNs");
	}
	is_untouched($node, $stamp, "$way: and its stamp is valid");

	# rows that were written just before, with the first scan after the stamp
	$node->safe_psql('postgres', 'CREATE TABLE u (i int); INSERT INTO u SELECT generate_series(1, 1000)');
	my $part = begin_part($node, 'u');
	$node->safe_psql('postgres', 'INSERT INTO u VALUES (0); CHECKPOINT; SELECT count(*) FROM u');
	$stamp = finish_part($part);
	is_invalid($node, $stamp, 'rows were changed\|xmin', "$way: a row of in between shows");

	# hint bits that another session sets later move LSNs, not rows
	$node->safe_psql('postgres', 'CREATE TABLE v AS SELECT generate_series(1, 1000) AS i');
	$stamp = take_stamp($node, 'v');
	$node->safe_psql('postgres', "BEGIN; UPDATE v SET i = 0; ROLLBACK; CHECKPOINT; SELECT count(*) FROM v");
	is_same_rows($node, $stamp, "$way: a rolled-back update");
	$node->stop;
}

done_testing();
