# Promise: what the target can't take ends pg_outflow with an exit code of its own
# and says what to do, after all transactions before it are committed; a record
# that the target rejects can be put aside; and what passes is waited for.
use strict;
use warnings;

use ClientTest;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;
use Time::HiRes ();

my $source = new_outflow_node('source');
my $target = new_target();
my $log = "${PostgreSQL::Test::Utils::tmp_check}/542_client_postgres_errors";
my $url = target_url($target);

sub both { $_->safe_psql('postgres', $_[0]) foreach $source, $target; return; }
sub there { return $target->safe_psql('postgres', $_[0]); }
sub here { return $source->safe_psql('postgres', $_[0]); }

sub run_to
{
	my ($to, @more) = @_;
	my ($code, $out, $err) = run_client($source, 'feed', '--to', $to, '--endpos=' . current_lsn($source), @more);

	return ($code, $err);
}

# ends(WHAT, CODE, PATTERN, URL, ARGUMENT...)
sub ends
{
	my ($what, $expected, $pattern, @arguments) = @_;
	my ($code, $err) = run_to(@arguments);

	is($code, $expected, "$what: exit code") or diag($err);
	like($err, $pattern, "$what: the reason");
	return;
}

sub same_rows
{
	my ($table, $what) = @_;

	is(there("SELECT * FROM $table ORDER BY 1"), here("SELECT * FROM $table ORDER BY 1"), $what);
	return;
}

sub letters
{
	my ($file) = @_;

	return map { JSON::PP::decode_json($_) } split(/\n/, slurp_file($file));
}

# the row of few and the reason, or which other table
sub letter_said
{
	my ($letter) = @_;
	my $record = $letter->{record};

	return $record->{table} eq 'few' ? "$record->{key}{id} " . ($letter->{reason} =~ s/^the target has //r) : $record->{table};
}

both('CREATE TABLE a (id int PRIMARY KEY, v text, j json); CREATE TABLE other (id int PRIMARY KEY)');
create_slot($source, 'feed');

# ---- what is asked for
ends('an option it needs', 2, qr/needs -o include_old=on/, $url, '-o', 'include_old=off');
ends('values that would not come back', 2, qr/needs -o nested=text/, $url, '-o', 'nested=native');
ends('another format', 2, qr/format=json, not debezium/, $url, '-o', 'format=debezium');
ends('Kafka beside it', 2, qr/format=json, not debezium/, $url, '--to', 'kafka://h:1/p');
ends('no URL of libpq', 2, qr/write an @, a \/ or a \?.* as %40, %2F or %3F\n$/, 'postgresql://u:se/cret@host:notaport/db');
my ($code, $err) = run_to('postgresql://u:se/cret@host:notaport/db');
unlike($err, qr/se\b|cret/, 'and what may be a password is not shown');

# ---- the target's door
there(q{CREATE ROLE plain LOGIN PASSWORD 'hush-hush'; CREATE ROLE owner LOGIN});
ends('no such database', 6, qr/database "nowhere" does not exist/, $url =~ s/postgres\?/nowhere?/r);
ends('no such role', 6, qr/role "nobody" does not exist/, "$url&user=nobody");
ends('not as a replica', 6, qr/GRANT SET ON PARAMETER session_replication_role TO/, "$url&user=plain");
there('GRANT SET ON PARAMETER session_replication_role TO plain');
ends('no place for the position', 6, qr/CREATE on the database/, "$url&user=plain");
there('CREATE SCHEMA outflow_client AUTHORIZATION owner; GRANT ALL ON SCHEMA outflow_client TO PUBLIC');
ends('a place of somebody else', 6, qr/belongs to role "owner"/, "$url&user=plain");
there('DROP SCHEMA outflow_client; CREATE SCHEMA outflow_client AUTHORIZATION plain');
here(q{INSERT INTO a VALUES (1, 'one')});
ends('no right on the table', 6, qr/permission denied for table a/, "$url&user=plain");
there('GRANT ALL ON a TO plain');
ends('with the rights', 0, qr/streaming/, "$url&user=plain");
same_rows('a', 'an ordinary role can do it');

open(my $hba, '<', $target->data_dir . '/pg_hba.conf') or die;
my @lines = <$hba>;
close($hba);
unlink($target->data_dir . '/pg_hba.conf');
append_to_file($target->data_dir . '/pg_hba.conf', "local all plain scram-sha-256\n" . join('', @lines));
$target->reload;
here(q{INSERT INTO a VALUES (2, 'two')});
ends('no password', 6, qr/no password supplied/, "$url&user=plain");
ends('a wrong password', 6, qr/password authentication failed/, "$url&user=plain&password=wrong-one");
($code, $err) = run_to("$url&user=plain&password=hush-hush", '--log-level=debug');
is($code, 0, 'the right one, in the URL') or diag($err);
unlike($err, qr/hush/, 'does not appear in what is said');
here(q{INSERT INTO a VALUES (3, 'three')});
{
	local $ENV{PGPASSWORD} = 'hush-hush';

	ends('the right one, in PGPASSWORD', 0, qr/streaming/, "$url&user=plain");
}
same_rows('a', 'with a password');
there('DROP SCHEMA outflow_client CASCADE');

# another machine is talked to by TLS, or not at all
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.2', Listen => 5) or die;
my $client = start_client($source, 'feed', "$log.tls", '--to', 'postgresql://127.0.0.2:' . $deaf->sockport . '/postgres');
my $asked = $deaf->accept;

sysread($asked, my $request, 8);
is(unpack('x4N', $request), 80877103, 'TLS is asked for');
syswrite($asked, 'N');
wait_for_line("$log.tls", qr/server does not support SSL, but SSL was required.*trying again/);
pass('and there is no other way');
kill_client($client);

# a target that is away is waited for
$target->stop;
$client = start_client($source, 'feed', "$log.away", '--to', $url);
wait_for_line("$log.away", qr/trying again/);
here(q{INSERT INTO a VALUES (4, 'four')});
$target->start;
my $end = current_lsn($source);
wait_confirmed($source, 'feed', $end);
same_rows('a', 'a target that was away');

# one session a slot
is(stop_client($client), 0, 'it stops');
my ($second) = start_psql($target, "SELECT pg_advisory_lock(hashtextextended('pg_outflow ' || system_id || ' ' || slot, 0)), pg_sleep(600) FROM outflow_client.position");
wait_until($target, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory'}, 'a session that has the lock');
$client = start_client($source, 'feed', "$log.locked", '--to', $url);
wait_for_line("$log.locked", qr/another session applies this slot's changes; trying again/);
there(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'});
$second->finish;
wait_for_line("$log.locked", qr/has everything up to/);
pass('and waited for');
is(stop_client($client), 0, 'until it is free');

# a lock, a deadlock, a backend that was ended: once more
my ($blocker) = start_psql($target, 'BEGIN; LOCK a; SELECT pg_sleep(600)');
wait_until($target, q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'a'::regclass AND mode = 'AccessExclusiveLock'}, 'a lock');
here(q{UPDATE a SET v = v || '!'});
$client = start_client($source, 'feed', "$log.block", '--to', $url);
wait_until($target, q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted}, 'the client waits');
there(q{SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted});
wait_for_line("$log.block", qr/canceling statement due to user request; trying again/);
there(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'a'::regclass AND mode = 'AccessExclusiveLock'});
$blocker->finish;
$end = current_lsn($source);
wait_confirmed($source, 'feed', $end);
is(stop_client($client), 0, 'a statement that somebody cancelled');
same_rows('a', 'is sent again');

# ---- definitions
here('CREATE TABLE fresh (id int PRIMARY KEY); INSERT INTO a VALUES (5); INSERT INTO fresh VALUES (1)');
ends('no such table', 6, qr/there is no table public\.fresh: create it there, or leave it out with -o exclude_tables/, $url);
there('CREATE VIEW fresh AS SELECT 1 AS id');
ends('a view', 6, qr/there is no table public\.fresh/, $url);
there('DROP VIEW fresh; CREATE TABLE fresh (id int PRIMARY KEY)');
ends('the table made', 0, qr/streaming/, $url);
same_rows('fresh', 'goes on where it was');

here('ALTER TABLE fresh ADD x int, ADD "Y y" text; INSERT INTO fresh VALUES (2, 3, 4)');
ends('columns that are missing', 6, qr/table public\.fresh lacks columns that the source has: "x", "Y y"/, $url);
there('ALTER TABLE fresh ADD "Y y" text, ADD extra int DEFAULT 7, ADD x int');
ends('the columns made', 0, qr/streaming/, $url);
is(there('SELECT id, x, "Y y", extra FROM fresh ORDER BY id'), "1|||7\n2|3|4|7", 'by name, and the rest by its default');

# while it runs
$client = start_client($source, 'feed', "$log.ddl", '--to', $url);
here('INSERT INTO fresh VALUES (3)');
wait_until($target, 'SELECT count(*) = 3 FROM fresh', 'a row');
there('ALTER TABLE fresh ADD z numeric(5, 1); ALTER TABLE fresh ALTER x TYPE bigint');
here('ALTER TABLE fresh ADD z numeric(5, 1); ALTER TABLE fresh ALTER x TYPE bigint; INSERT INTO fresh (id, x, z) VALUES (4, 5000000000, 1.5); UPDATE fresh SET z = 2');
wait_until($target, 'SELECT count(*) = 4 FROM fresh WHERE z = 2', 'the new column');
is(stop_client($client), 0, 'a table that changes at both ends while it is applied');
is(there('SELECT id, x, "Y y", z FROM fresh ORDER BY id'), here('SELECT id, x, "Y y", z FROM fresh ORDER BY id'), 'keeps up');

# ---- records that are rejected
there(q{INSERT INTO a VALUES (100, 'of the target'); DELETE FROM a WHERE id = 2});
here(q{INSERT INTO other VALUES (1)});
here(q{BEGIN; INSERT INTO other VALUES (2); INSERT INTO a VALUES (100, 'mine'); INSERT INTO other VALUES (3); COMMIT});
here(q{UPDATE a SET v = 'two again' WHERE id = 2});
here(q{INSERT INTO other VALUES (4)});
ends('a key that is taken', 7, qr/rejected record [0-9A-F\/]+: duplicate key value violates unique constraint "a_pkey": Key \(id\)=\(100\) already exists/, $url);
is(there('SELECT string_agg(id::text, \' \' ORDER BY id) FROM other'), '1', 'all before its transaction is committed, nothing of it');
my @aside = ('--on-reject=dead-letter', "--dead-letter=$log.dead");
($code, $err) = run_to($url, @aside);
is($code, 0, 'put aside') or diag($err);
is(there('SELECT string_agg(id::text, \' \' ORDER BY id) FROM other'), '1 2 3 4', 'the rest is applied');
my @dead = letters("$log.dead");
is(join(' | ', map { "$_->{record}{op}: $_->{reason}" } @dead),
	'insert: duplicate key value violates unique constraint "a_pkey": Key (id)=(100) already exists. | update: the target has no such row',
	'each with its reason');
there(q{DELETE FROM a WHERE id = 100; INSERT INTO a VALUES (2)});
my ($out, $said_again) = ('', '');
IPC::Run::run([ 'pg_outflow', 'replay', '--to', $url, "$log.dead" ], '>', \$out, '2>', \$said_again);
is($? >> 8, 0, 'replayed') or diag($said_again);
same_rows('a', 'once the reason is gone');

# in a transaction that is larger than the queue, and several of them
there(q{INSERT INTO other VALUES (20010), (30010)});
here(q{INSERT INTO other SELECT generate_series(20000, 40000)});
($code, $err) = run_to($url, '--on-reject=dead-letter', "--dead-letter=$log.dead2", '--queue-bytes=300kB');
is($code, 0, 'put aside out of a large transaction') or diag($err);
same_rows('other', 'of which the rest is applied');
is(scalar(letters("$log.dead2")), 2, 'both are put aside, once');

# that a row isn't there, or is there twice, is no error of the server's: what is
# sent once more has not stayed behind a savepoint
here('CREATE TABLE many (id int, v text); CREATE TABLE few (id int PRIMARY KEY); CREATE TABLE untold (id int)');
there('CREATE TABLE many (id int PRIMARY KEY, v text); CREATE TABLE few (id int); CREATE TABLE untold (id int)');
here('INSERT INTO few SELECT generate_series(1, 20); INSERT INTO untold SELECT generate_series(1, 1000)');
ends('rows for a large transaction', 0, qr/streaming/, $url);
here(<<'EOS');
DO $$
BEGIN
	FOR i IN 1 .. 20000 LOOP
		INSERT INTO many VALUES (i, 'some text');
		IF i % 997 = 0 THEN
			DELETE FROM few WHERE id = i / 997;
			UPDATE untold SET id = -i WHERE id = 1 AND i = 997 * 16 OR id = 2 AND i = 997 * 18;
		END IF;
	END LOOP;
END $$
EOS
foreach my $case ([ 'DELETE FROM few WHERE id = 14', 'no such row' ], [ 'INSERT INTO few VALUES (13), (13)', '3 rows that it fits' ])
{
	my ($sql, $reason) = @$case;

	there($sql);
	ends("$reason, in a large transaction", 7, qr/rejected record [0-9A-F\/]+: the target has $reason;/, $url, '--queue-bytes=300kB');
	is(there('SELECT count(*) FROM many'), 0, 'nothing of it is applied');
}
# without a key nothing but the number of rows tells that they are there twice
there('ALTER TABLE many DROP CONSTRAINT many_pkey; DELETE FROM few WHERE id IN (3, 7, 17)');
($code, $err) = run_to($url, '--on-reject=dead-letter', "--dead-letter=$log.dead3", '--queue-bytes=300kB');
is($code, 0, 'put aside out of it') or diag($err);
is(there('SELECT count(*), count(DISTINCT id), min(id), max(id) FROM many'), '20000|20000|1|20000', 'the rest is applied, once');
is(there('SELECT string_agg(id::text, \' \') FROM few'), '13 13 13', 'and deleted');
is(join(', ', map { letter_said($_) } letters("$log.dead3")), '3 no such row, 7 no such row, 13 3 rows that it fits, 14 no such row, untold, 17 no such row, untold', 'each record is put aside once, in their order');

# what was never sent needs nothing to be rolled back and sent again
here("BEGIN; INSERT INTO many VALUES (-1); UPDATE untold SET id = -id; INSERT INTO many VALUES (-2); COMMIT; INSERT INTO many VALUES (-3)");
($code, $err) = run_to($url, '--on-reject=dead-letter', "--dead-letter=$log.dead4", '--log-level=debug');
is($code, 0, 'records that tell no row') or diag($err);
is(scalar(letters("$log.dead4")), 1000, 'are put aside');
is(there('SELECT string_agg(id::text, \' \' ORDER BY id) FROM many WHERE id < 0'), '-3 -2 -1', 'from among those that are applied');
is(scalar(() = $err =~ /preparing INSERT/g), 1, 'which are sent once');

# they are in the file before the commit, and once, however often that is tried
there(<<'EOS');
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON many DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = -4) EXECUTE FUNCTION hold();
ALTER TABLE many ENABLE ALWAYS TRIGGER hold;
EOS
my $holder = $target->background_psql('postgres');
my $waiting = q{FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND NOT granted AND query = 'COMMIT'};

$holder->query_safe('SELECT pg_advisory_lock(1)');
here('INSERT INTO many VALUES (-7)');
here('BEGIN; INSERT INTO many VALUES (-4); UPDATE untold SET id = 0 WHERE id IN (-5, -6); COMMIT');
$client = start_client($source, 'feed', "$log.commit", '--to', $url, '--on-reject=dead-letter', "--dead-letter=$log.dead5");
wait_until($target, "SELECT count(*) = 1 $waiting", 'a commit that waits');
is(scalar(letters("$log.dead5")), 2, 'put aside before the commit');
there("SELECT pg_terminate_backend(pid) $waiting");
$holder->quit;
$end = current_lsn($source);
wait_confirmed($source, 'feed', $end);
is(stop_client($client), 0, 'which breaks off');
is(there('SELECT count(*) FROM many WHERE id = -4'), 1, 'and is repeated');
is(scalar(letters("$log.dead5")), 2, 'without what is already put aside');

# values and rows that can't be told
here(q{CREATE TABLE bare (id int, v text); INSERT INTO bare VALUES (1, 'x')});
there('CREATE TABLE bare (id int, v varchar(5))');
ends('rows need no key to be inserted', 0, qr/streaming/, $url);
here(q{UPDATE bare SET v = 'y'});
ends('no replica identity', 7, qr/no replica identity.*ALTER TABLE \.\.\. REPLICA IDENTITY FULL/, $url);
run_to($url, @aside);
here(q{ALTER TABLE bare REPLICA IDENTITY FULL; INSERT INTO bare VALUES (2, 'much too long')});
ends('a value that does not fit', 7, qr/value too long for type character varying\(5\)/, $url);
run_to($url, @aside);
here(q{INSERT INTO a VALUES (6, repeat('x', 3000))});
ends('a value that was left out', 7, qr/values are omitted in it/, $url, '-o', 'max_value_bytes=2kB');
ends('that it can take', 0, qr/streaming/, $url);

# an update that a row filter makes an insert, of which the WAL has not all
both('CREATE TABLE regional (id int, region text, body text, made text GENERATED ALWAYS AS (repeat(id::text, 5000)) STORED, PRIMARY KEY (id, region));
	ALTER TABLE regional ALTER body SET STORAGE EXTERNAL, ALTER made SET STORAGE EXTERNAL');
here(q{CREATE PUBLICATION europe FOR TABLE regional WHERE (region = 'eu');
	INSERT INTO regional VALUES (1, 'us', repeat('x', 5000)), (2, 'us', repeat('y', 5000)), (3, 'us', 'short');
	UPDATE regional SET region = 'eu' WHERE id = 3});
ends('what the target generates', 0, qr/streaming/, $url, '-o', 'publication_names=europe');
is(there('SELECT id, body, length(made) FROM regional'), '3|short|5000', 'needs not be there');
here(q{UPDATE regional SET region = 'eu' WHERE id = 1});
ends('an insert without a value', 7, qr/an insert by a row filter, and the WAL has not all of its row; .*REPLICA IDENTITY FULL/, $url, '-o', 'publication_names=europe');
run_to($url, '-o', 'publication_names=europe', @aside);
# a server does not update by columns that it does not publish
here(q{ALTER TABLE regional DROP made; ALTER TABLE regional REPLICA IDENTITY FULL; UPDATE regional SET region = 'eu' WHERE id = 2});
ends('with REPLICA IDENTITY FULL', 0, qr/streaming/, $url, '-o', 'publication_names=europe');
is(there('SELECT id, length(body) FROM regional ORDER BY id'), "2|5000\n3|5", 'it is whole');

both('CREATE TABLE derived (a int, k int GENERATED ALWAYS AS (a * 2) STORED NOT NULL)');
here(q{CREATE UNIQUE INDEX derived_key ON derived (k); ALTER TABLE derived REPLICA IDENTITY USING INDEX derived_key;
	INSERT INTO derived VALUES (1), (2); UPDATE derived SET a = 5 WHERE a = 1});
ends('a key that nothing but a generated column names', 7, qr/all columns that name its row are generated/, $url);
is(there('SELECT count(*) FROM derived WHERE a = 5'), 0, 'no row is taken for it');
there('CREATE UNIQUE INDEX ON derived (k)');
ends('with an index on it', 0, qr/streaming/, $url);
same_rows('derived', 'its row is found');

# another machine is trusted by its certificate alone, unless the user says otherwise
$target->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1,127.0.0.2'");
$target->append_conf('pg_hba.conf', 'host all all 127.0.0.0/8 trust');
$target->restart;
my ($user, $port) = ($url =~ /user=(\w+)/ ? $1 : 'postgres', $target->port);
foreach my $case ([ '127.0.0.1', '', 0 ], [ '127.0.0.2', '', 9, ], [ '127.0.0.2', '&sslmode=prefer', 0 ])
{
	my ($host, $more, $expected) = @$case;
	my ($out, $said) = ('', '');

	IPC::Run::run(
		[
			'pg_outflow', 'check', '-d', $source->connstr('postgres'), '-S', 'feed',
			"--to=postgresql://$host:$port/postgres?user=$user&gssencmode=disable$more"
		],
		'<', \undef, '>', \$out, '2>', \$said);
	like($out, $expected ? qr/^NOT  target postgresql:.*SSL/m : qr/^ok   target postgresql:/m, "$host$more: " . ($expected ? 'refused without TLS' : 'reached'))
	  or diag($out . $said);
}

# tables that others refer to
there('CREATE TABLE refers (id int REFERENCES other)');
here('TRUNCATE other');
ends('a TRUNCATE that would break a reference', 6, qr/cannot truncate a table referenced/, $url);
there('DROP TABLE refers');
ends('which is gone', 0, qr/streaming/, $url);
same_rows('other', 'and the table empty');

# the key is no key there
there('ALTER TABLE a DROP CONSTRAINT a_pkey; INSERT INTO a VALUES (1)');
here('UPDATE a SET v = NULL WHERE id IN (1, 3)');
ends('two rows for one', 7, qr/the target has 2 rows that it fits/, $url);
there('DELETE FROM a WHERE id = 1 AND v IS NULL');
ends('a target without an index', 0, qr/table public\.a has no unique index/, $url);
same_rows('a', 'finds the row all the same');
done_testing();
