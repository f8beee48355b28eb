"""check.py: checks Parquet files; each verdict is a line for ParquetTest.pm.

	check.py compare TABLE DIRECTORY [LOSSY,COLUMNS]
	check.py random FIRST_SEED COUNT DIRECTORY
	check.py digests TABLE COLUMN DIRECTORY [CAST]
	check.py damage FILE
	check.py skip FILE ID COLUMN...
	check.py facts FILE

The server is the one that PGHOST and its like name.
"""
import glob
import json
import operator
import os
import shutil
import sys
import tempfile
import traceback

import duckdb
import pyarrow.parquet as pq

import generate
import inspect_file
import readers
import source


def verdict(ok, name, detail=''):
    print(json.dumps({'ok': bool(ok), 'name': name, 'detail': str(detail)}),
          flush=True)


def compare_files(table, directory, lossy=()):
    """Complaints about all files of an export of table."""
    files = sorted(glob.glob(os.path.join(directory, '*.parquet')))
    described, expected = source.load(table, lossy)
    complaints = [] if files else ['no file']
    for name, read in readers.READERS.items():
        if not files:
            break
        found = readers.rows(read(files), described)
        complaints += [f'{name}: {d}'
                       for d in readers.differences(expected, found)]
    for file in files:
        complaints += [f'{os.path.basename(file)}: {c}'
                       for c in inspect_file.inspect(file)[:5]]
    return complaints


def compare(table, directory, lossy=''):
    complaints = compare_files(table, directory,
                               lossy.split(',') if lossy else ())
    verdict(not complaints, f'{table} as PyArrow, DuckDB and an inspection '
            'of its bytes see it', '\n'.join(complaints))


def one_random(seed, directory):
    name, script, options = generate.table(seed)
    source.psql(script)
    target = os.path.join(directory, name)
    row_options = json.dumps({'row_group_rows': options['row_group_rows']})
    source.psql(f"""SET outflow.part_memory = '{options['memory']}';
        CALL outflow.export('{name}', 'file://{target}', format => 'parquet',
            compression => '{options['compression']}',
            workers => {options['workers']}, options => '{row_options}');""")
    complaints = compare_files(name, target)
    source.psql(f"""DROP TABLE {name};
        DO $$ DECLARE a record; BEGIN
        FOR a IN SELECT typname FROM pg_type WHERE typname LIKE '{name}\\_%'
        LOOP EXECUTE format('DROP TYPE IF EXISTS %I CASCADE', a.typname);
        END LOOP; END $$;""")
    shutil.rmtree(target)
    return complaints


def random_tables(first, count, directory):
    for seed in range(int(first), int(first) + int(count)):
        try:
            complaints = one_random(seed, directory)
        except Exception:
            complaints = [traceback.format_exc()]
        verdict(not complaints, f'random table of seed {seed}',
                '\n'.join(complaints))


def digests(table, column, directory, cast=''):
    """For values too large to be compared one by one.  The cast is the
    server's, of a type whose values are text in the file."""
    expected = dict(line.split('|') for line in source.psql(
        f'SELECT id, md5({column}{cast}) FROM {table};').splitlines())
    found = {str(key): value for key, value in duckdb.sql(
        f"SELECT id, md5({column}) FROM '{directory}/*.parquet'").fetchall()}
    verdict(found == expected, f'{table}: large values are whole')


def refused(read, file):
    try:
        read([file])
    except Exception:
        return True
    return False


def damage(file):
    """A file cut anywhere is no Parquet file for any reader."""
    with open(file, 'rb') as handle:
        data = handle.read()
    lengths = {0, 1, 4, 8, 11, len(data) - 1, len(data) - 4, len(data) - 8,
               len(data) - 9} | {len(data) * i // 20 for i in range(20)}
    with tempfile.TemporaryDirectory() as directory:
        cut = os.path.join(directory, 'cut.parquet')
        for name, read in readers.READERS.items():
            accepted = []
            for length in sorted(lengths):
                with open(cut, 'wb') as handle:
                    handle.write(data[:length])
                if not refused(read, cut):
                    accepted.append(length)
            verdict(not accepted, f'{name} refuses a file cut anywhere',
                    f'accepted when cut at {accepted}')
        # a flipped bit in a page is found by its CRC
        flipped = bytearray(data)
        flipped[len(data) // 3] ^= 0x10
        with open(cut, 'wb') as handle:
            handle.write(flipped)
        verdict(refused(readers.by_pyarrow, cut),
                'a page\'s CRC tells that a bit was flipped')


OPERATORS = {'=': operator.eq, '>=': operator.ge}


def destroy_groups(file, column, op, value, target):
    """Overwrites the pages of row groups in which no value passes; returns
    how many groups there are and how many are left."""
    parquet = pq.ParquetFile(file)
    with open(file, 'rb') as handle:
        data = bytearray(handle.read())
    left = 0
    for g in range(parquet.num_row_groups):
        held = parquet.read_row_group(g, [column]).column(0).to_pylist()
        if any(OPERATORS[op](v, value) for v in held if v is not None):
            left += 1
            continue
        group = parquet.metadata.row_group(g)
        for c in range(group.num_columns):
            chunk = group.column(c)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            data[start:start + chunk.total_compressed_size] = \
                b'\xff' * chunk.total_compressed_size
    with open(target, 'wb') as handle:
        handle.write(data)
    return parquet.num_row_groups, left


def ids_by_duckdb(file, column, op, value):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return sorted(row[0] for row in connection.execute(
        f"SELECT * FROM '{file}' WHERE {source.quote(column)} {op} ?", [value]).fetchall())


def ids_by_pyarrow(file, column, op, value):
    op = '==' if op == '=' else op
    found = pq.read_table(file, filters=[(column, op, value)])
    return sorted(found.column('id').to_pylist())


def skip(file, key, *columns):
    """Row groups that a filter rules out are not even read: their pages are
    overwritten, and readers don't mind.  The filter's value is that of the row
    with that id."""
    whole = pq.read_table(file)
    ids = whole.column('id').to_pylist()
    row = ids.index(int(key))
    with tempfile.TemporaryDirectory() as directory:
        name = os.path.join(directory, 'damaged.parquet')
        for column in columns:
            values = whole.column(column).to_pylist()
            for op, passes in OPERATORS.items():
                groups, left = destroy_groups(file, column, op, values[row],
                                              name)
                where = f'{column} {op} {values[row]}'
                expected = sorted(i for i, v in zip(ids, values)
                                  if v is not None and passes(v, values[row]))
                verdict(0 < left <= groups // 2, f'{where}: most row groups '
                        'hold no such value', f'{left} of {groups} do')
                for reader, read in (('DuckDB', ids_by_duckdb),
                                     ('PyArrow', ids_by_pyarrow)):
                    # PyArrow reads every row group in which there are nulls
                    if reader == 'PyArrow' and None in values:
                        continue
                    try:
                        found = read(name, column, op, values[row])
                    except Exception as error:
                        found = error
                    verdict(found == expected, f'{where}: {reader} finds the '
                            'rows and skips the others', found)
        for reader, read in readers.READERS.items():
            verdict(refused(read, name),
                    f'{reader} fails when it has to read them')


def facts(file):
    metadata = pq.ParquetFile(file).metadata
    print(json.dumps({
        'rows': metadata.num_rows, 'groups': metadata.num_row_groups,
        'created_by': metadata.created_by,
        'facts': {k.decode(): v.decode()
                  for k, v in (metadata.metadata or {}).items()},
        'physical': [metadata.schema.column(i).physical_type
                     for i in range(metadata.num_columns)],
        'required': [field.name for field in pq.read_schema(file)
                     if not field.nullable],
        'pages': inspect_file.page_encodings(file)}))


if __name__ == '__main__':
    {'compare': compare, 'random': random_tables, 'damage': damage,
     'digests': digests, 'skip': skip, 'facts': facts}[sys.argv[1]](*sys.argv[2:])
