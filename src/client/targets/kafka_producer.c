/*
 * kafka_producer.c
 *		A producer of librdkafka: how it is configured, and what it tells.
 */
#ifdef HAVE_RDKAFKA

#include "client/targets/kafka_producer.h"

#include <stdlib.h>
#include <string.h>

#include "client/memory.h"
#include "client/targets/kafka_reject.h"

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
	"transaction.timeout.ms|broker.address.family|client.dns.lookup|debug|"
	"test.mock.num.brokers|";

static void
set_conf(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) !=
		RD_KAFKA_CONF_OK)
		client_exit(EXIT_USAGE, "--kafka-option %s: %s", name, error);
}

/* Errors that concern a record, errors that concern all, and those that pass. */
bool
kafka_is_record_error(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
		   error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
		   error == RD_KAFKA_RESP_ERR_INVALID_MSG ||
		   error == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

void
kafka_refused(KafkaTarget *self, rd_kafka_resp_err_t error, const char *topic)
{
	const char *hint = "";

	if (kafka_is_missing_topic(error))
		hint = self->creation_error
				   ? ": create it, as the brokers did not have it created: "
				   : ": create it, or have it created by --kafka-partitions";
	client_exit(EXIT_TARGET, "%s: topic \"%s\": %s%s%s", self->base.name,
				topic, rd_kafka_err2str(error), hint,
				self->creation_error && hint[0]
					? rd_kafka_err2str(self->creation_error)
					: "");
}

/*
 * The number of the record, times two; one more if another message of it
 * follows, whose report counts.
 */
void *
kafka_opaque(uint64_t number, bool more)
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
	if (self->exactly && (message->err == 0 || number == 0))
		return; /* the transaction tells */
	if (message->err == 0)
	{
		/* before its tombstone, or on its way to go again */
		if ((opaque & 1) || self->renews)
			return;
		self->base.counts.records++;
		self->base.counts.bytes += message->len;
		target_taken(&self->base, number, number);
	}
	else if (kafka_is_record_error(message->err))
		kafka_refused_batch(self, number, opaque & 1, message->err);
	else if (self->batch_refused ||
			 (!self->exactly &&
			  message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE))
		self->renews = true; /* what fails with another one goes again */
	else if (self->exactly && !kafka_is_missing_topic(message->err))
		kafka_exactly_doubt(self->exactly); /* its transaction will fail */
	else
		kafka_refused(self, message->err, rd_kafka_topic_name(message->rkt));
}

static RetryReason
retry_reason(int error)
{
	switch (error)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__RESOLVE:
			return RETRY_CONNECTION;
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
			return RETRY_TIMEOUT;
		case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
			return RETRY_THROTTLED;
		default:
			return RETRY_ERROR;
	}
}

/*
 * Before 2.6.1 librdkafka wrote a nonce that is none of RFC 5802's, which Kafka 4
 * takes for a wrong password.
 */
const char *
kafka_login_hint(const char *reason)
{
	return rd_kafka_version() < 0x02060100 && strstr(reason, "SCRAM")
			   ? "; unless the password is wrong, it is librdkafka: before "
				 "2.6.1 it cannot log in by SCRAM to Kafka 4, but by -X "
				 "sasl.mechanism=PLAIN"
			   : "";
}

static void
kafka_error(rd_kafka_t *producer, int error, const char *reason,
			void *argument)
{
	KafkaTarget *self = argument;
	char		 text[512];

	/* of a topic that is read; of others the delivery reports tell */
	if (self->exactly && kafka_is_missing_topic(error))
	{
		kafka_exactly_missing(self->exactly);
		return;
	}
	if (self->exactly)
		kafka_exactly_doubt(self->exactly);
	switch (error)
	{
		case RD_KAFKA_RESP_ERR__FATAL:
			/* in transactions another producer finds out */
			if (self->exactly)
				break;
			/* of what led to that the delivery report tells */
			if (rd_kafka_fatal_error(producer, text, sizeof(text)) ==
				RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE)
				break;
			client_exit(EXIT_FAILED,
						"%s: the producer can't go on without doubling or "
						"losing: %s; started again, it will",
						self->base.name, text);
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR__SSL:
			client_exit(EXIT_TARGET, "%s: %s%s", self->base.name, reason,
						kafka_login_hint(reason));
		default:
			self->base.counts.retries[retry_reason(error)]++;
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

/* One that takes longer is ended by the broker, again and again. */
static void
check_linger(const Settings *settings, const rd_kafka_conf_t *conf)
{
	char   text[32] = "";
	size_t size = sizeof(text);

	rd_kafka_conf_get(conf, "transaction.timeout.ms", text, &size);
	if (settings->kafka_exactly_once && settings->linger_ms >= atoll(text))
		client_exit(EXIT_USAGE,
					"--linger must be less than Kafka's "
					"transaction.timeout.ms, which is %s",
					text);
}

static rd_kafka_conf_t *
producer_conf(KafkaTarget *self, const Url *url, const Settings *settings)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char			 linger[32];
	int				 i;

	/*
	 * Messages wait while others are under way, and for nothing else: librdkafka's own 5 ms
	 * make nothing faster, and an idle stream late.  With transactions it is they that wait.
	 */
	snprintf(linger, sizeof(linger), "%lld",
			 settings->linger_ms >= 0 && !settings->kafka_exactly_once
				 ? settings->linger_ms
				 : 0LL);
	set_conf(conf, "bootstrap.servers", url->host);
	set_conf(conf, "client.id", "pg_outflow");
	set_conf(conf, "enable.idempotence", "true");
	/* in transactions it follows from theirs */
	if (!settings->kafka_exactly_once)
		set_conf(conf, "message.timeout.ms", "0");
	set_conf(conf, "partitioner", "murmur2_random");
	set_conf(conf, "compression.codec", "lz4");
	set_conf(conf, "linger.ms", linger);
	set_conf(conf, "log.queue", "true");
	/*
	 * Before 2.0 librdkafka took any host whose certificate is trusted.  One that is
	 * built without TLS refuses the option, and needs it not.
	 */
	rd_kafka_conf_set(conf, "ssl.endpoint.identification.algorithm", "https",
					  NULL, 0);
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
	check_linger(settings, conf);
	kafka_set_batches(self, conf);
	rd_kafka_conf_set_opaque(conf, self);
	rd_kafka_conf_set_dr_msg_cb(conf, kafka_report);
	rd_kafka_conf_set_error_cb(conf, kafka_error);
	rd_kafka_conf_set_log_cb(conf, kafka_log);
	return conf;
}

void
kafka_open_producer(KafkaTarget *self)
{
	rd_kafka_conf_t *conf = producer_conf(self, self->url, self->settings);
	char			 error[512];

	if (self->exactly)
		set_conf(conf, "transactional.id", kafka_exactly_id(self->exactly));
	self->producer =
		rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (self->producer == NULL)
		client_exit(EXIT_USAGE, "%s: %s", self->url->display, error);
	rd_kafka_set_log_queue(self->producer, NULL);
	self->reports = rd_kafka_queue_get_main(self->producer);
	self->answers = rd_kafka_queue_new(self->producer);
	rd_kafka_queue_io_event_enable(self->reports, self->wake[1], "r", 1);
	rd_kafka_queue_io_event_enable(self->answers, self->wake[1], "a", 1);
}

void
kafka_close_producer(KafkaTarget *self)
{
	rd_kafka_queue_destroy(self->reports);
	rd_kafka_queue_destroy(self->answers);
	rd_kafka_purge(self->producer,
				   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_destroy_flags(self->producer,
						   RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	self->producer = NULL;
}

rd_kafka_conf_t *
kafka_client_conf(void *argument)
{
	KafkaTarget		*self = argument;
	rd_kafka_conf_t *conf = producer_conf(self, self->url, self->settings);

	/* else a topic that isn't there is waited for, for half a minute */
	set_conf(conf, "topic.metadata.propagation.max.ms", "0");
	return conf;
}

#endif /* HAVE_RDKAFKA */
