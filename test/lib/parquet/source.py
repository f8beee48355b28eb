"""source.py: a table as PostgreSQL itself tells it, by psql.

Rows come from row_to_json(), types from the catalog: neither has anything to
do with the code that writes Parquet.
"""
import decimal
import json
import re
import subprocess

SETTINGS = """SET DateStyle = 'ISO, YMD'; SET IntervalStyle = postgres;
SET TimeZone = 'UTC'; SET bytea_output = hex; SET extra_float_digits = 1;
SET lc_monetary = 'C'; SET client_min_messages = warning;
"""


class Number(str):
    """A JSON number as it was written."""


def psql(script, settings=SETTINGS):
    """Runs a script and returns what it printed; an error is an exception."""
    done = subprocess.run(
        ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', '-'],
        input=settings + script, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


TYPES = """SELECT json_object_agg(t.oid, json_build_object(
    'name', t.typname, 'type', t.typtype, 'elem', CASE
        WHEN t.typsubscript = 'array_subscript_handler'::regproc
            AND t.typlen = -1 THEN t.typelem::bigint ELSE 0 END,
    'base', t.typbasetype::bigint, 'typmod', t.typtypmod,
    'fields', (SELECT json_agg(json_build_array(a.attname,
            a.atttypid::bigint, a.atttypmod, a.attndims) ORDER BY a.attnum)
        FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid
            AND a.attnum > 0 AND NOT a.attisdropped)))
FROM pg_type t WHERE t.typtype <> 'c' OR EXISTS (SELECT FROM pg_class c
    WHERE c.oid = t.typrelid AND (c.relkind = 'c' OR c.oid >= 16384));
"""

KINDS = {
    'bool': 'bool', 'int2': 'int', 'int4': 'int', 'int8': 'int', 'oid': 'int',
    'xid': 'int', 'cid': 'int', 'float4': 'float4', 'float8': 'float8',
    'bytea': 'bytea', 'uuid': 'text', 'date': 'date', 'time': 'time',
    'timetz': 'timetz', 'timestamp': 'timestamp', 'timestamptz': 'timestamp',
    'json': 'json', 'jsonb': 'json', 'hstore': 'json',
}


def describe(types, oid, typmod, ndims=0):
    """What a type is made of: (kind, details...)."""
    row = types[str(oid)]
    if row['type'] == 'd':
        if row['typmod'] != -1:
            typmod = row['typmod']
        return describe(types, row['base'], typmod, ndims)
    if row['elem']:
        element = describe(types, row['elem'], typmod)
        for _ in range(max(ndims, 1)):
            element = ('list', element)
        return element
    if row['type'] == 'c':
        if not row['fields']:
            return ('text',)
        return ('group', [(name, describe(types, oid, typmod, ndims))
                          for name, oid, typmod, ndims in row['fields']])
    if row['name'] == 'numeric':
        return describe_numeric(typmod)
    if row['name'] == 'vector' and row['type'] == 'b':
        return ('list', ('float4',))
    return (KINDS.get(row['name'], 'text'),)


def describe_numeric(typmod):
    if typmod == -1:
        return ('numeric',)
    precision = (typmod - 4) >> 16
    scale = (typmod - 4) & 0x7FF
    if scale >= 1024:
        scale -= 2048
    if scale < 0:
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    return ('decimal', scale) if precision <= 38 else ('numeric',)


def load(table, lossy_text=()):
    """(columns as [(name, description)], {id: {column: canonical value}})

    Columns of lossy_text were exported as text, those with ":precision:scale"
    after their names as decimals.
    """
    types = json.loads(psql(TYPES))
    columns = json.loads(psql(f"""SELECT json_agg(json_build_array(attname,
        atttypid::bigint, atttypmod, attndims) ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = '{table}'::regclass
            AND attnum > 0 AND NOT attisdropped;"""))
    decimals = {name: (int(p), int(s)) for name, p, s in
                (c.split(':') for c in lossy_text if ':' in c)}

    def form(name, oid, typmod, ndims):
        if name in lossy_text:
            return ('text',)
        if name in decimals:
            precision, scale = decimals[name]
            typmod = (precision << 16 | scale) + 4
        return describe(types, oid, typmod, ndims)

    described = [(column[0], form(*column)) for column in columns]
    chosen = ', '.join(quote(name) + ('::text' if name in lossy_text else '')
                       for name, _ in described)
    rows = {}
    # COPY, since psql's own layout drops characters of no width
    text = psql(f"""COPY (SELECT row_to_json(a_row)
        FROM (SELECT {chosen} FROM {table}) a_row) TO STDOUT;""")
    for line in text.removesuffix('\n').split('\n') if text else []:
        row = json.loads(line.replace('\\\\', '\\'), parse_float=Number,
                         parse_int=Number)
        rows[int(row['id'])] = {name: canonical(kind, row[name])
                                for name, kind in described}
    return described, rows


def quote(name):
    return '"' + name.replace('"', '""') + '"'


# ---- canonical values: what both sides are turned into

def canonical(kind, value):
    """From what row_to_json() wrote."""
    if value is None:
        return None
    name = kind[0]
    if name == 'list':
        if isinstance(value, str):  # vector's own text
            value = json.loads(value, parse_float=Number, parse_int=Number)
        return [canonical(kind[1], v) for v in value]
    if name == 'group':
        return {field: canonical(k, value[field]) for field, k in kind[1]}
    if name == 'decimal':
        return format(decimal.Decimal(value).quantize(
            decimal.Decimal(1).scaleb(-kind[1]),
            context=decimal.Context(prec=80)), 'f')
    if name == 'json':
        return json_canonical(value)
    return SIMPLE[name](value)


def float4(value):
    import struct
    return float_text(struct.unpack('f', struct.pack('f', float(value)))[0])


def float_text(value):
    return repr(float(value))


def json_canonical(value):
    """Objects as sorted pairs, numbers as they were written."""
    if isinstance(value, dict):
        return sorted((k, json_canonical(v)) for k, v in value.items())
    if isinstance(value, list):
        return [json_canonical(v) for v in value]
    return value


def days_from_civil(year, month, day):
    """Days since 1970-01-01 in the proleptic Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return (era * 146097 + year_of_era * 365 + year_of_era // 4
            - year_of_era // 100 + day_of_year - 719468)


def date_days(text):
    match = re.match(r'(\d+)-(\d+)-(\d+)', text)
    year, month, day = map(int, match.groups())
    if text.endswith(' BC'):
        year = 1 - year
    return days_from_civil(year, month, day)


def time_usecs(text):
    match = re.match(r'(\d+):(\d+):(\d+)(?:\.(\d+))?', text)
    hours, minutes, seconds = (int(match.group(i)) for i in (1, 2, 3))
    usecs = int((match.group(4) or '').ljust(6, '0'))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000000 + usecs


def timetz_usecs(text):
    match = re.match(r'([\d:.]+)([+-])(\d+)(?::(\d+))?(?::(\d+))?$', text)
    zone = int(match.group(3)) * 3600 + int(match.group(4) or 0) * 60 + \
        int(match.group(5) or 0)
    if match.group(2) == '-':
        zone = -zone
    return (time_usecs(match.group(1)) - zone * 1000000) % 86400000000


def timestamp_usecs(text):
    date, time = re.match(r'(\S+)T([\d:.]+)', text).groups()
    if text.endswith(' BC'):
        date += ' BC'
    return date_days(date) * 86400000000 + time_usecs(time)


SIMPLE = {
    'bool': bool, 'int': int, 'float4': float4,
    'float8': lambda v: float_text(float(v)), 'numeric': str, 'text': str,
    'bytea': lambda v: v[2:], 'date': date_days, 'time': time_usecs,
    'timetz': timetz_usecs, 'timestamp': timestamp_usecs,
}
