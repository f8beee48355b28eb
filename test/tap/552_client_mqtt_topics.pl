# Promise: messages go to the topics that the template says, of which no two names
# share one; rows are retained in their last state; brokers are reached over TLS
# and with a password, waited for when they are down, and left when they refuse.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use JSON::PP ();
use MqttTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
my $log = "${PostgreSQL::Test::Utils::tmp_check}/552_client_mqtt_topics";
my $json = JSON::PP->new->utf8;
my $place = new_export_dir();
my $broker = MqttTest->new->start;
my $url = "--to=mqtt://127.0.0.1:$broker->{port}/shop";

# deliver(TARGET...): exit code and messages of the program
sub deliver
{
	my (@target) = @_;
	my ($code, undef, $err) = run_client($node, 'slot', @target, '--endpos=' . current_lsn($node));

	return ($code, $err);
}

# topics(TARGET...): those of the changes since the last time
sub topics
{
	my ($viewer, @target) = @_;
	my $before = () = MqttTest::messages($viewer);
	my ($code, $err) = deliver('-o', 'include_transactions=off', @target);

	is($code, 0, 'delivered') or diag($err);
	$broker->reached($viewer);
	my @messages = MqttTest::messages($viewer);
	return map { $_->{topic} } grep { !defined $_->{payload} || $_->{payload} !~ /^"?reached|"op":"schema"/ }
	  @messages[ $before .. $#messages ];
}

create_slot($node, 'slot');
my $viewer = $broker->subscribe('shop/#');
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE "a/b" (id text PRIMARY KEY);
CREATE TABLE "a%2Fb" (id text PRIMARY KEY);
CREATE TABLE "+#$" (a int, b text, PRIMARY KEY (a, b));
INSERT INTO "a/b" VALUES ('x/y,z');
INSERT INTO "a%2Fb" VALUES ('');
INSERT INTO "+#$" VALUES (1, E'\n');
DELETE FROM "+#$";
EOC
is(join(' ', topics($viewer, $url)), 'shop/public/a%2Fb shop/public/a%252Fb shop/public/%2B%23%24 shop/public/%2B%23%24',
	'names are escaped');
$node->safe_psql('postgres', q{INSERT INTO "a/b" VALUES ('1/2'); INSERT INTO "+#$" VALUES (1, 'y,z');
	UPDATE "+#$" SET b = 'k' WHERE a = 1; DELETE FROM "+#$"; SELECT pg_logical_emit_message(true, 'p', 'text')});
is(join(' ', topics($viewer, $url, '--mqtt-topic={prefix}/{slot}/{table}/{key}/{op}')),
	'shop/slot/a%2Fb/1%2F2/insert shop/slot/%2B%23%24/1,y%2Cz/insert shop/slot/%2B%23%24/1,y%2Cz/update '
	  . 'shop/slot/%2B%23%24/1,k/delete shop/message', 'placeholders');
$node->safe_psql('postgres', q{INSERT INTO "a/b" VALUES ('2'); SELECT pg_logical_emit_message(true, 'p', 'text')});
is(join(' ', topics($viewer, $url, '--mqtt-topic={prefix}/all')), 'shop/all shop/all', 'one topic for all');
$node->safe_psql('postgres', q{INSERT INTO "a/b" VALUES ('3'); DELETE FROM "a/b" WHERE id = '3'});
is(join(' ', topics($viewer, $url, '-o', 'format=debezium', '--mqtt-topic={prefix}/{table}/{key}')),
	'shop/a%2Fb/3 shop/a%2Fb/3', 'of Debezium, too');
$node->safe_psql('postgres', q{INSERT INTO "+#$" VALUES (2, repeat('long', 500)), (3, 'short'); UPDATE "+#$" SET a = 4 WHERE a = 2; DELETE FROM "+#$"});
is(join(' ', topics($viewer, $url, '-o', 'max_value_bytes=1kB', '--mqtt-topic={prefix}/{table}/{op}/{key}')),
	'shop/%2B%23%24/insert/ shop/%2B%23%24/insert/3,short shop/%2B%23%24/update/ shop/%2B%23%24/delete/3,short shop/%2B%23%24/delete/',
	'half a key is none');
$node->safe_psql('postgres', q{INSERT INTO "a/b" VALUES ('4')});
is((deliver($url))[0], 0, 'records of no table');
$broker->reached($viewer);
my %of_no_table = map { ($_->{topic} => 1) } grep { ($_->{payload} // '') =~ /"op":"(begin|commit|schema)"/ } MqttTest::messages($viewer);
ok($of_no_table{"shop/$_"}, "... have the topic shop/$_") foreach qw(transaction schema);

# rows: what is retained is the table
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE r (id int PRIMARY KEY, n int, long text);
ALTER TABLE r REPLICA IDENTITY FULL;
ALTER TABLE r ALTER COLUMN long SET STORAGE EXTERNAL;
INSERT INTO r SELECT i, i, repeat('l', 3000) FROM generate_series(1, 20) AS i;
UPDATE r SET n = n + 100 WHERE id % 2 = 0;
UPDATE r SET id = id + 1000 WHERE id > 15;
DELETE FROM r WHERE id < 5;
EOC
my ($code, $err) = deliver($url, '--mqtt-rows');
is($code, 0, 'rows are delivered') or diag($err);
my $late = $broker->subscribe('shop/public/r/row/#');
my %rows = map { $_->{topic} =~ s{.*/}{}r => $_ } grep { $_->{retain} } MqttTest::messages($late);
is(
	join("\n", map { my $row = $json->decode($rows{$_}{payload}); "$_|$row->{id}|$row->{n}|" . length($row->{long}) }
		  sort { $a <=> $b } keys %rows),
	$node->safe_psql('postgres', 'SELECT id, id, n, length(long) FROM r ORDER BY id'),
	'a late subscriber gets the table');
$node->safe_psql('postgres', "ALTER TABLE r REPLICA IDENTITY DEFAULT; UPDATE r SET n = 0 WHERE id = 7");
($code, $err) = deliver($url, '--mqtt-rows');
is($code, 7, 'a row that the WAL has not all of is not retained');
like($err, qr/need REPLICA IDENTITY FULL/, '... and the way out is named');
($code, $err) = deliver($url, '--mqtt-rows', '--on-reject=dead-letter', "--dead-letter=$place/dead");
is($code, 0, '... or a dead letter is written') or diag($err);
$node->safe_psql('postgres', "ALTER TABLE r REPLICA IDENTITY FULL; TRUNCATE r");
($code, $err) = deliver($url, '--mqtt-rows');
is($code, 7, 'a TRUNCATE is rejected where rows are retained');
like($err, qr/a TRUNCATE leaves the rows retained/, '... and says why');
($code, $err) = deliver($url);
is($code, 0, '... and where not, it is a message') or diag($err);
# under a partitioned table's name, rows that come and rows that go have one key, whatever the table's own is
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE p (id int, k int, u int NOT NULL, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
CREATE UNIQUE INDEX p_index ON p (u, k);
CREATE UNIQUE INDEX p2_index ON p2 (k, u);
ALTER TABLE p REPLICA IDENTITY USING INDEX p_index;
ALTER TABLE p2 REPLICA IDENTITY USING INDEX p2_index;
CREATE PUBLICATION p FOR TABLE p WITH (publish_via_partition_root);
INSERT INTO p VALUES (1, 1, 10), (1, 2, 10), (2, 1, 20), (2, 2, 20);
DELETE FROM p WHERE id = 1;
EOC
($code, $err) = deliver($url, '--mqtt-rows', '-o', 'publication_names=p');
is($code, 0, 'rows of partitions are delivered') or diag($err);
$late = $broker->subscribe('shop/public/p/row/#');
%rows = map { ($_->{topic} =~ s{.*/}{}r => 1) } grep { $_->{retain} } MqttTest::messages($late);
is(join(' ', sort keys %rows), '2,1 2,20', '... and those that are deleted are retained no longer');
$broker->kill;

# a broker with a password and TLS
my @openssl = ('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2');
IPC::Run::run([ @openssl, '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1',
		'-keyout', "$place/key", '-out', "$place/cert" ], '2>', '/dev/null') or die;
IPC::Run::run([ @openssl, '-subj', '/CN=elsewhere', '-keyout', "$place/key2", '-out', "$place/cert2" ],
	'2>', '/dev/null') or die;
append_to_file("$place/passwords", "me:secret word\n");
chmod(0700, "$place/passwords");
IPC::Run::run([ 'mosquitto_passwd', '-U', "$place/passwords" ]) or die;
my $safe = MqttTest->new('allow_anonymous false', "password_file $place/passwords", "certfile $place/cert", "keyfile $place/key");
my @tls = ("--to=mqtts://me:secret%20word\@127.0.0.1:$safe->{port}/shop", "--mqtt-ca=$place/cert");

$node->safe_psql('postgres', 'INSERT INTO r VALUES (50)');
my $client = start_client($node, 'slot', "$log.down", @tls);
# as some versions of libmosquitto call it
wait_for_line("$log.down", qr{(?:refused|A TLS error occurred\.); connecting again});
$safe->start;
my $end = current_lsn($node);
wait_confirmed($node, 'slot', $end);
is(stop_client($client), 0, 'it is waited for');

# the example of README.md, TLS apart
{
	my $file = "$place/sub.out";
	my $sub = IPC::Run::start([ 'bash', '-c', 'exec stdbuf -oL ' . readme_command('mosquitto_sub', '-h broker',
				"-h 127.0.0.1 -p $safe->{port} -u me -P 'secret word' --cafile $place/cert -d", 'public/orders', 'public/r') ],
		'<', \undef, '>', $file, '2>&1');
	wait_for_line($file, qr/received SUBACK/);
	my $stream = start_readme_command($node, "$log.example", 'pg_outflow stream -d dbname=shop -S orders --to mqtts:', '-S orders', '-S slot',
		'user:password@broker/shop', "me:secret%20word\@127.0.0.1:$safe->{port}/shop --mqtt-ca $place/cert");
	$node->safe_psql('postgres', 'UPDATE r SET n = 2 WHERE id = 50');
	wait_for_line($file, qr{^shop/public/r .*lsn:.*"op":"update"}m);
	is(stop_client($stream), 0, "README.md's example delivers");
	$sub->kill_kill(grace => 0);
}

sub refused
{
	my ($what, $pattern, @target) = @_;

	$node->safe_psql('postgres', 'UPDATE r SET n = 1 WHERE id = 50');
	my ($exit, $said) = deliver(@target);
	is($exit, 6, "$what: exit code");
	like($said, $pattern, "$what: the reason");
	unlike($said, qr/secret|wrong/, "$what: no password is told");
	return;
}

refused('a wrong password', qr/refuses: Not authorized/, "--to=mqtts://me:wrong\@127.0.0.1:$safe->{port}/shop", "--mqtt-ca=$place/cert");
refused('no password', qr/refuses: Not authorized/, "--to=mqtts://127.0.0.1:$safe->{port}/shop", "--mqtt-ca=$place/cert");
refused('an unknown certificate', qr/certificate verify failed/, $tls[0], "--mqtt-ca=$place/cert2");
refused('the system\'s certificates', qr/certificate verify failed/, $tls[0]);
($code, $err) = deliver($tls[0], "--mqtt-ca=$place/missing");
is($code, 2, 'no such file of certificates');
done_testing();
