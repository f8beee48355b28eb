# Promise: an error that a function or a savepoint catches while it reads a slot
# leaves the slot as it was: to be read again, by this session and others.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_outflow_node('caught');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub slots { return sql(q{SELECT string_agg(slot_name || ' ' || active, ', ' ORDER BY slot_name) FROM pg_replication_slots}) }

sql('CREATE TABLE t (k int PRIMARY KEY)');
create_slot($node, $_) foreach 'a', 'b';
sql('INSERT INTO t VALUES (1), (2)');

# whether the error comes at the start, or at a row
my %errors = ('an unknown option' => "'typo', 'x'", 'a row' => "'max_value_bytes', '1kB', 'oversize', 'error'");
sql("INSERT INTO t SELECT 3; CREATE TABLE long (x text); INSERT INTO long VALUES (repeat('x', 5000))");
foreach my $error (sort keys %errors)
{
	my $read = "PERFORM FROM pg_logical_slot_%s_changes('%s', NULL, NULL%s)";
	my $fails = sprintf($read, 'get', 'a', ", $errors{$error}");
	my $caught = "BEGIN $fails; RAISE 'no error'; EXCEPTION WHEN OTHERS THEN IF sqlerrm = 'no error' THEN RAISE; END IF; END";

	foreach my $next (sprintf($read, 'peek', 'b', ''), sprintf($read, 'peek', 'a', ''), $caught, 'NULL')
	{
		my $ends = $next =~ /'([ab])'/ ? "then reads $1" : "then reads nothing";
		my $do = "DO \$\$ BEGIN $caught; $next; END \$\$";

		foreach my $then ('', "; SELECT count(*) > 0 FROM pg_logical_slot_peek_changes('a', NULL, NULL)")
		{
			is(join(' ', $node->psql('postgres', $do . $then)), $then ? '0 t ' : '0  ', "$error, $ends: the session goes on");
			wait_until($node, 'SELECT NOT bool_or(active) FROM pg_replication_slots', 'its end');
			is(slots(), 'a false, b false', '... and both slots are there');
		}
	}
	is(sql("BEGIN; SAVEPOINT s; SELECT count(*) > 0 FROM pg_logical_slot_peek_changes('b', NULL, NULL); ROLLBACK TO s;"
			  . "DO \$\$ BEGIN $caught; END \$\$; ROLLBACK; SELECT count(*) > 0 FROM pg_logical_slot_peek_changes('a', NULL, NULL)"),
		"t\nt", "$error, in a transaction that is rolled back");
	my $session = $node->background_psql('postgres');
	$session->query_safe("DO \$\$ BEGIN $caught; END \$\$");
	is(slots(), 'a false, b false', "$error: nobody has it while the session lives");
	$session->quit;
}
is(sql("SELECT count(*) FROM pg_logical_slot_get_changes('$_', NULL, NULL) WHERE data LIKE '%\"insert\"%'"), 4, "all is in $_") foreach 'a', 'b';
$node->stop;
done_testing();
