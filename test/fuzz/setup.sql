CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'häppy, quite');

CREATE TYPE inner_row AS (number int, "odd ""name""" text, moods mood[], gone text, price numeric(10,2));

ALTER TYPE inner_row DROP ATTRIBUTE gone;

CREATE TYPE outer_row AS (at timestamptz, one inner_row, many inner_row[]);

CREATE DOMAIN cents AS numeric(12,2);

CREATE DOMAIN words AS text[];

CREATE TABLE fuzz_row (
	c01 bool,
	c02 int2,
	c03 int4,
	c04 int8,
	c05 oid,
	c06 float4,
	c07 float8,
	c08 numeric,
	c09 text,
	c10 varchar(40),
	c11 char(9),
	c12 name,
	c13 bytea,
	c14 uuid,
	c15 date,
	c16 time,
	c17 timetz,
	c18 timestamp,
	c19 timestamptz,
	c20 json,
	c21 jsonb,
	c22 mood,
	c23 int[],
	c24 text[],
	c25 numeric[],
	c26 timestamptz[],
	c27 inner_row,
	c28 outer_row[],
	c29 cents,
	c30 words,
	c31 interval,
	c32 inet,
	c33 money,
	c34 varbit,
	c35 point,
	c36 int4range,
	c37 tstzrange[],
	c38 int4multirange,
	"c39 ""q"", \ é" text,
	c40 macaddr,
	c41 tid,
	c42 pg_lsn,
	c43 "char",
	c44 int8[],
	c45 float8[],
	c46 bool[],
	c47 bytea[],
	c48 int2[],
	c49 xid,
	c50 bit(11),
	c51 tsvector,
	c52 txid_snapshot
);

CREATE EXTENSION hstore;

CREATE TYPE hollow AS ();

CREATE TYPE nested AS (one hollow, two words[], tree outer_row, pairs hstore, matrix numeric(30,3)[][]);

CREATE TABLE fuzz_parquet (
	LIKE fuzz_row,
	d1 hstore,
	d2 bytea,
	d3 nested,
	d4 nested[],
	d5 words[],
	d6 numeric(20,4)[],
	d7 bool[][],
	d8 hollow[],
	d9 uuid[],
	d10 numeric(4,1),
	d11 numeric(38,0)
);
