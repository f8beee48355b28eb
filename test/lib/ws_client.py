"""ws_client.py URL COMMAND [ARGUMENT]...: what a client of pg_outflow's WebSocket sees.

follow FILE        subscribes, comes back after every cut where it was, and appends each
                   new record to FILE, until it is killed; FILE.refetch: it was told to
raw MESSAGE...     sends messages (bytes after "hex:", text of N kB after "big:"), prints
                   answers and the close code
read SECONDS JSON  subscribes by JSON, acknowledges nothing, prints what comes
quiet SECONDS JSON the same, until nothing more has come for so long after the answer
until TEXT JSON    the same, until a message has that text
hold SECONDS       says nothing, prints what comes
crowd N            that many clients at once: how many have subscribed, and how many of them
                   got a record then
"""
import asyncio
import json
import os
import sys

import websockets


def subscribe(**more):
    return json.dumps({'type': 'subscribe', 'token': os.environ.get('TOKEN'), **more})


async def follow(url, path):
    position = last = None
    with open(path, 'a') as out:
        while True:
            try:
                async with websockets.connect(url, max_size=None) as socket:
                    await socket.send(subscribe(**({'after': position} if position else {})))
                    async for text in socket:
                        message = json.loads(text)
                        if message.get('refetch'):
                            open(path + '.refetch', 'a').write(text + '\n')
                            last = None
                        for record in message.get('records', []):
                            if 'id' in record and last is not None and record['id'] <= last:
                                continue
                            out.write(json.dumps(record, separators=(',', ':')) + '\n')
                            last = record.get('id', last)
                        out.flush()
                        position = message.get('position', position)
                        open(path + '.position', 'w').write(position)
                        if 'bytes' in message:
                            await socket.send(json.dumps({'type': 'ack', 'bytes': message['bytes']}))
            except (OSError, websockets.exceptions.WebSocketException, asyncio.TimeoutError):
                await asyncio.sleep(0.1)


async def closing(socket, seconds):
    try:
        async with asyncio.timeout(seconds):
            async for text in socket:
                print(text, flush=True)
    except TimeoutError:
        print('open')
        return
    except websockets.exceptions.ConnectionClosed:
        pass
    print('closed', socket.close_code, socket.close_reason)


async def raw(url, *messages):
    origin = os.environ.get('ORIGIN')
    try:
        async with websockets.connect(url, max_size=None, origin=origin) as socket:
            for message in messages:
                if message.startswith('hex:'):
                    await socket.send(bytes.fromhex(message[4:]))
                elif message.startswith('utf8:'):
                    # a text frame that is none, past the library's own check
                    socket.transport.write(bytes([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]))
                elif message.startswith('big:'):
                    await socket.send('x' * int(message[4:]) * 1024)
                elif message == 'subscribe':
                    await socket.send(subscribe())
                else:
                    await socket.send(message)
            await closing(socket, 3)
    except websockets.exceptions.InvalidStatus as error:
        print('refused', error.response.status_code)
    except websockets.exceptions.ConnectionClosed as error:
        print('closed', error.rcvd.code if error.rcvd else 1006)


async def read(url, seconds, text):
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(text)
        await closing(socket, float(seconds))


async def quiet(url, seconds, text):
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(text)
        try:
            print(await socket.recv(), flush=True)
            while True:
                print(await asyncio.wait_for(socket.recv(), float(seconds)), flush=True)
        except asyncio.TimeoutError:
            print('open')
        except websockets.exceptions.ConnectionClosed:
            print('closed', socket.close_code, socket.close_reason)


async def until(url, wanted, text):
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(text)
        async for message in socket:
            print(message, flush=True)
            if wanted in message:
                break


async def hold(url, seconds):
    async with websockets.connect(url, max_size=None) as socket:
        await closing(socket, float(seconds))


async def crowd(url, count):
    sockets = []
    for _ in range(int(count)):
        socket = await websockets.connect(url, max_size=None, ping_interval=None)
        await socket.send(subscribe())
        await socket.recv()
        sockets.append(socket)
    print('subscribed', len(sockets), flush=True)

    async def gets_a_record(socket):
        while not json.loads(await socket.recv()).get('records'):
            pass
        return True

    print('received', sum(await asyncio.gather(*map(gets_a_record, sockets))))


asyncio.run({
    'crowd': crowd, 'follow': follow, 'hold': hold, 'quiet': quiet, 'raw': raw, 'read': read, 'until': until,
}[sys.argv[2]](sys.argv[1], *sys.argv[3:]))
