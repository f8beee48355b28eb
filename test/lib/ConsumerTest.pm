# ConsumerTest.pm: one client of README.md against a real slot: killed in the middle
# of transactions, with the source server crashing once, and run again.
#
# What it has to have in the end are the records that a second slot, read without
# any of that, gives; replayed by key they are the table.
package ConsumerTest;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(test_client);

# url(NODE): a connection that every driver reads
sub url
{
	my ($node) = @_;

	return sprintf('postgresql://%s@127.0.0.1:%d/postgres',
		$node->safe_psql('postgres', 'SELECT current_user'), $node->port);
}

# write_changes(NODE, ROUND): transactions of every size, some side by side, some
# undone, and a message outside of any
sub write_changes
{
	my ($node, $round) = @_;
	my $from = $round * 1000;
	my @sessions;

	$node->safe_psql('postgres', <<"EOS");
INSERT INTO orders SELECT i, i, ARRAY['round $round'] FROM generate_series($from, $from + 300) AS i;
BEGIN; UPDATE orders SET amount = amount + 1 WHERE id % 7 = 0; ROLLBACK;
UPDATE orders SET amount = amount * 2 WHERE id % 5 = 0;
DELETE FROM orders WHERE id % 11 = $round;
INSERT INTO orders VALUES (@{[-$round]}, repeat('9', 5000)::numeric, ARRAY[repeat('[', 3000)]);
INSERT INTO odd VALUES ((repeat('[', 3000) || repeat(']', 3000))::json), ('{"a":"\\u0000"}'), ('{"a":1e400000}');
SELECT pg_logical_emit_message(true, 'note', E'\\001');
SELECT pg_logical_emit_message(false, 'note', 'round $round');
EOS
	# commits that follow each other closely
	foreach my $writer (1 .. 4)
	{
		my $session = $node->background_psql('postgres');

		push @sessions, $session;
		$session->query_safe("BEGIN; INSERT INTO orders VALUES ($from + 500 + $writer, $writer)");
	}
	$_->query_safe('COMMIT') foreach @sessions;
	$_->quit foreach @sessions;
	return;
}

# test_client(NAME, COMMAND...): the command gets the source's and the target's
# connection
sub test_client
{
	my ($name, @command) = @_;
	my $tcp = "listen_addresses = '127.0.0.1'\n";
	my $source = new_outflow_node("source-$name" =~ s/\W/_/gr, conf => $tcp);
	my $target = new_outflow_node("target-$name" =~ s/\W/_/gr, conf => $tcp);
	my $log = "${PostgreSQL::Test::Utils::tmp_check}/$name.log";
	my $client;
	my $start = sub {
		$client = IPC::Run::start([ @command, url($source), url($target) ],
			'<', \undef, '>>', $log, '2>&1');
	};
	my $wait = sub {
		my ($node, $query) = @_;

		foreach my $try (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
		{
			return if $node->safe_psql('postgres', $query) eq 't';
			# it has nothing to say but that it failed
			last if -s $log;
			Time::HiRes::sleep(0.1);
		}
		die "not seen: $query: " . slurp_file($log);
	};
	my $kill = sub {
		$client->signal('KILL');
		$client->finish;
		$wait->($source, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'orders'");
	};

	$source->safe_psql('postgres', <<'EOS');
CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric, tags text[]);
CREATE TABLE odd (document json);
SELECT pg_create_logical_replication_slot('orders', 'outflow');
SELECT pg_create_logical_replication_slot('control', 'outflow');
EOS
	# a client that comes to the last row that a round inserts waits there while
	# we hold the lock, after it has written the others
	$target->safe_psql('postgres', <<'EOS');
CREATE TABLE changes (id text COLLATE "C" PRIMARY KEY, record json);
CREATE SEQUENCE deliveries;
CREATE TABLE last_row (id text);
CREATE FUNCTION deliver() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('deliveries');
	IF NEW.record ->> 'op' = 'insert' AND NEW.record -> 'new' ->> 'id' = (SELECT id FROM last_row) THEN
		PERFORM pg_advisory_xact_lock_shared(1);
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER deliver BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION deliver();
EOS

	my $rounds = 3;
	foreach my $round (1 .. $rounds)
	{
		my $lock = $target->background_psql('postgres');

		$lock->query_safe('SELECT pg_advisory_lock(1)');
		write_changes($source, $round);
		$target->safe_psql('postgres', 'TRUNCATE last_row; INSERT INTO last_row VALUES (' . (1000 * $round + 300) . ')');
		$start->();
		$wait->($target,
			"SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
		$kill->();
		$lock->quit;

		# to the end, which is confirmed; then the server forgets that it was
		$start->();
		$wait->($source, "SELECT confirmed_flush_lsn >= '"
			  . $source->safe_psql('postgres', "SELECT pg_current_wal_lsn() FROM pg_logical_emit_message(true, 'end', '$round')")
			  . "' FROM pg_replication_slots WHERE slot_name = 'orders'");
		$kill->();
		if ($round == 2)
		{
			$source->stop('immediate');
			$source->start;
		}
	}

	my $records = $source->safe_psql('postgres',
		q{SELECT data FROM pg_logical_slot_get_changes('control', NULL, NULL) WHERE data ~ '^.{0,40}"id"' ORDER BY substring(data FROM '"id":"([^"]+)"') COLLATE "C"});
	is($target->safe_psql('postgres', 'SELECT id FROM changes ORDER BY id'),
		join("\n", map { /"id":"([^"]+)"/ } split(/\n/, $records)),
		"$name: every record is there once");
	cmp_ok($target->safe_psql('postgres', 'SELECT last_value - (SELECT count(*) FROM changes) FROM deliveries'),
		'>=', 300 * $rounds, 'and each killed transaction came again');
	is( $target->safe_psql('postgres', <<'EOS'),
SELECT row ->> 'id', row ->> 'amount', row ->> 'tags' FROM (
	SELECT DISTINCT ON (key) record -> 'new' AS row
	FROM (SELECT *, coalesce(record -> 'key', record -> 'new') ->> 'id' AS key FROM changes) AS c
	WHERE key IS NOT NULL ORDER BY key, id DESC) AS latest
WHERE row IS NOT NULL ORDER BY (row ->> 'id')::bigint
EOS
		$source->safe_psql('postgres',
			q{SELECT id, amount, tags FROM orders ORDER BY id}),
		'replayed by key they are the table');
	$source->stop;
	$target->stop;
	return;
}

1;
