-- Promise: format wal2json reads wal2json's options, and where wal2json's
-- output would be no JSON it writes the JSON that was meant.  What both can
-- write is compared byte for byte in test/tap/150_wal2json.pl.
\set ECHO errors
SET client_min_messages = warning;
CREATE SCHEMA w2j;
CREATE SCHEMA "Odd Schema";
SET search_path = w2j, public;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION records(VARIADIC options text[] = '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL,
		VARIADIC ARRAY['format', 'wal2json'] || options)
$$;
\set ECHO all
SELECT FROM pg_create_logical_replication_slot('format_wal2json', 'outflow');

-- names that SQL quotes: a type alone is a JSON string as it stands
CREATE TYPE "Odd Schema"."Odd Type" AS ENUM ('a "b"', 'c\d');
CREATE TYPE "quo""te" AS ENUM ('x');
CREATE TYPE "back\slash" AS ENUM ('y');
CREATE TABLE odd (
	id int PRIMARY KEY,
	alone "char" DEFAULT 'a',
	qualified "Odd Schema"."Odd Type" DEFAULT 'a "b"',
	listed "Odd Schema"."Odd Type"[],
	quoted "quo""te",
	slashed "back\slash",
	line text DEFAULT E'two\nlines \\ and "quotes"',
	seq int DEFAULT 7);
INSERT INTO odd (id, listed) VALUES (1, '{"a \"b\"","c\\d"}');
SELECT * FROM records('include-default', 'on', 'include-pk', 'on');
SELECT * FROM records('include-default', 'on', 'format-version', '2', 'include-transaction', 'off');
SELECT count(*), count(data::json) FROM records('include-default', 'on') data;

-- bytea, whatever bytea_output says; special numbers; domains
CREATE DOMAIN price AS numeric(8,2);
CREATE TABLE kinds (id int PRIMARY KEY, b bytea, n numeric, f float8, r real, p price, x xid, t bool, big int8);
INSERT INTO kinds VALUES (1, '\x00ff5c', 'NaN', '-Infinity', 1.5, 2.50, '7', true, 9223372036854775807);
SET bytea_output = escape;
SELECT * FROM records('add-tables', 'w2j.kinds', 'format-version', '2', 'include-transaction', 'off', 'include-types', 'off');
RESET bytea_output;
SELECT * FROM records('add-tables', 'w2j.kinds', 'format-version', '2', 'include-transaction', 'off', 'include-types', 'off',
	'numeric-data-types-as-string', 'on');

-- a message outside of transactions, after a transaction of two changes
BEGIN;
INSERT INTO kinds (id) VALUES (2), (3);
COMMIT;
SELECT 'sent' FROM pg_logical_emit_message(false, 'pre"fix', 'con\tent');
-- (what comes after it makes it durable)
CREATE TABLE behind ();
SELECT * FROM records('actions', '') r WHERE r LIKE '%message%';
-- content ends at a zero byte; bytes that are no text don't get through
SELECT 'sent' FROM pg_logical_emit_message(true, 'zero', '\x610062'::bytea);
SELECT 'sent' FROM pg_logical_emit_message(true, 'bytes', '\x61ff22c3a4'::bytea);
SELECT * FROM records('format-version', '2', 'add-msg-prefixes', 'zero, bytes', 'actions', '', 'include-transaction', '0');

-- names in lists: a backslash makes the next character part of the name
CREATE TABLE "a.b*c, d" (id int PRIMARY KEY);
CREATE TABLE "a.bxc, d" (id int PRIMARY KEY);
INSERT INTO "a.b*c, d" VALUES (1);
INSERT INTO "a.bxc, d" VALUES (1);
SELECT * FROM records('add-tables', 'w2j.a\.b\*c\,\ d', 'format-version', '2', 'include-transaction', 'off');
SELECT * FROM records('add-tables', 'w2j.a.b*c\,\ d', 'format-version', '2', 'include-transaction', 'off');
SELECT * FROM records('add-tables', '*.*', 'filter-tables', '*.odd, w2j.kinds', 'format-version', '2', 'include-transaction', 'off')
WHERE records NOT LIKE '%"M"%';

-- without identity, updates and deletes are left out, and one WARNING says so
CREATE TABLE no_key (id int);
INSERT INTO no_key VALUES (1);
UPDATE no_key SET id = 2;
DELETE FROM no_key;
SELECT * FROM records('add-tables', 'w2j.no_key', 'format-version', '2', 'include-transaction', 'off') r WHERE r NOT LIKE '%"M"%';

-- the primary key is shown, whatever the replica identity
CREATE TABLE by_full (id int PRIMARY KEY, v int);
CREATE TABLE by_index (id int PRIMARY KEY, k int NOT NULL UNIQUE);
CREATE TABLE by_nothing (id int PRIMARY KEY, v int);
ALTER TABLE by_full REPLICA IDENTITY FULL;
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_k_key;
ALTER TABLE by_nothing REPLICA IDENTITY NOTHING;
INSERT INTO by_full VALUES (1, 2);
INSERT INTO by_index VALUES (1, 2);
INSERT INTO by_nothing VALUES (1, 2);
UPDATE by_full SET v = 3;
DELETE FROM by_index;
SELECT * FROM records('include-pk', 'on', 'add-tables', 'w2j.by_full, w2j.by_index, w2j.by_nothing', 'include-empty-transaction', 'off',
	'add-msg-prefixes', 'none');
SELECT * FROM records('include-pk', 'on', 'add-tables', 'w2j.by_full, w2j.by_index, w2j.by_nothing', 'include-transaction', 'off',
	'add-msg-prefixes', 'none', 'format-version', '2');

-- whether a column may be null is told without its type, too
SELECT * FROM records('include-not-null', 'on', 'include-types', 'off', 'add-tables', 'w2j.by_index', 'include-empty-transaction', 'off',
	'add-msg-prefixes', 'none');

-- partitions under their root's name, which also decides on filters, with their own columns
CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY LIST (id);
CREATE TABLE leaf_1 (v text, id int NOT NULL);
ALTER TABLE root ATTACH PARTITION leaf_1 FOR VALUES IN (1);
CREATE TABLE branch PARTITION OF root FOR VALUES IN (2, 3) PARTITION BY LIST (id);
CREATE TABLE leaf_2 PARTITION OF branch FOR VALUES IN (2);
INSERT INTO root VALUES (1, 'one'), (2, 'two');
TRUNCATE leaf_2;
-- what becomes of an ancestor counts at once, in the transaction that does it
BEGIN;
ALTER TABLE root RENAME TO stem;
INSERT INTO stem VALUES (2, 'renamed');
ALTER TABLE stem SET SCHEMA "Odd Schema";
INSERT INTO leaf_2 VALUES (2, 'moved') ON CONFLICT (id) DO UPDATE SET v = 'moved';
ALTER TABLE "Odd Schema".stem DETACH PARTITION branch;
UPDATE branch SET v = 'detached';
ALTER TABLE branch DETACH PARTITION leaf_2;
DELETE FROM leaf_2;
COMMIT;
SELECT * FROM records('partition-root', 'on', 'filter-tables', 'w2j.odd, w2j.kinds, w2j.poisoned', 'add-tables', 'w2j.root,*.stem,w2j.branch,w2j.leaf_2',
	'add-msg-prefixes', 'none', 'include-types', 'off', 'include-empty-transaction', 'off');
SELECT * FROM records('partition-root', 'on', 'add-tables', 'w2j.root,*.stem,w2j.branch,w2j.leaf_2', 'add-msg-prefixes', 'none', 'format-version', '2',
	'include-types', 'off', 'include-empty-transaction', 'off');

-- transactions of which nothing is left
SELECT string_agg(DISTINCT r, ' ') FROM records('add-tables', '', 'add-msg-prefixes', 'none') r;
SELECT string_agg(DISTINCT r, ' ') FROM records('add-tables', '', 'add-msg-prefixes', 'none', 'format-version', '2') r;
SELECT count(*) FROM records('add-tables', '', 'add-msg-prefixes', 'none', 'include-empty-transaction', 'off');
SELECT count(*) FROM records('add-tables', '', 'add-msg-prefixes', 'none', 'include-empty-transaction', 'off', 'format-version', '2');
-- a TRUNCATE is none of version 1's changes
SELECT count(*) FROM records('actions', 'truncate', 'add-msg-prefixes', 'none', 'include-empty-transaction', 'off');
SELECT * FROM records('actions', 'truncate', 'add-msg-prefixes', 'none', 'include-empty-transaction', 'off', 'format-version', '2');
SELECT * FROM records('actions', '', 'add-msg-prefixes', 'zero', 'include-empty-transaction', 'off');
SELECT * FROM records('actions', '', 'add-msg-prefixes', 'zero', 'include-empty-transaction', 'off', 'write-in-chunks', 'on');

-- what was written here has no origin, and is never filtered by one
SELECT count(*) FROM records('filter-origins', '0', 'add-tables', 'w2j.by_full', 'add-msg-prefixes', 'none', 'include-empty-transaction', 'off');
SELECT count(*) FROM records('filter-origins', '0, 1', 'add-tables', 'w2j.by_full', 'add-msg-prefixes', 'none', 'format-version', '2',
	'include-transaction', 'off');

-- a change can be passed over
CREATE TABLE poisoned (id int PRIMARY KEY, v text);
INSERT INTO poisoned VALUES (1, 'first'), (2, 'second');
SELECT data::json ->> 'lsn' AS lsn
FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL, 'format', 'wal2json', 'format-version', '2',
	'include-lsn', 'on', 'add-tables', 'w2j.poisoned', 'actions', 'insert', 'add-msg-prefixes', 'none')
WHERE data LIKE '%first%' \gset
\set ECHO errors
SET client_min_messages = error;
\set ECHO all
SELECT * FROM records('format-version', '2', 'add-tables', 'w2j.poisoned', 'add-msg-prefixes', 'none', 'include-transaction', 'off',
	'skip_changes', :'lsn');
\set ECHO errors
SET client_min_messages = warning;
\set ECHO all

-- bad input
\set VERBOSITY terse
SELECT * FROM records('format-version', '3');
SELECT * FROM records('format-version', '0');
SELECT * FROM records('include-xids', 'perhaps');
SELECT * FROM records('include_xids', 'on');
SELECT * FROM records('include-unchanged-toast', 'on');
SELECT * FROM records('actions', 'insert,merge');
SELECT * FROM records('filter-tables', 'no_schema');
SELECT * FROM records('filter-tables', 'a.b,');
SELECT * FROM records('filter-tables', 'a.b c.d');
SELECT * FROM records('filter-tables', 'a.b\');
SELECT * FROM records('filter-origins', 'here');
SELECT * FROM records('batch_bytes', '1MB');

-- what only wal2json knows chooses its format, unless another one is chosen
SELECT data FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL, 'add-tables', 'w2j.by_index', 'add-msg-prefixes', 'none',
	'include-empty-transaction', 'off', 'actions', 'insert');
SELECT data FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL, 'add-tables', 'w2j.by_index', 'no-such-option', 'on');
SELECT data FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL, 'add-tables', 'w2j.by_index', 'tables', 'w2j.*');
SELECT data FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL, 'format', 'json', 'add-tables', 'w2j.by_index');
SELECT data FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL, 'batch-bytes', '1000');

SELECT pg_drop_replication_slot('format_wal2json');

-- so does the plugin's other name
SELECT FROM pg_create_logical_replication_slot('format_wal2json', 'outflow_wal2json');
INSERT INTO by_index VALUES (3, 4);
SELECT data FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL);
SELECT count(*) FROM pg_logical_slot_peek_changes('format_wal2json', NULL, NULL, 'format', 'json', 'include_transactions', 'off') WHERE data ~ '"op":"insert"';
SELECT slot FROM outflow.slots WHERE slot = 'format_wal2json';
SELECT pg_drop_replication_slot('format_wal2json');
\set ECHO errors
DROP SCHEMA w2j, "Odd Schema" CASCADE;
