# Promise: dead letters are on disk before a position after their records is confirmed,
# many of them at once, so that thousands don't keep the server waiting.
use strict;
use warnings;

use ClientTest;
use MqttTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = PostgreSQL::Test::Utils::tempdir();
my $node = new_outflow_node('main');
my $broker = MqttTest->new('max_packet_size 5000')->start;
my $dead = "$tmp/558_dead";
my ($transactions, $size) = (20, 150);

client_setup($node);
create_slot($node, 'slot');
$node->safe_psql('postgres', "DO \$\$ BEGIN FOR i IN 1 .. $transactions LOOP
	INSERT INTO t SELECT i * 1000 + g, 1, repeat('y', 5000) FROM generate_series(1, $size) AS g; COMMIT; END LOOP; END \$\$");

my %calls = watch_calls("$tmp/558_calls", $dead);
my ($code, $err);
{
	local @ENV{ keys %calls } = values %calls;
	($code, undef, $err) = run_client($node, 'slot', "--to=mqtt://127.0.0.1:$broker->{port}/shop",
		'--on-reject=dead-letter', "--dead-letter=$dead", '--endpos=' . current_lsn($node));
}
is($code, 0, 'what the broker would not take is set aside') or diag(substr($err, -2000));
my $letters = () = slurp_file($dead) =~ /\n/g;
is($letters, $transactions * $size, 'each a dead letter');

my ($syncs, $early, $confirmed, $pending) = (0, 0, '', 0);
foreach my $call (split(/\n/, slurp_file("$tmp/558_calls")))
{
	if ($call eq 'write') { $pending++; }
	elsif ($call eq 'sync') { $syncs++; $pending = 0; }
	elsif ($call =~ /^feedback (\w+)/ && $1 gt $confirmed)
	{
		$early++ if $pending;
		$confirmed = $1;
	}
}
is($early, 0, 'no position was confirmed before the letters were on disk');
cmp_ok(hex($confirmed), '>=', lsn_number(confirmed_lsn($node, 'slot')), 'of all that was confirmed');
cmp_ok($syncs, '>', 0, 'they were written to disk');
cmp_ok($syncs, '<', $letters / 10, "... in $syncs turns");
$broker->kill;
done_testing();
