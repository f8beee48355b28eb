# Promise: whatever DDL command an event trigger sees is told exactly once, with
# its text; what is not told is what README lists.
use strict;
use warnings;

use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
my $major = server_major($node);
my @cases;

# told(COMMANDS, a line each): one record of each; untold: none
sub told { push @cases, map { [ $_, 1 ] } grep { /\S/ } split /\n/, shift; return }
sub untold { push @cases, map { [ $_, 0 ] } grep { /\S/ } split /\n/, shift; return }

told(<<'EOS');
CREATE TABLE t (a int PRIMARY KEY, b text, c int)
CREATE TABLE u (a int PRIMARY KEY)
CREATE SCHEMA s
CREATE TABLE s.v (a int)
CREATE PUBLICATION p FOR TABLE t, u
ALTER PUBLICATION p DROP TABLE u
ALTER PUBLICATION p ADD TABLE u
ALTER PUBLICATION p SET TABLE t
ALTER PUBLICATION p SET TABLE u
ALTER PUBLICATION p SET TABLE t, u
ALTER PUBLICATION p SET TABLE t (a), u WHERE (a > 1)
ALTER PUBLICATION p SET TABLE t, u
ALTER PUBLICATION p ADD TABLES IN SCHEMA s
ALTER PUBLICATION p DROP TABLES IN SCHEMA s
ALTER PUBLICATION p ADD TABLES IN SCHEMA s
ALTER PUBLICATION p DROP TABLE t, u
ALTER PUBLICATION p SET TABLE t
ALTER PUBLICATION p SET (publish = 'insert')
ALTER PUBLICATION p OWNER TO CURRENT_USER
ALTER PUBLICATION p RENAME TO p2
ALTER TABLE t ADD d int DEFAULT 5, ADD CONSTRAINT positive CHECK (d > 0), ADD CONSTRAINT single UNIQUE (c)
ALTER TABLE t DROP CONSTRAINT positive
ALTER TABLE t DROP CONSTRAINT single
ALTER TABLE t ALTER d DROP DEFAULT
ALTER TABLE t ALTER a SET STATISTICS 10
ALTER TABLE t DROP d
ALTER TABLE t REPLICA IDENTITY FULL
ALTER TABLE t RENAME c TO e
ALTER TABLE t SET SCHEMA s
ALTER TABLE s.t SET SCHEMA public
ALTER TABLE t OWNER TO CURRENT_USER
ALTER TABLE t SET (fillfactor = 90)
ALTER TABLE s.v SET UNLOGGED
ALTER TABLE s.v SET LOGGED
ALTER TABLE t ENABLE ROW LEVEL SECURITY
CREATE TABLE r (k int) PARTITION BY LIST (k)
CREATE TABLE r1 PARTITION OF r FOR VALUES IN (1)
CREATE TABLE r2 (k int)
ALTER TABLE r ATTACH PARTITION r2 FOR VALUES IN (2)
ALTER TABLE r DETACH PARTITION r2
ALTER TABLE r DETACH PARTITION r1 CONCURRENTLY
CREATE TABLE child () INHERITS (t)
ALTER TABLE child NO INHERIT t
CREATE INDEX i ON t (b)
CREATE INDEX CONCURRENTLY j ON t (b)
ALTER INDEX i SET (fillfactor = 50)
ALTER INDEX i RENAME TO i2
DROP INDEX i2
DROP INDEX CONCURRENTLY j
CREATE STATISTICS st ON a, b FROM t
ALTER STATISTICS st SET STATISTICS 5
DROP STATISTICS st
CREATE TYPE pair AS (x int, y int)
ALTER TYPE pair ADD ATTRIBUTE z int
ALTER TYPE pair DROP ATTRIBUTE z
ALTER TYPE pair RENAME ATTRIBUTE y TO w
CREATE TYPE mood AS ENUM ('a')
ALTER TYPE mood ADD VALUE 'b'
ALTER TYPE mood ADD VALUE IF NOT EXISTS 'b'
ALTER TYPE mood RENAME VALUE 'b' TO 'c'
CREATE TYPE span AS RANGE (subtype = int)
CREATE DOMAIN d AS int CONSTRAINT small CHECK (VALUE < 10)
ALTER DOMAIN d DROP CONSTRAINT small
ALTER DOMAIN d DROP CONSTRAINT IF EXISTS small
ALTER DOMAIN d SET NOT NULL
ALTER DOMAIN d DROP NOT NULL
CREATE OPERATOR FAMILY f USING btree
ALTER OPERATOR FAMILY f USING btree ADD OPERATOR 1 < (int4, int8)
ALTER OPERATOR FAMILY f USING btree DROP OPERATOR 1 (int4, int8)
CREATE OPERATOR CLASS oc FOR TYPE int4 USING btree FAMILY f AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4, int4)
DROP OPERATOR CLASS oc USING btree
DROP OPERATOR FAMILY f USING btree
CREATE TEXT SEARCH CONFIGURATION tc (COPY = simple)
ALTER TEXT SEARCH CONFIGURATION tc ALTER MAPPING FOR word WITH english_stem
ALTER TEXT SEARCH CONFIGURATION tc ALTER MAPPING REPLACE english_stem WITH simple
ALTER TEXT SEARCH CONFIGURATION tc DROP MAPPING FOR word
ALTER TEXT SEARCH CONFIGURATION tc DROP MAPPING IF EXISTS FOR word
CREATE TEXT SEARCH DICTIONARY td (TEMPLATE = simple)
ALTER TEXT SEARCH DICTIONARY td (accept = false)
DROP TEXT SEARCH CONFIGURATION tc
CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a'
ALTER FUNCTION f(int) COST 5
CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1'
CREATE PROCEDURE pr() LANGUAGE sql AS ''
CREATE AGGREGATE ag (int) (SFUNC = int4pl, STYPE = int)
CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)
ALTER OPERATOR <+> (int, int) SET (RESTRICT = NONE)
DROP OPERATOR <+> (int, int)
CREATE CAST (mood AS int) WITH INOUT
DROP CAST (mood AS int)
CREATE COLLATION co FROM "C"
ALTER COLLATION co REFRESH VERSION
CREATE CONVERSION cv FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1
CREATE ACCESS METHOD am TYPE INDEX HANDLER bthandler
DROP ACCESS METHOD am
CREATE SEQUENCE sq
ALTER SEQUENCE sq RESTART 5
ALTER SEQUENCE sq OWNED BY t.a
CREATE VIEW vw AS SELECT 1 AS one
CREATE OR REPLACE VIEW vw AS SELECT 2 AS one
ALTER VIEW vw ALTER one SET DEFAULT 5
ALTER VIEW vw RENAME one TO two
CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one
CREATE UNIQUE INDEX mvi ON mv (one)
REFRESH MATERIALIZED VIEW mv
REFRESH MATERIALIZED VIEW CONCURRENTLY mv
CREATE RULE ru AS ON INSERT TO vw DO INSTEAD NOTHING
ALTER RULE ru ON vw RENAME TO ru2
DROP RULE ru2 ON vw
CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()
ALTER TRIGGER tr ON t RENAME TO tr2
ALTER TABLE t DISABLE TRIGGER tr2
DROP TRIGGER tr2 ON t
CREATE POLICY po ON t USING (true)
ALTER POLICY po ON t USING (a > 1)
DROP POLICY po ON t
COMMENT ON TABLE t IS 'a table'
COMMENT ON COLUMN t.a IS NULL
GRANT SELECT ON t TO outflow_corpus
GRANT UPDATE (a) ON t TO outflow_corpus
GRANT EXECUTE ON FUNCTION f(int) TO outflow_corpus
GRANT USAGE ON SCHEMA s TO outflow_corpus
GRANT SELECT ON ALL TABLES IN SCHEMA s TO outflow_corpus
REVOKE SELECT ON t FROM outflow_corpus
REVOKE UPDATE (a) ON t FROM outflow_corpus
ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO outflow_corpus
ALTER DEFAULT PRIVILEGES IN SCHEMA s REVOKE SELECT ON TABLES FROM outflow_corpus
CREATE TABLE owned (a int)
ALTER TABLE owned OWNER TO outflow_corpus
CREATE EXTENSION citext
ALTER EXTENSION citext SET SCHEMA s
ALTER EXTENSION citext ADD TABLE u
ALTER EXTENSION citext DROP TABLE u
DROP EXTENSION citext
CREATE TABLE made AS SELECT 1 AS a
SELECT 1 AS a INTO made_too
DROP OWNED BY outflow_corpus
DROP TABLE made, made_too
DROP DOMAIN d
DROP TYPE mood, span, pair
DROP FUNCTION f(int)
DROP ROUTINE pr
DROP PUBLICATION p2
DROP SCHEMA s CASCADE
EOS
($major >= 17 ? \&told : \&untold)->('REINDEX TABLE t');
untold(<<'EOS');
REASSIGN OWNED BY outflow_corpus TO CURRENT_USER
ALTER ROLE outflow_corpus CONNECTION LIMIT 5
GRANT pg_monitor TO outflow_corpus
ALTER DATABASE postgres SET work_mem = '5MB'
SET work_mem = '4MB'
DROP TABLE IF EXISTS not_there
CLUSTER t USING t_pkey
TRUNCATE t
EOS

$node->safe_psql('postgres', 'CREATE ROLE outflow_corpus; SELECT outflow.capture_ddl(true)');
create_slot($node, 'feed');
my $script = "${PostgreSQL::Test::Utils::tmp_check}/corpus.sql";
append_to_file($script, "SET client_min_messages = error;\n" . join('', map { "\\echo $_\nSELECT pg_logical_emit_message(true, 'number', '$_') IS NULL;\n$cases[$_]->[0];\n" } 0 .. $#cases));
my ($out, $err) = run_command([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-f', $script ]);
is($err, '', 'all commands run');

my %records;
my %objects;
my $number;
foreach my $line (split /\n/, $node->safe_psql('postgres', q{SELECT data FROM pg_logical_slot_get_changes('feed', NULL, NULL, 'include_transactions', 'off')}))
{
	my $record = JSON::PP::decode_json($line);

	$number = $record->{content} if $record->{op} eq 'message';
	push @{ $records{$number} }, $record if $record->{op} eq 'ddl';
}
foreach my $case (0 .. $#cases)
{
	my ($command, $count) = @{ $cases[$case] };

	is(join(' | ', map { $_->{command} } @{ $records{$case} // [] }), $count ? $command : '', $command);
	$objects{$command} = join(', ', sort map { $_->{type} . ' ' . ($_->{identity} // '-') } map { @{ $_->{objects} } } @{ $records{$case} // [] });
}
is($objects{'ALTER PUBLICATION p DROP TABLE u'}, 'publication relation public.u in publication p', 'with what it dropped');
like($objects{'DROP OWNED BY outflow_corpus'}, qr/TABLE.*table public\.owned/, 'with what it dropped and took back');
is($objects{'ALTER TYPE pair DROP ATTRIBUTE z'}, 'composite type public.pair', 'with what it altered');

# whoever may call what
$node->safe_psql('postgres', <<'SQL');
REVOKE EXECUTE ON FUNCTION pg_event_trigger_ddl_commands(), pg_event_trigger_dropped_objects() FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO outflow_corpus;
SET ROLE outflow_corpus;
CREATE TABLE theirs (a int);
DROP TABLE theirs;
SQL
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_logical_slot_get_changes('feed', NULL, NULL) WHERE data ~ '"(CREATE|DROP) TABLE theirs'}), '2', 'a role that may not call what tells the objects');

# other event triggers run commands in the middle of one that both drops and takes back
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE theirs (a int);
ALTER TABLE theirs OWNER TO outflow_corpus;
GRANT SELECT ON t TO outflow_corpus;
CREATE TABLE scratch (a int);
CREATE FUNCTION nest() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF tg_tag = 'DROP OWNED' THEN
		COMMENT ON TABLE t IS 'nested';
		DROP TABLE scratch;
	END IF;
END $$;
CREATE EVENT TRIGGER zz_after_ours ON sql_drop EXECUTE FUNCTION nest();
SELECT FROM pg_replication_slot_advance('feed', pg_current_wal_lsn());
DROP OWNED BY outflow_corpus;
SQL
is($node->safe_psql('postgres', q{SELECT string_agg(data::json->>'tag', ', ') FROM pg_logical_slot_get_changes('feed', NULL, NULL, 'include_transactions', 'off') WHERE data::json->>'op' = 'ddl'}),
	'DROP OWNED, COMMENT, DROP TABLE', 'commands within a command');
$node->stop;
done_testing();
