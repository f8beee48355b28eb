"""one_connection.py DSN STEP...: does the steps on one replication connection.

A step is SQL, whose values are printed, or "stream SLOT COUNT OPTIONS": so many records of
rows are received and printed.  An error is printed, and the next step follows.
Through libpq itself, as other clients don't end a stream without their connection.
"""
import ctypes
import re
import sys

pq = ctypes.CDLL('libpq.so.5')
for name in ('PQconnectdb', 'PQexec', 'PQgetResult'):
    getattr(pq, name).restype = ctypes.c_void_p
for name in ('PQgetvalue', 'PQresultErrorMessage', 'PQerrorMessage'):
    getattr(pq, name).restype = ctypes.c_char_p
COPY_BOTH = 8
connection = ctypes.c_void_p(pq.PQconnectdb(f'{sys.argv[1]} replication=database'.encode()))


def execute(command):
    result = ctypes.c_void_p(pq.PQexec(connection, command.encode()))
    for row in range(pq.PQntuples(result)):
        for column in range(pq.PQnfields(result)):
            print(pq.PQgetvalue(result, row, column).decode())
    error = pq.PQresultErrorMessage(result).decode()
    if error:
        print('error:', error.split('\n')[0])
    return pq.PQresultStatus(result) == COPY_BOTH


def receive(count):
    buffer = ctypes.c_void_p()
    while count and (size := pq.PQgetCopyData(connection, ctypes.byref(buffer), 0)) > 0:
        message = ctypes.string_at(buffer, size)
        pq.PQfreemem(buffer)
        if message[:1] == b'w' and re.search(rb'"op":"(insert|update|delete)"', message):
            print(message[25:].decode())
            count -= 1
    pq.PQputCopyEnd(connection, None)
    while pq.PQgetCopyData(connection, ctypes.byref(buffer), 0) > 0:
        pq.PQfreemem(buffer)
    while result := pq.PQgetResult(connection):
        error = pq.PQresultErrorMessage(ctypes.c_void_p(result)).decode()
        if error:
            print('error:', error.split('\n')[0])


for step in sys.argv[2:]:
    stream = re.fullmatch(r'stream (\w+) (\d+) ?(\(.*\))?', step)
    if stream is None:
        execute(step)
    elif execute(f'START_REPLICATION SLOT "{stream[1]}" LOGICAL 0/0 {stream[3] or ""}'):
        receive(int(stream[2]))
