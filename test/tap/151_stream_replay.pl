# Promise: whoever repeats the stream of format json in another database gets
# the same rows, and a change's id is the same in every delivery, whatever is
# filtered away; ids sort as they are delivered.  Transactions that are streamed
# while they are in progress come to the same, less what their aborts take back.
#
# The workload is random: SEED=N repeats a run, SCALE=N makes it N times as long.
use strict;
use warnings;

use OutflowTest;
use OutflowWorkload;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} || 4711;
my $scale = $ENV{SCALE} || 1;

diag("SEED=$seed SCALE=$scale");

my $node = new_outflow_node(
	'replay',
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ],
	conf => <<'EOC');
logical_decoding_work_mem = 64kB
max_prepared_transactions = 10
autovacuum = off
EOC
my $workload = OutflowWorkload->new(
	seed => $seed,
	transactions => 150 * $scale,
	replayable => 1);

$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->safe_psql($_, $workload->setup) foreach qw(postgres copy);
create_slot($node, $_) foreach qw(feed live);

# a client that is there all the time, and so meets transactions in progress
# that change definitions and abort while they are decoded
my $live = "${PostgreSQL::Test::Utils::tmp_check}/replay.out";
my $client = IPC::Run::start(
	[
		'pg_recvlogical', '--dbname', $node->connstr('postgres'),
		'--slot', 'live', '--start', '--no-loop', '--file', $live,
		'--status-interval', '1', '--option', 'streaming=on'
	]);
$workload->run($node, 'postgres');
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
$node->poll_query_until('postgres',
	"SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'live'"
) or die 'the client does not come to the end';
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'live'"
);
$client->finish;

# stream(OPTION => VALUE...): the lines
sub stream
{
	my (%options) = @_;
	my $list = join('', map { ", '$_', '$options{$_}'" } sort keys %options);

	return split(
		/\n/,
		$node->safe_psql('postgres',
			"SELECT data FROM pg_logical_slot_peek_changes('feed', '$end', NULL$list)"
		));
}

sub ids
{
	return map { /"id":"([^"]+)"/ ? $1 : () } @_;
}

# ---- ids
my @lines = stream();
my @ids = ids(@lines);
my @unsorted = grep { $ids[$_ - 1] ge $ids[$_] } 1 .. $#ids;

cmp_ok(scalar @ids, '>', 100, 'the workload has changes');
is("@unsorted", '', "ids are unique and sort as delivered (SEED=$seed)");
is(join("\n", stream()), join("\n", @lines), 'a second delivery is the same');
is(join("\n", stream(batch_bytes => 10000)),
	join("\n", @lines), 'and so is one in batches');

# is_part(NAME, SUB, OPTION => VALUE...): a filtered stream is what the sub
# picks of the whole one
my %changes = (include_transactions => 'off', include_schemas => 'off');

sub is_part
{
	my ($name, $wanted, %options) = @_;
	my $expected = join("\n", grep { /^\{"op":"[^"]*","id"/ && $wanted->() } @lines);
	my $got = join("\n", stream(%changes, %options));

	return ok($got eq $expected && $got ne '', "$name (SEED=$seed)");
}

is_part('changes alone', sub { 1 });
is_part('one table', sub { /"schema":"w","table":"narrow"/ },
	tables => 'w.narrow', messages => 'off');
is_part('tables by pattern', sub { /"schema":"w","table":"(toast|parted)/ },
	tables => 'w.toast*,w.parted_*', messages => 'off');
is_part('all but some tables', sub { !/"schema":"w","table":"all_/ },
	exclude_tables => 'w.all_*');
is_part('deletes and messages', sub { /^\{"op":"(delete|message)"/ },
	actions => 'delete');

# ---- in progress: what stream_abort leaves and stream_commit makes valid is the
# plain stream, in its order, but for the commit in the ids
sub settled
{
	my %pieces;
	my %count = (stream_commit => 0, stream_abort => 0, part => 0);
	my @settled;

	foreach (my @records = @_)
	{
		my ($op) = /^\{"op":"([a-z_]+)"/;
		my ($xid) = /"xid":(\d+)/;
		my ($subxid) = /"subxid":(\d+)/;

		$count{$op}++;
		if ($op eq 'stream_abort' && $xid == $subxid)
		{
			delete $pieces{$xid};
		}
		elsif ($op eq 'stream_abort')
		{
			my @kept = grep { $_->[0] != $subxid } @{ $pieces{$xid} };

			$count{part}++ if @kept < @{ $pieces{$xid} };
			$pieces{$xid} = \@kept;
		}
		elsif ($op eq 'stream_commit')
		{
			push @settled, map { $_->[1] } @{ delete $pieces{$xid} };
		}
		elsif (/^\{"op":"[a-z]+","id"/)
		{
			s/"id":"[^\/]+/"id":"/;
			s/"xid":\d+,?//;
			push @{ $pieces{$xid} }, [ $subxid, s/"subxid":\d+,?//r ]
			  if defined $subxid;
			push @settled, $_ unless defined $subxid;
		}
	}
	return (\%count, untied(@settled));
}

# A message has the LSN at which the next record of WAL begins.  Where that is a
# change of another subtransaction, the server doesn't know which was first.
sub untied
{
	my ($lsn) = ('');
	my @groups;

	foreach (@_)
	{
		my $same = m{"id":"/$lsn/};

		($lsn) = m{"id":"/([0-9A-F]+)/};
		push @groups, [] unless $same;
		push @{ $groups[-1] }, $_;
	}
	return map {
		@$_ > 1 && grep({ /^.{0,9}message/ } @$_)
		  ? sort(map { s{/[0-9A-F]{4}",}{",}r } @$_)
		  : @$_
	} @groups;
}

my (undef, @plain) = settled(@lines);
my ($count, @settled) = settled(stream(streaming => 'on'));
note(join(', ', map { "$_ $count->{$_}" } sort keys %$count));
is($#settled, $#plain, "as many changes are left of those in progress (SEED=$seed)");
my @other = grep { ($settled[$_] // '') ne $plain[$_] } 0 .. $#plain;
is(scalar @other, 0, "and they are the same, in the same order (SEED=$seed)")
  or diag("plain:  $plain[$other[0]]\nsettled: $settled[$other[0]]");
cmp_ok($count->{stream_commit}, '>', 3, 'the workload has large transactions');
cmp_ok($count->{part}, '>', 0, 'of some of which a part is undone');
my ($live_count, @live) = settled(split /\n/, slurp_file($live));
note('live: ' . join(', ', map { "$_ $live_count->{$_}" } sort keys %$live_count));
ok(join("\n", @live) eq join("\n", @plain), "also while they run (SEED=$seed)");
my (undef, @batched) = settled(stream(streaming => 'on', batch_bytes => 10000));
ok("@batched" eq "@settled", "also in batches (SEED=$seed)");

# ---- debezium: the same changes by the same ids, but that an update of a key
# is two; through a walsender
sub debezium
{
	my @options = map { ('--option', $_) } 'format=debezium', @_;
	my $out = '';

	$node->safe_psql('postgres',
		"SELECT FROM pg_copy_logical_replication_slot('feed', 'copy')");
	IPC::Run::run(
		[
			'pg_recvlogical', '--dbname', $node->connstr('postgres'),
			'--slot', 'copy', '--start', '--no-loop', '--endpos', $end,
			'--file', '-', @options
		],
		'>', \$out) or die 'pg_recvlogical failed';
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('copy')");
	return split(/\n/, $out);
}

my @events = debezium();
my @event_ids = ids(@events);
my %is_event = map { $_ => 1 } @event_ids;

@unsorted = grep { $event_ids[$_ - 1] ge $event_ids[$_] } 1 .. $#event_ids;
is("@unsorted", '', "events of format debezium sort as delivered (SEED=$seed)");
is(join(' ', grep { !$is_event{$_} } ids(grep { /^.{0,9}(insert|update|delete)/ } @lines)),
	'', 'every change of a row is an event');
my %is_id = map { $_ => 1 } @ids;
my @halves = grep {
	$events[$_] =~ /"op":"c",/ && $events[ $_ - 1 ] =~ /"op":"d",/
	  && substr($event_ids[$_], 0, 33) eq substr($event_ids[ $_ - 1 ], 0, 33)
	  && !$is_id{ $event_ids[$_] }
} 1 .. $#events;
is(scalar @events,
	@halves + ids(grep { /^.{0,9}(insert|update|delete)/ } @lines),
	'and nothing else but second halves is one');
my @numbered = debezium('include_transactions=on', 'messages=on', 'actions=insert,update,delete,truncate');
$node->safe_psql('postgres', 'CREATE TABLE event (n serial, e json)');
append_to_file("${PostgreSQL::Test::Utils::tmp_check}/events",
	join('', map { "$_\n" } @numbered));
$node->safe_psql('postgres',
	"\\copy event (e) FROM '${PostgreSQL::Test::Utils::tmp_check}/events' (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
);
is( $node->safe_psql('postgres', <<'EOS'),
SELECT count(*) FROM (
	SELECT e ->> 'id' AS id, (e ->> 'event_count')::int AS said FROM event WHERE e ->> 'status' = 'END') AS ends
FULL JOIN (
	SELECT e -> 'transaction' ->> 'id' AS id, count(*) AS counted, max((e -> 'transaction' ->> 'total_order')::int) AS highest
	FROM event WHERE e ->> 'op' IS NOT NULL AND e ->> 'transaction' IS NOT NULL GROUP BY 1) AS events USING (id)
WHERE said IS DISTINCT FROM counted OR said IS DISTINCT FROM highest
EOS
	0,
	'transactions count their events');

# ---- replay
$node->safe_psql('copy', <<'EOS');
CREATE SCHEMA replay;
CREATE TABLE replay.line (n serial PRIMARY KEY, line text);
CREATE TABLE replay.generated (rel text, col text);

-- which row of a table a record means
CREATE FUNCTION replay.which(tab text, rec json) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN rec -> 'key' IS NULL
		THEN format('ctid = (SELECT o.ctid FROM %s o WHERE o::text = '
			'json_populate_record(NULL::%s, $1 -> ''old'')::text LIMIT 1)', tab, tab)
		ELSE format('(%s) = (SELECT %s FROM json_populate_record(NULL::%s, $1 -> ''key''))',
			string_agg(quote_ident(k), ', '), string_agg(quote_ident(k), ', '), tab) END
	FROM json_object_keys(coalesce(rec -> 'key', '{"x": 1}')) k
$$;

CREATE FUNCTION replay.apply(rec json, OUT affected bigint) LANGUAGE plpgsql AS $$
DECLARE
	tab text := quote_ident(rec ->> 'schema') || '.' || quote_ident(rec ->> 'table');
	cols text;
BEGIN
	affected := 1;
	SELECT string_agg(quote_ident(k), ', ') INTO cols
	FROM json_object_keys(coalesce(rec -> 'new', '{}')) k
	WHERE NOT EXISTS (SELECT FROM replay.generated g WHERE g.rel = tab AND g.col = k);
	CASE rec ->> 'op'
	WHEN 'schema' THEN
		DELETE FROM replay.generated g WHERE g.rel = tab;
		INSERT INTO replay.generated SELECT tab, c ->> 'name'
		FROM json_array_elements(rec -> 'columns') c WHERE c ->> 'generated' IS NOT NULL;
	WHEN 'insert' THEN
		IF cols IS NULL THEN
			EXECUTE format('INSERT INTO %s DEFAULT VALUES', tab);
		ELSE
			EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE '
				'SELECT %s FROM json_populate_record(NULL::%s, $1 -> ''new'')',
				tab, cols, cols, tab) USING rec;
		END IF;
		GET DIAGNOSTICS affected = ROW_COUNT;
	WHEN 'update' THEN
		EXECUTE format('UPDATE %s SET (%s) = (SELECT %s FROM json_populate_record(NULL::%s, $1 -> ''new'')) WHERE %s',
			tab, cols, cols, tab, replay.which(tab, rec)) USING rec;
		GET DIAGNOSTICS affected = ROW_COUNT;
	WHEN 'delete' THEN
		EXECUTE format('DELETE FROM %s WHERE %s', tab, replay.which(tab, rec)) USING rec;
		GET DIAGNOSTICS affected = ROW_COUNT;
	WHEN 'truncate' THEN
		EXECUTE format('TRUNCATE %s', tab);
	WHEN 'message' THEN
		IF rec ->> 'prefix' = 'ddl' THEN
			EXECUTE rec ->> 'content';
		END IF;
	ELSE
		NULL;
	END CASE;
END $$;

CREATE PROCEDURE replay.run() LANGUAGE plpgsql AS $$
DECLARE
	l record;
	affected bigint;
BEGIN
	FOR l IN SELECT * FROM replay.line ORDER BY n LOOP
		BEGIN
			SELECT a.affected INTO affected FROM replay.apply(l.line::json) a;
		EXCEPTION WHEN OTHERS THEN
			RAISE EXCEPTION 'record % (%): %', l.n, sqlerrm, left(l.line, 2000);
		END;
		IF affected <> 1 THEN
			RAISE EXCEPTION 'record % concerns % rows: %', l.n, affected, left(l.line, 2000);
		END IF;
		IF l.line LIKE '{"op":"commit"%' THEN
			COMMIT;
		END IF;
	END LOOP;
END $$;
EOS

my $file = "${PostgreSQL::Test::Utils::tmp_check}/lines";

append_to_file($file, join('', map { "$_\n" } @lines));
$node->safe_psql('copy',
	"\\copy replay.line (line) FROM '$file' (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
);
my ($status, undef, $error) = $node->psql('copy', 'CALL replay.run()');
is($status, 0, "every record finds its row (SEED=$seed)")
  or BAIL_OUT(substr($error, 0, 4000));

# rows(DATABASE): every row of every table that a stream shows, as text
my $tables = $node->safe_psql('postgres', <<'EOS');
SELECT string_agg(format('SELECT %L AS tab, t::text AS row FROM ONLY %s t', c.oid::regclass, c.oid::regclass), ' UNION ALL ' ORDER BY c.oid::regclass::text)
FROM pg_class c WHERE relnamespace = 'w'::regnamespace AND relkind = 'r' AND relpersistence = 'p'
EOS

unlink $file;
$node->safe_psql('copy', "\\copy ($tables) TO '$file'");
$node->safe_psql('postgres',
	"CREATE TABLE replayed (tab text, row text); \\copy replayed FROM '$file'"
);
my $count = $node->safe_psql('postgres', 'SELECT count(*) FROM replayed');
cmp_ok($count, '>', 100, "the copy has rows: $count");
is( $node->safe_psql('postgres',
		"($tables) EXCEPT ALL SELECT * FROM replayed ORDER BY 1 LIMIT 5"),
	'', "no row is missing in the copy (SEED=$seed)");
is( $node->safe_psql('postgres',
		"SELECT * FROM replayed EXCEPT ALL ($tables) ORDER BY 1 LIMIT 5"),
	'', "no row is in the copy alone (SEED=$seed)");

$node->stop;
done_testing();
