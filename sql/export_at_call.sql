-- what can be known at the call is refused at the call, without a job; and an
-- error that resume can't mend doesn't say so
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/export_at_call_'
SET client_min_messages = warning;
CREATE SCHEMA export_at_call;
SET search_path = export_at_call;
CREATE FUNCTION mine() RETURNS bigint LANGUAGE sql AS
$$SELECT count(*) FROM outflow.jobs WHERE destination LIKE '%export\_at\_call\_%'$$;

-- formats and their options
CREATE TABLE nothing ();
CREATE TABLE one (a int, b int NOT NULL);
INSERT INTO one VALUES (1, 2);
CALL outflow.export('nothing', :'dir' || 'zero', format => 'parquet');
CALL outflow.export('one', :'dir' || 'zz', format => 'parquet',
	options => '{"lossy": "error,zz=null"}');
CALL outflow.export_tables('{one,nothing}', :'dir' || 'many', format => 'parquet');
SELECT outflow.export_start('one', :'dir' || 'zz', format => 'parquet',
	options => '{"lossy": "a=null,zz=null"}');
SELECT mine();

-- a right to SELECT columns is enough, with a filter and row security, too
CREATE ROLE outflow_columns LOGIN IN ROLE pg_write_server_files;
GRANT USAGE ON SCHEMA export_at_call TO outflow_columns;
CREATE TABLE secrets (secret text, a int, owner name);
INSERT INTO secrets VALUES ('s', 1, 'x'), ('t', 2, 'y');
GRANT SELECT (a) ON secrets TO outflow_columns;
CREATE TABLE parted (gone int, secret text, a int) PARTITION BY LIST (a);
ALTER TABLE parted DROP COLUMN gone;
CREATE TABLE parted_1 (a int, secret text);
ALTER TABLE parted ATTACH PARTITION parted_1 FOR VALUES IN (1, 2);
INSERT INTO parted VALUES ('s', 1), ('t', 2);
GRANT SELECT (a) ON parted TO outflow_columns;
SET ROLE outflow_columns;
CALL outflow.export('secrets', :'dir' || 'filter', columns => '{a}', filter => 'a = 1') \gset
CALL outflow.export('secrets', :'dir' || 'other', columns => '{a}', filter => 'secret = ''s''');
RESET ROLE;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON secrets USING (a = 1 AND owner = 'x');
ALTER TABLE parted ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON parted USING (secret = 's');
SET ROLE outflow_columns;
SELECT a FROM secrets;
CALL outflow.export('secrets', :'dir' || 'policy', columns => '{a}',
	options => '{"row_security": true}') \gset
CALL outflow.export('secrets', :'dir' || 'policy0', columns => '{a}',
	options => '{"row_security": true}', workers => 0) \gset
CALL outflow.export('parted', :'dir' || 'parted', columns => '{a}', filter => 'a < 10',
	options => '{"row_security": true}') \gset
CALL outflow.export('secrets', :'dir' || 'policy1', columns => '{a,secret}',
	options => '{"row_security": true}');
CALL outflow.export('secrets', :'dir' || 'policy1', columns => '{a}', filter => 'secret = ''s''',
	options => '{"row_security": true}');
SELECT source, rows FROM outflow.jobs WHERE destination LIKE '%export\_at\_call\_%' ORDER BY job;
RESET ROLE;

-- a value that the format can't hold: where it is, and what is to be done
CREATE TABLE lossy (k int, n numeric(5,2) NOT NULL, d date NOT NULL, t text NOT NULL, na numeric(5,2)[] NOT NULL);
INSERT INTO lossy SELECT g, g, '2026-11-22', g, '{1}' FROM generate_series(1, 500) AS g;
UPDATE lossy SET n = 'NaN' WHERE k = 400;
SELECT ctid FROM lossy WHERE n = 'NaN';
CALL outflow.export('lossy', :'dir' || 'lossy', format => 'parquet', workers => 0);
\set VERBOSITY sqlstate
CALL outflow.export('lossy', :'dir' || 'lossy', format => 'parquet');
\set VERBOSITY default
SELECT max(job) AS job FROM outflow.jobs \gset
SELECT error_detail, error_hint FROM outflow.job WHERE job = :job;
SELECT outflow.forget(:job);

-- lossy => null makes nullable what may become null, and counts what became it
UPDATE lossy SET d = 'infinity', na = '{{1}}' WHERE k IN (7, 8);
UPDATE lossy SET na = '{NaN,1}' WHERE k = 9;
CALL outflow.export('lossy', :'dir' || 'null', format => 'parquet', options => '{"lossy": "null"}') \gset
CALL outflow.export('lossy', :'dir' || 'null0', format => 'parquet', options => '{"lossy": "null"}', workers => 0) \gset
SELECT made_null, rows FROM outflow.jobs WHERE job = :job;
SELECT manifest->'made_null' AS made_null, manifest->'parts'->0->'made_null' AS of_part
FROM (SELECT pg_read_file(substr(destination, 8) || '/manifest.json')::json
	FROM outflow.jobs WHERE job = :job) AS m (manifest);
CALL outflow.export('lossy', :'dir' || 'carried', format => 'parquet', options => '{"lossy": "null"}', base => :job) \gset
SELECT parts_carried, made_null FROM outflow.jobs WHERE job = :job;
\set VERBOSITY sqlstate
CALL outflow.export('lossy', :'dir' || 'divided', filter => '100 / (k - 400) > 0');
\set VERBOSITY default
SELECT error_context FROM outflow.job WHERE job = (SELECT max(job) FROM outflow.job);
SELECT outflow.forget(job) FROM outflow.jobs WHERE state = 'failed' AND destination LIKE '%export\_at\_call\_%';
DROP SCHEMA export_at_call CASCADE;
DROP OWNED BY outflow_columns;
DROP ROLE outflow_columns;
