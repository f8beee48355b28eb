# Promise: whatever changes what the same tuples are written as makes another
# signature, and what may change without a trace has none.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ValidityTest;

my $node = new_validity_node('signature');

sub sql
{
	return $node->safe_psql('postgres', join(';', @_));
}

sub signature
{
	my ($table, $output) = @_;

	return $node->safe_psql('postgres',
		"SELECT validity.signature('$table', '@{[$output || '']}')");
}

sql(<<'EOC');
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TYPE inner_pair AS (a int, b text);
CREATE TYPE pair AS (x inner_pair, c colour);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN pairs AS pair[];
CREATE TYPE colour_range AS RANGE (SUBTYPE = colour);
CREATE TABLE t (
	id int PRIMARY KEY, note varchar(20), p pairs, r colour_range, n positive,
	at timestamptz, m money, f float8, j jsonb, twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO t (id) VALUES (1);
EOC

# what changes nothing
my $signature = signature('t');
like($signature, qr/^[0-9a-f]{64}$/, 'a table of many types has a signature');
foreach my $change ('ALTER TABLE t ADD CHECK (id > 0)', 'CREATE INDEX ON t (note)', 'ALTER TABLE t ALTER f SET DEFAULT 5',
	'COMMENT ON TABLE t IS \'t\'', 'ALTER TABLE t SET (fillfactor = 50)', 'VACUUM FULL t', 'ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO t',
	'GRANT SELECT ON t TO PUBLIC', 'ALTER DOMAIN positive ADD CHECK (VALUE < 1000000)', 'ANALYZE t')
{
	$node->safe_psql('postgres', $_) foreach split(/;/, $change);
	is(signature('t'), $signature, "not changed by: $change");
}
isnt(signature('t', 'csv'), signature('t', 'jsonl'), 'it depends on the rest of the output');

# what does
foreach my $change (
	q{ALTER TYPE colour RENAME VALUE 'red' TO 'crimson'},
	q{ALTER TYPE colour ADD VALUE 'blue'},
	'ALTER TYPE inner_pair RENAME ATTRIBUTE b TO bb',
	'ALTER TABLE t RENAME note TO remark',
	'ALTER TABLE t ALTER remark TYPE varchar(30)',
	'ALTER TABLE t ALTER remark TYPE text',
	'ALTER TABLE t ADD COLUMN added int DEFAULT 7',
	'ALTER TABLE t DROP COLUMN added',
	'ALTER TABLE t ADD COLUMN added int DEFAULT 8',
	'ALTER TABLE t ALTER twice DROP EXPRESSION',
	'ALTER TABLE t DROP COLUMN m')
{
	my $before = signature('t');

	sql($change);
	isnt(signature('t'), $before, "changed by: $change");
}
my $before = signature('t');
sql('ALTER TABLE t DROP COLUMN added', 'ALTER TABLE t ADD COLUMN added int DEFAULT 9');
isnt(signature('t'), $before, 'a column of the same name with another default is another one');

# types that are used deep inside
sql('CREATE TYPE deep AS (d inner_pair)', 'CREATE TABLE nested (i int, d deep[])');
$before = signature('nested');
sql('ALTER TYPE inner_pair ADD ATTRIBUTE extra int');
isnt(signature('nested'), $before, 'an attribute is added to a composite inside of a composite inside of an array');

# rows of another table that are older than its columns
sql('CREATE TABLE other (a int)', 'INSERT INTO other VALUES (1)', 'ALTER TABLE other ADD COLUMN b int DEFAULT 5',
	'CREATE TABLE holds (i int, w other[])');
$before = signature('holds');
sql('VACUUM (FREEZE) other');
is(signature('holds'), $before, 'a table of whose type there are rows may be vacuumed');
$node->safe_psql('postgres', 'VACUUM FULL other');
isnt(signature('holds'), $before, 'what such rows are filled up with is forgotten');

# values that are read from catalogs
foreach my $type ('regclass', 'regproc', 'regprocedure', 'regtype', 'regrole', 'regnamespace', 'regconfig', 'regdictionary', 'regoper',
	'regoperator', 'regcollation', 'aclitem', 'regclass[]', 'has_reg')
{
	sql('CREATE TYPE has_reg AS (a int, b regrole)') if $type eq 'has_reg';
	sql("CREATE TABLE reg (i int, c $type)");
	like(signature('reg'), qr/^values of type \w+ depend on catalogs$/, "$type has none");
	sql('DROP TABLE reg');
}
foreach my $type ('date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval', 'money', 'numeric', 'uuid', 'bytea', 'json', 'xml',
	'inet', 'point', 'bit(3)', 'tsvector', 'int4range', 'datemultirange', 'oid', 'xid', 'pg_lsn', 'oidvector', '"char"', 'name', 'int[]')
{
	sql("CREATE TABLE fine (i int, c $type)");
	like(signature('fine'), qr/^[0-9a-f]{64}$/, "$type has one");
	sql('DROP TABLE fine');
}

# a type whose output function is a user's own
sql(<<'EOC');
CREATE TYPE mine;
CREATE FUNCTION mine_in(cstring) RETURNS mine LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION mine_out(mine) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE mine (INPUT = mine_in, OUTPUT = mine_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4);
CREATE TABLE m (c mine);
EOC
$before = signature('m');
sql(q{CREATE OR REPLACE FUNCTION mine_out(mine) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'oidout'});
isnt(signature('m'), $before, 'a replaced output function makes another signature');
$before = signature('m');
sql('ALTER FUNCTION mine_out(mine) COST 7', 'GRANT EXECUTE ON FUNCTION mine_out(mine) TO pg_monitor');
is(signature('m'), $before, 'neither its cost nor its rights do');
sql('CREATE ROLE another SUPERUSER');
foreach my $change ('SET extra_float_digits = -10', 'SET extra_float_digits = -5', 'SECURITY DEFINER', 'OWNER TO another',
	'CALLED ON NULL INPUT', 'PARALLEL SAFE', 'LEAKPROOF')
{
	$before = signature('m');
	sql("ALTER FUNCTION mine_out(mine) $change");
	isnt(signature('m'), $before, "but this does: $change");
}
sql('ALTER FUNCTION mine_out(mine) STABLE');
like(signature('m'), qr/depend on catalogs/, 'one that is not immutable makes none');

# 1600 columns
sql('CREATE TABLE many (' . join(', ', map { "c$_ inner_pair" } 1 .. 1600) . ')');
like(signature('many'), qr/^[0-9a-f]{64}$/, '1600 columns');
sql('CREATE TABLE none ()');
like(signature('none'), qr/^[0-9a-f]{64}$/, 'and no column');

done_testing();
