# HandoverTest.pm: writers, and a replica in schema "replica" that is loaded
# from an export's files and kept up to date from a slot.  Every record of the
# stream must find the state that it was made from.
package HandoverTest;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  make_replica
  start_writers
  stop_writers
  roll_back_prepared
  start_call
  limit_rate
  load_table
  apply_stream
  differences
  job_snapshot
);

my $written = '';

# make_replica(NODE): what apply_stream() needs in the database
sub make_replica
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<'EOC');
CREATE SCHEMA replica;
CREATE FUNCTION apply(slot name, VARIADIC options text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	change jsonb;
	target text;
	hit bigint;
	applied bigint := 0;
BEGIN
	FOR change IN SELECT data::jsonb FROM pg_logical_slot_get_changes(slot, NULL, NULL, VARIADIC options) LOOP
		CONTINUE WHEN change->>'op' NOT IN ('insert', 'update', 'delete');
		target := format('replica.%I', change->>'table');
		IF change->>'op' <> 'insert' THEN
			EXECUTE format('DELETE FROM %s WHERE id = $1', target)
			USING (coalesce(change->'key', change->'old', change->'new')->>'id')::int;
			GET DIAGNOSTICS hit = ROW_COUNT;
			IF hit <> 1 THEN
				RAISE EXCEPTION 'a gap before %', change;
			END IF;
		END IF;
		IF change->>'op' <> 'delete' THEN
			EXECUTE format('INSERT INTO %s SELECT (jsonb_populate_record(NULL::%s, $1)).*', target, target)
			USING change->'new';
		END IF;
		applied := applied + 1;
	END LOOP;
	RETURN applied;
END $$;
EOC
	return;
}

# start_writers(NODE, SCRIPT => WEIGHT, ...): four at a time, until they are
# stopped
sub start_writers
{
	my ($node, %scripts) = @_;

	return IPC::Run::start(
		[
			'pgbench', '-n', '-c', '4', '-T', '600', '--max-tries', '50', '--random-seed=1',
			(map { ('-f', "$_\@$scripts{$_}") } sort keys %scripts), $node->connstr('postgres')
		],
		'<', \undef, '>', \$written, '2>', \$written);
}

# roll_back_prepared(NODE): what writers left that were killed, since nobody
# else would end it
sub roll_back_prepared
{
	my ($node) = @_;

	$node->safe_psql('postgres', "ROLLBACK PREPARED '$_'")
	  foreach split(/\n/, $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts'));
	return;
}

sub stop_writers
{
	my ($node, $writers) = @_;

	$writers->kill_kill;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'");
	roll_back_prepared($node);
	return;
}

# start_call(NODE, SQL): a session that runs it; finish it
sub start_call
{
	my ($node, $sql) = @_;
	my ($out, $err) = ('', '');

	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$out, '2>', \$err);
}

# limit_rate(NODE, LIMIT): so that exports are there to be stopped; none without
sub limit_rate
{
	my ($node, $limit) = @_;

	$node->safe_psql('postgres', "LOAD 'outflow';"
		  . ($limit ? "ALTER SYSTEM SET outflow.rate_limit = '$limit'" : 'ALTER SYSTEM RESET outflow.rate_limit'));
	$node->reload;
	return;
}

# load_table(NODE, TABLE, DIRECTORY, QUERY): the replica as the export has it;
# QUERY has the columns that are exported, all without it
sub load_table
{
	my ($node, $table, $directory, $query) = @_;

	$query ||= "SELECT * FROM $table";
	$node->safe_psql('postgres', join(';',
		"DROP TABLE IF EXISTS replica.$table",
		"CREATE TABLE replica.$table AS $query WITH NO DATA",
		"ALTER TABLE replica.$table ADD PRIMARY KEY (id)",
		map { "COPY replica.$table FROM '$directory/$_' CSV" } grep { /^part/ } files_below($directory)));
	return;
}

# apply_stream(NODE, SLOT, OPTION => VALUE, ...): how many changes there were
sub apply_stream
{
	my ($node, $slot, @options) = @_;

	return $node->safe_psql('postgres',
		"SELECT apply('$slot', " . join(', ', map { "'$_'" } @options) . ')');
}

# differences(NODE, TABLE, QUERY): of the replica from the query's rows
sub differences
{
	my ($node, $table, $query) = @_;

	$query ||= "SELECT * FROM $table";
	return $node->safe_psql('postgres', <<EOC);
SELECT (SELECT count(*) FROM ($query EXCEPT ALL SELECT * FROM replica.$table) a) || ' missing, '
	|| (SELECT count(*) FROM (SELECT * FROM replica.$table EXCEPT ALL $query) b) || ' too many'
EOC
}

sub job_snapshot
{
	my ($node, $job) = @_;

	return $node->safe_psql('postgres', "SELECT snapshot FROM outflow.jobs WHERE job = $job");
}

1;
