# Promise: what the owner of one database does to it, with settings, locks and
# prepared transactions that outlive a restart, keeps no other database's queued
# jobs from starting.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('launcher', conf => "shared_preload_libraries = 'outflow'\n");
my $dir = new_export_dir();

$node->safe_psql('postgres', 'CREATE ROLE lowly LOGIN CREATEDB');
$node->safe_psql('postgres', "CREATE DATABASE $_ OWNER lowly") foreach 'settings', 'locks';
$node->safe_psql('postgres', 'CREATE DATABASE later');
$node->safe_psql($_, 'CREATE EXTENSION outflow') foreach 'settings', 'locks', 'later';

# a worker of ours would wait for a snapshot that no prepared transaction spoils
$node->safe_psql('settings', <<'EOS');
SET SESSION AUTHORIZATION lowly;
ALTER DATABASE settings SET default_transaction_isolation = serializable;
ALTER DATABASE settings SET default_transaction_read_only = on;
ALTER DATABASE settings SET default_transaction_deferrable = on;
BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE;
CREATE SCHEMA written;
PREPARE TRANSACTION 'stays';
EOS
# ... and none could connect to a database that is being renamed
$node->safe_psql('postgres', <<'EOS');
SET SESSION AUTHORIZATION lowly;
BEGIN;
ALTER DATABASE locks RENAME TO renamed;
PREPARE TRANSACTION 'locks';
EOS

# a job that nobody has started yet
$node->safe_psql('later', <<"EOS");
CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 10) AS g;
CALL outflow.export('t', 'file://$dir/one');
INSERT INTO outflow.job (owner, destination, location, format, compression, encrypt_to, part_size, workers, options, settings)
	SELECT owner, replace(destination, 'one', 'two'), replace(location, 'one', 'two'), format, compression, encrypt_to,
		part_size, workers, options, settings FROM outflow.job;
INSERT INTO outflow.source SELECT 2, source, relation, name, folder FROM outflow.source;
EOS
is($node->safe_psql('later', 'SELECT state FROM outflow.jobs WHERE job = 2'), 'queued', 'nobody has started it');
is($node->safe_psql('later', "SELECT string_agg(datname, ' ' ORDER BY ctid) FROM pg_database WHERE datname IN ('settings', 'locks', 'later')"),
	'settings locks later', 'its database comes last');

$node->restart;
ok($node->poll_query_until('later', "SELECT state = 'done' FROM outflow.jobs WHERE job = 2"),
	'the launcher reaches it');
is(slurp_file("$dir/two/part-000000.csv"), slurp_file("$dir/one/part-000000.csv"), '... and it is exported');

$node->safe_psql('settings', q{SET default_transaction_read_only = off; ROLLBACK PREPARED 'stays'});
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'locks'});
done_testing();
