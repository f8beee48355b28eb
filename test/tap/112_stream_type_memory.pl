# Promise: what a table's types are made of takes a bounded amount of memory, whoever
# made them: neither defaults, generation expressions nor dropped columns of composite
# types are held once for each column that has such a type, and of a table's own
# defaults no more than some.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
my $peak = q{SELECT 'peak ' || substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'VmHWM:\s*(\d+)')};
create_slot($node, 'feed');

# peak(COMMAND...): megabytes that a new session took at most, and what it said
sub peak
{
	my @commands = @_;
	my $said = $node->safe_psql('postgres', join(';', @commands, $peak));
	my ($kilobytes) = $said =~ s/^peak (\d+)\Z//m ? $1 : die $said;

	return ($kilobytes / 1024, $said);
}

# table(NAME, COLUMNS, TYPE): one of many columns of a type
sub table
{
	my ($name, $columns, $type) = @_;

	return "CREATE TABLE $name (id int, " . join(', ', map { "c$_ $type" } 1 .. $columns) . ");";
}

my $add = sub {
	my ($what, $rest) = @_;

	return "DO \$do\$ BEGIN EXECUTE format('$what', repeat('x', $rest)); END \$do\$;";
};
my $many = join(', ', map { "d$_ int" } 1 .. 1599);
my $gone = join(', ', map { "DROP d$_" } 1 .. 1599);
$node->safe_psql('postgres',
	    $add->('CREATE TABLE defaults (id int, t text DEFAULT %L)', 950000)
	  . $add->('CREATE TABLE generated (id int, t text GENERATED ALWAYS AS (CASE WHEN id = 1 THEN %L END) STORED)', 5000000)
	  . 'CREATE TABLE added (id int);'
	  . $add->('ALTER TABLE added ADD t text DEFAULT %L', 600000)
	  . "CREATE TABLE dropped (id int, $many); ALTER TABLE dropped $gone;");

my %tables = (
	defaults => table('t_defaults', 200, 'defaults'),
	generated => table('t_generated', 30, 'generated'),
	added => table('t_added', 1000, 'added'),
	dropped => table('t_dropped', 1000, 'dropped'),
	nested => 'CREATE TYPE inner_type AS (' . join(', ', map { "a$_ dropped" } 1 .. 20) . ');' . table('t_nested', 50, 'inner_type'),
	arrays => table('t_arrays', 30, 'generated[]'),
	own => $add->('CREATE TABLE t_own (id int, ' . join(', ', map { "c$_ text DEFAULT %1\$L" } 1 .. 60) . ')', 950000));
# what the server itself takes to read the table's definition
my %most = (own => 60 * 4 + 150);

my ($least) = peak(q{SELECT count(*) FROM pg_logical_slot_get_changes('feed', NULL, NULL)});
foreach my $case (sort keys %tables)
{
	$node->safe_psql('postgres', $tables{$case});
	$node->safe_psql('postgres', "INSERT INTO t_$case SELECT 1" . ($case eq 'own' ? q{, ''} x 60 : ''));
	foreach my $way (
		[ stream => q{SELECT count(*) FROM pg_logical_slot_peek_changes('feed', NULL, NULL)} ],
		[ export => "CALL outflow.export('t_$case', 'file://" . new_export_dir() . "/x', workers => 0)" ])
	{
		my ($megabytes, $said) = peak($way->[1]);
		cmp_ok($megabytes - $least, '<', $most{$case} // 150, "$case, $way->[0]: $megabytes MB instead of $least MB");
		like($said, qr/^4$/m, '... and the row is there') if $way->[0] eq 'stream';
	}
	$node->safe_psql('postgres', q{SELECT count(*) FROM pg_logical_slot_get_changes('feed', NULL, NULL)});
}

# the masks of the setting, which each new definition of a table asks for
my $rules = join(',', map { "public.nothing_$_.some_column=null" } 1 .. 300);
$node->safe_psql('postgres', q{CREATE TABLE k (id int PRIMARY KEY, v int); SELECT count(*) FROM pg_logical_slot_get_changes('feed', NULL, NULL);
	DO $$ BEGIN FOR i IN 1 .. 1000 LOOP EXECUTE 'ALTER TABLE k ALTER v SET DEFAULT ' || i; INSERT INTO k VALUES (i); COMMIT; END LOOP; END $$});
my ($with) = peak(q{LOAD 'outflow'}, "SET outflow.mask_columns = '$rules'", q{SELECT count(*) FROM pg_logical_slot_peek_changes('feed', NULL, NULL)});
my ($without) = peak(q{SELECT count(*) FROM pg_logical_slot_peek_changes('feed', NULL, NULL)});
cmp_ok($with - $without, '<', 20, "a thousand definitions under many masks: $with MB, without masks $without MB");

$node->stop;
done_testing();
