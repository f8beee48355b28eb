# Promise: a job reads as its owner, whatever the settings of the role or the
# database say, and only as long as the owner may: rights that are taken away
# while it runs end it before the next part or before its publication.  A job
# that can't start for its owner's sake stands in nobody's way.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $node = new_outflow_node('owner', conf => "outflow.retries = 0\n");
my $exports = 0;

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE manager;
CREATE ROLE alice LOGIN IN ROLE pg_write_server_files, manager;
CREATE ROLE bob LOGIN IN ROLE pg_write_server_files;
CREATE TABLE policed AS
	SELECT i, CASE WHEN i % 2 = 0 THEN 'alice' ELSE 'manager' END AS whose
	FROM generate_series(1, 10) AS i;
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON policed USING (whose = current_user);
GRANT SELECT ON policed TO alice, manager;
CREATE TABLE t AS SELECT i, repeat('x', 100) AS x FROM generate_series(1, 4000) AS i;
GRANT SELECT ON t TO PUBLIC;
EOS

# as_alice(SQL): in a session of a superuser's that has become alice
sub as_alice
{
	my ($sql) = @_;

	my ($status, $stdout, $stderr) = $node->psql('postgres',
		"SET SESSION AUTHORIZATION alice; $sql");
	return ($stdout, $stderr);
}

# exported(OPTIONS): whose rows of the table are exported by a job of alice's
sub exported
{
	my ($workers) = @_;
	my $place = "$dir/" . ++$exports;
	my ($stdout, $stderr) = as_alice("CALL outflow.export('policed', 'file://$place',"
		  . qq{ workers => $workers, options => '{"row_security": true}')});

	return $stderr if $stderr =~ /ERROR/;
	return join(',', sort map { (split /[,\n]/)[1] }
		  slurp_file("$place/part-000000.csv") =~ /^(.*)\n/mg);
}

my $own = join(',', ('alice') x 5);
is(exported($_), $own, "alice's rows, workers => $_") foreach (0, 2);
foreach my $setting ('ALTER ROLE alice SET role = manager',
	'ALTER DATABASE postgres SET role = manager',
	'ALTER ROLE alice IN DATABASE postgres SET role = manager',
	'ALTER ROLE alice SET session_authorization = manager',
	'ALTER DATABASE postgres SET session_authorization = manager',
	'ALTER ROLE alice SET row_security = on', 'ALTER ROLE alice SET exit_on_error = on',
	'ALTER ROLE alice SET default_transaction_read_only = on',
	'ALTER ROLE alice SET search_path = pg_temp, public',
	'ALTER ROLE alice SET standard_conforming_strings = off')
{
	# of old servers only
	next if $node->psql('template1', $setting);
	is(exported(2), $own, "her rows after $setting");
	# from a database that has no such settings
	$node->safe_psql('template1', $setting =~ s/SET.*/RESET ALL/r);
}

# a filter means what it meant in the session, whatever a string is elsewhere
$node->safe_psql('postgres', q{CREATE TABLE slashes AS VALUES ('a\b'), ('a\\\\b');
	GRANT SELECT ON slashes TO alice});
foreach my $setting ('off', 'on')
{
	my $place = "$dir/slashes_$setting";
	my ($stdout, $stderr) = as_alice("SET standard_conforming_strings = $setting;"
		  . ($setting eq 'off'
			? qq{ CALL outflow.export('slashes', 'file://$place', filter => \$\$column1 = 'a\\\\b'\$\$);}
			: qq{ CALL outflow.export('slashes', 'file://$place', filter => \$\$column1 = 'a\\b'\$\$);}));

	# from 19 on there are no others
	next if $stderr =~ /standard_conforming_strings|non-standard string literals/;
	is(slurp_file("$place/part-000000.csv"), "a\\b\n",
		"a filter with standard_conforming_strings = $setting");
}

# start(ROLE): a job of four parts and one worker; its number
sub start
{
	my ($role) = @_;

	$exports++;
	return $node->safe_psql('postgres', "SET SESSION AUTHORIZATION $role;"
		  . " SELECT outflow.export_start('t', 'file://$dir/$exports',"
		  . " part_size => '128kB', workers => 1)");
}

sub wait_for_state
{
	my ($job, $state) = @_;

	wait_until($node,
		"SELECT state = '$state' FROM outflow.jobs WHERE job = $job", "job $job $state");
	return;
}

my $held = q{SELECT count(*) > 0 FROM pg_locks
	WHERE locktype = 'advisory' AND objid IN (4711, 4712) AND NOT granted};

# taken away, given back, and what the job says of it
my @losses = (
	[ 'REVOKE pg_write_server_files FROM alice', 'GRANT pg_write_server_files TO alice',
		qr/permission denied to export to files/ ],
	[ 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC',
		'GRANT CONNECT ON DATABASE postgres TO PUBLIC',
		qr/permission denied for role "alice" to connect/ ],
	[ 'ALTER ROLE alice NOLOGIN', 'ALTER ROLE alice LOGIN',
		qr/role "alice" is not permitted to log in/ ],
	[ 'REVOKE SELECT ON t FROM PUBLIC', 'GRANT SELECT ON t TO PUBLIC',
		qr/permission denied for table t/ ],
	[ 'REVOKE SELECT ON t FROM PUBLIC; GRANT SELECT (i) ON t TO PUBLIC',
		'REVOKE SELECT (i) ON t FROM PUBLIC; GRANT SELECT ON t TO PUBLIC',
		qr/permission denied for table t/ ],
	# it waits for what reads the table
	[ 'ALTER TABLE t ENABLE ROW LEVEL SECURITY', 'ALTER TABLE t DISABLE ROW LEVEL SECURITY',
		qr/row-level security hides rows of "t" from role "alice"/, 'only before publication' ]);

foreach my $loss (@losses)
{
	my ($take, $give, $reason, $only_publication) = @$loss;

	foreach my $hold (\&hold_exports, \&hold_publications)
	{
		next if $only_publication && $hold == \&hold_exports;
		$hold == \&hold_exports ? hold_exports($node, 1) : hold_publications($node);
		my $job = start('alice');
		my $place = "$dir/$exports";

		wait_until($node, $held, 'the job is held');
		$node->safe_psql('postgres', $take);
		release_exports($node);
		$node->safe_psql('postgres', 'DROP TRIGGER hold ON outflow.'
			  . ($hold == \&hold_exports ? 'part' : 'job'));
		wait_for_state($job, 'failed');
		like($node->safe_psql('postgres', "SELECT error FROM outflow.jobs WHERE job = $job"),
			$reason, "$take, in mid-job");
		is(join(',', grep { !m{^\.outflow-} } files_below($place)), '',
			'... nothing is published');
		# which may be all that is left to do
		my ($stdout, $stderr) = as_alice("CALL outflow.resume($job)");
		like($stderr, $reason, '... nor by resuming it') unless $take =~ /CONNECT|NOLOGIN/;
		$node->safe_psql('postgres', $give);
		($stdout, $stderr) = as_alice("CALL outflow.resume($job)");
		is($node->safe_psql('postgres',
				"SELECT state, rows FROM outflow.jobs WHERE job = $job"),
			'done|4000', '... and it goes on when the right is back');
	}
}

# the same in the session itself: the transaction sees what others commit, and the
# last part's end is followed by the publication
foreach my $case ([ 1, @{ $losses[0] } ], [ 3, @{ $losses[3] } ], [ 3, @{ $losses[4] } ])
{
	my ($part, $take, $give, $reason) = @$case;

	hold_exports($node, $part);
	my $inline = $node->background_psql('postgres', on_error_stop => 0,
		extra_params => [ '-U', 'alice' ]);
	$inline->query_until(qr/begun/, "\\echo begun\n"
		  . "CALL outflow.export('t', 'file://$dir/inline', part_size => '128kB', workers => 0);\n");
	wait_until($node, $held, 'the session is held');
	$node->safe_psql('postgres', $take);
	release_exports($node);
	$node->safe_psql('postgres', 'DROP TRIGGER hold ON outflow.part');
	$inline->quit;
	like($inline->{stderr}, $reason, "a session in part $part: $take");
	is_deeply([ files_below("$dir/inline") ], [], '... which leaves nothing');
	$node->safe_psql('postgres', $give);
}

# published(CALL, SQL): the error, or nothing, of a job whose last part is read when
# the SQL is done
sub published
{
	my ($call, $sql) = @_;

	hold_publications($node);
	my ($session, $said) = do { local $ENV{PGUSER} = 'alice'; start_psql($node, $call) };
	wait_until($node, $held, 'the job is held');
	$node->safe_psql('postgres', $sql);
	release_exports($node);
	$session->finish;
	$node->safe_psql('postgres', 'DROP TRIGGER hold ON outflow.job');
	return $$said =~ /ERROR: .*/ ? $& : '';
}

# a lake table's version, many tables, columns by name
$node->safe_psql('postgres', 'CREATE TABLE d AS TABLE t; GRANT SELECT (i, x) ON d TO alice');
my %calls = (
	delta => "CALL outflow.export('d', 'file://$dir/delta', format => 'delta')",
	tables => "CALL outflow.export_tables('{t,d}', 'file://$dir/tables')",
	columns => "CALL outflow.export('d', 'file://$dir/columns', columns => '{x}')");
foreach my $name ('delta', 'tables', 'columns')
{
	like(published($calls{$name}, 'REVOKE SELECT (x) ON d FROM alice'),
		qr/permission denied for table d/, "$name: a column's right is taken away before publication");
	is(join(',', grep { !m{\.outflow-|/$} } files_below("$dir/$name")), '', '... nothing is published');
	$node->safe_psql('postgres', 'GRANT SELECT (x) ON d TO alice');
}

# under another name a column has the rights that it had
like(published("CALL outflow.export('d', 'file://$dir/renamed', columns => '{x}')",
		'ALTER TABLE d RENAME x TO y; REVOKE SELECT (y) ON d FROM alice'),
	qr/permission denied for table d/, 'a column is renamed, and its right is taken away');
# what is gone nobody else has any more
$node->safe_psql('postgres', 'GRANT SELECT ON d TO alice');
is(published("CALL outflow.export('d', 'file://$dir/less', columns => '{y}')", 'ALTER TABLE d DROP y'),
	'', 'a column is dropped before publication');
is(published("CALL outflow.export('d', 'file://$dir/last')", 'DROP TABLE d'),
	'', 'a table is dropped before publication');
is(() = slurp_file("$dir/last/part-000000.csv") =~ /\n/g, 4000, '... and has all its rows there');

# a query has the rights that it began with
is(published("CALL outflow.export_query('SELECT i FROM t', 'file://$dir/query')", $losses[3][0]),
	'', 'a right that a query had is taken away');
$node->safe_psql('postgres', $losses[3][1]);

# an owner that is gone
$node->safe_psql('postgres', 'CREATE ROLE gone LOGIN IN ROLE pg_write_server_files');
hold_exports($node, 1);
my $orphan = start('gone');
wait_until($node, $held, 'the job is held');
$node->safe_psql('postgres', 'DROP ROLE gone');
release_exports($node);
$node->safe_psql('postgres', 'DROP TRIGGER hold ON outflow.part');
wait_for_state($orphan, 'failed');
like($node->safe_psql('postgres', "SELECT error FROM outflow.jobs WHERE job = $orphan"),
	qr/the job's owner does not exist any more/, 'a dropped owner');
is($node->safe_psql('postgres', "SELECT outflow.forget($orphan)"), '', '... is forgotten');

# the queue: one runs at a time, the next can't start, the one after it can
$node->append_conf('postgresql.conf', 'outflow.max_jobs = 1');
$node->reload;
my $session = $node->background_psql('postgres', extra_params => [ '-U', 'alice' ]);
foreach my $loss ($losses[1], $losses[2])
{
	my ($take, $give) = @$loss;

	hold_publications($node);
	my $running = start('postgres');
	wait_until($node, $held, 'the job is held');
	my $first = start('alice');
	my $second = start('bob');
	$node->safe_psql('postgres', "$take; GRANT CONNECT ON DATABASE postgres TO bob");
	is($node->safe_psql('postgres', "SELECT waiting_for FROM outflow.jobs WHERE job = $first"),
		"its owner, who cannot connect", "$take: it is told");
	release_exports($node);
	$node->safe_psql('postgres', 'DROP TRIGGER hold ON outflow.job');
	wait_for_state($running, 'done');
	wait_for_state($second, 'done');
	is($node->safe_psql('postgres', "SELECT state FROM outflow.jobs WHERE job = $first"),
		'queued', '... the next one starts without anybody\'s help');
	# which passes over what was tried a moment ago
	$node->safe_psql('postgres', $give);
	wait_until($node, "SELECT j.state = 'done' FROM (SELECT outflow.run_queue()) AS q"
		  . " CROSS JOIN outflow.jobs AS j WHERE j.job = $first", "job $first");
}

# a job that was stopped before it began keeps what lies beneath its directory from its own role, and not from others
my ($stopped) = as_alice("BEGIN; SELECT outflow.export_start('t', 'file://$dir/above'); SELECT outflow.cancel(max(job)) FROM outflow.jobs; COMMIT");
is($node->safe_psql('postgres', "SELECT state FROM outflow.job WHERE location = '$dir/above'"), 'interrupted', 'a job that was stopped before it began');
my (undef, $said) = as_alice("CALL outflow.export('t', 'file://$dir/above/mine')");
like($said, qr/is in use by export job \d+/, '... keeps its own role from exports beneath its directory');
(undef, undef, $said) = $node->psql('postgres', "SET SESSION AUTHORIZATION bob; CALL outflow.export('t', 'file://$dir/above/his')");
unlike($said, qr/ERROR/, '... and no other role');
(undef, undef, $said) = $node->psql('postgres', "SET SESSION AUTHORIZATION bob; CALL outflow.export('t', 'file://$dir/above')");
like($said, qr/ERROR/, '... but for the very same');

# a limit on connections is one on sessions
$node->safe_psql('postgres', 'ALTER ROLE alice CONNECTION LIMIT 0');
hold_publications($node);
my $running = start('postgres');
wait_until($node, $held, 'the job is held');
my $limited = start('alice');
# which its coordinator finds once it has started
wait_until($node, "SELECT waiting_for ~ 'max_jobs' FROM outflow.jobs WHERE job = $limited",
	'a job of a role at its limit waits for the other one only');
release_exports($node);
$node->safe_psql('postgres', 'DROP TRIGGER hold ON outflow.job');
wait_for_state($limited, 'done');
$session->quit;
$node->stop;
done_testing();
