"""Reads a slot with psycopg2, confirms nothing, and prints a line per message.

usage: psycopg2_reader.py CONNINFO SLOT SECONDS [OPTION=VALUE]...

A line is the LSN that the message carries, a blank, and the start of its
payload.  The library answers the server's keepalives in the meantime, with
what it believes to be stored.  With SETTINGS as slot, START_REPLICATION is to
fail, and the lines are the session's settings before and after.
"""

import select
import sys
import time

import psycopg2
import psycopg2.extras

conninfo, slot, seconds = sys.argv[1:4]
options = dict(pair.split("=", 1) for pair in sys.argv[4:])
connection = psycopg2.connect(
    conninfo,
    connection_factory=psycopg2.extras.LogicalReplicationConnection,
)
cursor = connection.cursor()


def settings():
    names = ("DateStyle", "TimeZone", "IntervalStyle", "search_path")
    values = []
    for name in names:
        cursor.execute("SHOW " + name)
        values.append(cursor.fetchone()[0])
    return "; ".join(values)


def lsn(number):
    return "%X/%X" % (number >> 32, number & 0xFFFFFFFF)


before = settings()
try:
    cursor.start_replication(
        slot_name=slot, options=options, decode=True, status_interval=1
    )
    end = time.time() + float(seconds)
    while time.time() < end:
        message = cursor.read_message()
        if message is None:
            select.select([connection], [], [], 0.1)
            continue
        for line in message.payload.split("\n"):
            print(lsn(message.data_start), line[:200])
except psycopg2.Error as error:
    print("error", str(error).split("\n")[0])
    print("before", before)
    print("after", settings())
