#!/usr/bin/env python3
"""milvus_server.py DIRECTORY SERVER_SOCKET [MILVUS_PORT]: the part of Milvus's REST
API, version 2, that pg_outflow speaks, and which may fail.

It listens on the port that it writes into DIRECTORY/milvus_port.  With a MILVUS_PORT
every call is carried out by the Milvus there (gRPC, by pymilvus), which has the
collections, checks rows and keeps them; without one, collections are those of
DIRECTORY/collections, as collections/describe shows them, and DIRECTORY/rows has what
was put and deleted.  How a request's JSON becomes values of fields is Milvus's own
way (checkAndSetData in its proxy) in either.

A change counts as answered (wire_check.py) once its row, or what came of it later,
was put or deleted and the answer sent.  What a request must not have goes to
DIRECTORY/violations: a key twice, rows of a partial update with different fields.

DIRECTORY/faults, "SEED CODES BUSY LOST CUT", read when it starts, says how often out
of 100 requests that write the answer is an error in a 200, a 429 or 503, lost after
all was done, or cut off.  DIRECTORY/answer, "STATUS CODE PATTERN", answers so to
writing requests that match.  DIRECTORY/token must be in each request, if it is there;
with DIRECTORY/old nobody knows partial updates.  DIRECTORY/log has a line a request.
"""
import asyncio
import base64
import json
import random
import re
import ssl
import struct
import sys

from wire_check import Place, WireCheck

place = Place(sys.argv[1])
faults = [int(word) for word in place.read('faults', '0 0 0 0 0').split()]
dice = random.Random(faults[0])

INTEGERS = {'Int8': 8, 'Int16': 16, 'Int32': 32, 'Int64': 64}
VECTORS = ('FloatVector', 'Float16Vector', 'BFloat16Vector', 'Int8Vector')


class Failure(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Check(WireCheck):
    """Rows have no ids of records: what a change did to a key is known by its n.

    What was answered outlives the server, in DIRECTORY/answered.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.known = {tuple(json.loads(line)) for line in self.place.read('answered', '').splitlines()}

    def look_at_server(self, kind, payload):
        if kind != b'd' or payload[:1] != b'w':
            return
        for line in payload[25:].split(b'\n'):
            record = json.loads(line) if line.startswith(b'{"op":"') else {}
            if record.get('op') not in ('insert', 'update', 'delete'):
                continue
            old, new = record.get('key'), record.get('new')
            if old and (not new or new['id'] != old['id']):
                self.expect(record, old, None)
            if new:
                self.expect(record, new, new['n'])

    def expect(self, record, row, n):
        if (record['id'], str(row['id'])) not in self.known:
            self.pending[record['id'], str(row['id'])] = (int(record['id'][:16], 16), n)

    def forget(self, places):
        for place in places:
            del self.pending[place]
        self.known.update(places)
        self.place.append('answered', ''.join(json.dumps(place) + '\n' for place in places))

    def look_at_client(self, kind, payload):
        if kind != b'd' or payload[:1] != b'r':
            return
        confirmed = struct.unpack('>Q', payload[9:17])[0]
        early = [place for place, (lsn, _) in self.pending.items() if lsn < confirmed]
        if early:
            self.place.append('violations', f'{confirmed:X} confirmed, open are {early[:5]}\n')
        self.place.write('confirmed', str(confirmed))

    def answered_row(self, key, n):
        """And all that came to that key before; n is None for a delete."""
        places = [place for place in self.pending if place[1] == key]
        known = [i for i, place in enumerate(places) if self.pending[place][1] == n]
        self.forget(places[:known[-1] + 1] if known else [])

    def put(self, rows):
        for row in rows:
            if 'n' in row:
                self.answered_row(str(row['id']), row['n'])

    def deleted(self, keys):
        for key in keys:
            self.answered_row(key, None)


check = Check(place, sys.argv[2])


# ---- values, as Milvus's proxy reads them

def as_text(value):
    return value if isinstance(value, str) else json.dumps(value)


def read_array(text, of):
    values = json.loads(text)
    if not isinstance(values, list) or not all(isinstance(v, of) and not isinstance(v, bool) for v in values):
        raise ValueError(text)
    return values


def read_value(field, value):
    kind, text = field['type'], as_text(value)
    parameters = {pair['key']: pair['value'] for pair in field.get('params', [])}
    try:
        if kind in INTEGERS:
            number = int(text)
            if not -2 ** (INTEGERS[kind] - 1) <= number < 2 ** (INTEGERS[kind] - 1):
                raise ValueError(text)
            return number
        if kind in ('Float', 'Double'):
            return float(text)
        if kind == 'Bool':
            return {'true': True, 'false': False}[text]
        if kind in VECTORS:
            vector = read_array(text, (int, float))
            if len(vector) != int(parameters['dim']):
                raise Failure(1100, f'the dim of field {field["name"]} is {parameters["dim"]}, not {len(vector)}')
            return [float(x) for x in vector] if kind != 'Int8Vector' else vector
        if kind == 'BinaryVector':
            return base64.b64decode(json.loads(json.dumps(value)))
        if kind == 'Array':
            of = {'VarChar': str, 'Bool': bool}.get(field['elementType'], (int, float))
            return json.loads(text) if of is bool else read_array(text, of)
        if kind in ('JSON', 'SparseFloatVector'):
            return json.loads(text)
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(1804, f'fail to deal the insert data, error: {field["name"]}: {error}')
    if kind == 'VarChar' and len(text.encode()) > int(parameters.get('max_length', 65535)):
        raise Failure(1100, f'length of varchar field {field["name"]} exceeds max length')
    return text


def read_rows(collection, request):
    partial = request.get('partialUpdate', False)
    fields = {field['name']: field for field in collection['fields']}
    rows = []
    for data in request['data']:
        row = {}
        for name, field in fields.items():
            if partial and name not in data:
                continue
            if data.get(name) is None:
                if not field.get('nullable'):
                    raise Failure(1804, f'fail to deal the insert data, error: missing field: {name}')
                row[name] = None
            else:
                row[name] = read_value(field, data[name])
        for name in data.keys() - fields.keys():
            if not collection.get('enableDynamicField'):
                raise Failure(1804, 'has pass more field without dynamic schema, please check it')
            if data[name] is not None:
                row[name] = data[name]
        rows.append(row)
    return rows


def to_json(value):
    return json.dumps(value, default=lambda data: base64.b64encode(data).decode())


# ---- engines

def key_of(collection):
    return next(field['name'] for field in collection['fields'] if field['primaryKey'])


def keys_of_filter(text):
    """Those of "id in [...]", as texts; None: another filter, which here means all."""
    found = re.fullmatch(r'\w+ in \[(.*)\]', text, re.DOTALL)
    return [as_text(key) for key in json.loads(f'[{found[1]}]')] if found else None


class Memory:
    """Rows by collection and key, and in a file, which outlives us."""

    def __init__(self):
        self.rows = {}
        for line in place.read('rows', '').splitlines():
            try:
                self.set(*json.loads(line))
            except ValueError:
                pass  # cut off when we were killed

    def set(self, name, key, row):
        self.rows.setdefault(name, {})[key] = row

    def write(self, changes):
        place.append('rows', ''.join(to_json(change) + '\n' for change in changes))
        for change in changes:
            self.set(*change)

    def describe(self, name):
        collections = json.loads(place.read('collections', '{}'))
        if name not in collections:
            raise Failure(100, f"can't find collection[database=default][collection={name}]")
        return dict({'collectionName': name, 'enableDynamicField': False}, **collections[name])

    def put(self, name, collection, rows, partial):
        key = key_of(collection)
        for row in rows:
            old = self.rows.get(name, {}).get(str(row[key]))
            if partial and old:
                row.update(dict(old, **row))
            for field in collection['fields']:
                if field['name'] not in row and not field.get('nullable'):
                    raise Failure(1100, f'fieldSchema({field["name"]}) has no corresponding fieldData pass in')
        self.write([(name, str(row[key]), row) for row in rows])

    def query(self, name, collection, text):
        keys = keys_of_filter(text)
        return [row for key, row in self.rows.get(name, {}).items()
                if row is not None and (keys is None or key in keys)]

    def delete(self, name, collection, text):
        keys = keys_of_filter(text)
        self.write([(name, key, None) for key in (list(self.rows.get(name, {})) if keys is None else keys)])


class Milvus:
    """One that is really there."""
    TYPES = {'BOOL': 'Bool', 'INT8': 'Int8', 'INT16': 'Int16', 'INT32': 'Int32', 'INT64': 'Int64',
             'FLOAT': 'Float', 'DOUBLE': 'Double', 'VARCHAR': 'VarChar', 'JSON': 'JSON', 'ARRAY': 'Array',
             'FLOAT_VECTOR': 'FloatVector', 'SPARSE_FLOAT_VECTOR': 'SparseFloatVector'}
    # codes of milvus-lite that Milvus has others for
    CODES = {1: 65535, 6: 1100}

    def __init__(self, port):
        self.port = port
        self.client = None

    def call(self, name, *arguments, **options):
        import pymilvus
        try:
            if self.client is None:
                self.client = pymilvus.MilvusClient(f'http://127.0.0.1:{self.port}', timeout=5)
            return getattr(self.client, name)(*arguments, timeout=5, **options)
        except pymilvus.exceptions.ParamError as error:
            raise Failure(1804, error.message)
        except pymilvus.exceptions.DataNotMatchException as error:
            raise Failure(1804, error.message)
        except pymilvus.exceptions.MilvusException as error:
            if error.code in (0, 2) or 'connect' in str(error) or 'UNAVAILABLE' in str(error):
                self.client = None
                raise Failure(2, 'service unavailable')
            raise Failure(self.CODES.get(error.code, error.code), error.message)
        except Exception as error:  # of gRPC
            self.client = None
            raise Failure(2, f'service unavailable: {type(error).__name__}')

    def describe(self, name):
        described = self.call('describe_collection', name)
        fields = []
        for field in described['fields']:
            shown = {'name': field['name'], 'type': self.TYPES[field['type'].name],
                     'primaryKey': field.get('is_primary', False), 'autoId': field.get('auto_id', False),
                     'nullable': field.get('nullable', False),
                     'params': [{'key': key, 'value': str(value)} for key, value in field['params'].items()]}
            if shown['type'] == 'Array':
                shown['elementType'] = self.TYPES[field['element_type'].name]
            fields.append(shown)
        return {'collectionName': name, 'fields': fields,
                'enableDynamicField': described['enable_dynamic_field']}

    def put(self, name, collection, rows, partial):
        documents = [field['name'] for field in collection['fields'] if field['type'] == 'JSON']
        rows = [dict(row, **{key: json.dumps(row[key]) for key in documents if row.get(key) is not None})
                for row in rows]
        self.call('upsert', name, rows, **({'partial_update': True} if partial else {}))

    def query(self, name, collection, text):
        rows = self.call('query', name, filter=text, output_fields=['*'], consistency_level='Strong')
        return [{key: value if not hasattr(value, 'tolist') else value.tolist() for key, value in row.items()}
                for row in rows]

    def delete(self, name, collection, text):
        self.call('delete', name, filter=text)


engine = Milvus(int(sys.argv[3])) if len(sys.argv) > 3 else Memory()


# ---- requests

def look_at(collection, request, rows):
    keys = [row[key_of(collection)] for row in rows]
    if len(set(keys)) < len(keys):
        place.append('violations', f'{len(keys)} rows of {len(set(keys))} keys\n')
    if request.get('partialUpdate') and len({tuple(sorted(row)) for row in request['data']}) > 1:
        raise Failure(1804, 'rows of a partial update have different fields')


def carry_out(path, request):
    """The data of the answer, and what was answered by it."""
    operation = path.removeprefix('/v2/vectordb/')
    if operation == 'collections/list':
        return [], None
    if operation == 'entities/upsert':
        if not place.read('old', '') and not isinstance(request.get('partialUpdate', False), bool):
            raise Failure(1801, 'can only accept json format request, error: json: cannot unmarshal string '
                          'into Go struct field CollectionDataReq.partialUpdate of type bool')
        if 'data' not in request:
            raise Failure(1802, "missing required parameters, error: Key: 'CollectionDataReq.Data'")
    name = request['collectionName']
    collection = engine.describe(name)
    if operation == 'collections/describe':
        return collection, None
    if operation == 'entities/query':
        return engine.query(name, collection, request['filter'])[:request.get('limit', 100000)], None
    if operation == 'entities/delete':
        keys = keys_of_filter(request['filter'])
        engine.delete(name, collection, request['filter'])
        return {}, lambda: check.deleted(keys) if keys is not None else check.forget(list(check.pending))
    if operation != 'entities/upsert':
        return None, None
    if place.read('old', ''):
        request.pop('partialUpdate', None)
    rows = read_rows(collection, request)
    look_at(collection, request, rows)
    engine.put(name, collection, rows, request.get('partialUpdate', False))
    return {'upsertCount': len(rows)}, lambda: check.put(rows)


def error(code, message, status=200):
    return status, json.dumps({'code': code, 'message': message}), None


async def answer_to(path, headers, body):
    token = place.read('token', '').strip()
    if token and headers.get('authorization') != f'Bearer {token}':
        return error(1800, "user hasn't authenticated", 401)
    request = json.loads(body)
    writes = path.endswith(('/upsert', '/delete')) and ('data' in request or 'filter' in request)
    chosen = place.read('answer', '').split(' ', 2)
    if writes and len(chosen) == 3 and re.search(chosen[2].strip(), body.decode()):
        return error(int(chosen[1]), place.read('message', 'by the test'), int(chosen[0]))
    roll = dice.randrange(100) if writes else 100
    if roll < faults[1]:
        return error(dice.choice((1, 2, 8, 65535, 503)), 'by the test')
    roll -= faults[1]
    if roll < faults[2]:
        return dice.choice((429, 503)), '<html>busy</html>', None
    roll -= faults[2]
    try:
        data, answered = await asyncio.to_thread(carry_out, path, request)
    except Failure as failure:
        return error(failure.code, str(failure))
    if data is None:
        return 404, '404 page not found', None
    if 0 <= roll < faults[3]:
        return None
    text = to_json({'code': 0, 'cost': 0, 'data': data})
    if 0 <= roll - faults[3] < faults[4]:
        return 200, text[:-3], None
    return 200, text, answered


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b'\r\n\r\n')).decode().split('\r\n')
            path = head[0].split()[1]
            headers = {}
            for line in head[1:]:
                name, colon, value = line.partition(':')
                if colon:
                    headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get('content-length', 0)))
            answer = await answer_to(path, headers, body)
            if answer is None:
                break
            place.append('log', json.dumps({'path': path, 'status': answer[0], 'request': json.loads(body),
                                            'answer': answer[1][:300]}) + '\n')
            text = answer[1].encode()
            if answer[2]:
                answer[2]()
            writer.write(f'HTTP/1.1 {answer[0]} So\r\nContent-Length: {len(text)}\r\n\r\n'.encode() + text)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', int(place.read('milvus_port', '0')), limit=1 << 26)
    place.write('milvus_port', str(server.sockets[0].getsockname()[1]))
    if place.read('tls.cert', ''):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place.path('tls.cert'), place.path('tls.key'))
        if place.read('clients.cert', ''):
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(place.path('clients.cert'))
        by_tls = await asyncio.start_server(serve, '127.0.0.1', 0, limit=1 << 26, ssl=context)
        place.write('milvus_tls_port', str(by_tls.sockets[0].getsockname()[1]))
    await check.start()
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
