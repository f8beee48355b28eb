#!/usr/bin/env python3
"""kinesis_server.py DIRECTORY SERVER_SOCKET [UPSTREAM_PORT]: a stream of Kinesis
that may fail, and the metadata that keys come from.

It listens on the port that it writes into DIRECTORY/kinesis_port.  With an
UPSTREAM_PORT a real server there stores records, otherwise the file
DIRECTORY/stored does, a JSON object a line, and signatures are verified here,
with the key AKID/SECRET.  A record counts as answered (wire_check.py) once its
result was sent.  What a request must not be goes to DIRECTORY/violations: a key
twice, more than 500 records, more than 5 MiB, or 10 where records may be large.

DIRECTORY/faults, "SEED PARTIAL THROTTLED LOST BROKEN", read when it starts, says
how often out of 100 PutRecords some of its records fail, all of it does, the
answer is lost, or nothing is done and the connection ends.
DIRECTORY/answer, "STATUS CODE PATTERN", answers so to requests with a record
that matches.  With DIRECTORY/throughput each shard takes so many records a second,
as one of Kinesis takes 1,000, and refuses the others.  With DIRECTORY/endless the pages of ListShards
never end.  DIRECTORY/shards, "FIRST COUNT", is how many shards there are, each
with the same share of the hashes, and the number of the first one.
DIRECTORY/metadata_status, if it is there, is what the instance's metadata answers.
DIRECTORY/operations has a line for each request but PutRecords.
"""
import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import random
import re
import sys
import time

from wire_check import Place, WireCheck

place = Place(sys.argv[1])
check = WireCheck(place, sys.argv[2])
upstream = int(sys.argv[3]) if len(sys.argv) > 3 else None
faults = [int(word) for word in place.read('faults', '0 0 0 0 0').split()]
dice = random.Random(faults[0])
number = 0
used = {}
ROLE = '/latest/meta-data/iam/security-credentials/'


def signature_is_right(headers, body):
    words = dict(re.findall(r'(\w+)=([^,]+)', headers['authorization']))
    key_id, date, region, service, _ = words['Credential'].split('/')
    names = words['SignedHeaders'].split(';')
    canonical = '\n'.join(
        ['POST', '/', ''] + [f'{name}:{headers[name]}' for name in names]
        + ['', ';'.join(names), hashlib.sha256(body).hexdigest()])
    to_sign = '\n'.join(['AWS4-HMAC-SHA256', headers['x-amz-date'], f'{date}/{region}/{service}/aws4_request',
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = b'AWS4SECRET'
    for part in (date, region, service, 'aws4_request', to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key_id == 'AKID' and key.hex() == words['Signature'] and service == 'kinesis'


def error(status, code):
    return status, json.dumps({'__type': 'com.amazon#' + code, 'message': 'by the test'})


def shards():
    first, count = map(int, place.read('shards', '0 2').split())
    share = 2 ** 128 // count
    return [{'ShardId': f'shardId-{first + i:012}', 'SequenceNumberRange': {'StartingSequenceNumber': '0'},
             'HashKeyRange': {'StartingHashKey': str(i * share),
                              'EndingHashKey': str((i + 1) * share - 1 if i < count - 1 else 2 ** 128 - 1)}}
            for i in range(count)]


def shard_of(key):
    number = int(hashlib.md5(key.encode()).hexdigest(), 16)
    return next(shard['ShardId'] for shard in shards() if number <= int(shard['HashKeyRange']['EndingHashKey']))


def list_shards(request):
    """In pages of three."""
    if len(request) != 1:
        return error(400, 'InvalidArgumentException')
    start = int(request.get('NextToken', '0'))
    if place.read('endless', ''):
        return 200, json.dumps({'Shards': [], 'NextToken': str(start + 1)})
    page = {'Shards': shards()[start:start + 3]}
    if len(shards()) > start + 3:
        page['NextToken'] = str(start + 3)
    return 200, json.dumps(page)


def throttled(records):
    """Which of them their shards don't take."""
    most = int(place.read('throughput', '0'))
    second = int(time.monotonic())
    if most == 0:
        return [False for record in records]
    refused = []
    for record in records:
        shard = shard_of(record['PartitionKey'])
        since, count = used.get(shard, (second, 0))
        count = count if since == second else 0
        refused.append(count >= most)
        used[shard] = second, count + (count < most)
    return refused


def store(records):
    """The results of records that are put."""
    global number
    results = []
    for record in records:
        number += 1
        place.append('stored', json.dumps(
            {'key': record['PartitionKey'], 'data': base64.b64decode(record['Data']).decode()}) + '\n')
        results.append({'SequenceNumber': str(number), 'ShardId': shard_of(record['PartitionKey'])})
    return results


def ask_upstream(headers, body):
    connection = http.client.HTTPConnection('127.0.0.1', upstream, timeout=60)
    connection.request('POST', '/', body, {name: value for name, value in headers.items()
                                           if name != 'content-length'})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def look_at(records):
    keys = [record['PartitionKey'] for record in records]
    size = sum(len(base64.b64decode(record['Data'])) + len(record['PartitionKey']) for record in records)
    if len(set(keys)) < len(keys):
        place.append('violations', f'{len(keys)} records of {len(set(keys))} keys\n')
    most = 10 << 20 if int(place.read('kilobytes', '1024')) > 1024 else 5 << 20
    if len(records) > 500 or size > most:
        place.append('violations', f'{len(records)} records, {size} bytes\n')


def put(headers, body, request):
    records = request['Records']
    look_at(records)
    place.append('requests', f'{len(records)}\n')
    chosen = place.read('answer', '').split(' ', 2)
    if len(chosen) == 3 and any(re.search(chosen[2].strip().encode(), base64.b64decode(record['Data']))
                                for record in records):
        return error(int(chosen[0]), chosen[1])
    roll = dice.randrange(100)
    if roll < faults[4]:
        return None
    roll -= faults[4]
    if roll < faults[2]:
        return error(400, 'ProvisionedThroughputExceededException')
    roll -= faults[2]
    fails = [roll < faults[1] and dice.randrange(2) for record in records]
    codes = ('ProvisionedThroughputExceededException', 'InternalFailure')
    if place.read('throughput', ''):
        fails = throttled(records)
        codes = codes[:1]
    if upstream:
        # it stores all, whatever is said
        status, text = ask_upstream(headers, body)
        if status != 200:
            return status, text
        stored = iter([result for result, failed in zip(json.loads(text)['Records'], fails) if not failed])
    else:
        stored = iter(store([record for record, failed in zip(records, fails) if not failed]))
    results = [{'ErrorCode': dice.choice(codes), 'ErrorMessage': 'by the test'} if failed else next(stored)
               for failed in fails]
    text = json.dumps({'FailedRecordCount': sum(map(bool, fails)), 'Records': results})
    roll -= faults[1]
    if 0 <= roll < faults[3]:
        return None
    for record, result in zip(records, results):
        if 'ErrorCode' not in result:
            check.answered(base64.b64decode(record['Data']))
    return 200, text


def describe(request):
    if request['StreamName'] != 'shop':
        return error(400, 'ResourceNotFoundException')
    return 200, json.dumps({'StreamDescriptionSummary': {
        'StreamName': 'shop', 'OpenShardCount': 2,
        'MaxRecordSizeInKiB': int(place.read('kilobytes', '1024'))}})


def metadata(method, path, headers):
    place.append('metadata', f'{method} {path}\n')
    if place.read('metadata_status', ''):
        return int(place.read('metadata_status', '')), ''
    if method == 'PUT' and path == '/latest/api/token':
        return 200, 'token-of-the-instance'
    if path == '/container':
        right = headers.get('authorization') == 'of-the-container'
    else:
        right = headers.get('x-aws-ec2-metadata-token') == 'token-of-the-instance'
    if not right:
        return 401, ''
    if path == ROLE:
        return 200, 'the-role'
    return 200, json.dumps({'AccessKeyId': 'AKID', 'SecretAccessKey': 'SECRET', 'Token': place.read('token', ''),
                            'Expiration': place.read('expiration', '2099-01-01T00:00:00Z')})


def answer_to(method, path, headers, body):
    if method != 'POST':
        return metadata(method, path, headers)
    operation = headers['x-amz-target'].split('.')[1]
    if not upstream and not signature_is_right(headers, body):
        return error(400, 'InvalidSignatureException')
    if not upstream and headers.get('x-amz-security-token', '') != place.read('token', ''):
        return error(400, 'ExpiredTokenException')
    if operation == 'PutRecords':
        return put(headers, body, json.loads(body))
    place.append('operations', operation + '\n')
    if place.read('forbidden', '').strip() == operation:
        return error(400, 'AccessDeniedException')
    if operation == 'ListShards' and not upstream:
        return list_shards(json.loads(body))
    return ask_upstream(headers, body) if upstream else describe(json.loads(body))


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b'\r\n\r\n')).decode().split('\r\n')
            method, path, _ = head[0].split()
            headers = {}
            for line in head[1:]:
                name, colon, value = line.partition(':')
                if colon:
                    headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get('content-length', 0)))
            answer = answer_to(method, path, headers, body)
            if answer is None:
                break
            text = answer[1].encode()
            writer.write(f'HTTP/1.1 {answer[0]} So\r\nContent-Length: {len(text)}\r\n\r\n'.encode() + text)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', int(place.read('kinesis_port', '0')), limit=1 << 20)
    place.write('kinesis_port', str(server.sockets[0].getsockname()[1]))
    await check.start()
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
