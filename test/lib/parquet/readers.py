"""readers.py: Parquet files as PyArrow and as DuckDB read them.

Both end as Arrow tables, from which canonical values are taken without
passing through Python's dates, whose years end at 9999.
"""
import json
import re

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

import source


def by_pyarrow(files):
    return pa.concat_tables(
        [pq.read_table(f, page_checksum_verification=True) for f in files],
        promote_options='default')


def by_duckdb(files):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    names = ', '.join("'" + f.replace("'", "''") + "'" for f in files)
    relation = f'SELECT * FROM read_parquet([{names}])'
    # its TIME WITH TIME ZONE has no form of its own in Arrow
    zoned = [c[0] for c in connection.execute(
        f'DESCRIBE {relation}').fetchall() if c[1] == 'TIME WITH TIME ZONE']
    for name in zoned:
        quoted = source.quote(name)
        relation = (f'SELECT * REPLACE ({quoted}::VARCHAR AS {quoted}) '
                    f'FROM ({relation})')
    return connection.sql(relation).to_arrow_table()


READERS = {'pyarrow': by_pyarrow, 'duckdb': by_duckdb}


def column(table, name):
    array = table.column(name)
    chunks = array.chunks or [pa.array([], array.type)]
    return pa.concat_arrays(chunks) if len(chunks) > 1 else chunks[0]


def plain(array):
    """Without the names that extension types give to storage."""
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def values(array, kind):
    """The canonical values of an Arrow array."""
    array = plain(array)
    name = kind[0]
    if name == 'list':
        inner = values(array.values, kind[1])
        offsets = array.offsets.to_pylist()
        return [inner[offsets[i]:offsets[i + 1]] if valid else None
                for i, valid in enumerate(array.is_valid().to_pylist())]
    if name == 'group':
        fields = [(f, values(array.field(f), k)) for f, k in kind[1]]
        return [{f: v[i] for f, v in fields} if valid else None
                for i, valid in enumerate(array.is_valid().to_pylist())]
    if name == 'date':
        return array.view(pa.int32()).to_pylist()
    if name in ('time', 'timestamp', 'timetz') and \
            not pa.types.is_string(array.type):
        return array.view(pa.int64()).to_pylist()
    convert = CONVERT[name]
    return [None if v is None else convert(v) for v in array.to_pylist()]


def text(value):
    if isinstance(value, bytes):  # a UUID's storage
        return re.sub(r'(.{8})(.{4})(.{4})(.{4})(.{12})', r'\1-\2-\3-\4-\5',
                      value.hex())
    return str(value)


CONVERT = {
    'bool': bool, 'int': int, 'float4': source.float_text,
    'float8': source.float_text, 'decimal': lambda v: format(v, 'f'),
    'numeric': str, 'text': text, 'bytea': lambda v: bytes(v).hex(),
    'json': lambda v: source.json_canonical(json.loads(
        v, parse_float=source.Number, parse_int=source.Number)),
    'timetz': source.timetz_usecs,
}


def rows(table, described):
    """{id: {column: canonical value}}"""
    columns = {name: values(column(table, name), kind)
               for name, kind in described}
    ids = columns['id']
    result = {}
    for i, key in enumerate(ids):
        if key in result:
            raise AssertionError(f'id {key} is there twice')
        result[key] = {name: columns[name][i] for name, _ in described}
    return result


def differences(expected, found, limit=5):
    """Texts that say where they differ."""
    texts = []
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            texts.append(f'row {key} is missing')
        elif key not in expected:
            texts.append(f'row {key} is too many')
        else:
            texts += [f'row {key}, column {name}: expected {value!r}, '
                      f'found {found[key][name]!r}'
                      for name, value in expected[key].items()
                      if value != found[key][name]]
        if len(texts) >= limit:
            break
    return texts[:limit]
