# Promise: a job acts only as a role that the owner of the job tables may act as
# anyway.  A role that made the extension and is no superuser any more can't
# write itself a job of somebody else's.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $node = new_outflow_node('installer', conf => "outflow.retries = 0\n");

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN SUPERUSER');
$node->safe_psql('postgres',
	'SET SESSION AUTHORIZATION app; DROP EXTENSION outflow; CREATE EXTENSION outflow');
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE secret AS SELECT 'top' AS s;
REVOKE ALL ON secret FROM PUBLIC;
GRANT pg_write_server_files TO app;
GRANT CREATE ON SCHEMA public TO app;
EOS

# forged(SOURCES): a job of the bootstrap superuser's that app has written
sub forged
{
	my ($sources) = @_;

	return $node->safe_psql('postgres', <<"EOS");
SET SESSION AUTHORIZATION app;
WITH made AS (INSERT INTO outflow.job(owner, destination, location, format, compression,
		encrypt_to, part_size, workers, options, settings)
	VALUES (10, 'file://$dir/stolen', '$dir/stolen', 'csv', 'none', '{}', 1048576, 1, '{}', '{}')
	RETURNING job), sources AS (INSERT INTO outflow.source(job, source, relation, name, folder)
	SELECT job, source, $sources, 'public.secret', '' FROM made, generate_series(0, 0) AS source)
SELECT job FROM made;
EOS
}

# ended(JOB): how it did
sub ended
{
	my ($job) = @_;

	$node->psql('postgres', 'SET SESSION AUTHORIZATION app; SELECT outflow.run_queue()');
	wait_until($node,
		"SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job",
		"job $job ends");
	return $node->safe_psql('postgres',
		"SELECT state || ': ' || error FROM outflow.jobs WHERE job = $job");
}

# a superuser's tables are in order
$node->safe_psql('postgres', "CALL outflow.export('secret', 'file://$dir/fine')");

$node->safe_psql('postgres', 'ALTER ROLE app NOSUPERUSER');
like(ended(forged("'public.secret'::regclass")),
	qr/^failed: .*table outflow\.job belongs to role "app", which may not act as role/,
	'a job of another role, by the owner of the tables');
ok(!-e "$dir/stolen", '... has exported nothing');

my (undef, undef, $said) = $node->psql('postgres',
	"CALL outflow.export('secret', 'file://$dir/refused')");
like($said, qr/ERROR:  table outflow\.job belongs to role "app"/,
	'a call of somebody else is refused at once');
like($said, qr/HINT:  Make the role a superuser again, or let one own the tables and functions/,
	'... with what helps');
$node->safe_psql('postgres', 'SET SESSION AUTHORIZATION app; CREATE TABLE own AS SELECT 1;'
	  . "CALL outflow.export('own', 'file://$dir/own')");
pass('the owner of the tables exports what is its own');

$node->safe_psql('postgres', "ALTER TABLE outflow.$_ OWNER TO CURRENT_USER")
	foreach qw(job source part);
(undef, undef, $said) = $node->psql('postgres',
	"CALL outflow.export('secret', 'file://$dir/refused')");
like($said, qr/HINT:  Let a superuser own the functions of schema outflow_internal\./,
	'... nor do the guards of the tables go, if only these have another owner');
$node->safe_psql('postgres', 'REASSIGN OWNED BY app TO ' . $node->safe_psql('postgres',
	'SELECT quote_ident(current_user)'));
$node->safe_psql('postgres', "CALL outflow.export('secret', 'file://$dir/again')");
is(slurp_file("$dir/again/part-000000.csv"), "top\n", 'a superuser owns them again');

# a role that may put triggers there
$node->safe_psql('postgres', <<'EOS');
CREATE ROLE granted LOGIN;
CREATE ROLE boss SUPERUSER;
GRANT ALL ON ALL TABLES IN SCHEMA outflow TO boss;
GRANT ALL ON ALL TABLES IN SCHEMA outflow TO granted;
GRANT CREATE ON SCHEMA public TO granted;
SET SESSION AUTHORIZATION granted;
CREATE FUNCTION public.rise() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN EXECUTE 'ALTER ROLE granted SUPERUSER'; RETURN NEW; END$$;
CREATE TRIGGER zz BEFORE INSERT ON outflow.job FOR EACH ROW EXECUTE FUNCTION public.rise();
EOS
(undef, undef, $said) = $node->psql('postgres',
	"CALL outflow.export('secret', 'file://$dir/risen')");
like($said, qr/ERROR:  role "granted" may put triggers on table outflow\.job/,
	'a role that may put triggers on the tables is named');
$node->safe_psql('postgres', 'REVOKE TRIGGER ON ALL TABLES IN SCHEMA outflow FROM granted');
(undef, undef, $said) = $node->psql('postgres',
	"CALL outflow.export('secret', 'file://$dir/risen')");
like($said, qr/ERROR:  trigger "zz" on table outflow\.job runs another role's function/,
	'... and so is the trigger that it has put there');
is($node->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'granted'"),
	'f', '... which has not run');
$node->safe_psql('postgres', 'DROP TRIGGER zz ON outflow.job');

# what a forget beside a call leaves for the call to see
my $job = $node->safe_psql('postgres', "CALL outflow.export('secret', 'file://$dir/gone')");
$node->safe_psql('postgres', "DELETE FROM outflow.source WHERE job = $job");
foreach my $call ("CALL outflow.resume($job)", "SELECT outflow.resume_start($job)",
	"SELECT outflow.cancel($job)", "SELECT * FROM outflow.verify($job)",
	"SELECT outflow.restore_script($job)")
{
	(undef, undef, $said) = $node->psql('postgres', $call);
	like($said, qr/ERROR:  export job $job does not exist/, "no sources any more: $call");
}
$node->stop;
done_testing();
