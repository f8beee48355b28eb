-- a filter selects rows as WHERE does, and means the same everywhere
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/export_filter'
SET client_min_messages = warning;
CREATE SCHEMA export_filter;
SET search_path = export_filter;

CREATE FUNCTION lines(job bigint) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT line
	FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job),
	string_to_table(nullif(rtrim(pg_read_file(substr(j.destination, 8) || '/'
		|| p.file), E'\n'), ''), E'\n') AS line
	WHERE p.job = $1 ORDER BY line COLLATE "C"
$$;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE FUNCTION even(int) RETURNS bool IMMUTABLE LANGUAGE sql
	AS 'SELECT $1 % 2 = 0';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE TABLE t (id int, t text, m mood) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (50);
CREATE TABLE t2 (gone int, m mood, t text, id int);
ALTER TABLE t2 DROP COLUMN gone;
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (50) TO (1000);
INSERT INTO t SELECT g, 'row ' || g, (ARRAY['sad', 'happy'])[g % 2 + 1]::mood
FROM generate_series(1, 200) AS g;

-- in the caller's search_path, columns that are not exported included
CALL outflow.export('t', :'dir' || gen_random_uuid(), columns => '{id,t}',
	filter => $$even(id) AND m = 'sad' AND (id === 42 OR id > 195)$$) \gset
SELECT * FROM lines(:job);
SELECT rows FROM outflow.jobs WHERE job = :job;
CALL outflow.export('t', :'dir' || gen_random_uuid(), workers => 0,
	format => 'jsonl', filter => 'id between 49 and 51') \gset
SELECT * FROM lines(:job);
SELECT DISTINCT status FROM outflow.verify(:job);
-- NULL is not true
CALL outflow.export('t', :'dir' || gen_random_uuid(), filter => 'NULL') \gset
\set base :job
SELECT count(*) FROM lines(:job);

-- what is kept is qualified
SELECT pg_read_file(substr(destination, 8) || '/manifest.json')::jsonb->'filter'
FROM outflow.jobs WHERE job = :job - 2;

-- a constant means the same under every DateStyle
SET DateStyle = 'SQL, DMY';
CREATE TABLE dated AS SELECT date '2026-01-01' + g AS d FROM generate_series(0, 60) AS g;
CALL outflow.export('dated', :'dir' || gen_random_uuid(), format => 'jsonl',
	filter => $$d = '02/01/2026'$$) \gset
SELECT * FROM lines(:job);
CALL outflow.export('dated', :'dir' || gen_random_uuid(), workers => 0,
	filter => $$d = '02/01/2026'$$) \gset
SELECT * FROM lines(:job);
RESET DateStyle;

-- parts of a filtered export are carried under the same filter only
CALL outflow.export('t', :'dir' || gen_random_uuid(), filter => 'id < 3',
	base => :base) \gset
SELECT parts_carried, rows FROM outflow.jobs WHERE job = :job;

CALL outflow.export('t', :'dir' || '_none', filter => 'nope = 1');
CALL outflow.export('t', :'dir' || '_none', filter => 'id');
CALL outflow.export('t', :'dir' || '_none', filter => 'id = (SELECT 1)');
CALL outflow.export('t', :'dir' || '_none', filter => 'id > random()');
CALL outflow.export('t', :'dir' || '_none', filter => 't < now()::text');
CALL outflow.export('t', :'dir' || '_none', filter => 'id = sum(id)');
CALL outflow.export('t', :'dir' || '_none', filter => 'true GROUP BY id');
CALL outflow.export('t', :'dir' || '_none', filter => 'true LIMIT 1');
CALL outflow.export('t', :'dir' || '_none', filter => 'true UNION SELECT 1');
CALL outflow.export('t', :'dir' || '_none', filter => 'true; DROP TABLE t');
CALL outflow.export('t', :'dir' || '_none', filter => 'ctid IS NOT NULL');
CALL outflow.export('t', :'dir' || '_none', filter => 't IS NOT NULL AND t.* IS NOT NULL');
\set VERBOSITY sqlstate
CALL outflow.export('t', :'dir' || '_none', filter => '');
\set VERBOSITY default

-- only over columns that the caller may read
CREATE ROLE outflow_filter LOGIN IN ROLE pg_write_server_files;
GRANT USAGE ON SCHEMA export_filter TO outflow_filter;
GRANT SELECT (id) ON t TO outflow_filter;
SET ROLE outflow_filter;
CALL outflow.export('t', :'dir' || '_none', columns => '{id}',
	filter => $$m = 'sad'$$);
CALL outflow.export('t', :'dir' || gen_random_uuid(), columns => '{id}',
	filter => 'id < 3') \gset
SELECT * FROM outflow.parts WHERE job = :job AND error IS NOT NULL;
RESET ROLE;
SELECT * FROM lines(:job);

SELECT outflow.forget(job) FROM outflow.jobs
WHERE source LIKE 'export\_filter.%' \g /dev/null
DROP SCHEMA export_filter CASCADE;
DROP ROLE outflow_filter;
