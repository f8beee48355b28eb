# Promise: an export of a partitioned table has the rows that a query has under
# its snapshot, also while a partition is being detached concurrently, or was left
# halfway.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('partitions', conf => "max_prepared_transactions = 2\n");
my $export = new_export_dir();
my $last = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'EOS');
CREATE TABLE p (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000) PARTITION BY RANGE (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (1000) TO (2000);
INSERT INTO p SELECT g, 'x' FROM generate_series(0, 1999) AS g;
CREATE PUBLICATION pub FOR TABLE p WITH (publish_via_partition_root);
EOS

# exported(TABLE, ARGUMENTS): the lines, sorted
sub exported
{
	my ($table, $arguments) = @_;
	my $directory = "$export/" . ++$last;

	sql("CALL outflow.export('$table', 'file://$directory'" . ($arguments // '') . ')');
	return join("\n", sort split(/\n/, exported_parts($directory)));
}

sub lines_of { return join("\n", sort split(/\n/, sql("COPY (SELECT * FROM $_[0]) TO STDOUT (FORMAT csv)"))); }

my @ways = ('', ", filter => 'id >= 0'", q{, options => '{"row_security": true}'}, ', workers => 0');

sub all_exact
{
	my ($title) = @_;

	is(exported('p', $_), lines_of('p'), "$title$_") foreach @ways;
	return;
}

all_exact('at rest');

# DETACH has committed its first half, and waits for this session before the second
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT count(*) FROM p');
my ($detach, $said) = start_psql($node, 'ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY');
wait_until($node, 'SELECT EXISTS (SELECT FROM pg_inherits WHERE inhdetachpending)', 'a detach that is pending');
is(sql('SELECT count(*) FROM p'), 1000, 'queries pass over the partition');
all_exact('while a partition is detached');
is(exported('p2'), lines_of('p2'), 'and the partition itself can be exported');

# one that is cancelled stays so
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE p DETACH%' AND pid <> pg_backend_pid()");
$detach->finish;
like($$said, qr/canceling statement/, 'the detach is cancelled');
$session->query_safe('COMMIT');
$session->quit;
all_exact('after a detach that was cancelled');
my $base = sql("CALL outflow.export_publication('pub', 'file://$export/base')");
is(sql("SELECT rows FROM outflow.jobs WHERE job = $base"), 1000, 'by a publication, too');

sql('ALTER TABLE p DETACH PARTITION p2 FINALIZE');
all_exact('when it is gone');
sql('ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (1000) TO (2000)');
all_exact('when it is back');

$node->stop;
done_testing();
