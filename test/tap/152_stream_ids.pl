# Promise: a record's id is the same in every delivery, whether its transaction
# comes whole, spilled or in pieces, wherever the pieces are cut; and no other
# record has it.
#
# The transactions are random: rows, multi-inserts, messages and subtransactions
# that are kept or undone, in any order.  SEED=N repeats a run.
use strict;
use warnings;

use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} || 4711;
my $node = new_outflow_node('ids', conf => 'autovacuum = off');
my $file = "${PostgreSQL::Test::Utils::tmp_check}/rows";

diag("SEED=$seed");
srand($seed);
$node->safe_psql('postgres',
	'CREATE TABLE t (id bigint, v text); CREATE TABLE u (LIKE t)');
create_slot($node, 'feed');

my $number = 0;
my $savepoints = 0;
my @open;

# statement(): one of a transaction
sub statement
{
	my $kind = int(rand(12));
	my $table = rand() < 0.7 ? 't' : 'u';
	my $text = 'x' x rand(120);

	$number++;
	return "INSERT INTO $table VALUES ($number, '$text');" if $kind < 4;
	return "SELECT pg_logical_emit_message(true, 'note', '$number');" if $kind < 7;
	return "UPDATE $table SET v = v || 'y' WHERE id = $number - 3;" if $kind < 8;
	if ($kind < 9)
	{
		my $first = $number;

		$number += 40;
		return "COPY $table FROM PROGRAM 'seq -f \"%.0f	$text\" $first $number';";
	}
	if ($kind < 11 && @open < 5)
	{
		push @open, 's' . ++$savepoints;
		return "SAVEPOINT $open[-1];";
	}
	return '' if !@open;
	my $end = rand() < 0.2 ? 'ROLLBACK TO' : 'RELEASE';
	my $name = pop @open;
	return "$end $name;" . ($end eq 'RELEASE' ? '' : "RELEASE $name;");
}

foreach my $transaction (1 .. 12)
{
	@open = ();
	my $statements =
	  join("\n", map { statement() } 1 .. 20 + rand(1500));
	$node->safe_psql('postgres',
		"BEGIN;\n$statements\nCOMMIT;\n");
}

# delivery(MEMORY, OPTION => VALUE...): "place op what" => how often
sub delivery
{
	my ($memory, %options) = @_;
	my $list = join('', map { ", '$_', '$options{$_}'" } sort keys %options);
	my %records;
	my %undone;
	my @all;

	foreach my $line (
		split(
			/\n/,
			$node->safe_psql('postgres',
				"SET logical_decoding_work_mem = '$memory';
				SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL$list)")))
	{
		my $record = JSON::PP::decode_json($line);

		if ($record->{op} eq 'stream_abort')
		{
			$undone{ $record->{subxid} } = 1;
			next;
		}
		push @all, $record if defined $record->{id};
	}
	foreach my $record (@all)
	{
		next if defined $record->{subxid} && $undone{ $record->{subxid} };
		$records{
			join(' ',
				substr($record->{id}, 17), $record->{xid}, $record->{op},
				$record->{table} // $record->{content},
				$record->{new}{id} // '')
		}++;
	}
	return \%records;
}

my $whole = delivery('1GB');
my %places = map { (split)[0] => 1 } keys %$whole;
cmp_ok(scalar(keys %$whole), '>', 3000, 'there are records enough');
is(scalar(keys %places), scalar(keys %$whole), 'no two have one id');
is_deeply(delivery('64kB'), $whole, 'spilled: the same ids');
foreach my $round (1 .. 12)
{
	my $memory = int(64 + rand(300)) . 'kB';
	my %options = (streaming => 'on');

	$options{batch_bytes} = int(rand(5000)) if rand() < 0.5;
	$options{exclude_tables} = 'public.u' if rand() < 0.3;
	my $expected = $options{exclude_tables}
	  ? { map { $_ => 1 } grep { (split)[3] ne 'u' } keys %$whole }
	  : $whole;
	is_deeply(delivery($memory, %options), $expected,
		"in pieces of $memory"
		  . join('', map { ", $_ $options{$_}" } sort keys %options)
		  . ': the same ids');
}

done_testing();
