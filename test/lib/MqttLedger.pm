# MqttLedger.pm: a stream to an MQTT broker through a proxy that watches it, kills of
# all that takes part, and what a subscriber has seen of it.
#
#	my $ledger = MqttLedger->new($node, $place, $log, $broker);
#	$ledger->kills('slot', $viewer);
#	my ($again, @lines) = $ledger->seen('slot', $viewer);
package MqttLedger;

use strict;
use warnings;

use ClientTest;
use KillRounds;
use MqttTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my @ledgers;

sub new
{
	my ($class, $node, $place, $log, $broker) = @_;
	my $self = bless { node => $node, place => $place, log => $log, broker => $broker }, $class;

	$self->{proxy} = start_peer('mqtt_proxy.py', $place, "$log.proxy", $broker->{port},
		$node->host . '/.s.PGSQL.' . $node->port);
	$self->{url} = '--to=mqtt://127.0.0.1:' . slurp_file("$place/mqtt_port") . '/shop';
	push @ledgers, $self;
	return $self;
}

sub end
{
	my ($self) = @_;

	return if !$self->{proxy};
	$self->{proxy}->signal('KILL');
	$self->{proxy}->finish;
	delete $self->{proxy};
	return;
}

# faults(SEED, CUT, LOSE): those of mqtt_proxy.py
sub faults
{
	my ($self, @faults) = @_;

	write_to($self->{place}, 'faults', "@faults");
	return;
}

# client(SLOT, ARGUMENT...): both ways, to PostgreSQL and to the broker, lead through
# the proxy
sub client
{
	my ($self, $slot, @more) = @_;

	return start_proxied_client($self->{place}, $slot, $self->{log}, $self->{url}, @more);
}

# kills(SLOT, VIEWER): of the client, of PostgreSQL, and of the broker, while
# the table changes and connections break
sub kills
{
	my ($self, $slot, $viewer) = @_;
	my $node = $self->{node};

	kill_rounds(
		$node,
		slot => $slot,
		before => sub { $self->faults($_[0], 10, 10) },
		client => sub { $self->client($slot) },
		target => sub
		{
			$self->{broker}->reached($viewer);
			$self->{broker}->kill;
			Time::HiRes::sleep(rand(0.5));
			$self->{broker}->start;
			Time::HiRes::sleep(rand(0.5));
		});
	$self->faults(0, 0, 0);
	finish_kills($node, $slot, $self->client($slot));
	return;
}

# seen(SLOT, VIEWER): how often one came again, and the records of the table that it
# has seen, each once, after the last one of the slot came
sub seen
{
	my ($self, $slot, $viewer) = @_;
	my ($again, $differ, %seen, @lines) = (0, 0);

	$self->{node}->safe_psql('postgres', "SELECT pg_logical_emit_message(true, 'test', 'the end of $slot')");
	run_client($self->{node}, $slot, "--to=mqtt://127.0.0.1:$self->{broker}{port}/shop",
		'--endpos=' . current_lsn($self->{node}));
	MqttTest::wait_for($viewer, qr/the end of $slot/);
	foreach my $message (MqttTest::messages($viewer))
	{
		next if $message->{topic} ne 'shop/public/t';
		my $id = $message->{properties}{'user-properties'}{id};

		if (!defined $seen{$id}) { push @lines, $message->{payload}; $seen{$id} = $message->{payload}; }
		else { $again++; $differ++ if $seen{$id} ne $message->{payload}; }
	}
	is($differ, 0, "$slot: what comes again is the same");
	cmp_ok(scalar(@lines), '>', 100, "$slot: " . @lines . " records, $again again");
	check_once("$slot, without repetitions", @lines);
	is(replay_records(@lines), table_rows($self->{node}), "$slot: they give the table");
	return ($again, @lines);
}

# checked(): what the proxy has seen
sub checked
{
	my ($self) = @_;

	ok(!-e "$self->{place}/violations", 'nothing was confirmed before it was acknowledged, no limit passed')
	  or diag(slurp_file("$self->{place}/violations"));
	ok(-s "$self->{place}/confirmed", 'positions were seen on the wire');
	return;
}

END
{
	local $?;

	$_->end foreach @ledgers;
}

1;
