-- a schema's tables as one job: all that the caller may read, partitions with
-- their table; the same and tables by name without waiting
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/export_schema_'
CREATE SCHEMA export_schema;
CREATE SCHEMA export_schema_empty;
SET search_path = export_schema;
CREATE TABLE a (id int);
INSERT INTO a VALUES (1);
CREATE UNLOGGED TABLE b (id int);
CREATE TABLE hidden (id int);
CREATE TABLE some_columns (id int, secret int);
CREATE TABLE p (id int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (id);
CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1);
INSERT INTO p VALUES (1);
CREATE TABLE export_schema_empty.elsewhere PARTITION OF p FOR VALUES IN (2);
CREATE VIEW v AS SELECT * FROM a;
CREATE MATERIALIZED VIEW m AS SELECT * FROM a;
CREATE SEQUENCE s;
CREATE FUNCTION folders(job bigint) RETURNS SETOF text LANGUAGE sql AS
$$SELECT DISTINCT split_part(file, '/', 1) FROM outflow.parts WHERE job = $1 ORDER BY 1$$;

CALL outflow.export_schema('export_schema', :'dir' || 'all') \gset
SELECT * FROM folders(:job);
-- a partition of a table of another schema is a table here
CALL outflow.export_schema('export_schema_empty', :'dir' || 'partition') \gset
SELECT * FROM folders(:job);
DROP TABLE export_schema_empty.elsewhere;

-- rights
CREATE ROLE outflow_schema LOGIN IN ROLE pg_write_server_files;
GRANT SELECT ON a, p, p1, p11 TO outflow_schema;
GRANT SELECT (id) ON some_columns TO outflow_schema;
GRANT USAGE ON SCHEMA export_schema_empty TO outflow_schema;
SET ROLE outflow_schema;
CALL outflow.export_schema('export_schema', :'dir' || 'mine');
RESET ROLE;
GRANT USAGE ON SCHEMA export_schema TO outflow_schema;
SET ROLE outflow_schema;
CALL outflow.export_schema('export_schema', :'dir' || 'mine') \gset
SELECT * FROM folders(:job);
CALL outflow.export_schema('export_schema_empty', :'dir' || 'none');
RESET ROLE;
-- partitions of a table that may not be read are tables of their own
REVOKE SELECT ON p FROM outflow_schema;
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
SET ROLE outflow_schema;
CALL outflow.export_schema('export_schema', :'dir' || 'partitions') \gset
SELECT * FROM folders(:job);
RESET ROLE;
CALL outflow.export_schema(NULL, :'dir' || 'none');
CALL outflow.export_schema(1::regnamespace, :'dir' || 'none');
CALL outflow.export_schema('pg_catalog', :'dir' || 'none');

-- without waiting
BEGIN;
CALL outflow.export_schema('export_schema', :'dir' || 'later');
ROLLBACK;
BEGIN;
CALL outflow.export_tables('{a}', :'dir' || 'later');
ROLLBACK;
BEGIN;
SELECT outflow.export_schema_start('export_schema', :'dir' || 'later') AS schema,
	outflow.export_tables_start('{a,p}', :'dir' || 'later_tables') AS tables \gset
COMMIT;
DO $$
BEGIN
	WHILE EXISTS (SELECT FROM outflow.jobs WHERE state IN ('queued', 'running')) LOOP
		PERFORM pg_sleep(0.05);
	END LOOP;
END $$;
SELECT state, rows FROM outflow.jobs WHERE job IN (:schema, :tables) ORDER BY job;
SELECT * FROM folders(:schema);
SELECT * FROM folders(:tables);

\set VERBOSITY terse
DROP SCHEMA export_schema, export_schema_empty CASCADE;
DROP OWNED BY outflow_schema;
SELECT outflow.forget(job) FROM outflow.jobs WHERE owner = 'outflow_schema';
DROP ROLE outflow_schema;
