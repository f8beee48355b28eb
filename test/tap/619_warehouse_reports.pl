# Promise: names there and of servers that the client's encoding lacks are in nobody's
# way: what is told of them shows their bytes, and a job is forgotten all the same.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

# as initdb finds it
$ENV{LC_ALL} = 'C.UTF-8';

my $node = new_outflow_node('source', conf => "outflow.retries = 0\nmax_prepared_transactions = 2\n");
my $warehouse = new_warehouse('old');
# a Cyrillic letter, and one that the client has
my $letters = "\xd0\xb6\xc3\xa4";
my $shown = quotemeta("\\xd0\\xb6\xe4");
my $server = qr/on server "w$shown"/;

sub here { return $node->safe_psql('postgres', shift); }
sub there { return $warehouse->safe_psql('postgres', shift); }
sub last_job { return here('SELECT max(job) FROM outflow.jobs'); }

# told(SQL, PATTERN, NAME)
sub told
{
	my ($statement, $pattern, $name) = @_;

	local $ENV{PGCLIENTENCODING} = 'LATIN1';
	my ($code, $out, $err) = $node->psql('postgres', $statement);
	is($code, 0, "$name: ends well") or diag($err);
	return like($err, $pattern, "$name: told");
}

# forgotten(JOB, PATTERN, NAME)
sub forgotten
{
	my ($job, $pattern, $name) = @_;

	told("SELECT outflow.forget($job)", $pattern, $name);
	return is(here("SELECT count(*) FROM outflow.jobs WHERE job = $job"), '0', "$name: forgotten");
}

# loaded(): a job that has loaded some rows directly
sub loaded
{
	there(qq(TRUNCATE "t$letters"));
	hold_exports($node, 3);
	my ($call) = start_psql($node, qq{CALL outflow.export('t', 'w$letters:public."t$letters"', part_size => '16kB', workers => 1, options => '{"load": "direct"}')});
	wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'the export waits');
	return cancel_held($node, $call, last_job());
}

is(here('SHOW server_encoding') . there('SHOW server_encoding'), 'UTF8UTF8', 'databases that have them');
here(warehouse_sql($warehouse) . qq{
ALTER SERVER warehouse RENAME TO "w$letters";
CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 3000) i});
there(qq{CREATE TABLE "t$letters" (id int PRIMARY KEY); GRANT SELECT, INSERT, TRUNCATE, DELETE ON "t$letters" TO loader; CREATE TABLE other (id int)});

# ---- rows that are not the job's any more, and rows that others refer to
my $job = loaded();
there(qq(CREATE TABLE "r$letters" (id int REFERENCES "t$letters" ON DELETE CASCADE)));
forgotten($job, qr/NOTICE:  rows stay in table .*t$shown.* $server\nDETAIL: .*foreign key of table .*r$shown/, 'rows that others might refer to');
there(qq(DROP TABLE "r$letters"));
$job = loaded();
there(qq(DELETE FROM "t$letters" WHERE id = 10));
forgotten($job, qr/NOTICE:  rows stay in table .*t$shown.* $server\nDETAIL:  Of \d+ rows/, 'rows that were removed');

# ---- an export that is there, but for its record
there(qq(TRUNCATE "t$letters"));
here(q{CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
	CREATE TRIGGER spoil BEFORE UPDATE ON outflow.job FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION spoil()});
isnt(($node->psql('postgres', qq{CALL outflow.export('t', 'w$letters:public."t$letters"')}, stderr => \my $none))[0], 0, 'a job fails at its end');
here('DROP TRIGGER spoil ON outflow.job');
forgotten(last_job(), qr/NOTICE:  the rows stay in "w$shown:public\.\W*t$shown/, 'rows that are there');

# ---- two servers, each by a role of its own
there(qq(TRUNCATE "t$letters"));
here(qq{CALL outflow.export('t', 'w$letters:public."t$letters"', options => '{"load": "kept"}')});
$job = last_job();
my ($host, $port) = ($warehouse->host, $warehouse->port);
there('CREATE ROLE loader2 LOGIN');
here(qq{ALTER SERVER "w$letters" RENAME TO "n$letters";
CREATE SERVER "a$letters" FOREIGN DATA WRAPPER outflow_postgres OPTIONS (host '$host', port '$port', dbname 'postgres', allow_private 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER "a$letters" OPTIONS (user 'loader2', password_required 'false')});
told("SELECT count(*) FROM outflow.verify($job)", qr/WARNING:  servers "[an]\\xd0\\xb6\S+" and "[an]\S+" lead to "postgresql:.*HINT: .* "w/s, 'servers by different roles');
here(qq{DROP SERVER "n$letters" CASCADE; ALTER SERVER "a$letters" RENAME TO "w$letters"});
forgotten($job, qr/NOTICE:  staging tables of export job $job may stay in ".*t$shown/, 'tables that cannot be reached');
here(qq{ALTER USER MAPPING FOR CURRENT_USER SERVER "w$letters" OPTIONS (SET user 'loader', ADD password '$secret')});

# ---- a new cluster at the old one's address
write_rows($warehouse, 'other', 500);
$job = loaded();
$warehouse = moved_warehouse($warehouse, 'new');
forgotten($job, qr/NOTICE:  rows stay in table .*t$shown.* $server\nDETAIL: .*another cluster/, 'rows that came with a dump');

done_testing();
