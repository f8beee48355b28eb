# KillRounds.pm: rounds in which everything dies, and the ledger that says what must
# have been delivered in spite of it.
#
# A trigger writes each change of the table t into the table ledger, in the
# transaction of the change: what a target has of a key must be the ledger's changes
# of this key, all of them and in order.
package KillRounds;

use strict;
use warnings;

use ClientTest;
use Exporter qw(import);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(
  kill_rounds
  finish_kills
  ledger_setup
  ledger_clear
  change_of_json
  change_of_debezium
  check_ledger
);

# kill_rounds(NODE, client => SUB, ...): OUTFLOW_ROUNDS (10) times the table changes
# while a client runs, until it is killed, or told to end.  Each SUB gets the number of the round.
#
#	client			starts a client
#	writer			starts who changes the table; else as many "transactions" (40)
#	slot			that it must have caught up with, now and then
#	before			what is to be done before a round begins
#	seed			of the moments at which something is killed
#	wait			seconds until something is killed: [least, and up to so many more]
#	target			kills the target and starts it again; each "target_every" (3) rounds
#	server_every	rounds after which PostgreSQL crashes (5; 0: never)
sub kill_rounds
{
	my ($node, %how) = @_;
	my ($least, $more) = @{ $how{wait} // [ 0.3, 1 ] };
	my $server_every = $how{server_every} // 5;

	srand($how{seed} // 4711);
	foreach my $round (1 .. $ENV{OUTFLOW_ROUNDS} || 10)
	{
		$how{before}->($round) if $how{before};
		my $writer = $how{writer} ? $how{writer}->($round) : start_writer($node, $how{transactions} // 40);
		my $client = $how{client}->($round);

		Time::HiRes::sleep($least + rand($more));
		if ($server_every && $round % $server_every == 0)
		{
			$node->stop('immediate');
			$node->start;
			Time::HiRes::sleep(rand(0.5));
		}
		if ($how{target} && $round % ($how{target_every} // 3) == 0)
		{
			$how{target}->($round);
			Time::HiRes::sleep(rand(0.5));
		}
		# so that no number of kills leaves more than the changes of ten
		wait_confirmed($node, $how{slot}, current_lsn($node)) if $how{slot} && $round % 10 == 0;
		# in some it is only told to end
		if ($round % 4 == 3) { stop_client($client); }
		else { kill_client($client); }
		$writer->finish;
	}
	return;
}

# finish_kills(NODE, SLOT, CLIENT): until all is confirmed, and a clean stop
sub finish_kills
{
	my ($node, $slot, $client) = @_;

	wait_confirmed($node, $slot, current_lsn($node));
	is(stop_client($client), 0, "$slot: a clean stop");
	return;
}

# ledger_setup(NODE): after client_setup()
sub ledger_setup
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<'EOC');
CREATE TABLE ledger (number bigint GENERATED ALWAYS AS IDENTITY, change text);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ledger (change) VALUES (CASE TG_OP WHEN 'DELETE' THEN 'delete|' || OLD.id || '|'
		ELSE lower(TG_OP) || '|' || NEW.id || '|' || NEW.n END);
	RETURN NULL;
END $$;
CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION keep();
EOC
	return;
}

# ledger_clear(NODE): before a slot is made
sub ledger_clear
{
	my ($node) = @_;

	$node->safe_psql('postgres', 'TRUNCATE t, ledger');
	return;
}

# What check_ledger() takes, of a record of t; undef if it is another's.  There are
# hundreds of thousands, so they are read by their form and not by a parser.

sub change_of_json
{
	my ($line) = @_;
	my ($op, $id, $table) = $line =~ /^\{"op":"(\w+)","id":"([^"]+)",.*?"table":"(\w+)"/;

	return if ($table // '') ne 't' || $op !~ /^(?:insert|update|delete)$/;
	my ($key, $n) = $op eq 'delete' ? $line =~ /"key":\{"id":(\d+)()\}/ : $line =~ /"new":\{"id":(\d+),"n":(\d+)/;
	die "unlike a change: $line" if !defined $n;
	return { id => $id, key => $key, change => "$op|$key|$n" };
}

my %op = (c => 'insert', u => 'update', d => 'delete');

sub change_of_debezium
{
	my ($id, $text) = @_;
	my ($table, $op) = $text =~ /"table":"(\w+)".*?\},"op":"(\w)"/;

	return if ($table // '') ne 't' || !$op{ $op };
	my ($key, $n) = $op eq 'd' ? $text =~ /"before":\{"id":(\d+)()/ : $text =~ /"after":\{"id":(\d+),"n":(\d+)/;
	die "unlike a change: $text" if !defined $n;
	return { id => $id, key => $key, change => "$op{$op}|$key|$n" };
}

# check_ledger(WHAT, NODE, CHANGE...): in the order in which a reader of the target saw
# them; how often one came again
sub check_ledger
{
	my ($what, $node, @changes) = @_;
	my (%seen, %there, %here, $differ);
	my $again = 0;

	foreach my $change (grep { defined } @changes)
	{
		if (defined $seen{ $change->{id} })
		{
			$again++;
			$differ //= $change->{id} if $seen{ $change->{id} } ne $change->{change};
			next;
		}
		$seen{ $change->{id} } = $change->{change};
		push @{ $there{ $change->{key} } }, $change->{change};
	}
	foreach my $change (split(/\n/, $node->safe_psql('postgres', 'SELECT change FROM ledger ORDER BY number')))
	{
		push @{ $here{ (split(/\|/, $change))[1] } }, $change;
	}
	my @wrong = grep { join(' ', @{ $there{$_} || [] }) ne join(' ', @{ $here{$_} || [] }) }
	  sort { $a <=> $b } keys %{ { %there, %here } };

	cmp_ok(scalar(keys %seen), '>', 100, "$what: " . keys(%seen) . " changes, $again again");
	is($differ, undef, "$what: what comes again is the same");
	is(join(' ', @wrong), '', "$what: each key has the ledger's changes, in order")
	  or diag(map { "$_ is @{ $there{$_} || [] }\nbut was @{ $here{$_} || [] }\n" } grep { defined } @wrong[ 0 .. 2 ]);
	return $again;
}

1;
