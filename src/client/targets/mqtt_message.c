/*
 * mqtt_message.c
 *		Topics, properties and reason codes of MQTT.
 *
 * Identifiers and key values are written into topics with %XX for what MQTT or
 * the template give a meaning, so that no two of them meet in one topic.
 */
#ifdef HAVE_MOSQUITTO

#include "client/targets/mqtt_message.h"

#if LIBMOSQUITTO_VERSION_NUMBER < 2001000
#include <mqtt_protocol.h> /* later part of the other */
#endif
#include <stdlib.h>
#include <string.h>

#define CONTENT_TYPE "application/json"

MqttVerdict
mqtt_verdict(int reason)
{
	switch (reason)
	{
		case MQTT_RC_NO_MATCHING_SUBSCRIBERS:
			return MQTT_UNMATCHED;
		case MQTT_RC_PACKET_TOO_LARGE:
		case MQTT_RC_TOPIC_NAME_INVALID:
		case MQTT_RC_PAYLOAD_FORMAT_INVALID:
			return MQTT_REJECTED;
		case MQTT_RC_UNSPECIFIED:
		case MQTT_RC_IMPLEMENTATION_SPECIFIC:
		case MQTT_RC_SERVER_UNAVAILABLE:
		case MQTT_RC_SERVER_BUSY:
		case MQTT_RC_SERVER_SHUTTING_DOWN:
		case MQTT_RC_KEEP_ALIVE_TIMEOUT:
		case MQTT_RC_PACKET_ID_IN_USE:
		case MQTT_RC_PACKET_ID_NOT_FOUND:
		case MQTT_RC_RECEIVE_MAXIMUM_EXCEEDED:
		case MQTT_RC_MESSAGE_RATE_TOO_HIGH:
		case MQTT_RC_QUOTA_EXCEEDED:
		case MQTT_RC_ADMINISTRATIVE_ACTION:
		case MQTT_RC_USE_ANOTHER_SERVER:
		case MQTT_RC_CONNECTION_RATE_EXCEEDED:
		case MQTT_RC_MAXIMUM_CONNECT_TIME:
			return MQTT_AGAIN;
		default:
			return reason < 0x80 ? MQTT_TAKEN : MQTT_REFUSED;
	}
}

RetryReason
mqtt_retry_reason(int reason)
{
	switch (reason)
	{
		case MQTT_RC_SERVER_BUSY:
		case MQTT_RC_RECEIVE_MAXIMUM_EXCEEDED:
		case MQTT_RC_MESSAGE_RATE_TOO_HIGH:
		case MQTT_RC_QUOTA_EXCEEDED:
		case MQTT_RC_CONNECTION_RATE_EXCEEDED:
			return RETRY_THROTTLED;
		case MQTT_RC_KEEP_ALIVE_TIMEOUT:
			return RETRY_TIMEOUT;
		default:
			return RETRY_ERROR;
	}
}

static const char *const placeholders[] = {
	"prefix", "slot", "op", "schema", "table", "key",
};
#define FIRST_OF_TABLES 3 /* of them */

/* The placeholder that starts there with its brace; -1: none. */
static int
find_placeholder(const char *p)
{
	size_t i;

	for (i = 0; i < sizeof(placeholders) / sizeof(placeholders[0]); i++)
	{
		size_t length = strlen(placeholders[i]);

		if (strncmp(p + 1, placeholders[i], length) == 0 &&
			p[length + 1] == '}')
			return i;
	}
	return -1;
}

void
mqtt_topics(MqttTopics *topics, const Settings *settings, const char *prefix)
{
	const char *p;

	topics->form = settings->mqtt_topic;
	topics->prefix = prefix;
	topics->slot = settings->slot ? settings->slot : "replay";
	if (*topics->form == '\0' ||
		mosquitto_pub_topic_check(topics->form) != MOSQ_ERR_SUCCESS)
		client_exit(EXIT_USAGE, "--mqtt-topic can't be \"%s\"", topics->form);
	for (p = topics->form; *p; p++)
	{
		int found = *p == '{' ? find_placeholder(p) : 0;

		if (found < 0)
			client_exit(EXIT_USAGE,
						"--mqtt-topic knows {prefix}, {slot}, {op}, {schema}, "
						"{table} and {key}, not \"%s\"",
						p);
		if (found >= FIRST_OF_TABLES)
			topics->of_tables = true;
	}
}

/*
 * Bytes that end or split a level, or are no part of a topic.  All that is not
 * ASCII is escaped if it has characters that MQTT forbids (section 1.5.4).
 */
static void
add_escaped(Bytes *topic, const char *text, size_t length)
{
	bool   ascii = mosquitto_validate_utf8(text, length) != MOSQ_ERR_SUCCESS;
	size_t i;

	for (i = 0; i < length; i++)
	{
		unsigned char c = text[i];

		if (c < 0x20 || c == 0x7F || strchr("%+#/$,", c) ||
			(ascii && c >= 0x80))
			mem_format(topic, "%%%02X", c);
		else
			mem_append(topic, &text[i], 1);
	}
}

static void
add_name(Bytes *topic, const char *name)
{
	if (name)
		add_escaped(topic, name, strlen(name));
}

/* The values of {"a":1,"b":"x"}: 1,x */
static void
add_key(Bytes *topic, const Bytes *key)
{
	const char *p;
	const char *end;
	const char *separator = "";

	if (key->length == 0)
		return;
	p = key->data + 1;
	end = key->data + key->length;
	while (p < end && *p == '"')
	{
		JsonValue value;
		char	 *text;

		p += json_value_length(p, end) + 1;
		value = (JsonValue){p, json_value_length(p, end)};
		text = json_unquoted(&value);
		mem_add(topic, separator);
		if (text)
			add_name(topic, text);
		else
			add_escaped(topic, value.data, value.length);
		free(text);
		separator = ",";
		p += value.length + 1;
	}
}

void
mqtt_topic(Bytes *topic, const MqttTopics *topics, const Facts *facts,
		   const Record *record)
{
	const char *values[] = {
		topics->prefix, topics->slot, facts->op, facts->schema, facts->table,
	};
	const char *p;

	mem_reset(topic);
	if (topics->of_tables && !facts_of_table(facts, record))
	{
		mem_format(topic, "%s/%s", topics->prefix, facts_kind(record));
		return;
	}
	for (p = topics->form; *p; p++)
	{
		int found = *p == '{' ? find_placeholder(p) : -1;

		if (found < 0)
			mem_append(topic, p, 1);
		else
		{
			if (found == 0)
				mem_add(topic, topics->prefix);
			else if (placeholders[found][0] == 'k')
			{
				if (facts->key.length)
					add_key(topic, &facts->key);
			}
			else
				add_name(topic, values[found]);
			p += strlen(placeholders[found]) + 1;
		}
	}
}

void
mqtt_row_topic(Bytes *topic, const MqttTopics *topics, const Facts *facts,
			   const Bytes *key)
{
	mem_reset(topic);
	mem_format(topic, "%s/", topics->prefix);
	add_name(topic, facts->schema);
	mem_add(topic, "/");
	add_name(topic, facts->table);
	mem_add(topic, "/row/");
	add_key(topic, key);
}

/* Bytes of a variable byte integer (section 1.5.5). */
static size_t
varint_size(size_t value)
{
	size_t size = 1;

	while (value >>= 7)
		size++;
	return size;
}

static size_t
properties_size(const MqttMessage *message)
{
	/* an identifier, and texts by their length in two bytes */
	size_t size = 2 + 3 + strlen(CONTENT_TYPE);

	size += 5 + strlen("id") + strlen(message->id);
	if (message->op)
		size += 5 + strlen("op") + strlen(message->op);
	if (*message->lsn)
		size += 5 + strlen("lsn") + strlen(message->lsn);
	return size;
}

size_t
mqtt_packet_size(const MqttMessage *message)
{
	size_t properties = properties_size(message);
	size_t rest = 2 + strlen(message->topic) + 2 + varint_size(properties) +
				  properties + message->length;

	return 1 + varint_size(rest) + rest;
}

mosquitto_property *
mqtt_properties(const MqttMessage *message)
{
	mosquitto_property *list = NULL;
	int					failed;

	failed = mosquitto_property_add_byte(
		&list, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1);
	failed |= mosquitto_property_add_string(&list, MQTT_PROP_CONTENT_TYPE,
											CONTENT_TYPE);
	failed |= mosquitto_property_add_string_pair(
		&list, MQTT_PROP_USER_PROPERTY, "id", message->id);
	if (message->op)
		failed |= mosquitto_property_add_string_pair(
			&list, MQTT_PROP_USER_PROPERTY, "op", message->op);
	if (*message->lsn)
		failed |= mosquitto_property_add_string_pair(
			&list, MQTT_PROP_USER_PROPERTY, "lsn", message->lsn);
	if (failed)
		client_exit(EXIT_FAILED, "libmosquitto takes no properties");
	return list;
}

void
mqtt_message_free(MqttMessage *message)
{
	free(message->topic);
	free(message->id);
	free(message->op);
	free(message->rejected);
}

#endif /* HAVE_MOSQUITTO */
