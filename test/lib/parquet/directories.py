"""directories.py parquet|csv DIRECTORY: what readers make of an export's directory as it is.

Prints a line for each: its name, the number of rows, and the sum of column id.
"""
import sys

import datafusion
import duckdb
import pandas
import polars
import pyarrow.dataset


def sql(run, name):
    return run(f'SELECT count(*) AS n, sum(id) AS s FROM {name}')


def frame(data):
    return len(data), int(data['id'].sum())


def datafusion_directory(register, directory):
    context = datafusion.SessionContext()
    register(context)('export', directory)
    found = sql(context.sql, 'export').to_pydict()
    return found['n'][0], found['s'][0]


def readers(format, directory):
    # these skip names that begin with an underscore
    yield 'pyarrow.dataset', lambda: frame(
        pyarrow.dataset.dataset(directory, format=format).to_table().to_pandas())
    # and these have to be told which files are data
    files = f'{directory}/*.{format}'
    yield 'duckdb of *', lambda: sql(duckdb.sql, f"'{files}'").fetchall()[0]
    if format == 'parquet':
        yield 'pandas', lambda: frame(pandas.read_parquet(directory))
        yield 'duckdb', lambda: sql(duckdb.sql, f"read_parquet('{directory}')").fetchall()[0]
        yield 'datafusion', lambda: datafusion_directory(lambda c: c.register_parquet, directory)
        yield 'polars of *', lambda: frame(polars.read_parquet(files))
    else:
        yield 'datafusion', lambda: datafusion_directory(lambda c: c.register_csv, directory)
        yield 'polars of *', lambda: frame(polars.read_csv(files))


for name, read in readers(*sys.argv[1:]):
    try:
        rows, total = read()
        print(name, rows, total)
    except Exception as error:  # each reader has its own
        print(name, str(error).splitlines()[0])
