#!/usr/bin/env python3
"""apply_proxy.py: stands before two servers, and watches what is between.

  apply_proxy.py DIRECTORY SOURCE_SOCKET TARGET_SOCKET

Passes connections on from the ports that it writes into DIRECTORY/source_port
and DIRECTORY/target_port.  Whenever the client confirms a position to the source,
each change of a row before it that came from there must be in a transaction
that the target has committed: by the position that was written in it, and by the
target's answer to COMMIT, or by the position that it tells a new session.  What
was not goes to DIRECTORY/violations.  The last confirmed position is in
DIRECTORY/confirmed.

DIRECTORY/faults says how often out of 100 COMMITs the connection breaks before
the target has it, and after, before its answer is heard: "10 10".  DIRECTORY/fatal
holds an SQLSTATE with which the target ends the session, once, at the next INSERT of
a change, or with the word "start" behind it, at one before changes.
"""
import asyncio
import random
import re
import struct
import sys

from wire_check import Cut, Place, pump

place = Place(sys.argv[1])
source_socket, target_socket = sys.argv[2:4]
CHANGE = re.compile(rb'"op":"(?:insert|update|delete|truncate)","id":"([0-9A-F]{16})/')
latest = []  # commit LSNs of changes that came, not known to be committed
committed = 0


def from_source(kind, payload):
    if kind == b'd' and payload[:1] == b'w':
        latest.extend(int(commit, 16) for commit in CHANGE.findall(payload))


def to_source(kind, payload):
    global latest
    if kind == b'd' and payload[:1] == b'r':
        confirmed = struct.unpack('>Q', payload[9:17])[0]
        latest = [lsn for lsn in latest if lsn >= committed]
        early = [lsn for lsn in latest if lsn < confirmed]
        if early:
            place.append('violations', f'{confirmed:X} confirmed, the target has {committed:X}: {early[:5]}\n')
        place.write('confirmed', str(confirmed))


def bound_values(payload):
    at = payload.index(b'\0', payload.index(b'\0') + 1) + 1
    at += 2 + 2 * struct.unpack('>H', payload[at:at + 2])[0]
    count = struct.unpack('>H', payload[at:at + 2])[0]
    at += 2
    values = []
    for _ in range(count):
        size = struct.unpack('>i', payload[at:at + 4])[0]
        at += 4
        values.append(payload[at:at + size])
        at += max(size, 0)
    return values


def lsn_of(text):
    high, low = text.split(b'/')
    return (int(high, 16) << 32) + int(low, 16)


class TargetSession:
    def __init__(self):
        self.is_position = False  # the next values are of the position
        self.position = 0
        self.asks_position = False
        self.has_changes = False
        self.deaf = False
        self.writers = []

    def cut(self):
        for writer in self.writers:
            writer.close()

    def to_target(self, kind, payload):
        if kind == b'P':
            self.has_changes = True
            self.asks_position = False
            self.is_position = b'UPDATE outflow_client.position' in payload
            if payload.split(b'\0')[1] == b'COMMIT':
                before, after = map(int, place.read('faults', '0 0').split())
                dice = random.randrange(100)
                if dice < before:
                    self.cut()
                    raise Cut()
                if dice < before + after:
                    self.deaf = True
        elif kind == b'B' and self.is_position:
            self.position = lsn_of(bound_values(payload)[3])
        elif kind == b'Q':
            self.asks_position = b'SELECT lsn, timeline FROM outflow_client.position' in payload

    def end_session(self, sqlstate):
        fields = f'SFATAL\0VFATAL\0C{sqlstate}\0Mterminating connection: {sqlstate}\0\0'.encode()
        self.writers[0].write(b'E' + struct.pack('>I', 4 + len(fields)) + fields)
        place.remove('fatal')
        self.cut()
        raise Cut()

    def from_target(self, kind, payload):
        global committed
        if kind == b'C' and payload.startswith(b'INSERT') and (fatal := place.read('fatal', '').split()):
            if self.has_changes == (len(fatal) == 1):
                self.end_session(fatal[0])
        if kind == b'D' and self.asks_position:
            size = struct.unpack('>i', payload[2:6])[0]
            committed = max(committed, lsn_of(payload[6:6 + size]))
        elif kind == b'C' and payload == b'COMMIT\0':
            committed = max(committed, self.position)
            if self.deaf:
                self.cut()
                raise Cut()


async def connect(writer, path):
    try:
        return await asyncio.open_unix_connection(path)
    except OSError:
        writer.close()
        return None


async def serve_source(reader, writer):
    if up := await connect(writer, source_socket):
        await asyncio.gather(pump(reader, up[1], True, to_source), pump(up[0], writer, False, from_source))


async def serve_target(reader, writer):
    session = TargetSession()
    if up := await connect(writer, target_socket):
        session.writers = [writer, up[1]]
        await asyncio.gather(pump(reader, up[1], True, session.to_target), pump(up[0], writer, False, session.from_target))


async def main():
    for name, serve in (('source', serve_source), ('target', serve_target)):
        server = await asyncio.start_server(serve, '127.0.0.1', 0)
        place.write(name + '_port', str(server.sockets[0].getsockname()[1]))
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
