"""mqtt_viewer.py PORT NAME TOPICS: a subscriber of QoS 2 that is no libmosquitto, and
prints messages as MqttTest.pm reads them.

libmosquitto 2.0 as a subscriber queues a message a second time that a restarted
broker sends again, and then gives out old ones in place of others with the same packet
identifier.
"""
import json
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, name, topics = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def on_connect(client, userdata, flags, reason, properties):
    if not flags.session_present:
        client.subscribe(topics, qos=2)


def on_message(client, userdata, message):
    properties = dict(getattr(message.properties, 'UserProperty', []))
    print('message ' + json.dumps({'topic': message.topic, 'payload': message.payload.decode(),
                                   'properties': {'user-properties': properties}}), flush=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
client.on_connect = on_connect
client.on_message = on_message
client.on_subscribe = lambda *_: print('received SUBACK', flush=True)
client.reconnect_delay_set(min_delay=1, max_delay=1)
properties = Properties(PacketTypes.CONNECT)
properties.SessionExpiryInterval = 3600
properties.ReceiveMaximum = 65535
client.connect('127.0.0.1', port, clean_start=False, properties=properties)
client.loop_forever(retry_first_connection=True)
