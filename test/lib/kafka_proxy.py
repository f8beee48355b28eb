#!/usr/bin/env python3
"""kafka_proxy.py: a network that delays the end of Kafka's transactions.

  kafka_proxy.py DIRECTORY PORT BROKER_PORT

Passes requests on from PORT to BROKER_PORT.  DIRECTORY/mode says what becomes of
an EndTxn request (API key 26), read at each one:

  pass          it goes through
  cut PERCENT   so often, the client's connection is cut and the request kept,
                until the client has sent records of a later transaction: only
                then it reaches the broker, as a packet that went a long way round
  stall SECONDS once, it and what follows on its connection is held back for so
                long, and then let through, whether the client still waits or not

DIRECTORY/kept has a line for each request that was kept, DIRECTORY/late one for
each that reached the broker after all, with the broker's error code.
"""
import asyncio
import random
import struct
import sys

from wire_check import Place

PRODUCE, INIT_PRODUCER_ID, ADD_PARTITIONS, END_TXN = 0, 22, 24, 26
place = Place(sys.argv[1])
kept = []
releases = []


async def read_frame(reader):
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack('>i', head)[0])


def api_key(frame):
    return struct.unpack('>h', frame[4:6])[0]


async def release(reader, writer, frame):
    """On the connection that it was sent on, whose client has gone."""
    await asyncio.sleep(0.02)
    try:
        writer.write(frame)
        while True:
            answer = await asyncio.wait_for(read_frame(reader), 5)
            if answer[4:8] == frame[8:12]:
                break
        # EndTxn up to version 2: throttle time, error; from 3 on a byte of tags before
        version = struct.unpack('>h', frame[6:8])[0]
        at = 8 + (1 if version >= 3 else 0) + 4
        place.append('late', f'{struct.unpack(">h", answer[at:at + 2])[0]}\n')
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.TimeoutError) as error:
        place.append('late', f'{type(error).__name__}\n')
    writer.close()


async def answers(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def client(reader, writer):
    try:
        to_reader, to_writer = await asyncio.open_connection('127.0.0.1', int(sys.argv[3]))
    except ConnectionError:
        writer.close()
        return
    back = asyncio.ensure_future(answers(to_reader, writer))
    try:
        while True:
            frame = await read_frame(reader)
            mode = place.read('mode', 'pass').split()
            if api_key(frame) == END_TXN and mode[0] == 'cut' and random.randrange(100) < int(mode[1]):
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
                place.append('kept', 'cut\n')
                kept.append((to_reader, to_writer, frame))
                writer.transport.abort()
                return
            if api_key(frame) == END_TXN and mode[0] == 'stall':
                place.write('mode', 'pass')
                place.append('kept', 'stall\n')
                await asyncio.sleep(float(mode[1]))
                place.append('late', 'stalled\n')
            to_writer.write(frame)
            await to_writer.drain()
            if api_key(frame) == PRODUCE and kept:
                releases.append(asyncio.ensure_future(release(*kept.pop(0))))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    to_writer.close()
    writer.close()


async def main():
    await asyncio.start_server(client, '127.0.0.1', int(sys.argv[2]))
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
