# Promise: the names in a filter stand for what they stood for when it was called,
# in a queue and at every resume, whoever makes something of the same name
# meanwhile; what a session has for itself is in no filter, and what is gone is told.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('names', conf => "outflow.retries = 0\noutflow.max_jobs = 1\n");
my $dir = new_export_dir();
my $refused = qr/the filter of table \S+ means something else than when the export was called/;
my $exports = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my (undef, undef, $err) = $node->psql('postgres', $_[0]);

	return $err;
}

sub last_job { return sql('SELECT max(job) FROM outflow.jobs'); }

# what the other role makes says so when it is called, and the job is a superuser's
my $taken = "LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''taken over by %'', current_user; END'";
my $fails = "LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''not yet''; END'";
my $works = "LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'";

sql(<<"EOS");
CREATE ROLE bob LOGIN;
CREATE SCHEMA app;
GRANT CREATE, USAGE ON SCHEMA app TO bob;
CREATE SCHEMA bobs AUTHORIZATION bob;
GRANT ALL ON DATABASE postgres TO bob;
CREATE FUNCTION app.fails(int) RETURNS boolean $fails;
CREATE FUNCTION app.works(int) RETURNS boolean $works;
CREATE TABLE h AS SELECT g AS id, ARRAY[g] AS a FROM generate_series(1, 3) AS g;
CREATE TABLE secured AS SELECT * FROM h;
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON secured USING (true);
CREATE FUNCTION app.any(anyelement) RETURNS boolean $works;
CREATE FUNCTION app.lt(anyarray, anyarray) RETURNS boolean $works;
CREATE OPERATOR app.<<< (FUNCTION = app.lt, LEFTARG = anyarray, RIGHTARG = anyarray);
CREATE FUNCTION app.gt(int[], int[]) RETURNS boolean $works;
CREATE OPERATOR bobs.>>> (FUNCTION = app.gt, LEFTARG = int[], RIGHTARG = int[]);
CREATE DOMAIN bobs.positive AS int CHECK (VALUE > 0);
CREATE COLLATION bobs.plain (locale = 'C');
CREATE FUNCTION bobs.any(anyelement) RETURNS boolean $works;
CREATE TYPE bobs.mood AS ENUM ('sad', 'glad');
CREATE TABLE bobs.x ();
CREATE TABLE bobs.y ();
CREATE TYPE app.pair AS (n int, rel regclass);
CREATE DOMAIN app.pairs AS app.pair[];
CREATE TYPE app.moods AS RANGE (subtype = bobs.mood, multirange_type_name = app.multimoods);
CREATE TYPE app.spans AS (all_of app.moods[]);
ALTER TYPE bobs.mood OWNER TO bob;
ALTER TABLE bobs.x OWNER TO bob;
ALTER TABLE bobs.y OWNER TO bob;
CREATE FUNCTION app.less(bobs.mood, bobs.mood) RETURNS boolean $works;
CREATE FUNCTION app.compare(bobs.mood, bobs.mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -1';
CREATE OPERATOR app.< (FUNCTION = app.less, LEFTARG = bobs.mood, RIGHTARG = bobs.mood);
CREATE OPERATOR CLASS app.moods FOR TYPE bobs.mood USING btree AS OPERATOR 1 app.<, FUNCTION 1 app.compare(bobs.mood, bobs.mood);
CREATE FUNCTION app.equal(int, int) RETURNS boolean $works;
CREATE OPERATOR app.= (FUNCTION = app.equal, LEFTARG = int, RIGHTARG = int);
EOS

my $swap = 'ALTER TABLE bobs.x RENAME TO z; ALTER TABLE bobs.y RENAME TO x; ALTER TABLE bobs.z RENAME TO y';
# two labels change places
my $relabel = "ALTER TYPE bobs.mood RENAME VALUE 'sad' TO 'bad'; ALTER TYPE bobs.mood RENAME VALUE 'glad' TO 'sad';"
  . "ALTER TYPE bobs.mood RENAME VALUE 'bad' TO 'glad'";
my @relabel = ($relabel, $relabel);

# The filter, and what bob does before the job goes on; and what undoes that, if it is not below.
my @cases = (
	[ 'a function', 'app.any(id)', "CREATE FUNCTION app.any(int) RETURNS boolean $taken" ],
	[   'an operator', 'a OPERATOR(app.<<<) a',
		"CREATE FUNCTION app.lt(int[], int[]) RETURNS boolean $taken;"
		  . 'CREATE OPERATOR app.<<< (FUNCTION = app.lt, LEFTARG = int[], RIGHTARG = int[])' ],
	[   'the negator of an operator with the same function', '(NOT a OPERATOR(bobs.>>>) a) IS NOT NULL',
		"ALTER SCHEMA bobs RENAME TO away; CREATE SCHEMA bobs; CREATE FUNCTION bobs.no(int[], int[]) RETURNS boolean $taken;"
		  . 'CREATE OPERATOR bobs.>>> (FUNCTION = app.gt, LEFTARG = int[], RIGHTARG = int[], NEGATOR = OPERATOR(bobs.!!!));'
		  . 'CREATE OPERATOR bobs.!!! (FUNCTION = bobs.no, LEFTARG = int[], RIGHTARG = int[], NEGATOR = OPERATOR(bobs.>>>))' ],
	[   'a schema', 'bobs.any(id)',
		"ALTER SCHEMA bobs RENAME TO away; CREATE SCHEMA bobs; CREATE FUNCTION bobs.any(anyelement) RETURNS boolean $taken" ],
	[   'a domain, whose values the parser reads', q{'{1}'::bobs.positive[] IS NOT NULL},
		"ALTER SCHEMA bobs RENAME TO away; CREATE SCHEMA bobs; CREATE FUNCTION bobs.checked(int) RETURNS boolean $taken;"
		  . 'CREATE DOMAIN bobs.positive AS int CHECK (bobs.checked(VALUE))' ],
	[   'a collation', q{id::text COLLATE bobs.plain > ''},
		q{ALTER SCHEMA bobs RENAME TO away; CREATE SCHEMA bobs; CREATE COLLATION bobs.plain (locale = 'POSIX')} ],
	[ 'a table as a constant', q{'bobs.x'::regclass IS NOT NULL}, $swap, $swap ],
	[ 'tables as a constant', q{'{bobs.x,bobs.y}'::regclass[] IS NOT NULL}, $swap, $swap ],
	[ 'a table in a row', q{'(1,bobs.x)'::app.pair IS NOT NULL}, $swap, $swap ],
	[ 'a table in rows of a domain', q{'{"(1,bobs.x)"}'::app.pairs IS NOT NULL}, $swap, $swap ],
	[ 'a label of a range', q{'[sad,)'::app.moods IS NOT NULL}, @relabel ],
	[ 'a label of ranges', q{'{[sad,)}'::app.multimoods IS NOT NULL}, @relabel ],
	[ 'a label in a row of ranges', q{'("{""[sad,)""}")'::app.spans IS NOT NULL}, @relabel ],
	[ 'a label', q{'sad'::bobs.mood IS NOT NULL}, @relabel ]);

my $undo = 'SET client_min_messages = warning; DROP FUNCTION IF EXISTS app.any(int);'
  . ' DROP OPERATOR IF EXISTS app.<<< (int[], int[]); DROP FUNCTION IF EXISTS app.lt(int[], int[]);'
  . q{ DO 'BEGIN IF to_regnamespace(''away'') IS NOT NULL THEN DROP SCHEMA bobs CASCADE; ALTER SCHEMA away RENAME TO bobs; END IF; END'};

# ---- at a resume
foreach my $case (@cases)
{
	my ($name, $filter, $change, $back) = @$case;
	my $place = "$dir/" . ++$exports;
	my $quoted = $filter =~ s/'/''/gr;
	my $error;

	sql("CREATE OR REPLACE FUNCTION app.works(int) RETURNS boolean $fails");
	like(error_of("CALL outflow.export('h', 'file://$place', filter => '($quoted) AND app.works(id)')"), qr/not yet/, "$name: the job fails");
	sql("CREATE OR REPLACE FUNCTION app.works(int) RETURNS boolean $works");
	sql("SET ROLE bob; $change");
	$error = error_of('CALL outflow.resume(' . last_job() . ')');
	like($error, $refused, "$name: resume refuses another one");
	like($error, qr/HINT:  .*outflow\.forget\(/, "$name: ... and says what to do");
	unlike($error, qr/taken over/, "$name: ... without having called it");
	ok(!-e "$place/_SUCCESS", "$name: ... or exported anything");

	# what was made goes, and the job goes on; a body may change, as it has here
	sql($back // $undo);
	sql('CALL outflow.resume(' . last_job() . ')');
	ok(-e "$place/_SUCCESS", "$name: the same ones as before are no trouble");
}

# ---- in a queue, also where the planner reads
foreach my $table ('h', 'secured')
{
	my $job;

	hold_exports($node, 0);
	sql("SELECT outflow.export_start('h', 'file://$dir/" . ++$exports . "')");
	wait_until($node, q{SELECT state = 'running' FROM outflow.jobs ORDER BY job DESC LIMIT 1}, 'the job that is held');
	sql("SELECT outflow.export_start('$table', 'file://$dir/" . ++$exports . q{', filter => 'app.any(id)', options => '{"row_security": true}')});
	sql("SET ROLE bob; $cases[0][2]");
	release_exports($node);
	$job = last_job();
	wait_until($node, "SELECT state IN ('failed', 'done') FROM outflow.jobs WHERE job = $job", 'its end');
	like(sql("SELECT state || ' ' || error FROM outflow.jobs WHERE job = $job"), qr/^failed $refused/, "queued, $table: refused");
	sql($undo);
}

# ---- the table's own columns may change their types, and built-in names go with them
{
	sql("CREATE OR REPLACE FUNCTION app.works(int) RETURNS boolean $fails");
	error_of("CALL outflow.export('h', 'file://$dir/" . ++$exports . q{', filter => 'id < 3 AND app.works(array_length(a, 1))')});
	sql("CREATE OR REPLACE FUNCTION app.works(int) RETURNS boolean $works; ALTER TABLE h ALTER id TYPE bigint");
	sql('CALL outflow.resume(' . last_job() . ')');
	is(sql('SELECT rows FROM outflow.jobs ORDER BY job DESC LIMIT 1'), '2', 'a column of another type is the same column');
}

# ---- what is gone can't come back: the same names would be others
foreach my $case (
	[ 'function', 'gone.f(id)', "CREATE FUNCTION gone.f(int) RETURNS boolean $fails", 'DROP FUNCTION gone.f(int)' ],
	[ 'schema of a function', 'gone.f(id)', "CREATE FUNCTION gone.f(int) RETURNS boolean $fails", 'DROP SCHEMA gone CASCADE' ],
	[ 'type', 'app.fails(id::gone.d)', 'CREATE DOMAIN gone.d AS int', 'DROP DOMAIN gone.d' ],
	[ 'schema of a type', 'app.fails(id::gone.d)', 'CREATE DOMAIN gone.d AS int', 'DROP SCHEMA gone CASCADE' ],
	[ 'collation', q{app.fails(id) AND 'a' COLLATE gone.c < 'b'}, q{CREATE COLLATION gone.c (locale = 'C')}, 'DROP COLLATION gone.c' ],
	[ 'one of two functions', 'gone.f(id, id)', "CREATE FUNCTION gone.f(int, int) RETURNS boolean $fails", 'DROP FUNCTION gone.f(int, int);'
		  . "CREATE FUNCTION gone.f(bigint, int) RETURNS boolean $works; CREATE FUNCTION gone.f(int, bigint) RETURNS boolean $works" ])
{
	my ($name, $filter, $make, $drop) = @$case;
	my $quoted = $filter =~ s/'/''/gr;
	my $error;

	sql("SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS gone; $make");
	like(error_of("CALL outflow.export('secured', 'file://$dir/" . ++$exports . "', filter => '$quoted')"), qr/not yet/, "$name: the job fails");
	sql("SET client_min_messages = warning; $drop");
	$error = error_of('CALL outflow.resume(' . last_job() . ')');
	like($error, qr/HINT:  .*outflow\.forget\(/, "$name: gone, and it says what to do");
	unlike($error, qr/outflow\.resume|not yet/, "$name: ... which is not to resume");
}

# ---- what is gone from a function's body can be made again
foreach my $case (
	[ 'PL/pgSQL', 'h', q{LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN app.within(i); END'} ],
	[ 'PL/pgSQL, planned', 'secured', q{LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN app.within(i); END'} ],
	[ 'EXECUTE', 'h', q{LANGUAGE plpgsql IMMUTABLE AS 'DECLARE b boolean; BEGIN EXECUTE ''SELECT app.within($1)'' INTO b USING i; RETURN b; END'} ],
	[ 'SQL', 'h', q{LANGUAGE sql IMMUTABLE AS 'SELECT app.within(i)'} ],
	[ 'SQL, planned', 'secured', q{LANGUAGE sql IMMUTABLE AS 'SELECT app.within(i)'} ])
{
	my ($name, $table, $body) = @$case;
	my $error;

	sql("CREATE FUNCTION app.within(int) RETURNS boolean $fails; CREATE OR REPLACE FUNCTION app.calls(i int) RETURNS boolean $body");
	like(error_of("CALL outflow.export('$table', 'file://$dir/" . ++$exports . "', filter => 'app.calls(id::int)')"), qr/not yet/, "$name: the job fails");
	sql('DROP FUNCTION app.within(int)');
	$error = error_of('CALL outflow.resume(' . last_job() . ')');
	like($error, qr/failed: function app\.within\(integer\) does not exist.*HINT:  .*CALL outflow\.resume\(\d+\) continues it/s, "$name: it says to resume");
	unlike($error, qr/forget/, "$name: ... and not to forget it");
	sql("CREATE FUNCTION app.within(int) RETURNS boolean $works");
	sql('CALL outflow.resume(' . last_job() . ')');
	ok(-e "$dir/$exports/_SUCCESS", "$name: which goes on");
	sql('DROP FUNCTION app.within(int)');
}

# ---- what is a session's own
foreach my $case (
	[ 'function', "FUNCTION pg_temp.f(int) RETURNS boolean $works", 'pg_temp.f(id)' ],
	[ 'domain', 'DOMAIN pg_temp.d AS int', 'id::pg_temp.d > 0' ],
	[ 'row of a table', 'TABLE pg_temp.r (n int)', q{'(1)'::pg_temp.r IS NOT NULL AND id > 0} ],
	[ 'array of a domain', 'DOMAIN pg_temp.d AS int', q{'{1}'::pg_temp.d[] IS NOT NULL} ],
	[ 'collation', q{COLLATION pg_temp.c (locale = 'C')}, q{id::text COLLATE pg_temp.c > ''} ],
	[ 'operator', 'OPERATOR pg_temp.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)', 'id OPERATOR(pg_temp.===) 1' ])
{
	my ($name, $make, $filter) = @$case;
	my $quoted = $filter =~ s/'/''/gr;
	my $jobs = sql('SELECT count(*) FROM outflow.jobs');

	foreach my $workers (0, 1)
	{
		my $place = "$dir/" . ++$exports;

		like(error_of("CREATE $make; CALL outflow.export('secured', 'file://$place', workers => $workers, filter => '$quoted')"),
			qr/ERROR:  invalid filter\nDETAIL:  It must not use temporary objects/, "temporary $name, workers => $workers: refused");
		ok(!-e $place, '... without a directory');
	}
	is(sql('SELECT count(*) FROM outflow.jobs'), $jobs, "temporary $name: when it is called");
}

# ---- an operator without a name in the text can't be kept
foreach my $case (
	[ 'IS DISTINCT FROM', 'id IS DISTINCT FROM 2' ],
	[ 'NULLIF', 'NULLIF(id, 2) IS NULL' ],
	[ 'CASE', 'CASE id WHEN 2 THEN false ELSE true END' ])
{
	my ($name, $filter) = @$case;
	my $place = "$dir/" . ++$exports;

	like(error_of("SET search_path = app, pg_catalog, public; CALL outflow.export('secured', 'file://$place', filter => '$filter')"),
		qr/ERROR:  invalid filter\nDETAIL:  It uses an operator .*\nHINT:  .*OPERATOR\(public\.=\)/, "$name: refused");
	ok(!-e $place, '... without a directory');
	sql("CALL outflow.export('secured', 'file://$place', filter => '$filter')");
	ok(-e "$place/_SUCCESS", '... but not with the operators of the server');
}

# ---- a row's comparison has one operator's schema in the text
foreach my $filter (
	q{(id, 'sad'::bobs.mood) < (2, 'glad'::bobs.mood)},
	q{('sad'::bobs.mood, id) < ('glad'::bobs.mood, 2)},
	q{('sad'::bobs.mood, 'sad'::bobs.mood, id) < ('glad'::bobs.mood, 'glad'::bobs.mood, 2)})
{
	my $place = "$dir/" . ++$exports;
	my $quoted = $filter =~ s/'/''/gr;

	like(error_of("SET search_path = app, pg_catalog, public; CALL outflow.export('secured', 'file://$place', filter => '$quoted')"),
		qr/ERROR:  invalid filter\nDETAIL:  .*rows.*\nHINT:  Compare the values one by one/, "$filter: refused");
	ok(!-e $place, '... without a directory');
	sql("CALL outflow.export('secured', 'file://$place', filter => '$quoted')");
	ok(-e "$place/_SUCCESS", '... but not with the operators of the server');
}
sql("SET search_path = app, pg_catalog, public; CALL outflow.export('secured', 'file://$dir/" . ++$exports
	  . q{', filter => '(''sad''::bobs.mood, ''sad''::bobs.mood) < (''glad'', ''glad'')')});
is(sql('SELECT rows FROM outflow.jobs ORDER BY job DESC LIMIT 1'), '3', 'of one schema it is kept');

sql("SET search_path = app, pg_catalog, public; CALL outflow.export('secured', 'file://$dir/" . ++$exports . q{', filter => 'id = 2 AND id IN (1, 2)')});
is(sql('SELECT rows FROM outflow.jobs ORDER BY job DESC LIMIT 1'), '3', 'and what has a name in the text is kept');

is(sql(q{SELECT count(*) FROM outflow.jobs WHERE error LIKE '%taken over%'}), '0', 'nobody ran code as another one');
done_testing();
