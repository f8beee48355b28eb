#!/usr/bin/env python3
"""slow_proxy.py DIRECTORY SERVER_SOCKET: what the client hears of PostgreSQL late, or never.

It listens on the port that it writes into DIRECTORY/port.  DIRECTORY/rate says how
many bytes a connection passes on from the server each second, 0: all that come.
With DIRECTORY/deaf nothing more comes from the server once the client has sent
what that file says.
"""
import asyncio
import sys

from wire_check import Place

place = Place(sys.argv[1])


class Connection:
    def __init__(self):
        self.is_deaf = False

    async def to_server(self, reader, writer):
        while data := await reader.read(65536):
            word = place.read('deaf', '').strip().encode()
            self.is_deaf |= bool(word) and word in data
            writer.write(data)
            await writer.drain()

    async def to_client(self, reader, writer):
        while True:
            rate = int(place.read('rate', '0'))
            data = await reader.read(rate or 65536)
            if not data:
                return
            if not self.is_deaf:
                writer.write(data)
                await writer.drain()
            if rate:
                await asyncio.sleep(len(data) / rate)

    async def run(self, reader, writer, up_reader, up_writer):
        tasks = [asyncio.create_task(self.to_server(reader, up_writer)),
                 asyncio.create_task(self.to_client(up_reader, writer))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
        up_writer.close()


async def serve(reader, writer):
    await Connection().run(reader, writer, *await asyncio.open_unix_connection(sys.argv[2]))


async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    place.write('port', str(server.sockets[0].getsockname()[1]))
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
