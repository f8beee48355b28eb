-- who may export what, and who sees whose jobs
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/export_rights'
SET client_min_messages = warning;
CREATE SCHEMA export_rights;
SET search_path = export_rights;
CREATE ROLE outflow_nofiles LOGIN;
CREATE ROLE outflow_alice LOGIN IN ROLE pg_write_server_files;
CREATE ROLE outflow_bob LOGIN IN ROLE pg_write_server_files;
CREATE ROLE outflow_monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE outflow_nologin NOLOGIN IN ROLE pg_write_server_files;
CREATE ROLE outflow_writer LOGIN IN ROLE pg_write_all_data, pg_read_all_data;
GRANT USAGE ON SCHEMA export_rights TO PUBLIC;
CREATE TABLE t (id int, secret text);
INSERT INTO t VALUES (1, 'x');
CREATE TABLE readable (id int);
INSERT INTO readable VALUES (1);
GRANT SELECT ON readable TO PUBLIC;
GRANT SELECT (id) ON t TO outflow_alice;

-- files of the server
SET ROLE outflow_nofiles;
CALL outflow.export('readable', :'dir' || '_none');
-- an owner as whom no worker can run
SET ROLE outflow_nologin;
CALL outflow.export('readable', :'dir' || '_none');

-- columns
SET ROLE outflow_alice;
CALL outflow.export('t', :'dir' || '_none');
CALL outflow.export('t', :'dir' || '_none', columns => '{id,secret}');
CALL outflow.export('t', :'dir' || gen_random_uuid(), columns => '{id}') \gset
SELECT job = :job AS mine, state, owner, source, rows FROM outflow.jobs
WHERE job = :job;
SELECT part, rows FROM outflow.parts WHERE job = :job;

-- the tables themselves are nobody's
SELECT * FROM outflow.job;
SELECT * FROM outflow.source;
SELECT * FROM outflow.part;
UPDATE outflow.job SET owner = 10;
INSERT INTO outflow.part (job, part) VALUES (1, 1);

-- also to a role that may write all tables: a job made another's acts as it
SET ROLE outflow_writer;
UPDATE outflow.job SET owner = 10;
DELETE FROM outflow.job;
UPDATE outflow.source SET filter = 'true';
UPDATE outflow.part SET location = '/';
INSERT INTO outflow.part (job, part) VALUES (1, 1);

-- others don't see it and may not touch it
SET ROLE outflow_bob;
SELECT count(*) FROM outflow.jobs WHERE job = :job;
SELECT count(*) FROM outflow.parts WHERE job = :job;
-- nor learn of its state
SELECT outflow_internal.job_state(:job, 'running');
\set ON_ERROR_ROLLBACK on
\set VERBOSITY sqlstate
CALL outflow.resume(:job);
SELECT outflow.cancel(:job);
SELECT outflow.forget(:job);
SELECT * FROM outflow.verify(:job);
\set VERBOSITY default
SET ROLE outflow_monitor;
SELECT state, owner, source FROM outflow.jobs WHERE job = :job;
SELECT count(*) FROM outflow.parts WHERE job = :job;

-- rows that a policy hides are not left out silently
RESET ROLE;
CREATE TABLE policed (id int, owner name);
INSERT INTO policed VALUES (1, 'outflow_alice'), (2, 'outflow_bob');
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON policed USING (owner = current_user);
GRANT SELECT ON policed TO PUBLIC;
SET ROLE outflow_alice;
CALL outflow.export('policed', :'dir' || '_none');
RESET ROLE;
-- whom no policy binds exports them all
CALL outflow.export('policed', :'dir' || gen_random_uuid()) \gset
SELECT rows FROM outflow.jobs WHERE job = :job;

-- a definer's rights are not those of the caller
CREATE PROCEDURE lend(dir text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
	job bigint;
BEGIN
	CALL outflow.export('export_rights.t', dir, job => job);
END
$$;
SET ROLE outflow_bob;
CALL lend(:'dir' || '_none');
RESET ROLE;

-- what a role sets for itself does not reach its workers
ALTER ROLE outflow_alice SET search_path = export_rights;
ALTER ROLE outflow_alice SET default_transaction_read_only = on;
ALTER ROLE outflow_alice SET default_transaction_isolation = serializable;
ALTER ROLE outflow_alice SET statement_timeout = 1;
ALTER ROLE outflow_alice SET DateStyle = 'German';
CREATE TABLE dated AS SELECT date '2020-01-31' AS d;
GRANT SELECT ON dated TO PUBLIC;
SET ROLE outflow_alice;
CALL outflow.export('export_rights.dated', :'dir' || gen_random_uuid()) \gset
RESET ROLE;
SELECT pg_read_file(substr(destination, 8) || '/part-000000.csv')
FROM outflow.jobs WHERE job = :job;

-- a job that fails half way through is resumed only with the rights that it
-- needs, whoever asks for that: here a character has no place in the encoding
CREATE TABLE priced AS SELECT '€'::text AS t;
GRANT SELECT ON priced TO outflow_alice;
SET ROLE outflow_alice;
\set VERBOSITY sqlstate
CALL outflow.export('export_rights.priced', :'dir' || gen_random_uuid(),
	options => '{"encoding": "LATIN1"}');
\set VERBOSITY default
SELECT job, state FROM outflow.jobs
WHERE source = 'export_rights.priced' \gset
\echo :state
RESET ROLE;
UPDATE priced SET t = 'x';
ALTER ROLE outflow_alice NOLOGIN;
CALL outflow.resume(:job);
ALTER ROLE outflow_alice LOGIN;
REVOKE pg_write_server_files FROM outflow_alice;
\set VERBOSITY sqlstate
CALL outflow.resume(:job);
SELECT state, error FROM outflow.jobs WHERE job = :job;
GRANT pg_write_server_files TO outflow_alice;
REVOKE SELECT ON priced FROM outflow_alice;
CALL outflow.resume(:job);
\set VERBOSITY default
SELECT state, error FROM outflow.jobs WHERE job = :job;
GRANT SELECT ON priced TO outflow_alice;
CALL outflow.resume(:job);
SELECT state, rows FROM outflow.jobs WHERE job = :job;

-- a type whose schema is closed to the role, as with COPY
RESET ROLE;
CREATE SCHEMA export_closed;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
ALTER EXTENSION hstore SET SCHEMA export_closed;
CREATE TABLE stored (h export_closed.hstore);
INSERT INTO stored VALUES ('a=>1');
GRANT SELECT ON stored TO outflow_alice;
SET ROLE outflow_alice;
CALL outflow.export('stored', :'dir' || gen_random_uuid(), format => 'jsonl') \gset
SELECT state, rows FROM outflow.jobs WHERE job = :job;
RESET ROLE;
DROP TABLE stored;
ALTER EXTENSION hstore SET SCHEMA public;
DROP SCHEMA export_closed;

-- beneath the export root only
SELECT set_config('outflow.export_root', :'builddir' || '/results', false)
	IS NOT NULL AS set;
CALL outflow.export('readable', :'dir' || gen_random_uuid()) \gset
SELECT set_config('outflow.export_root', :'builddir' || '/elsewhere', false)
	IS NOT NULL AS set;
\set VERBOSITY sqlstate
CALL outflow.export('readable', :'dir' || gen_random_uuid());
\set VERBOSITY default
RESET outflow.export_root;
SET ROLE outflow_alice;
SET outflow.export_root = '/';
RESET ROLE;

SELECT outflow.forget(job) FROM outflow.jobs
WHERE source LIKE 'export\_rights.%' \g /dev/null
DROP SCHEMA export_rights CASCADE;
DROP ROLE outflow_nofiles, outflow_alice, outflow_bob, outflow_monitor,
	outflow_nologin, outflow_writer;
