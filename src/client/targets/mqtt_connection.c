/*
 * mqtt_connection.c
 *		The connection of an MQTT target: libmosquitto in our loop.
 *
 * With QoS 2 the session outlives its connection: libmosquitto goes on with the
 * packet identifiers that the broker knows.  A session begins by wiping what the
 * broker may have of an earlier one, whose identifiers nobody knows any more.
 *
 * One connection's life, as states that the event loop moves on: they are not
 * parted, as each may end in a reconnect.
 */
#ifdef HAVE_MOSQUITTO

#include "client/targets/mqtt_connection.h"

#include <errno.h>
#if LIBMOSQUITTO_VERSION_NUMBER < 2001000
#include <mqtt_protocol.h> /* later part of the other */
#endif
#include <openssl/x509.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/disk.h"
#include "client/loop.h"

#define KEEPALIVE_S 60
#define MISC_MS		5000 /* how often libmosquitto looks at its clock */
#define CONNECT_MS	30000
#define PORT		1883
#define PORT_TLS	8883
/* libmosquitto's buffer full of packets, the smallest of which have 4 bytes */
#define LEFT_OVER_MAX  1024
#define NO_LIMIT	   ((size_t) -1)
#define NO_KEEPALIVE_S 1 /* see store_properties() */

void
mqtt_lost(MqttTarget *self, bool restart, RetryReason reason, const char *why)
{
	if (self->lost.length == 0)
	{
		mem_add(&self->lost, why);
		self->lost_reason = reason;
	}
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
	mqtt_lost(self, false, mqtt_retry_reason(reason), why);
	free(why);
}

static void
read_limits(MqttTarget *self, const mosquitto_property *properties)
{
	uint16_t receive_maximum = MQTT_MAX_INFLIGHT;
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
		mqtt_lost(self, false, RETRY_CONNECTION, "wiped");
		return;
	}
	read_limits(self, properties);
	/* bit 0: the broker has the session */
	if (self->has_session && !(flags & 1))
	{
		log_message(LOG_WARNING,
					"%s has lost the session: what it had not acknowledged "
					"is sent again",
					self->base.name);
		mqtt_lost(self, true, RETRY_CONNECTION,
				  "the broker has lost the session");
		return;
	}
	self->has_session = self->keeps;
	self->phase = MQTT_READY;
	self->next_at = clock_ms() + MISC_MS;
	self->attempt = self->left_over = 0;
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
		mqtt_lost(self, false, RETRY_CONNECTION, mosquitto_strerror(reason));
}

static void
on_publish(struct mosquitto *client, void *argument, int mid, int reason,
		   const mosquitto_property *properties)
{
	MqttTarget *self = argument;

	(void) client;
	(void) properties;
	self->acknowledged_message(self, mid, reason);
}

/* Of a certificate that isn't trusted libmosquitto tells the log alone. */
static void
on_log(struct mosquitto *client, void *argument, int level, const char *text)
{
	MqttTarget *self = argument;

	(void) client;
	(void) level;
	self->events++;
	if (self->phase != MQTT_READY && (strstr(text, "certificate verify") ||
									  strstr(text, "host name verification")))
		client_exit(EXIT_TARGET, "%s: %s", self->base.name, text);
	log_message(LOG_DEBUG, "libmosquitto: %s", text);
}

static void
mqtt_set_tls(MqttTarget *self)
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
	mosquitto_int_option(self->client, MOSQ_OPT_SEND_MAXIMUM,
						 MQTT_MAX_INFLIGHT);
	mosquitto_int_option(self->client, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_connect_v5_callback_set(self->client, on_connect);
	mosquitto_disconnect_v5_callback_set(self->client, on_disconnect);
	mosquitto_publish_v5_callback_set(self->client, on_publish);
	mosquitto_log_callback_set(self->client, on_log);
	if (self->url->user)
		mosquitto_username_pw_set(self->client, self->url->user,
								  self->url->password);
	mqtt_set_tls(self);
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

void
mqtt_check(MqttTarget *self, int result)
{
	if (result != MOSQ_ERR_SUCCESS && result != MOSQ_ERR_CONN_PENDING)
		mqtt_lost(self, false, RETRY_CONNECTION,
				  result == MOSQ_ERR_ERRNO ? strerror(errno)
										   : mosquitto_strerror(result));
}

/*
 * libmosquitto 2.1 reads more than it is asked for, and no socket tells of that.
 * What is left of it when a session's connection is lost it takes for the
 * beginning of the next ones, each of which ends with a packet of it.
 */
static bool
may_be_left_over(const MqttTarget *self, int result)
{
	int major;
	int minor;

	if (result != MOSQ_ERR_PROTOCOL || self->phase != MQTT_CONNECTING ||
		!self->has_session)
		return false;
	mosquitto_lib_version(&major, &minor, NULL);
	return major == 2 && minor >= 1;
}

static void
read_packets(MqttTarget *self)
{
	unsigned long events;
	int			  result;

	do
	{
		events = self->events;
		result = mosquitto_loop_read(self->client, 1);
		mqtt_check(self, result);
	} while (self->lost.length == 0 && self->events != events);
	self->is_left_over =
		may_be_left_over(self, result) && self->left_over++ < LEFT_OVER_MAX;
}

static void
mqtt_ready(int fd, short events, void *argument)
{
	MqttTarget *self = argument;
	int			error = 0;
	socklen_t	length = sizeof(error);

	/* libmosquitto would take it for a handshake that goes on */
	if (self->phase != MQTT_READY && (events & (POLLERR | POLLHUP)))
	{
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
		mqtt_lost(self, false, RETRY_CONNECTION,
				  error ? strerror(error) : "the connection was refused");
	}
	if (self->lost.length == 0)
		read_packets(self);
	if (self->lost.length == 0 && mosquitto_want_write(self->client))
		mqtt_check(self, mosquitto_loop_write(self->client, 1));
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

/*
 * What was sent and not acknowledged goes again, in another session, and so does
 * what the broker took after it: of a key the newest must come last.
 */
static void
send_again(MqttTarget *self)
{
	size_t i;

	destroy_client(self);
	self->has_session = self->is_wiped = false;
	for (i = 0; i < self->count; i++)
	{
		MqttMessage *message = mqtt_message_at(self, i);

		message->acknowledged = message->rejected != NULL;
	}
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
		mqtt_check(self, mosquitto_connect_bind_async(self->client, self->host,
													  self->port, KEEPALIVE_S,
													  NULL));
	}
	else
		mqtt_check(self, mosquitto_reconnect_async(self->client));
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
		if (!self->is_left_over)
			pause = target_backoff(++self->attempt);
		self->is_left_over = false;
		self->base.counts.retries[self->lost_reason]++;
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

void
mqtt_connection_work(MqttTarget *self)
{
	if (clock_ms() < self->next_at)
		return;
	if (self->phase == MQTT_WAITING)
		mqtt_connect(self);
	else if (self->phase != MQTT_READY)
		mqtt_lost(self, false, RETRY_TIMEOUT, "the broker doesn't answer");
	else
	{
		mqtt_check(self, mosquitto_loop_misc(self->client));
		self->next_at = clock_ms() + MISC_MS;
	}
}

void
mqtt_connection_settle(MqttTarget *self)
{
	if (self->lost.length > 0)
		end_connection(self);
	else if (self->phase != MQTT_WAITING)
		watch_socket(self);
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

void
mqtt_connection_init(MqttTarget *self, const Url *url,
					 const Settings *settings)
{
	disk_check_secret(settings->mqtt_key);
	mosquitto_lib_init();
	self->url = url;
	self->fd = -1;
	self->qos = settings->mqtt_qos;
	self->keeps = self->qos == 2 && settings->mqtt_session_ms > 0;
	split_host(self, url);
}

void
mqtt_connection_close(MqttTarget *self)
{
	mosquitto_property *list = NULL;

	if (self->client == NULL)
		return;
	/* nobody will know the session's identifiers any more */
	mosquitto_property_add_int32(&list, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
	mosquitto_disconnect_v5(self->client, 0, self->keeps ? list : NULL);
	mosquitto_property_free_all(&list);
	destroy_client(self);
}

#endif /* HAVE_MOSQUITTO */
