# Promise: the rows of a query are exported as COPY (query) writes them, whatever
# the query, the format and the size of parts; at one moment, with the caller's
# rights, names, policies and settings, and no value of a masked column.  Others see
# the job run and can cancel it.  However it ends, no file is seen that is not whole.
use strict;
use warnings;

use FakeS3;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{OUTFLOW_SEED} || int(rand(2**31));
my $rounds = $ENV{OUTFLOW_ROUNDS} || 30;
my $node = new_outflow_node('query', conf => "outflow.mask_columns = ''\n",
	init => [ auth_extra => [ '--create-role', 'reader', '--create-role', 'outsider' ] ]);
my $dir = new_export_dir();
my $job;

srand($seed);
note("OUTFLOW_SEED=$seed");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# fails(SQL, PATTERN, WHAT, USER): refused like that
sub fails
{
	my ($sql, $pattern, $what, $user) = @_;
	my (undef, undef, $err) = $node->psql('postgres', $sql, $user ? (extra_params => [ '-U', $user ]) : ());

	like($err, $pattern, $what);
	return;
}

sub literal { return "'" . ($_[0] =~ s/'/''/gr) . "'"; }

# call_of(QUERY, NAME, MORE): the CALL that exports it there
sub call_of
{
	my ($query, $name, $more) = @_;

	return 'CALL outflow.export_query(' . literal($query) . ", 'file://$dir/$name'" . ($more ? ", $more" : '') . ')';
}

sql(<<'EOS');
CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'happy,');
CREATE TABLE many (id int PRIMARY KEY, n numeric, f float8, t text, b bytea, at timestamptz, d date, j jsonb,
	a text[], m mood, u uuid, i interval, ok bool);
INSERT INTO many SELECT g, g * 1.01, g / 3.0, CASE g % 5 WHEN 0 THEN NULL WHEN 1 THEN 'a,"b"' WHEN 2 THEN E'x\ty\nz\\'
	WHEN 3 THEN '' ELSE md5(g::text) END, decode(md5(g::text), 'hex'), '2026-01-01Z'::timestamptz + g * interval '1 minute',
	'2020-01-01'::date + g, jsonb_build_object('k', g, 'é', ARRAY[g, NULL]), ARRAY['x', NULL, g::text],
	('{sad,"so \"so\"","happy,"}'::mood[])[1 + g % 3], md5(g::text)::uuid, g * interval '1 hour', g % 2 = 0
	FROM generate_series(1, 4000) AS g;
CREATE TABLE wide AS SELECT g AS id, string_agg(md5((g * h)::text), '') AS long
	FROM generate_series(1, 60) AS g, generate_series(1, 1500) AS h GROUP BY g;
ANALYZE;
EOS

# ---- random queries, against COPY

my @columns = qw(id n f t b at d j a m u i ok);

sub pick { return $_[ rand @_ ]; }

sub random_expression
{
	my $column = 'm.' . pick(@columns);

	return pick($column, $column, $column, "${column}::text", 'NULL', "'lit,\"''\\'", 'm.id % 7',
		'row_number() OVER (ORDER BY m.id)', "ARRAY[m.t, 'x']", 'ROW(m.id, m.t)', 'm', "coalesce(m.t, 'none')",
		'(SELECT count(*) FROM wide AS w WHERE w.id < m.id)', 'm.at::date', 'to_char(m.at, \'Day DD Mon\')', 'm.n * 1e20',
		'm.j->\'k\'', 'int4range(m.id, m.id + 5)', "'pg_class'::regclass::text || m.id", 'now() - now()');
}

sub random_query
{
	my $list = join(', ', map { random_expression() . pick('', '', " AS c$_") } 1 .. 1 + int(rand(7)));
	my $where = pick('', 'WHERE m.ok', 'WHERE m.id < 50', 'WHERE false', 'WHERE m.t IS NULL');
	my $from = pick('many AS m', 'many AS m JOIN wide AS w ON w.id = m.id', '(SELECT * FROM many ORDER BY t LIMIT 999) AS m',
		'many AS m LEFT JOIN wide AS w USING (id)');

	return pick("SELECT $list FROM $from $where ORDER BY m.id", "WITH m AS MATERIALIZED (TABLE many) SELECT $list FROM m $where ORDER BY m.id",
		"(SELECT m.id, m.t FROM $from $where UNION ALL SELECT id, long FROM wide) ORDER BY 1, 2",
		"SELECT m.m, count(*), sum(n), array_agg(id ORDER BY id) FROM many AS m $where GROUP BY m.m ORDER BY 1",
		'TABLE wide ORDER BY id', 'VALUES (1, NULL, \'x\'), (2, \'\', NULL)');
}

my @differ;
foreach my $round (1 .. $rounds)
{
	my $query = random_query();
	my $format = pick(qw(csv text binary));
	# each of binary's parts has a head of its own
	my $size = $format eq 'binary' ? '1GB' : pick('8kB', '64kB', '1MB', '128MB');
	my $settings = pick('', "SET TimeZone = 'America/Caracas';", "SET DateStyle = 'SQL, DMY';",
		"SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 0; SET bytea_output = 'escape';");

	sql("$settings " . call_of($query, "random-$round", "format => '$format', part_size => '$size'")
		  . "; COPY ($query) TO '$dir/copy-$round' (FORMAT $format)");
	push @differ, "$settings $query, $format, $size"
	  if exported_parts("$dir/random-$round") ne slurp_file("$dir/copy-$round");
}
is(join("\n", @differ), '', "the same bytes as COPY's, in $rounds queries");

sql(call_of('SELECT * FROM wide', 'sizes', "part_size => '100kB'"));
my @sizes = map { -s "$dir/sizes/$_" } grep { /^part-/ } files_below("$dir/sizes");
cmp_ok(scalar @sizes, '>', 10, 'many parts');
pop @sizes;
is(scalar(grep { $_ < 100 * 1024 || $_ > 160 * 1024 } @sizes), 0, 'each ends with the row that reaches part_size');
fails(call_of('SELECT * FROM many, generate_series(1, 30)', 'crumbs', "part_size => '8kB'"),
	qr/"part_size" is too small.*more than 1000 parts/s, 'not thousands of crumbs');
ok(!-e "$dir/crumbs/part-000000.csv", 'and none stays');

# ---- compression and encryption, and what verify says of them

$job = sql(call_of('TABLE many ORDER BY id', 'packed', "compression => 'zstd:3', part_size => '64kB', options => '{\"header\": true}'"));
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', 'compressed: verify');
append_to_file("$dir/packed/part-000001.csv.zst", 'x');
is(sql("SELECT file FROM outflow.verify($job) WHERE status <> 'ok'"), 'part-000001.csv.zst', 'and it sees a changed file');
fails(call_of('TABLE many', 'packed'), qr/is not empty/, 'another export is not replaced unasked');
sql(call_of('SELECT 1', 'packed', q{options => '{"overwrite": true}'}));
is(join(' ', grep { /^part-/ } files_below("$dir/packed")), 'part-000000.csv part-000001.csv.zst',
	'overwritten, but for what was changed');

# ---- an S3 store, and another PostgreSQL

my $store = start_fake_s3();
sql($store->server_sql('lake'));
$job = sql("CALL outflow.export_query('TABLE many ORDER BY id', 'lake:many', format => 'parquet')");
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', 'to S3');
sql("CREATE SERVER warehouse FOREIGN DATA WRAPPER outflow_postgres OPTIONS (host '192.0.2.1', dbname 'x');"
	  . "CREATE USER MAPPING FOR CURRENT_USER SERVER warehouse OPTIONS (user 'x', password 'y')");
fails("CALL outflow.export_query('TABLE many', 'warehouse:public.many')",
	qr/cannot export a query to a table.*HINT:.*materialized view/s, 'not to tables');

# ---- rights, names, policies

sql(<<'EOS');
CREATE ROLE reader LOGIN;
CREATE ROLE outsider LOGIN;
GRANT pg_write_server_files TO reader, outsider;
GRANT SELECT ON many TO reader;
CREATE TABLE guarded (id int, owner text);
INSERT INTO guarded VALUES (1, 'reader'), (2, 'outsider'), (3, 'reader');
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (owner = current_user);
GRANT SELECT ON guarded TO reader;
CREATE SCHEMA other;
CREATE TABLE other.place AS SELECT 'other' AS here;
CREATE TABLE place AS SELECT 'public' AS here;
CREATE FUNCTION look() RETURNS text LANGUAGE sql AS 'SELECT here FROM place';
CREATE FUNCTION rise() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('role', 'none', false); RETURN 1; END $$;
EOS
fails(call_of('TABLE many', 'denied'), qr/permission denied for table many/, 'no right to read', 'outsider');
fails(call_of('SELECT count(*) FROM wide', 'denied'), qr/permission denied for table wide/, 'no right to count', 'reader');
ok(!-e "$dir/denied", 'and nothing is made');
$node->psql('postgres', call_of('TABLE guarded ORDER BY id', 'policy'), extra_params => [ '-U', 'reader' ]);
is(exported_parts("$dir/policy"), "1,reader\n3,reader\n", 'policies hold as in a SELECT');
fails('SET row_security = off; ' . call_of('TABLE guarded', 'hidden'), qr/affected by row-level security/,
	'where row_security is off, too', 'reader');
sql('SET search_path = other, public; ' . call_of('SELECT here, look() FROM place', 'names'));
is(exported_parts("$dir/names"), "other,other\n", 'names are those of the session, in functions too');
fails('SET ROLE reader; ' . call_of('SELECT rise()', 'risen'), qr/runs as another role than its owner/,
	'a function that changes the role ends it');
is(join(' ', files_below("$dir/risen")), '', 'without a file');
sql('CREATE PROCEDURE through() LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE job bigint; BEGIN '
	  . call_of('SELECT 1', 'definer', 'job => job') . '; END $$');
fails('CALL through()', qr/cannot run inside a transaction block|SECURITY DEFINER/, 'not as a definer');
sql("CREATE TEMP TABLE mine AS SELECT 7 AS id; " . call_of('TABLE mine', 'temporary'));
is(exported_parts("$dir/temporary"), "7\n", 'a temporary table is the session\'s to read');

# ---- masks

# set_masks(RULES): the superuser's setting
sub set_masks
{
	my ($rules) = @_;

	$node->adjust_conf('postgresql.conf', 'outflow.mask_columns', "'$rules'");
	$node->reload;
	wait_until($node, "SELECT current_setting('outflow.mask_columns', true) = '$rules'", "masks \"$rules\"");
	return;
}

sql(<<'EOS');
CREATE VIEW through_view AS SELECT upper(t) AS t FROM many;
CREATE FUNCTION in_sql() RETURNS SETOF text STABLE LANGUAGE sql AS 'SELECT t FROM many';
CREATE FUNCTION in_plpgsql() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(t) FROM many); END';
CREATE FUNCTION constant() RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(t) FROM many); END';
CREATE FUNCTION in_catalog() RETURNS TABLE (stxdmcv pg_mcv_list) LANGUAGE plpgsql
	AS 'BEGIN RETURN QUERY SELECT s.stxdmcv FROM pg_statistic_ext_data AS s; END';
CREATE FUNCTION one(sought int) RETURNS text STABLE PARALLEL SAFE LANGUAGE plpgsql
	AS 'BEGIN RETURN (SELECT t FROM many WHERE id = sought); END';
CREATE TABLE numbers AS SELECT id FROM generate_series(1, 20000) AS id;
ANALYZE numbers;
CREATE FUNCTION by_workers() RETURNS SETOF text STABLE LANGUAGE plpgsql
	AS 'BEGIN RETURN QUERY SELECT one(id) FROM numbers WHERE id < 5; END';
CREATE TABLE split (id int, secret text) PARTITION BY LIST (id);
CREATE TABLE split_1 PARTITION OF split DEFAULT;
INSERT INTO split VALUES (1, 'hush');
EOS
set_masks('public.many.t=null,public.split.secret=hash');
foreach my $query ('SELECT t FROM many', 'SELECT id FROM many', 'TABLE through_view', 'SELECT 1 WHERE EXISTS (SELECT FROM many)',
	'WITH w AS (SELECT t FROM many) SELECT count(*) FROM w', 'SELECT * FROM in_sql()', 'SELECT in_plpgsql()', 'SELECT constant()',
	'TABLE split', 'TABLE split_1', 'SELECT 1 FROM wide WHERE id = (SELECT max(id) FROM many)')
{
	fails(call_of($query, 'masked'), qr/cannot export a query that reads table public\.(many|split|split_1)/, "masked: $query");
}
# what else of the server's own holds values, or what makes them
foreach my $query (q{SELECT most_common_vals FROM pg_stats WHERE tablename = 'many'}, 'SELECT count(*) FROM pg_stats_ext',
	'SELECT stavalues1 FROM pg_statistic', 'SELECT stxdmcv FROM pg_statistic_ext_data', 'SELECT stxdmcv FROM in_catalog()',
	'SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef', 'SELECT attmissingval FROM pg_attribute', 'SELECT a FROM pg_attribute AS a',
	'SELECT chunk_data FROM ' . sql(q{SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'many'}))
{
	fails(call_of($query, 'masked'), qr/cannot export a query that reads table pg_(catalog|toast)\.pg_.*HINT:/s, "masked: $query");
}
# functions, whose parallel workers read for them: with plans made before, and whatever the cost
my $workers = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;'
  . ' SET parallel_leader_participation = off;';
fails("$workers SELECT count(*) FROM by_workers(); " . call_of('SELECT * FROM by_workers()', 'masked'),
	qr/cannot export a query that reads table public\.many/, 'masked: what parallel workers read');
is(-d "$dir/masked" ? join(' ', files_below("$dir/masked")) : '', '', 'and no file is made');
sql(call_of('SELECT id FROM wide', 'unmasked'));
sql(call_of('SELECT attname FROM pg_attribute', 'catalog'));
set_masks('');

# ---- while it runs: the query stops at its row 5000 as long as another session has the lock

my $holder = $node->background_psql('postgres');
my $slow = 'SELECT g, CASE WHEN g = 5000 THEN pg_advisory_lock_shared(1) END, (SELECT max(id) FROM growing) AS inner_now, last_id()'
  . ' FROM generate_series(1, 9000) AS g';
sql(<<'EOS');
CREATE TABLE growing AS SELECT 1 AS id;
CREATE FUNCTION last_id() RETURNS int VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(id) FROM growing); END';
EOS

# begin_slow(NAME): a session in the middle of its query
sub begin_slow
{
	my ($name) = @_;

	$holder->query_safe('SELECT pg_advisory_lock(1)');
	my @session = start_psql($node, call_of($slow, $name, "part_size => '16kB'"));
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted)",
		'the query waits');
	$job = sql('SELECT max(job) FROM outflow.jobs');
	return @session;
}

sub go_on { $holder->query_safe('SELECT pg_advisory_unlock(1)'); return; }

my ($session, $said) = begin_slow('moment');
is(sql("SELECT state, source, parts_total IS NULL, rows BETWEEN 1000 AND 5000, bytes > 0 FROM outflow.jobs WHERE job = $job"),
	'running|(query)|t|t|t', 'others see it run, and how far it is');
fails(call_of('SELECT 1', 'moment'), qr/is in use by export job $job/, 'the place is its own');
fails("CALL outflow.resume($job)", qr/cannot be resumed/, 'it cannot be resumed');
fails("SELECT outflow.forget($job)", qr/is running|another call/, 'nor forgotten while it runs');
sql('INSERT INTO growing VALUES (2)');
go_on();
$session->finish;
is(sql("SELECT state, rows FROM outflow.jobs WHERE job = $job"), 'done|9000', 'it ends');
unlike(exported_parts("$dir/moment"), qr/,2$/m, 'all of it is of one moment, what its functions read included');

($session, $said) = begin_slow('cancelled');
is(sql("SELECT outflow.cancel($job)"), 't', 'cancel');
$session->finish;
go_on();
like($$said, qr/canceling statement due to user request/, 'ends the statement');
is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $job"), '0', 'no record stays');
ok(!-e "$dir/cancelled", 'and no file, nor the directory');

fails("SET statement_timeout = '300ms'; " . call_of('SELECT pg_sleep(0.05) FROM generate_series(1, 100)', 'cancelled'),
	qr/statement timeout/, 'a timeout');
ok(!-e "$dir/cancelled", 'leaves no file, nor the directory');
is(sql("SELECT count(*) FROM outflow.jobs WHERE state <> 'done'"), '0', 'and no record');

($session, $said) = begin_slow('ended');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy");
$session->finish;
go_on();
wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'interrupted');
ok(!-e "$dir/ended", 'a session that ends leaves no file, nor the directory');
fails("CALL outflow.resume($job)", qr/cannot be resumed.*HINT:.*forget\($job\)/s, 'what it leaves cannot be resumed');
# cancel reaches who runs it, and not who has it in hand
($session, $said) = start_psql($node, "SELECT outflow.forget($job); SELECT pg_sleep(600)");
wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 'another session forgets it');
fails("SELECT outflow.cancel($job)", qr/is being changed by another call/, 'a session that changes it is not cancelled');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
$session->finish;
is($$said =~ s/^.*ERROR: +//sr, "canceling statement due to user request\n", '... but by those who may');
sql("SELECT outflow.forget($job)");

($session, $said) = begin_slow('killed');
$node->stop('immediate');
$session->finish;
$node->start;
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'interrupted', 'after a crash the job is interrupted');
is(scalar(grep { !/^\./ } files_below("$dir/killed")), 0, 'and nothing half-written shows');
fails(call_of('SELECT 1', 'killed'), qr/is in use by export job $job.*HINT:.*forget/s, 'its place is known to be its own');
sql("SELECT outflow.forget($job)");
is(join(' ', files_below("$dir/killed")), '', 'forgotten: no file is left');
sql(call_of('SELECT 1', 'killed'));
is(exported_parts("$dir/killed"), "1\n", 'and exported anew');

# ---- afterwards

sql(call_of('SELECT 1', 'kept/a') . ';' . call_of('SELECT 2', 'kept/b') . ';' . call_of('SELECT 3', 'kept/c'));
is(sql("SELECT string_agg(right(destination, 1), '' ORDER BY job) FROM outflow.prune('file://$dir/kept/', 1)"), 'ab', 'prune');
is(exported_parts("$dir/kept/c"), "3\n", 'keeps the newest');

done_testing();
