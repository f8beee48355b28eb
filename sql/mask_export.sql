-- mask_columns of exports: types, definitions, partitions, and what is refused; a hash needs a key and is test/tap's
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/mask_export'
SET client_min_messages = warning;
CREATE SCHEMA mask_export;
SET search_path = mask_export;
CREATE FUNCTION lines(job bigint) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT line
	FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job),
	string_to_table(nullif(rtrim(pg_read_file(substr(j.destination, 8) || '/'
		|| p.file), E'\n'), ''), E'\n') AS line
	WHERE p.job = $1 ORDER BY line COLLATE "C"
$$;
CREATE TABLE t (id int PRIMARY KEY, mail text NOT NULL, born date NOT NULL, n numeric(6,2), tags text[], big text);
INSERT INTO t VALUES (1, 'Grüße an alle', '2026-02-01', 12.50, '{a,b}', (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 1000) AS g)),
	(2, 'x', '2026-02-02', NULL, NULL, 'y');
\set masks '*.t.mail=truncate:3, *.t.born=null, *.t.n=redact, *.t.tags=truncate:2, *.t.big=truncate:4, *.t.n=null'
SELECT jsonb_build_object('mask_columns', :'masks') AS options \gset
CALL outflow.export('t', :'dir' || gen_random_uuid(), options => :'options') \gset
SELECT * FROM lines(:job);
CALL outflow.export('t', :'dir' || gen_random_uuid(), format => 'jsonl', workers => 0, options => :'options') \gset
SELECT * FROM lines(:job);
-- under row security, which a plan reads
CREATE ROLE mask_export IN ROLE pg_write_server_files LOGIN;
GRANT USAGE ON SCHEMA mask_export TO mask_export;
GRANT SELECT ON ALL TABLES IN SCHEMA mask_export TO mask_export;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON t USING (mail = 'x');
SET ROLE mask_export;
CALL outflow.export('t', :'dir' || gen_random_uuid(), options => :'options'::jsonb || '{"row_security": true}') \gset
RESET ROLE;
SELECT * FROM lines(:job);
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
-- columns in another order, and a filter, which sees clear values
CALL outflow.export('t', :'dir' || gen_random_uuid(), columns => '{born,mail,id}', filter => $$mail = 'x'$$, options => :'options') \gset
SELECT * FROM lines(:job);
-- the manifest tells
SELECT pg_read_file(substr(destination, 8) || '/_manifest.json')::jsonb->'columns' FROM outflow.jobs WHERE job = :job;
SELECT outflow.restore_script(:job) ~ 'born date,\s+mail text NOT NULL,\s+id integer NOT NULL' AS restored;

-- partitions: rules of either count for both
CREATE TABLE parent (id int PRIMARY KEY, a text, b text) PARTITION BY LIST (id);
CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
CREATE TABLE other (b text, a text, id int NOT NULL);
ALTER TABLE parent ATTACH PARTITION other FOR VALUES IN (2);
INSERT INTO parent VALUES (1, 'secret', 'secret'), (2, 'secret', 'secret');
CALL outflow.export('parent', :'dir' || gen_random_uuid(), options => '{"mask_columns": "*.parent.a=redact,*.child.b=redact"}') \gset
SELECT * FROM lines(:job);
CALL outflow.export('child', :'dir' || gen_random_uuid(), options => '{"mask_columns": "*.parent.a=redact,*.child.b=redact"}') \gset
SELECT * FROM lines(:job);

-- inheritance, at any depth: whoever inherits, and what its own columns are called
CREATE TABLE people (id int, ssn text);
CREATE TABLE other_people (ssn text, id int, born int);
CREATE TABLE people_2025 (note text) INHERITS (other_people, people);
CREATE TABLE people_2026 () INHERITS (people_2025);
INSERT INTO people VALUES (1, 'secret');
INSERT INTO people_2025 VALUES ('secret', 2, 2025, 'n');
INSERT INTO people_2026 VALUES ('secret', 3, 2026, 'n');
CALL outflow.export_tables('{people,people_2025,people_2026}', :'dir' || gen_random_uuid(), options => '{"mask_columns": "*.people.ssn=redact"}') \gset
SELECT * FROM lines(:job);
CALL outflow.export('people_2026', :'dir' || gen_random_uuid(), workers => 0, options => '{"mask_columns": "*.people.ssn=redact,*.people_2025.note=null"}') \gset
SELECT * FROM lines(:job);
SET outflow.mask_columns = 'mask_export.people.ssn=redact';
CALL outflow.export_query('SELECT * FROM people_2026', :'dir' || gen_random_uuid());
RESET outflow.mask_columns;
DROP TABLE people_2026, people_2025, people, other_people;

-- what is refused
CALL outflow.export('t', :'dir' || gen_random_uuid(), options => '{"mask_columns": "*.t.nothing=null"}');
CALL outflow.export('t', :'dir' || gen_random_uuid(), options => '{"mask_columns": "mail=null"}');
CALL outflow.export('t', :'dir' || gen_random_uuid(), options => '{"mask_columns": "*.t.mail=hash"}');
SET outflow.mask_columns = 'mail=null';

-- the setting: a job keeps it, for its workers too, and options add to it only
SET outflow.mask_columns = 'mask_export.t.mail=redact';
CALL outflow.export('t', :'dir' || gen_random_uuid(), columns => '{id,mail,born}',
	options => '{"mask_columns": "*.t.mail=truncate:100, *.t.born=null"}') \gset
SELECT * FROM lines(:job);
CALL outflow.export_tables('{t,parent}', :'dir' || gen_random_uuid(), workers => 0) \gset
SELECT left(l, 30) FROM lines(:job) AS l;
-- and its columns are in no filter but a superuser's
CALL outflow.export('t', :'dir' || gen_random_uuid(), columns => '{id}', filter => $$mail = 'x'$$) \gset
SELECT * FROM lines(:job);
SET ROLE mask_export;
CALL outflow.export('t', :'dir' || gen_random_uuid(), columns => '{id}', filter => $$mail = 'x'$$);
SET outflow.mask_columns = '';
RESET ROLE;
RESET outflow.mask_columns;
DROP OWNED BY mask_export;
DROP ROLE mask_export;
