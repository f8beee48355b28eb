# Promise: what another PostgreSQL refuses is a clear error before the first row
# is sent, says how to mend it, and shows no secret anywhere.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('source', conf => "log_statement = all\nlog_min_duration_statement = 0\n");
my $warehouse = new_warehouse('warehouse');

$node->safe_psql('postgres', warehouse_sql($warehouse));
$node->safe_psql('postgres', q{CREATE TYPE mood AS ENUM ('good', 'bad');
	CREATE TABLE t (id int PRIMARY KEY, n int, m mood, at timestamp);
	INSERT INTO t SELECT i, i, 'good', now() FROM generate_series(1, 100) i});
$warehouse->safe_psql('postgres', 'CREATE SCHEMA closed; CREATE TABLE closed.t (id int); CREATE VIEW v AS SELECT 1 AS id');

# refused(CALL'S ARGUMENTS, PATTERN, WHAT)
sub refused
{
	my ($arguments, $pattern, $what) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.export($arguments)");

	isnt($code, 0, "$what: refused");
	like($err, $pattern, "$what: and the error says why");
	return;
}

# there(SQL): as the superuser of the other server
sub there { return $warehouse->safe_psql('postgres', shift); }

refused(q{'t', 'warehouse:public.t'}, qr/table "public"\."t" does not exist on server "warehouse".*HINT:.*"create": true/s, 'a missing table');
refused(q{'t', 'warehouse:closed.t'}, qr/permission denied for table "closed"\."t".*GRANT INSERT ON "closed"\."t" TO "loader"/s, 'no right to insert');
refused(q{'t', 'warehouse:public.v'}, qr/is not a table/, 'a view');
refused(q{'t', 'warehouse:t'}, qr/invalid table name.*server:schema\.table/s, 'half a name');
refused(q{'t', 'warehouse:closed.new', options => '{"create": true}'}, qr/GRANT CREATE, USAGE ON SCHEMA "closed"/, 'no right to create');
refused(q{'t', 'warehouse:public.new', options => '{"create": true}'}, qr/type public\.mood of column "m" does not exist.*Make it there/s, 'a type that is missing');
there(q{CREATE TABLE t (id int PRIMARY KEY, n smallint, m text, at timestamp); GRANT ALL ON t TO loader});
refused(q{'t', 'warehouse:public.t'}, qr/column "n" of table "public"\."t" on server "warehouse" has type smallint.*Change the column's type there to integer/s, 'a narrower type');
there('ALTER TABLE t ALTER n TYPE bigint, DROP at');
refused(q{'t', 'warehouse:public.t'}, qr/column "at" of table "public"\."t" does not exist/, 'a missing column');
there('ALTER TABLE t ADD at timestamp, ADD extra int NOT NULL');
refused(q{'t', 'warehouse:public.t'}, qr/column "extra" of table "public"\."t" on server "warehouse" would be null/, 'a column that nothing fills');
there('ALTER TABLE t DROP extra, DROP m, ADD m text GENERATED ALWAYS AS (NULL) STORED');
refused(q{'t', 'warehouse:public.t'}, qr/"m".*is a generated column/, 'a generated column');
there('ALTER TABLE t DROP m, ADD m text; ALTER TABLE t ENABLE ROW LEVEL SECURITY');
refused(q{'t', 'warehouse:public.t'}, qr/row-level security of table/, 'row security');
there('ALTER TABLE t DISABLE ROW LEVEL SECURITY');

refused(q{'t', 'warehouse:public.t', workers => 0}, qr/argument "workers" is not for exports to tables/, 'no workers');
refused(q{'t', 'warehouse:public.t', format => 'parquet'}, qr/format "parquet" is not for exports to tables/, 'Parquet');
refused(q{'t', 'warehouse:public.t', format => 'binary'}, qr/not all columns can be sent in binary form/, 'binary form of other types');
refused(q{'t', 'warehouse:public.t', compression => 'gzip'}, qr/"compression" is not for exports to tables/, 'compression');
refused(q{'t', 'warehouse:public.t', options => '{"overwrite": true}'}, qr/"publish": "replace"/, 'overwrite');
refused(q{'t', 'file:///tmp/nowhere', options => '{"publish": "append"}'}, qr/"publish" is for exports to tables only/, 'files have no rows to append');
# types that take every row and not every digit
$node->safe_psql('postgres', q{CREATE TABLE digits (n numeric, m numeric(10, 3)[], d int8, at timestamp(3), t text, iv interval)});
foreach my $column ('n numeric(10, 2)', 'm numeric(10, 2)[]', 'd float8', 'at timestamp(0)', 't name', 'iv interval day to hour')
{
	my ($name) = $column =~ /^(\w+)/;

	there("DROP TABLE IF EXISTS digits; CREATE TABLE digits ($column); GRANT ALL ON digits TO loader");
	refused(qq{'digits', 'warehouse:public.digits', columns => '{$name}'}, qr/column "$name" of table "public"\."digits".* has type/, "$column would lose digits");
}
there('DROP TABLE digits');
is($node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs'), 0, 'none of them left a job');
is(there('SELECT count(*) FROM t'), '0', 'nor a row');
is(there("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'outflow%'"), '0', 'nor a schema');

# an int into a bigint, an enum into a text
$node->safe_psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')});
is(there('SELECT count(*), sum(n), min(m) FROM t'), '100|5050|good', 'wider types take the rows');

# what a trigger leaves out is told, and nothing stays
there(q{CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN NEW.id = 7 THEN NULL ELSE NEW END; END';
	CREATE TRIGGER skip BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION skip(); TRUNCATE t});
refused(q{'t', 'warehouse:public.t'}, qr/took 99 of 100 rows.*A trigger/s, 'a trigger that drops rows');
is(there('SELECT count(*) FROM t'), '0', 'it took none of them');
isnt(leftovers($warehouse), '', 'they wait');
$node->safe_psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs');
is(leftovers($warehouse), '', 'until the job is forgotten');
is(there('SELECT count(*), count(published) FROM outflow_loader.job'), '1|1', 'with its record');
there('DROP TRIGGER skip ON t');

# a record that its owner has spoilt
there('TRUNCATE t');
my $spoilt = $node->safe_psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')});
there('ALTER TABLE outflow_loader.part ALTER bytes DROP NOT NULL; UPDATE outflow_loader.part SET bytes = NULL');
like(($node->psql('postgres', "SELECT * FROM outflow.verify($spoilt)"))[2], qr/server "warehouse" answers otherwise than PostgreSQL does/, 'a null that cannot be');

# ---- who may
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN; GRANT SELECT ON t TO plain');
my @as_plain = (extra_params => [ '-U', 'plain' ]);
my ($code, $out, $err) = $node->psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')}, @as_plain);
like($err, qr/permission denied for foreign server warehouse/, 'USAGE is needed');
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER warehouse TO plain');
($code, $out, $err) = $node->psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')}, @as_plain);
like($err, qr/role "plain" has no user mapping for server "warehouse"/, 'and a mapping');
$node->safe_psql('postgres', "CREATE USER MAPPING FOR plain SERVER warehouse OPTIONS (user 'postgres', password 'any')");
($code, $out, $err) = $node->psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')}, @as_plain);
like($err, qr/server "warehouse" lets us in without the password.*pg_hba\.conf/s, 'a server that trusts this machine is not used');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR plain SERVER warehouse OPTIONS (SET user 'loader', SET password '$secret-wrong')");
($code, $out, $err) = $node->psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')}, @as_plain);
like($err, qr/could not connect to server "warehouse".*password authentication failed for user "loader"/s, 'a wrong password');
there('TRUNCATE t');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR plain SERVER warehouse OPTIONS (SET password '$secret')");
$node->safe_psql('postgres', q{CALL outflow.export('t', 'warehouse:public.t')}, @as_plain);
is(there('SELECT count(*) FROM t'), '100', 'with both and the right one it is done');

# ---- addresses that only a superuser may open
$node->safe_psql('postgres', "ALTER SERVER warehouse OPTIONS (SET host '127.0.0.1', DROP allow_private)");
refused(q{'t', 'warehouse:public.t'}, qr/host "127\.0\.0\.1" of server "warehouse" has a loopback address, which must not be connected to/, 'loopback');
$node->safe_psql('postgres', 'ALTER SERVER warehouse OPTIONS (SET host \'' . $warehouse->host . "', ADD allow_private 'true')");

# ---- trying it
is($node->safe_psql('postgres', "SELECT step, ok FROM outflow.check_destination('warehouse:public.t')"), 'reach|t', 'check_destination tries it');
like($node->safe_psql('postgres', "SELECT detail FROM outflow.check_destination('warehouse:')"), qr/^PostgreSQL \d+\.\d+, as role "loader"/, 'and tells whom it found');

# ---- records are no tables to export to, neither one's own nor another role's
my $records = there('SELECT count(*) FROM outflow_loader.job');
my $own = qr/table "outflow_\w+"\."\w+" on server "warehouse" would be among the records of exports.*HINT:  Choose another schema/s;
there(q{CREATE ROLE other; CREATE SCHEMA outflow_other AUTHORIZATION other;
	CREATE TABLE outflow_other.job (id int); CREATE TABLE outflow_other.part (id int); CREATE TABLE outflow_other.target (id int);
	ALTER TABLE outflow_other.job OWNER TO other; ALTER TABLE outflow_other.part OWNER TO other; ALTER TABLE outflow_other.target OWNER TO other;
	GRANT USAGE, CREATE ON SCHEMA outflow_other TO loader; GRANT ALL ON ALL TABLES IN SCHEMA outflow_other TO loader;
	CREATE SCHEMA outflow_plain; GRANT USAGE ON SCHEMA outflow_plain TO loader; CREATE TABLE outflow_plain.job (id int); GRANT ALL ON outflow_plain.job TO loader});
$node->safe_psql('postgres', q{CREATE TABLE records (job uuid)});
refused(q{'records', 'warehouse:outflow_loader.job', options => '{"publish": "replace"}'}, $own, 'the own records');
refused(q{'records', 'warehouse:outflow_loader.new', options => '{"create": true}'}, $own, 'a new table among them');
refused(q{'t', 'warehouse:outflow_other.job', columns => '{id}'}, $own, "another role's records");
refused(q{'t', 'warehouse:outflow_other.new', columns => '{id}', options => '{"create": true}'}, $own, 'a new table among those');
$node->safe_psql('postgres', q{CALL outflow.export('t', 'warehouse:outflow_plain.job', columns => '{id}')});
is(there('SELECT count(*) FROM outflow_plain.job'), '100', 'a schema that is only named like theirs is one like others');
like($node->safe_psql('postgres', "SELECT ok, detail FROM outflow.check_destination('warehouse:outflow_loader.$_')"), qr/^f\|.*records of exports/, "check_destination refuses $_ too") for 'part', 'new';
is(there('SELECT count(*) FROM outflow_loader.job') - $records, 1, 'and the records stay');

# ---- a database that others export to has such records itself
$node->safe_psql('postgres', q{CREATE DATABASE hub});
$node->safe_psql('hub', q{CREATE EXTENSION outflow; CREATE TABLE hubs (id int); INSERT INTO hubs VALUES (1);
	CREATE SCHEMA outflow_loader; CREATE TABLE outflow_loader.job (job uuid); CREATE TABLE outflow_loader.part (job uuid);
	CREATE TABLE outflow_loader.target (job uuid); CREATE TABLE outflow_loader."1_0" (id int); CREATE PUBLICATION alltab FOR ALL TABLES;} . warehouse_sql($warehouse));
there('CREATE TABLE hubs (id int); GRANT ALL ON hubs TO loader');
my ($code, $out, $err) = $node->psql('hub', q{CALL outflow.export_publication('alltab', 'warehouse:', options => '{"publish": "replace"}')});
is($code, 0, 'a publication of all tables goes without them');
like($err, qr/WARNING:  the export leaves out 4 tables of publication "alltab"/, 'and a warning tells how many');
is(there('SELECT count(*) FROM hubs'), '1', 'the others are there');
($code, $out, $err) = $node->psql('hub', q{CALL outflow.export_schema('outflow_loader', 'warehouse:', options => '{"publish": "replace"}')});
like($err, $own, 'named by their schema, they are refused');

# ---- a standby
$warehouse->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($warehouse, 'copy', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', 'ALTER SERVER warehouse OPTIONS (SET port \'' . $standby->port . '\', SET host \'' . $standby->host . '\')');
refused(q{'t', 'warehouse:public.t'}, qr/server "warehouse" is in recovery.*Connect to its primary/s, 'a standby');
is($node->safe_psql('postgres', "SELECT ok FROM outflow.check_destination('warehouse:public.t')"), 'f', 'check_destination says so too');
$standby->stop;
refused(q{'t', 'warehouse:public.t'}, qr/could not connect to server "warehouse"/, 'a server that is not there');

# ---- the password is nowhere but in the mapping, and in the statements that made it
my $log = join '', grep { !/USER MAPPING|CREATE ROLE/ } split /^/, slurp_file($node->logfile) . slurp_file($warehouse->logfile);
unlike($log, qr/\Q$secret\E/, 'no log has the password');
my $seen = $node->safe_psql('postgres', q{SELECT j FROM outflow.jobs AS j; SELECT p FROM outflow.parts AS p;
	SELECT query FROM pg_stat_activity; SELECT * FROM outflow.preflight()});
unlike($seen, qr/\Q$secret\E/, 'nor a view');
unlike(there('SELECT query FROM pg_stat_activity; SELECT j FROM outflow_loader.job AS j'), qr/\Q$secret\E/, 'nor the other server');
done_testing();
