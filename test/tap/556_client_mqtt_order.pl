# Promise: the last message of a row is its newest, also when the broker refuses one
# for now, or leaves one unanswered, and has taken those after it: they come again,
# too.  The same holds of what is retained.
use strict;
use warnings;

use ClientTest;
use JSON::PP ();
use MqttLedger;
use MqttTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
my $log = "${PostgreSQL::Test::Utils::tmp_check}/556_client_mqtt_order";
my $json = JSON::PP->new->utf8;
my $place = new_export_dir();
my $broker = MqttTest->new->start;

client_setup($node);
create_slot($node, 'slot');
my $ledger = MqttLedger->new($node, $place, $log, $broker);

# deliver(ID, CODE, PATTERN, OPTION...): three states of a row in one transaction, whose
# three PUBACKs come at once, the first of them with that code
sub deliver
{
	my ($id, $code, $pattern, @options) = @_;

	$node->safe_psql('postgres',
		"BEGIN; INSERT INTO t VALUES ($id, 1); UPDATE t SET n = 2 WHERE id = $id; UPDATE t SET n = 3 WHERE id = $id; COMMIT");
	write_to($place, 'hold', "3 $code $pattern");
	my ($exit, undef, $err) = run_client($node, 'slot', $ledger->{url}, @options, '--endpos=' . current_lsn($node));
	is($exit, 0, "$code: delivered") or diag($err);
	is(slurp_file("$place/hold"), '', "$code: three answers came at once");
	return;
}

my @faults = ([ '0x97', 'a refusal that passes' ], [ 'none', 'no answer' ]);
my $id = 0;

foreach my $fault (@faults)
{
	my ($code, $what) = @$fault;
	my $viewer = $broker->subscribe('shop/public/t');

	$id++;
	deliver($id, $code, '"n":\d');
	$broker->reached($viewer);
	my @seen = map { $_->{new} ? $_->{new}{n} : () }
	  map { ref $_ ? $_ : () } map { $json->decode($_->{payload} =~ /^\{/ ? $_->{payload} : '{}') } MqttTest::messages($viewer);
	is("@seen", '1 2 3 1 2 3', "$what: all come again, in order");
	$broker->unsubscribe($viewer);

	$id++;
	deliver($id, $code, "/row/$id", '--mqtt-rows');
	my $late = $broker->subscribe("shop/public/t/row/#");
	my ($row) = grep { $_->{retain} && $_->{topic} =~ m{/row/$id$} } MqttTest::messages($late);
	is($json->decode($row->{payload})->{n}, 3, "$what: the newest row is retained");
	$broker->unsubscribe($late);
}
$ledger->end;
$broker->kill;
done_testing();
