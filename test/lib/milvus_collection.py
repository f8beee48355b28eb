#!/usr/bin/env python3
"""milvus_collection.py PORT NAME: makes a collection in the Milvus at that port, by
pymilvus, with the fields that stand on standard input as collections/describe
shows them, and loads it.  Waits until the server is there."""
import json
import sys
import time

import pymilvus

NAMES = {'Bool': 'BOOL', 'Int8': 'INT8', 'Int16': 'INT16', 'Int32': 'INT32', 'Int64': 'INT64', 'Float': 'FLOAT',
         'Double': 'DOUBLE', 'VarChar': 'VARCHAR', 'JSON': 'JSON', 'Array': 'ARRAY', 'FloatVector': 'FLOAT_VECTOR'}


def connect(port):
    for _ in range(300):
        try:
            return pymilvus.MilvusClient(f'http://127.0.0.1:{port}', timeout=5)
        except Exception:
            time.sleep(0.2)
    sys.exit('no server')


client = connect(sys.argv[1])
if not client.has_collection(sys.argv[2]):
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    index = client.prepare_index_params()
    for field in json.load(sys.stdin):
        kind = getattr(pymilvus.DataType, NAMES[field['type']])
        options = {pair['key']: int(pair['value']) for pair in field.get('params', [])}
        if 'elementType' in field:
            options['element_type'] = getattr(pymilvus.DataType, NAMES[field['elementType']])
        schema.add_field(field['name'], kind, is_primary=field.get('primaryKey', False),
                         nullable=field.get('nullable', False), **options)
        if field['type'] == 'FloatVector':
            index.add_index(field['name'], index_type='FLAT', metric_type='L2')
    client.create_collection(sys.argv[2], schema=schema, index_params=index)
client.load_collection(sys.argv[2])
