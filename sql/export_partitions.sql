-- partitioned tables, whose leaves may be laid out otherwise, inheritance,
-- materialized views, generated columns
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/export_partitions'
SET client_min_messages = warning;
SET synchronize_seqscans = off;
CREATE SCHEMA export_partitions;
SET search_path = export_partitions;

CREATE FUNCTION lines(job bigint) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT line
	FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job),
	string_to_table(nullif(rtrim(pg_read_file(substr(j.destination, 8) || '/'
		|| p.file), E'\n'), ''), E'\n') AS line
	WHERE p.job = $1 ORDER BY line COLLATE "C"
$$;

CREATE TABLE p (id int, at date, t text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
-- another order of columns, and a dropped one
CREATE TABLE p2 (gone int, t text, id int NOT NULL, at date);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (40)
	PARTITION BY LIST (t);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES IN ('a');
CREATE TABLE p3b PARTITION OF p3 DEFAULT;
CREATE TABLE p4 PARTITION OF p DEFAULT;
INSERT INTO p VALUES (1, '2020-01-01', 'one'), (10, NULL, 'ten'),
	(19, '2020-01-19', NULL), (20, '2020-01-20', 'a'), (21, NULL, 'b');

CALL outflow.export('p', :'dir' || gen_random_uuid()) \gset
SELECT * FROM lines(:job);
SELECT part, relation, first_block, last_block, file, rows
FROM outflow.parts WHERE job = :job ORDER BY part;
CALL outflow.export('p', :'dir' || gen_random_uuid(), format => 'jsonl',
	columns => '{t,id}', workers => 0) \gset
SELECT * FROM lines(:job);

-- a partition's own name means that partition
CALL outflow.export('p2', :'dir' || gen_random_uuid()) \gset
SELECT * FROM lines(:job);

-- a tree without rows, and one without leaves, are empty files
CREATE TABLE hollow (a int, b int) PARTITION BY LIST (a);
CALL outflow.export('hollow', :'dir' || gen_random_uuid(),
	options => '{"header": true}') \gset
SELECT * FROM lines(:job);
CREATE TABLE hollow1 PARTITION OF hollow DEFAULT;
CALL outflow.export('hollow', :'dir' || gen_random_uuid(),
	options => '{"header": true}') \gset
SELECT * FROM lines(:job);
SELECT relation, first_block, last_block, rows, bytes FROM outflow.parts
WHERE job = :job;

-- like COPY, without the rows of children
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 3);
CALL outflow.export('parent', :'dir' || gen_random_uuid()) \gset
SELECT * FROM lines(:job);

CREATE MATERIALIZED VIEW mv AS SELECT g AS a, g * 2 AS b
FROM generate_series(1, 3) AS g;
CALL outflow.export('mv', :'dir' || gen_random_uuid()) \gset
SELECT * FROM lines(:job);

CREATE UNLOGGED TABLE u AS SELECT 1 AS a;
CALL outflow.export('u', :'dir' || gen_random_uuid()) \gset
SELECT * FROM lines(:job);

-- csv leaves generated columns out, as COPY does, unless they are asked for
CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int);
INSERT INTO g VALUES (1, DEFAULT, 3);
CALL outflow.export('g', :'dir' || gen_random_uuid()) \gset
SELECT * FROM lines(:job);
CALL outflow.export('g', :'dir' || gen_random_uuid(), columns => '{b}') \gset
SELECT * FROM lines(:job);
CALL outflow.export('g', :'dir' || gen_random_uuid(), format => 'jsonl') \gset
SELECT * FROM lines(:job);

-- values of columns that were added without a rewrite
CREATE TABLE added AS SELECT g AS a FROM generate_series(1, 2) AS g;
ALTER TABLE added ADD COLUMN b text DEFAULT 'x', ADD COLUMN c int DEFAULT 7;
CALL outflow.export('added', :'dir' || gen_random_uuid()) \gset
SELECT * FROM lines(:job);

SELECT outflow.forget(job) FROM outflow.jobs
WHERE source LIKE 'export\_partitions.%' \g /dev/null
DROP SCHEMA export_partitions CASCADE;
