-- options: what is refused with which hint, and what each filter lets through
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_options;
SET search_path = stream_options;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE a (id int PRIMARY KEY, v text, secret text);
CREATE TABLE b (id int PRIMARY KEY, v text);
CREATE TABLE "b.c" (id int PRIMARY KEY, "Ä" text);
SELECT create_slot('stream_options');

-- refused: unknown names, duplicates, bad values
SELECT * FROM peek('stream_options', 'no_such_option', 'x');
SELECT * FROM peek('stream_options', 'Format', 'json');
SELECT * FROM peek('stream_options', 'batch_bytes', '1', 'batch_bytes', '2');
SELECT * FROM peek('stream_options', 'format', 'yaml');
SELECT * FROM peek('stream_options', 'format', 'json', 'format', 'json');
SELECT * FROM peek('stream_options', 'format_version', '2');
SELECT * FROM peek('stream_options', 'format_version', 'one');
SELECT * FROM peek('stream_options', 'batch_bytes', '-1');
SELECT * FROM peek('stream_options', 'batch_bytes', '1 furlong');
SELECT * FROM peek('stream_options', 'batch_bytes', '99999999999999999999');
SELECT * FROM peek('stream_options', 'messages', 'perhaps');
SELECT * FROM peek('stream_options', 'numbers', 'roman');
SELECT * FROM peek('stream_options', 'nested', 'flat');
SELECT * FROM peek('stream_options', 'oversize', '');
SELECT * FROM peek('stream_options', 'actions', 'insert,upsert');
SELECT * FROM peek('stream_options', 'actions', '');
SELECT * FROM peek('stream_options', 'tables', 'a');
SELECT * FROM peek('stream_options', 'tables', 'a.b.c');
SELECT * FROM peek('stream_options', 'tables', 'a.');
SELECT * FROM peek('stream_options', 'tables', 'a.b,,c.d');
SELECT * FROM peek('stream_options', 'tables', '"a.b');
SELECT * FROM peek('stream_options', 'exclude_columns', 'a.b');
SELECT * FROM peek('stream_options', 'skip_changes', 'here');
SELECT * FROM peek('stream_options', 'skip_changes', '0/10/xyz');
SELECT * FROM peek('stream_options', 'skip_changes', '0/10/123456789');
SELECT * FROM peek('stream_options', 'tables', repeat('x', 2000000));
-- what a message shows of a value is short
CREATE FUNCTION refused(VARIADIC options text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM * FROM peek('stream_options', VARIADIC options);
	RETURN 'accepted';
EXCEPTION WHEN invalid_parameter_value OR program_limit_exceeded THEN
	RETURN CASE WHEN length(sqlerrm) < 200 THEN 'briefly' ELSE 'at length' END;
END $$;
SELECT name, refused(name, repeat('x', 500000)) FROM unnest('{format,format_version,tables,exclude_tables,exclude_columns,actions,messages,batch_bytes,numbers,after_snapshot,max_value_bytes,oversize,skip_changes}'::text[]) AS name;
SELECT name, refused('format', 'wal2json', name, repeat('x', 500000)) FROM unnest('{format-version,actions,filter-origins,filter-tables,add-tables,include-pk,skip_changes}'::text[]) AS name;
SELECT refused(repeat('x', 500000), 'x'), refused('format', repeat('x', 2000000)), refused('format', 'wal2json', 'add-msg-prefixes', repeat('x ', 500000));
-- long lists
SELECT count(*) FROM peek('stream_options', 'tables', repeat('a*.b?,', 150000) || 'c.d', 'skip_changes', repeat('0/1,', 200000) || '0/2', 'publication_names', repeat('p,', 500000) || 'p', 'origin', repeat('o,', 500000) || 'o');
-- nothing of it harmed the slot

INSERT INTO a VALUES (1, 'one', 'hush');
INSERT INTO b VALUES (1, 'eins');
INSERT INTO "b.c" VALUES (1, 'uno');
UPDATE a SET v = 'two';
DELETE FROM b;
TRUNCATE a;

CREATE FUNCTION seen(VARIADIC options text[]) RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT plain(data) FROM peek('stream_options', VARIADIC options || '{include_transactions,off,include_schemas,off}') ORDER BY n$$;
-- patterns of tables
SELECT * FROM seen('tables', 'stream_options.a');
SELECT * FROM seen('tables', 'stream_options.?');
SELECT * FROM seen('tables', '*.b*');
SELECT * FROM seen('tables', '*options.b\.c');
SELECT * FROM seen('tables', 'stream\_options."b\.c"');
SELECT * FROM seen('tables', 'stream_options.A, public.*');
SELECT * FROM seen('exclude_tables', '*.*a*, *.*\.*');
SELECT * FROM seen('tables', '*.a,*.b', 'exclude_tables', 'stream_options.b');
-- columns
SELECT * FROM seen('tables', '*.a', 'exclude_columns', '*.*.secret, *.a.i?');
SELECT * FROM seen('tables', '*.b\.c', 'exclude_columns', '*.*.?');
-- actions
SELECT * FROM seen('actions', 'update, delete');
SELECT * FROM seen('actions', 'truncate');
-- records
SELECT record FROM records('stream_options', 'include_transactions', 'off') WHERE record ~ '"op":"(begin|commit)';
INSERT INTO a VALUES (1, 'one', NULL);
SELECT * FROM records('stream_options', 'include_schemas', '0', 'exclude_columns', '*.a.secret');

-- the old row, where the table gives it
ALTER TABLE a REPLICA IDENTITY FULL;
UPDATE a SET v = 'drei';
DELETE FROM a;
SELECT * FROM seen('include_old', 'on');
SELECT * FROM seen('include_old', 'off');
ALTER TABLE a DROP CONSTRAINT a_pkey;
INSERT INTO a VALUES (2);
DELETE FROM a;
SELECT * FROM seen('include_old', 'on', 'actions', 'delete');
SELECT * FROM seen('include_old', 'off', 'actions', 'delete');

-- origins
SELECT pg_replication_origin_create('elsewhere') > 0;
SELECT pg_replication_origin_session_setup('elsewhere');
INSERT INTO b VALUES (7, 'from elsewhere');
SELECT pg_replication_origin_session_reset();
INSERT INTO b VALUES (8, 'from here');
SELECT * FROM seen('origin', 'any', 'tables', '*.b', 'actions', 'insert');
SELECT * FROM changes('stream_options', 'origin', 'none', 'tables', '*.b', 'actions', 'insert');
SELECT pg_replication_origin_drop('elsewhere');

SELECT pg_drop_replication_slot('stream_options');
SET client_min_messages = warning;
DROP SCHEMA stream_options CASCADE;
