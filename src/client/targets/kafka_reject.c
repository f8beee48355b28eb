/*
 * kafka_reject.c
 *		Dead letters of a Kafka target, and how to find what must become one.
 */
#ifdef HAVE_RDKAFKA

#include "client/targets/kafka_reject.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/memory.h"

#define BATCH_SIZE		 1000000 /* librdkafka's own */
#define LEAST_BATCH_SIZE 1000

void
kafka_forget_rejected(KafkaTarget *self)
{
	uint64_t prefix = ledger_prefix(self->base.ledger, self->base.number);
	size_t	 kept = 0;
	size_t	 i;

	for (i = 0; i < self->nrejected; i++)
		if (self->rejected[i] > prefix)
			self->rejected[kept++] = self->rejected[i];
	self->nrejected = kept;
}

void
kafka_reject(KafkaTarget *self, const Record *record, const char *reason)
{
	target_set_aside(&self->base, record, reason);
	self->rejected = client_realloc(
		self->rejected, (self->nrejected + 1) * sizeof(*self->rejected));
	self->rejected[self->nrejected++] = record->number;
}

bool
kafka_was_rejected(const KafkaTarget *self, const Record *record)
{
	size_t i;

	for (i = 0; i < self->nrejected; i++)
		if (self->rejected[i] == record->number)
			return true;
	return false;
}

static bool
goes_alone(const KafkaTarget *self)
{
	return self->settings->batch_bytes == 0 || self->alone_until > 0;
}

/* One that isn't taken yet. */
static bool
find_record(const KafkaTarget *self, uint64_t number, Record *record)
{
	Cursor cursor = {NULL, 0};

	while (backlog_peek(self->base.backlog, &cursor, record))
	{
		if (record->number == number)
			return true;
		backlog_advance(&cursor);
	}
	return false;
}

static void
refused_alone(KafkaTarget *self, uint64_t number, bool more,
			  rd_kafka_resp_err_t error)
{
	Record record;

	self->has_rejected = true;
	if (find_record(self, number, &record) &&
		!kafka_was_rejected(self, &record))
		kafka_reject(self, &record, rd_kafka_err2str(error));
	if (self->exactly)
		self->renews = true; /* the transaction has failed by it */
	else if (!more)
		target_taken(&self->base, number, number);
}

void
kafka_refused_batch(KafkaTarget *self, uint64_t number, bool more,
					rd_kafka_resp_err_t error)
{
	if (self->batch_refused)
		return;
	if (goes_alone(self))
	{
		refused_alone(self, number, more, error);
		return;
	}
	self->batch_refused = self->renews = true;
	self->base.counts.retries[RETRY_ERROR]++;
	log_limited(&self->base.limit, LOG_WARNING,
				"%s: a batch was refused: %s; its records go one by one",
				self->base.name, rd_kafka_err2str(error));
}

static void
set_number(rd_kafka_conf_t *conf, const char *name, int value)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", value);
	rd_kafka_conf_set(conf, name, text, NULL, 0);
}

void
kafka_set_batches(KafkaTarget *self, rd_kafka_conf_t *conf)
{
	char   text[32];
	size_t size = sizeof(text);

	if (goes_alone(self))
		set_number(conf, "batch.num.messages", 1);
	else if (!self->settings->kafka_exactly_once)
		rd_kafka_conf_set(conf, "enable.gapless.guarantee", "true", NULL, 0);
	if (self->batch_size > 0 &&
		rd_kafka_conf_get(conf, "batch.size", text, &size) ==
			RD_KAFKA_CONF_OK &&
		atoi(text) > self->batch_size)
		set_number(conf, "batch.size", self->batch_size);
}

bool
kafka_may_join(const KafkaTarget *self, uint64_t acknowledged)
{
	return self->alone_until > 0 && acknowledged >= self->alone_until;
}

void
kafka_change_batches(KafkaTarget *self)
{
	if (self->batch_refused)
	{
		self->alone_until = self->sent;
		self->has_rejected = false;
	}
	else if (kafka_may_join(
				 self, ledger_prefix(self->base.ledger, self->base.number)))
	{
		/* none was too large by itself: the batch was */
		if (!self->has_rejected)
			self->batch_size =
				(self->batch_size ? self->batch_size : BATCH_SIZE) / 2;
		if (self->batch_size < LEAST_BATCH_SIZE && self->batch_size > 0)
			self->batch_size = LEAST_BATCH_SIZE;
		self->alone_until = 0;
	}
	self->batch_refused = self->renews = false;
}

#endif /* HAVE_RDKAFKA */
