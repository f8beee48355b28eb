"""duckdb_write.py: DuckDB as a writer of Parquet, to compare with.

	duckdb_write.py WORK load TABLE		from WORK/load/TABLE/*.parquet
	duckdb_write.py WORK write TABLE CODEC THREADS	to WORK/out

CODEC is named as outflow names it, with a level where DuckDB takes one:
zstd:3.  The seconds of a write, without Python's and DuckDB's own start, go to
WORK/seconds.
"""
import sys
import time

import duckdb

work, what, table = sys.argv[1:4]
connection = duckdb.connect(f'{work}/bench.duckdb')
if what == 'load':
    connection.execute(f"CREATE TABLE {table} AS "
                       f"SELECT * FROM '{work}/load/{table}/*.parquet'")
else:
    codec, threads = sys.argv[4:]
    codec, _, level = codec.partition(':')
    codec = {'lz4': 'lz4_raw', 'none': 'uncompressed'}.get(codec, codec)
    if level:
        codec += f', COMPRESSION_LEVEL {level}'
    connection.execute(f'SET threads = {threads}')
    # what the first reading of its own file costs isn't writing
    connection.execute(f'SELECT count(COLUMNS(*)) FROM {table}').fetchall()
    start = time.monotonic()
    connection.execute(f"COPY {table} TO '{work}/out/{table}.parquet' "
                       f"(FORMAT parquet, COMPRESSION {codec})")
    with open(f'{work}/seconds', 'w') as file:
        print(time.monotonic() - start, file=file)
