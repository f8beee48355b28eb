# Promise: with --exactly-once, a transaction of which Kafka has a part is gone on with, and
# whatever comes instead of its rest ends pg_outflow before the slot goes past it: nothing of
# it is lost or doubled.  What is no change of that kind ends nothing.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use JSON::PP ();
use KafkaMock;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 10s\nautovacuum = off\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/554_client_kafka_parts";
my $broker = KafkaMock->new;
my $topics = 0;

$node->safe_psql('postgres', "CREATE TABLE $_ (id int PRIMARY KEY, n text)") foreach 'a', 'b', 'c', 'u';

# arguments(SLOT, TABLES, ARGUMENT...): of a client that delivers these
sub arguments
{
	my ($slot, $tables, @more) = @_;

	return ('--to=kafka://' . $broker->address . "/$slot", '--exactly-once', '-o',
		'tables=' . join(',', map { "public.$_" } split(/,/, $tables)), @more);
}

sub new_topics
{
	my ($prefix) = @_;

	$broker->tell("topic $prefix.$_ 1") foreach 'offsets', 'message', map { "public.$_" } 'a', 'b', 'c', 'u';
	return;
}

# deliver(SLOT, TABLES, ARGUMENT...): exit code and log of a client that delivers all that is there
sub deliver
{
	my ($code, undef, $err) = run_client($node, $_[0], arguments(@_), '--endpos=' . current_lsn($node));

	return ($code, $err);
}

# position(SLOT): the last one that Kafka has
sub position
{
	my ($last) = reverse $broker->messages("$_[0].offsets");

	return $last ? JSON::PP::decode_json($last->{value}) : { commit_lsn => '0/0' };
}

# set_position(SLOT, MEMBERS...): another one, as the same client would write it
sub set_position
{
	my ($slot, %position) = @_;
	my ($last) = reverse $broker->messages("$slot.offsets");
	my $message = $last->{key} . '|' . JSON::PP::encode_json(\%position);

	IPC::Run::run([ 'kcat', '-b', $broker->address, '-P', '-t', "$slot.offsets", '-K', '|' ], '<', \$message) or die;
	return;
}

# make_part(SLOT, TABLES, SQL, ARGUMENT...): Kafka gets a part of what that does.  As
# this broker shows what is not committed, too, the last position but one is the one.
sub make_part
{
	my ($slot, $tables, $sql, @more) = @_;

	$node->safe_psql('postgres', $sql);
	my $client = start_client($node, $slot, "$log.$slot", arguments($slot, $tables, '--batch-bytes=1kB', @more));
	foreach my $try (1 .. 600)
	{
		Time::HiRes::sleep(0.1);
		last if grep({ $_->{commit_lsn} ne '0/0' } map { JSON::PP::decode_json($_->{value}) } $broker->messages("$slot.offsets")) > 1;
	}
	kill_client($client);
	my (undef, $committed) = reverse $broker->messages("$slot.offsets");
	set_position($slot, %{ JSON::PP::decode_json($committed->{value}) });
	cmp_ok(lsn_number(position($slot)->{commit_lsn}), '>', 0, "$slot: a part is there") or diag(slurp_file("$log.$slot"));
	return position($slot);
}

# check_refused(SLOT, WHAT, REASON, CODE, ERR): it was, and the slot is where the rest still comes
sub check_refused
{
	my ($slot, $what, $reason, $code, $err) = @_;
	my $commit = position($slot)->{commit_lsn};

	is($code, 5, "$slot: $what: refused") or diag($err);
	like($err, qr/has \d+ records of the transaction that commits at $commit.*$reason.*Stream it as before, or set the position in $slot\.offsets to [0-9A-F]+\/[0-9A-F]+, which leaves out the rest/,
		"$slot: $what: as it says");
	cmp_ok(lsn_number(confirmed_lsn($node, $slot)), '<=', lsn_number($commit), "$slot: $what: its rest still comes");
	return;
}

# ids(SLOT, TABLE): of the rows in the topic; what was aborted this broker shows, too
sub ids
{
	my ($slot, $table) = @_;
	my %ids = map { ($_->{headers}{id} => 1) } grep { $_->{headers}{op} eq 'c' } $broker->messages("$slot.public.$table");

	return scalar(keys %ids);
}

# check_goes_on(SLOT, TABLES, ARGUMENT...): as before, to the end
sub check_goes_on
{
	my ($slot, @how) = @_;
	my ($code, $err) = deliver($slot, @how);

	is($code, 0, "$slot: as before it goes on") or diag($err);
	is(ids($slot, 'a'), 3000, "$slot: to the end");
	return;
}

# fresh(SLOT, SQL): a slot, and what comes first in it
sub fresh
{
	my ($slot, $sql) = @_;

	$node->safe_psql('postgres', 'TRUNCATE a, b, c, u');
	new_topics($slot);
	create_slot($node, $slot);
	$node->safe_psql('postgres', $sql) if $sql;
	return;
}

my $many = 'INSERT INTO a SELECT g, md5(g::text) FROM generate_series(1, 3000) AS g';
my ($code, $err);

# nothing of it comes, and no other record either
fresh('silent');
my $part = make_part('silent', 'a', $many);
foreach my $time ('at first', 'and again')
{
	check_refused('silent', "nothing comes $time", qr{and the server, without the rest of it, is at [0-9A-F/]+ already}, deliver('silent', 'u'));
}
is_deeply(position('silent'), $part, 'silent: the position is as it was');
check_goes_on('silent', 'a');

# another one comes after it
fresh('next');
make_part('next', 'a', $many);
$node->safe_psql('postgres', 'INSERT INTO u VALUES (1)');
check_refused('next', 'one that commits later', qr{and what comes instead is of [0-9A-F/]+, after it}, deliver('next', 'u'));
is(ids('next', 'u'), 0, 'next: which is not delivered');
check_goes_on('next', 'a');

# or a record that stands alone
fresh('alone');
make_part('alone', 'a', $many);
$node->safe_psql('postgres', q{SELECT pg_logical_emit_message(false, 'p', 'x')});
check_refused('alone', 'a message', qr{and what comes instead is of [0-9A-F/]+, after it}, deliver('alone', 'u', '-o', 'messages=on'));
check_goes_on('alone', 'a', '-o', 'messages=on');

# or one that is before it, and did not come then
fresh('before', 'INSERT INTO u VALUES (2)');
make_part('before', 'a', $many);
check_refused('before', 'one that commits earlier', qr{and what comes instead is of [0-9A-F/]+, before it}, deliver('before', 'a,u'));
is(ids('before', 'u'), 0, 'before: which is not delivered');
check_goes_on('before', 'a');

# as many others come, and the same is the last
fresh('others');
make_part('others', 'c,u', "BEGIN; INSERT INTO b VALUES (1); INSERT INTO c VALUES (1); $many; COMMIT" =~ s/INTO a/INTO u/r);
check_refused('others', 'others in their place', qr{and those before it are not the same now}, deliver('others', 'b,u'));
($code, $err) = deliver('others', 'c,u');
is($code, 0, 'others: as before it goes on') or diag($err);
is(ids('others', 'c') + ids('others', 'u'), 3001, 'others: to the end');

# the slot is past it: what is missing can't come any more
fresh('moved');
$part = make_part('moved', 'a', $many);
pass_over($node, 'moved');
my $moved = confirmed_lsn($node, 'moved');
($code, $err) = deliver('moved', 'a');
is($code, 5, 'a slot that is past it: refused') or diag($err);
# which a server from 19 on writes with zeros in front
$moved =~ s{/0+(?=.)}{/};
like($err, qr/slot "moved" is at $moved, and .* has only \d+ records of the transaction that commits at .*set the position in moved\.offsets to $moved/,
	'... with the gap and the way back');
set_position('moved', %$part, position => $moved);
($code, $err) = deliver('moved', 'a');
is($code, 0, '... which works') or diag($err);

# The last record fills a transaction of Kafka, and its commit is none: so that its end isn't
# taken for missing, it is stored.
fresh('full');
foreach my $round (1 .. 3)
{
	$node->safe_psql('postgres', "INSERT INTO a VALUES ($round, repeat('x', 2000)); INSERT INTO u VALUES ($round)");
	($code, $err) = deliver('full', 'a', '--batch-bytes=1kB');
	is($code, 0, "full: round $round") or diag($err);
	is(position('full')->{commit_lsn}, '0/0', "full: round $round: the end is stored");
}
is(ids('full', 'a'), 3, 'full: all is there');

# whether the end of a part came isn't known of a position without a sum, of an earlier version
fresh('old');
$part = make_part('old', 'a', $many);
delete $part->{sum};
set_position('old', %$part);
is(position('old')->{sum}, undef, 'old: a position without a sum');
check_goes_on('old', 'a');
cmp_ok(lsn_number(confirmed_lsn($node, 'old')), '>', lsn_number($part->{commit_lsn}), 'old: the slot is past it');
set_position('old', %$part);
$node->safe_psql('postgres', 'INSERT INTO b VALUES (1)');
($code, $err) = deliver('old', 'a,b');
is($code, 0, 'old: goes on there, too') or diag($err);
is(ids('old', 'b'), 1, 'old: with what comes');

# A target that is behind gets what one before its part has: that is passed over.
fresh('ahead', "INSERT INTO a VALUES (-1); INSERT INTO a VALUES (-2)");
new_topics('behind');
$part = make_part('ahead', 'a', $many, '--to=http://127.0.0.1:9/');
cmp_ok(lsn_number($part->{position}), '>', lsn_number(confirmed_lsn($node, 'ahead')), 'ahead: it is');
($code, $err) = deliver('ahead', 'a', '--to=kafka://' . $broker->address . '/behind');
is($code, 0, 'ahead: goes on') or diag($err);
is(ids($_, 'a'), 3002, "$_: to the end") foreach 'ahead', 'behind';

done_testing();
