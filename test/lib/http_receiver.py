#!/usr/bin/env python3
"""http_receiver.py: a webhook and a wire check in one process.

  http_receiver.py DIRECTORY [SERVER_SOCKET]

Takes POST requests on the port that it writes into DIRECTORY/http_port, and
appends what it took to DIRECTORY/log: a JSON object a request, with its headers
and body, once it is on disk and just before the answer goes out.

With SERVER_SOCKET it is also a proxy to that PostgreSQL, on the port that it
writes into DIRECTORY/server_port, and watches: whenever the client confirms a
position, each record of a transaction before it that came from the server must
have been answered.  What was not goes to DIRECTORY/violations.  The last
confirmed position is in DIRECTORY/confirmed.

DIRECTORY/faults, read at each request, says how often out of 100 requests it
answers 503, hangs up before it has taken the request, hangs up after, and
waits: "20 5 5 10".  DIRECTORY/status says what is answered instead of 200, as
"STATUS PATTERN": to requests whose body matches.
"""
import asyncio
import json
import os
import random
import re
import struct
import sys

directory = sys.argv[1]
server_socket = sys.argv[2] if len(sys.argv) > 2 else None
pending = {}  # record id -> LSN of its commit
log = open(os.path.join(directory, 'log'), 'a')
RECORD_ID = re.compile(rb'"id":"([0-9A-F]{16})/([0-9A-F]{16}/[0-9A-F]{4})"')


def read(name, default):
    try:
        with open(os.path.join(directory, name)) as file:
            return file.read()
    except FileNotFoundError:
        return default


def write(name, text, mode='w'):
    path = os.path.join(directory, name)
    if mode == 'w':
        with open(path + '.new', 'w') as file:
            file.write(text)
        os.rename(path + '.new', path)
    else:
        with open(path, mode) as file:
            file.write(text)


def answered(body):
    for commit, rest in RECORD_ID.findall(body):
        pending.pop(commit + b'/' + rest, None)


async def one_request(reader, writer):
    head = await reader.readuntil(b'\r\n\r\n')
    lines = head.decode('latin-1').split('\r\n')
    headers = {}
    for line in lines[1:]:
        if ':' in line:
            name, value = line.split(':', 1)
            headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get('content-length', 0)))
    refuse, lose, forget, wait = map(int, read('faults', '0 0 0 0').split())
    dice = random.randrange(100)
    if dice < refuse:
        writer.write(b'HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n')
        return True
    if dice < refuse + lose:
        return False
    if random.randrange(100) < wait:
        await asyncio.sleep(random.random() / 5)
    status = '200'
    chosen = read('status', '').split(' ', 1)
    if len(chosen) == 2 and re.search(chosen[1].strip().encode(), body):
        status = chosen[0]
    log.write(json.dumps({'status': int(status), 'path': lines[0].split()[1],
                          'headers': headers,
                          'body': body.decode('latin-1')}) + '\n')
    log.flush()
    if dice < refuse + lose + forget:
        return False
    if status == '200':
        answered(body)
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


def check_confirmation(confirmed):
    early = [i for i, commit in pending.items() if commit < confirmed]
    if early:
        write('violations', f'{confirmed:X} confirmed, open are {early[:5]}\n', 'a')
    write('confirmed', str(confirmed))


async def pump(reader, writer, has_startup, look):
    """Passes messages on, and shows the contents of CopyData ones."""
    buffer = b''
    try:
        while data := await reader.read(65536):
            buffer += data
            while True:
                start = 0 if has_startup else 1
                if len(buffer) < start + 4:
                    break
                size = start + struct.unpack('>I', buffer[start:start + 4])[0]
                if len(buffer) < size:
                    break
                if not has_startup and buffer[:1] == b'd':
                    look(buffer[5:size])
                has_startup = False
                writer.write(buffer[:size])
                buffer = buffer[size:]
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass
    writer.close()


def look_at_server(payload):
    if payload[:1] == b'w':
        for commit, rest in RECORD_ID.findall(payload):
            pending[commit + b'/' + rest] = int(commit, 16)


def look_at_client(payload):
    if payload[:1] == b'r':
        check_confirmation(struct.unpack('>Q', payload[9:17])[0])


async def serve_proxy(reader, writer):
    try:
        up_reader, up_writer = await asyncio.open_unix_connection(server_socket)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, up_writer, True, look_at_client),
                         pump(up_reader, writer, False, look_at_server))


async def main():
    http = await asyncio.start_server(serve_http, '127.0.0.1', int(read('http_port', '0')))
    write('http_port', str(http.sockets[0].getsockname()[1]))
    if server_socket:
        proxy = await asyncio.start_server(serve_proxy, '127.0.0.1', int(read('server_port', '0')))
        write('server_port', str(proxy.sockets[0].getsockname()[1]))
    write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
