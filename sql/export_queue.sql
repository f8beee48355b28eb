-- jobs that nobody waits for start when their transaction commits, and only
-- then
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/export_queue'
SET client_min_messages = warning;
CREATE SCHEMA export_queue;
SET search_path = export_queue;
CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 100) AS g;

-- waits until a job has a state
CREATE FUNCTION becomes(job bigint, state text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	FOR i IN 1 .. 1800 LOOP
		SELECT j.state INTO found FROM outflow.jobs AS j WHERE j.job = $1;
		EXIT WHEN found = $2;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RETURN found;
END
$$;

BEGIN;
SELECT outflow.export_start('t', :'dir' || gen_random_uuid()) AS job \gset
SELECT pg_sleep(0.1) \g /dev/null
SELECT state, waiting_for FROM outflow.jobs WHERE job = :job;
COMMIT;
SELECT becomes(:job, 'done');
SELECT rows FROM outflow.jobs WHERE job = :job;

-- not when it does not
BEGIN;
SELECT outflow.export_start('t', :'dir' || gen_random_uuid()) AS job \gset
ROLLBACK;
SELECT count(*) FROM outflow.jobs WHERE job = :job;
BEGIN;
SAVEPOINT s;
SELECT outflow.export_start('t', :'dir' || gen_random_uuid()) AS job \gset
ROLLBACK TO s;
SELECT outflow.export_start('t', :'dir' || gen_random_uuid()) AS job2 \gset
COMMIT;
SELECT becomes(:job2, 'done');
SELECT count(*) FROM outflow.jobs WHERE job = :job;
BEGIN;
SELECT outflow.export_start('t', :'dir' || gen_random_uuid()) \g /dev/null
PREPARE TRANSACTION 'export_queue';

-- the export has what was committed with it
BEGIN;
INSERT INTO t VALUES (101);
SELECT outflow.export_start('t', :'dir' || gen_random_uuid()) AS job \gset
COMMIT;
SELECT becomes(:job, 'done');
SELECT rows FROM outflow.jobs WHERE job = :job;

-- from a trigger
CREATE TABLE started (job bigint);
CREATE TABLE orders (dir text);
CREATE FUNCTION start_export() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO export_queue.started SELECT outflow.export_start(
		'export_queue.t', NEW.dir || gen_random_uuid(), workers => 1);
	RETURN NULL;
END
$$;
CREATE TRIGGER start_export AFTER INSERT ON orders
	FOR EACH ROW EXECUTE FUNCTION start_export();
INSERT INTO orders VALUES (:'dir'), (:'dir');
SELECT becomes(job, 'done') FROM started;

-- one place, one unfinished job
BEGIN;
SELECT outflow.export_start('t', :'dir' || '_same') AS job \gset
\set VERBOSITY sqlstate
SELECT outflow.export_start('t', :'dir' || '_same');
\set VERBOSITY default
ROLLBACK;

SELECT outflow.export_start('t', :'dir' || gen_random_uuid(), workers => 0);
SELECT outflow.resume_start(0);
SELECT outflow.run_queue() >= 0 AS started;

-- cancelled before it began, then resumed without waiting
BEGIN;
SELECT outflow.export_start('t', :'dir' || gen_random_uuid()) AS job \gset
SELECT outflow.cancel(:job);
COMMIT;
SELECT becomes(:job, 'interrupted');
SELECT outflow.resume_start(:job) = :job AS same;
SELECT becomes(:job, 'done');
\set VERBOSITY sqlstate
SELECT outflow.resume_start(:job);
\set VERBOSITY default

SELECT count(*) AS unfinished FROM outflow.jobs
WHERE source LIKE 'export\_queue.%' AND state <> 'done';
SELECT outflow.forget(job) FROM outflow.jobs
WHERE source LIKE 'export\_queue.%' \g /dev/null
DROP SCHEMA export_queue CASCADE;
