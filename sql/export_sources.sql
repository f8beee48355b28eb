-- what can't be exported is refused with its reason, before anything happens
\getenv builddir PG_ABS_BUILDDIR
\set dir 'file://' :builddir '/results/export_sources'
SET client_min_messages = warning;
CREATE SCHEMA export_sources;
SET search_path = export_sources;
CREATE TABLE t (a int, b text);
CREATE VIEW v AS SELECT * FROM t;
CREATE SEQUENCE s;
CREATE INDEX i ON t (a);
CREATE TYPE c AS (a int);
CREATE TEMP TABLE tmp (a int);
CREATE FOREIGN DATA WRAPPER export_sources_fdw;
CREATE SERVER export_sources_server
	FOREIGN DATA WRAPPER export_sources_fdw;
CREATE FOREIGN TABLE f (a int) SERVER export_sources_server;
CREATE ACCESS METHOD export_sources_am TYPE TABLE
	HANDLER heap_tableam_handler;
CREATE TABLE am (a int) USING export_sources_am;
CREATE TABLE pam (a int) PARTITION BY LIST (a);
CREATE TABLE pam1 PARTITION OF pam FOR VALUES IN (1) USING export_sources_am;
CREATE MATERIALIZED VIEW empty AS SELECT 1 AS a WITH NO DATA;
CREATE TABLE p (a int) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE FOREIGN TABLE p2 PARTITION OF p FOR VALUES IN (2)
	SERVER export_sources_server;

CALL outflow.export('v', :'dir');
CALL outflow.export('s', :'dir');
CALL outflow.export('i', :'dir');
CALL outflow.export('c', :'dir');
CALL outflow.export('tmp', :'dir');
CALL outflow.export('f', :'dir');
CALL outflow.export('am', :'dir');
CALL outflow.export('empty', :'dir');
CALL outflow.export('p', :'dir');
CALL outflow.export('pam', :'dir');
CALL outflow.export('pg_catalog.pg_class', :'dir');
CALL outflow.export(NULL, :'dir');
-- the hint is right: a query reads what no scan of blocks does
CREATE TEMP TABLE "it's" AS SELECT 1 AS a;
CREATE FUNCTION hinted(source regclass, dir text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM outflow.export_start(source, dir);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN replace(replace(hint, ' exports its rows.', ''), '...',
		quote_literal(dir || '/' || md5(source::text)));
END $$;
\set ECHO none
\o /dev/null
SELECT hinted(source, :'dir') AS call FROM unnest('{v,s,tmp,am,pam,"it''s",pg_catalog.pg_am}'::regclass[]) AS source \gexec
\o
\set ECHO all
SELECT source, state, rows FROM outflow.jobs WHERE starts_with(destination, :'dir') ORDER BY job;
SELECT FROM outflow.jobs AS j, LATERAL outflow.forget(j.job) WHERE starts_with(j.destination, :'dir');

-- and so are arguments that mean nothing
CALL outflow.export('t', NULL);
CALL outflow.export('t', 'relative/dir');
CALL outflow.export('t', 'file://relative/dir');
CALL outflow.export('t', 'file:///');
CALL outflow.export('t', 'file:///tmp/../etc');
\set VERBOSITY terse
CALL outflow.export('t', :'dir', format => 'xls');
\set VERBOSITY default
CALL outflow.export('t', :'dir', compression => 'rar');
CALL outflow.export('t', :'dir', compression => 'zstd:99');
CALL outflow.export('t', :'dir', columns => '{a,nope}');
CALL outflow.export('t', :'dir', columns => '{a,a}');
CALL outflow.export('t', :'dir', columns => '{ctid}');
CALL outflow.export('t', :'dir', columns => '{}');
CALL outflow.export('t', :'dir', columns => '{NULL}');
CALL outflow.export('t', :'dir', part_size => 'much');
CALL outflow.export('t', :'dir', part_size => '1kB');
CALL outflow.export('t', :'dir', workers => -1);
CALL outflow.export('t', :'dir', workers => 1000);
CALL outflow.export('t', :'dir', encrypt_to => '{age1nobody}');
CALL outflow.export('t', :'dir', options => '{"colour": "red"}');
CALL outflow.export('t', :'dir', options => '{"header": "perhaps"}');
CALL outflow.export('t', :'dir', options => '{"header": [1]}');
CALL outflow.export('t', :'dir', options => '["header"]');
CALL outflow.export('t', :'dir', options => '{"delimiter": "ab"}');
CALL outflow.export('t', :'dir', options => '{"delimiter": "\n"}');
CALL outflow.export('t', :'dir', options => '{"quote": ","}');
CALL outflow.export('t', :'dir', options => '{"null": "a,b"}');
CALL outflow.export('t', :'dir', options => '{"encoding": "martian"}');
CALL outflow.export('t', :'dir', format => 'jsonl',
	options => '{"header": true}');
CALL outflow.resume(NULL);
CALL outflow.resume(0);
SELECT outflow.cancel(0);
SELECT outflow.forget(0);
SELECT * FROM outflow.verify(0);

-- nor can a job begin inside a transaction
BEGIN;
CALL outflow.export('t', :'dir');
ROLLBACK;
BEGIN;
CALL outflow.resume(0);
ROLLBACK;
DO $$ BEGIN EXECUTE 'CALL outflow.export(''t'', ''file:///nowhere'')'; END $$;

-- no job was made of any of these
SELECT count(*) FROM outflow.jobs WHERE source LIKE 'export\_sources.%';

DROP SCHEMA export_sources CASCADE;
DROP SERVER export_sources_server;
DROP FOREIGN DATA WRAPPER export_sources_fdw;
DROP ACCESS METHOD export_sources_am;
