"""check_iceberg.py READER TABLE VERSION=EXPECTED...: versions of an Iceberg table

VERSION counts snapshots from 0 on.  READER is "plain", which follows metadata and
manifests itself, with an Avro library alone, and holds all they say against each
other and against the files; "orders", which tells of the order of files; or it is the name of
a library.  EXPECTED has a JSON
array a row.  Says "ok", or what differs.  With LAKE_CATALOG="URI NAMESPACE TABLE" in
the environment a REST catalog says what the table is."""
import datetime
import decimal
import json
import os
import struct
import urllib.request

from lake_rows import Wrong, check, clickhouse_rows, order, rows_of


PLACES = {}
CATALOG = os.environ.get('LAKE_CATALOG', '').split()


def from_catalog():
    uri, namespace, name = CATALOG
    with urllib.request.urlopen(f'{uri}/v1/namespaces/{namespace}/tables/{name}') as answer:
        return json.load(answer)


def metadata_of(table):
    """The last one: the hint's, or where that ended early the next, as Hadoop's
    catalog looks for it."""
    if CATALOG:
        metadata = from_catalog()['metadata']
        PLACES[metadata['location']] = table
        return metadata
    with open(f'{table}/metadata/version-hint.text', encoding='ascii') as hint:
        number = int(hint.read())
    if os.path.exists(metadata_path(table, number + 1)):
        number += 1
    if os.path.exists(metadata_path(table, number + 1)):
        raise Wrong(f'version-hint.text is more than one behind {number + 1}')
    with open(metadata_path(table, number), encoding='utf-8') as file:
        metadata = json.load(file)
    PLACES[metadata['location']] = table
    return metadata


def metadata_path(table, number):
    return f'{table}/metadata/v{number}.metadata.json'


def snapshot_of(table, version):
    for snapshot in metadata_of(table)['snapshots']:
        if snapshot['sequence-number'] == version + 1:
            return snapshot
    raise Wrong(f'there is no snapshot {version}')


def path_of(uri):
    """Of a table that was saved from a store, where it is now."""
    for location, table in PLACES.items():
        if uri.startswith('s3://') and (uri + '/').startswith(location + '/'):
            return os.path.realpath(table) + uri[len(location):]
    if not uri.startswith('file:///'):
        raise Wrong(f'{uri} is no file')
    return uri[len('file://'):]


# ---- metadata and manifests, by themselves

def check_metadata(metadata, table):
    if metadata['format-version'] != 2 or path_of(metadata['location']) != os.path.realpath(table):
        raise Wrong('the metadata is not of version 2, or of another place')
    snapshots = metadata['snapshots']
    current = [s for s in snapshots if s['snapshot-id'] == metadata['current-snapshot-id']]
    if len(current) != 1 or metadata['refs']['main']['snapshot-id'] != current[0]['snapshot-id']:
        raise Wrong('the current snapshot is not there once, or not the branch')
    if metadata['last-sequence-number'] != max(s['sequence-number'] for s in snapshots):
        raise Wrong('the last sequence number is not that of a snapshot')
    if [s['sequence-number'] for s in snapshots] != sorted({s['sequence-number'] for s in snapshots}):
        raise Wrong('sequence numbers are not in order')
    logged = [e['snapshot-id'] for e in metadata['snapshot-log']]
    # a catalog's begins anew after a snapshot that is gone
    if logged != [s['snapshot-id'] for s in snapshots][-len(logged) if CATALOG and logged else 0:]:
        raise Wrong('the log does not have the snapshots')
    ids = [schema['schema-id'] for schema in metadata['schemas']]
    if len(set(ids)) != len(ids) or metadata['current-schema-id'] not in ids:
        raise Wrong('schemas have no ids of their own')
    for schema in metadata['schemas']:
        found = field_ids(schema)
        if len(set(found)) != len(found) or max(found) > metadata['last-column-id']:
            raise Wrong(f'field ids {found} are not unique, or beyond the last')
    orders = [order['order-id'] for order in metadata['sort-orders']]
    if len(set(orders)) != len(orders) or metadata['default-sort-order-id'] not in orders:
        raise Wrong(f'sort orders {orders} are not unique, or without the default one')
    schema, = [s for s in metadata['schemas'] if s['schema-id'] == metadata['current-schema-id']]
    for field in order_fields(metadata, metadata['default-sort-order-id']):
        if field['source-id'] not in field_ids(schema):
            raise Wrong(f'the default sort order has {field}, which is no column')


def order_fields(metadata, number):
    fields, = [order['fields'] for order in metadata['sort-orders'] if order['order-id'] == number]
    if (number == 0) != (not fields):
        raise Wrong(f'sort order {number} has the fields {fields}')
    return fields


def field_ids(kind):
    if isinstance(kind, str):
        return []
    if kind['type'] == 'list':
        return [kind['element-id']] + field_ids(kind['element'])
    return [i for f in kind['fields'] for i in [f['id']] + field_ids(f['type'])]


def read_avro(path):
    import fastavro
    with open(path, 'rb') as file:
        reader = fastavro.reader(file)
        return reader.metadata, list(reader)


def entries_of(table, snapshot):
    """Of all manifests, with what they inherit."""
    meta, manifests = read_avro(path_of(snapshot['manifest-list']))
    if (meta['snapshot-id'], meta['sequence-number'], meta['format-version']) != (
            str(snapshot['snapshot-id']), str(snapshot['sequence-number']), '2'):
        raise Wrong(f'the list of snapshot {snapshot["snapshot-id"]} is not its own')
    found = []
    for manifest in manifests:
        path = path_of(manifest['manifest_path'])
        if os.path.getsize(path) != manifest['manifest_length']:
            raise Wrong(f'{path} has not {manifest["manifest_length"]} bytes')
        meta, entries = read_avro(path)
        if (meta['format-version'], meta['content'], meta['partition-spec']) != ('2', 'data', '[]'):
            raise Wrong(f'{path} says {meta}')
        json.loads(meta['schema'])
        for status, name in enumerate(('existing', 'added', 'deleted')):
            of = [e for e in entries if e['status'] == status]
            if (manifest[f'{name}_files_count'], manifest[f'{name}_rows_count']) != (
                    len(of), sum(e['data_file']['record_count'] for e in of)):
                raise Wrong(f'{path} has other {name} files than the list says')
        for entry in entries:
            inherits = entry['status'] == 1
            if (entry['sequence_number'] is None) != inherits:
                raise Wrong(f'{path}: {entry["status"]} with sequence number {entry["sequence_number"]}')
            entry['manifest'] = manifest
            if inherits:
                entry['sequence_number'] = entry['file_sequence_number'] = manifest['sequence_number']
        if min(e['sequence_number'] for e in entries) != manifest['min_sequence_number']:
            raise Wrong(f'{path} has another least sequence number')
        found += entries
    return found


def live(entries):
    return {e['data_file']['file_path']: e for e in entries if e['status'] != 2}


def check_history(table, metadata, version):
    """What the snapshot says of its parent's files; its own."""
    snapshot = snapshot_of(table, version)
    entries = entries_of(table, snapshot)
    now = live(entries)
    if len(now) != sum(e['status'] != 2 for e in entries):
        raise Wrong(f'snapshot {version} has a file twice')
    parents = [s for s in metadata['snapshots'] if s['snapshot-id'] == snapshot.get('parent-snapshot-id')]
    if snapshot['sequence-number'] > 1 and 'parent-snapshot-id' not in snapshot:
        raise Wrong(f'snapshot {version} has no parent')
    mine = [e for e in entries if e['manifest']['added_snapshot_id'] == snapshot['snapshot-id']]
    added = {e['data_file']['file_path']: e for e in mine if e['status'] == 1}
    deleted = {e['data_file']['file_path']: e for e in mine if e['status'] == 2}
    for entry in list(added.values()) + list(deleted.values()):
        if entry['snapshot_id'] != snapshot['snapshot-id']:
            raise Wrong(f'snapshot {version} adds or removes for {entry["snapshot_id"]}')
    summary = snapshot['summary']
    # what it has instead of them was another's, or in another place
    is_anew = 'deleted-data-files' not in summary
    if is_anew and (deleted or set(now) != set(added)):
        raise Wrong(f'snapshot {version} is not all that it adds')
    for name, files in (('added', added), ('deleted', deleted))[:1 if is_anew else 2]:
        if (summary[f'{name}-data-files'], summary[f'{name}-records']) != (
                str(len(files)), str(sum(e['data_file']['record_count'] for e in files.values()))):
            raise Wrong(f'the summary of {version} says of {name} files {summary}')
    if (summary['total-data-files'], summary['total-records'], summary['total-files-size']) != (
            str(len(now)), str(sum(e['data_file']['record_count'] for e in now.values())),
            str(sum(e['data_file']['file_size_in_bytes'] for e in now.values()))):
        raise Wrong(f'the totals of {version} are {summary}')
    if summary['operation'] != ('overwrite' if is_anew else 'append' if not deleted else 'overwrite' if added else 'delete'):
        raise Wrong(f'{version} is called {summary["operation"]}')
    if is_anew or not parents and snapshot['sequence-number'] > 1:
        return now
    before = live(entries_of(table, parents[0])) if parents else {}
    if set(now) != set(before) - set(deleted) | set(added) or not set(deleted) <= set(before):
        raise Wrong(f'snapshot {version} is not its parent with what it adds and removes')
    for path, entry in {**now, **deleted}.items():
        if path in before and path not in added and (entry['sequence_number'], entry['file_sequence_number']) != (
                before[path]['sequence_number'], before[path]['file_sequence_number']):
            raise Wrong(f'{path} gets another sequence number')
        if path in before and path in now and path not in added and entry['snapshot_id'] != before[path]['snapshot_id']:
            raise Wrong(f'{path} gets another snapshot')
    return now


# ---- files

ARROW = {'boolean': 'bool', 'int': 'int32', 'long': 'int64', 'float': 'float', 'double': 'double',
         'string': 'string', 'binary': 'binary', 'date': 'date32[day]', 'time': 'time64[us]',
         'timestamptz': 'timestamp[us, tz=UTC]', 'timestamp': 'timestamp[us]', 'uuid': 'extension<arrow.uuid>'}


def check_field(path, name, number, kind, column):
    if (column.metadata or {}).get(b'PARQUET:field_id') != str(number).encode() or name not in (None, column.name):
        raise Wrong(f'{path}: {name} of id {number} is {column}, {column.metadata}')
    if isinstance(kind, str):
        kind = kind.replace(' ', '')
        wanted = kind.replace('decimal(', 'decimal128(').replace(',', ', ') if kind.startswith('decimal') else ARROW[kind]
        if wanted != str(column.type):
            raise Wrong(f'{path}: {name} is {column.type}, not {kind}')
    elif kind['type'] == 'list':
        check_field(path, None, kind['element-id'], kind['element'], column.type.field(0))
    else:
        check_fields(path, kind, [column.type.field(i) for i in range(column.type.num_fields)])


def check_fields(path, kind, columns):
    if len(kind['fields']) != len(columns):
        raise Wrong(f'{path} has {len(columns)} fields')
    for field, column in zip(kind['fields'], columns):
        check_field(path, field['name'], field['id'], field['type'], column)


EPOCH = datetime.datetime(1970, 1, 1)


def value_of(kind, data):
    """A bound by itself: appendix D."""
    if kind in ('int', 'date', 'long', 'time', 'timestamp', 'timestamptz'):
        number = int.from_bytes(data, 'little', signed=True)
        if len(data) != (4 if kind in ('int', 'date') else 8):
            raise Wrong(f'a bound of {kind} has {len(data)} bytes')
        if kind == 'date':
            return datetime.date(1970, 1, 1) + datetime.timedelta(days=number)
        if kind == 'time':
            return (EPOCH + datetime.timedelta(microseconds=number)).time()
        if kind in ('timestamp', 'timestamptz'):
            return EPOCH + datetime.timedelta(microseconds=number)
        return number
    if kind == 'boolean':
        return {b'\0': False, b'\1': True}[data]
    if kind in ('float', 'double'):
        return struct.unpack('<f' if kind == 'float' else '<d', data)[0]
    if kind.startswith('decimal'):
        number = int.from_bytes(data, 'big', signed=True)
        if len(data) > 1 and int.from_bytes(data[1:], 'big', signed=True) == number:
            raise Wrong(f'a bound of {kind} has more bytes than it needs')
        return decimal.Decimal(number).scaleb(-int(kind[:-1].split(',')[1]), decimal.Context(prec=60))
    if kind == 'string':
        return data.decode('utf-8').encode()
    raise Wrong(f'there is a bound of {kind}')


def comparable(value):
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return order(value)


def check_values(path, kind, facts, columns, rows):
    for field in kind['fields']:
        number, of, values = field['id'], field['type'], columns[field['name']]
        if not isinstance(of, str):
            if of['type'] == 'struct':
                inner = {f['name']: [v and v[f['name']] for v in values] for f in of['fields']}
                check_values(path, of, facts, inner, rows)
            continue
        if number in facts['value_counts'] and facts['value_counts'][number] != rows:
            raise Wrong(f'{path}: {field["name"]} has not {rows} values')
        nulls = facts['null_value_counts'].get(number)
        if nulls is not None and nulls != sum(v is None for v in values):
            raise Wrong(f'{path}: {field["name"]} has not {nulls} nulls')
        for fact, sign in (('lower_bounds', 1), ('upper_bounds', -1)):
            if number not in facts[fact]:
                continue
            limit = value_of(of, facts[fact][number])
            for value in values:
                if value is not None and (value != value or (
                        comparable(value) < limit if sign > 0 else comparable(value) > limit)):
                    raise Wrong(f'{path}: {field["name"]} {value!r} is beyond {fact} {limit!r}')


CHECKED = {}


def rows_of_file(entry, schema):
    import pyarrow.parquet as pq
    file = entry['data_file']
    path = path_of(file['file_path'])
    if path in CHECKED:
        return CHECKED[path]
    if (file['content'], file['file_format'], file['partition']) != (0, 'PARQUET', {}):
        raise Wrong(f'{path} is said to be {file}')
    if os.path.getsize(path) != file['file_size_in_bytes']:
        raise Wrong(f'{path} has not {file["file_size_in_bytes"]} bytes')
    table = pq.read_table(path)
    if table.num_rows != file['record_count']:
        raise Wrong(f'{path} has {table.num_rows} rows, not {file["record_count"]}')
    check_fields(path, schema, list(table.schema))
    facts = {name: {item['key']: item['value'] for item in file[name] or []}
             for name in ('value_counts', 'null_value_counts', 'lower_bounds', 'upper_bounds')}
    check_values(path, schema, facts, {n: table.column(n).to_pylist() for n in table.column_names}, table.num_rows)
    CHECKED[path] = rows_of(table)
    return CHECKED[path]


def is_in_order(path, fields):
    """Whether its rows are, as the file itself has them."""
    import pyarrow.parquet as pq
    rows = pq.read_table(path)
    columns = {(field.metadata or {})[b'PARQUET:field_id']: rows.column(i).to_pylist() for i, field in enumerate(rows.schema)}
    keys = list(zip(*(columns[str(field['source-id']).encode()] for field in fields)))
    if any(value is None for key in keys for value in key):
        return False
    keys = [[order(value) for value in key] for key in keys]
    return all(one <= two for one, two in zip(keys, keys[1:]))


def check_order(entry, metadata):
    number = entry['data_file'].get('sort_order_id')
    path = path_of(entry['data_file']['file_path'])
    if number == 0:
        raise Wrong(f'{path} is told to be unsorted')
    if number is None:
        return
    fields = order_fields(metadata, number)
    for field in fields:
        if (field['transform'], field['direction'], field['null-order']) != ('identity', 'asc', 'nulls-first'):
            raise Wrong(f'{path} is in the order {fields}')
    if not is_in_order(path, fields):
        raise Wrong(f'{path} is not in the order {fields}')


def read_orders(table, version):
    """Of each file: its name, the order that it is told to be in, whether its rows are in
    the table's default one, whether the version has added it; once all else is so."""
    read_plain(table, version)
    metadata = metadata_of(table)
    fields = order_fields(metadata, metadata['default-sort-order-id'])
    snapshot = snapshot_of(table, version)
    found = []
    for path, entry in sorted(live(entries_of(table, snapshot)).items()):
        found.append([os.path.basename(path), entry['data_file'].get('sort_order_id') or 0,
                      bool(fields) and is_in_order(path_of(path), fields), entry['snapshot_id'] == snapshot['snapshot-id']])
    return found


def read_plain(table, version):
    metadata = metadata_of(table)
    check_metadata(metadata, table)
    now = check_history(table, metadata, version)
    number = snapshot_of(table, version)['schema-id']
    schema, = [s for s in metadata['schemas'] if s['schema-id'] == number]
    CHECKED.clear()
    for entry in now.values():
        check_order(entry, metadata)
    return [row for entry in now.values() for row in rows_of_file(entry, schema)]


# ---- libraries

def last_path(table):
    if CATALOG:
        return from_catalog()['metadata-location'].removeprefix('file://')
    with open(f'{table}/metadata/version-hint.text', encoding='ascii') as hint:
        return metadata_path(table, int(hint.read()))


def read_pyiceberg(table, version):
    from pyiceberg.catalog import load_catalog
    from pyiceberg.table import StaticTable
    if CATALOG:
        found = load_catalog('lake', type='rest', uri=CATALOG[0]).load_table((CATALOG[1], CATALOG[2]))
    else:
        found = StaticTable.from_metadata(table)
    return rows_of(found.scan(
        snapshot_id=snapshot_of(table, version)['snapshot-id']).to_arrow())


def read_polars(table, version):
    import polars
    import uuid
    snapshot = snapshot_of(table, version)
    frame = polars.scan_iceberg(last_path(table), reader_override='native', snapshot_id=snapshot['snapshot-id']).collect()
    # it has no such type, and shows the bytes
    schema, = [s for s in metadata_of(table)['schemas'] if s['schema-id'] == snapshot['schema-id']]
    uuids = [i for i, field in enumerate(schema['fields']) if field['type'] == 'uuid']
    return [[str(uuid.UUID(value[2:])) if i in uuids and value else value for i, value in enumerate(row)]
            for row in rows_of(frame.to_arrow())]


DUCKDB = []


def read_duckdb(table, version):
    import duckdb
    import duckdb_extension_avro
    import duckdb_extension_iceberg
    if not DUCKDB:
        DUCKDB.append(duckdb.connect(config={'allow_unsigned_extensions': True}))
        for module in (duckdb_extension_avro, duckdb_extension_iceberg):
            folder = os.path.dirname(module.__file__) + '/extensions/v' + duckdb.__version__
            DUCKDB[0].execute(f"LOAD '{folder}/{module.__name__.split('_')[-1]}.duckdb_extension'")
        DUCKDB[0].execute("SET TimeZone = 'UTC'")
    return rows_of(DUCKDB[0].sql(
        f"FROM iceberg_scan('{last_path(table) if CATALOG else table}', snapshot_from_id => {snapshot_of(table, version)['snapshot-id']})").to_arrow_table())


def read_clickhouse(table, version):
    snapshot = snapshot_of(table, version)
    schema, = [s for s in metadata_of(table)['schemas'] if s['schema-id'] == snapshot['schema-id']]
    return clickhouse_rows(f"icebergLocal('{table}')", f"iceberg_snapshot_id = {snapshot['snapshot-id']}",
                           [field['name'] for field in schema['fields'] if field['type'] == 'binary'])


def read_spark(table, version):
    from lake_spark import name_of, session
    return rows_of(session(table, CATALOG).sql(
        f"SELECT * FROM {name_of(table, CATALOG)} VERSION AS OF {snapshot_of(table, version)['snapshot-id']}").toArrow())


check(globals())
