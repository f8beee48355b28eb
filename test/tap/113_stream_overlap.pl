# Promise: what a transaction has changed is read by the definitions of then, though
# others have changed those before it ended; so a record has the same contents
# whichever session delivers it.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_outflow_node('overlap', conf => "logical_decoding_work_mem = '64kB'\nmax_prepared_transactions = 10\n");
my ($version) = $node->safe_psql('postgres', 'SHOW server_version_num');

plan skip_all => 'a minor release that does not lead such transactions forward'
  if $version < { 15 => 150013, 16 => 160009, 17 => 170005 }->{ int($version / 10000) } // 0;

sub sql { return $node->safe_psql('postgres', $_[0]) }

# rows_of(SLOT, CALL, OPTIONS): records of rows, without what names the transaction
sub rows_of
{
	my ($slot, $call, $options) = @_;

	return grep { /"op":"(insert|update|delete)"/ } split(/\n/,
		sql("SELECT data FROM pg_logical_slot_$call, 'include_schemas', 'off'$options)"));
}

# at_once(OPTIONS): all rows, delivered in one session
sub at_once { return [ rows_of('s', "peek_changes('s', NULL, NULL", $_[0] // '') ] }

# one_by_one(OPTIONS): each transaction in a session of its own
sub one_by_one
{
	my $options = $_[0] // '';
	my @rows;

	sql("SELECT pg_copy_logical_replication_slot('s', 'copy', false)");
	while (1)
	{
		my @got = rows_of('copy', "get_changes('copy', NULL, 1", $options);

		push @rows, @got;
		last if sql("SELECT count(*) FROM pg_logical_slot_peek_changes('copy', NULL, 1$options)") eq '0';
	}
	sql("SELECT pg_drop_replication_slot('copy')");
	return \@rows;
}

# beside(BEFORE, CHANGE, AFTER, [REST]): a transaction, what changes and is used while
# it is in progress, and its rest
sub beside
{
	my ($before, $change, $after, $rest) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);

	sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
	sql("SELECT pg_create_logical_replication_slot('s', 'outflow')");
	$session->query_safe("BEGIN; $before");
	sql($change);
	sql($after);
	$session->query_safe($rest) if $rest;
	$session->query_safe('COMMIT');
	$session->quit;
	return;
}

# same(NAME, PATTERN, OPTIONS): however it is delivered; the first transaction's rows last
sub same
{
	my ($name, $pattern, $options) = @_;
	my $rows = at_once($options);

	like(join("\n", @$rows), $pattern, $name);
	is_deeply($rows, one_by_one($options), '... in whichever session');
}

sql(q{CREATE TYPE mood AS ENUM ('old'); CREATE TYPE pair AS (f int);
	CREATE TABLE t (a int PRIMARY KEY, e mood, c pair, v text); CREATE TABLE other (a int PRIMARY KEY);
	CREATE PUBLICATION p FOR TABLE t WHERE (a > 0); CREATE SCHEMA s1; CREATE TABLE s1.t (a int PRIMARY KEY)});

beside(q{INSERT INTO t VALUES (1, 'old', ROW(1), 'x'), (-1, 'old', ROW(1), 'filtered away')},
	q{ALTER TYPE mood RENAME VALUE 'old' TO 'new'; ALTER TYPE pair RENAME ATTRIBUTE f TO g; ALTER PUBLICATION p SET TABLE t},
	q{INSERT INTO t VALUES (2, 'new', ROW(2), 'after')},
	q{INSERT INTO t VALUES (3, 'new', ROW(3), 'rest'), (-3, 'new', ROW(3), 'rest')});
my $published = ", 'publication_names', 'p'";
my ($old, $new) = ('"e":"old","c":{"f":1}', '"e":"new","c":\{"g":');
same('labels, fields and filters of then',
	qr/^[^\n]*"a":2,$new[^\n]*\n[^\n]*"a":1,\Q$old\E[^\n]*\n[^\n]*"a":3,$new[^\n]*\n[^\n]*"a":-3,$new[^\n]*$/, $published);
is(scalar(grep { /"f":1/ } @{ at_once() }), 2, 'without publications: names of then');
is_deeply(at_once(), one_by_one(), '... in whichever session');

# columns that were not published, and that are not any more
sql('ALTER PUBLICATION p SET TABLE t (a)');
beside(q{INSERT INTO t VALUES (11, NULL, NULL, 'secret')}, 'ALTER PUBLICATION p SET TABLE t', 'INSERT INTO t VALUES (12)');
same('a list of columns that ends', qr/^[^\n]*"a":12,[^\n]*\n[^\n]*"new":\{"a":11\}\}$/, $published);
beside(q{INSERT INTO t VALUES (13, NULL, NULL, 'public')}, 'ALTER PUBLICATION p SET TABLE t (a)', 'INSERT INTO t VALUES (14)');
same('a list of columns that begins', qr/^[^\n]*"new":\{"a":14\}\}\n[^\n]*"v":"public"[^\n]*$/, $published);

# a table whose name a filter does not know any more
beside('INSERT INTO s1.t VALUES (1)', 'ALTER SCHEMA s1 RENAME TO s2', 'INSERT INTO s2.t VALUES (2)', 'INSERT INTO s2.t VALUES (3)');
same('a filter by names of then', qr/^[^\n]*"schema":"s1"[^\n]*"a":1[^\n]*$/, ", 'tables', 's1.*'");
same('... and of now', qr/^[^\n]*"a":2[^\n]*\n[^\n]*"a":3[^\n]*$/, ", 'tables', 's2.*'");

# a type whose first use in the session is after its change
beside(q{INSERT INTO t VALUES (15, 'new')}, 'ALTER TYPE mood RENAME TO humour', q{INSERT INTO t VALUES (16, 'new')});
my @named = split(/\n/, sql("SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL, 'format', 'wal2json')"));
is(join(' ', map { /"columntypes":\["integer","(\w+)"/ ? $1 : () } @named), 'humour mood', 'names of types of then, at their first use');
sql('ALTER TYPE humour RENAME TO mood');

# values that are names: what they name may be of any kind, and used by nothing else
sql(q{CREATE TABLE x (a int); CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1; CREATE ROLE r; CREATE TYPE shade AS ENUM ();
	CREATE DOMAIN tables AS regclass[]; CREATE TYPE entry AS (t tables);
	CREATE TABLE c (a int PRIMARY KEY, c regclass); CREATE TABLE e (a int PRIMARY KEY, e entry);
	CREATE TABLE v (a int PRIMARY KEY, p regproc, o regrole, t regtype, l aclitem)});
my $x = q{ALTER TABLE x RENAME TO y};
beside(q{INSERT INTO c VALUES (1, 'x')}, $x, q{INSERT INTO c VALUES (2, 'y')}, q{INSERT INTO c VALUES (3, 'y')});
same('names of relations of then', qr/"a":2,"c":"public.y".*"a":1,"c":"public.x".*"a":3,"c":"public.y"/s);
sql('ALTER TABLE y RENAME TO x');
beside(q{INSERT INTO e VALUES (1, ROW('{x}'))}, $x, q{INSERT INTO e VALUES (2, ROW('{y}'))});
same('... inside of other types', qr/"a":2,"e":\{"t":\["public.y"\]\}.*"a":1,"e":\{"t":\["public.x"\]\}/s);
beside(q{INSERT INTO v VALUES (1, 'f', 'r', 'shade', 'r=r/postgres')},
	'ALTER FUNCTION f() RENAME TO g; ALTER ROLE r RENAME TO s; ALTER TYPE shade RENAME TO tint',
	q{INSERT INTO v VALUES (2, 'g', 's', 'tint', 's=r/postgres')});
my $names = sub { return qr/"p":"$_[0]","o":"$_[1]","t":"$_[2]","l":"$_[1]=r/ };
my ($then, $now) = ($names->('public.f', 'r', 'public.shade'), $names->('public.g', 's', 'public.tint'));
same('... of functions, roles and types', qr/"a":2,$now.*"a":1,$then/s);
beside(q{INSERT INTO v VALUES (3, 'g', 's', 'tint', 's=r/postgres')}, q{INSERT INTO v VALUES (4, 'g', 's', 'tint', 's=r/postgres')},
	'ALTER FUNCTION g() RENAME TO f; ALTER ROLE s RENAME TO r; ALTER TYPE tint RENAME TO shade', q{INSERT INTO v VALUES (5, 'f', 'r', 'shade', 'r=r/postgres')});
same('... that change after their first use', qr/"a":4,$now.*"a":3,$now.*"a":5,$then/s);

# a key of a partitioned table that becomes valid with a partition's index
sql(q{CREATE TABLE r (id int NOT NULL, k int NOT NULL, x int NOT NULL) PARTITION BY RANGE (k);
	CREATE TABLE r1 (k int NOT NULL, id int NOT NULL, x int NOT NULL, PRIMARY KEY (id, k)); CREATE UNIQUE INDEX u ON r1 (k, id, x);
	ALTER TABLE r1 REPLICA IDENTITY USING INDEX u; ALTER TABLE r ATTACH PARTITION r1 FOR VALUES FROM (0) TO (10);
	CREATE PUBLICATION tree FOR TABLE r WITH (publish_via_partition_root); ALTER TABLE ONLY r ADD PRIMARY KEY (id, k)});
beside('SELECT', 'INSERT INTO r VALUES (1, 1, 1); UPDATE r SET x = x + 1', 'ALTER INDEX r_pkey ATTACH PARTITION r1_pkey; UPDATE r SET x = x + 1; TRUNCATE r');
my $tree = ", 'publication_names', 'tree'";
same('a key that becomes valid', qr/"key":\{"id":1,"k":1,"x":1\}.*"key":\{"id":1,"k":1\}/s, $tree);
is(sql("SELECT string_agg(data::json->>'primary_key', ' ') FROM pg_logical_slot_peek_changes('s', NULL, NULL$tree) WHERE data ~ '\"op\":\"schema\"'"),
	($version < 180000 ? '[]' : '["id","k"]') . ' ["id","k"]', '... in definitions, too; 18 counts one that is not valid yet');

# one that is prepared, many relations that nobody streams, and pieces
beside(q{INSERT INTO t VALUES (21, 'new', ROW(1))}, q{ALTER TYPE pair RENAME ATTRIBUTE g TO h},
	q{DO $$ BEGIN FOR i IN 1..700 LOOP EXECUTE format('CREATE TABLE unused%s (a int)', i); END LOOP; END $$; INSERT INTO t VALUES (22, 'new', ROW(2))},
	"PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'; BEGIN");
same('what is prepared', qr/"a":22,"e":"new","c":\{"h":2\}.*"a":21,"e":"new","c":\{"g":1\}/s);
beside(q{INSERT INTO t SELECT i, 'new'::mood, ROW(1)::pair, repeat('x', 500) FROM generate_series(100, 900) i}, q{ALTER TYPE pair RENAME ATTRIBUTE h TO i},
	q{INSERT INTO t VALUES (23, 'new', ROW(2))}, q{INSERT INTO t SELECT i, 'new'::mood, ROW(1)::pair, repeat('x', 500) FROM generate_series(1100, 1900) i});
my @pieces = split(/\n/, sql("SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL, 'include_schemas', 'off', 'streaming', 'on')"));
cmp_ok(scalar(grep { /stream_start/ } @pieces), '>', 1, 'pieces');
is(scalar(grep { /"c":\{"h":1\}/ } @pieces), 801, '... of then');
is(scalar(grep { /"c":\{"i":[12]\}/ } @pieces), 802, '... and of now');
$node->stop;
done_testing();
