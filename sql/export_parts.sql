-- without a size of their own, parts are as many for each worker, whatever is
-- left of another export's parts
\getenv builddir PG_ABS_BUILDDIR
\set two 'file://' :builddir '/results/export_parts/two'
\set three 'file://' :builddir '/results/export_parts/three'
\set one 'file://' :builddir '/results/export_parts/one'
\set sized 'file://' :builddir '/results/export_parts/sized'
\set base 'file://' :builddir '/results/export_parts/base'
SET client_min_messages = warning;
CREATE SCHEMA export_parts;
SET search_path = export_parts;

-- a row a block: 34 MB
CREATE TABLE t (id int, filling text);
ALTER TABLE t ALTER filling SET STORAGE PLAIN;
INSERT INTO t SELECT g, repeat('x', 7000) FROM generate_series(1, 4400) g;

CREATE VIEW cut AS
SELECT job, count(*) AS parts, sum(p.rows) AS rows,
	max(p.rows) - min(p.rows) < 8 AS alike,
	sum(last_block - first_block + 1) = pg_relation_size('t') / 8192 AS whole,
	min(j.parts_carried) AS carried
FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job) GROUP BY job;

CALL outflow.export('t', :'two') \gset
SELECT parts, rows, alike, whole FROM cut WHERE job = :job;
-- too small for four of each
CALL outflow.export('t', :'three', workers => 3) \gset
SELECT parts, rows, alike, whole FROM cut WHERE job = :job;
-- one worker waits for nobody
CALL outflow.export('t', :'one', workers => 1) \gset one_
SELECT parts, rows, alike, whole FROM cut WHERE job = :one_job;
-- a size is kept to
CALL outflow.export('t', :'sized', part_size => '1GB') \gset
SELECT parts, rows, alike, whole FROM cut WHERE job = :job;

-- a base's part stays as it is, what is new is cut
INSERT INTO t SELECT g, repeat('x', 7000) FROM generate_series(4401, 7000) g;
CALL outflow.export('t', :'base', base => :one_job) \gset
SELECT parts, rows, carried, whole FROM cut WHERE job = :job;
SELECT part, rows FROM outflow.parts WHERE job = :job ORDER BY part;

DROP SCHEMA export_parts CASCADE;
