"""wire_check.py: a proxy to PostgreSQL that watches what is confirmed.

What a target's test server lies in front of imports it.  Each record that came
from the server must have been answered, which answered() is told, before a
position after its transaction is confirmed; what was not goes to
DIRECTORY/violations.  The last confirmed position is in DIRECTORY/confirmed.
"""
import asyncio
import os
import re
import struct

RECORD_ID = re.compile(rb'"id":"([0-9A-F]{16})/([0-9A-F]{16}/[0-9A-F]{4})"')


class Place:
    """The directory by which a test and its server talk."""

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name, default):
        try:
            with open(self.path(name)) as file:
                return file.read()
        except FileNotFoundError:
            return default

    def write(self, name, text):
        with open(self.path(name) + '.new', 'w') as file:
            file.write(text)
        os.rename(self.path(name) + '.new', self.path(name))

    def remove(self, name):
        os.unlink(self.path(name))

    def append(self, name, text):
        with open(self.path(name), 'a') as file:
            file.write(text)


class Cut(Exception):
    """Ends both ways of a connection, by whoever looks at its messages."""


async def pump(reader, writer, has_startup, look):
    """Passes messages on, each after look(kind, contents) has seen it."""
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
                if not has_startup:
                    look(buffer[:1], buffer[5:size])
                has_startup = False
                writer.write(buffer[:size])
                buffer = buffer[size:]
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError, Cut):
        pass
    writer.close()


class WireCheck:
    def __init__(self, place, server_socket):
        self.place = place
        self.server_socket = server_socket
        self.pending = {}  # record id -> LSN of its commit
        # What comes again to a client that has it, the beginning of a transaction that
        # was cut off, it passes over.
        self.known = set()

    def answered(self, body):
        for commit, rest in RECORD_ID.findall(body):
            self.pending.pop(commit + b'/' + rest, None)
            self.known.add(commit + b'/' + rest)

    def look_at_server(self, kind, payload):
        if kind == b'd' and payload[:1] == b'w':
            for commit, rest in RECORD_ID.findall(payload):
                if commit + b'/' + rest not in self.known:
                    self.pending[commit + b'/' + rest] = int(commit, 16)

    def look_at_client(self, kind, payload):
        if kind != b'd' or payload[:1] != b'r':
            return
        confirmed = struct.unpack('>Q', payload[9:17])[0]
        early = [i for i, commit in self.pending.items() if commit < confirmed]
        if early:
            self.place.append('violations', f'{confirmed:X} confirmed, open are {early[:5]}\n')
        self.place.write('confirmed', str(confirmed))

    async def serve_proxy(self, reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self.server_socket)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, up_writer, True, self.look_at_client),
                             pump(up_reader, writer, False, self.look_at_server))

    async def start(self):
        proxy = await asyncio.start_server(self.serve_proxy, '127.0.0.1',
                                           int(self.place.read('server_port', '0')))
        self.place.write('server_port', str(proxy.sockets[0].getsockname()[1]))
