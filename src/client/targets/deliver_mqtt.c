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
 * With QoS 2 the session outlives its connection: libmosquitto goes on with the
 * packet identifiers that the broker knows.  A session begins by wiping what the
 * broker may have of an earlier one, whose identifiers nobody knows any more.
 *
 * libmosquitto's socket is watched by our loop; there is no thread.
 */
#ifdef HAVE_MOSQUITTO

#include <errno.h>
#include <mqtt_protocol.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/loop.h"
#include "client/targets/mqtt_message.h"
#include "client/targets/targets.h"

#define KEEPALIVE_S		60
#define MISC_MS			5000 /* how often libmosquitto looks at its clock */
#define CONNECT_MS		30000
#define MAX_INFLIGHT	65535
#define PORT			1883
#define PORT_TLS		8883
#define NO_LIMIT		((size_t) -1)
#define NO_KEEPALIVE_S	1 /* see store_properties() */
#define MQTT_MAX_PACKET 268435455

typedef enum MqttPhase
{
	MQTT_UNUSED, /* whose changes will come is not known yet */
	MQTT_WAITING,
	MQTT_CONNECTING,
	MQTT_WIPING, /* a session of earlier */
	MQTT_READY,
} MqttPhase;

typedef struct MqttTarget
{
	Target	   base;
	char	  *host;
	int		   port;
	const Url *url;
	MqttTopics topics;
	char	  *client_id;
	int		   qos;
	bool	   keeps; /* sessions outlive connections */

	MqttPhase		  phase;
	struct mosquitto *client;	   /* of libmosquitto; NULL: make one */
	bool			  is_wiped;	   /* no session is left of earlier */
	bool			  has_session; /* which the broker keeps */
	int				  fd;		   /* watched; -1 */
	unsigned		  attempt;
	long long		  next_at; /* to connect, to give up, to look after it */
	Bytes			  lost;	   /* why the connection is; empty: it isn't */
	bool			  restart; /* ... and the session with it */

	/* what the broker takes, as its CONNACK says */
	size_t window;
	size_t max_packet;

	/* messages that are not acknowledged, a ring: those sent, then others */
	MqttMessage *messages;
	size_t		 allocated;
	size_t		 first;
	size_t		 count;
	size_t		 sent;
	size_t		 acknowledged; /* among those sent */

	KeyMemory *keys;
	Facts	   facts;
	Bytes	   topic;
	Bytes	   row_key;
} MqttTarget;

static MqttMessage *
message_at(MqttTarget *self, size_t i)
{
	return &self->messages[(self->first + i) % self->allocated];
}

/* The connection is of no use any more; mqtt_work() sees to that. */
static void
mqtt_lost(MqttTarget *self, bool restart, const char *why)
{
	if (self->lost.length == 0)
		mem_add(&self->lost, why);
	self->restart |= restart;
}

/* A reason code ends the program, or the connection. */
static void
judge_connection(MqttTarget *self, const char *what, int reason)
{
	const char *hint = "";
	char	   *why;

	if (reason == MQTT_RC_SESSION_TAKEN_OVER)
		hint = ": another client uses the same client identifier";
	if (mqtt_verdict(reason) == MQTT_REFUSED ||
		mqtt_verdict(reason) == MQTT_REJECTED)
		client_exit(EXIT_TARGET, "%s: %s: %s%s", self->base.name, what,
					mosquitto_reason_string(reason), hint);
	why = client_format("%s: %s", what, mosquitto_reason_string(reason));
	mqtt_lost(self, false, why);
	free(why);
}

static void
read_limits(MqttTarget *self, const mosquitto_property *properties)
{
	uint16_t receive_maximum = MAX_INFLIGHT;
	uint32_t max_packet = 0;
	uint8_t	 max_qos = 2;
	uint8_t	 retains = 1;

	mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM,
								  &receive_maximum, false);
	mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE,
								  &max_packet, false);
	mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &max_qos,
								 false);
	mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE,
								 &retains, false);
	if (max_qos < self->qos)
		client_exit(EXIT_TARGET, "%s takes no more than QoS %d",
					self->base.name, max_qos);
	if (!retains && self->base.settings->mqtt_rows)
		client_exit(EXIT_TARGET,
					"%s retains no messages, as --mqtt-rows needs",
					self->base.name);
	self->window = self->base.settings->mqtt_inflight;
	if (self->window > receive_maximum)
		self->window = receive_maximum;
	self->max_packet = max_packet ? max_packet : NO_LIMIT;
}

static void
on_connect(struct mosquitto *client, void *argument, int reason, int flags,
		   const mosquitto_property *properties)
{
	MqttTarget *self = argument;

	(void) client;
	if (reason != 0)
	{
		judge_connection(self, "the broker refuses", reason);
		return;
	}
	if (self->phase == MQTT_WIPING)
	{
		self->is_wiped = true;
		mqtt_lost(self, false, "wiped");
		return;
	}
	read_limits(self, properties);
	/* bit 0: the broker has the session */
	if (self->has_session && !(flags & 1))
	{
		mqtt_lost(self, true, "the broker has lost the session");
		return;
	}
	self->has_session = self->keeps;
	self->phase = MQTT_READY;
	self->next_at = clock_ms() + MISC_MS;
	self->attempt = 0;
	log_message(LOG_INFO, "connected to %s, %zu messages under way at most",
				self->base.name, self->window);
}

static void
on_disconnect(struct mosquitto *client, void *argument, int reason,
			  const mosquitto_property *properties)
{
	MqttTarget *self = argument;

	(void) client;
	(void) properties;
	if (reason >= 0x80)
		judge_connection(self, "the broker disconnects", reason);
	else
		mqtt_lost(self, false, mosquitto_strerror(reason));
}

/* One is out of the way, with all of them before it. */
static void
shift_acknowledged(MqttTarget *self)
{
	while (self->sent > 0 && message_at(self, 0)->acknowledged)
	{
		MqttMessage *message = message_at(self, 0);

		if (message->last)
			target_taken(&self->base, message->record.number,
						 message->record.number);
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
	target_rejected(&self->base, &message->record, reason);
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
			mqtt_lost(self, true, why);
	}
}

/* PUBACK, PUBCOMP, or a PUBREC that ends it. */
static void
on_publish(struct mosquitto *client, void *argument, int mid, int reason,
		   const mosquitto_property *properties)
{
	MqttTarget *self = argument;
	size_t		i;

	(void) client;
	(void) properties;
	for (i = 0; i < self->sent; i++)
	{
		MqttMessage *message = message_at(self, i);

		if (message->mid == mid && !message->acknowledged)
		{
			judge_message(self, message, reason);
			break;
		}
	}
	shift_acknowledged(self);
}

/* Of a certificate that isn't trusted libmosquitto tells the log alone. */
static void
on_log(struct mosquitto *client, void *argument, int level, const char *text)
{
	MqttTarget *self = argument;

	(void) client;
	(void) level;
	if (self->phase != MQTT_READY && (strstr(text, "certificate verify") ||
									  strstr(text, "host name verification")))
		client_exit(EXIT_TARGET, "%s: %s", self->base.name, text);
	log_message(LOG_DEBUG, "libmosquitto: %s", text);
}

static void
set_tls(MqttTarget *self)
{
	const Settings *settings = self->base.settings;

	if (strcmp(self->url->scheme, "mqtts") != 0)
		return;
	if (mosquitto_tls_set(
			self->client, settings->mqtt_ca,
			settings->mqtt_ca ? NULL : X509_get_default_cert_dir(),
			settings->mqtt_cert, settings->mqtt_key, NULL) != MOSQ_ERR_SUCCESS)
		client_exit(EXIT_USAGE,
					"could not use the files of --mqtt-ca, --mqtt-cert and "
					"--mqtt-key");
}

/*
 * mosquitto_connect_bind_v5() alone takes properties, and it waits for the
 * network.  Given a bad keep-alive time it stores them and does nothing more.
 */
static void
store_properties(MqttTarget *self, uint32_t expiry)
{
	mosquitto_property *list = NULL;

	mosquitto_property_add_int32(&list, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
								 expiry);
	mosquitto_connect_bind_v5(self->client, self->host, self->port,
							  NO_KEEPALIVE_S, NULL, list);
	mosquitto_property_free_all(&list);
}

static void
make_client(MqttTarget *self, bool clean)
{
	self->client = mosquitto_new(self->client_id, clean, self);
	if (self->client == NULL)
		client_exit(EXIT_FAILED, "could not initialize libmosquitto");
	mosquitto_int_option(self->client, MOSQ_OPT_PROTOCOL_VERSION,
						 MQTT_PROTOCOL_V5);
	mosquitto_int_option(self->client, MOSQ_OPT_SEND_MAXIMUM, MAX_INFLIGHT);
	mosquitto_int_option(self->client, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_connect_v5_callback_set(self->client, on_connect);
	mosquitto_disconnect_v5_callback_set(self->client, on_disconnect);
	mosquitto_publish_v5_callback_set(self->client, on_publish);
	mosquitto_log_callback_set(self->client, on_log);
	if (self->url->user)
		mosquitto_username_pw_set(self->client, self->url->user,
								  self->url->password);
	set_tls(self);
	if (!clean)
		store_properties(self,
						 (self->base.settings->mqtt_session_ms + 999) / 1000);
}

static void mqtt_ready(int fd, short events, void *argument);

/* libmosquitto may have closed its socket, or have something to write. */
static void
watch_socket(MqttTarget *self)
{
	int fd = self->client ? mosquitto_socket(self->client) : -1;

	if (self->fd >= 0 && fd != self->fd)
		loop_forget(self->fd);
	self->fd = fd;
	if (fd >= 0)
		loop_watch(fd,
				   POLLIN | (mosquitto_want_write(self->client) ? POLLOUT : 0),
				   mqtt_ready, self);
}

static void
check_result(MqttTarget *self, int result)
{
	if (result != MOSQ_ERR_SUCCESS && result != MOSQ_ERR_CONN_PENDING)
		mqtt_lost(self, false,
				  result == MOSQ_ERR_ERRNO ? strerror(errno)
										   : mosquitto_strerror(result));
}

static void
mqtt_ready(int fd, short events, void *argument)
{
	MqttTarget *self = argument;
	int			error = 0;
	socklen_t	length = sizeof(error);

	if (self->phase != MQTT_READY && (events & (POLLERR | POLLHUP)) &&
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error)
		mqtt_lost(self, false, strerror(error));
	if (self->lost.length == 0)
		check_result(self, mosquitto_loop_read(self->client, 1));
	if (self->lost.length == 0 && mosquitto_want_write(self->client))
		check_result(self, mosquitto_loop_write(self->client, 1));
	watch_socket(self);
}

static void
destroy_client(MqttTarget *self)
{
	if (self->fd >= 0)
		loop_forget(self->fd);
	self->fd = -1;
	mosquitto_destroy(self->client);
	self->client = NULL;
}

/* What was sent and not acknowledged goes again, in another session. */
static void
send_again(MqttTarget *self)
{
	destroy_client(self);
	self->has_session = self->is_wiped = false;
	self->sent = self->acknowledged = 0;
}

static void
mqtt_connect(MqttTarget *self)
{
	bool wipes = self->keeps && !self->has_session && !self->is_wiped;

	self->phase = wipes ? MQTT_WIPING : MQTT_CONNECTING;
	self->next_at = clock_ms() + CONNECT_MS;
	if (self->client == NULL)
	{
		make_client(self, wipes || !self->keeps);
		check_result(self, mosquitto_connect_bind_async(self->client,
														self->host, self->port,
														KEEPALIVE_S, NULL));
	}
	else
		check_result(self, mosquitto_reconnect_async(self->client));
	watch_socket(self);
}

/* The connection is gone, or of no use: another one, later. */
static void
end_connection(MqttTarget *self)
{
	long long pause = 0;

	if (self->phase == MQTT_WIPING && self->is_wiped)
	{
		mosquitto_disconnect(self->client);
		destroy_client(self);
	}
	else
	{
		pause = target_backoff(++self->attempt);
		self->base.counts.retries++;
		log_limited(&self->base.limit, LOG_WARNING, "%s: %s; connecting again",
					self->base.name, self->lost.data);
		if (self->restart || !self->has_session)
			send_again(self);
		else if (self->fd >= 0)
			loop_forget(self->fd);
		self->fd = -1;
	}
	self->restart = false;
	mem_reset(&self->lost);
	self->phase = MQTT_WAITING;
	self->next_at = clock_ms() + pause;
}

static void
grow_ring(MqttTarget *self)
{
	size_t		 allocated = self->allocated ? self->allocated * 2 : 64;
	MqttMessage *messages = client_alloc(allocated * sizeof(MqttMessage));

	for (size_t i = 0; i < self->count; i++)
		messages[i] = *message_at(self, i);
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
	message = message_at(self, self->count++);
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

	facts_row_key(facts, self->keys, record, &self->row_key);
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
		message->flaw = "the row is not complete: retained rows need "
						"REPLICA IDENTITY FULL";
	message->payload = row.data;
	message->length = row.length;
	return message;
}

static void
take_record(MqttTarget *self, const Record *record)
{
	MqttMessage *message;

	facts_read(&self->facts, self->keys, &self->base, record);
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
	size_t size = mqtt_packet_size(message);

	if (message->flaw)
		return client_strdup(message->flaw);
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
		check_result(self, result);
	return self->lost.length == 0;
}

/* Those that are in the ring and may go now; true once none is left. */
static bool
send_waiting(MqttTarget *self)
{
	while (self->sent < self->count)
	{
		MqttMessage *message = message_at(self, self->sent);
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
take_records(MqttTarget *self)
{
	Record record;

	while (target_peek(&self->base, &record))
	{
		if (record.wanted &&
			(self->phase != MQTT_READY || !send_waiting(self)))
			return;
		target_next(&self->base, &record);
		if (record.wanted)
			take_record(self, &record);
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
	if (self->phase == MQTT_WAITING && clock_ms() >= self->next_at)
		mqtt_connect(self);
	else if (self->phase != MQTT_WAITING && clock_ms() >= self->next_at)
	{
		if (self->phase != MQTT_READY)
			mqtt_lost(self, false, "the broker doesn't answer");
		else
			check_result(self, mosquitto_loop_misc(self->client));
		self->next_at = clock_ms() + MISC_MS;
	}
	take_records(self);
	if (self->lost.length > 0)
		end_connection(self);
	else if (self->phase != MQTT_WAITING)
		watch_socket(self);
	target->wake_at = self->next_at;
}

/* HOST[:PORT], [ADDRESS]:PORT */
static void
split_host(MqttTarget *self, const Url *url)
{
	bool		is_tls = strcmp(url->scheme, "mqtts") == 0;
	const char *host = url->host ? url->host : "";
	size_t length = *host == '[' ? strcspn(host, "]") : strcspn(host, ":");
	const char *rest = host + length;
	char	   *end;

	if (*host == '[' && *rest == ']')
	{
		host++;
		length--;
		rest++;
	}
	self->host = client_strndup(host, length);
	self->port = is_tls ? PORT_TLS : PORT;
	if (*rest == ':')
	{
		self->port = strtol(rest + 1, &end, 10);
		rest = end;
	}
	if (length == 0 || *rest != '\0' || self->port < 1 ||
		self->port > UINT16_MAX || url->path == NULL || url->path[0] != '/' ||
		url->path[1] == '\0' ||
		mosquitto_pub_topic_check(url->path + 1) != MOSQ_ERR_SUCCESS)
		client_exit(EXIT_USAGE, "\"%s\" must be %s://HOST[:PORT]/PREFIX",
					url->display, url->scheme);
}

static Target *
mqtt_open(const Url *url, const Settings *settings)
{
	MqttTarget *self = client_alloc(sizeof(MqttTarget));

	mosquitto_lib_init();
	self->url = url;
	self->fd = -1;
	self->qos = settings->mqtt_qos;
	split_host(self, url);
	mqtt_topics(&self->topics, settings, url->path + 1);
	if (self->qos != 1 && self->qos != 2)
		client_exit(EXIT_USAGE, "--mqtt-qos is 1 or 2");
	if (settings->mqtt_inflight < 1 || settings->mqtt_inflight > MAX_INFLIGHT)
		client_exit(EXIT_USAGE, "--mqtt-inflight is between 1 and %d",
					MAX_INFLIGHT);
	/* libmosquitto doesn't pass the reason code of a PUBREC on */
	if (self->qos == 2 && strcmp(settings->mqtt_unmatched, "reject") == 0)
		client_exit(EXIT_USAGE, "--mqtt-unmatched=reject needs QoS 1");
	self->keeps = self->qos == 2 && settings->mqtt_session_ms > 0;
	self->keys = key_memory_new();
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
	MqttTarget		   *self = (MqttTarget *) target;
	mosquitto_property *list = NULL;

	if (self->client == NULL)
		return;
	/* nobody will know the session's identifiers any more */
	mosquitto_property_add_int32(&list, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
	mosquitto_disconnect_v5(self->client, 0, self->keeps ? list : NULL);
	mosquitto_property_free_all(&list);
	destroy_client(self);
}

const TargetOps mqtt_target = {
	.open = mqtt_open,
	.resume = mqtt_resume,
	.work = mqtt_work,
	.remember = target_remember_nothing,
	.close = mqtt_close,
};

#endif /* HAVE_MOSQUITTO */
