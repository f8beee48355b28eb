-- The mixed workload that bench-stream decodes: :rows changes, about.
\set unit :rows / 14
CREATE TABLE narrow (id bigint PRIMARY KEY, k int, v int, at timestamptz);
CREATE TABLE texts (id bigint PRIMARY KEY, name varchar(100), title text, body text, note text);
CREATE TABLE documents (id uuid PRIMARY KEY, doc jsonb, tags text[]);
CREATE TABLE fully (id int PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, ok bool);
ALTER TABLE fully REPLICA IDENTITY FULL;
CREATE TABLE small (id bigint PRIMARY KEY, account int, amount numeric(12,2), at timestamptz);
CREATE TABLE huge (id bigint PRIMARY KEY, k int, v text);
SELECT 'CREATE TABLE wide (id int PRIMARY KEY, ' || string_agg(
	CASE i % 3 WHEN 0 THEN 'i' || i || ' int' WHEN 1 THEN 'f' || i || ' float8' ELSE 'd' || i || ' date' END, ', ') || ')'
FROM generate_series(1, 48) i \gexec

-- many transactions of a few hundred rows
DO $$ BEGIN
	FOR i IN 0 .. 199 LOOP
		INSERT INTO narrow SELECT g, g % 1000, g * 7 % 100003, timestamptz '2026-11-22 06:00Z' + g * interval '13 ms'
		FROM generate_series(1 + i * current_setting('bench.unit')::int * 3 / 200, (i + 1) * current_setting('bench.unit')::int * 3 / 200) g;
		COMMIT;
	END LOOP;
END $$;
-- transactions of one row
DO $$ BEGIN
	FOR i IN 1 .. current_setting('bench.unit')::int LOOP
		INSERT INTO small VALUES (i, i % 997, i * 1.25, now());
		COMMIT;
	END LOOP;
END $$;
INSERT INTO texts SELECT g, 'name ' || g, repeat('title ', 5), repeat('some longer text, "quoted" and not; ', 8), 'Grüße – ' || g
FROM generate_series(1, current_setting('bench.unit')::int) g;
INSERT INTO documents SELECT gen_random_uuid(), jsonb_build_object('id', g, 'name', 'item ' || g, 'price', g * 0.01,
	'flags', jsonb_build_array(true, null, 1), 'nested', jsonb_build_object('a', 'b "c"', 'n', g)), ARRAY['red', 'tag ' || g % 100]
FROM generate_series(1, current_setting('bench.unit')::int) g;
INSERT INTO fully SELECT g, 'name ' || g, g * 0.37, now(), g % 2 = 0
FROM generate_series(1, current_setting('bench.unit')::int) g;
SELECT format('INSERT INTO wide SELECT g, %s FROM generate_series(1, current_setting(''bench.unit'')::int) g', string_agg(
	CASE i % 3 WHEN 0 THEN 'g * ' || i WHEN 1 THEN 'g / ' || i || '.7' ELSE 'date ''2026-01-01'' + g % 1000' END, ', '))
FROM generate_series(1, 48) i \gexec
UPDATE narrow SET v = v + 1 WHERE id <= current_setting('bench.unit')::int;
UPDATE texts SET note = 'changed' WHERE id <= current_setting('bench.unit')::int / 2;
UPDATE fully SET amount = amount + 1;
DELETE FROM narrow WHERE id > current_setting('bench.unit')::int * 5 / 2;
INSERT INTO huge SELECT g, g % 10, 'value ' || g FROM generate_series(1, current_setting('bench.unit')::int * 3) g;
