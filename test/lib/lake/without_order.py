"""without_order.py TABLE: makes the manifests of an Iceberg table what they were before they
told of sort orders, and the metadata have none"""
import glob
import io
import json
import os
import sys

import fastavro

FIELD = ',{"name":"sort_order_id","type":["null","int"],"default":null,"field-id":140}'


def put_long(out, value):
    fastavro.schemaless_writer(out, 'long', value)


def put_bytes(out, value):
    put_long(out, len(value))
    out.write(value)


def rewrite(path):
    with open(path, 'rb') as file:
        reader = fastavro.reader(file)
        metadata, records = reader.metadata, list(reader)
    schema = metadata['avro.schema'].replace(FIELD, '')
    if schema == metadata['avro.schema']:
        return 0
    block, out = io.BytesIO(), io.BytesIO()
    parsed = fastavro.parse_schema(json.loads(schema))
    for record in records:
        fastavro.schemaless_writer(block, parsed, record)
    out.write(b'Obj\1')
    put_long(out, len(metadata))
    for name, value in {**metadata, 'avro.schema': schema}.items():
        put_bytes(out, name.encode())
        put_bytes(out, value.encode())
    put_long(out, 0)
    out.write(b'0123456789abcdef')
    put_long(out, len(records))
    put_bytes(out, block.getvalue())
    out.write(b'0123456789abcdef')
    before = os.path.getsize(path)
    with open(path, 'wb') as file:
        file.write(out.getvalue())
    return os.path.getsize(path) - before


def main(table):
    # a list tells how long its manifests are
    for path in glob.glob(f'{table}/metadata/*-m*.avro'):
        longer = rewrite(path)
        for name in glob.glob(f'{table}/metadata/snap-*.avro'):
            with open(name, 'rb') as file:
                data = file.read()
            size = os.path.getsize(path)
            number = io.BytesIO()
            put_long(number, size)
            old = io.BytesIO()
            put_long(old, size - longer)
            uri = ('file://' + os.path.realpath(path)).encode()
            at = data.index(uri) + len(uri)
            if len(number.getvalue()) != len(old.getvalue()):
                raise SystemExit('the length of a manifest takes other bytes')
            with open(name, 'wb') as file:
                file.write(data[:at] + number.getvalue() + data[at + len(number.getvalue()):])
    for path in glob.glob(f'{table}/metadata/v*.metadata.json'):
        with open(path, encoding='utf-8') as file:
            metadata = json.load(file)
        metadata['sort-orders'] = [{'order-id': 0, 'fields': []}]
        metadata['default-sort-order-id'] = 0
        for snapshot in metadata['snapshots']:
            snapshot['summary'].pop('outflow.sort-order', None)
            # nor were they summed
            snapshot['summary'].pop('outflow.crc32c', None)
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(metadata, file)


main(sys.argv[1])
