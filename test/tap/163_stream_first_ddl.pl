# Promise: the first DDL command of a session, which comes before the library, is told
# with its own text, whatever its kind and the protocol; one in a function is told
# without, and never with what the client sent.
use strict;
use warnings;

use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE pattern (a serial PRIMARY KEY, b text UNIQUE DEFAULT 'x');
CREATE TABLE altered (a int);
CREATE FUNCTION makes(command text) RETURNS int LANGUAGE plpgsql AS $$BEGIN EXECUTE command; RETURN 1; END$$;
CREATE FUNCTION makes_while(command text) RETURNS int LANGUAGE plpgsql AS
	$$DECLARE r record; BEGIN FOR r IN SELECT makes(command) LOOP END LOOP; RETURN 1; END$$;
CREATE PROCEDURE commits(command text) LANGUAGE plpgsql AS $$BEGIN COMMIT; EXECUTE command; COMMIT; EXECUTE 'DROP TABLE x'; END$$;
SELECT outflow.capture_ddl(true);
SQL
create_slot($node, 'feed');

# told(): the commands of the records since the last call, null as "null"
sub told
{
	return join(' | ', map { JSON::PP::decode_json($_)->{command} // 'null' } split(/\n/, $node->safe_psql('postgres',
		q{SELECT data FROM pg_logical_slot_get_changes('feed', NULL, NULL) WHERE data ~ '"op":"ddl"'})));
}

# run(SQL): a session of its own, and one message
sub run
{
	my ($sql) = @_;
	my ($out, $err) = run_command([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', $sql ]);

	is($err =~ s/^NOTICE.*//r, '', $sql);
	return;
}

my $drop = sub { $node->safe_psql('postgres', 'SET client_min_messages = error; DROP TABLE IF EXISTS x, y; DROP SCHEMA IF EXISTS s CASCADE; DROP MATERIALIZED VIEW IF EXISTS m'); told() };

foreach my $command ('CREATE TABLE x (a int)', 'CREATE TABLE x (a int PRIMARY KEY)', 'CREATE TABLE x (a serial, b int UNIQUE)',
	'CREATE TABLE x (LIKE pattern INCLUDING ALL)', 'ALTER TABLE altered ADD b serial, ADD c int UNIQUE',
	'CREATE SCHEMA s CREATE TABLE x (a int PRIMARY KEY)', 'CREATE TABLE x AS SELECT 1 AS a', 'SELECT 1 AS a INTO x UNION SELECT 2',
	'CREATE MATERIALIZED VIEW m AS SELECT 1 AS a', 'CREATE TABLE x AS TABLE pattern WITH NO DATA', 'DROP TABLE IF EXISTS x, altered')
{
	my $script = "${PostgreSQL::Test::Utils::tmp_check}/command.sql";

	$drop->();
	run($command);
	is(told(), $command, '... has its text');
	next if $command =~ /altered/;
	foreach my $protocol ('extended', 'prepared')
	{
		$drop->();
		unlink($script);
		append_to_file($script, "$command;\n");
		$node->command_ok([ 'pgbench', '-n', '-t', '1', '-M', $protocol, '-f', $script, 'postgres' ], "... $protocol");
		is(told(), $command, '... has its text');
	}
}

# several at once: each its own
foreach my $rest ('SELECT 2', 'CREATE TABLE y AS SELECT 2 AS b')
{
	my $first = 'CREATE TABLE x AS SELECT 1 AS a';

	$drop->();
	run("SELECT 1; $first ; $rest");
	is(told(), $rest =~ /^S/ ? $first : "$first | $rest", "$first; $rest");
}
$drop->();
run('SELECT 1 AS a INTO x; SELECT 1 AS a INTO y');
is(told(), 'SELECT 1 AS a INTO x | SELECT 1 AS a INTO y', 'SELECT INTO, twice');
$drop->();
run('CREATE TABLE x (a int PRIMARY KEY); CREATE TABLE y (b serial)');
is(told(), 'CREATE TABLE x (a int PRIMARY KEY) | CREATE TABLE y (b serial)', 'tables with more to them');

# one that runs another
$drop->();
my $outer = q{CREATE TABLE x AS SELECT makes('CREATE TABLE y (a serial)')};
run($outer);
is(told(), "CREATE TABLE y (a serial) | $outer", 'a command that runs another');

# one that is undone, and the next
$drop->();
run('BEGIN; CREATE TABLE x (a serial); ROLLBACK; CREATE TABLE y (a serial)');
is(told(), 'CREATE TABLE y (a serial)', 'after one that is undone');

# in functions: what the client sent is not the command
foreach my $client (q{SELECT makes('CREATE TABLE x AS SELECT 1 AS a') /* anything */}, q{SELECT makes('CREATE TABLE x (a serial)')},
	q{DO $$BEGIN CREATE TABLE x AS SELECT 1 AS a; END$$}, q{DO $$BEGIN CREATE TABLE x (a int PRIMARY KEY); END$$},
	q{SELECT makes_while('CREATE TABLE x AS SELECT 1 AS a')}, q{SELECT makes('CREATE TABLE x (a int)'); CREATE TABLE IF NOT EXISTS x (a int)},
	q{SELECT makes('CREATE TABLE x AS SELECT 1 AS a') AS a INTO TEMP TABLE z}, q{PREPARE p AS SELECT makes('CREATE TABLE x AS SELECT 1 AS a'); EXECUTE p})
{
	$drop->();
	run($client);
	is(told(), $client =~ /TEMP/ ? 'CREATE TABLE x AS SELECT 1 AS a' : 'null', '... has none but that of an inner command');
}
$drop->();
run(q{CALL commits('CREATE TABLE x (a serial)')});
is(told(), 'null | DROP TABLE x', 'a procedure');
$drop->();
run(q{SELECT makes('CREATE TABLE x AS SELECT 1 AS a'); CREATE TABLE y AS SELECT 2 AS a});
is(told(), 'null | CREATE TABLE y AS SELECT 2 AS a', 'the next one has its own');

$node->stop;
done_testing();
