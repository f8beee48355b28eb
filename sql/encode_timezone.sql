-- timestamps with time zone are COPY's, around every change of a zone's offset,
-- at whatever second the zone changes
\getenv builddir PG_ABS_BUILDDIR
\set dir :builddir '/results/encode_timezone'
SET client_min_messages = warning;
SET synchronize_seqscans = off;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA encode_timezone;
SET search_path = encode_timezone;

-- on the days on which zones change, around the minutes at which they do
CREATE TABLE moments (at timestamptz);
INSERT INTO moments SELECT day + minute * interval '1 minute' + second * interval '1 second'
FROM generate_series(timestamptz '1999-10-01 00:00+00', '2001-11-30 00:00+00', '1 day') AS day,
	unnest(ARRAY[0, 1, 31, 91, 121, 141, 151, 208, 211, 241, 271, 421, 1439]) AS minute, unnest(ARRAY[-1, 0, 33]) AS second
WHERE extract(month FROM day) IN (3, 4, 10, 11) AND extract(day FROM day) IN (1, 2, 3, 9, 13, 26, 27, 28, 29, 30)
ORDER BY 1;
INSERT INTO moments VALUES ('infinity'), ('-infinity'), ('4713-01-01 00:00+00 BC'), ('294276-12-31 23:59:59.999999+00'),
	('1883-11-18 12:03:58-04:56:02'), ('1883-11-18 12:03:57-04:56:02'), ('1900-01-01'), ('2000-01-01 00:00+00'),
	('1999-12-31 23:59:59.999999+00'), ('2500-07-01 00:00+00'), ('100000-07-01 00:00+00');

CREATE PROCEDURE compare(zone text, INOUT same bool) LANGUAGE plpgsql AS $$
DECLARE
	destination text := format('%s/%s', current_setting('test.dir'), gen_random_uuid());
	job bigint;
BEGIN
	PERFORM set_config('TimeZone', zone, false);
	CALL outflow.export('moments', 'file://' || destination, workers => 0, part_size => '1GB', job => job);
	EXECUTE format('COPY moments TO %L (FORMAT csv)', destination || '.copy');
	same := pg_read_binary_file(destination || '/part-000000.csv') = pg_read_binary_file(destination || '.copy');
END
$$;
SET test.dir = :'dir';
CALL compare('America/St_Johns', NULL);
CALL compare('Australia/Lord_Howe', NULL);
CALL compare('Africa/Monrovia', NULL);
CALL compare('America/New_York', NULL);
CALL compare('Antarctica/Troll', NULL);
CALL compare('AAA5:07BBB,M3.2.0/02:07:33,M11.1.0/1:01', NULL);
CALL compare('<-0123>1:23', NULL);
RESET TimeZone;
DROP SCHEMA encode_timezone CASCADE;
