#!/usr/bin/env python3
"""kafka_wire.py DIRECTORY PORT BROKER_PORT SERVER_SOCKET: what lies between the
client and a Kafka broker, and may fail.

Passes requests on from PORT to BROKER_PORT, and is the proxy before PostgreSQL
(wire_check.py).  A record counts as answered once the broker's answer to its Produce
request was passed on, without an error for its partition.  One that was sent with a
transactional id counts once the broker has committed its transaction, whether the
client heard of that or reads the position later.  A commit that the broker died over
counts as done: only who reads the position can know.  Records must not be compressed.

DIRECTORY/faults, "HOLD LOSE": each answer of those two kinds is held back for up to
HOLD milliseconds, and so often out of 100 the connection is cut instead.
DIRECTORY/answered has the number of records that were answered.
"""
import asyncio
import random
import re
import struct
import sys

from wire_check import Place, WireCheck

PRODUCE, INIT_PRODUCER_ID, END_TXN = 0, 22, 26
# from these versions on, lengths have another form and there are tags
FLEXIBLE = {PRODUCE: 9, INIT_PRODUCER_ID: 2, END_TXN: 3}
OK, DUPLICATE = 0, 46
# the coordinator loads, has moved, or is busy: the client asks again
ASK_AGAIN = (14, 15, 16, 51)
# a header "id" of a record, with its length
HEADER_ID = re.compile(rb'\x04idL([0-9A-F]{16}/[0-9A-F]{16}/[0-9A-F]{4})')


class Message:
    """Reads the fields of a request or an answer."""

    def __init__(self, data, at, is_flexible):
        self.data, self.at, self.is_flexible = data, at, is_flexible

    def number(self, form):
        value = struct.unpack_from('>' + form, self.data, self.at)[0]
        self.at += struct.calcsize('>' + form)
        return value

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number('B')
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def count(self, form):
        return self.varint() - 1 if self.is_flexible else self.number(form)

    def bytes(self, form='h'):
        size = self.count(form)
        self.at += max(size, 0)
        return self.data[self.at - size:self.at] if size >= 0 else None

    def tags(self):
        for _ in range(self.varint() if self.is_flexible else 0):
            self.varint()
            self.at += self.varint()

    def topics(self, partition):
        """What partition() reads of each, by topic and number."""
        found = {}
        for _ in range(self.count('i')):
            topic = self.bytes()
            for _ in range(self.count('i')):
                number = self.number('i')
                found[topic, number] = partition()
                self.tags()
            self.tags()
        return found


class KafkaWire(WireCheck):
    def __init__(self, place, server_socket):
        super().__init__(place, server_socket)
        self.open = {}  # transactional id -> ids of records that it has answers for
        self.count = 0
        self.committed = set()  # ids that Kafka has once and for all

    def look_at_server(self, kind, payload):
        super().look_at_server(kind, payload)
        # what the slot tells again is in Kafka
        for record in self.pending.keys() & self.committed:
            del self.pending[record]

    def taken(self, ids):
        for record in ids:
            if self.pending.pop(record, None) is not None:
                self.count += 1
        self.place.write('answered', str(self.count))

    def commit(self, ids):
        self.committed.update(ids)
        self.taken(ids)

    def request(self, frame):
        """What is to be known of a request when its answer comes."""
        key, version = struct.unpack('>hh', frame[4:8])
        if key not in FLEXIBLE:
            return key, version, None, None
        is_flexible = version >= FLEXIBLE[key]
        message = Message(frame, 12, False)
        message.bytes()
        message.is_flexible = is_flexible
        message.tags()
        name = message.bytes()
        if key == INIT_PRODUCER_ID:
            # what another producer left open is aborted
            self.open.pop(name, None)
            return key, version, name, None
        if key == END_TXN:
            message.at += 8 + 2
            ids = self.open.pop(name, [])
            return key, version, name, ids if message.number('b') else []
        message.number('h')
        message.number('i')
        records = message.topics(lambda: message.bytes('i'))
        return key, version, name, {where: HEADER_ID.findall(data or b'') for where, data in records.items()}

    def answer(self, frame, key, version, name, what):
        """Notes what an answer says, as one that the client hears."""
        message = Message(frame, 8, version >= FLEXIBLE[key])
        message.tags()
        if key == END_TXN:
            message.number('i')
            code = message.number('h')
            if code == OK:
                self.commit(what)
            elif code in ASK_AGAIN:
                self.open.setdefault(name, []).extend(what)
            return

        def error():
            code = message.number('h')
            message.at += 8 + (8 if version >= 2 else 0) + (8 if version >= 5 else 0)
            if version >= 8:
                for _ in range(message.count('i')):
                    message.number('i')
                    message.bytes()
                    message.tags()
                message.bytes()
            return code

        for where, code in message.topics(error).items():
            if code in (OK, DUPLICATE):
                if name is None:
                    self.taken(what[where])
                else:
                    self.open.setdefault(name, []).extend(what[where])


async def read_frame(reader):
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack('>i', head)[0])


class Connection:
    def __init__(self, wire, reader, writer, up_reader, up_writer):
        self.wire = wire
        self.reader, self.writer = reader, writer
        self.up_reader, self.up_writer = up_reader, up_writer
        self.waiting = {}  # correlation id -> request

    async def requests(self):
        try:
            while True:
                frame = await read_frame(self.reader)
                # acks=0 has no answer; the client never asks for that
                self.waiting[frame[8:12]] = self.wire.request(frame)
                self.up_writer.write(frame)
                await self.up_writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        # of a client that was killed: what the broker answers is true all the same
        for _ in range(100):
            if not self.waiting:
                break
            await asyncio.sleep(0.1)
        self.up_writer.close()

    async def answers(self):
        try:
            while True:
                frame = await read_frame(self.up_reader)
                request = self.waiting.pop(frame[4:8], None)
                if request and request[0] in (PRODUCE, END_TXN):
                    hold, lose = map(int, self.wire.place.read('faults', '0 0').split())
                    await asyncio.sleep(random.random() * hold / 1000)
                    is_lost = random.randrange(100) < lose
                    if not is_lost or request[0] == END_TXN:
                        self.wire.answer(frame, *request)
                    if is_lost:
                        self.writer.transport.abort()
                if not self.writer.is_closing():
                    self.writer.write(frame)
                    await self.writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        for key, _, _, ids in self.waiting.values():
            if key == END_TXN:
                self.wire.commit(ids)
        self.writer.close()


async def main():
    place = Place(sys.argv[1])
    wire = KafkaWire(place, sys.argv[4])

    async def serve(reader, writer):
        try:
            up = await asyncio.open_connection('127.0.0.1', int(sys.argv[3]))
        except OSError:
            writer.close()
            return
        connection = Connection(wire, reader, writer, *up)
        await asyncio.gather(connection.requests(), connection.answers())

    await asyncio.start_server(serve, '127.0.0.1', int(sys.argv[2]))
    await wire.start()
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
