#!/usr/bin/env python3
"""milvus_import.py DIRECTORY FILE...: a Milvus (PyPI's milvus, Go and C++) imports
Parquet files as they are; prints its rows, a JSON object a line.

The collection's fields stand on standard input, as collections/describe shows them.
The server listens on all addresses and ports of its own choice, so it lives in a network
of its own: this must be started by "unshare --map-root-user --net --mount-proc --pid --fork --kill-child".
In a /proc of other processes it doesn't find its own memory, and loads nothing.
With DIRECTORY = "-" nothing is started: the line that is printed says of what type Milvus's
own writer (pymilvus.bulk_writer) makes each column, and of what type the file has it.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings

warnings.filterwarnings('ignore')
import pymilvus
import pyarrow.parquet
from pymilvus import DataType, utility

NAMES = {'Bool': 'BOOL', 'Int8': 'INT8', 'Int16': 'INT16', 'Int32': 'INT32', 'Int64': 'INT64', 'Float': 'FLOAT',
         'Double': 'DOUBLE', 'VarChar': 'VARCHAR', 'JSON': 'JSON', 'Array': 'ARRAY', 'FloatVector': 'FLOAT_VECTOR'}
PORT = 19530


def build_schema(fields):
    schema = pymilvus.MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for field in fields:
        options = {pair['key']: int(pair['value']) for pair in field.get('params', [])}
        if 'elementType' in field:
            options['element_type'] = getattr(DataType, NAMES[field['elementType']])
        schema.add_field(field['name'], getattr(DataType, NAMES[field['type']]),
                         is_primary=field.get('primaryKey', False), **options)
    return schema


def shown_type(kind):
    """Names of a list's elements are up to the writer."""
    return f'list of {kind.value_type}' if 'list' in str(kind) else str(kind)


def compare_types(schema, path):
    from pymilvus.bulk_writer import BulkFileType, LocalBulkWriter
    samples = {DataType.BOOL: True, DataType.FLOAT: 1.0, DataType.DOUBLE: 1.0, DataType.VARCHAR: 'x', DataType.JSON: {'a': 1},
               DataType.ARRAY: []}
    row = {field.name: [1.0] * field.params['dim'] if field.dtype == DataType.FLOAT_VECTOR else samples.get(field.dtype, 1)
           for field in schema.fields}
    with tempfile.TemporaryDirectory() as directory:
        writer = LocalBulkWriter(schema=schema, local_path=directory, file_type=BulkFileType.PARQUET)
        writer.append_row(row)
        writer.commit()
        theirs = pyarrow.parquet.read_schema(writer.batch_files[0][0])
    ours = pyarrow.parquet.read_schema(path)
    print(json.dumps({name: [shown_type(theirs.field(name).type), shown_type(ours.field(name).type)]
                      for name in theirs.names}))


def wait_for(what, ready):
    error = None
    for _ in range(600):
        try:
            if ready():
                return
        except Exception as failure:
            error = failure
        time.sleep(0.2)
    sys.exit(f'not seen: {what}, {error}')


def import_file(path):
    task = utility.do_bulk_insert('imported', files=[path])
    state = None

    def ended():
        nonlocal state
        state = utility.get_bulk_insert_state(task)
        return state.state_name in ('Completed', 'Failed')
    wait_for('the end of an import', ended)
    if state.state_name == 'Failed':
        sys.exit(f'import of {path} failed: {state.failed_reason}')
    return state.row_count


def run(directory, schema, files):
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    # it keeps things in /run/milvus, or in /tmp/milvus, which may be somebody else's
    subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', '/run'], check=True)
    subprocess.Popen([os.path.join(os.path.dirname(sys.executable), 'milvus-server'), '--data', directory,
                      '--proxy-port', str(PORT)], stdout=sys.stderr, stderr=sys.stderr)
    wait_for('a server', lambda: json.load(urllib.request.urlopen(
        f'http://127.0.0.1:{PORT}/v1/vector/collections', timeout=2))['code'] == 200)
    pymilvus.connections.connect(host='127.0.0.1', port=str(PORT))
    client = pymilvus.MilvusClient(f'http://127.0.0.1:{PORT}')
    index = client.prepare_index_params()
    for field in schema.fields:
        if field.dtype == DataType.FLOAT_VECTOR:
            index.add_index(field.name, index_type='FLAT', metric_type='L2')
    client.create_collection('imported', schema=schema, index_params=index)
    count = sum(import_file(path) for path in files)
    client.load_collection('imported')
    rows = []

    def all_there():
        rows[:] = client.query('imported', filter='id >= 0', output_fields=['*'], limit=16384, consistency_level='Strong')
        return len(rows) >= count
    wait_for(f'{count} rows', all_there)
    for row in rows:
        print(json.dumps({name: value if isinstance(value, (dict, str, int, float, bool)) else [
            x if isinstance(x, (int, str)) else float(x) for x in value] for name, value in row.items()}))


fields = build_schema(json.load(sys.stdin))
if sys.argv[1] == '-':
    compare_types(fields, sys.argv[2])
else:
    run(sys.argv[1], fields, sys.argv[2:])
