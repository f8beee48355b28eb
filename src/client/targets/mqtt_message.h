/*
 * mqtt_message.h
 *		What a record is as MQTT messages: topics, properties, size, and what
 *		the broker's answers mean.  MQTT Version 5.0, OASIS Standard.
 */
#ifndef CLIENT_MQTT_MESSAGE_H
#define CLIENT_MQTT_MESSAGE_H

#include <mosquitto.h>

#include "client/targets/facts.h"

/* One message; its payload lies in the record. */
typedef struct MqttMessage
{
	Record		record;
	char	   *topic;
	char	   *id;
	char	   *op;
	char		lsn[24];
	const char *payload;
	size_t		length;
	const char *flaw;	/* why it can't be sent; NULL: it can */
	bool		is_row; /* a row's last state, retained */
	bool		last;	/* of its record */
	int			mid;	/* packet identifier */
	bool		acknowledged;
	char	   *rejected; /* why the broker, or we, refuse it; NULL */
} MqttMessage;

/* What follows from a reason code (section 2.4). */
typedef enum MqttVerdict
{
	MQTT_TAKEN,
	MQTT_UNMATCHED, /* taken, but nobody has subscribed to that topic */
	MQTT_REJECTED,	/* that message, and again if it came again */
	MQTT_AGAIN,		/* passes */
	MQTT_REFUSED,	/* for good */
} MqttVerdict;
extern MqttVerdict mqtt_verdict(int reason);

/* What one that may mend counts as. */
extern RetryReason mqtt_retry_reason(int reason);

/* Of --mqtt-topic; ends the program if the template is none. */
typedef struct MqttTopics
{
	const char *form; /* {prefix}/{schema}/{table} */
	const char *prefix;
	const char *slot;
	bool		of_tables; /* it names tables: other records go elsewhere */
} MqttTopics;
extern void mqtt_topics(MqttTopics *topics, const Settings *settings,
						const char *prefix);

/* The topic of a record, and the one where a row's last state is retained. */
extern void mqtt_topic(Bytes *topic, const MqttTopics *topics,
					   const Facts *facts, const Record *record);
extern void mqtt_row_topic(Bytes *topic, const MqttTopics *topics,
						   const Facts *facts, const Bytes *key);

/* Bytes of its PUBLISH packet, of QoS 1 or 2 (section 3.3). */
extern size_t mqtt_packet_size(const MqttMessage *message);

/* New ones. */
extern mosquitto_property *mqtt_properties(const MqttMessage *message);

extern void mqtt_message_free(MqttMessage *message);

#endif
