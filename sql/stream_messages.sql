-- messages: in and outside of transactions, as text or base64
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_messages;
SET search_path = stream_messages;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY);
SELECT create_slot('stream_messages');
CREATE FUNCTION emit(transactional bool, prefix text, content text) RETURNS void LANGUAGE plpgsql AS
	$$BEGIN PERFORM pg_logical_emit_message(transactional, prefix, content); END$$;
CREATE FUNCTION emit(transactional bool, prefix text, content bytea) RETURNS void LANGUAGE plpgsql AS
	$$BEGIN PERFORM pg_logical_emit_message(transactional, prefix, content); END$$;

-- in a transaction: at its place
BEGIN;
INSERT INTO t VALUES (1);
SELECT emit(true, 'audit', 'in "between"');
INSERT INTO t VALUES (2);
COMMIT;
SELECT * FROM records('stream_messages', 'include_schemas', 'off');
-- outside: even when the transaction is rolled back
BEGIN;
SELECT emit(false, 'loud', 'at once');
SELECT emit(true, 'quiet', 'never');
ROLLBACK;
INSERT INTO t VALUES (3);
SELECT * FROM changes('stream_messages');
-- it is its own commit, and delivered before what commits after it
SELECT emit(false, 'loud', 'x'), emit(true, 'quiet', 'y');
SELECT data::json->>'prefix', data::json->>'id' ~ '^[0-9A-F]{16}/0{16}/0000$'
FROM peek('stream_messages') WHERE data ~ '"id"' ORDER BY data::json->>'id' COLLATE "C";
SELECT * FROM changes('stream_messages');

-- bytes: base64 unless they are text
SELECT emit(true, 'b', '\x68656c6c6f'::bytea), emit(true, 'b', '\x00ff'::bytea), emit(true, 'b', '\xc3'::bytea),
	emit(true, 'b', ''), emit(true, '', 'no prefix'), emit(true, 'u', E'\u00e4\u20ac\n\u0001'),
	emit(true, 'b', '\x610062'::bytea), emit(true, 'p"re\fix', decode(repeat('ff', 40), 'hex'));
SELECT * FROM changes('stream_messages');

-- by prefix, or not at all
SELECT emit(true, 'a', '1'), emit(true, 'b', '2'), emit(false, 'c', '3');
SELECT plain(data) FROM peek('stream_messages', 'message_prefixes', 'b, c') ORDER BY n;
SELECT plain(data) FROM peek('stream_messages', 'message_prefixes', 'none') ORDER BY n;
SELECT * FROM records('stream_messages', 'messages', 'off');

-- too large: the content is left out
\set VERBOSITY terse
SELECT emit(true, 'large', repeat('x', 5000)), emit(false, 'large', repeat('y', 5000));
SELECT plain(data) FROM peek('stream_messages', 'max_value_bytes', '4kB') ORDER BY n;
SELECT plain(data) FROM peek('stream_messages', 'max_value_bytes', '4kB', 'oversize', 'error') ORDER BY n;
SELECT length(data::json->>'content') FROM consume('stream_messages', 'max_value_bytes', '6kB') WHERE data ~ 'large';

SELECT pg_drop_replication_slot('stream_messages');
SET client_min_messages = warning;
DROP SCHEMA stream_messages CASCADE;
