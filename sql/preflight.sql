-- preflight: one row per condition, with the statement that mends it
SET client_min_messages = warning;

-- the rows about the server come first, the list of plugins before all
SELECT item, ok FROM outflow.preflight() WITH ORDINALITY AS p (item, ok, detail, fix, n)
WHERE item !~ '^(disk|replica identity|toast|publication|slot) ' ORDER BY n;
-- what is in order needs no fix, what isn't has one
SELECT count(*) FROM outflow.preflight() WHERE ok AND fix IS NOT NULL;
SELECT item FROM outflow.preflight()
WHERE NOT ok AND fix IS NULL AND item <> 'primary server';

-- tables: keys of every sort
CREATE SCHEMA "pre flight";
SET search_path = "pre flight";
CREATE TABLE with_key (id int PRIMARY KEY, t text);
CREATE TABLE no_key (id int, t text);
CREATE TABLE "no key, unique" (id int NOT NULL UNIQUE, t text UNIQUE);
CREATE TABLE nullable_unique (id int UNIQUE);
CREATE TABLE partial_unique (id int NOT NULL);
CREATE UNIQUE INDEX ON partial_unique (id) WHERE id > 0;
CREATE TABLE identity_full (id int);
ALTER TABLE identity_full REPLICA IDENTITY FULL;
CREATE TABLE identity_nothing (id int PRIMARY KEY);
ALTER TABLE identity_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE identity_index (id int NOT NULL);
CREATE UNIQUE INDEX identity_index_key ON identity_index (id);
ALTER TABLE identity_index REPLICA IDENTITY USING INDEX identity_index_key;
CREATE UNLOGGED TABLE never_logged (id int);
CREATE TABLE parent (id int, t text) PARTITION BY LIST (id);
CREATE TABLE leaf PARTITION OF parent DEFAULT;
SELECT * FROM outflow_internal.preflight_tables() WHERE item ~ '"pre flight"\.';

-- every fix works as it stands
SELECT fix FROM outflow_internal.preflight_tables() WHERE item ~ '"pre flight"\.' \gexec
SELECT * FROM outflow_internal.preflight_tables() WHERE item ~ '"pre flight"\.';

-- an index of the wrong sort, later lost, is no identity
DROP INDEX identity_index_key;
SELECT item, ok FROM outflow_internal.preflight_tables() WHERE item ~ 'identity_index';
DROP TABLE identity_index;

-- columns at risk: only where values do lie out of line
INSERT INTO with_key SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 500) AS i;
SELECT * FROM outflow_internal.preflight_tables() WHERE item ~ 'toast in "pre flight"';
ALTER TABLE with_key REPLICA IDENTITY FULL;
SELECT * FROM outflow_internal.preflight_tables() WHERE item ~ 'toast in "pre flight"';

-- publications on which updates fail
CREATE TABLE blocked (id int);
CREATE PUBLICATION pre_all FOR ALL TABLES;
CREATE PUBLICATION pre_inserts FOR TABLE blocked WITH (publish = 'insert');
CREATE PUBLICATION pre_updates FOR TABLE blocked WITH (publish = 'update');
SELECT * FROM outflow_internal.preflight_tables() WHERE item ~ '^publication pre_';
ALTER TABLE blocked REPLICA IDENTITY FULL;
SELECT * FROM outflow_internal.preflight_tables() WHERE item ~ '^publication pre_';
DROP PUBLICATION pre_all, pre_inserts, pre_updates;

-- a slot that nobody reads
SELECT FROM pg_create_logical_replication_slot('preflight', 'test_decoding');
SELECT item, ok, regexp_replace(detail, '\d+ \w+', 'N') AS detail, fix
FROM outflow_internal.preflight_slots() WHERE item ~ 'preflight';
-- dropping it is a decision, and the comment has its condition
SELECT fix FROM outflow_internal.preflight_slots() WHERE item ~ 'preflight' \gexec
SELECT split_part(fix, ': ', 2) FROM outflow_internal.preflight_slots() WHERE item ~ 'preflight' \gexec
SELECT count(*) FROM outflow_internal.preflight_slots() WHERE item ~ 'preflight';

-- a role without rights can ask, and learns what it lacks
CREATE ROLE "regress pre" NOLOGIN;
SET ROLE "regress pre";
SELECT * FROM outflow.preflight() WHERE item ~ '^role';
SELECT item FROM outflow.preflight() WHERE item = 'output_plugin_libraries' AND NOT ok;
SELECT item, ok, detail, fix FROM outflow.preflight()
WHERE item = 'outflow.export_root' OR item ~ '^disk';
SELECT wal_free, wal_total, root_free FROM outflow_internal.preflight_library();
RESET ROLE;
ALTER ROLE "regress pre" LOGIN REPLICATION;
GRANT pg_write_server_files TO "regress pre";
SET ROLE "regress pre";
SELECT * FROM outflow.preflight() WHERE item ~ '^role';
RESET ROLE;
GRANT pg_monitor TO "regress pre";
SET ROLE "regress pre";
SELECT count(*) FROM outflow.preflight() WHERE item ~ '^disk' AND detail ~ ' of .* free$';
SELECT wal_free IS NOT NULL AS free FROM outflow_internal.preflight_library();
RESET ROLE;

-- objects in a hostile search_path change nothing
CREATE FUNCTION "pre flight".current_setting(text, boolean) RETURNS text LANGUAGE sql
AS $$ SELECT 'hijacked' $$;
CREATE TABLE "pre flight".pg_roles (rolname name);
SET search_path = "pre flight", pg_catalog;
SELECT count(*) FROM outflow.preflight() WHERE detail ~ 'hijacked';
SELECT count(*) FROM outflow_internal.preflight_role();

RESET search_path;
DROP SCHEMA "pre flight" CASCADE;
DROP ROLE "regress pre";
