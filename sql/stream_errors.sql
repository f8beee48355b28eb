-- errors: an error's context names the column that was being written, and
-- nothing that an earlier error left
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_errors;
SET search_path = stream_errors;
\set shared :project '/test/lib/stream.sql'
\i :shared
SET client_min_messages = error;
CREATE TYPE broken;
CREATE FUNCTION broken_in(cstring) RETURNS broken LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION broken_out(broken) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'pg_ndistinct_out';
CREATE TYPE broken (INPUT = broken_in, OUTPUT = broken_out, LIKE = text);
CREATE TABLE one (id int, "the column of one" broken);
CREATE TABLE two (id int, "the column of two" broken);
SELECT create_slot('stream_errors');
INSERT INTO one VALUES (1, 'broken');
SELECT repeat('broken', 100) AS long \gset
INSERT INTO two VALUES (2, :'long');

-- the first line of the error's context, without its LSN
CREATE FUNCTION context_of(VARIADIC options text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	context text;
BEGIN
	PERFORM * FROM peek('stream_errors', VARIADIC options);
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
	RETURN regexp_replace(split_part(context, E'\n', 1), '[0-9A-F]+/[0-9A-F]+', 'LSN');
END
$$;
SELECT context_of('tables', '*.one');
-- while its size is found out
SELECT context_of('tables', '*.two', 'max_value_bytes', '1kB');
SELECT context_of('tables', '*.two');
SELECT context_of('tables', '*.two', 'max_value_bytes', '1kB');
SELECT context_of('exclude_columns', '*.*.the?column*');

SELECT pg_drop_replication_slot('stream_errors');
DROP SCHEMA stream_errors CASCADE;
