"""generate.py: random tables, the same for the same seed.

table(seed) returns a script that makes a table "random_SEED" with its types
and fills it, and the options to export it with.  All values are such that
Parquet holds them.
"""
import random
import string

WORDS = ['', ' ', 'a', 'é', '日本語', '🐘', 'NULL', '"quoted"', "it's", '\\',
         'tab\there', 'line\nfeed', '{brace}', '(a,b)', ',', 'x' * 70,
         'é' * 40, '\U0010ffff' * 20, '\x7f']


def integer(bits):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def make(rng):
        return str(rng.choice([0, 1, -1, low, high, rng.randint(low, high),
                               rng.randint(-100, 100)]))
    return make


def floating(rng):
    return rng.choice(['0', '-0', 'NaN', 'Infinity', '-Infinity', '1.5',
                       repr(rng.gauss(0, 1)), '1e-30', '-1e30',
                       str(rng.randint(-1000, 1000) / 4)])


def decimal(precision, scale):
    def make(rng):
        digits = rng.choice([1, precision, rng.randint(1, precision)])
        number = rng.choice(['0', '9' * digits, ''.join(
            rng.choice(string.digits) for _ in range(digits))])
        sign = rng.choice(['', '-'])
        return f'{sign}{number}e{-scale}'
    return make


def unlimited(rng):
    return rng.choice(['NaN', 'Infinity', '-Infinity', '0', '0.000',
                       '1' + '0' * rng.randint(0, 60), '1e-40', '-12.3400',
                       str(rng.random())])


def text(rng):
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(WORDS)
    if kind < 0.9:
        return ''.join(rng.choice('abcdef é"') for _ in
                       range(rng.randint(0, 20)))
    return rng.choice(WORDS) * rng.randint(1, 60)


def binary(rng):
    return '\\x' + rng.choice(
        ['', '00', 'ff' * 80, rng.randbytes(rng.randint(0, 90)).hex()])


def date(rng):
    return rng.choice(['1970-01-01', '1969-12-31', '2000-02-29',
                       '0044-03-15 BC', '4713-01-01 BC', '5874897-12-31',
                       '9999-12-31', '10000-01-01',
                       f'{rng.randint(1, 3000):04}-{rng.randint(1, 12):02}-'
                       f'{rng.randint(1, 28):02}'])


def time(rng):
    return (f'{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:'
            f'{rng.randint(0, 59):02}'
            + rng.choice(['', '.5', '.000001', '.999999']))


def timetz(rng):
    return time(rng) + rng.choice(['+00', '+05:30', '-11', '+15:59', '-15:59'])


def timestamp(rng):
    day = rng.choice(['1970-01-01', '1969-12-31', '2000-01-01', '294246-12-31',
                      f'{rng.randint(1, 3000):04}-{rng.randint(1, 12):02}-'
                      f'{rng.randint(1, 28):02}'])
    bc = ' BC' if rng.random() < 0.05 and len(day) == 10 else ''
    return f'{day} {time(rng)}{bc}'


def timestamptz(rng):
    return timestamp(rng).replace(' BC', '') + rng.choice(['+00', '-08', '+14'])


def uuid(rng):
    return rng.randbytes(16).hex()


def json_text(rng):
    return rng.choice(['null', '1', '1.50', '"x"', '[]', '{}', '[1, null]',
                       '{"a": {"b": [1.0, "é"]}, "c": null}',
                       '{"n": %d}' % rng.randint(0, 9)])


SCALARS = [
    ('bool', lambda rng: rng.choice('tf')),
    ('int2', integer(16)), ('int4', integer(32)), ('int8', integer(64)),
    ('oid', lambda rng: str(rng.choice([0, 1, 4294967295,
                                        rng.randint(0, 1 << 31)]))),
    ('float4', floating), ('float8', floating),
    ('numeric', unlimited), ('numeric(50,3)', decimal(50, 3)),
    ('text', text), ('varchar(9000)', text), ('bytea', binary),
    ('uuid', uuid), ('date', date), ('time', time), ('timetz', timetz),
    ('timestamp', timestamp), ('timestamptz', timestamptz),
    ('json', json_text), ('jsonb', json_text),
    ('interval', lambda rng: f'{rng.randint(-20, 20)} months '
     f'{rng.randint(-40, 40)} days {rng.randint(-90000, 90000)} seconds'),
    ('inet', lambda rng: f'10.0.{rng.randint(0, 255)}.1/24'),
    ('int4range', lambda rng: rng.choice(['empty', '[1,5)', '(,7)', '[,]'])),
    ('char(5)', lambda rng: rng.choice(['', 'a', 'abcde'])),
    ('name', lambda rng: rng.choice(['', 'a_name', 'Ünï'])),
    ('money', lambda rng: str(rng.randint(-10**9, 10**9) / 100)),
    ('bit(3)', lambda rng: rng.choice(['000', '101'])),
    ('"char"', lambda rng: rng.choice('xyz')),
]


class Builder:
    def __init__(self, rng, name):
        self.rng = rng
        self.name = name
        self.ddl = []

    def fresh(self, what):
        return f'{self.name}_{what}{len(self.ddl)}'

    def scalar(self):
        """(SQL name, function that makes a value's text)"""
        kind = self.rng.random()
        if kind < 0.15:
            precision = self.rng.randint(1, 38)
            scale = self.rng.randint(0, precision)
            return f'numeric({precision},{scale})', decimal(precision, scale)
        if kind < 0.22:
            labels = [f'label {i}' for i in range(self.rng.randint(1, 5))]
            name = self.fresh('enum')
            self.ddl.append(f'CREATE TYPE {name} AS ENUM ('
                            + ', '.join(f"'{v}'" for v in labels) + ');')
            return name, lambda rng: rng.choice(labels)
        if kind < 0.3:
            base, make = self.rng.choice(SCALARS)
            name = self.fresh('domain')
            self.ddl.append(f'CREATE DOMAIN {name} AS {base};')
            return name, make
        return self.rng.choice(SCALARS)

    def type(self, depth):
        kind = self.rng.random()
        if depth == 0 or kind < 0.7:
            return self.scalar()
        if kind < 0.87:
            return self.array(depth)
        return self.composite(depth)

    def array(self, depth):
        # an element that is an array itself would be another dimension
        name, make = self.type(depth - 1)
        while name.endswith(']'):
            name, make = self.type(depth - 1)
        ndims = self.rng.choice([1, 1, 1, 2, 3])

        def text_of(rng, dims):
            if not dims:
                return 'NULL' if rng.random() < 0.2 else \
                    array_item(make(rng))
            return '{' + ','.join(text_of(rng, dims[1:])
                                  for _ in range(dims[0])) + '}'

        def value(rng):
            if rng.random() < 0.2:
                return '{}'
            return text_of(rng, [rng.randint(1, 4) for _ in range(ndims)])
        return name + '[]' * ndims, value

    def composite(self, depth):
        fields = [self.type(depth - 1)
                  for _ in range(self.rng.randint(1, 4))]
        name = self.fresh('type')
        self.ddl.append(f'CREATE TYPE {name} AS (' + ', '.join(
            f'f{i} {sql}' for i, (sql, _) in enumerate(fields)) + ');')

        def value(rng):
            return '(' + ','.join(
                '' if rng.random() < 0.2 else composite_item(make(rng))
                for _, make in fields) + ')'
        return name, value


def array_item(value):
    return '"' + value.replace('\\', '\\\\').replace('"', '\\"') + '"'


def composite_item(value):
    return '"' + value.replace('\\', '\\\\').replace('"', '""') + '"'


def copy_item(value):
    if value is None:
        return '\\N'
    return (value.replace('\\', '\\\\').replace('\t', '\\t')
            .replace('\n', '\\n').replace('\r', '\\r'))


def nulls(rng):
    """Whether row i is null, by one of the patterns."""
    kind = rng.choice(['none', 'all', 'alternating', 'runs', 'random', 'rare'])
    length = rng.randint(2, 40)
    return {'none': lambda i: False, 'all': lambda i: True,
            'alternating': lambda i: i % 2 == 0,
            'runs': lambda i: i // length % 2 == 0,
            'random': lambda i: rng.random() < 0.4,
            'rare': lambda i: i % 97 == 5}[kind]


def values(rng, make):
    """A column's values, of few different ones or of many."""
    distinct = rng.choice([1, 3, 50, 10**9])
    if distinct == 10**9:
        return lambda: make(rng)
    pool = [make(rng) for _ in range(distinct)]
    return lambda: rng.choice(pool)


def table(seed):
    rng = random.Random(seed)
    name = f'random_{seed}'
    builder = Builder(rng, name)
    columns = [(f'c{i}', *builder.type(rng.choice([0, 1, 2, 3])))
               for i in range(rng.randint(1, 9))]
    required = [rng.random() < 0.2 for _ in columns]
    makers = [(values(rng, make), (lambda i: False) if needed else nulls(rng))
              for (_, _, make), needed in zip(columns, required)]
    count = rng.choice([0, 1, 2, 9, 100, 100, 400, 1500])
    lines = []
    for i in range(count):
        items = [None if is_null(i) else make() for make, is_null in makers]
        lines.append('\t'.join([str(i)] + [copy_item(v) for v in items]))
    definition = ', '.join(
        f'{c} {sql}{" NOT NULL" if needed else ""}'
        for (c, sql, _), needed in zip(columns, required))
    script = '\n'.join(
        builder.ddl + [f'CREATE TABLE {name} (id bigint, {definition});',
                       f'COPY {name} FROM STDIN;', *lines, '\\.', ''])
    options = {
        'compression': rng.choice(['zstd', 'zstd:7', 'snappy', 'gzip', 'lz4',
                                   'lz4:9', 'none']),
        'row_group_rows': rng.choice([1, 7, 50, 1000, 100000]),
        'memory': rng.choice(['1MB', '64MB']),
        'workers': rng.choice([0, 0, 0, 0, 1]),
    }
    if options['row_group_rows'] == 1 and count > 200:
        options['row_group_rows'] = 64
    return name, script, options
