"""pg_flood.py DIRECTORY ROW_BYTES: a PostgreSQL that answers without end.

It lets anybody in, and answers the first query with rows of that size until
nobody listens or it has sent 2 GB.  DIRECTORY/port has its port, DIRECTORY/sent
how many bytes it got rid of.
"""
import os
import socket
import struct
import sys

MOST = 2 << 30
directory, row_bytes = sys.argv[1], int(sys.argv[2])


def message(kind, body):
    return kind + struct.pack('!I', len(body) + 4) + body


def write(name, text):
    with open(os.path.join(directory, name + '.new'), 'w') as file:
        file.write(text + '\n')
    os.rename(os.path.join(directory, name + '.new'), os.path.join(directory, name))


def read_startup(client):
    while True:
        size = struct.unpack('!I', client.recv(4, socket.MSG_WAITALL))[0]
        client.recv(size - 4, socket.MSG_WAITALL)
        if size > 8:
            return
        client.sendall(b'N')        # no TLS here


listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(1)
listener.settimeout(300)
write('port', str(listener.getsockname()[1]))
write('ready', 'yes')
client = listener.accept()[0]
client.settimeout(300)
read_startup(client)
client.sendall(message(b'R', struct.pack('!I', 0))
               + message(b'S', b'server_version\x0015.1\0')
               + message(b'S', b'client_encoding\0UTF8\0')
               + message(b'Z', b'I'))
client.recv(65536)
head = b'D' + struct.pack('!IHI', 4 + 6 + row_bytes, 1, row_bytes)
filler = b'x' * 65536
sent = 0
try:
    client.sendall(message(b'1', b'') + message(b'2', b'')
                   + message(b'T', struct.pack('!H', 1) + b'x\0'
                             + struct.pack('!IHIhih', 0, 0, 25, -1, -1, 0)))
    while sent < MOST:
        client.sendall(head)
        for left in range(row_bytes, 0, -len(filler)):
            client.sendall(filler[:left])
            sent += min(left, len(filler))
except OSError:
    pass
write('sent', str(sent))
