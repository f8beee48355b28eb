# Promise: CREATE EXTENSION takes no schema that was there before, lends nobody
# rights on what it makes, and what it makes calls nobody's functions, whatever
# lies in the search_path.  DROP EXTENSION takes all of it away, and a dump brings
# it back, without the jobs.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('schema');
$node->init(allows_streaming => 'logical');
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE eve LOGIN; CREATE ROLE chief SUPERUSER LOGIN;');

my $databases = 0;

# refused(WHO, SQL, REASON, TITLE): the extension is, after WHO did SQL
sub refused
{
	my ($who, $sql, $reason, $title) = @_;
	my $database = 'db' . ++$databases;

	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER eve");
	$node->safe_psql($database, $sql, extra_params => [ '-U', $who ]);
	my ($status, $stdout, $stderr) =
	  $node->psql($database, 'CREATE EXTENSION outflow');
	like($stderr, $reason, $title);
	is($node->safe_psql($database, 'SELECT count(*) FROM pg_extension'
			  . " WHERE extname = 'outflow'"), 0, '... and is not there');
	return;
}

# the owner of the database prepares the place; a superuser's is refused, too
my $trap = q{AS $$ BEGIN ALTER ROLE eve SUPERUSER; END $$};
refused('eve', "CREATE SCHEMA outflow;
	CREATE PROCEDURE outflow.export(source text, destination text)
	LANGUAGE plpgsql $trap", qr/schema "outflow" already exists/,
	'a trap in another role\'s schema is found');
refused($_->[0], "CREATE SCHEMA $_->[1]", qr/schema "$_->[1]" already exists/,
	"so is a schema to set one later, $_->[1]")
  foreach [ 'eve', 'outflow' ], [ 'eve', 'outflow_internal' ], [ 'postgres', 'outflow' ];
is($node->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'eve'"),
	'f', 'nobody has become a superuser');

# default privileges of the one who creates it
$node->safe_psql('postgres', 'CREATE DATABASE app OWNER eve');
$node->safe_psql('app', 'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO eve;'
	  . ' ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC;'
	  . ' ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO eve;'
	  . ' ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO eve;'
	  . ' CREATE EXTENSION outflow');
is( $node->safe_psql('app', q{
	SELECT c.relname, a.grantee::regrole, a.privilege_type
	FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
	WHERE c.relnamespace IN ('outflow'::regnamespace, 'outflow_internal'::regnamespace)
	AND a.grantee <> c.relowner AND (c.relkind, a.grantee, a.privilege_type) <> ('v', 0, 'SELECT')
UNION ALL
	SELECT p.proname, a.grantee::regrole, a.privilege_type
	FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
	WHERE p.pronamespace IN ('outflow'::regnamespace, 'outflow_internal'::regnamespace)
	AND a.grantee NOT IN (0, p.proowner)
UNION ALL
	SELECT n.nspname, a.grantee::regrole, a.privilege_type
	FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
	WHERE n.nspname ~ '^outflow' AND a.grantee <> n.nspowner AND a.privilege_type <> 'USAGE'}),
	'', 'default privileges give nobody the job tables, more than reading of views, what is internal, nor a place in the schemas');
is($node->safe_psql('app', "DROP EXTENSION outflow;
		SELECT count(*) FROM pg_namespace WHERE nspname ~ '^outflow'"),
	0, 'DROP EXTENSION takes the schemas along');
$node->safe_psql('app', 'CREATE EXTENSION outflow');
$node->safe_psql('app', 'CREATE TABLE dumped AS SELECT 1 AS i');
$node->safe_psql('app', "CALL outflow.export('dumped', 'file://" . new_export_dir() . "/dumped')");
$node->safe_psql('app', 'SELECT outflow.capture_ddl(true)');

# a database comes back whole from its dump
my $dump = new_export_dir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('app') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE again OWNER eve');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('again'), $dump ],
	'pg_restore');
is($node->safe_psql('again', 'SELECT count(*) FROM outflow.jobs'), 0, '... and it works there, without the jobs');
is($node->safe_psql('again', 'TABLE dumped'), 1, '... with the tables');
is($node->safe_psql('again', "SELECT count(*) FROM pg_event_trigger WHERE evtname ~ '^outflow'"), 3, '... and the capture of DDL');
$node->safe_psql($_, 'SELECT outflow.capture_ddl(false)') foreach 'app', 'again';

# overloads that fit better than the server's own, and a path that leads there
$node->safe_psql('app', <<'EOS');
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE TABLE trap.sprung (what text);
CREATE FUNCTION trap.spring(what text) RETURNS text LANGUAGE sql VOLATILE
AS $$ INSERT INTO trap.sprung VALUES (what); SELECT what $$;
CREATE FUNCTION trap.concat_ws(text, text, text) RETURNS text LANGUAGE sql
AS $$ SELECT trap.spring('concat_ws 3') $$;
CREATE FUNCTION trap.concat_ws(text, text, text, text) RETURNS text LANGUAGE sql
AS $$ SELECT trap.spring('concat_ws 4') $$;
CREATE FUNCTION trap.format(text, text) RETURNS text LANGUAGE sql
AS $$ SELECT trap.spring('format 2') $$;
CREATE FUNCTION trap.format(text, bigint) RETURNS text LANGUAGE sql
AS $$ SELECT trap.spring('format 2') $$;
CREATE FUNCTION trap.format(text, name, bigint) RETURNS text LANGUAGE sql
AS $$ SELECT trap.spring('format 3') $$;
CREATE FUNCTION trap.format(text, text, text) RETURNS text LANGUAGE sql
AS $$ SELECT trap.spring('format 3') $$;
CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE sql
AS $$ SELECT trap.spring('current_setting') $$;
CREATE FUNCTION trap.equal(name, text) RETURNS boolean LANGUAGE sql
AS $$ SELECT trap.spring('name = text') <> '' $$;
CREATE OPERATOR trap.= (leftarg = name, rightarg = text, function = trap.equal);
CREATE FUNCTION trap.equal(numeric, int) RETURNS boolean LANGUAGE sql
AS $$ SELECT trap.spring('numeric = int') <> '' $$;
CREATE OPERATOR trap.> (leftarg = numeric, rightarg = int, function = trap.equal);
CREATE TABLE trap.pg_roles (rolname name);
CREATE TABLE t AS SELECT 1 AS i;
EOS
my $dir = new_export_dir();
my $path = 'SET search_path = trap, pg_catalog, pg_temp;';
create_slot($node, 'watched', 'app');
my ($status, $stdout, $stderr) = $node->psql('app', <<"EOS");
$path
DROP EXTENSION outflow;
CREATE EXTENSION outflow;
SELECT * FROM outflow.slots;
SELECT * FROM outflow.preflight();
CALL outflow.export('public.t', 'file://$dir/t');
SELECT * FROM outflow.jobs;
SELECT * FROM outflow.parts;
SELECT outflow.heartbeat(), outflow.run_queue();
SELECT outflow.capture_ddl(true), outflow.capture_ddl(false);
SELECT * FROM outflow.verify((SELECT max(job) FROM outflow.jobs));
SELECT outflow.forget((SELECT max(job) FROM outflow.jobs));
EOS
is($stderr =~ s/^.*NOTICE.*\n//mgr, '', 'everything was called');
is($node->safe_psql('app', 'SELECT string_agg(what, $$, $$) FROM trap.sprung'),
	'', 'and no trap has sprung');
$node->stop;
done_testing();
