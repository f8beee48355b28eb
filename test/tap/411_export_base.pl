# Promise: an export with a base is complete by itself and exact, exports only
# what was changed, and says why it exports more.
use strict;
use warnings;

use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('base', conf => "autovacuum = off\n");
my $export = new_export_dir();
my $last = 0;

# export(TABLE, BASE, ARGUMENTS): job, and what it says
sub export
{
	my ($table, $base, $arguments) = @_;
	my $name = 'e' . ++$last;
	my ($out, $err);

	$arguments = $arguments ? ", $arguments" : '';
	$arguments .= ", base => $base" if defined $base;
	$node->psql('postgres',
		"SET client_min_messages = notice; CALL outflow.export('$table', 'file://$export/$name', part_size => '100kB'$arguments)",
		stdout => \$out, stderr => \$err);
	return ($out, $err, "$export/$name");
}

# counts(JOB): carried, exported again, all
sub counts
{
	my ($job) = @_;

	return $node->safe_psql('postgres',
		"SELECT parts_carried, parts_redone, parts_total FROM outflow.jobs WHERE job = $job");
}

sub content
{
	my ($directory) = @_;

	return join('', map { slurp_file("$directory/$_") } grep { /^part/ } files_below($directory));
}

# is_exact(DIRECTORY, TABLE, NAME): the parts together are what COPY writes
sub is_exact
{
	my ($directory, $table, $name) = @_;

	$node->safe_psql('postgres', "COPY (SELECT * FROM $table) TO '$export/copy' CSV");
	ok(slurp_file("$export/copy") eq content($directory), $name);
	return;
}

$node->safe_psql('postgres', <<'EOC');
SET synchronize_seqscans = off;
CREATE TABLE t (id int, note text) WITH (fillfactor = 90);
INSERT INTO t SELECT i, repeat('x', 90) || i FROM generate_series(1, 10000) i;
EOC

my ($full, undef, $full_dir) = export('t');
my $parts = $node->safe_psql('postgres', "SELECT parts_total FROM outflow.jobs WHERE job = $full");
cmp_ok($parts, '>', 8, 'there are several parts');

# nothing changed
my ($same, $notice, $same_dir) = export('t', $full);
is(counts($same), "$parts|0|$parts", 'all parts of an unchanged table are carried');
like($notice, qr/export job \d+: $parts parts carried over, 0 exported again/, 'and it says so');
is_exact($same_dir, 't', 'and it is exact');
is((stat("$same_dir/part-000003.csv"))[3], 2, 'carried files are hard links');
is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($same)"),
	'ok', 'and stand verification');

# a base on another file system, as far as this machine has one
SKIP:
{
	my $far = -d '/dev/shm' ? File::Temp::tempdir('outflow_export_XXXXXX', DIR => '/dev/shm', CLEANUP => 1) : $export;

	skip 'there is one file system', 5 if (stat($far))[0] == (stat($export))[0];
	my $base = $node->safe_psql('postgres', <<"EOC");
CALL outflow.export('t', 'file://$far/t', part_size => '100kB');
SELECT max(job) FROM outflow.jobs;
EOC
	$base =~ s/.*\n//s;
	my ($copied, undef, $copied_dir) = export('t', $base);
	is(counts($copied), "$parts|0|$parts", 'parts are carried from another file system');
	is_exact($copied_dir, 't', 'as copies that are exact');
	is((stat("$copied_dir/part-000003.csv"))[3], 1, 'of which each is its own file');
	is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($copied)"),
		'ok', 'they stand verification');
	unlink "$far/t/part-000003.csv";
	my ($partly) = export('t', $base);
	is(counts($partly), ($parts - 1) . "|1|$parts", 'one that is gone there is exported again');
}

# a row here and there, and new ones at the end
$node->safe_psql('postgres', <<'EOC');
UPDATE t SET note = 'changed' WHERE id = 1;
DELETE FROM t WHERE id = 5000;
INSERT INTO t SELECT i, repeat('y', 90) FROM generate_series(10001, 12000) i;
EOC
my ($increment, undef, $increment_dir);
($increment, $notice, $increment_dir) = export('t', $same);
like(counts($increment), qr/^@{[$parts - 3]}\|3\|/, 'what was changed is exported again, the rest carried');
like($notice, qr/because: rows were changed \(3\)/, 'and it says why');
is_exact($increment_dir, 't', 'and it is exact');

# the base may go
PostgreSQL::Test::Utils::run_log([ 'rm', '-rf', $full_dir, $same_dir ]);
$node->safe_psql('postgres', "SELECT outflow.forget($full), outflow.forget($same)");
is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($increment)"),
	'ok', 'it needs its base no more');

# vacuum and freezing move pages, not rows
$node->safe_psql('postgres', 'VACUUM (FREEZE) t');
my ($frozen, undef, $frozen_dir) = export('t', $increment);
my $all = $node->safe_psql('postgres', "SELECT parts_total FROM outflow.jobs WHERE job = $frozen");
is(counts($frozen), "$all|0|$all", 'freezing all rows costs nothing');
is_exact($frozen_dir, 't', 'and it is exact');

# files that are not what they were
append_to_file("$frozen_dir/part-000002.csv", 'more');
unlink("$frozen_dir/part-000004.csv");
my ($repaired, undef, $repaired_dir);
($repaired, $notice, $repaired_dir) = export('t', $frozen);
is(counts($repaired), ($all - 2) . "|2|$all", 'damaged and missing files are exported again');
like($notice, qr/its file is missing or was changed \(2\)/, 'and it says why');
is_exact($repaired_dir, 't', 'and it is exact');

# other output
my $job;
($job, $notice) = export('t', $repaired, "options => '{\"header\": true}'");
like(counts($job), qr/^0\|$all\|/, 'with other options all is exported again');
like($notice, qr/the definition of the output was changed/, 'and it says why');

# a rewrite, an emptied table, a redefined one
my %changes = (
	'VACUUM FULL t' => 'the table was rewritten',
	'CLUSTER t USING t_id' => 'the table was rewritten',
	'ALTER TABLE t ADD COLUMN extra int DEFAULT 7' => 'the definition of the output was changed',
	'ALTER TABLE t RENAME note TO remark' => 'the definition of the output was changed',
	'ALTER TABLE t ALTER id TYPE bigint' => 'the table was rewritten',
	'ALTER TABLE t SET UNLOGGED; ALTER TABLE t SET LOGGED' => 'the table was rewritten');
$node->safe_psql('postgres', 'CREATE INDEX t_id ON t (id)');
my $base = $repaired;
foreach my $change (sort keys %changes)
{
	my $directory;
	($base) = export('t');
	$node->safe_psql('postgres', $change);
	($job, $notice, $directory) = export('t', $base);
	like(counts($job), qr/^0\|/, "after $change all is exported again");
	like($notice, qr/$changes{$change}/, 'and it says why');
	is_exact($directory, 't', 'and it is exact');
}
($base) = export('t');
$node->safe_psql('postgres', 'TRUNCATE t');
my ($empty, undef, $empty_dir) = export('t', $base);
is(content($empty_dir), '', 'an emptied table gives an empty export');
($job) = export('t', $empty);
is(counts($job), '1|0|1', 'which can be carried, too');

# partitions come and go
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE p (id int, note text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (1001);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1001) TO (2001);
CREATE TABLE p3 (note text, id int);
INSERT INTO p3 SELECT repeat('z', 100), i FROM generate_series(2001, 3000) i;
INSERT INTO p SELECT i, repeat('p', 100) FROM generate_series(1, 2000) i;
EOC
my ($p_base) = export('p');
$node->safe_psql('postgres', <<'EOC');
ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (2001) TO (3001);
ALTER TABLE p DETACH PARTITION p1;
EOC
my ($p_job, undef, $p_dir) = export('p', $p_base);
is(counts($p_job) =~ s/\|\d+$//r,
	$node->safe_psql('postgres', "SELECT count(*) FROM outflow.parts WHERE job = $p_base AND relation = 'public.p2'") . '|0',
	'the partition that stayed is carried');
is( join("\n", sort(split(/\n/, content($p_dir)))),
	join("\n", sort(split(/\n/, $node->safe_psql('postgres', 'COPY (SELECT * FROM p) TO STDOUT CSV')))),
	'and the export is exact');

# what may not be carried at all
$node->safe_psql('postgres', "CREATE TABLE r AS SELECT 'pg_class'::regclass AS c FROM generate_series(1, 10)");
my ($r_base) = export('r');
($job, $notice) = export('r', $r_base);
is(counts($job), '0|1|1', 'columns whose text depends on catalogs are never carried');
like($notice, qr/values of type regclass depend on catalogs/, 'and it says why');

$node->safe_psql('postgres', <<'EOC');
INSERT INTO t SELECT i, repeat('w', 90) FROM generate_series(1, 20000) i;
EOC

# rows of the job tables that came from elsewhere, as by replication
($base) = export('t');
$node->safe_psql('postgres', 'UPDATE outflow.part SET stamp = stamp WHERE part < 3');
($job, $notice) = export('t', $base);
like($notice, qr/the part was not stamped by this cluster \(3\)/,
	'stamps that the extension has not written itself are not trusted');

# without workers
($base) = export('t');
$node->safe_psql('postgres', "UPDATE t SET remark = 'u' WHERE id % 100 = 0");
(undef, undef, my $inline_dir) = export('t', $base, 'workers => 0');
is_exact($inline_dir, 't', 'an export in one transaction can have a base, too');

# references: the files stay where they are
($base, undef, my $far_dir) = export('t');
$node->safe_psql('postgres', "UPDATE t SET remark = 'r' WHERE id = 1");
my ($near, undef, $near_dir) = export('t', $base, q{options => '{"carry": "reference"}'});
my $total = $node->safe_psql('postgres', "SELECT parts_total FROM outflow.jobs WHERE job = $near");
like(counts($near), qr/^\d+\|[1-9]\d*\|$total$/, 'parts are carried by reference');

# manifest_content(DIRECTORY): the files together, by the manifest's rule
sub manifest_content
{
	my ($directory) = @_;
	my $manifest = JSON::PP::decode_json(slurp_file("$directory/_manifest.json"));

	return join('', map { slurp_file($_->{file} =~ m{^/} ? $_->{file} : "$directory/$_->{file}") } @{ $manifest->{parts} });
}

sub is_exact_by_manifest
{
	my ($directory, $name) = @_;

	$node->safe_psql('postgres', "COPY (SELECT * FROM t) TO '$export/copy' CSV");
	ok(slurp_file("$export/copy") eq manifest_content($directory), $name);
	return;
}

# verdicts(JOB): what verify() finds that is not well
sub verdicts
{
	my ($of) = @_;

	return $node->safe_psql('postgres',
		"SELECT string_agg(file || ' ' || status, ', ' ORDER BY file) FROM outflow.verify($of) WHERE status <> 'ok'");
}
is_exact_by_manifest($near_dir, 'the manifest names them by their absolute paths');
is(scalar(grep { /^part/ } files_below($near_dir)),
	$node->safe_psql('postgres', "SELECT parts_total - parts_carried FROM outflow.jobs WHERE job = $near"),
	'only what was changed lies in the new directory');
is((stat("$far_dir/part-000003.csv"))[3], 1, 'no link is made');
is(verdicts($near), '', 'they stand verification');
is($node->safe_psql('postgres', "SELECT file FROM outflow.parts WHERE job = $near AND file LIKE '/%' AND part = 3"),
	"$far_dir/part-000003.csv", 'and are told with their paths');

# a base that refers itself, and one whose record is gone
$node->safe_psql('postgres', "SELECT outflow.forget($base)");
is(verdicts($near), '', 'forget() of the older job leaves its files alone');
my ($third, undef, $third_dir) = export('t', $near, q{options => '{"carry": "reference"}'});
is(counts($third), "$total|0|$total", 'references can be carried');
is_exact_by_manifest($third_dir, 'and name the first place');
is(verdicts($third), '', 'and stand verification');
my ($whole, undef, $whole_dir) = export('t', $third);
is_exact($whole_dir, 't', 'without the option links make an export complete by itself');
is(verdicts($whole), '', 'and it stands verification');

# files that it refers to can be lost
append_to_file("$far_dir/part-000003.csv", 'x');
unlink("$far_dir/part-000004.csv");
like(verdicts($third), qr{^\Q$far_dir\E/part-000003.csv wrong size, \Q$far_dir\E/part-000004.csv missing$},
	'verify() reads what is referred to');
my ($mended, undef, $mended_dir) = export('t', $third, q{options => '{"carry": "reference"}'});
is(counts($mended), ($total - 2) . "|2|$total", 'what was lost is exported again');
is_exact_by_manifest($mended_dir, 'and the export is exact');

# an export in one transaction, and one over its own base
my ($one, undef, $one_dir) = export('t', $mended, q{workers => 0, options => '{"carry": "reference"}'});
is(counts($one), "$total|0|$total", 'workers => 0 refers, too');
is_exact_by_manifest($one_dir, 'and is exact');
# while another export refers to it, it is not replaced
my (undef, undef, $refused) = $node->psql('postgres',
	"CALL outflow.export('t', 'file://$mended_dir', base => $mended, options => '{\"overwrite\": true}')");
like($refused, qr/holds files of export job $one\b/, 'what is referred to is not replaced');
$node->safe_psql('postgres', "SELECT outflow.forget($one)");
$base = my $own = $node->safe_psql('postgres',
	"CALL outflow.export('t', 'file://$mended_dir', part_size => '100kB', base => $mended, options => '{\"carry\": \"reference\", \"overwrite\": true}')");
is_exact_by_manifest($mended_dir, 'an export that replaces its base keeps the files that lie there');
is(verdicts($own), '', 'and stands verification');

# interrupted with references, then resumed
$node->safe_psql('postgres', "LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '50kB'; UPDATE t SET remark = 's'");
$node->reload;
my $resumed = $node->safe_psql('postgres',
	"SELECT outflow.export_start('p', 'file://$export/p_first', part_size => '16kB')");
$node->safe_psql('postgres', 'ALTER SYSTEM RESET outflow.rate_limit');
$node->reload;
$node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = $resumed");
$node->safe_psql('postgres', "ALTER SYSTEM SET outflow.rate_limit = '20kB'; UPDATE p SET note = note WHERE id > 2500");
$node->reload;
my $again = $node->safe_psql('postgres',
	"SELECT outflow.export_start('p', 'file://$export/p_again', part_size => '16kB', workers => 1, base => $resumed, options => '{\"carry\": \"reference\"}')");
$node->poll_query_until('postgres', "SELECT parts_carried > 3 FROM outflow.jobs WHERE job = $again");
$node->safe_psql('postgres', "SELECT outflow.cancel($again)");
$node->poll_query_until('postgres', "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $again");
$node->safe_psql('postgres', 'ALTER SYSTEM RESET outflow.rate_limit');
$node->reload;
$node->safe_psql('postgres', "CALL outflow.resume($again)");
is(join("\n", sort(split(/\n/, manifest_content("$export/p_again")))),
	join("\n", sort(split(/\n/, $node->safe_psql('postgres', 'COPY (SELECT * FROM p) TO STDOUT CSV')))),
	'a resumed export keeps its references');
is(verdicts($again), '', 'and stands verification');

# who may
$node->safe_psql('postgres',
	'CREATE ROLE other LOGIN; GRANT pg_write_server_files TO other; GRANT SELECT ON t TO other');
my $other_err;
$node->psql('postgres',
	"CALL outflow.export('t', 'file://$export/other', base => $base)",
	stderr => \$other_err, extra_params => [ '-U', 'other' ]);
like($other_err, qr/permission denied for export job $base/, 'another role\'s job is no base');
$node->psql('postgres', "CALL outflow.export('t', 'file://$export/other', base => 999)", stderr => \$other_err);
like($other_err, qr/export job 999 does not exist/, 'and one must exist');

# a base that is forgotten while the job waits for older transactions, to make its slot
($base) = export('t');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; SELECT pg_current_xact_id()');
my $waiting = $node->safe_psql('postgres', "SELECT outflow.export_start('t', 'file://$export/forgotten', part_size => '100kB', slot => 'forgotten', base => $base)");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'") or die;
$node->safe_psql('postgres', "SELECT outflow.forget($base)");
$locker->query_safe('COMMIT');
$locker->quit;
$node->poll_query_until('postgres', "SELECT state <> 'running' FROM outflow.jobs WHERE job = $waiting") or die;
is($node->safe_psql('postgres', "SELECT state, parts_carried, error FROM outflow.jobs WHERE job = $waiting"),
	'done|0|', 'a base that is forgotten in mid-job: all of it is exported anew');
is_exact("$export/forgotten", 't', 'a base that is forgotten in mid-job');

done_testing();
