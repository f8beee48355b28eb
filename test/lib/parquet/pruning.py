"""pruning.py: whether statistics and page indexes are true for readers.

Each reader is asked the same of the files, where it passes over row groups and
pages, and of the rows in its memory, where it can't.  Any answer that differs is
printed as a verdict, and one verdict says how many questions were the same.
"""
import glob
import json
import math
import random

import datafusion
import duckdb
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

OPERATORS = ('=', '<>', '<', '<=', '>', '>=')


class DuckDB:
    name = 'duckdb'

    def __init__(self, files, table):
        self.db = duckdb.connect()
        self.db.execute("SET TimeZone = 'UTC'")
        self.db.execute(f'CREATE VIEW file AS SELECT * FROM read_parquet({files})')
        self.db.execute('CREATE TABLE memory AS SELECT * FROM file')
        self.db.execute("SET disabled_optimizers = ''")

    def ask(self, pruned, column, operator, value):
        source = 'file' if pruned else 'memory'
        if operator in ('min', 'max', 'count'):
            return self.db.execute(
                f'SELECT {operator}({column})::VARCHAR FROM {source}').fetchall()
        if operator == 'null':
            where, values = f'{column} IS NULL', []
        elif operator == 'not null':
            where, values = f'{column} IS NOT NULL', []
        else:
            where, values = f'{column} {operator} ?', [value]
        return self.db.execute(
            f'SELECT count(*), sum(id) FROM {source} WHERE {where}', values).fetchall()


class PyArrow:
    name = 'pyarrow'

    def __init__(self, files, table):
        self.file = ds.dataset(files, format='parquet')
        self.memory = table

    def ask(self, pruned, column, operator, value):
        if operator in ('min', 'max', 'count'):
            return None
        field = pc.field(*column.split('.')) if '.' in column else pc.field(column)
        condition = condition_of(field, operator, value, lambda v: pa.scalar(v))
        if operator == 'null':
            condition = field.is_null()
        elif operator == 'not null':
            condition = field.is_valid()
        found = self.file.to_table(columns=['id'], filter=condition) if pruned else \
            self.memory.filter(condition)
        return (found.num_rows, sum(found.column('id').to_pylist()))


def condition_of(field, operator, value, literal):
    """An expression of a library that overloads Python's operators."""
    if operator not in OPERATORS:
        return None
    value = literal(value)
    return {'=': lambda: field == value, '<>': lambda: field != value,
            '<': lambda: field < value, '<=': lambda: field <= value,
            '>': lambda: field > value, '>=': lambda: field >= value}[operator]()


class Polars:
    name = 'polars'

    def __init__(self, files, table):
        self.file = polars.scan_parquet(files, use_statistics=True)
        self.memory = polars.read_parquet(files, use_statistics=False)

    def ask(self, pruned, column, operator, value):
        first, *rest = column.split('.')
        field = polars.col(first)
        for name in rest:
            field = field.struct.field(name)
        source = self.file if pruned else self.memory.lazy()
        if operator in ('min', 'max', 'count'):
            return str(source.select(getattr(field, operator)()).collect().item())
        condition = condition_of(field, operator, value, polars.lit)
        if operator == 'null':
            condition = field.is_null()
        elif operator == 'not null':
            condition = field.is_not_null()
        found = source.filter(condition).select('id').collect()
        return (found.height, found['id'].sum())


class DataFusion:
    name = 'datafusion'

    def __init__(self, files, table):
        prefix = 'datafusion.execution.parquet.'

        def context(on):
            config = datafusion.SessionConfig({
                prefix + 'pruning': on, prefix + 'enable_page_index': on,
                prefix + 'pushdown_filters': on, prefix + 'bloom_filter_on_read': on,
                'datafusion.execution.collect_statistics': on,
                'datafusion.execution.target_partitions': '1'})
            return datafusion.SessionContext(config)

        self.pruning = context('true')
        self.pruning.register_parquet('t', files[0].rsplit('/', 1)[0],
                                      file_extension='.parquet')
        self.plain = context('false')
        self.plain.register_record_batches('t', [table.to_batches()])

    def ask(self, pruned, column, operator, value):
        frame = (self.pruning if pruned else self.plain).table('t')
        first, *rest = column.split('.')
        field = datafusion.col(first)
        for name in rest:
            field = field[name]
        functions = datafusion.functions
        if operator in ('min', 'max', 'count'):
            found = frame.aggregate([], [getattr(functions, operator)(field).alias('x')])
            return str(found.to_pydict()['x'])
        condition = condition_of(field, operator, value, datafusion.lit)
        if operator == 'null':
            condition = field.is_null()
        elif operator == 'not null':
            condition = ~field.is_null()
        found = frame.filter(condition).select(datafusion.col('id')).to_pydict()['id']
        return (len(found), sum(found))


READERS = (DuckDB, PyArrow, Polars, DataFusion)


def leaves(schema):
    """Columns and fields of columns that can be compared."""
    for field in schema:
        if field.name == 'id':
            continue
        if pa.types.is_struct(field.type):
            yield from (f'{field.name}.{inner.name}' for inner in field.type)
        else:
            yield field.name


def values_of(table, column):
    """What a column has, without nulls, as Python's objects."""
    first, *rest = column.split('.')
    array = table.column(first).combine_chunks()
    for name in rest:
        array = array.field(name)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    distinct = {}
    for scalar in array:
        try:
            value = scalar.as_py()
        except (ValueError, OverflowError):  # years that Python doesn't know
            continue
        if value is not None:
            distinct[repr(value)] = value
    return list(distinct.values())


def neighbours(value):
    """The value, and what lies close to it."""
    yield value
    if isinstance(value, bool):
        return
    if isinstance(value, float):
        yield from (-value, math.nan, 0.0, -0.0, math.inf, -math.inf,
                    math.nextafter(value, math.inf))
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, str):
        yield from (value + 'a', value[:-1], value[:20], value + '\U0010ffff')
    elif isinstance(value, bytes):
        yield from (value + b'\0', value[:-1], value[:70])


def shown(value):
    return 'NaN' if isinstance(value, float) and math.isnan(value) else repr(value)[:200]


def pruning(directory, seed):
    files = sorted(glob.glob(f'{directory}/*.parquet'))
    chance = random.Random(int(seed))
    table = pa.concat_tables([pq.read_table(f) for f in files])
    for make in READERS:
        reader = make(files, table)
        same, differ, columns = 0, [], set()
        for column in leaves(table.schema):
            known = values_of(table, column)
            questions = [(operator, None)
                         for operator in ('null', 'not null', 'min', 'max', 'count')]
            near = [n for value in chance.sample(known, min(len(known), 8))
                    for n in neighbours(value)]
            questions += [(chance.choice(OPERATORS), value)
                          for value in chance.choices(near, k=24)]
            for operator, value in questions:
                answers = []
                for pruned in (False, True):
                    try:
                        answer = repr(reader.ask(pruned, column, operator, value))
                        # zeros are equal, and readers take either for the least
                        answers.append(answer.replace("-0.0'", "0.0'").replace('-0.0]', '0.0]'))
                    except BaseException as error:  # Rust's panics are no Exception
                        if isinstance(error, KeyboardInterrupt):
                            raise
                        answers.append(None if not pruned else f'{error}'[:300])
                # what a reader can't ask of memory it isn't asked of files
                if answers[0] is None or answers[0] == 'None':
                    continue
                if answers[0] == answers[1]:
                    same += 1
                    columns.add(column)
                else:
                    differ.append(f'{column} {operator} {shown(value)}: '
                                  f'{answers[1]}, but {answers[0]} without pruning')
        print(json.dumps({
            'ok': not differ and same > 100,
            'name': f'{reader.name}: the same answers with pruning and without, seed {seed}',
            'detail': '\n'.join(differ[:10] + [f'{same} were the same, of {len(columns)} '
                                               f'columns; {len(differ)} were not'])}))
