# Promise: whoever applies the stream, with the commands that it captured, has
# the same tables: whatever definitions and replica identities change within
# transactions, which of them are prepared, and which are delivered before they
# commit.  A row always has the columns of the definition that the consumer has.
#
# The workload is random: SEED=N repeats a run, SCALE=N makes it N times as long.
use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} || 3;
my $scale = $ENV{SCALE} || 1;
my $node = new_outflow_node(
	'apply',
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ],
	conf => <<'EOC');
logical_decoding_work_mem = 64kB
max_prepared_transactions = 10
autovacuum = off
lock_timeout = 30ms
EOC

diag("SEED=$seed SCALE=$scale");
srand($seed);

# ---- the workload
sub pick { return $_[ int(rand(@_)) ] }
sub chance { return rand(100) < $_[0] }

my $setup = "SET client_min_messages = warning; CREATE SCHEMA a; CREATE TYPE a.mood AS ENUM ('m0'); CREATE TYPE a.pair AS (f1 int, f2 text);"
  . join('', map {
	"CREATE TABLE a.t$_ (id int PRIMARY KEY, a bigint, b text, c a.mood, n numeric, j jsonb, k int NOT NULL, p a.pair);"
	  . "CREATE UNIQUE INDEX t${_}_k ON a.t$_ (k, id); ALTER TABLE a.t$_ ALTER b SET STORAGE EXTERNAL;"
  } 1 .. 3)
  . 'CREATE TABLE a.t4 (id int, a bigint, b text, c a.mood, n numeric, j jsonb, k int NOT NULL, p a.pair);'
  . 'ALTER TABLE a.t4 REPLICA IDENTITY FULL;';
my ($labels, $made, $identified) = (0, 0, 0);
my @prepared;
our $renames;

sub id { return 1 + int(rand(60)) }

# each fits the types that the column may have by now
my %values = (
	a => sub { pick("'" . int(rand(1e9)) . "'", "'-7'", 'NULL') },
	b => sub { pick("'x'", "repeat(md5('" . rand() . "'), 100)", "E'q\"\\\\'") },
	c => sub { '(enum_range(NULL::a.mood))[' . int(1 + rand($labels + 2)) . ']' },
	n => sub { pick("'NaN'", "'0.10'", "'12345678901234567890.5'", 'NULL') },
	j => sub { pick("'{\"a\": [1.50, null]}'", "'\"s\"'", 'NULL') },
	k => sub { int(rand(5)) },
	'p.f1' => sub { int(rand(9)) });

sub insert
{
	my ($table) = @_;
	my @columns = grep { chance(70) } qw(a b c n j p.f1);

	return "INSERT INTO a.$table ("
	  . join(', ', 'id', 'k', @columns) . ') VALUES ('
	  . join(', ', id(), $values{k}->(), map { $values{$_}->() } @columns)
	  . ') ON CONFLICT DO NOTHING;';
}

# without an identity nobody can tell which row is meant
sub where
{
	my ($table) = @_;

	return "WHERE id = @{[ id() ]} AND (SELECT relreplident FROM pg_class WHERE oid = 'a.$table'::regclass) <> 'n';";
}

sub update
{
	my ($table) = @_;
	my @columns = grep { chance(30) } qw(a b c n j k p.f1);
	my @set = map { "$_ = " . $values{$_}->() } @columns ? @columns : 'n';

	push @set, 'id = ' . id() if chance(20);
	return "UPDATE a.$table SET " . join(', ', @set) . ' ' . where($table);
}

sub many
{
	my ($table) = @_;
	my $from = pick(1, 20, 100);

	return ("INSERT INTO a.$table (id, k, b) SELECT g, 1, md5(g::text) FROM generate_series($from, $from + 300) g ON CONFLICT DO NOTHING;",
		"DELETE FROM a.$table WHERE id > 60 AND (SELECT relreplident FROM pg_class WHERE oid = 'a.$table'::regclass) <> 'n';");
}

sub definition
{
	my ($table) = @_;
	my @identities = ('FULL', 'NOTHING', 'FULL');

	push @identities, 'DEFAULT', 'DEFAULT', "USING INDEX ${table}_k" if $table ne 't4';
	return pick(
		"ALTER TABLE a.$table ALTER a TYPE " . pick('bigint', 'numeric', 'text', 'varchar(30)') . " USING a::text::numeric::bigint;",
		"ALTER TABLE a.$table ALTER b TYPE " . pick('text', 'varchar') . ';',
		"ALTER TABLE a.$table ALTER j TYPE " . pick('jsonb USING j::jsonb', 'text USING j::text') . ';',
		"ALTER TABLE a.$table ADD x" . pick(1, 2) . ' ' . pick("int DEFAULT 7", "text DEFAULT 'd'", 'a.mood', 'int GENERATED ALWAYS AS (k * 2) STORED') . ';',
		"ALTER TABLE a.$table DROP x" . pick(1, 2) . ';',
		"ALTER TABLE a.$table RENAME x1 TO \"x 3\";",
		"ALTER TABLE a.$table DROP \"x 3\";",
		(map { "ALTER TABLE a.$table REPLICA IDENTITY $_;" } pick(@identities), pick(@identities)));
}

# what a column holds, with values before and after
sub definition_of_type
{
	my ($table) = @_;
	my $field = pick(3, 4);
	my $label = int(rand($labels + 1));

	return (insert($table), pick(
		[ "ALTER TYPE a.pair ADD ATTRIBUTE f$field int;", "UPDATE a.$table SET p.f$field = 9 " . where($table) ],
		[ "ALTER TYPE a.pair DROP ATTRIBUTE f$field;", "UPDATE a.$table SET p.f1 = 9 " . where($table) ],
		[ "ALTER TYPE a.pair RENAME ATTRIBUTE f$field TO \"f \"\"$field\";", "UPDATE a.$table SET p.f1 = 8 " . where($table) ],
		[ "ALTER TYPE a.mood RENAME VALUE 'm$label' TO 'M$label';", "UPDATE a.$table SET c = (enum_range(NULL::a.mood))[@{[ $label + 1 ]}] " . where($table) ],
		[ "ALTER TYPE a.mood RENAME VALUE 'M$label' TO 'm$label';", "UPDATE a.$table SET c = (enum_range(NULL::a.mood))[@{[ $label + 1 ]}] " . where($table) ])->@*,
		update($table));
}

# a table and a type that live in one transaction, or longer
sub new_table
{
	my $n = ++$made;
	my @statements = (
		"CREATE TYPE a.e$n AS ENUM ('x', 'y');",
		"CREATE TABLE a.new$n (id int PRIMARY KEY, e a.e$n, es a.e$n\[]);",
		"INSERT INTO a.new$n VALUES (1, 'y', '{x,y}'), (2, 'x', NULL);");

	push @statements, "ALTER TYPE a.e$n RENAME VALUE 'y' TO 'z';" if chance(50);
	push @statements, "UPDATE a.new$n SET es = '{}', id = 5 WHERE id = 1;";
	push @statements, "ALTER TABLE a.new$n ALTER e TYPE text;", "UPDATE a.new$n SET e = 'free';" if chance(50);
	push @statements, "DROP TABLE a.new$n;" if chance(60);
	return @statements;
}

sub statements
{
	my $table = pick(map { "t$_" } 1 .. 4);
	my $dice = rand(100);

	return insert($table) if $dice < 35;
	return update($table) if $dice < 60;
	return "DELETE FROM a.$table " . where($table) if $dice < 68;
	return many($table) if $dice < 76;
	return definition($table) if $dice < 86;
	return $renames ? definition_of_type($table) : definition($table) if $dice < 90;
	return "TRUNCATE a.$table;" if $dice < 91;
	return ("SAVEPOINT s;", insert($table), (map { statements() } 1 .. 3),
		pick('ROLLBACK TO s;', 'ROLLBACK TO s;', 'RELEASE s;'), update($table)) if $dice < 96;
	return new_table();
}

sub transaction
{
	# who renames a label or a field locks nobody out: what others write meanwhile
	# has the old name, even if they commit later
	local $renames = !@prepared;
	my $end = pick('COMMIT;', 'COMMIT;', 'COMMIT;', 'ROLLBACK;', 'PREPARE', 'PREPARE');
	# an error is the end of a transaction, or of nothing but its statement
	my @all = ('\set ON_ERROR_ROLLBACK ' . (chance(80) ? 'on' : 'off'), 'BEGIN;', (map { statements() } 1 .. 1 + int(rand(6))));

	$end = 'COMMIT;' if $end eq 'PREPARE' && grep { /^ALTER TYPE a\.(mood|pair)/ } @all;
	if ($end eq 'PREPARE')
	{
		push @prepared, 'g ' . ++$identified;
		$end = "PREPARE TRANSACTION '$prepared[-1]';";
	}
	push @all, $end;
	push @all, pick('COMMIT', 'COMMIT', 'ROLLBACK') . " PREPARED '@{[ shift @prepared ]}';"
	  if @prepared > 1 || @prepared && chance(60);
	push @all, "ALTER TYPE a.mood ADD VALUE 'm@{[ ++$labels ]}';", insert('t1'),
	  "UPDATE a.t2 SET c = 'm$labels' " . where('t2')
	  if chance(8);
	return @all;
}

$node->safe_psql('postgres', $setup);
$node->safe_psql('postgres', 'SELECT outflow.capture_ddl(true)');
create_slot($node, 'feed');
$node->safe_psql('postgres',
	"SELECT FROM pg_create_logical_replication_slot('$_', 'outflow', false, true)") foreach qw(two live);

my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my $client = IPC::Run::start(
	[
		'pg_recvlogical', '--dbname', $node->connstr('postgres'),
		'--slot', 'live', '--start', '--no-loop', '--file', "$tmp/apply_live",
		'--status-interval', '1', '--option', 'streaming=on', '--option', 'two_phase=on'
	]);
append_to_file("$tmp/workload.sql",
	join("\n", (map { transaction() } 1 .. 120 * $scale),
		(map { "COMMIT PREPARED '$_';" } @prepared), ''));
IPC::Run::run([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-f', "$tmp/workload.sql" ],
	'>', "$tmp/workload.out", '2>&1');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), 0, 'nothing stays prepared');
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
$node->poll_query_until('postgres',
	"SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'live'"
) or die 'the client does not come to the end';
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'live'");
$client->finish;

sub stream
{
	my ($slot, %options) = @_;
	my $list = join('', map { ", '$_', '$options{$_}'" } sort keys %options);

	return split(/\n/, $node->safe_psql('postgres',
			"SELECT data FROM pg_logical_slot_peek_changes('$slot', '$end', NULL$list)"));
}

# ---- the consumer: what has committed, in its order
my $json = JSON::PP->new->utf8->allow_bignum;

# has_columns(COLUMNS, RECORD): whether a row has the columns that it should
sub has_columns
{
	my ($columns, $record) = @_;
	my %has = map { $_ => 1 } keys %{ $record->{new} }, @{ $record->{unchanged} || [] };

	return "@{[ sort keys %has ]}" eq ($columns // '');
}

sub settled
{
	my (%pieces, %prepared, %definitions, %count);
	my (@settled, @open, @strange);

	foreach my $line (@_)
	{
		my $record = $json->decode($line);
		my ($op, $xid, $subxid) = @$record{qw(op xid subxid)};
		my $table = "@{[ $record->{schema} // '' ]}.@{[ $record->{table} // '' ]}";

		$count{$op}++;
		if ($op eq 'schema')
		{
			my $columns = join(' ', sort map { $_->{name} } @{ $record->{columns} });

			# one of a transaction in progress goes with all of that
			push @{ $pieces{$xid} }, { xid => $xid, table => $table, columns => $columns } if defined $xid;
			$definitions{$table} = $columns unless defined $xid;
		}
		elsif ($op =~ /^(insert|update|delete|truncate|ddl)$/)
		{
			my $text = $line =~ s/^(\{"op":"\w+",)("(id|xid|subxid)":("[^"]*"|\d+),)+/$1/r;

			if ($op =~ /^(insert|update)$/)
			{
				my ($own) = reverse grep { ($_->{table} // '') eq $table } @{ $pieces{ $xid // 0 } || [] };

				push @strange, $line
				  unless has_columns(defined $subxid && $own ? $own->{columns} : $definitions{$table}, $record);
			}
			push @{ $pieces{$xid} }, { xid => $subxid, text => $text } if defined $subxid;
			push @open, $text unless defined $subxid;
		}
		elsif ($op eq 'stream_abort')
		{
			$pieces{$xid} = [ grep { $_->{xid} != $subxid } @{ $pieces{$xid} || [] } ];
			delete $pieces{$xid} if $xid == $subxid;
		}
		elsif ($op =~ /^stream_(commit|prepare)$/)
		{
			my @texts = map { $_->{text} // () } @{ delete $pieces{$xid} || [] };

			$prepared{ $record->{gid} } = \@texts if $op eq 'stream_prepare';
			push @settled, [@texts] if $op eq 'stream_commit';
		}
		elsif ($op eq 'prepare')
		{
			$prepared{ $record->{gid} } = [ splice @open ];
		}
		elsif ($op eq 'commit_prepared')
		{
			push @settled, delete $prepared{ $record->{gid} };
		}
		elsif ($op eq 'rollback_prepared')
		{
			delete $prepared{ $record->{gid} };
		}
		elsif ($op eq 'commit')
		{
			push @settled, [ splice @open ];
		}
	}
	return (\%count, \@strange, grep { @$_ } @settled);
}

# rows(DATABASE): every row of every table, as text
sub rows
{
	my ($database) = @_;
	my $query = $node->safe_psql($database, <<'EOS');
SELECT string_agg(format('SELECT %L AS tab, t::text AS row FROM %s t', c.oid::regclass, c.oid::regclass), ' UNION ALL ' ORDER BY c.oid::regclass::text)
FROM pg_class c WHERE relnamespace = 'a'::regnamespace AND relkind = 'r'
EOS
	return ($query, $node->safe_psql($database, "SELECT * FROM ($query) x ORDER BY 1, 2"));
}

my $apply = <<'EOS';
CREATE SCHEMA replay;
CREATE FUNCTION replay.apply(rec jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	tab text := quote_ident(rec ->> 'schema') || '.' || quote_ident(rec ->> 'table');
	cols text;
	cond text;
	n int;
BEGIN
	SELECT string_agg(quote_ident(k), ', ') INTO cols FROM jsonb_object_keys(rec -> 'new') k
	WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = tab::regclass AND attname = k AND attgenerated <> '');
	IF rec -> 'key' IS NOT NULL THEN
		SELECT format('(%s) = (SELECT %s FROM jsonb_populate_record(NULL::%s, $1 -> ''key''))',
			string_agg(quote_ident(k), ', '), string_agg(quote_ident(k), ', '), tab) INTO cond
		FROM jsonb_object_keys(rec -> 'key') k;
	ELSE
		cond := format('ctid = (SELECT o.ctid FROM %s o WHERE o::text = '
			'jsonb_populate_record(NULL::%s, $1 -> ''old'')::text LIMIT 1)', tab, tab);
	END IF;
	CASE rec ->> 'op'
	WHEN 'insert' THEN
		EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM jsonb_populate_record(NULL::%s, $1 -> ''new'')', tab, cols, cols, tab) USING rec;
	WHEN 'update' THEN
		EXECUTE format('UPDATE %s SET (%s) = (SELECT %s FROM jsonb_populate_record(NULL::%s, $1 -> ''new'')) WHERE %s', tab, cols, cols, tab, cond) USING rec;
	WHEN 'delete' THEN
		EXECUTE format('DELETE FROM %s WHERE %s', tab, cond) USING rec;
	WHEN 'truncate' THEN
		EXECUTE format('TRUNCATE %s', tab);
	WHEN 'ddl' THEN
		EXECUTE rec ->> 'command';
	END CASE;
	GET DIAGNOSTICS n = ROW_COUNT;
	IF n <> 1 AND rec ->> 'op' IN ('insert', 'update', 'delete') THEN
		RAISE EXCEPTION 'a record concerns % rows: %', n, rec;
	END IF;
END $$;
SET client_min_messages = warning;
EOS

# is_copy(NAME, TRANSACTIONS): applied to another database they give the same rows
my $copies = 0;

sub is_copy
{
	my ($name, @transactions) = @_;
	my $database = 'copy' . ++$copies;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, $setup);
	append_to_file("$tmp/$database.sql", join("\n", $apply,
		map { ('BEGIN;', (map { "SELECT replay.apply('" . s/'/''/gr . "');" } @$_), 'COMMIT;') } @transactions));
	my ($out, $error) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-q', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', "$tmp/$database.sql" ],
		'>', \$out, '2>', \$error);
	is(substr($error, 0, 3000), '', "$name: every record can be applied (SEED=$seed)");
	my ($query, $expected) = rows('postgres');
	my (undef, $got) = rows($database);
	cmp_ok(length($expected), '>', 1000, 'there are rows');
	ok($got eq $expected, "$name: the tables are the same (SEED=$seed)");
	return;
}

my ($count, $strange, @plain) = settled(stream('feed'));
note(join(', ', map { "$_ $count->{$_}" } sort keys %$count));
is_deeply($strange, [], 'rows have the columns of their definition');
is_copy('plain', @plain);
my $plain = join("\n", map { @$_ } @plain);

foreach my $variant (
	[ 'streamed', 'feed', streaming => 'on' ],
	[ 'streamed in batches', 'feed', streaming => 'on', batch_bytes => 65536 ],
	[ 'in batches', 'feed', batch_bytes => 65536 ],
	[ 'prepared', 'two' ],
	[ 'prepared and streamed', 'two', streaming => 'on' ],
	[ 'prepared, in batches', 'two', batch_bytes => 65536 ],
	[ 'live' ])
{
	my ($name, $slot, %options) = @$variant;
	my ($ops, $odd, @got) = settled($slot ? stream($slot, %options) : split(/\n/, slurp_file("$tmp/apply_live")));

	note("$name: " . join(', ', map { "$_ $ops->{$_}" } sort keys %$ops));
	is_deeply($odd, [], "$name: rows have the columns of their definition (SEED=$seed)");
	ok(join("\n", map { @$_ } @got) eq $plain, "$name: the same is left (SEED=$seed)");
}
(undef, $strange, my @strings) = settled(stream('two', streaming => 'on', numbers => 'string'));
is_copy('numbers as strings', @strings);

$node->stop;
done_testing();
