-- many tables as one job: a folder for each, under one snapshot; what a
-- publication lets through is what is exported
\getenv builddir PG_ABS_BUILDDIR
\set root :builddir '/results/export_many_'
SET client_min_messages = warning;
CREATE SCHEMA export_many;
SET search_path = export_many;
-- lists folders and files of a finished export, relative to its destination
CREATE FUNCTION files(job bigint) RETURNS TABLE (file text) LANGUAGE sql AS $$
	SELECT replace(v.file, 'export_many', 'm') FROM outflow.verify(job) AS v
	WHERE v.status = 'ok' ORDER BY v.part
$$;
CREATE FUNCTION content(root text, job bigint) RETURNS TABLE (relation text, line text) LANGUAGE sql AS $$
	SELECT p.relation, l.line FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job),
		string_to_table(pg_read_file(substr(j.destination, 8) || '/' || p.file), E'\n') AS l (line)
	WHERE p.job = content.job AND l.line <> '' ORDER BY p.part, l.line
$$;
CREATE TABLE a (id int PRIMARY KEY, n int, secret text);
INSERT INTO a SELECT i, i % 3, 'x' FROM generate_series(1, 4) i;
CREATE TABLE b (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO b VALUES (10);
CREATE TABLE p (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (id);
CREATE TABLE p21 PARTITION OF p2 FOR VALUES IN (1);
INSERT INTO p VALUES (1, 1), (2, 1), (1, 2);
CREATE TABLE empty (id int);

-- tables
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
CALL outflow.export_tables('{a,empty,p,b}', :'dir') \gset
SELECT state, source, parts_total, parts_done, rows FROM outflow.jobs WHERE job = :job;
SELECT * FROM files(:job);
SELECT * FROM content(:'root', :job);
SELECT * FROM outflow.verify(:job) WHERE status <> 'ok';
SELECT count(DISTINCT snapshot) FROM outflow.parts WHERE job = :job;
-- the manifests
SELECT pg_read_file(substr(:'dir', 8) || '/_manifest.json')::jsonb AS m,
	pg_read_file(substr(:'dir', 8) || '/export_many.p/_manifest.json')::jsonb AS one \gset
SELECT m->>'snapshot' = j.snapshot AS snapshot, (m->>'lsn')::pg_lsn = j.lsn AS lsn, m->>'uuid' = :'one'::jsonb->>'uuid' AS uuid,
	m->'rows' AS rows, m ? 'parts' AS parts, m ? 'source' AS source, m ? 'publication' AS publication
FROM outflow.jobs AS j, CAST(:'m' AS jsonb) AS m WHERE job = :job;
SELECT t FROM jsonb_array_elements(:'m'::jsonb->'tables') AS t;
SELECT m->>'source' AS source, m->>'rows' AS rows, p->>'file' AS file, p->>'relation' AS relation, p->>'rows' AS rows
FROM CAST(:'one' AS jsonb) AS m, jsonb_array_elements(m->'parts') AS p;
SELECT pg_ls_dir(substr(:'dir', 8)) ORDER BY 1;
-- in the session
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
CALL outflow.export_tables('{b,a}', :'dir', workers => 0, format => 'jsonl', base => :job) \gset
SELECT state, source, rows FROM outflow.jobs WHERE job = :job;
SELECT * FROM content(:'root', :job);
SELECT * FROM files(:job);
-- what is missing and what is left over is found in folders, too
SELECT substr(:'dir', 8) AS path \gset
\setenv DIR :path
\! cd "$DIR" && echo > export_many.a/extra && rm export_many.a/_manifest.json export_many.b/part*
SELECT * FROM outflow.verify(:job);

-- another list of tables takes its place, then one table; a folder with
-- something else in it stays
\set VERBOSITY sqlstate
CALL outflow.export_tables('{empty,b}', :'dir') \gset
\set VERBOSITY terse
CALL outflow.export_tables('{empty,b}', :'dir', options => '{"overwrite": true}') \gset
SELECT * FROM outflow.verify(:job);
CALL outflow.export_tables('{b}', :'dir', workers => 0, options => '{"overwrite": true}') \gset
SELECT * FROM outflow.verify(:job);
CALL outflow.export('b', :'dir', options => '{"overwrite": true}') \gset
SELECT * FROM outflow.verify(:job);
CALL outflow.export_tables('{b}', :'dir', options => '{"overwrite": true}') \gset
SELECT * FROM outflow.verify(:job);
\set VERBOSITY default

-- refused
CALL outflow.export_tables('{}', :'dir');
CALL outflow.export_tables(NULL, :'dir');
CALL outflow.export_tables('{a,NULL}', :'dir');
CALL outflow.export_tables('{a,b,a}', :'dir');
CALL outflow.export_tables('{p21,a,p}', :'dir');
CALL outflow.export_tables('{p,p2}', :'dir');
CALL outflow.export_tables('{a,pg_class}', :'dir');
CALL outflow.export_tables('{a}', :'dir', workers => 0, slot => 's');
BEGIN;
CALL outflow.export_tables('{a}', :'dir');
ROLLBACK;
BEGIN;
CALL outflow.export_publication('a', :'dir');
ROLLBACK;

-- publications: row filters, column lists, partitions
CREATE PUBLICATION export_many_leaves FOR TABLE a (id, n) WHERE (n <> 1 AND id > 1), b, p;
CREATE PUBLICATION export_many_root FOR TABLE p (id, k) WHERE (id = 1), TABLE b (id)
	WITH (publish_via_partition_root);
CREATE PUBLICATION export_many_schema FOR TABLES IN SCHEMA export_many
	WITH (publish_via_partition_root);
CREATE PUBLICATION export_many_nothing;
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
CALL outflow.export_publication('export_many_leaves', :'dir') \gset
SELECT state, source, parts_total, rows FROM outflow.jobs WHERE job = :job;
SELECT * FROM content(:'root', :job);
SELECT * FROM files(:job);
SELECT m->>'publication' AS publication FROM CAST(pg_read_file(substr(:'dir', 8) || '/_manifest.json') AS jsonb) AS m;
SELECT m->>'filter' AS filter, m->'columns' AS columns
FROM CAST(pg_read_file(substr(:'dir', 8) || '/export_many.a/_manifest.json') AS jsonb) AS m;
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
CALL outflow.export_publication('export_many_root', :'dir', workers => 0, format => 'jsonl') \gset
SELECT * FROM content(:'root', :job);
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
CALL outflow.export_publication('export_many_schema', :'dir') \gset
SELECT state, source, parts_total, rows FROM outflow.jobs WHERE job = :job;
CALL outflow.export_publication('export_many_none', :'dir');
CALL outflow.export_publication('export_many_nothing', :'dir');
CALL outflow.export_publication(NULL, :'dir');
-- an operator of the caller's doesn't change what the filter means
CREATE FUNCTION never(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR = (LEFTARG = int, RIGHTARG = int, FUNCTION = never);
SET search_path = export_many, pg_catalog;
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
CALL outflow.export_publication('export_many_root', :'dir', workers => 0) \gset
SET search_path = export_many;
DROP OPERATOR export_many.= (int, int);
SELECT rows FROM outflow.jobs WHERE job = :job;
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
SELECT outflow.export_publication_start('export_many_root', :'dir', workers => 0);

-- what a publication may hold and an export can't
CREATE FOREIGN DATA WRAPPER export_many_fdw;
CREATE SERVER export_many_server FOREIGN DATA WRAPPER export_many_fdw;
CREATE TABLE q (id int) PARTITION BY LIST (id);
CREATE FOREIGN TABLE q1 PARTITION OF q FOR VALUES IN (1) SERVER export_many_server;
CREATE PUBLICATION export_many_foreign FOR TABLE b, q;
CALL outflow.export_publication('export_many_foreign', :'dir');
ALTER PUBLICATION export_many_foreign SET (publish_via_partition_root);
CALL outflow.export_publication('export_many_foreign', :'dir');
DROP TABLE q;
CREATE ACCESS METHOD export_many_am TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE am (id int) USING export_many_am;
ALTER PUBLICATION export_many_foreign ADD TABLE am;
CALL outflow.export_publication('export_many_foreign', :'dir');
DROP PUBLICATION export_many_foreign;
DROP ACCESS METHOD export_many_am CASCADE;

-- rights: the exported columns, and those of the filter
CREATE ROLE outflow_many LOGIN IN ROLE pg_write_server_files;
GRANT USAGE ON SCHEMA export_many TO outflow_many;
GRANT SELECT ON b, p, p1, p21 TO outflow_many;
GRANT SELECT (n) ON a TO outflow_many;
SET ROLE outflow_many;
CALL outflow.export_tables('{export_many.b,export_many.a}', :'dir');
CALL outflow.export_publication('export_many_leaves', :'dir');
RESET ROLE;
GRANT SELECT (id) ON a TO outflow_many;
SET ROLE outflow_many;
CALL outflow.export_publication('export_many_leaves', :'dir') \gset
SELECT state, rows FROM outflow.jobs WHERE job = :job;
RESET ROLE;
CREATE PUBLICATION export_many_hidden FOR TABLE a (id) WHERE (secret <> 'y');
ALTER TABLE a REPLICA IDENTITY FULL;
SET ROLE outflow_many;
CALL outflow.export_publication('export_many_hidden', :'dir' || 1);
RESET ROLE;
-- row security
ALTER TABLE b ENABLE ROW LEVEL SECURITY;
SET ROLE outflow_many;
CALL outflow.export_publication('export_many_leaves', :'dir' || 1);
CALL outflow.export_publication('export_many_leaves', :'dir' || 1, options => '{"row_security": true}') \gset
SELECT relation, rows FROM outflow.parts WHERE job = :job ORDER BY part;
RESET ROLE;
-- a date in a row filter is the same date under each DateStyle
CREATE TABLE days (day date PRIMARY KEY);
INSERT INTO days VALUES ('2026-02-01'), ('2026-01-02');
CREATE PUBLICATION export_many_days FOR TABLE days WHERE (day = '2026-02-01');
SET DateStyle = 'SQL, DMY';
CALL outflow.export_publication('export_many_days', :'dir' || 2) \gset
RESET DateStyle;
SELECT * FROM content(:'root', :job);
DROP PUBLICATION export_many_days;

-- a schema brings its tables whole, whatever is said of one of them
CREATE PUBLICATION export_many_both FOR TABLES IN SCHEMA export_many, TABLE a WHERE (id = 1);
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
CALL outflow.export_publication('export_many_both', :'dir') \gset
SELECT relation, rows FROM outflow.parts WHERE job = :job AND relation = 'export_many.a';
DROP PUBLICATION export_many_both;

-- names that would be other files, hide, collide or lead elsewhere
CREATE SCHEMA "..";
CREATE SCHEMA "A/b";
CREATE SCHEMA _manifest;
CREATE SCHEMA "_manifest.json";
CREATE TABLE ".."."..x" (id int);
CREATE TABLE ".."."/etc" (id int);
CREATE TABLE "A/b"."C" (id int);
CREATE TABLE "A/b".c (id int);
CREATE TABLE "A/b".".c" (id int);
CREATE TABLE "A/b"."@2e" (id int);
CREATE TABLE "A/b"."a.b" (id int);
CREATE TABLE "A/b"."a@2eb" (id int);
CREATE TABLE "A/b"."tab	new
line" (id int);
CREATE TABLE "A/b"."größe" (id int);
CREATE TABLE _manifest.json (id int);
CREATE TABLE "_manifest.json".x (id int);
CREATE TABLE _manifest."json.x" (id int);
SELECT repeat('Ä', 31) AS s, repeat('/', 62) || '1' AS t1, repeat('/', 62) || '2' AS t2 \gset
CREATE SCHEMA :"s";
CREATE TABLE :"s".:"t1" (id int);
CREATE TABLE :"s".:"t2" (id int);
SELECT array_agg(c.oid ORDER BY n.nspname, c.relname)::text AS tables, count(*)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname IN ('..', 'A/b', '_manifest', '_manifest.json', :'s') \gset
SELECT 'file://' || :'root' || gen_random_uuid() AS dir \gset
CALL outflow.export_tables(:'tables', :'dir') \gset
-- json is a keyword, and quoted, from 16 on
SELECT replace(t->>'source', '"json"', 'json') AS source, t->>'folder' AS folder
FROM jsonb_array_elements(pg_read_file(substr(:'dir', 8) || '/_manifest.json')::jsonb->'tables') AS t;
SELECT count(*) = :count AS each FROM outflow.verify(:job) WHERE part IS NOT NULL AND status = 'ok';
SELECT * FROM outflow.verify(:job) WHERE status <> 'ok';
SELECT source FROM outflow.jobs WHERE job = :job;
SET client_min_messages = error;
SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
WHERE nspname IN ('..', 'A/b', '_manifest', '_manifest.json', :'s') \gexec
DROP PUBLICATION export_many_leaves, export_many_root, export_many_schema, export_many_nothing, export_many_hidden;
DROP SCHEMA export_many CASCADE;
DROP FOREIGN DATA WRAPPER export_many_fdw CASCADE;
DROP ROLE outflow_many;
