-- transactions: savepoints, rollbacks, spills and prepared ones, whole and in order of commit
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_transactions;
SET search_path = stream_transactions;
\set shared :project '/test/lib/stream.sql'
\i :shared
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE copy (LIKE t INCLUDING INDEXES);
SELECT create_slot('stream_transactions');

-- savepoints kept, undone, and nested
BEGIN;
INSERT INTO t VALUES (1, 'kept');
SAVEPOINT a;
INSERT INTO t VALUES (2, 'kept');
SAVEPOINT b;
INSERT INTO t VALUES (3, 'undone');
UPDATE t SET v = 'undone' WHERE id = 1;
ROLLBACK TO b;
INSERT INTO t VALUES (3, 'kept');
RELEASE a;
SAVEPOINT c;
DELETE FROM t;
ROLLBACK TO c;
INSERT INTO t VALUES (4, 'kept');
COMMIT;
SELECT * FROM records('stream_transactions', 'include_schemas', 'off');

-- errors caught in a block
DO $$
BEGIN
	FOR i IN 1..5 LOOP
		BEGIN
			INSERT INTO t VALUES (i * 2, 'loop');
		EXCEPTION WHEN unique_violation THEN
			UPDATE t SET v = 'updated' WHERE id = i * 2;
		END;
	END LOOP;
END $$;
-- speculative insertion: conflicts that come to nothing, to updates, to rows
INSERT INTO t VALUES (1, 'x') ON CONFLICT DO NOTHING;
INSERT INTO t VALUES (1, 'x'), (20, 'y') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
MERGE INTO t USING (VALUES (20, 'z'), (21, 'w')) AS m(id, v) ON t.id = m.id
WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (m.id, m.v);
SELECT * FROM changes('stream_transactions');

-- larger than logical_decoding_work_mem: through files, with savepoints
SET logical_decoding_work_mem = '64kB';
BEGIN;
INSERT INTO t SELECT g, repeat('s', 100) FROM generate_series(100, 1100) AS g;
SAVEPOINT a;
UPDATE t SET v = 'spilled' WHERE id BETWEEN 200 AND 700;
ROLLBACK TO a;
UPDATE t SET v = 'again' WHERE id % 3 = 0;
SAVEPOINT b;
DELETE FROM t WHERE id % 5 = 0 AND id > 99;
RELEASE b;
COMMIT;
CREATE TEMP TABLE spilled AS SELECT n, data::json AS r FROM peek('stream_transactions', 'tables', '*.t');
SELECT r->>'op', count(*) FROM spilled GROUP BY 1 ORDER BY 1;
SELECT r->>'changes' FROM spilled WHERE r->>'op' = 'commit';
SELECT count(DISTINCT r->>'id') FROM spilled WHERE r->>'id' IS NOT NULL;
SELECT count(*) FROM (SELECT lag(r->>'id') OVER (ORDER BY n) AS before, r->>'id' AS id FROM spilled
	WHERE r->>'id' IS NOT NULL) AS o WHERE before COLLATE "C" >= id;
-- the same records, ids too, when nothing is spilled
RESET logical_decoding_work_mem;
SELECT count(*) FROM (SELECT r::text FROM spilled EXCEPT SELECT data FROM peek('stream_transactions', 'tables', '*.t')) AS d;
INSERT INTO copy SELECT * FROM t;
SELECT count(*) > 0 FROM consume('stream_transactions');

-- prepared: with COMMIT PREPARED, when two_phase is off
BEGIN;
INSERT INTO t VALUES (5000, 'prepared');
SAVEPOINT s;
INSERT INTO t VALUES (5001, 'prepared');
PREPARE TRANSACTION 'stream_transactions_1';
BEGIN;
INSERT INTO t VALUES (5002, 'rolled back');
PREPARE TRANSACTION 'stream_transactions_2';
INSERT INTO t VALUES (5003, 'meanwhile');
SELECT * FROM changes('stream_transactions');
COMMIT PREPARED 'stream_transactions_1';
ROLLBACK PREPARED 'stream_transactions_2';
SELECT * FROM records('stream_transactions', 'include_schemas', 'off');

-- a slot consumed to the end replays to the table's exact content
TRUNCATE copy;
INSERT INTO copy SELECT * FROM t;
SELECT count(*) > 0 FROM consume('stream_transactions');
DO $$
BEGIN
	FOR i IN 1..300 LOOP
		BEGIN
			CASE i % 6
				WHEN 0 THEN UPDATE t SET v = v || i WHERE id % 50 = i % 50;
				WHEN 1 THEN DELETE FROM t WHERE id % 97 = i % 97;
				WHEN 2 THEN INSERT INTO t SELECT g, 'r' || i FROM generate_series(i * 100, i * 100 + i % 7) AS g ON CONFLICT (id) DO UPDATE SET v = 'c' || i;
				WHEN 3 THEN UPDATE t SET id = id + 100000 WHERE id = i;
				WHEN 4 THEN UPDATE t SET v = NULL WHERE id % 31 = i % 31; RAISE division_by_zero;
				ELSE TRUNCATE t; INSERT INTO t SELECT g, 't' || g FROM generate_series(1, 200) AS g;
			END CASE;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
		IF i % 7 = 0 THEN COMMIT; ELSIF i % 11 = 0 THEN ROLLBACK; END IF;
	END LOOP;
END $$;
SELECT replay('stream_transactions', 't', 'copy') > 100;
SELECT count(*) > 50 FROM t;
SELECT * FROM differences('t', 'copy');

SELECT pg_drop_replication_slot('stream_transactions');
SET client_min_messages = warning;
DROP SCHEMA stream_transactions CASCADE;
