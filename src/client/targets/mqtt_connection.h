/*
 * mqtt_connection.h
 *		An MQTT target, and its half that keeps a connection to the broker.
 */
#ifndef CLIENT_MQTT_CONNECTION_H
#define CLIENT_MQTT_CONNECTION_H

#include "client/targets/mqtt_message.h"

#define MQTT_MAX_INFLIGHT 65535

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
	bool			  is_left_over; /* what ended it: see may_be_left_over() */
	unsigned		  left_over;	/* how often, one after the other */
	unsigned long	  events;		/* of which libmosquitto told */
	long long		  next_at; /* to connect, to give up, to look after it */
	RetryReason		  lost_reason;
	Bytes			  lost;	   /* why the connection is; empty: it isn't */
	bool			  restart; /* ... and the session with it */

	/* PUBACK, PUBCOMP, or a PUBREC that ends it, with its reason code */
	void (*acknowledged_message)(struct MqttTarget *self, int mid, int reason);

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
	char		*rejection;	   /* of a message of the first record; NULL */

	Facts facts;
	Bytes topic;
	Bytes row_key;
} MqttTarget;

static inline MqttMessage *
mqtt_message_at(MqttTarget *self, size_t i)
{
	return &self->messages[(self->first + i) % self->allocated];
}

/* Host and port of the URL, and whether sessions outlive connections. */
extern void mqtt_connection_init(MqttTarget *self, const Url *url,
								 const Settings *settings);

/* A step: connects, looks after the connection, gives it up. */
extern void mqtt_connection_work(MqttTarget *self);

/* After the other half's work: what became of the connection. */
extern void mqtt_connection_settle(MqttTarget *self);

extern void mqtt_connection_close(MqttTarget *self);

/*
 * The connection is of no use any more; mqtt_connection_settle() sees to that.
 * With restart all that was sent and not acknowledged is sent again, in another
 * session.
 */
extern void mqtt_lost(MqttTarget *self, bool restart, RetryReason reason,
					  const char *why);

/* Anything but success of libmosquitto is a lost connection. */
extern void mqtt_check(MqttTarget *self, int result);

#endif
