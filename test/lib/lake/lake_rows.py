"""lake_rows.py: what the checks of lake tables share: rows, and their comparison."""
import datetime
import decimal
import json
import os
import sys
import uuid


def canonical(value):
    """What JSON of PostgreSQL's says of the same value."""
    if isinstance(value, decimal.Decimal):
        return format(value, 'f')
    if isinstance(value, datetime.datetime):
        if value.tzinfo:
            value = value.astimezone(datetime.timezone.utc)
        return value.strftime('%Y-%m-%dT%H:%M:%S.%f').rjust(26, '0')
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.time):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return '\\x' + bytes(value).hex()
    if isinstance(value, float):
        if value != value:
            return 'NaN'
        if value in (float('inf'), float('-inf')):
            return 'Infinity' if value > 0 else '-Infinity'
        return value
    if hasattr(value, 'asDict'):
        value = value.asDict()
    if isinstance(value, dict):
        return {name: canonical(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)) or type(value).__name__ in ('ndarray', 'Series'):
        return [canonical(part) for part in value]
    return value


def rows_of(table):
    """Of an Arrow table."""
    columns = [column.to_pylist() for column in table.columns]
    return [canonical(list(row)) for row in zip(*columns)] if columns else []


def decoded(value):
    if isinstance(value, bytes):
        return value.decode('utf-8')
    if isinstance(value, dict):
        value = {name: decoded(part) for name, part in value.items()}
        # there are no null structs, but structs of nulls
        return None if set(value.values()) == {None} else value
    return [decoded(part) for part in value] if isinstance(value, list) else value


def clickhouse_rows(source, settings, binary):
    """Of a table function; a string may be any bytes there, binary names those that are."""
    import chdb
    # it reads nothing that is not below
    os.chdir('/')
    table = chdb.query(f"SELECT * FROM {source} SETTINGS {settings}, session_timezone = 'UTC', "
                       'output_format_arrow_string_as_string = 0', 'ArrowTable')
    columns = [column.to_pylist() if name in binary else decoded(column.to_pylist())
               for name, column in zip(table.column_names, table.columns)]
    return Empty(canonical(list(row)) for row in zip(*columns))


class Empty(list):
    """Rows of a reader that has empty arrays for null ones."""


class Wrong(Exception):
    pass


def order(value):
    return value.encode() if isinstance(value, str) else value


def difference(rows, expected):
    """None, or what differs."""
    with open(expected, encoding='utf-8') as file:
        wanted = [json.loads(line) for line in file if line.strip()]
    if isinstance(rows, Empty):
        arrays = {i for row in rows for i, value in enumerate(row) if isinstance(value, list)}
        wanted = [[[] if value is None and i in arrays else value for i, value in enumerate(row)] for row in wanted]
    key = lambda row: json.dumps(row, sort_keys=True)
    rows.sort(key=key)
    wanted.sort(key=key)
    if rows == wanted:
        return None
    for left, right in zip(rows, wanted):
        if left != right:
            return f'{len(rows)} rows of {len(wanted)}, {key(left)} instead of {key(right)}'
    return f'{len(rows)} rows instead of {len(wanted)}'


def check(readers):
    """readers: by name, functions of a table and a version; argv has the rest.  A version
    without EXPECTED is shown."""
    reader, table, *versions = sys.argv[1:]
    for item in versions:
        version, is_expected, expected = item.partition('=')
        if not is_expected:
            for row in readers[f'read_{reader}'](table, int(version)):
                print(json.dumps(row))
            return
        try:
            wrong = difference(readers[f'read_{reader}'](table, int(version)), expected)
        except Wrong as found:
            wrong = str(found)
        if wrong:
            print(f'version {version}: {wrong}')
            return
    print('ok')

