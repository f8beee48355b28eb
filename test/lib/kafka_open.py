"""kafka_open.py PLACE ADDRESS TOPIC: holds a transaction with one message open in the
topic, from PLACE/ready on, until it is told to end."""
import signal
import sys

from confluent_kafka import Producer

signal.signal(signal.SIGTERM, lambda *_: None)
place, address, topic = sys.argv[1:]
producer = Producer({'bootstrap.servers': address, 'transactional.id': 'somebody'})
producer.init_transactions()
producer.begin_transaction()
producer.produce(topic, key='{"slot":"somebody"}', value='{}', partition=0)
producer.flush()
with open(place + '/ready', 'w') as file:
    file.write('yes\n')
signal.pause()
producer.abort_transaction()
