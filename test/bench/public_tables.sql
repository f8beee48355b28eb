-- public_tables.sql: the columns of two public data sets, and values of their
-- sort and spread, made here: TPC-H's lineitem and the yellow taxi trips of New
-- York City.  :rows of each.
CREATE UNLOGGED TABLE words AS
SELECT i, (ARRAY['furiously', 'sleep', 'carefully', 'regular', 'deposits', 'ironic',
	'packages', 'across', 'the', 'pending', 'accounts', 'boldly'])[1 + i % 12] AS word
FROM generate_series(0, 1023) AS i;

CREATE TABLE lineitem (
	l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL,
	l_linenumber int NOT NULL, l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL,
	l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL,
	l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL,
	l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL,
	l_comment varchar(44) NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber));
CREATE TABLE taxi (
	vendor_id int, pickup_at timestamp, dropoff_at timestamp, passenger_count double precision,
	trip_distance double precision, rate_code_id double precision, store_and_fwd_flag text,
	pu_location_id int, do_location_id int, payment_type bigint, fare_amount double precision,
	extra double precision, mta_tax double precision, tip_amount double precision,
	tolls_amount double precision, improvement_surcharge double precision, total_amount double precision,
	congestion_surcharge double precision, airport_fee double precision);

SELECT setseed(0.5);
CREATE VIEW lineitem_rows (l_orderkey, l_partkey, l_suppkey, l_linenumber, l_quantity, l_extendedprice, l_discount, l_tax,
	l_returnflag, l_linestatus, l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode, l_comment) AS
SELECT n / 4 * 4 AS l_orderkey, (random() * 200000)::bigint, (random() * 10000)::bigint, n % 4 + 1 AS l_linenumber,
	(random() * 49)::int + 1, round((900 + random() * 104000)::numeric, 2), round((random() * 0.1)::numeric, 2),
	round((random() * 0.08)::numeric, 2), (ARRAY['A', 'N', 'R'])[1 + n % 3], (ARRAY['F', 'O'])[1 + n % 2],
	d, d + (random() * 60)::int, d + 1 + (random() * 29)::int,
	(ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + n % 4],
	(ARRAY['AIR', 'FOB', 'MAIL', 'RAIL', 'REG AIR', 'SHIP', 'TRUCK'])[1 + n % 7],
	left(w1.word || ' ' || w2.word || ' ' || w3.word || ' ' || n, 10 + n % 34)
FROM generate_series(0, :rows - 1) AS n
CROSS JOIN LATERAL (SELECT date '1992-01-02' + (random() * 2525)::int + n * 0 AS d) AS days
JOIN words AS w1 ON w1.i = n % 1024 JOIN words AS w2 ON w2.i = n / 7 % 1024
JOIN words AS w3 ON w3.i = n / 31 % 1024;
CREATE VIEW taxi_rows (vendor_id, pickup_at, dropoff_at, passenger_count, trip_distance, rate_code_id, store_and_fwd_flag,
	pu_location_id, do_location_id, payment_type, fare_amount, extra, mta_tax, tip_amount, tolls_amount,
	improvement_surcharge, total_amount, congestion_surcharge, airport_fee) AS
SELECT 1 + n % 2, at, at + make_interval(secs => (random() * 3000)::int), (1 + n % 4)::float8,
	round((random() * 20)::numeric, 2)::float8, 1::float8, CASE WHEN n % 50 = 0 THEN 'Y' ELSE 'N' END,
	1 + n % 265, 1 + n / 3 % 265, 1 + n % 4, fare, (n % 3)::float8 / 2, 0.5::float8,
	round((fare * (n % 4) / 10)::numeric, 2)::float8, CASE WHEN n % 20 = 0 THEN 6.55 ELSE 0 END::float8, 0.3::float8,
	round((fare * 1.3)::numeric, 2)::float8, 2.5::float8, CASE WHEN n % 12 = 0 THEN 1.25 ELSE 0 END::float8
FROM generate_series(0, :rows - 1) AS n
CROSS JOIN LATERAL (SELECT timestamp '2023-01-01' + make_interval(secs => n * 0.9) AS at,
	round((3 + random() * 60 + n * 0)::numeric, 1)::float8 AS fare) AS trips;

-- transactions of 1,000 rows, as streams see them
CREATE PROCEDURE fill(target regclass) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE UNLOGGED TABLE made AS SELECT row_number() OVER () AS place, r FROM %s_rows AS r', target);
	CREATE INDEX ON made (place);
	FOR start IN 1 .. (SELECT max(m.place)::int FROM made AS m) BY 1000 LOOP
		EXECUTE format('INSERT INTO %s SELECT (r).* FROM made WHERE place >= $1 AND place < $1 + 1000', target) USING start;
		COMMIT;
	END LOOP;
	DROP TABLE made;
END
$$;
