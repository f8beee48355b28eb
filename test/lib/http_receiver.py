#!/usr/bin/env python3
"""http_receiver.py: a webhook and a wire check in one process.

  http_receiver.py DIRECTORY [SERVER_SOCKET [PORT]]

Takes POST requests on the port that it writes into DIRECTORY/http_port, and
appends what it took to DIRECTORY/log: a JSON object a request, with its headers
and body, once it is on disk and just before the answer goes out.

With SERVER_SOCKET it is also a proxy to that PostgreSQL, on the port that it
writes into DIRECTORY/server_port, and watches what is confirmed: wire_check.py.
With PORT it takes nothing itself, but passes requests on to the HTTP server there;
its faults are those of a network before that.

DIRECTORY/faults, read at each request, says how often out of 100 requests it
answers 503, hangs up before it has taken the request, hangs up after, and
waits: "20 5 5 10".  DIRECTORY/status says what is answered instead of 200, as
"STATUS PATTERN": to requests whose body matches.
"""
import asyncio
import json
import random
import re
import sys

from wire_check import Place, WireCheck

place = Place(sys.argv[1])
check = WireCheck(place, sys.argv[2]) if len(sys.argv) > 2 else None
log = open(place.path('log'), 'a')
# a line that a kill has torn was not answered
log.truncate(place.read('log', '').rfind('\n') + 1)
behind = int(sys.argv[3]) if len(sys.argv) > 3 else None


async def pass_on(head, body):
    """The status that the server behind answers with."""
    reader, writer = await asyncio.open_connection('127.0.0.1', behind)
    try:
        writer.write(head.replace(b'\r\n', b'\r\nConnection: close\r\n', 1) + body)
        answer = await reader.read()
    finally:
        writer.close()
    if not answer.startswith(b'HTTP/1.1 '):
        raise ConnectionError('no answer')
    return answer[9:12].decode()


async def one_request(reader, writer):
    head = await reader.readuntil(b'\r\n\r\n')
    lines = head.decode('latin-1').split('\r\n')
    headers = {}
    for line in lines[1:]:
        if ':' in line:
            name, value = line.split(':', 1)
            headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get('content-length', 0)))
    refuse, lose, forget, wait = map(int, place.read('faults', '0 0 0 0').split())
    dice = random.randrange(100)
    if dice < refuse:
        writer.write(b'HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n')
        return True
    if dice < refuse + lose:
        return False
    if random.randrange(100) < wait:
        await asyncio.sleep(random.random() / 5)
    status = '200'
    chosen = place.read('status', '').split(' ', 1)
    if len(chosen) == 2 and re.search(chosen[1].strip().encode(), body):
        status = chosen[0]
    if behind:
        status = await pass_on(head, body)
    log.write(json.dumps({'status': int(status), 'path': lines[0].split()[1],
                          'headers': headers,
                          'body': body.decode('latin-1')}) + '\n')
    log.flush()
    if dice < refuse + lose + forget:
        return False
    if status == '200' and check:
        check.answered(body)
    extra = 'Retry-After: 1\r\n' if status == '429' else ''
    writer.write(f'HTTP/1.1 {status} So\r\n{extra}Content-Length: 4\r\n\r\nsaid'.encode())
    return True


async def serve_http(reader, writer):
    try:
        while await one_request(reader, writer):
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main():
    http = await asyncio.start_server(serve_http, '127.0.0.1', int(place.read('http_port', '0')))
    place.write('http_port', str(http.sockets[0].getsockname()[1]))
    if check:
        await check.start()
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
