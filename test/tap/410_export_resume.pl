# Promise: however often the server dies, resume ends with an exact export of
# one instant, keeps the parts that still hold, and leaves nothing behind.
#
# Writers never stop.  What the export must hold is computed from a history of
# all changes, with the job's final snapshot.
#
# RESUME_KILLS is how many times the server is killed, RESUME_SEED starts the
# random numbers.
use strict;
use warnings;

use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kills = $ENV{RESUME_KILLS} || 3;
my $seed = $ENV{RESUME_SEED} || 4711;

srand($seed);
diag("RESUME_SEED=$seed");

my $node = new_outflow_node('resume', conf => "autovacuum = on\n");
my $export = new_export_dir();

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE orders (id int PRIMARY KEY, n int, note text);
CREATE TABLE history (seq bigserial, id int, xid xid8 DEFAULT pg_current_xact_id(), deleted boolean, n int, note text);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		INSERT INTO history (id, deleted) VALUES (OLD.id, true);
		RETURN OLD;
	END IF;
	INSERT INTO history (id, deleted, n, note) VALUES (NEW.id, false, NEW.n, NEW.note);
	RETURN NEW;
END $$;
CREATE TRIGGER remember AFTER INSERT OR UPDATE OR DELETE ON orders
	FOR EACH ROW EXECUTE FUNCTION remember();
INSERT INTO orders SELECT i, 0, repeat('note ', 20) || i FROM generate_series(1, 150000) i;
CREATE TABLE loaded (LIKE orders);
EOC

# the newest rows and those of one region change, most others never
my $scripts = PostgreSQL::Test::Utils::tempdir();
append_to_file("$scripts/write.sql", <<'EOC');
\set id random(1, 3000)
\set new random(150001, 160000)
BEGIN;
UPDATE orders SET n = n + 1 WHERE id = :id;
DELETE FROM orders WHERE id = :id + 1;
SAVEPOINT a;
UPDATE orders SET note = note || '!' WHERE id = :id + 2;
ROLLBACK TO a;
INSERT INTO orders VALUES (:new, 1, 'new') ON CONFLICT (id) DO UPDATE SET n = orders.n + 1;
END;
\sleep 5 ms
EOC

my $writers;
my $written = '';

sub start_writers
{
	$writers = IPC::Run::start(
		[
			'pgbench', '-n', '-c', '2', '-T', '600', '--max-tries', '10',
			'-f', "$scripts/write.sql", $node->connstr('postgres')
		],
		'<', \undef, '>', \$written, '2>', \$written);
	return;
}

sub stop_writers
{
	$writers->kill_kill;
	return;
}

# run_and_kill(SQL): starts what it says and kills the server within a moment;
# true if the statement ended before that
sub run_and_kill
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$out, '2>', \$err);
	my $enough = int(rand(60)) + 1;

	# in the middle of things, unless it ends before
	$node->poll_query_until('postgres', <<EOC);
SELECT coalesce(bool_or(state IN ('done', 'failed') OR
	(state = 'running' AND parts_done - parts_carried >= $enough)), false) FROM outflow.jobs
EOC
	$node->stop('immediate');
	stop_writers();
	$session->finish;
	$node->start;
	start_writers();
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM outflow.jobs WHERE state = 'done'") > 0;
}

start_writers();

my $options = q{part_size => '100kB', workers => 2, options => '{"null": "\\\\N"}'};
my $killed = 1;
my $done = run_and_kill(
	"CALL outflow.export('orders', 'file://$export/orders', $options)");
while (!$done && $killed < $kills)
{
	$killed++;
	$done = run_and_kill('CALL outflow.resume(1)');
}
$node->safe_psql('postgres', 'CALL outflow.resume(1)') unless $done;

is( $node->safe_psql('postgres', 'SELECT state FROM outflow.jobs'),
	'done', 'the job ends');
stop_writers();

# compare(JOB, DIRECTORY): rows that are missing or too many
sub compare
{
	my ($job, $directory) = @_;

	$node->safe_psql('postgres', 'TRUNCATE loaded');
	foreach my $file (grep { /^part/ } files_below($directory))
	{
		$node->safe_psql('postgres',
			"COPY loaded FROM '$directory/$file' (FORMAT csv, NULL '\\N')");
	}
	return $node->safe_psql('postgres', <<EOC);
WITH expected AS (
	SELECT DISTINCT ON (h.id) h.id, h.n, h.note, h.deleted FROM history h
	WHERE pg_visible_in_snapshot(h.xid, (SELECT snapshot::pg_snapshot FROM outflow.jobs WHERE job = $job))
	ORDER BY h.id, h.seq DESC
), rows AS (SELECT id, n, note FROM expected WHERE NOT deleted)
SELECT (SELECT count(*) FROM (SELECT * FROM rows EXCEPT ALL SELECT * FROM loaded) a) || ' missing, '
	|| (SELECT count(*) FROM (SELECT * FROM loaded EXCEPT ALL SELECT * FROM rows) b) || ' too many, '
	|| (SELECT count(*) > 140000 FROM loaded)
EOC
}

is(compare(1, "$export/orders"), '0 missing, 0 too many, true',
	'the export is that of the job\'s last snapshot');
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM outflow.verify(1) WHERE status <> 'ok'"),
	'0', 'all files are as they were written');
is_deeply([ grep { !/^(part-\d+\.csv|_manifest\.json|_SUCCESS)$/ } files_below("$export/orders") ],
	[], 'nothing is left over');

my ($carried, $redone, $total) = split(/\|/,
	$node->safe_psql('postgres', 'SELECT parts_carried, parts_redone, parts_total FROM outflow.jobs WHERE job = 1'));
diag("$killed kills; of $total parts $carried carried, $redone exported again");

# where nobody writes, nothing is exported twice
$node->safe_psql('postgres',
	'CREATE TABLE quiet AS SELECT i, repeat(md5(i::text), 3) AS note FROM generate_series(1, 300000) i; VACUUM quiet');
start_writers();
hold_exports($node, 8);
my ($out, $err) = ('', '');
my $session = IPC::Run::start(
	[
		'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
		"CALL outflow.export('quiet', 'file://$export/quiet', part_size => '100kB')"
	],
	'<', \undef, '>', \$out, '2>', \$err);
$node->poll_query_until('postgres',
	"SELECT parts_done > 5 FROM outflow.jobs WHERE source = 'public.quiet'");
$node->stop('immediate');
stop_writers();
$session->finish;
$node->start;
release_exports($node);

my $before = $node->safe_psql('postgres', "SELECT parts_done FROM outflow.jobs WHERE source = 'public.quiet'");
my $job = $node->safe_psql('postgres', "SELECT job FROM outflow.jobs WHERE source = 'public.quiet'");
my %inodes = map { (stat("$export/quiet/$_"))[1] => 1 } files_below("$export/quiet");

cmp_ok($before, '>', 5, 'some parts were finished when the server died');
$node->safe_psql('postgres', "CALL outflow.resume($job)");
is( $node->safe_psql('postgres',
		"SELECT state, parts_carried = $before, parts_redone FROM outflow.jobs WHERE job = $job"),
	'done|t|0', 'all of them are carried over, none is exported again');
cmp_ok(scalar(grep { $inodes{ (stat("$export/quiet/$_"))[1] } } files_below("$export/quiet")),
	'>=', $before, 'by keeping their files');
$node->safe_psql('postgres', "COPY quiet TO '$export/quiet.csv' CSV");
is( slurp_file("$export/quiet.csv"),
	join('', map { slurp_file("$export/quiet/$_") } grep { /^part/ } files_below("$export/quiet")),
	'together the parts are what COPY writes');

done_testing();
