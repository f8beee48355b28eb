#!/usr/bin/env python3
"""tls_receiver.py: a webhook that is reached by TLS.

  tls_receiver.py DIRECTORY

Listens with DIRECTORY/NAME.cert and NAME.key for each name of DIRECTORY/names, on the
port that it writes into DIRECTORY/NAME.port.  A name that ends with "_asks" wants a
certificate of DIRECTORY/clients.cert.  What it takes goes to DIRECTORY/log, a line a
request: the name it came to, and the subject of the client's certificate.
"""
import asyncio
import ssl
import sys

from wire_check import Place

place = Place(sys.argv[1])


async def serve(name, reader, writer):
    certificate = writer.get_extra_info('peercert') or {}
    subject = ''.join(value for part in certificate.get('subject', ()) for _, value in part)
    try:
        while head := await reader.readuntil(b'\r\n\r\n'):
            length = [int(line.split(b':')[1]) for line in head.split(b'\r\n')
                      if line.lower().startswith(b'content-length:')]
            await reader.readexactly(length[0] if length else 0)
            place.append('log', f'{name} {subject}\n')
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass
    writer.close()


async def main():
    for name in place.read('names', '').split():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place.path(name + '.cert'), place.path(name + '.key'))
        if name.endswith('_asks'):
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(place.path('clients.cert'))
        server = await asyncio.start_server(
            lambda reader, writer, name=name: serve(name, reader, writer),
            '127.0.0.1', 0, ssl=context)
        place.write(name + '.port', str(server.sockets[0].getsockname()[1]))
    place.write('ready', 'yes')
    await asyncio.Event().wait()

asyncio.run(main())
