"""check_delta.py READER TABLE VERSION=EXPECTED...: versions of a Delta table

READER is "plain", which follows the log itself and holds every statistic
against the values, or the name of a library.  EXPECTED has a JSON array a row.
Says "ok", or what differs."""
import datetime
import decimal
import json
import os
from urllib.parse import unquote

from lake_rows import Wrong, check, clickhouse_rows, order, rows_of


# ---- the log, by itself

def version_lines(table, version):
    with open(f'{table}/_delta_log/{version:020d}.json', encoding='ascii') as log:
        return [json.loads(line) for line in log]


def replay(table, last):
    files, state = {}, {}
    for version in range(last + 1):
        for action in version_lines(table, version):
            (kind, what), = action.items()
            if kind == 'add':
                files[what['path']] = what
            elif kind == 'remove':
                if what['path'] not in files:
                    raise Wrong(f'version {version} removes {what["path"]}, which is not there')
                del files[what['path']]
            else:
                state[kind] = what
    return files, state


ARROW = {'boolean': 'bool', 'short': 'int16', 'integer': 'int32', 'long': 'int64',
         'float': 'float', 'double': 'double', 'string': 'string', 'binary': 'binary',
         'date': 'date32[day]', 'timestamp': 'timestamp[us, tz=UTC]',
         'timestamp_ntz': 'timestamp[us]'}


def arrow_type(kind):
    if isinstance(kind, dict) and kind['type'] == 'array':
        return f'list<element: {arrow_type(kind["elementType"])}>'
    if isinstance(kind, dict):
        return 'struct<' + ', '.join(f'{f["name"]}: {arrow_type(f["type"])}' for f in kind['fields']) + '>'
    if kind.startswith('decimal'):
        precision, scale = kind[8:-1].split(',')
        return f'decimal128({precision}, {scale})'
    return ARROW[kind]


def check_schema(path, schema, file):
    if len(schema['fields']) != len(file):
        raise Wrong(f'{path} has {len(file)} columns')
    for field, column in zip(schema['fields'], file):
        if (field['name'], arrow_type(field['type'])) != (column.name, str(column.type)):
            raise Wrong(f'{path}: {field} is {column}')


def bound(field, text):
    """A bound as the values are."""
    if field.startswith('decimal'):
        return decimal.Decimal(str(text))
    if field == 'date':
        return datetime.date.fromisoformat(text)
    if field in ('timestamp', 'timestamp_ntz'):
        return datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))
    return text


def check_facts(path, fields, stats, columns, rows):
    """columns: name -> values"""
    for field in fields:
        name, kind = field['name'], field['type']
        values = columns[name]
        if isinstance(kind, dict) and kind['type'] == 'struct':
            inner = {f['name']: [v and v[f['name']] for v in values] for f in kind['fields']}
            check_facts(path, kind['fields'], {fact: of.get(name, {}) for fact, of in stats.items() if fact != 'numRecords'}, inner, rows)
            continue
        nulls = stats['nullCount'].get(name)
        if nulls is not None and nulls != sum(v is None for v in values):
            raise Wrong(f'{path}: {name} has not {nulls} nulls')
        for fact, sign in (('minValues', 1), ('maxValues', -1)):
            if name not in stats[fact]:
                continue
            limit = order(bound(kind, stats[fact][name]))
            for value in values:
                if value is None:
                    continue
                if value != value or (order(value) < limit if sign > 0 else order(value) > limit):
                    raise Wrong(f'{path}: {name} {value!r} is beyond {fact} {limit!r}')


def read_plain(table, version):
    import pyarrow as pa
    import pyarrow.parquet as pq
    files, state = replay(table, version)
    schema = json.loads(state['metaData']['schemaString'])
    rows = []
    for path, add in files.items():
        name = f'{table}/{unquote(path)}'
        if os.path.getsize(name) != add['size']:
            raise Wrong(f'{path} has not {add["size"]} bytes')
        file = pq.read_table(name)
        check_schema(path, schema, file.schema)
        stats = json.loads(add['stats'], parse_float=decimal.Decimal)
        if stats['numRecords'] != file.num_rows:
            raise Wrong(f'{path} has {file.num_rows} rows, not {stats["numRecords"]}')
        columns = {n: file.column(n).to_pylist() for n in file.column_names}
        check_facts(path, schema['fields'], stats, columns, file.num_rows)
        rows += rows_of(file)
    return rows


# ---- libraries

def read_deltalake(table, version):
    import pyarrow
    from deltalake import DeltaTable
    return rows_of(DeltaTable(table, version=version).to_pyarrow_table())


def read_polars(table, version):
    import polars
    return rows_of(polars.read_delta(table, version=version).to_arrow())


def read_duckdb(table, version):
    import duckdb
    import duckdb_extension_delta
    db = duckdb.connect(config={'extension_directory':
                                os.path.dirname(duckdb_extension_delta.__file__) + '/extensions',
                                'allow_unsigned_extensions': True})
    folder = os.path.dirname(duckdb_extension_delta.__file__) + '/extensions/v' + duckdb.__version__
    db.execute(f"SET TimeZone = 'UTC'; LOAD '{folder}/delta.duckdb_extension'")
    return rows_of(db.sql(f"FROM delta_scan('{table}', version => {version})").to_arrow_table())


def read_clickhouse(table, version):
    schema = json.loads(replay(table, version)[1]['metaData']['schemaString'])
    return clickhouse_rows(f"deltaLakeLocal('{table}')", f'delta_lake_snapshot_version = {version}',
                           [field['name'] for field in schema['fields'] if field['type'] == 'binary'])


SPARK = []


def read_spark(table, version):
    from pyspark.sql import SparkSession
    if not SPARK:
        jars = os.environ['OUTFLOW_SPARK_JARS']
        SPARK.append(SparkSession.builder.master('local[2]')
                     .config('spark.jars', ','.join(f'{jars}/{jar}' for jar in os.listdir(jars) if 'scala-library' not in jar and 'iceberg' not in jar))
                     .config('spark.sql.extensions', 'io.delta.sql.DeltaSparkSessionExtension')
                     .config('spark.sql.catalog.spark_catalog', 'org.apache.spark.sql.delta.catalog.DeltaCatalog')
                     .config('spark.sql.session.timeZone', 'UTC').config('spark.ui.enabled', 'false')
                     .config('spark.driver.host', '127.0.0.1').config('spark.driver.bindAddress', '127.0.0.1')
                     .getOrCreate())
        SPARK[0].sparkContext.setLogLevel('ERROR')
    return rows_of(SPARK[0].read.format('delta').option('versionAsOf', version).load(table).toArrow())


check(globals())
