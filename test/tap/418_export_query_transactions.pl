# Promise: a query that is exported means what it meant where CALL stands, though
# CALL ends that transaction: settings of the transaction alone stay, and what does
# not is refused.  Whatever the query does to its session, or the server to its
# transaction, an error tells its cause and leaves neither files nor a record.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('transactions', init => [ auth_extra => [ '--create-role', 'reader' ] ]);
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# said(SQL): what goes wrong
sub said
{
	my (undef, undef, $err) = $node->psql('postgres', $_[0]);

	return $err;
}

# call_of(QUERY, NAME): the CALL that exports it there
sub call_of
{
	my ($query, $name) = @_;

	return 'CALL outflow.export_query($q$' . $query . "\$q\$, 'file://$dir/$name', job => job)";
}

# block(STATEMENTS): a DO block of them
sub block { return "DO \$\$ DECLARE job bigint; BEGIN $_[0]; END \$\$;"; }

# nothing_of(NAME, WHAT): no file there, and no job
sub nothing_of
{
	my ($name, $what) = @_;

	is(-d "$dir/$name" ? join(' ', files_below("$dir/$name")) : '', '', "$what: no file");
	is(sql("SELECT string_agg(state, ' ') FROM outflow.jobs WHERE destination = 'file://$dir/$name'"), '', "$what: no record");
	return;
}

sql(<<'EOS');
CREATE ROLE reader LOGIN;
GRANT pg_write_server_files TO reader;
CREATE SCHEMA other;
GRANT USAGE ON SCHEMA other TO reader;
CREATE TABLE other.place AS SELECT 'other' AS here, timestamptz '2026-01-01 00:00Z' AS at;
CREATE TABLE place AS SELECT 'public' AS here, timestamptz '2026-01-01 00:00Z' AS at;
GRANT SELECT ON other.place TO reader;
CREATE FUNCTION look() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT here FROM place); END';
CREATE TABLE tenants (id int, tenant text);
INSERT INTO tenants VALUES (1, 'a'), (2, 'b');
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (tenant = current_setting('app.tenant', true));
GRANT SELECT ON tenants TO reader;
EOS

# ---- settings

my $query = q{SELECT here, look(), at, at::text AS t, current_setting('TimeZone'), current_setting('app.tenant', true), current_user FROM place};
sql(block("SET LOCAL search_path = other, public; SET LOCAL TimeZone = 'Asia/Tokyo'; SET LOCAL app.tenant = 'a'; SET LOCAL ROLE reader; "
	  . call_of($query, 'local')));
is(exported_parts("$dir/local"),
	"other,other,2026-01-01 09:00:00+09,2026-01-01 09:00:00+09,Asia/Tokyo,a,reader\n", 'settings of the transaction are the query\'s');
sql('CREATE PROCEDURE through() LANGUAGE plpgsql AS $$ DECLARE job bigint; BEGIN SET LOCAL TimeZone = \'Asia/Tokyo\'; '
	  . call_of(q{SELECT current_setting('TimeZone')}, 'procedure') . '; END $$; CALL through()');
is(exported_parts("$dir/procedure"), "Asia/Tokyo\n", '... in a procedure, too');
is(sql(block("SET LOCAL search_path = other; PERFORM set_config('app.tenant', 'b', false); " . call_of('SELECT here FROM place', 'after'))
	  . q{SELECT current_setting('search_path'), current_setting('app.tenant'), current_user = session_user}),
	'"$user", public|b|t', 'afterwards the session has its own');
sql(block("SET LOCAL ROLE reader; SET LOCAL app.tenant = 'b'; CALL outflow.export('public.tenants', 'file://$dir/inline', workers => 0, "
	  . q{options => '{"row_security": true}', job => job)}));
is(exported_parts("$dir/inline"), "2,b\n", 'policies have them in an export without workers');

# one that only the role may set which the session takes for the transaction
my @as_reader = (connstr => $node->connstr('postgres') . ' user=reader');
my $ours = q(SELECT current_user, current_setting('log_min_duration_statement'), current_setting('work_mem'));
sql('CREATE ROLE boss LOGIN SUPERUSER; GRANT boss TO reader');
$node->safe_psql('postgres', block("SET LOCAL ROLE boss; SET LOCAL log_min_duration_statement = '9s'; SET LOCAL work_mem = '5MB'; " . call_of($ours, 'boss')), @as_reader);
is(exported_parts("$dir/boss"), "boss,9s,5MB\n", "a setting that is for the transaction's role alone");
$node->safe_psql('postgres', block("SET LOCAL ROLE boss; SET LOCAL log_min_duration_statement = '9s'; SET LOCAL ROLE reader; " . call_of($ours, 'again')), @as_reader);
is(exported_parts("$dir/again"), "reader,9s,4MB\n", '... of a role that it has left');
is($node->safe_psql('postgres', 'SELECT current_user || $$ $$ || current_setting($$log_min_duration_statement$$)', @as_reader), 'reader -1', '... and for no longer');
is(sql(block("SET LOCAL log_min_duration_statement = '9s'; SET LOCAL ROLE reader; " . call_of($ours, 'left')) . "SELECT current_user = session_user"), 't',
	'a role that the session leaves');
is(exported_parts("$dir/left"), "reader,9s,4MB\n", '... has what was set before');

# ---- rows and tables of the transaction

like(said('CREATE TEMP TABLE scratch (id int) ON COMMIT DELETE ROWS; ' . block('INSERT INTO scratch VALUES (1); ' . call_of('TABLE scratch', 'scratch'))),
	qr/table pg_temp\S*\.scratch lost its rows.*HINT:.*ON COMMIT PRESERVE ROWS/s, 'rows that end with the transaction');
nothing_of('scratch', 'they');
like(said(block(q{CREATE TEMP TABLE place ON COMMIT DROP AS SELECT 'temporary' AS here; } . call_of('SELECT here FROM place', 'dropped'))),
	qr/table pg_temp\S*\.place was dropped.*HINT:.*ON COMMIT PRESERVE ROWS/s, 'a table that ends with it');
nothing_of('dropped', 'it');
sql(block(q{CREATE TEMP TABLE place AS SELECT 'temporary' AS here; } . call_of('SELECT here FROM place', 'kept')));
is(exported_parts("$dir/kept"), "temporary\n", 'one that does not is read');
sql('CREATE TEMP TABLE scratch (id int) ON COMMIT DELETE ROWS; ' . block(call_of('TABLE scratch', 'empty')));
is(exported_parts("$dir/empty"), '', 'and so is one that is empty anyway');

# ---- transactions that cannot write

sql(<<'EOS');
CREATE FUNCTION forbid(fail bool) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('default_transaction_read_only', 'on', false);
	IF fail THEN
		RAISE division_by_zero;
	END IF;
	RETURN 1;
END $$;
EOS
like(said(block(call_of('SELECT forbid(true)', 'forbidden'))), qr/ERROR:  division_by_zero/, 'a query that forbids writing and fails');
nothing_of('forbidden', 'it');
is(said(block(call_of('SELECT forbid(false)', 'allowed'))), '', 'one that forbids writing');
is(exported_parts("$dir/allowed"), "1\n", '... is exported');
is(said(block(q{PERFORM set_config('default_transaction_read_only', 'on', false); } . call_of('SELECT 1', 'before'))), '', 'forbidden before');
is(exported_parts("$dir/before"), "1\n", '... it is exported');

# Serializable transactions: the export reads what one writes that commits first,
# and another one reads the export's record before it is written.
sql('CREATE TABLE read AS SELECT 1 AS id');
my $holder = $node->background_psql('postgres');
my $watcher = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
my ($session, $failed) = start_psql($node, block(q{PERFORM set_config('default_transaction_isolation', 'serializable', false); }
	  . call_of('SELECT id, pg_advisory_lock_shared(1) FROM read', 'serial')));
wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted)", 'the query waits');
sql('BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE read SET id = 2; COMMIT');
$watcher->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM outflow.jobs');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$session->finish;
$watcher->query_safe('COMMIT');
like($$failed, qr/ERROR:  could not serialize access/, 'a serialization failure is told');
nothing_of('serial', 'a serialization failure');
sql("SET default_transaction_isolation = 'serializable'; " . block(call_of('SELECT id FROM read', 'serial')));
is(exported_parts("$dir/serial"), "2\n", 'and another try is exported');

$_->quit foreach ($holder, $watcher);
# ---- what has the server do something of its own at a session's end ----

sql(q{CREATE FUNCTION listens() RETURNS int LANGUAGE plpgsql AS 'BEGIN LISTEN somebody; RETURN 1; END';
CREATE FUNCTION makes_temp(int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE IF NOT EXISTS mine (a int); RETURN true; END$$;
CREATE FUNCTION says_immutable(i int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN public.makes_temp(i); END$$;
CREATE TABLE few AS SELECT g AS id FROM generate_series(1, 10) AS g});
foreach my $case (
	[ 'a query that listens', 'listens', "CALL outflow.export_query('SELECT listens()', 'file://$dir/listens')", 1 ],
	[ 'a filter that makes a temporary table', 'temp', "CALL outflow.export('few', 'file://$dir/temp', filter => 'says_immutable(id)', workers => 0)", 10 ])
{
	my ($what, $name, $call, $rows) = @$case;
	my ($code, undef, $err) = $node->psql('postgres', $call);

	is($code, 0, "$what: exported") or diag($err);
	is(sql("SELECT state, rows FROM outflow.jobs WHERE destination = 'file://$dir/$name'"), "done|$rows", "$what: its record is there");
	ok(-e "$dir/$name/_SUCCESS", "$what: and its files");
}
# a session that is ended in the midst of it
foreach my $case (
	[ 'a query that listens', 'ended-query', "CALL outflow.export_query('SELECT listens(), pg_sleep(600)', 'file://$dir/ended-query')" ],
	[ 'a filter that makes a temporary table', 'ended-filter', "CALL outflow.export('few', 'file://$dir/ended-filter', filter => 'says_immutable(id) AND slow(id)', workers => 0)" ])
{
	my ($what, $name, $call) = @$case;

	sql(q{CREATE OR REPLACE FUNCTION slow(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN true; END'});
	my ($session) = start_psql($node, $call);
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 'it is at it');
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	$session->finish;
	is(sql("SELECT count(*) FROM outflow.jobs WHERE destination = 'file://$dir/$name' AND state = 'done'"), '0', "$what, ended: is not done");
	ok(!-e "$dir/$name/_SUCCESS", "$what, ended: nor there");
}
unlike(slurp_file($node->logfile), qr/terminated by signal|is not the latest entry/, 'and nobody crashed');

done_testing();
