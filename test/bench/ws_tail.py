"""ws_tail.py PORT: prints what pg_outflow's WebSocket sends, as soon as it comes.
It does nothing else, so that it adds little to a latency."""
import os
import socket
import struct
import sys
import time

while True:
    try:
        connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
connection.sendall(b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                   b'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n')
buffered = connection.makefile('rb')
while buffered.readline() not in (b'\r\n', b''):
    pass
# from the first record on; nothing is acknowledged, so the window must hold all of
# it; masked by zeros
text = b'{"type":"subscribe","recent":1000,"window":16000000}'
connection.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
while head := buffered.read(2):
    size = head[1] & 127
    if size > 125:
        form = '>H' if size == 126 else '>Q'
        size, = struct.unpack(form, buffered.read(struct.calcsize(form)))
    payload = buffered.read(size)
    if head[0] & 15 == 1:
        os.write(1, payload + b'\n')
