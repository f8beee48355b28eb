-- origins: option "origin" lets through what comes from the named ones, whether they are there yet or not
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_origins;
SET search_path = stream_origins;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, v text);
SELECT create_slot('stream_origins');
CREATE FUNCTION write(origin text, id int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_replication_origin_session_setup(origin);
	PERFORM pg_replication_origin_xact_setup('0/ABC', '2026-11-22 06:00+00');
	INSERT INTO t VALUES (id, origin);
	PERFORM pg_logical_emit_message(true, origin, id::text);
END $$;
-- which rows and messages come, with which origin at their begin
CREATE FUNCTION seen(VARIADIC options text[]) RETURNS TABLE (record text) LANGUAGE sql AS $$
	SELECT coalesce(r->>'origin' || ' ' || coalesce(r->>'origin_lsn', '-'), r->'new'->>'id', r->>'content', r->>'op')
	FROM (SELECT n, data::json AS r FROM peek('stream_origins', VARIADIC options || '{include_schemas,off}')) AS d
	WHERE r->>'op' <> 'commit' AND coalesce((r->'new'->>'id')::int, 0) NOT BETWEEN 1001 AND 1500 ORDER BY n$$;
SELECT pg_replication_origin_create('stream_a') > 0, pg_replication_origin_create('stream b, "c"') > 0;

INSERT INTO t VALUES (1, 'here');
SELECT write('stream_a', 2);
SELECT pg_replication_origin_session_reset();
SELECT write('stream b, "c"', 3);
SELECT pg_replication_origin_session_reset();
SELECT * FROM seen('origin', 'any');
SELECT * FROM seen('origin', 'none');
SELECT * FROM seen('origin', 'stream_a');
-- several, local changes beside them, quoted and folded names
SELECT * FROM seen('origin', 'stream_a,"stream b, ""c"""');
SELECT * FROM seen('origin', 'none, stream_a');
SELECT * FROM seen('origin', 'any, stream_a');
SELECT * FROM seen('origin', 'STREAM_A');
-- nobody's, until there is such an origin
SELECT * FROM seen('origin', 'stream_later');
SELECT * FROM seen('origin', 'stream_later,none');
SELECT pg_replication_origin_create('stream_later') > 0;
SELECT write('stream_later', 4);
SELECT pg_replication_origin_session_reset();
SELECT * FROM seen('origin', 'stream_later');
-- a transaction begun without an origin ends with one: its end counts
BEGIN;
INSERT INTO t VALUES (5, 'before the origin');
SELECT write('stream_later', 6);
COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT * FROM seen('origin', 'stream_later');
-- messages outside of transactions, in pieces, and with a publication beside
SELECT pg_replication_origin_session_setup('stream_a');
SELECT pg_logical_emit_message(false, 'loud', 'from a') > '0/0';
INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1000, 1500) AS g;
SELECT pg_replication_origin_session_reset();
SELECT pg_logical_emit_message(false, 'loud', 'from here') > '0/0';
INSERT INTO t VALUES (7, 'here');
SELECT * FROM seen('origin', 'stream_a');
SELECT * FROM seen('origin', 'none');
SET logical_decoding_work_mem = '64kB';
SELECT data::json->>'op', count(*) FROM peek('stream_origins', 'origin', 'stream_a', 'streaming', 'on', 'messages', 'off') WHERE data ~ '"op":"(insert|begin|commit|stream_commit)"' GROUP BY 1 ORDER BY 1;
SELECT data::json->>'op', count(*) FROM peek('stream_origins', 'origin', 'stream_later,none', 'streaming', 'on', 'messages', 'off') WHERE data ~ '"op":"(insert|begin|commit|stream_commit)"' GROUP BY 1 ORDER BY 1;
RESET logical_decoding_work_mem;
-- dropped: what was written under its name keeps it
SELECT pg_replication_origin_drop('stream_later');
SELECT * FROM seen('origin', 'stream_later');
SELECT count(*) FROM seen('origin', 'any') WHERE record IN ('4', '5', '6');
SELECT pg_replication_origin_drop('stream_a'), pg_replication_origin_drop('stream b, "c"');
SELECT * FROM seen('origin', 'stream_a,"stream b, ""c"""');
-- a row that an origin wrote, in a transaction that ends without one, and the
-- other way round: both must be wanted, one by one and in lists, in pieces too
SELECT pg_replication_origin_create('stream_two') > 0;
SELECT count(*) > 0 FROM pg_logical_slot_get_changes('stream_origins', NULL, NULL);
SELECT pg_replication_origin_session_setup('stream_two');
BEGIN;
INSERT INTO t VALUES (21, 'written by the origin');
SELECT pg_logical_emit_message(true, 'note', 'written by the origin') > '0/0';
PREPARE TRANSACTION 'stream_origins';
SELECT pg_replication_origin_session_reset();
COMMIT PREPARED 'stream_origins';
BEGIN;
INSERT INTO t VALUES (22, 'written here');
SELECT pg_replication_origin_session_setup('stream_two');
INSERT INTO t VALUES (23, 'written by the origin');
COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT o AS origin, s AS streaming, string_agg(coalesce(r->'new'->>'id', r->>'op'), ' ' ORDER BY n) AS records
FROM unnest('{none,"none,nobody",stream_two,"stream_two,none",any}'::text[]) WITH ORDINALITY AS u (o, u),
	unnest('{off,on}'::text[]) AS s,
	LATERAL (SELECT n, data::json AS r FROM peek('stream_origins', 'include_schemas', 'off', 'include_transactions', 'off', 'origin', o, 'streaming', s)) AS d
GROUP BY u, o, s ORDER BY u, s;
BEGIN;
INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(2001, 2500) AS g;
SELECT pg_replication_origin_session_setup('stream_two');
INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(3001, 3500) AS g;
COMMIT;
SELECT pg_replication_origin_session_reset();
SET logical_decoding_work_mem = '64kB';
SELECT o AS origin, s AS streaming, r->>'op' AS op, count(*)
FROM unnest('{none,"none,nobody",stream_two,"stream_two,none"}'::text[]) AS o, unnest('{off,on}'::text[]) AS s,
	LATERAL (SELECT data::json AS r FROM peek('stream_origins', 'include_schemas', 'off', 'origin', o, 'streaming', s, 'messages', 'off')) AS d
WHERE r->>'op' IN ('stream_commit', 'stream_abort') OR ((r->'new'->>'id')::int > 2000 AND (s = 'off' OR o LIKE 'stream_two%'))
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
RESET logical_decoding_work_mem;
SELECT pg_replication_origin_drop('stream_two');
-- the begin record names the origin with which a transaction ends, whatever wrote its rows
SELECT count(*) > 0 FROM pg_logical_slot_get_changes('stream_origins', NULL, NULL);
SELECT pg_replication_origin_create('stream_a') > 0, pg_replication_origin_create('stream_c') > 0;
BEGIN;
SELECT pg_replication_origin_session_setup('stream_c');
INSERT INTO t VALUES (31, 'by the other');
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_session_setup('stream_a');
COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT * FROM seen('origin', 'stream_a,stream_c');
-- a message outside of transactions, too, has the name of its time
SELECT pg_replication_origin_session_setup('stream_c');
SELECT pg_logical_emit_message(false, 'loud', 'from c') > '0/0';
INSERT INTO t VALUES (32, 'c');
SELECT pg_replication_origin_session_reset();
-- pieces, then rows that nobody wants and a message of another origin: the end counts as the pieces did
SELECT pg_replication_origin_session_setup('stream_c');
BEGIN;
INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(4001, 4500) AS g;
CREATE TABLE unwanted AS SELECT generate_series(1, 1000) AS id;
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_session_setup('stream_a');
SELECT pg_logical_emit_message(false, 'loud', 'from a') > '0/0';
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_session_setup('stream_c');
COMMIT;
SELECT pg_replication_origin_session_reset();
-- the server gives a free number to the next name: rows keep theirs
SELECT pg_replication_origin_drop('stream_a'), pg_replication_origin_drop('stream_c');
SELECT pg_replication_origin_create('stream_d') > 0, pg_replication_origin_create('stream_e') > 0;
SELECT pg_replication_origin_session_setup('stream_e');
INSERT INTO t VALUES (33, 'e');
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_session_setup('stream_d');
INSERT INTO t VALUES (34, 'd');
SELECT pg_replication_origin_session_reset();
SELECT o AS origin, (SELECT string_agg(record, ' ' ORDER BY n) FROM seen('origin', o, 'tables', '*.t') WITH ORDINALITY AS s (record, n) WHERE record !~ '^(begin|[0-9]{4})')
FROM unnest('{any,stream_a,stream_c,stream_d,stream_e}'::text[]) AS o;
SET logical_decoding_work_mem = '64kB';
SELECT o AS origin, s AS streaming, r->>'op' AS op, count(*)
FROM unnest('{stream_c,stream_d}'::text[]) AS o, unnest('{off,on}'::text[]) AS s,
	LATERAL (SELECT data::json AS r FROM peek('stream_origins', 'include_schemas', 'off', 'origin', o, 'streaming', s, 'messages', 'off', 'tables', '*.t')) AS d
WHERE r->>'op' IN ('stream_commit', 'stream_abort') OR (r->'new'->>'id')::int > 4000
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
RESET logical_decoding_work_mem;
SELECT pg_replication_origin_drop('stream_d'), pg_replication_origin_drop('stream_e');
-- bad lists
\set VERBOSITY terse
SELECT * FROM seen('origin', '');
SELECT * FROM seen('origin', 'a,,b');
SELECT * FROM seen('origin', '"a');

SELECT pg_drop_replication_slot('stream_origins');
SET client_min_messages = warning;
DROP SCHEMA stream_origins CASCADE;
