/*
 * deliver_kafka.c
 *		kafka://[USER:PASSWORD@]HOST[:PORT],.../PREFIX: messages of topics.
 *
 * The producer is idempotent, so that its own retries neither double nor
 * reorder, waits for all replicas and for ever.  A record is taken when its
 * delivery report comes.  Partitions are chosen by the key as Java's clients do
 * (murmur2), so that all changes of a row are in one, in order.
 *
 * librdkafka has threads of its own; reports and logs come to ours by a queue
 * that wakes the loop through a pipe.  Values are not copied: the queue of
 * records keeps them until they are acknowledged.
 */
#ifdef HAVE_RDKAFKA

#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/loop.h"
#include "client/targets/kafka_record.h"
#include "client/targets/targets.h"

#define CLOSE_MS 1000

/* What passes through of librdkafka's configuration: nothing that guarantees
 * depend on. */
static const char allowed_options[] =
	"|security.protocol|sasl.mechanism|sasl.mechanisms|sasl.kerberos.service."
	"name|"
	"sasl.kerberos.principal|sasl.kerberos.keytab|ssl.ca.location|"
	"ssl.certificate.location|ssl.key.location|ssl.key.password|"
	"ssl.endpoint.identification.algorithm|client.id|compression.codec|"
	"compression.type|compression.level|batch.size|batch.num.messages|"
	"message.max.bytes|queue.buffering.max.messages|socket.keepalive.enable|"
	"broker.address.family|client.dns.lookup|debug|test.mock.num.brokers|";

typedef struct KafkaTarget
{
	Target			  base;
	char			 *prefix;
	rd_kafka_t		 *producer;
	rd_kafka_queue_t *reports;
	int				  wake[2]; /* a pipe */
	KafkaKeys		 *keys;
	KafkaRecord		  record;

	/* topics that are known to exist, when they are created on request */
	rd_kafka_queue_t *answers;
	size_t			  ntopics;
	char			**topics;
	bool			  is_creating; /* the last of them */
} KafkaTarget;

static void
set_conf(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) !=
		RD_KAFKA_CONF_OK)
		client_exit(EXIT_USAGE, "--kafka-option %s: %s", name, error);
}

/* Errors that concern a record, errors that concern all, and those that pass. */
static bool
is_record_error(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
		   error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
		   error == RD_KAFKA_RESP_ERR_INVALID_MSG ||
		   error == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

static void
kafka_refused(KafkaTarget *self, rd_kafka_resp_err_t error, const char *topic)
{
	const char *hint = "";

	if (error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		hint = ": create it, or have it created by --kafka-partitions";
	client_exit(EXIT_TARGET, "%s: topic \"%s\": %s%s", self->base.name, topic,
				rd_kafka_err2str(error), hint);
}

/*
 * The number of the record, times two; one more if another message of it
 * follows, whose report counts.
 */
static void *
report_opaque(uint64_t number, bool more)
{
	return (void *) (uintptr_t) (number << 1 | more);
}

static void
kafka_report(rd_kafka_t *producer, const rd_kafka_message_t *message,
			 void *argument)
{
	KafkaTarget *self = argument;
	uint64_t	 opaque = (uintptr_t) message->_private;
	uint64_t	 number = opaque >> 1;

	(void) producer;
	if (message->err == 0)
	{
		if (opaque & 1)
			return;
		self->base.counts.records++;
		self->base.counts.bytes += message->len;
		target_taken(&self->base, number, number);
	}
	else if (is_record_error(message->err) && message->payload)
	{
		Record record = {.data = message->payload,
						 .length = message->len + 1,
						 .kind = FRAME_CHANGE,
						 .number = number};

		target_rejected(&self->base, &record, rd_kafka_err2str(message->err));
	}
	else
		kafka_refused(self, message->err, rd_kafka_topic_name(message->rkt));
}

static void
kafka_error(rd_kafka_t *producer, int error, const char *reason,
			void *argument)
{
	KafkaTarget *self = argument;
	char		 text[512];

	switch (error)
	{
		case RD_KAFKA_RESP_ERR__FATAL:
			rd_kafka_fatal_error(producer, text, sizeof(text));
			client_exit(EXIT_FAILED,
						"%s: the producer can't go on without doubling or "
						"losing: %s; started again, it will",
						self->base.name, text);
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR__SSL:
			client_exit(EXIT_TARGET, "%s: %s", self->base.name, reason);
		default:
			self->base.counts.retries++;
			log_limited(&self->base.limit, LOG_WARNING, "%s: %s",
						self->base.name, reason);
	}
}

static void
kafka_log(const rd_kafka_t *producer, int level, const char *facility,
		  const char *text)
{
	(void) producer;
	log_message(LOG_DEBUG, "librdkafka, level %d: %s: %s", level, facility,
				text);
}

static void
kafka_awake(int fd, short events, void *argument)
{
	char bytes[64];

	(void) events;
	(void) argument; /* kafka_work() looks */
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

static rd_kafka_conf_t *
make_conf(KafkaTarget *self, const Url *url, const Settings *settings)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char			 linger[32];
	int				 i;

	snprintf(linger, sizeof(linger), "%lld",
			 settings->linger_ms >= 0 ? settings->linger_ms : 5LL);
	set_conf(conf, "bootstrap.servers", url->host);
	set_conf(conf, "client.id", "pg_outflow");
	set_conf(conf, "enable.idempotence", "true");
	set_conf(conf, "message.timeout.ms", "0");
	set_conf(conf, "partitioner", "murmur2_random");
	set_conf(conf, "compression.codec", "lz4");
	set_conf(conf, "linger.ms", linger);
	set_conf(conf, "log.queue", "true");
	if (settings->batch_bytes == 0)
		set_conf(conf, "batch.num.messages", "1");
	if (url->user)
	{
		set_conf(conf, "sasl.username", url->user);
		set_conf(conf, "sasl.password", url->password ? url->password : "");
		set_conf(conf, "sasl.mechanism", "SCRAM-SHA-512");
		set_conf(conf, "security.protocol", "sasl_ssl");
	}
	for (i = 0; i < settings->kafka_options.count; i++)
	{
		char *name = client_format("|%s|", settings->kafka_options.names[i]);

		if (!strstr(allowed_options, name))
			client_exit(EXIT_USAGE,
						"--kafka-option %s is not among those that may be set",
						settings->kafka_options.names[i]);
		set_conf(conf, settings->kafka_options.names[i],
				 settings->kafka_options.values[i]);
		free(name);
	}
	rd_kafka_conf_set_opaque(conf, self);
	rd_kafka_conf_set_dr_msg_cb(conf, kafka_report);
	rd_kafka_conf_set_error_cb(conf, kafka_error);
	rd_kafka_conf_set_log_cb(conf, kafka_log);
	return conf;
}

static Target *
kafka_open(const Url *url, const Settings *settings)
{
	KafkaTarget *self = client_alloc(sizeof(KafkaTarget));
	char		 error[512];

	if (url->host == NULL || url->path == NULL || url->path[0] != '/' ||
		url->path[1] == '\0' || strchr(url->path + 1, '/'))
		client_exit(EXIT_USAGE, "\"%s\" must be kafka://HOST:PORT/PREFIX",
					url->display);
	self->prefix = client_strdup(url->path + 1);
	self->keys = kafka_keys_new();
	self->producer =
		rd_kafka_new(RD_KAFKA_PRODUCER, make_conf(self, url, settings), error,
					 sizeof(error));
	if (self->producer == NULL)
		client_exit(EXIT_USAGE, "%s: %s", url->display, error);
	if (pipe2(self->wake, O_CLOEXEC | O_NONBLOCK) != 0)
		client_exit(EXIT_FAILED, "could not create pipe: %s", strerror(errno));
	rd_kafka_set_log_queue(self->producer, NULL);
	self->reports = rd_kafka_queue_get_main(self->producer);
	self->answers = rd_kafka_queue_new(self->producer);
	rd_kafka_queue_io_event_enable(self->reports, self->wake[1], "r", 1);
	rd_kafka_queue_io_event_enable(self->answers, self->wake[1], "a", 1);
	loop_watch(self->wake[0], POLLIN, kafka_awake, self);
	return &self->base;
}

static void
create_topic(KafkaTarget *self, const char *topic)
{
	const Settings		*settings = self->base.settings;
	rd_kafka_NewTopic_t *new_topic;
	char				 error[512];

	new_topic = rd_kafka_NewTopic_new(topic, (int) settings->kafka_partitions,
									  -1, error, sizeof(error));
	if (new_topic == NULL)
		client_exit(EXIT_TARGET, "topic \"%s\": %s", topic, error);
	if (settings->kafka_compact)
		rd_kafka_NewTopic_set_config(new_topic, "cleanup.policy", "compact");
	rd_kafka_CreateTopics(self->producer, &new_topic, 1, NULL, self->answers);
	rd_kafka_NewTopic_destroy(new_topic);
	self->is_creating = true;
}

/* The answer to create_topic(), if it has come. */
static void
take_answer(KafkaTarget *self)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(self->answers, 0);
	const rd_kafka_CreateTopics_result_t *result;
	const rd_kafka_topic_result_t		**topics;
	const char		   *topic = self->topics[self->ntopics - 1];
	size_t				count = 0;
	rd_kafka_resp_err_t error;

	if (event == NULL)
		return;
	error = rd_kafka_event_error(event);
	result = rd_kafka_event_CreateTopics_result(event);
	if (error == 0 && result)
	{
		topics = rd_kafka_CreateTopics_result_topics(result, &count);
		if (count > 0)
			error = rd_kafka_topic_result_error(topics[0]);
	}
	rd_kafka_event_destroy(event);
	self->is_creating = false;
	if (error == 0)
		log_message(LOG_INFO, "created topic \"%s\"", topic);
	else if (error == RD_KAFKA_RESP_ERR__TIMED_OUT ||
			 error == RD_KAFKA_RESP_ERR__TRANSPORT ||
			 error == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
			 error == RD_KAFKA_RESP_ERR_NOT_CONTROLLER)
		create_topic(self, topic);
	else if (error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		kafka_refused(self, error, topic);
}

/* May messages go to that topic now? */
static bool
topic_is_ready(KafkaTarget *self, const char *topic)
{
	size_t i;

	if (self->base.settings->kafka_partitions == 0)
		return true;
	if (self->is_creating)
		return false;
	for (i = 0; i < self->ntopics; i++)
		if (strcmp(self->topics[i], topic) == 0)
			return true;
	self->topics =
		client_realloc(self->topics, (self->ntopics + 1) * sizeof(char *));
	self->topics[self->ntopics++] = client_strdup(topic);
	create_topic(self, topic);
	return false;
}

static rd_kafka_resp_err_t
produce(KafkaTarget *self, const char *value, size_t length, void *opaque)
{
	const KafkaRecord *record = &self->record;

	return rd_kafka_producev(
		self->producer, RD_KAFKA_V_TOPIC(record->topic.data),
		RD_KAFKA_V_KEY(record->key.length ? record->key.data : NULL,
					   record->key.length),
		RD_KAFKA_V_VALUE((void *) value, length), RD_KAFKA_V_OPAQUE(opaque),
		RD_KAFKA_V_HEADER("id", record->id, -1),
		RD_KAFKA_V_HEADER("lsn", record->lsn, -1),
		RD_KAFKA_V_HEADER("op", record->op ? record->op : "", -1),
		RD_KAFKA_V_END);
}

/* False if it must wait: the producer's queue is full, or the topic is new. */
static bool
send_record(KafkaTarget *self, const Record *record)
{
	bool				tombstone;
	rd_kafka_resp_err_t error;

	kafka_record(&self->record, self->keys, &self->base, record, self->prefix,
				 self->base.settings->kafka_topic);
	if (!topic_is_ready(self, self->record.topic.data))
		return false;
	tombstone =
		self->record.tombstone && self->base.settings->kafka_tombstones;
	/* both or none: so there is room for two */
	error = produce(self, record->data, record->length - 1,
					report_opaque(record->number, tombstone));
	if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return false;
	if (error == 0 && tombstone)
		while ((error = produce(self, NULL, 0,
								report_opaque(record->number, false))) ==
			   RD_KAFKA_RESP_ERR__QUEUE_FULL)
			rd_kafka_poll(self->producer, 10);
	if (is_record_error(error))
		target_rejected(&self->base, record, rd_kafka_err2str(error));
	else if (error)
		kafka_refused(self, error, self->record.topic.data);
	return true;
}

static void
kafka_work(Target *target)
{
	KafkaTarget *self = (KafkaTarget *) target;
	Record		 record;

	while (rd_kafka_poll(self->producer, 0) > 0)
		;
	if (self->is_creating)
		take_answer(self);
	while (target_peek(target, &record))
	{
		if (record.wanted)
		{
			if (!send_record(self, &record))
				break;
			target_next(target, &record);
		}
		else
		{
			target_next(target, &record);
			target_taken(target, record.number, record.number);
		}
	}
}

static void
kafka_close(Target *target)
{
	KafkaTarget *self = (KafkaTarget *) target;

	rd_kafka_flush(self->producer, CLOSE_MS);
	rd_kafka_queue_destroy(self->reports);
	rd_kafka_queue_destroy(self->answers);
	rd_kafka_purge(self->producer,
				   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_destroy_flags(self->producer,
						   RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

#else /* HAVE_RDKAFKA */

#include "client/targets/targets.h"

static Target *
kafka_open(const Url *url, const Settings *settings)
{
	(void) url;
	(void) settings;
	client_exit(EXIT_USAGE, "this pg_outflow was built without librdkafka and "
							"delivers to no kafka: URL");
}

static void
kafka_work(Target *target)
{
	(void) target;
}

static void
kafka_close(Target *target)
{
	(void) target;
}

#endif /* HAVE_RDKAFKA */

const TargetOps kafka_target = {
	.scheme = "kafka",
	.open = kafka_open,
	.resume = target_resume_nothing,
	.work = kafka_work,
	.remember = target_remember_nothing,
	.close = kafka_close,
};
