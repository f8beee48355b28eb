#!/usr/bin/env python3
"""mqtt_proxy.py DIRECTORY BROKER_PORT SERVER_SOCKET: what lies between the client
and its broker, and may fail.

It listens on the port that it writes into DIRECTORY/mqtt_port.  A record counts
as answered (wire_check.py) once its PUBACK or PUBCOMP was passed on, or would
have been.  Seen packets are checked, and what is wrong goes to
DIRECTORY/violations: more under way than the CONNACK's Receive Maximum, a larger
packet than its Maximum Packet Size, and, in a session that the broker has kept, a message
of QoS 2 again after its PUBREL or with another packet identifier.

DIRECTORY/faults, "SEED CUT LOSE", is read when a connection begins: how often in
10,000 packets it cuts the connection before a packet, and passes a packet on and
then cuts it.  DIRECTORY/reason, "CODE PATTERN", changes the reason code of
PUBACKs of messages whose topic matches.  With DIRECTORY/forget the broker forgets the
session at each CONNECT.

DIRECTORY/hold, "COUNT CODE PATTERN", holds the PUBACKs of messages that match until
there are so many of them.  Then all go at once, the first with that reason code;
CODE none leaves it out and cuts the connection after the others.
"""
import asyncio
import random
import re
import sys

from wire_check import RECORD_ID, Place, WireCheck

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SESSION_EXPIRY, RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE = 0x11, 0x21, 0x27

place = Place(sys.argv[1])
broker_port = int(sys.argv[2])
check = WireCheck(place, sys.argv[3])
dice = random.Random()
published = {}  # packet identifier -> its last PUBLISH, which sessions outlive
sent = {}  # record -> the packet identifier that it has with QoS 2
released = {}  # packet identifier -> what was released and is not complete
held = []  # packet identifiers of the PUBACKs that wait


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


async def read_packet(reader):
    packet = await reader.readexactly(2)
    while packet[-1] & 128:
        packet += await reader.readexactly(1)
    length, _ = varint(packet, 1)
    return packet + await reader.readexactly(length)


def properties(packet, at):
    """Those at that place, by their numbers; what is text or a pair as a number, too."""
    found = {}
    length, at = varint(packet, at)
    end = at + length
    while at < end:
        name = packet[at]
        at += 1
        size = {0x11: 4, 0x27: 4, 0x21: 2, 0x22: 2, 0x13: 2, 0x24: 1, 0x25: 1,
                0x28: 1, 0x29: 1, 0x2A: 1}.get(name)
        if size is None:
            size = 2 + int.from_bytes(packet[at:at + 2], 'big')
        found[name] = int.from_bytes(packet[at:at + size], 'big')
        at += size
    return found


class Connection:
    def __init__(self, reader, writer, up_reader, up_writer):
        self.ends = ((reader, up_writer, self.from_client), (up_reader, writer, self.from_broker))
        self.under_way = set()
        self.receive_maximum = 65535
        self.packet_size = 1 << 28
        faults = place.read('faults', '0 0 0').split()
        self.cut, self.lose = int(faults[1]), int(faults[2])
        self.is_over = False

    def wrong(self, text):
        place.append('violations', text + '\n')

    def from_client(self, packet):
        kind, start = packet[0] >> 4, varint(packet, 1)[1]
        if kind == CONNECT:
            # after the protocol's name, its version, flags and keepalive
            place.write('session', str(properties(packet, start + 10).get(SESSION_EXPIRY, 0)))
            if place.read('forget', ''):
                # with Clean Start the broker forgets it in truth
                packet = packet[:start + 7] + bytes([packet[start + 7] | 2]) + packet[start + 8:]
        if kind == PUBLISH:
            length = int.from_bytes(packet[start:start + 2], 'big')
            topic = packet[start + 2:start + 2 + length]
            mid = int.from_bytes(packet[start + 2 + length:start + 4 + length], 'big')
            published[mid] = (topic, packet)
            record = RECORD_ID.search(packet)
            if record and packet[0] & 4 and sent.setdefault(record.group(), mid) != mid:
                self.wrong(f'message {mid} again, which was {sent[record.group()]}')
            if released.get(mid) == packet[1:]:
                self.wrong(f'message {mid} again after its PUBREL')
            self.under_way.add(mid)
            if len(self.under_way) > self.receive_maximum:
                self.wrong(f'{len(self.under_way)} are under way, of {self.receive_maximum}')
            if len(packet) > self.packet_size:
                self.wrong(f'a packet of {len(packet)} bytes')
        if kind == PUBREL:
            mid = int.from_bytes(packet[start:start + 2], 'big')
            released[mid] = published.get(mid, (b'', b' '))[1][1:]
        return packet

    def limits(self, packet, at):
        said = properties(packet, at)
        self.receive_maximum = said.get(RECEIVE_MAXIMUM, self.receive_maximum)
        self.packet_size = said.get(MAXIMUM_PACKET_SIZE, self.packet_size)

    def hold(self, mid, count, code):
        """What goes to the client instead of that PUBACK."""
        held.append(mid)
        if len(held) < count:
            return b''
        place.write('hold', '')
        first, *rest = [mid.to_bytes(2, 'big') for mid in held]
        for mid in held[1:]:
            check.answered(published[mid][1])
        self.under_way.difference_update(held)
        held.clear()
        self.is_over = code == 'none'
        answer = b'' if self.is_over else b'\x40\x03' + first + bytes([int(code, 0)])
        return answer + b''.join(b'\x40\x02' + mid for mid in rest)

    def from_broker(self, packet):
        kind, start = packet[0] >> 4, varint(packet, 1)[1]
        if kind == CONNACK:
            self.limits(packet, start + 2)
            if not packet[start] & 1:
                released.clear()
                sent.clear()
        if kind in (PUBACK, PUBREC, PUBCOMP):
            mid = int.from_bytes(packet[start:start + 2], 'big')
            topic, message = published.get(mid, (b'', b''))
            wanted = place.read('hold', '').split(' ', 2)
            if kind == PUBACK and len(wanted) == 3 and re.search(wanted[2].strip().encode(), message):
                return self.hold(mid, int(wanted[0]), wanted[1])
            reason = packet[start + 2] if len(packet) > start + 2 else 0
            chosen = place.read('reason', '').split(' ', 1)
            if kind == PUBACK and len(chosen) == 2 and re.search(chosen[1].strip().encode(), topic):
                reason = int(chosen[0], 0)
                packet = bytes([packet[0], 3]) + mid.to_bytes(2, 'big') + bytes([reason])
            if kind != PUBREC or reason >= 128:
                self.under_way.discard(mid)
            if kind != PUBREC:
                released.pop(mid, None)
            if kind != PUBREC and reason < 128:
                check.answered(message)
        return packet

    async def pump(self, reader, writer, look):
        while True:
            packet = await read_packet(reader)
            if dice.randrange(10000) < self.cut:
                return
            writer.write(look(packet))
            await writer.drain()
            if self.is_over or dice.randrange(10000) < self.lose:
                return

    async def run(self):
        tasks = [asyncio.create_task(self.pump(*end)) for end in self.ends]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in self.ends:
            end[1].close()


async def serve(reader, writer):
    try:
        up = await asyncio.open_connection('127.0.0.1', broker_port)
    except OSError:
        writer.close()
        return
    await Connection(reader, writer, *up).run()


async def main():
    dice.seed(place.read('faults', '0').split()[0])
    server = await asyncio.start_server(serve, '127.0.0.1', int(place.read('mqtt_port', '0')))
    place.write('mqtt_port', str(server.sockets[0].getsockname()[1]))
    await check.start()
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
