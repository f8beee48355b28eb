-- no setting of the session shows in the stream
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA encode_settings;
SET search_path = encode_settings;
\set shared :project '/test/lib/stream.sql'
\i :shared
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
SET search_path = encode_settings, public;
CREATE TYPE "select" AS ("Where" money, at timestamptz, every interval);
CREATE FUNCTION "order"(float8) RETURNS float8 LANGUAGE sql AS 'SELECT $1';
CREATE TABLE t (id int PRIMARY KEY,
	d date, ti time, tz timetz, ts timestamp, tstz timestamptz, iv interval,
	by bytea, f4 float4, f8 float8, m money,
	da date[], tza timestamptz[], iva interval[], bya bytea[], f8a float8[], ma money[],
	c "select", ca "select"[], h hstore, x xml, js json, jb jsonb,
	dr daterange, tr tstzrange, nr numrange, tmr tstzmultirange, p point, po polygon, ci circle, b box,
	rc regclass, rt regtype, rp regproc, rpe regprocedure, ro regoper, rn regnamespace, rr regrole, rf regconfig,
	tv tsvector, tq tsquery, ip inet, snap pg_snapshot, lsn pg_lsn, ti2 tid, acl aclitem[]);
SELECT create_slot('encode_settings');
SET TimeZone = 'UTC';
INSERT INTO t VALUES (1,
	'2026-11-22', '12:34:56.7', '12:34:56+05:30', '2026-02-03 04:05:06', '2026-02-03 04:05:06+00', '1 year 2 mons -3 days 04:05:06',
	'\x00ff5c22', 1.1, 0.1, '1234.56',
	'{2026-11-22,infinity,0044-03-15 BC}', '{2026-02-03 04:05:06+00,1900-01-01 00:00+00}', '{1 day}', '{"\\xff00"}', '{0.1,1e300,-0}', '{1234.56}',
	ROW(1234.56, '2026-02-03 04:05:06+00', '1 year 1 day'), ARRAY[ROW(-1, '2026-02-03 04:05:06+00', '-1 day')::"select"], 'a=>1', '<a/>', '{"a": 1}', '{"a": 1}',
	'[2026-11-22,2026-12-01)', '[2026-02-03 04:05:06+00,)', '(0.1,2]', '{[2026-02-03 04:05:06+00,)}', '(0.1,1e20)', '((0.1,0.2),(3,4))', '<(0.1,0.2),3>', '(0.1,0.2),(3,4)',
	'encode_settings.t', '"select"', '"order"', '"order"(float8)', 'pg_catalog.||/', 'encode_settings', 'pg_database_owner', 'english',
	'a:1 b', 'a & b', '10.0.0.1/8', '10:20:10,14', '16/B374D848', '(1,2)', '{=r/pg_database_owner}');
-- the row's record under settings; a new session of the plugin each time
CREATE FUNCTION record_under(VARIADIC settings text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	record text;
	before text[];
BEGIN
	FOR i IN 1 .. array_length(settings, 1) BY 2 LOOP
		-- not every server has all of them, or lets them be changed
		BEGIN
			before[i] := current_setting(settings[i]);
			PERFORM set_config(settings[i], settings[i + 1], true);
		EXCEPTION WHEN undefined_object OR feature_not_supported THEN
			before[i] := NULL;
		END;
	END LOOP;
	SELECT data INTO record FROM encode_settings.peek('encode_settings') WHERE data ~ '"op":"insert"';
	FOR i IN 1 .. array_length(settings, 1) BY 2 LOOP
		CONTINUE WHEN before[i] IS NULL;
		PERFORM set_config(settings[i], before[i], true);
	END LOOP;
	RETURN record;
END
$$;
SELECT record_under('DateStyle', 'ISO') AS plain \gset
SELECT j.key, j.value FROM json_each(:'plain'::json->'new') AS j;
SELECT s.*, record_under(VARIADIC s.settings) = :'plain' AS same FROM (VALUES
	(ARRAY['DateStyle', 'German, DMY', 'IntervalStyle', 'iso_8601']),
	(ARRAY['DateStyle', 'SQL, MDY', 'IntervalStyle', 'sql_standard']),
	(ARRAY['DateStyle', 'Postgres, YMD', 'IntervalStyle', 'postgres_verbose']),
	(ARRAY['TimeZone', 'Asia/Kathmandu', 'timezone_abbreviations', 'India']),
	(ARRAY['TimeZone', 'America/St_Johns']),
	(ARRAY['bytea_output', 'escape']),
	(ARRAY['extra_float_digits', '-15']),
	(ARRAY['extra_float_digits', '3']),
	(ARRAY['lc_monetary', 'C.UTF-8']),
	(ARRAY['search_path', 'encode_settings']),
	(ARRAY['search_path', '']),
	(ARRAY['quote_all_identifiers', 'on']),
	(ARRAY['xmloption', 'document', 'xmlbinary', 'hex']),
	(ARRAY['array_nulls', 'off', 'backslash_quote', 'off', 'standard_conforming_strings', 'off', 'escape_string_warning', 'off']),
	(ARRAY['row_security', 'off', 'default_text_search_config', 'german'])) AS s (settings);
SELECT pg_drop_replication_slot('encode_settings');
DROP SCHEMA encode_settings CASCADE;
