# Promise: all parts of an export have one meaning.  Where labels of an enum, fields
# of a composite or a function that decides about rows change while a job runs, it
# fails and says so, and resume() exports everything under the new definitions.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('definitions');
my $dir = new_export_dir();
my $failed = qr/definitions of table \S+ were changed while it is exported/;
my $exports = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'EOS');
CREATE TYPE label AS ENUM ('oldlabel', 'other');
CREATE TYPE pair AS (a int, oldfield text);
CREATE TABLE plain AS SELECT i AS id, 'oldlabel'::label AS l, ROW(i, 'x')::pair AS p FROM generate_series(1, 12000) AS i;
CREATE TABLE parted (id int, l label, p pair) PARTITION BY RANGE (id);
CREATE TABLE leaf1 PARTITION OF parted FOR VALUES FROM (0) TO (4000);
CREATE TABLE leaf2 (p pair, gone int, l label, id int);
ALTER TABLE leaf2 DROP gone;
ALTER TABLE parted ATTACH PARTITION leaf2 DEFAULT;
INSERT INTO parted TABLE plain;
CREATE FUNCTION inlined(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 3 = 0';
CREATE FUNCTION opaque(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 % 3 = 0; END';
CREATE FUNCTION atomic(int) RETURNS boolean IMMUTABLE SECURITY DEFINER LANGUAGE sql RETURN $1 % 3 = 0;
CREATE FUNCTION waits(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
	'BEGIN PERFORM pg_advisory_xact_lock_shared(4713) WHERE $1 = 6000; RETURN true; END';
CREATE ROLE reader LOGIN IN ROLE pg_write_server_files;
CREATE TABLE secured (id int, l label);
INSERT INTO secured SELECT id, l FROM plain;
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY thirds ON secured USING (opaque(id));
CREATE FUNCTION wanted() RETURNS int STABLE LANGUAGE plpgsql SET app.wanted = '1' AS 'BEGIN RETURN current_setting($$app.wanted$$); END';
CREATE TABLE configured (id int, l label);
INSERT INTO configured SELECT id, l FROM plain;
ALTER TABLE configured ENABLE ROW LEVEL SECURITY;
CREATE POLICY thirds ON configured USING (id % 3 = wanted());
GRANT SELECT ON secured, configured TO reader;
EOS

my $rename = q{ALTER TYPE label RENAME VALUE 'oldlabel' TO 'newlabel'; ALTER TYPE pair RENAME ATTRIBUTE oldfield TO newfield};

sub rename_back
{
	sql(q{ALTER TYPE label RENAME VALUE 'newlabel' TO 'oldlabel'; ALTER TYPE pair RENAME ATTRIBUTE newfield TO oldfield});
	return;
}

# changed(TABLE, PLACE, MORE, CHANGE, ROLE): a job that has three parts when it comes, and goes on then
sub changed
{
	my ($table, $place, $more, $change, $role) = @_;

	hold_exports($node, 3);
	my $job = sql(($role ? "SET ROLE $role;" : '')
		  . "SELECT outflow.export_start('$table', '$place', workers => 1, part_size => '64kB'$more)");
	wait_until($node, "SELECT parts_done = 3 AND state = 'running' FROM outflow.jobs WHERE job = $job", 'three parts');
	sql($change);
	release_exports($node);
	wait_until($node, "SELECT state IN ('failed', 'done') FROM outflow.jobs WHERE job = $job", 'its end');
	return $job;
}

sub fails
{
	my ($job, $name) = @_;

	like(sql("SELECT state || ' ' || error FROM outflow.jobs WHERE job = $job"), qr/^failed $failed/, "$name: the job fails");
	return;
}

sub resumes
{
	my ($job, $name, $statuses) = @_;

	sql("CALL outflow.resume($job)");
	is(sql("SELECT state || ' ' || parts_carried FROM outflow.jobs WHERE job = $job"), 'done 0', "$name: resumed, no part is kept");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', "$name: and verified");
	return;
}

# ---- types
foreach my $case (
	[ 'plain', 'csv', '' ],
	[ 'plain', 'jsonl', '' ],
	[ 'parted', 'binary', '' ],
	[ 'parted', 'parquet', '' ],
	[ 'plain', 'delta', '' ],
	[ 'plain', 'iceberg', '' ])
{
	my ($table, $format) = @$case;
	my $place = "$dir/" . ++$exports;
	my $job = changed($table, "file://$place", ", format => '$format'", $rename);

	fails($job, $format);
	ok(!(grep { m{^(?:.*/)?part-} } grep { !m{(?:^|/)\.} } files_below($place)), "$format: nothing is published");
	resumes($job, $format);

	my @parts = map { slurp_file("$place/$_") } grep { m{(?:^|/)[^./]*part-[^/]*$} } files_below($place);

	cmp_ok(scalar @parts, '>', 3, "$format: there are parts");
	is(scalar(grep { !/new(?:label|field)/ } @parts), 0, "$format: all have the new names");
	is(scalar(grep { /old(?:label|field)/ } @parts), 0, "$format: and none an old one");
	rename_back();
}

# ---- functions
foreach my $case (
	[ 'inlined', 'LANGUAGE sql', q{'SELECT $1 % 3 = 1'} ],
	[ 'opaque', 'LANGUAGE plpgsql', q{'BEGIN RETURN $1 % 3 = 1; END'} ],
	[ 'atomic', 'SECURITY DEFINER LANGUAGE sql', '' ])
{
	my ($function, $how, $source) = @$case;
	my $place = "$dir/" . ++$exports;
	my $body = $source ? "AS $source" : 'RETURN $1 % 3 = 1';
	my $job = changed('plain', "file://$place", ", columns => '{id}', filter => '$function(id)'",
		"CREATE OR REPLACE FUNCTION $function(int) RETURNS boolean IMMUTABLE $how $body");

	fails($job, $function);
	resumes($job, $function);
	is(exported_parts($place), sql('SELECT id FROM plain WHERE id % 3 = 1 ORDER BY id') . "\n", "$function: all rows are those of the new one");
}

# of a policy, which is "id % 3 = 1" by now
{
	my $place = "$dir/" . ++$exports;
	my $job = changed('secured', "file://$place", q{, columns => '{id}', options => '{"row_security": true}'},
		q{CREATE OR REPLACE FUNCTION opaque(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 % 3 = 2; END'}, 'reader');

	fails($job, 'policy');
	resumes($job, 'policy');
	is(exported_parts($place), sql('SELECT id FROM plain WHERE id % 3 = 2 ORDER BY id') . "\n", 'policy: all rows are those of the new one');
}

# of settings that such a function has of its own
{
	my $place = "$dir/" . ++$exports;
	my $job = changed('configured', "file://$place", q{, columns => '{id}', options => '{"row_security": true}'},
		q{ALTER FUNCTION wanted() SET app.wanted = '2'}, 'reader');

	fails($job, 'setting of a function');
	resumes($job, 'setting of a function');
	is(exported_parts($place), sql('SELECT id FROM plain WHERE id % 3 = 2 ORDER BY id') . "\n", 'setting of a function: all rows are those of the new one');
}

# one that has nothing to do with the job changes nothing
is(sql('SELECT state FROM outflow.jobs WHERE job = '
		  . changed('plain', "file://$dir/" . ++$exports, '', q{CREATE OR REPLACE FUNCTION opaque(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 % 3 = 0; END'})),
	'done', 'another function may change');

# ---- in the middle of a scan, of the only part
foreach my $workers (1, 0)
{
	my $place = "$dir/" . ++$exports;
	my ($holder) = start_psql($node, 'SELECT pg_advisory_lock(4713); SELECT pg_sleep(600)');

	wait_until($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713 AND granted}, 'the lock');
	my ($call, $said) = start_psql($node, "CALL outflow.export('plain', 'file://$place', filter => 'waits(id)', workers => $workers)");
	wait_until($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713 AND NOT granted}, 'the scan');
	sql($rename);
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713 AND granted});
	$holder->finish;
	$call->finish;
	like($$said, $failed, "in mid-scan, workers => $workers: the job fails");
	like($$said, $workers ? qr/HINT:  Resume the job/ : qr/HINT:  Export it again/, '... and says what to do');
	ok(!-e "$place/_SUCCESS", '... without an export');
	if ($workers)
	{
		resumes(sql('SELECT max(job) FROM outflow.jobs'), 'in mid-scan');
		unlike(exported_parts($place), qr/old/, '... in mid-scan: one meaning');
	}
	rename_back();
}

# ---- the settings of the session that exports many tables itself
my @mine = ("TimeZone = 'Asia/Tokyo'", "DateStyle = 'German, DMY'", 'search_path = pg_temp, public');
sql('CREATE TABLE many_' . $_ . ' AS SELECT now() AS at') foreach 1 .. 5;
is($node->safe_psql('postgres', join('', map { "SET $_;" } @mine)
		  . "CALL outflow.export_tables('{public.many_1,public.many_2,public.many_3,public.many_4,public.many_5}', 'file://$dir/many', workers => 0);"
		  . 'SHOW TimeZone; SHOW DateStyle; SHOW search_path') =~ s/^\d+\n+//r,
	"Asia/Tokyo\nGerman, DMY\npg_temp, public", 'settings are what they were after five tables');

# ---- to another PostgreSQL: what is staged goes
my $warehouse = new_warehouse('warehouse');

sql(warehouse_sql($warehouse));
$warehouse->safe_psql('postgres', 'CREATE TABLE plain (id int, l text); GRANT INSERT, SELECT, DELETE ON plain TO loader');
foreach my $load ('staged', 'direct')
{
	my $job = changed('plain', 'warehouse:public.plain', qq{, columns => '{id,l}', options => '{"load": "$load"}'}, $rename);

	fails($job, "warehouse, $load");
	resumes($job, "warehouse, $load");
	is($warehouse->safe_psql('postgres', q{SELECT count(*), count(DISTINCT id), min(l), max(l) FROM plain}),
		'12000|12000|newlabel|newlabel', "warehouse, $load: each row once, of one meaning");
	$warehouse->safe_psql('postgres', 'TRUNCATE plain');
	rename_back();
}

done_testing();
