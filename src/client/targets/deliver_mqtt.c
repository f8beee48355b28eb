/*
 * deliver_mqtt.c
 *		mqtt://, mqtts://[USER:PASSWORD@]HOST[:PORT]/PREFIX: messages of an MQTT 5
 *		broker.
 *
 * A record is taken when the broker has acknowledged all of its messages: PUBACK
 * with QoS 1, PUBCOMP with QoS 2.  Messages stay in a queue of ours until then,
 * in order, and never more of them are under way than the broker allows, so that
 * nothing piles up in libmosquitto.  After a lost connection what was not
 * acknowledged goes again before anything new, in the same order.
 *
 * libmosquitto's socket is watched by our loop; there is no thread: see
 * mqtt_connection.c.
 */
#ifdef HAVE_MOSQUITTO

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/loop.h"
#include "client/targets/mqtt_connection.h"
#include "client/targets/targets.h"

#define MQTT_MAX_PACKET 268435455

/*
 * All messages of a record are out of the way.  They share its memory, which is
 * let go only now.
 */
static void
end_record(MqttTarget *self, const Record *record)
{
	if (self->rejection)
		target_rejected(&self->base, record, self->rejection);
	else
		target_taken(&self->base, record->number, record->number);
	free(self->rejection);
	self->rejection = NULL;
}

/* One is out of the way, with all of them before it. */
static void
shift_acknowledged(MqttTarget *self)
{
	while (self->sent > 0 && mqtt_message_at(self, 0)->acknowledged)
	{
		MqttMessage *message = mqtt_message_at(self, 0);

		if (message->rejected && self->rejection == NULL)
		{
			self->rejection = message->rejected;
			message->rejected = NULL;
		}
		if (message->last)
			end_record(self, &message->record);
		mqtt_message_free(message);
		self->first = (self->first + 1) % self->allocated;
		self->count--;
		self->sent--;
		self->acknowledged--;
	}
}

static void
reject(MqttTarget *self, MqttMessage *message, const char *reason)
{
	message->rejected = client_strdup(reason);
	message->acknowledged = true;
	self->acknowledged++;
}

static void
judge_message(MqttTarget *self, MqttMessage *message, int reason)
{
	MqttVerdict verdict = mqtt_verdict(reason);
	const char *why = mosquitto_reason_string(reason);

	if (verdict == MQTT_UNMATCHED)
		verdict =
			message->is_row || self->base.settings->mqtt_unmatched[0] == 'a'
				? MQTT_TAKEN
				: MQTT_REJECTED;
	switch (verdict)
	{
		case MQTT_TAKEN:
			message->acknowledged = true;
			self->acknowledged++;
			self->base.counts.requests++;
			self->base.counts.bytes += message->length;
			self->base.counts.records += message->last;
			break;
		case MQTT_REJECTED:
			reject(self, message, why);
			break;
		case MQTT_REFUSED:
			client_exit(EXIT_TARGET, "%s: topic \"%s\": %s", self->base.name,
						message->topic, why);
		default:
			/* what follows it must not pass it */
			mqtt_lost(self, true, mqtt_retry_reason(reason), why);
	}
}

/* PUBACK, PUBCOMP, or a PUBREC that ends it. */
static void
mqtt_acknowledged(MqttTarget *self, int mid, int reason)
{
	size_t i;

	/* the one before must go again, and these after it */
	if (self->restart)
		return;
	for (i = 0; i < self->sent; i++)
	{
		MqttMessage *message = mqtt_message_at(self, i);

		if (message->mid == mid && !message->acknowledged)
		{
			judge_message(self, message, reason);
			break;
		}
	}
	shift_acknowledged(self);
}

static void
grow_ring(MqttTarget *self)
{
	size_t		 allocated = self->allocated ? self->allocated * 2 : 64;
	MqttMessage *messages = client_alloc(allocated * sizeof(MqttMessage));

	for (size_t i = 0; i < self->count; i++)
		messages[i] = *mqtt_message_at(self, i);
	free(self->messages);
	self->messages = messages;
	self->allocated = allocated;
	self->first = 0;
}

/* One to the topic in self->topic. */
static MqttMessage *
add_message(MqttTarget *self, const Record *record)
{
	MqttMessage *message;

	if (self->count == self->allocated)
		grow_ring(self);
	message = mqtt_message_at(self, self->count++);
	*message = (MqttMessage){
		.record = *record,
		.topic = client_strdup(self->topic.data),
		.id = client_strdup(self->facts.id),
		.op = self->facts.op ? client_strdup(self->facts.op) : NULL,
		.payload = record->data,
		.length = record->length - 1,
	};
	memcpy(message->lsn, self->facts.lsn, sizeof(message->lsn));
	return message;
}

/* What a record makes of the retained rows: its last message. */
static MqttMessage *
add_rows(MqttTarget *self, const Record *record)
{
	const Facts *facts = &self->facts;
	MqttMessage *message;
	JsonValue	 row;

	facts_row_key(facts, &self->base, record, &self->row_key);
	if (facts->key.length)
		mqtt_row_topic(&self->topic, &self->topics, facts, &facts->key);
	message = add_message(self, record);
	message->is_row = true;
	message->length = 0; /* nothing is retained */
	if (facts->key.length == 0)
		message->flaw = facts->op && strcmp(facts->op, "truncate") == 0
							? "a TRUNCATE leaves the rows retained"
							: "a row without a key can't be retained";
	if (facts->is_delete || message->flaw)
		return message;
	mqtt_row_topic(&self->topic, &self->topics, facts, &self->row_key);
	if (strcmp(message->topic, self->topic.data) != 0)
	{
		message = add_message(self, record);
		message->is_row = true;
	}
	if (self->row_key.length == 0 ||
		json_find(record->data, record->length - 1, "unchanged", &row) ||
		json_find(record->data, record->length - 1, "omitted", &row) ||
		!json_find(record->data, record->length - 1, "new", &row))
	{
		message->flaw = "the row is not complete: retained rows need "
						"REPLICA IDENTITY FULL";
		return message;
	}
	message->payload = row.data;
	message->length = row.length;
	return message;
}

static void
mqtt_take_record(MqttTarget *self, const Record *record)
{
	MqttMessage *message;

	facts_read(&self->facts, &self->base, record);
	mqtt_topic(&self->topic, &self->topics, &self->facts, record);
	message = add_message(self, record);
	if (self->base.settings->mqtt_rows && facts_of_table(&self->facts, record))
		message = add_rows(self, record);
	message->last = true;
}

/* Why it must not be sent; a new text, NULL: it may. */
static char *
find_flaw(const MqttTarget *self, const MqttMessage *message)
{
	size_t size;

	if (message->flaw)
		return client_strdup(message->flaw);
	size = mqtt_packet_size(message);
	if (strlen(message->topic) > UINT16_MAX)
		return client_format("its topic has %zu bytes",
							 strlen(message->topic));
	if (size > MQTT_MAX_PACKET || size > self->max_packet)
		return client_format(
			"a packet of %zu bytes is too large: at most %zu", size,
			self->max_packet < MQTT_MAX_PACKET ? self->max_packet
											   : (size_t) MQTT_MAX_PACKET);
	return NULL;
}

/* False if the connection is gone. */
static bool
publish(MqttTarget *self, MqttMessage *message)
{
	mosquitto_property *properties = mqtt_properties(message);
	int					result;

	result = mosquitto_publish_v5(self->client, &message->mid, message->topic,
								  message->length, message->payload, self->qos,
								  message->is_row, properties);
	mosquitto_property_free_all(&properties);
	/* of these it keeps none; of all others it has a copy to send again */
	if (result == MOSQ_ERR_INVAL || result == MOSQ_ERR_MALFORMED_UTF8 ||
		result == MOSQ_ERR_PAYLOAD_SIZE || result == MOSQ_ERR_OVERSIZE_PACKET)
		reject(self, message, mosquitto_strerror(result));
	else
		mqtt_check(self, result);
	return self->lost.length == 0;
}

/* Those that are in the ring and may go now; true once none is left. */
static bool
send_waiting(MqttTarget *self)
{
	while (self->sent < self->count)
	{
		MqttMessage *message = mqtt_message_at(self, self->sent);
		char		*flaw;

		if (self->sent - self->acknowledged >= self->window ||
			self->lost.length > 0)
			return false;
		self->sent++;
		if (message->acknowledged)
			self->acknowledged++;
		else if ((flaw = find_flaw(self, message)) != NULL)
		{
			reject(self, message, flaw);
			free(flaw);
		}
		else if (!publish(self, message))
			return false;
	}
	shift_acknowledged(self);
	return true;
}

static void
mqtt_take_records(MqttTarget *self)
{
	Record record;

	while (target_peek(&self->base, &record))
	{
		if (record.wanted &&
			(self->phase != MQTT_READY || !send_waiting(self)))
			return;
		target_next(&self->base, &record);
		if (record.wanted)
			mqtt_take_record(self, &record);
		else
			target_taken(&self->base, record.number, record.number);
	}
	if (self->phase == MQTT_READY)
		send_waiting(self);
}

static void
mqtt_work(Target *target)
{
	MqttTarget *self = (MqttTarget *) target;

	if (self->phase == MQTT_UNUSED)
		return;
	mqtt_connection_work(self);
	mqtt_take_records(self);
	mqtt_connection_settle(self);
	target->wake_at = self->next_at;
}

static Target *
mqtt_open(const Url *url, const Settings *settings)
{
	MqttTarget *self = client_alloc(sizeof(MqttTarget));

	mqtt_connection_init(self, url, settings);
	self->acknowledged_message = mqtt_acknowledged;
	mqtt_topics(&self->topics, settings, url->path + 1);
	if (self->qos != 1 && self->qos != 2)
		client_exit(EXIT_USAGE, "--mqtt-qos is 1 or 2");
	if (settings->mqtt_inflight < 1 ||
		settings->mqtt_inflight > MQTT_MAX_INFLIGHT)
		client_exit(EXIT_USAGE, "--mqtt-inflight is between 1 and %d",
					MQTT_MAX_INFLIGHT);
	/* libmosquitto doesn't pass the reason code of a PUBREC on */
	if (self->qos == 2 && strcmp(settings->mqtt_unmatched, "reject") == 0)
		client_exit(EXIT_USAGE, "--mqtt-unmatched=reject needs QoS 1");
	return &self->base;
}

static void
mqtt_resume(Target *target, const Identity *identity)
{
	MqttTarget	   *self = (MqttTarget *) target;
	const Settings *settings = target->settings;

	if (settings->mqtt_rows && strcmp(target->format->name, "json") != 0)
		client_exit(EXIT_USAGE, "--mqtt-rows needs the format json");
	self->client_id = settings->mqtt_client_id
						  ? client_strdup(settings->mqtt_client_id)
						  : client_format("outflow-%s-%s", identity->system_id,
										  identity->slot);
	self->phase = MQTT_WAITING;
	self->next_at = 0;
}

static void
mqtt_close(Target *target)
{
	mqtt_connection_close((MqttTarget *) target);
}

/* Connection, TLS and login, as somebody else: a session is left to its owner. */
static bool
mqtt_probe(const Url *url, const Settings *settings, char **why)
{
	MqttTarget *self = (MqttTarget *) mqtt_open(url, settings);

	target_begin_probe(&self->base, url, settings);
	self->client_id = client_format("outflow-check-%ld", (long) getpid());
	self->keeps = false;
	self->phase = MQTT_WAITING;
	for (;;)
	{
		mqtt_connection_work(self);
		if (self->phase == MQTT_READY || self->lost.length > 0)
			break;
		mqtt_connection_settle(self);
		loop_wait(self->next_at);
	}
	if (self->phase != MQTT_READY)
		*why = client_strdup(self->lost.data);
	mqtt_connection_close(self);
	return *why == NULL;
}

const TargetOps mqtt_target = {
	.open = mqtt_open,
	.resume = mqtt_resume,
	.work = mqtt_work,
	.remember = target_remember_nothing,
	.close = mqtt_close,
	.probe = mqtt_probe,
};

#endif /* HAVE_MOSQUITTO */
