-- What columns become in the schemas of lake tables, and what is known of their
-- values there.
\getenv builddir PG_ABS_BUILDDIR
\set dir :builddir '/results/export_lake_types'
\set VERBOSITY default
\pset format unaligned
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA export_lake_types;
SET search_path = export_lake_types;

CREATE TYPE point3 AS (x real, y double precision, "Label" text);
CREATE TYPE inner_type AS (id bigint, p point3);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE TABLE t (
	b boolean, i2 smallint, i4 int NOT NULL, i8 bigint, o oid, f4 real, f8 double precision,
	n numeric(9, 2), n18 numeric(18, 4), n38 numeric(38, 10),
	d date, ts timestamp, tz timestamptz, s text, v varchar(10), c char(3), j jsonb, u uuid, raw bytea,
	p point3, nested inner_type, a int[], ap point3[], dom positive, m mood);
COMMENT ON COLUMN t.i4 IS 'the number';
INSERT INTO t VALUES
	(false, -2, 1, 10, 7, 1.5, 2.5, -12.34, 1234567.8901, 12345678901234567890.0123456789,
	 '2026-01-02', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901+00', 'a "quoted" text', 'v', 'c', '{"k": 1}',
	 '00000000-0000-0000-0000-000000000001', '\x0001ff', (1, 2, 'l'), (5, (3, 4, NULL)), '{1,2}', '{"(1,2,x)"}', 3, 'fine'),
	(true, 3, 2, NULL, NULL, -1.5, 'NaN', 0, -0.0001, -1,
	 '1969-12-31', '1969-12-31 23:59:59.999999', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{NULL}', NULL, NULL, NULL);

CALL outflow.export('t', 'file://' || :'dir' || '/delta', format => 'delta', options => '{"as": "u=string"}') \gset
SELECT field->>'name' AS name, field->'type' AS type, field->>'nullable' AS nullable, nullif(field->'metadata', '{}') AS metadata
FROM string_to_table(pg_read_file(:'dir' || '/delta/_delta_log/00000000000000000000.json'), E'\n') AS line,
	LATERAL (SELECT (NULLIF(line, '')::jsonb->'metaData'->>'schemaString')::jsonb AS schema) AS s,
	LATERAL jsonb_array_elements(schema->'fields') AS field;
SELECT jsonb_pretty((NULLIF(line, '')::jsonb->'add'->>'stats')::jsonb)
FROM string_to_table(pg_read_file(:'dir' || '/delta/_delta_log/00000000000000000000.json'), E'\n') AS line
WHERE line LIKE '{"add"%';

CALL outflow.export('t', 'file://' || :'dir' || '/iceberg', format => 'iceberg') \gset
SELECT field->'id' AS id, field->>'name' AS name, field->'type' AS type, field->'required' AS required, field->>'doc' AS doc
FROM (SELECT pg_read_file(:'dir' || '/iceberg/metadata/' || name)::jsonb AS metadata
	FROM pg_ls_dir(:'dir' || '/iceberg/metadata') AS name WHERE name LIKE '%.metadata.json') AS m,
	LATERAL jsonb_array_elements(metadata->'schemas'->0->'fields') AS field;

-- what they cannot hold
CREATE TABLE times (t time);
CALL outflow.export('times', 'file://' || :'dir' || '/delta-times', format => 'delta') \gset
CREATE TABLE zones (t timetz);
CALL outflow.export('zones', 'file://' || :'dir' || '/iceberg2', format => 'iceberg') \gset
CREATE TYPE same AS (a int, "A" int);
CREATE TABLE twice (p same);
CALL outflow.export('twice', 'file://' || :'dir' || '/delta2', format => 'delta');

DROP SCHEMA export_lake_types CASCADE;
