# Promise: what an extension forbids where the executor checks rights, as
# label-based security does, no export reads: not a table, not a partition, not
# a column, not for a filter, not when the answer changes while a job runs.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $module = "$FindBin::RealBin/../modules/reads/deny_reads";
my $node = new_outflow_node('labels', conf => <<"EOC");
shared_preload_libraries = '$module'
outflow.retries = 0
EOC
my $exports = 0;

$node->safe_psql('postgres', <<'EOS');
CREATE TABLE t AS SELECT i, 's'::text AS secret, repeat('x', 100) AS x
	FROM generate_series(1, 4000) AS i;
CREATE TABLE root (id int, secret text) PARTITION BY LIST (id);
CREATE TABLE leaf (gone int, secret text, id int);
ALTER TABLE leaf DROP gone;
ALTER TABLE root ATTACH PARTITION leaf DEFAULT;
INSERT INTO root VALUES (1, 's');
EOS

sub deny
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET deny_reads.what = '$_[0]'");
	$node->reload;
	wait_until($node, "SELECT current_setting('deny_reads.what') = '$_[0]'", 'the setting');
	return;
}

# exported(ARGUMENTS): what an export says
sub exported
{
	my ($arguments) = @_;
	my $place = "$dir/" . ++$exports;
	my ($table, $rest) = split(/, /, $arguments, 2);
	my ($status, $stdout, $stderr) = $node->psql('postgres',
		"CALL outflow.export($table, 'file://$place', $rest)");

	return $stderr;
}

foreach my $way ('workers => 0', 'workers => 2')
{
	my $forbidden = sub { return qr/label forbids to read \Q$_[0]\E/ };

	deny('t.secret');
	like(exported("'t', $way"), $forbidden->('t.secret'), "a column, $way");
	is(exported("'t', columns => '{i,x}', $way"), '', '... but not the others');
	like(exported("'t', columns => '{i}', filter => 'secret = ''s''', $way"),
		$forbidden->('t.secret'), '... for a filter');
	deny('root.secret');
	like(exported("'root', $way"), $forbidden->('root.secret'), '... of a partitioned table');
	deny('leaf.secret');
	like(exported("'root', $way"), $forbidden->('leaf.secret'), '... of its partition');
	is(exported("'root', columns => '{id}', $way"), '', '... whose other columns may be read');
	deny('');
}

# the answer changes between two parts
hold_exports($node, 1);
my $job = $node->safe_psql('postgres',
	"SELECT outflow.export_start('t', 'file://$dir/changed', part_size => '128kB', workers => 1)");
wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory'
	AND objid = 4711 AND NOT granted}, 'the job is held');
deny('t.secret');
release_exports($node);
$node->safe_psql('postgres', 'DROP TRIGGER hold ON outflow.part');
wait_until($node, "SELECT state = 'failed' FROM outflow.jobs WHERE job = $job", 'the job has failed');
like($node->safe_psql('postgres', "SELECT error FROM outflow.jobs WHERE job = $job"),
	qr/label forbids to read t\.secret/, 'between two parts');
my ($status, $stdout, $stderr) = $node->psql('postgres', "CALL outflow.resume($job)");
like($stderr, qr/label forbids to read t\.secret/, '... and when it is resumed');
deny('');
$node->safe_psql('postgres', "CALL outflow.resume($job)");
is($node->safe_psql('postgres', "SELECT rows FROM outflow.jobs WHERE job = $job"), 4000,
	'... until it may');
$node->stop;
done_testing();
