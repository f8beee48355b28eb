# Promise: verdicts stay right when the server loses WAL that was not flushed,
# and uses its LSNs and transaction ids again; and when the cluster is copied.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ValidityTest;

# nothing but commits and we ourselves flush WAL
my $quiet = <<'EOC';
wal_writer_delay = 10s
wal_writer_flush_after = 1GB
bgwriter_lru_maxpages = 0
checkpoint_timeout = 1h
wal_buffers = 16MB
EOC
my $node = new_validity_node('crash', conf => $quiet);

sub sql
{
	my ($server, @sql) = @_;

	return $server->safe_psql('postgres', join(';', @sql));
}

sub rows
{
	my ($server, $table) = @_;

	return sql($server, "SELECT md5(string_agg(t::text, ',' ORDER BY ctid)) FROM $table t");
}

sql($node, 'CREATE TABLE other (i int)',
	'CREATE TABLE t (id int, note text)',
	q{INSERT INTO t SELECT i, repeat('x', 50) FROM generate_series(1, 500) i});
sql($node, 'VACUUM t', 'CHECKPOINT');

# crash(FINISH, ID): commits that are not flushed, a stamp after them that is
# finished in this way, a crash, and new transactions until LSNs and ids have
# caught up; the stamp, the rows that it is for, and what the check says at once
sub crash
{
	my ($finish, $id) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);
	my ($stamp, $rows, $at_once);

	$session->query_safe('SET synchronous_commit = off');
	$session->query_safe("UPDATE t SET note = 'lost' WHERE id = $id");
	$session->query_safe("DELETE FROM t WHERE id = $id + 1");
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$rows = $session->query_safe("SELECT md5(string_agg(t::text, ',' ORDER BY ctid)) FROM t");
	$stamp = $session->query_safe(
		"SELECT validity.$finish(validity.scan('t', 0, pg_relation_size('t') / 8192))");
	$session->query_safe('COMMIT');
	$node->stop('immediate');
	$session->quit;
	$node->start;
	$at_once = check_stamp($node, $stamp);
	sql($node, 'INSERT INTO other SELECT generate_series(1, 1000)') for 1 .. 5;
	return ($stamp, $rows, $at_once);
}

my ($stamp, $rows) = crash('finish', 1);
is(rows($node, 't'), $rows, 'what a stamp has seen survives a crash');
is_untouched($node, $stamp, 'and is valid');

sql($node, 'VACUUM (FREEZE) t', 'CHECKPOINT');
my $at_once;
($stamp, $rows, $at_once) = crash('finish_carelessly', 11);
isnt(rows($node, 't'), $rows, 'without the flush it does not survive');
is($at_once, 'f|the part was read in a future that the cluster lost|',
	'which shows as long as WAL and ids have not caught up');
like(check_stamp($node, $stamp), qr/^t\|no page was changed/,
	'and not any more when they have: the flush is needed');

# unflushed changes after the stamp, which are lost and replaced by others
sql($node, 'VACUUM (FREEZE) t', 'CHECKPOINT');
$stamp = take_stamp($node, 't');
$rows = rows($node, 't');
my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->query_safe('SET synchronous_commit = off');
$session->query_safe("UPDATE t SET note = 'lost' WHERE id > 100");
is_invalid($node, $stamp, 'rows were changed', 'changes that are not flushed show');
$node->stop('immediate');
$session->quit;
$node->start;
is(rows($node, 't'), $rows, 'they were lost');
like(check_stamp($node, $stamp), qr/^t\|/, 'so that the stamp holds again');
sql($node, q{UPDATE t SET note = 'again' WHERE id = 300});
is_invalid($node, $stamp, 'rows were changed', 'LSNs and ids that are used again show as well');

# a copy of the cluster has the same identity; each goes on for itself
my $export = new_export_dir();
sql($node, 'CREATE EXTENSION outflow');
$node->safe_psql('postgres', "CALL outflow.export('t', 'file://$export/before', part_size => '8kB')");
$stamp = take_stamp($node, 't');
$node->stop;
$node->backup_fs_cold('copy');
my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($node, 'copy');
$node->start;
$clone->start;
is( sql($clone, 'SELECT system_identifier FROM pg_control_system()'),
	sql($node, 'SELECT system_identifier FROM pg_control_system()'),
	'a copied cluster has the same identifier');

sql($node, q{UPDATE t SET note = 'here' WHERE id = 20});
sql($clone, q{DELETE FROM t WHERE id = 400});
is_invalid($node, $stamp, 'rows were changed', 'both see their own changes to common parts: the one');
is_invalid($clone, $stamp, 'rows were changed', 'and the other');

# both with the common job as base
foreach my $server ($node, $clone)
{
	my $name = $server->name;

	$server->safe_psql('postgres',
		"CALL outflow.export('t', 'file://$export/$name', part_size => '8kB', base => 1)");
	sql($server, "COPY (SELECT * FROM t) TO '$export/$name.copy' CSV");
	is( join('', map { slurp_file("$export/$name/$_") } grep { /^part/ } files_below("$export/$name")),
		slurp_file("$export/$name.copy"), "an export with a common base is exact: $name");
	cmp_ok(sql($server, 'SELECT parts_carried FROM outflow.jobs WHERE job = 2'), '>', 0, 'and carries parts');
}

# what the one exports now, the other doesn't know, unless rows of the job
# tables are sent over, as a publication of all tables does
sql($node, "CALL outflow.export('t', 'file://$export/mine', part_size => '8kB')");
my $job = sql($node, 'SELECT max(job) FROM outflow.jobs');
my ($ret, $out, $err) = $clone->psql('postgres',
	"CALL outflow.export('t', 'file://$export/theirs', base => $job)");
like($err, qr/export job $job does not exist/, 'jobs of the other are unknown');
foreach my $table ('job', 'source', 'part')
{
	sql($node, "COPY outflow.$table TO '$export/$table.rows'");
	sql($clone, "DELETE FROM outflow.$table", "COPY outflow.$table FROM '$export/$table.rows'");
}
sql($clone, q{SELECT setval(pg_get_serial_sequence('outflow.job', 'job'), 100)});
sql($clone, 'SELECT pg_current_xact_id()') for 1 .. 20;
$clone->psql('postgres', "CALL outflow.export('t', 'file://$export/theirs', part_size => '8kB', base => $job)",
	stderr => \$err);
sql($clone, "COPY (SELECT * FROM t) TO '$export/theirs.copy' CSV");
is( join('', map { slurp_file("$export/theirs/$_") } grep { /^part/ } files_below("$export/theirs")),
	slurp_file("$export/theirs.copy"), 'and when their rows are sent over, their stamps are not trusted');
like($err, qr/ 0 parts carried over, .* the part was not stamped by this cluster/s, 'which it says');

done_testing();
