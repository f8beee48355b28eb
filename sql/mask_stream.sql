-- mask_columns in the stream: types, keys, definitions, in every format; a hash needs a key and is test/tap's
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA mask_stream;
SET search_path = mask_stream;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, mail text NOT NULL DEFAULT 'someone', born date NOT NULL, n numeric(6,2), tags text[], big text);
ALTER TABLE t ALTER big SET STORAGE external;
CREATE TABLE named (id varchar(9) PRIMARY KEY, v int);
SELECT create_slot('mask_stream');
INSERT INTO t VALUES (1, 'Grüße an alle', '2026-02-01', 12.50, '{a,b}', repeat('secret', 1000));
INSERT INTO t (id, born) VALUES (2, '2026-02-01');
UPDATE t SET n = 3 WHERE id = 1;
INSERT INTO named VALUES ('secret', 1);
UPDATE named SET v = 2;
DELETE FROM named;

CREATE FUNCTION masked(masks text, VARIADIC options text[] = '{}') RETURNS SETOF text LANGUAGE sql AS
	$$SELECT plain(data) FROM peek('mask_stream', VARIADIC ARRAY['mask_columns', masks] || options)
	  WHERE data !~ '"op":"(begin|commit)"' AND data !~ '"action":"[BC]"' ORDER BY n$$;

-- the first rule that matches decides
SELECT * FROM masked('*.t.mail=truncate:3, *.t.born=null, *.t.n=redact, *.t.tags=truncate:2, *.t.big=redact, *.t.n=null', 'tables', '*.t');
SELECT * FROM masked('*.t.big=truncate:4', 'tables', '*.t', 'include_schemas', 'off');
-- a masked key is none: only hashes tell rows apart
SELECT * FROM masked('*.named.id=truncate:3', 'tables', '*.named');
SELECT * FROM masked('*.named.id=null', 'tables', '*.named', 'format', 'debezium', 'topic_prefix', 'x') WITH ORDINALITY AS r (record, n)
WHERE record ~ 'secret';
\set VERBOSITY terse
SELECT * FROM masked('*.named.id=redact, *.t.mail=redact, *.t.big=null, *.t.tags=truncate:3', 'format', 'wal2json',
	'format-version', '2', 'include-default', 'on', 'include-pk', 'on');
-- old rows
ALTER TABLE named REPLICA IDENTITY FULL;
INSERT INTO named VALUES ('secret', 1);
UPDATE named SET v = 2;
DELETE FROM named;
SELECT * FROM masked('*.named.id=truncate:2', 'tables', '*.named', 'include_schemas', 'off') OFFSET 3;

-- row filters of publications see clear values
CREATE PUBLICATION mask_stream FOR TABLE named WHERE (id = 'secret');
INSERT INTO named VALUES ('secret', 7), ('other', 8);
SELECT * FROM masked('*.named.id=redact', 'publication_names', 'mask_stream', 'include_schemas', 'off');

-- leaves of one root whose masks differ: each row comes under the definition that it follows
CREATE TABLE root (id int PRIMARY KEY, secret int) PARTITION BY RANGE (id);
CREATE TABLE leaf_a PARTITION OF root FOR VALUES FROM (0) TO (10);
CREATE TABLE leaf_b PARTITION OF root FOR VALUES FROM (10) TO (20);
CREATE TABLE leaf_c PARTITION OF root FOR VALUES FROM (20) TO (30);
CREATE PUBLICATION mask_stream_root FOR TABLE root WITH (publish_via_partition_root);
INSERT INTO root VALUES (1, 1), (11, 1), (21, 1), (2, 2);
INSERT INTO root VALUES (3, 3), (12, 2), (22, 2), (13, 3);
CREATE FUNCTION alternating(VARIADIC options text[]) RETURNS SETOF text LANGUAGE sql AS
	$$SELECT coalesce(r->'columns'->1->>'type', r->>'op' || ' ' || (r->'new')::text) FROM (SELECT n, data::json AS r FROM
		peek('mask_stream', VARIADIC options || '{publication_names, mask_stream_root, mask_columns, *.leaf_a.secret=redact}')) AS d
	  WHERE r->>'op' IN ('schema', 'insert') ORDER BY n$$;
SELECT * FROM alternating('include_old', 'on');
SELECT * FROM alternating('include_schemas', 'off');
-- in pieces, too
SET logical_decoding_work_mem = '64kB';
ALTER TABLE root DROP CONSTRAINT root_pkey;
SELECT count(*) > 0 FROM consume('mask_stream');
INSERT INTO root SELECT g / 200 % 3 * 10, g FROM generate_series(0, 2399) AS g;
SELECT count(*) FILTER (WHERE r->>'op' = 'insert'), count(*) FILTER (WHERE r->>'op' = 'insert' AND (t = 'text') <> (r->'leaf'->>'table' = 'leaf_a'))
FROM (SELECT r, (array_agg(r->'columns'->1->>'type') FILTER (WHERE r->>'op' = 'schema') OVER (ORDER BY n))[count(*) FILTER (WHERE r->>'op' = 'schema') OVER (ORDER BY n)] AS t
	FROM (SELECT n, data::json AS r FROM peek('mask_stream', 'streaming', 'on', 'publication_names', 'mask_stream_root', 'mask_columns', '*.leaf_a.secret=redact')) AS d) AS d;
RESET logical_decoding_work_mem;
DROP PUBLICATION mask_stream_root;
DROP TABLE root;

-- a table that inherits, from when it does; and one that inherits from it
CREATE TABLE people (ssn text);
CREATE TABLE late (ssn text);
CREATE TABLE deep () INHERITS (late);
CREATE FUNCTION add_people(n int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO people VALUES ('secret' || n); INSERT INTO late VALUES ('secret' || n); INSERT INTO deep VALUES ('secret' || n) $$;
SELECT add_people(1);
ALTER TABLE late INHERIT people;
SELECT add_people(2);
ALTER TABLE people RENAME TO persons;
INSERT INTO deep VALUES ('secret3');
ALTER TABLE persons RENAME TO people;
ALTER TABLE late NO INHERIT people;
SELECT add_people(4);
SELECT * FROM masked('*.people.ssn=redact', 'tables', '*.people, *.persons, *.late, *.deep', 'include_schemas', 'off');
DROP TABLE people, deep, late;

-- what is no mask
\set VERBOSITY default
CREATE FUNCTION refused(masks text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
	PERFORM * FROM pg_logical_slot_peek_changes('mask_stream', NULL, NULL, 'mask_columns', masks);
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN SQLERRM || ' / ' || hint;
END $$;
SELECT refused(m) FROM unnest('{"", "a.b.c", "a.b=null", "a.b.c=", "a.b.c=nul", "a.b.c=truncate", "a.b.c=truncate:-1", "a.b.c=redact:1",
	"a.b.c=null,", "a..c=null", "\"a.b.c=null", "a.b.c=truncate:0", "a.\"b,=\".c=null"}'::text[]) AS m;

SELECT pg_drop_replication_slot('mask_stream');
