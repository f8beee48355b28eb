# Promise: one publication defines an export of its tables and the stream that
# goes on from it: together they are the tables, with row filters, column lists
# and partitions under their root, also when workers and the server were killed
# in between, and for a table that joined the publication later.
use strict;
use warnings;

use HandoverTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('publication', conf => "max_prepared_transactions = 10\nautovacuum = off\nrestart_after_crash = on\n");
my $export = new_export_dir();

sub sql
{
	return $node->safe_psql('postgres', join(';', @_));
}

# the tables, and what of each is published; NULL where that is all
my %published = (
	(map { (sprintf('t%02d', $_) => undef) } 1 .. 13),
	by_key => 'SELECT * FROM by_key WHERE id % 3 <> 0',
	by_value => 'SELECT * FROM by_value WHERE n % 2 = 0',
	listed => 'SELECT id, note FROM listed',
	listed_by_key => 'SELECT id, n FROM listed_by_key WHERE id > 500',
	rooted => undef,
	rooted_by_key => 'SELECT id, n, note FROM rooted_by_key WHERE id % 2 = 0',
	unchanged => undef,);
my @tables = sort keys %published;
my @written = grep { $_ ne 'unchanged' } (@tables, 'late');

foreach my $table (@tables, 'late')
{
	my $rooted = $table =~ /^rooted/;

	sql("CREATE TABLE $table (id int PRIMARY KEY, n int, note text, secret text DEFAULT 's')"
		  . ($rooted ? ' PARTITION BY RANGE (id)' : ''));
	sql( "CREATE TABLE ${table}_1 (secret text, gone int, note text, n int, id int NOT NULL)",
		"ALTER TABLE ${table}_1 DROP gone",
		"ALTER TABLE $table ATTACH PARTITION ${table}_1 FOR VALUES FROM (0) TO (700)",
		"CREATE TABLE ${table}_2 PARTITION OF $table FOR VALUES FROM (700) TO (1000000)") if $rooted;
	sql("INSERT INTO $table SELECT i, i % 5, repeat('n', 60) FROM generate_series(1, 1000) i");
}
sql('ALTER TABLE by_value REPLICA IDENTITY FULL');
sql("CREATE PUBLICATION shop FOR TABLE " . join(', ', map { sprintf('t%02d', $_) } 1 .. 13)
	  . ', unchanged, rooted, rooted_by_key (id, n, note) WHERE (id % 2 = 0), by_key WHERE (id % 3 <> 0), by_value WHERE (n % 2 = 0)'
	  . ', listed (id, note), listed_by_key (id, n) WHERE (id > 500) WITH (publish_via_partition_root)');
sql( <<EOC);
CREATE FUNCTION write(which int, key int, what int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	target name := ('{@{[join(',', @written)]}}'::name[])[1 + which % @{[scalar @written]}];
BEGIN
	CASE what
	WHEN 0 THEN EXECUTE format('UPDATE %I SET n = n + 1 WHERE id = \$1', target) USING key;
	WHEN 1 THEN EXECUTE format('DELETE FROM %I WHERE id = \$1', target) USING key;
	ELSE EXECUTE format('INSERT INTO %I VALUES (\$1, 0, ''new'')'
		' ON CONFLICT (id) DO UPDATE SET n = excluded.n + 1, note = ''again''', target) USING key;
	END CASE;
END \$\$;
EOC
make_replica($node);

my $scripts = PostgreSQL::Test::Utils::tempdir();
my $body = join('', map { <<EOC } 1 .. 4);
\\set which random(0, 1000)
\\set key random(1, 1500)
\\set what random(0, 2)
SELECT write(:which, :key, :what);
EOC
append_to_file("$scripts/write.sql", "BEGIN;\n${body}SAVEPOINT a;\n${body}"
	  . "\\if :what\nROLLBACK TO a;\n\\endif\n\\sleep :what ms\nEND;\n");
append_to_file("$scripts/slow.sql", "BEGIN;\n$body\\sleep 200 ms\n${body}END;\n");
append_to_file("$scripts/prepared.sql", "BEGIN;\n${body}PREPARE TRANSACTION 'p:client_id-:key';\n"
	  . "\\sleep 50 ms\nCOMMIT PREPARED 'p:client_id-:key';\n");
my %scripts = ("$scripts/write.sql" => 8, "$scripts/slow.sql" => 1, "$scripts/prepared.sql" => 1);

# is_source(NAME, TABLE...): export and stream together are the source
sub is_source
{
	my ($name, @names) = @_;

	is_deeply({ map { $_ => differences($node, $_, $published{$_}) } @names },
		{ map { $_ => '0 missing, 0 too many' } @names }, $name);
	return;
}

sub load_tables
{
	my ($directory) = @_;

	load_table($node, $_, "$directory/public.$_", $published{$_}) foreach @tables;
	return;
}

sub state
{
	return sql("SELECT state FROM outflow.jobs WHERE job = $_[0]");
}

# while writers write
my $writers = start_writers($node, %scripts);
sql("CALL outflow.export_publication('shop', 'file://$export/a', part_size => '16kB', slot => 'a')");
sql('SELECT pg_sleep(0.5)');
stop_writers($node, $writers);
load_tables("$export/a");
cmp_ok(apply_stream($node, 'a', publication_names => 'shop', after_snapshot => job_snapshot($node, 1)),
	'>', 0, 'changes came after the export');
is_source('export and stream are the publication', @tables);
is(sql('SELECT source, slot FROM outflow.jobs WHERE job = 1'), 'publication shop (20 tables)|a',
	'the job tells what it exports');

# a worker is killed, then the server, and a table is rewritten each time
limit_rate($node, '400kB');
$writers = start_writers($node, %scripts);
my $session = start_call($node,
	"CALL outflow.export_publication('shop', 'file://$export/b', part_size => '8kB', slot => 'b')");
$node->poll_query_until('postgres', 'SELECT parts_done >= 20 FROM outflow.jobs WHERE job = 2');
kill('KILL', sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'outflow worker' LIMIT 1"));
$session->finish;
$writers->kill_kill;
$node->poll_query_until('postgres', 'SELECT 1', '1');
is(state(2), 'interrupted', 'a job whose worker was killed');
roll_back_prepared($node);
sql('VACUUM FULL t01', 'CLUSTER rooted_1 USING rooted_1_pkey');
$writers = start_writers($node, %scripts);
my $before = job_snapshot($node, 2);
$session = start_call($node, 'CALL outflow.resume(2)');
$node->poll_query_until('postgres',
	"SELECT snapshot <> '$before' AND parts_done >= 20 FROM outflow.jobs WHERE job = 2");
$node->stop('immediate');
$writers->kill_kill;
$session->finish;
$node->start;
roll_back_prepared($node);
is(state(2), 'interrupted', 'a job whose server was killed');
sql('TRUNCATE unchanged', 'INSERT INTO unchanged SELECT i FROM generate_series(1, 2000) i');
limit_rate($node);
$writers = start_writers($node, %scripts);
sql('CALL outflow.resume(2)');
sql('SELECT pg_sleep(0.3)');
stop_writers($node, $writers);
is(state(2), 'done', 'it is done in the end');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify(2)"), 'ok', 'its files stand verification');
is_deeply([ grep { !m{^(public\.\w+/(part-\d+\.csv|_manifest\.json)|_manifest\.json|_SUCCESS)$} } files_below("$export/b") ],
	[], 'nothing is left over');
load_tables("$export/b");
apply_stream($node, 'b', publication_names => 'shop', after_snapshot => job_snapshot($node, 2));
is_source('export and stream are the publication, killed and resumed in between', @tables);

# a table that joins the publication later.  The lock ends writers that its
# changes would not be published of.
$writers = start_writers($node, %scripts);
sql("CALL outflow.export_publication('shop', 'file://$export/c', slot => 'c')");
my $first = sql('SELECT max(job) FROM outflow.jobs');
sql('SELECT pg_sleep(0.2)');
$node->safe_psql('postgres', 'BEGIN; LOCK TABLE late IN SHARE MODE; ALTER PUBLICATION shop ADD TABLE late; COMMIT');
sql("CALL outflow.export('late', 'file://$export/late')");
sql('SELECT pg_sleep(0.3)');
stop_writers($node, $writers);
load_tables("$export/c");
load_table($node, 'late', "$export/late");
apply_stream($node, 'c', publication_names => 'shop',
	after_snapshot => job_snapshot($node, $first) . ',public.late=' . job_snapshot($node, $first + 1));
is_source('export and stream are the publication, and the table that joined it', @tables, 'late');

# no writers from here on: a resume and a base keep what is proven, table by table
# is_exact(JOB, DIRECTORY, TABLE...): each folder holds what COPY writes
sub is_exact
{
	my ($job, $directory, @names) = @_;

	load_table($node, $_, "$directory/public.$_", $published{$_}) foreach @names;
	is_source("job $job is exact", @names);
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', "job $job stands verification");
	return;
}

sub call
{
	my ($call) = @_;

	return sql("SET client_min_messages = warning; CALL outflow.$call");
}

my @plain = map { sprintf('t%02d', $_) } 1 .. 6;
my $full = call("export_tables('{@{[join(',', @plain)]},rooted}', 'file://$export/full', part_size => '16kB')");
is(sql("SELECT source FROM outflow.jobs WHERE job = $full"), 'public.t01, public.t02, public.t03 and 4 more',
	'a long list of tables is cut short');
sql('VACUUM FULL t03', 'UPDATE t05 SET n = n + 1 WHERE ctid = (SELECT min(ctid) FROM t05)');
my $next = call("export_tables('{rooted,@{[join(',', reverse @plain)]},t07}', 'file://$export/next', part_size => '16kB', base => $full)");
is( sql("SELECT string_agg(DISTINCT relation, ' ' ORDER BY relation) FROM outflow.parts WHERE job = $next AND attempts > 0"),
	'public.t03 public.t05 public.t07', 'in another order, with a base, only changed and new tables are exported again');
cmp_ok(sql("SELECT parts_carried FROM outflow.jobs WHERE job = $next"), '>', 20, 'and the others are carried');
is_exact($next, "$export/next", @plain, 't07', 'rooted');
my $referring = call("export_tables('{t01,rooted}', 'file://$export/referring', part_size => '16kB', base => $next, options => '{\"carry\": \"reference\"}')");
is_deeply([ grep { /part/ } files_below("$export/referring") ], [], 'parts of many tables can stay where they are');
like(slurp_file("$export/referring/public.t01/_manifest.json"), qr{"file": "\Q$export\E/next/public\.t01/part-\d+\.csv"},
	'and a folder\'s manifest names them there');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($referring)"), 'ok', 'they stand verification');
my $single = call("export('t01', 'file://$export/single', part_size => '16kB', base => $next)");
is(sql("SELECT parts_total - parts_carried FROM outflow.jobs WHERE job = $single"), '0',
	'one table carries from its folder of many');
my $inline = call("export_tables('{t02,t01}', 'file://$export/inline', part_size => '16kB', base => $single, workers => 0)");
is( sql("SELECT string_agg(DISTINCT relation, ' ') FROM outflow.parts WHERE job = $inline AND attempts > 0"),
	'public.t02', 'and many from one');
is_exact($inline, "$export/inline", 't01', 't02');

# cancelled, one table rewritten, resumed
limit_rate($node, '200kB');
$session = start_call($node, "CALL outflow.export_tables('{@{[join(',', @plain)]}}', 'file://$export/d', part_size => '8kB')");
$node->poll_query_until('postgres',
	"SELECT parts_done >= 15 FROM outflow.jobs WHERE destination = 'file://$export/d'");
my $cancelled = sql('SELECT max(job) FROM outflow.jobs');
sql("SELECT outflow.cancel($cancelled)");
$session->finish;
is(state($cancelled), 'interrupted', 'a cancelled job');
limit_rate($node);
sql('VACUUM FULL t01');
call("resume($cancelled)");
is( sql("SELECT string_agg(DISTINCT name, ' ') FROM outflow.part WHERE job = $cancelled AND redone"), 'public.t01',
	 'only parts of the rewritten table are exported again');
cmp_ok(sql("SELECT parts_carried FROM outflow.jobs WHERE job = $cancelled"), '>', 0, 'others are carried');
is_exact($cancelled, "$export/d", @plain);

# forget leaves nothing of a job that never finished
limit_rate($node, '200kB');
$session = start_call($node, "CALL outflow.export_publication('shop', 'file://$export/e', part_size => '8kB', slot => 'e')");
$node->poll_query_until('postgres', "SELECT parts_done > 0 FROM outflow.jobs WHERE slot = 'e'");
my $forgotten = sql('SELECT max(job) FROM outflow.jobs');
sql("SELECT outflow.cancel($forgotten)");
$session->finish;
sql("SELECT outflow.forget($forgotten)");
is_deeply([ files_below("$export/e") ], [], 'forget() removes its files');
is(sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'e'"), '0', 'and its slot');
limit_rate($node);

# all tables of the database, without those that hold jobs
sql('CREATE PUBLICATION everything FOR ALL TABLES WITH (publish_via_partition_root)');
my $all = call("export_publication('everything', 'file://$export/all')");
is(sql("SELECT count(*), count(*) FILTER (WHERE relation LIKE 'outflow.%') FROM (SELECT DISTINCT relation FROM outflow.parts WHERE job = $all) AS p"),
	sql("SELECT count(*), 0 FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'replica'::regnamespace)"),
	'all tables but our own');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($all)"), 'ok', 'and they stand verification');

done_testing();
