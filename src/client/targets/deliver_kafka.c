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

#include "client/dead_letter.h"
#include "client/loop.h"
#include "client/targets/kafka_producer.h"
#include "client/targets/kafka_reject.h"
#include "client/targets/targets.h"

#define CLOSE_MS	1000
#define STEP_MS		10 /* between steps of what librdkafka does meanwhile */
#define BATCH_BYTES (1024 * 1024)
#define PROBE_MS	10000
#define LINGER_MS	50 /* of a Kafka transaction */

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

static rd_kafka_resp_err_t
produce(KafkaTarget *self, const char *value, size_t length, void *opaque)
{
	const KafkaRecord *record = &self->record;
	const Facts		  *facts = &record->facts;

	return rd_kafka_producev(
		self->producer, RD_KAFKA_V_TOPIC(record->topic.data),
		RD_KAFKA_V_KEY(facts->key.length ? facts->key.data : NULL,
					   facts->key.length),
		RD_KAFKA_V_VALUE((void *) value, length), RD_KAFKA_V_OPAQUE(opaque),
		RD_KAFKA_V_HEADER("id", facts->id, -1),
		RD_KAFKA_V_HEADER("lsn", facts->lsn, -1),
		RD_KAFKA_V_HEADER("op", facts->op ? facts->op : "", -1),
		RD_KAFKA_V_END);
}

static void
make_anew(KafkaTarget *self)
{
	kafka_close_producer(self);
	kafka_change_batches(self);
	if (self->exactly)
		kafka_exactly_reset(self->exactly);
	kafka_open_producer(self);
	/* whether its creation was heard is unknown, too */
	if (self->is_creating)
		free(self->topics[--self->ntopics]);
	self->is_creating = self->owes_tombstone = false;
}

/* Another producer, which finds out what the one before has done. */
static void
begin_anew(KafkaTarget *self)
{
	make_anew(self);
	/* back to where the open transaction began */
	if (self->phase == KAFKA_READY && !self->is_open)
		self->committed = self->base.place;
	self->phase = KAFKA_PREPARING;
	self->is_open = false;
	self->last = 0;
	self->bytes = 0;
}

static void
renew_producer(KafkaTarget *self)
{
	self->base.counts.retries[RETRY_TIMEOUT]++;
	log_limited(&self->doubt_limit, LOG_WARNING,
				"%s: a transaction is in doubt: asking what became of it",
				self->base.name);
	begin_anew(self);
}

/* False if it must wait: the producer's queue is full, the topic or the producer new. */
static bool
send_record(KafkaTarget *self, const Record *record)
{
	bool				tombstone;
	rd_kafka_resp_err_t error;

	if (kafka_was_rejected(self, record))
	{
		self->owes_tombstone = false; /* it goes with its value */
		return true;
	}
	kafka_record(&self->record, &self->base, record, self->prefix,
				 self->base.settings->kafka_topic);
	if (!kafka_topic_is_ready(self, self->record.topic.data))
		return false;
	tombstone =
		self->record.tombstone && self->base.settings->kafka_tombstones;
	if (self->owes_tombstone)
		error = RD_KAFKA_RESP_ERR_NO_ERROR;
	else
		error = produce(self, record->data, record->length - 1,
						kafka_opaque(record->number, tombstone));
	if (error == 0)
		self->sent = record->number;
	if (error == 0 && tombstone)
	{
		error = produce(self, NULL, 0, kafka_opaque(record->number, false));
		self->owes_tombstone = error == RD_KAFKA_RESP_ERR__QUEUE_FULL;
	}
	if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return false;
	if (self->exactly && kafka_exactly_has_failed(self->producer, error))
	{
		renew_producer(self);
		return false;
	}
	if (kafka_is_record_error(error))
		kafka_reject(self, record, rd_kafka_err2str(error));
	else if (!self->exactly && error == RD_KAFKA_RESP_ERR__FATAL)
		return false; /* it has stopped: a delivery report tells why */
	else if (error)
		kafka_refused(self, error, self->record.topic.data);
	return true;
}

/* There is no topic of positions.  One that was just made may take a moment. */
static void
ask_for_offsets(KafkaTarget *self)
{
	const char *topic = kafka_exactly_topic(self->exactly);

	if (self->creation_error)
		kafka_refused(self, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, topic);
	if (self->ntopics == 0)
		kafka_add_topic(self, topic);
}

/* A producer that has just been made: a step.  True once it is ready. */
static bool
prepare_step(KafkaTarget *self)
{
	Target		*target = &self->base;
	Place		 found;
	KafkaOutcome outcome = KAFKA_PENDING;

	if (self->is_creating)
		kafka_take_answer(self);
	if (!self->is_creating)
		outcome = kafka_exactly_ready(self->exactly, self->producer,
									  kafka_client_conf, self, &found);
	if (outcome == KAFKA_DOUBTFUL)
		renew_producer(self);
	if (outcome == KAFKA_MISSING)
		ask_for_offsets(self);
	if (outcome != KAFKA_DONE)
	{
		target->wake_at = clock_ms() + STEP_MS;
		return false;
	}
	/* what was in doubt is known now; the rest goes again */
	target->position = found.end;
	target->has_part = found;
	target->reached_in = kafka_exactly_timeline(self->exactly);
	if (!self->has_started)
		self->committed.end = found.end; /* here the stream begins */
	self->has_started = true;
	target_rewind(target, &self->committed);
	self->phase = KAFKA_READY;
	return true;
}

/* Waits for Kafka, however long, so that the stream starts where it must. */
static void
kafka_resume(Target *target, const Identity *identity)
{
	KafkaTarget *self = (KafkaTarget *) target;

	if (!self->settings->kafka_exactly_once)
		return;
	/* all files of them have the same numbers: a second one would be passed over */
	if (identity->timeline == 0)
		client_exit(EXIT_USAGE,
					"%s: --exactly-once keeps the position of a slot, and "
					"replayed records have none: replay them without it",
					target->name);
	self->exactly = kafka_exactly_new(self->prefix, &target->identity);
	target->stored_in = kafka_exactly_topic(self->exactly);
	self->phase = KAFKA_PREPARING;
	kafka_open_producer(self);
	while (!prepare_step(self))
	{
		rd_kafka_poll(self->producer, 0);
		if (loop_stop_wanted())
			client_exit(EXIT_UNFINISHED, "stopped before %s was reached",
						target->name);
		loop_wait(target->wake_at);
	}
	log_message(LOG_INFO, "%s has everything up to " LSN_FORMAT, target->name,
				LSN_ARGS(target->position));
}

/* True if the transaction is out of the way. */
static bool
commit_step(KafkaTarget *self)
{
	Target *target = &self->base;

	dead_letter_sync();
	switch (
		kafka_exactly_commit(self->exactly, self->producer, &target->place))
	{
		case KAFKA_PENDING:
		case KAFKA_MISSING:
			target->wake_at = clock_ms() + STEP_MS;
			return false;
		case KAFKA_DOUBTFUL:
			renew_producer(self);
			target->wake_at = clock_ms() + STEP_MS;
			return false;
		case KAFKA_DONE:
			break;
	}
	self->phase = KAFKA_READY;
	self->is_open = false;
	self->bytes = 0;
	target->counts.requests++;
	target_taken(target, 1, self->last);
	self->last = 0;
	self->nrejected = 0;
	if (kafka_may_join(self, ledger_prefix(target->ledger, target->number)))
		begin_anew(self);
	return true;
}

/* Takes records into the open transaction; true when it should be committed. */
static bool
fill_transaction(KafkaTarget *self)
{
	Target *target = &self->base;
	size_t	most = target_batch_bytes(target, BATCH_BYTES);
	Record	record;

	while ((self->bytes == 0 || self->bytes < most) &&
		   target_peek(target, &record))
	{
		if (record.wanted && !self->is_open)
		{
			if (!kafka_exactly_begin(self->exactly, self->producer))
			{
				renew_producer(self);
				return false;
			}
			self->is_open = true;
			self->committed = target->place;
			self->commit_at = clock_ms() + target_linger(target, LINGER_MS);
		}
		if (record.wanted && !send_record(self, &record))
			break;
		target_next(target, &record);
		if (!self->is_open)
		{
			target_taken(target, record.number, record.number);
			continue;
		}
		self->last = record.number;
		self->bytes += record.length;
		target->counts.records += record.wanted;
		target->counts.bytes += record.wanted ? record.length : 0;
	}
	/* a record's messages are in one transaction */
	return self->is_open && self->last > 0 && !self->owes_tombstone &&
		   (self->bytes >= most || target->draining ||
			clock_ms() >= self->commit_at);
}

static void
exactly_work(KafkaTarget *self)
{
	Target *target = &self->base;

	if (self->exactly == NULL)
		return; /* not connected yet */
	if (self->renews)
		begin_anew(self);
	if (self->phase == KAFKA_PREPARING && !prepare_step(self))
		return;
	if (self->is_creating)
		kafka_take_answer(self);
	if (self->phase == KAFKA_COMMITTING && !commit_step(self))
		return;
	while (self->phase == KAFKA_READY && fill_transaction(self))
	{
		self->phase = KAFKA_COMMITTING;
		if (!commit_step(self))
			return;
	}
	/* past its time, a transaction waits for the topic of its record */
	if (self->is_open && self->commit_at > clock_ms())
		target->wake_at = self->commit_at;
	else if (!self->is_open && self->phase == KAFKA_READY)
		target->wake_at = NEVER;
	else
		target->wake_at = clock_ms() + STEP_MS;
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
		target->wake_at = clock_ms() + STEP_MS;
		return false;
	}
	target->wake_at = NEVER;
	make_anew(self);
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
		exactly_work(self);
		return;
	}
	if (self->renews && !go_back(self))
		return;
	kafka_forget_rejected(self);
	if (kafka_may_join(self, ledger_prefix(target->ledger, target->number)))
		make_anew(self);
	if (self->is_creating)
		kafka_take_answer(self);
	while (target_peek(target, &record))
	{
		/* those that go alone are all that is under way */
		if (self->alone_until > 0 && record.number > self->alone_until)
			break;
		if (record.wanted && !send_record(self, &record))
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
