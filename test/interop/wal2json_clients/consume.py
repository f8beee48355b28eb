# consume.py CONNECTION SLOT OPTIONS LAST: prints what psycopg2 receives of a
# slot, one message a line, and confirms each, up to the first with LAST in it.
# CONNECTION and OPTIONS are JSON.
import json
import sys

import psycopg2
from psycopg2.extras import LogicalReplicationConnection, StopReplication

connection, slot, options, last = sys.argv[1:]


def take(message):
    print(message.payload)
    message.cursor.send_feedback(flush_lsn=message.data_start)
    if last in message.payload:
        raise StopReplication


cursor = psycopg2.connect(
    connection_factory=LogicalReplicationConnection, **json.loads(connection)
).cursor()
cursor.start_replication(slot_name=slot, decode=True, options=json.loads(options))
try:
    cursor.consume_stream(take)
except StopReplication:
    pass
