-- with row_security the rows are exported that policies leave, and no other
-- expression sees the hidden ones
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/export_row_security'
SET client_min_messages = warning;
CREATE SCHEMA export_policies;
SET search_path = export_policies;
CREATE ROLE outflow_north LOGIN IN ROLE pg_write_server_files;
CREATE ROLE outflow_south LOGIN IN ROLE pg_write_server_files;
GRANT USAGE ON SCHEMA export_policies TO outflow_north, outflow_south;

CREATE FUNCTION lines(job bigint) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT line
	FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job),
	string_to_table(nullif(rtrim(pg_read_file(substr(j.destination, 8) || '/'
		|| p.file), E'\n'), ''), E'\n') AS line
	WHERE p.job = $1 ORDER BY line COLLATE "C"
$$;
-- a filter that tells what it sees
CREATE FUNCTION tells(id int, region text) RETURNS bool IMMUTABLE COST 0.0001
LANGUAGE plpgsql AS $$ BEGIN
	IF region = 'south' THEN RAISE EXCEPTION 'saw row % of %', id, region; END IF;
	RETURN true;
END $$;

-- who may see what is in a table that has policies of its own
CREATE TABLE reader (name name, region text);
INSERT INTO reader VALUES ('outflow_north', 'north'), ('outflow_south', 'south');
ALTER TABLE reader ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON reader USING (name = current_user);
CREATE TABLE sale (id int, region text, note text) PARTITION BY RANGE (id);
CREATE TABLE sale1 PARTITION OF sale FOR VALUES FROM (0) TO (500);
CREATE TABLE sale2 (gone int, note text, region text, id int);
ALTER TABLE sale2 DROP COLUMN gone;
ALTER TABLE sale ATTACH PARTITION sale2 FOR VALUES FROM (500) TO (2000);
INSERT INTO sale SELECT g, (ARRAY['north', 'south'])[g % 2 + 1], repeat('n', 100)
	|| g FROM generate_series(1, 1000) AS g;
ALTER TABLE sale ENABLE ROW LEVEL SECURITY;
CREATE POLICY region ON sale USING (EXISTS (SELECT FROM reader AS r
	WHERE r.region = sale.region) AND sale IS NOT NULL);
-- the partition's own policy is for those who name it
ALTER TABLE sale2 ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON sale, reader TO outflow_north, outflow_south;

-- hidden rows are an error unless they are asked to be left out
SET ROLE outflow_north;
CALL outflow.export('sale', :'dir' || '_none');

-- what the role's own SELECT gives, both ways
CREATE TEMP TABLE seen AS SELECT id || ',' || region || ',' || note AS line
FROM sale;
CALL outflow.export('sale', :'dir' || gen_random_uuid(), part_size => '16kB',
	options => '{"row_security": true}') \gset
\set north :job
SELECT rows, parts_total > 3 AS parts FROM outflow.jobs WHERE job = :job;
SELECT DISTINCT status FROM outflow.verify(:job);
RESET ROLE;
SELECT count(*) FROM ((TABLE seen EXCEPT SELECT * FROM lines(:job))
	UNION ALL (SELECT * FROM lines(:job) EXCEPT TABLE seen)) AS different;

-- the other role has other rows, also in the calling session
SET ROLE outflow_south;
CALL outflow.export('sale', :'dir' || gen_random_uuid(), columns => '{note,id}',
	workers => 0, filter => 'id IN (1, 2, 501, 502)',
	options => '{"row_security": true}') \gset
RESET ROLE;
SELECT right(line, 7) FROM lines(:job) AS line;
SELECT pg_read_file(substr(destination, 8) || '/_manifest.json')::jsonb->'options'
FROM outflow.jobs WHERE job = :job;

-- a filter never sees a hidden row, and a session can't switch policies off
SET ROLE outflow_north;
SET row_security = off;
CALL outflow.export('sale', :'dir' || gen_random_uuid(),
	filter => 'export_policies.tells(id, region)', workers => 0,
	options => '{"row_security": true}') \gset
SELECT rows FROM outflow.jobs WHERE job = :job;
CALL outflow.export('sale', :'dir' || gen_random_uuid(),
	filter => 'export_policies.tells(id, region)',
	options => '{"row_security": true}') \gset
SELECT rows FROM outflow.jobs WHERE job = :job;
RESET row_security;

-- nothing is carried: policies may depend on anything
CALL outflow.export('sale', :'dir' || gen_random_uuid(), part_size => '16kB',
	base => :north, options => '{"row_security": true}') \gset
SELECT parts_carried, rows FROM outflow.jobs WHERE job = :job;
RESET ROLE;
UPDATE reader SET region = 'nowhere' WHERE name = 'outflow_north';
SET ROLE outflow_north;
CALL outflow.export('sale', :'dir' || gen_random_uuid(), part_size => '16kB',
	base => :north, options => '{"row_security": true}') \gset
SELECT parts_carried, rows FROM outflow.jobs WHERE job = :job;

-- rights come first, and policies bind neither a superuser nor an owner
CALL outflow.export('sale2', :'dir' || '_none',
	options => '{"row_security": true}');
RESET ROLE;
CALL outflow.export('sale', :'dir' || gen_random_uuid(),
	options => '{"row_security": true}') \gset
SELECT rows FROM outflow.jobs WHERE job = :job;
-- whose filter sees all
CALL outflow.export('sale', :'dir' || gen_random_uuid(), workers => 0,
	filter => 'export_policies.tells(id, region)',
	options => '{"row_security": true}');

SELECT outflow.forget(job) FROM outflow.jobs
WHERE source LIKE 'export\_policies.%' \g /dev/null
DROP TABLE seen;
DROP SCHEMA export_policies CASCADE;
DROP ROLE outflow_north, outflow_south;
