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
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/disk.h"
#include "client/loop.h"
#include "client/targets/kafka_producer.h"
#include "client/targets/kafka_reject.h"
#include "client/targets/kafka_send.h"
#include "client/targets/kafka_topics.h"
#include "client/targets/kafka_transactions.h"
#include "client/targets/targets.h"

#define CLOSE_MS 1000
#define PROBE_MS 10000

static void
kafka_awake(int fd, short events, void *argument)
{
	char bytes[64];

	(void) events;
	(void) argument; /* kafka_work() looks */
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

static Target *
kafka_open(const Url *url, const Settings *settings)
{
	KafkaTarget *self = client_alloc(sizeof(KafkaTarget));

	if (url->host == NULL || url->path == NULL || url->path[0] != '/' ||
		url->path[1] == '\0' || strchr(url->path + 1, '/'))
		client_exit(EXIT_USAGE, "\"%s\" must be kafka://HOST:PORT/PREFIX",
					url->display);
	disk_check_secret(
		pairs_find(&settings->kafka_options, "ssl.key.location"));
	disk_check_secret(
		pairs_find(&settings->kafka_options, "sasl.kerberos.keytab"));
	self->url = url;
	self->settings = settings;
	self->prefix = client_strdup(url->path + 1);
	if (pipe2(self->wake, O_CLOEXEC | O_NONBLOCK) != 0)
		client_exit(EXIT_FAILED, "could not create pipe: %s", strerror(errno));
	loop_watch(self->wake[0], POLLIN, kafka_awake, self);
	/* in transactions its name is that of the slot: see kafka_resume() */
	if (!settings->kafka_exactly_once)
		kafka_open_producer(self);
	return &self->base;
}

static void
kafka_resume(Target *target, const Identity *identity)
{
	KafkaTarget *self = (KafkaTarget *) target;

	if (self->settings->kafka_exactly_once)
		kafka_transactions_resume(self, identity);
}

/*
 * Records go again, from the first that isn't acknowledged on.  What is under way is
 * waited for: it must not arrive after them.  Those beyond that are acknowledged go again,
 * too.  They count once they have arrived again: before, none of their values may be freed,
 * and an old one may be the last.
 */
static bool
go_back(KafkaTarget *self)
{
	Target *target = &self->base;

	rd_kafka_purge(self->producer,
				   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
	if (rd_kafka_outq_len(self->producer) > 0)
	{
		target->wake_at = clock_ms() + KAFKA_STEP_MS;
		return false;
	}
	target->wake_at = NEVER;
	kafka_make_anew(self);
	ledger_forget_beyond(target->ledger, target->number);
	target_rewind(target, &target->place);
	return true;
}

static void
kafka_work(Target *target)
{
	KafkaTarget *self = (KafkaTarget *) target;
	Record		 record;

	if (self->producer)
		while (rd_kafka_poll(self->producer, 0) > 0)
			;
	if (self->settings->kafka_exactly_once)
	{
		kafka_transactions_work(self);
		return;
	}
	if (self->renews && !go_back(self))
		return;
	kafka_forget_rejected(self);
	if (kafka_may_join(self, ledger_prefix(target->ledger, target->number)))
		kafka_make_anew(self);
	if (self->is_creating)
		kafka_take_answer(self);
	while (target_peek(target, &record))
	{
		/* those that go alone are all that is under way */
		if (self->alone_until > 0 && record.number > self->alone_until)
			break;
		if (record.wanted && !kafka_send(self, &record))
			break;
		target_next(target, &record);
		if (!record.wanted || kafka_was_rejected(self, &record))
			target_taken(target, record.number, record.number);
	}
}

static void
kafka_close(Target *target)
{
	KafkaTarget *self = (KafkaTarget *) target;

	if (self->producer == NULL)
		return;
	if (!self->exactly)
		rd_kafka_flush(self->producer, CLOSE_MS);
	kafka_close_producer(self);
}

/* The brokers; topics come later. */
static bool
kafka_probe(const Url *url, const Settings *settings, char **why)
{
	KafkaTarget *self = (KafkaTarget *) kafka_open(url, settings);
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t				error;
	rd_kafka_event_t			   *event;

	if (self->producer == NULL)
		kafka_open_producer(self);
	error = rd_kafka_metadata(self->producer, 0, NULL, &metadata, PROBE_MS);
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		rd_kafka_metadata_destroy(metadata);
		return true;
	}
	*why = client_strdup(rd_kafka_err2str(error));
	/* what happened to the connections says more */
	while ((event = rd_kafka_queue_poll(self->reports, 0)) != NULL)
	{
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
		{
			free(*why);
			*why = client_format(
				"%s%s", rd_kafka_event_error_string(event),
				kafka_login_hint(rd_kafka_event_error_string(event)));
		}
		rd_kafka_event_destroy(event);
	}
	return false;
}

const TargetOps kafka_target = {
	.open = kafka_open,
	.resume = kafka_resume,
	.work = kafka_work,
	.remember = target_remember_nothing,
	.close = kafka_close,
	.probe = kafka_probe,
};

#endif /* HAVE_RDKAFKA */
