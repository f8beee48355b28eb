-- Tables and functions of bench-stream_scale.
CREATE SCHEMA bench;
CREATE PUBLICATION bench FOR ALL TABLES WITH (publish_via_partition_root = true);
CREATE FUNCTION bench.cpu() RETURNS bigint LANGUAGE sql
AS $$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint $$;
CREATE FUNCTION bench.memory() RETURNS bigint LANGUAGE sql
AS $$ SELECT substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s*(\d+)')::bigint $$;
SELECT format('CREATE TABLE bench.t%s (id int, k int, v text)', g)
FROM generate_series(0, :tables - 1) g \gexec
CREATE TABLE bench.parted (id int, k int, v text) PARTITION BY LIST (k);
SELECT format('CREATE TABLE bench.part%s PARTITION OF bench.parted FOR VALUES IN (%s)', g, g)
FROM generate_series(0, :partitions - 1) g \gexec
CREATE PROCEDURE bench.write_tables(changes int, tables int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. changes LOOP
		EXECUTE format('INSERT INTO bench.t%s VALUES ($1, $1, $2)', i % tables)
		USING i, 'value ' || i;
		IF i % 1000 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END $$;
