-- Promise: format debezium writes Debezium's envelope, with values that need no
-- further reading, and leaves out what not every consumer of rows can read
-- until it is asked for.
\set ECHO errors
SET client_min_messages = warning;
CREATE SCHEMA dbz;
SET search_path = dbz, public;
\pset format unaligned
\pset tuples_only on
-- LSNs, xids and times differ from run to run
CREATE FUNCTION records(VARIADIC options text[] = '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(data,
		'"ts_(ms|us|ns)":\d+', '"ts_\1":0', 'g'),
		'"(lsn|txId)":\d+', '"\1":0', 'g'),
		'\[\\"\d+\\",\\"\d+\\"\]', '[\\"C\\",\\"L\\"]'),
		'"id":"[0-9A-F:/]+"', '"id":"ID"', 'g')
	FROM pg_logical_slot_peek_changes('format_debezium', NULL, NULL,
		VARIADIC ARRAY['format', 'debezium'] || options)
$$;
\set ECHO all
SELECT FROM pg_create_logical_replication_slot('format_debezium', 'outflow');

CREATE TABLE orders (id int PRIMARY KEY, amount numeric(8,2), note text);
INSERT INTO orders VALUES (1, 12.50, 'first');
UPDATE orders SET amount = 13 WHERE id = 1;
DELETE FROM orders WHERE id = 1;
SELECT * FROM records();

-- REPLICA IDENTITY FULL gives the whole row before
ALTER TABLE orders REPLICA IDENTITY FULL;
INSERT INTO orders VALUES (2, NULL, 'second');
UPDATE orders SET note = 'changed';
DELETE FROM orders;
SELECT r::json -> 'key' AS key, r::json -> 'before' AS before, r::json -> 'after' AS after, r::json ->> 'op' AS op
FROM records() r OFFSET 3;
SELECT r::json -> 'before' AS before FROM records('include_old', 'off') r OFFSET 4;

-- a new key: the old one goes, the new one comes, each with an id of its own
CREATE TABLE keyed (a int, b text, v int, PRIMARY KEY (b, a));
INSERT INTO keyed VALUES (1, 'x', 10);
UPDATE keyed SET v = 11;
UPDATE keyed SET a = 2, v = 12;
SELECT r::json -> 'key' AS key, r::json -> 'before' AS before, r::json -> 'after' AS after, r::json ->> 'op' AS op
FROM records('tables', 'dbz.keyed') r;
SELECT count(DISTINCT data::json ->> 'id'), count(*)
FROM pg_logical_slot_peek_changes('format_debezium', NULL, NULL, 'format', 'debezium', 'tables', 'dbz.keyed');

-- a key that only the partition has, and one that goes with its old row
CREATE TABLE parted (id int NOT NULL, v text) PARTITION BY LIST (id);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN (1, 2);
ALTER TABLE parted_a ADD PRIMARY KEY (id);
CREATE PUBLICATION dbz_parted FOR TABLE parted WITH (publish_via_partition_root);
SET client_min_messages = error; -- there was no such publication before
INSERT INTO parted VALUES (1, 'a');
UPDATE parted SET v = 'b';
DELETE FROM parted;
SELECT r::json -> 'key' AS key, r::json -> 'source' ->> 'table' AS in, r::json ->> 'op' AS op
FROM records('publication_names', 'dbz_parted') r;
-- the same as format json's, which has none with an insert
SELECT data::json -> 'key' AS key, data::json ->> 'op' AS op
FROM pg_logical_slot_peek_changes('format_debezium', NULL, NULL, 'publication_names', 'dbz_parted') WHERE data ~ '"new"|"delete"';
SET client_min_messages = warning;

-- values
CREATE TYPE mood AS ENUM ('sad "very"', 'ok');
CREATE TYPE pair AS (x int, y text);
CREATE TABLE kinds (id int8 PRIMARY KEY, n numeric, f float8, b bool, raw bytea, j json, jb jsonb, d date, t time,
	ts timestamp, tz timestamptz, i interval, u uuid, m mood, a int[], ta text[], ba bytea[], p pair, r int4range);
INSERT INTO kinds VALUES (9223372036854775807, 123456789012345678901234567890.1234567890, 'NaN', true, '\x00ff10',
	'{"a": [1, "x\ny"]}', '{"b": null}', '2026-11-22', '06:07:08.9', '2026-11-22 06:00', '2026-11-22 06:00+02',
	'1 day 02:00', '00000000-0000-0000-0000-000000000001', 'sad "very"', '{1,NULL}', '{a,"b,c"}', '{"\\x01"}', '(1,z)', '[1,5)');
INSERT INTO kinds (id, n, d, tz) VALUES (2, 'NaN', 'infinity', '0044-03-15 12:00 BC');
SELECT r::json -> 'after' FROM records('tables', 'dbz.kinds') r;
SELECT r::json -> 'after' -> 'id' AS id FROM records('tables', 'dbz.kinds', 'numbers', 'string') r LIMIT 1;

-- values that the WAL lacks
CREATE TABLE long (id int PRIMARY KEY, small int, t text, b bytea, j jsonb, ta text[], ia int[], ua uuid[]);
ALTER TABLE long ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL,
	ALTER ta SET STORAGE EXTERNAL, ALTER ia SET STORAGE EXTERNAL, ALTER ua SET STORAGE EXTERNAL;
INSERT INTO long SELECT 1, 1, repeat('t', 5000), repeat('b', 5000)::bytea, to_jsonb(repeat('j', 5000)),
	ARRAY[repeat('a', 5000)], array_agg(g), array_agg(gen_random_uuid()) FROM generate_series(1, 2000) g;
UPDATE long SET small = 2;
SELECT r::json -> 'after' FROM records('tables', 'dbz.long') r OFFSET 1;
SELECT convert_from(decode(r::json -> 'after' ->> 'b', 'base64'), 'UTF8') FROM records('tables', 'dbz.long') r OFFSET 1;
SELECT string_agg(chr(e::int), '' ORDER BY o) FROM records('tables', 'dbz.long') r,
	json_array_elements_text(r::json -> 'after' -> 'ia') WITH ORDINALITY AS x (e, o) WHERE r LIKE '%"op":"u"%';

-- what isn't asked for doesn't come; transactions number their events
BEGIN;
INSERT INTO orders VALUES (3, 1, 'a'), (4, 1, 'b');
INSERT INTO keyed VALUES (5, 'y', 1);
SELECT 'sent' FROM pg_logical_emit_message(true, 'pre"fix', 'hello');
TRUNCATE orders;
COMMIT;
SELECT 'sent' FROM pg_logical_emit_message(false, 'alone', 'hello');
-- whose commit flushes the message
CREATE TABLE flush ();
SELECT count(*) FROM records() r WHERE r::json ->> 'op' IN ('t', 'm');
SELECT * FROM records('tables', 'dbz.keyed,dbz.orders', 'actions', 'insert,truncate', 'messages', 'on', 'topic_prefix', 'a "shop"') OFFSET 3;
SELECT * FROM records('tables', 'dbz.keyed,dbz.orders', 'actions', 'insert,truncate', 'messages', 'on', 'include_transactions', 'on') r
WHERE r LIKE '{"status"%' OFFSET 6;
SELECT r::json -> 'transaction' ->> 'total_order' AS total, r::json -> 'transaction' ->> 'data_collection_order' AS own,
	r::json -> 'source' ->> 'table' AS "table", r::json ->> 'op' AS op
FROM records('tables', 'dbz.keyed,dbz.orders', 'actions', 'insert,truncate', 'messages', 'on', 'include_transactions', 'on') r
WHERE r NOT LIKE '{"status"%' OFFSET 3;

-- a message outside of transactions has its own LSN, and the time at hand, as no
-- other is stored
SELECT source ->> 'lsn' = (source ->> 'sequence')::json ->> 1 AS sequence, '0/0'::pg_lsn + (source ->> 'lsn')::numeric = lsn AS own,
	to_timestamp((source ->> 'ts_ms')::numeric / 1000) > now() - interval '1 hour' AS recent
FROM (SELECT lsn, data::json AS r, data::json -> 'source' AS source
	FROM pg_logical_slot_peek_changes('format_debezium', NULL, NULL, 'format', 'debezium', 'messages', 'on')) AS c
WHERE r -> 'key' ->> 'prefix' = 'alone';

-- sequence and id grow in the order of delivery, times in the order of commits
SELECT count(*) > 10 AS many, bool_and(id > before) AS ids, bool_and(sequence > before_sequence) AS sequences
FROM (
	SELECT id, lag(id, 1, '') OVER (ORDER BY n) AS before, sequence, lag(sequence, 1, '{0,0}') OVER (ORDER BY n) AS before_sequence
	FROM (
		SELECT n, data::json ->> 'id' AS id,
			ARRAY(SELECT e::numeric FROM json_array_elements_text((data::json -> 'source' ->> 'sequence')::json) e) || split_part(data::json ->> 'id', '/', 3)::numeric AS sequence
		FROM pg_logical_slot_peek_changes('format_debezium', NULL, NULL, 'format', 'debezium') WITH ORDINALITY AS c (lsn, xid, data, n)) c) c;

-- without records for transactions a message's LSN tells a transaction's end: that
-- of its last event, and no other, is beyond the commit in "sequence"
BEGIN;
INSERT INTO orders SELECT i, i, 'many' FROM generate_series(10, 13) AS i;
DELETE FROM orders WHERE id = 12;
COMMIT;
INSERT INTO orders VALUES (20, 1, 'one');
SELECT count(*) > 15 AS many, count(*) FILTER (WHERE is_end) > 4 AS ends, bool_and(is_end = is_last) AS told
FROM (
	SELECT lsn > '0/0'::pg_lsn + ((data::json -> 'source' ->> 'sequence')::json ->> 0)::numeric AS is_end,
		lead(xid) OVER (ORDER BY n) IS DISTINCT FROM xid AS is_last
	FROM pg_logical_slot_peek_changes('format_debezium', NULL, NULL, 'format', 'debezium') WITH ORDINALITY AS c (lsn, xid, data, n)) c;

-- a new key whose new row is too large when it is written: skip_changes passes over the half that the error names
CREATE TABLE halves (id int PRIMARY KEY, v jsonb);
ALTER TABLE halves ALTER v SET STORAGE PLAIN;
INSERT INTO halves VALUES (1, NULL);
UPDATE halves SET id = 2, v = to_jsonb(repeat(chr(1), 7000));
UPDATE halves SET v = NULL;
CREATE FUNCTION named() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	PERFORM records('tables', 'dbz.halves', 'oversize', 'error', 'max_record_bytes', '46000', 'max_value_bytes', '46000');
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS said = PG_EXCEPTION_CONTEXT;
	RETURN substring(said FROM 'change ([0-9A-F/]+)');
END $$;
SELECT named() AS half, regexp_replace(named(), '/[^/]*$', '') AS lsn \gset
SELECT split_part(:'half', '/', 3) AS index;
SET client_min_messages = error;
SELECT (ARRAY['half', 'first', 'both'])[n] AS skipped, r::json -> 'key' AS key, r::json ->> 'op' AS op
FROM unnest(ARRAY[:'half', :'lsn' || '/0000', :'lsn']) WITH ORDINALITY AS u (c, n),
	records('tables', 'dbz.halves', 'oversize', 'error', 'max_record_bytes', '46000', 'max_value_bytes', '46000', 'skip_changes', c) WITH ORDINALITY AS x (r, o)
ORDER BY n, o;
SET client_min_messages = warning;

-- bad input
SELECT * FROM records('no_such_option', 'x');
\set VERBOSITY terse
SELECT * FROM records('topic-prefix', 'x');
SELECT * FROM records('topic_prefix', 'x', 'topic_prefix', 'y');
SELECT * FROM pg_logical_slot_peek_changes('format_debezium', NULL, NULL, 'topic_prefix', 'x');
SELECT * FROM records('streaming', 'on');
SELECT * FROM records('two_phase', 'on');

SELECT pg_drop_replication_slot('format_debezium');
\set ECHO errors
DROP PUBLICATION dbz_parted;
DROP SCHEMA dbz CASCADE;
