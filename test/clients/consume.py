import json, sys, psycopg2, psycopg2.extras

source, target = sys.argv[1], psycopg2.connect(sys.argv[2])
stream = psycopg2.connect(source, connection_factory=psycopg2.extras.LogicalReplicationConnection).cursor()
stream.start_replication(slot_name="orders", decode=True, options={"nested": "text", "numbers": "string"})

def consume(message):
    record = json.loads(message.payload)
    if "id" in record:                  # one that comes again changes nothing
        target.cursor().execute("INSERT INTO changes VALUES (%s, %s) ON CONFLICT DO NOTHING",
                                (record["id"], message.payload))
    if record["op"] == "commit" or record.get("transactional") is False:
        target.commit()                 # first it is durable here, then the server may forget it
        stream.send_feedback(flush_lsn=message.data_start, force=True)

stream.consume_stream(consume)
