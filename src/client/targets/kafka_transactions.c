/*
 * kafka_transactions.c
 *		The transactions of a Kafka target: begun, filled, committed, and gone back to.
 */
#ifdef HAVE_RDKAFKA

#include "client/targets/kafka_transactions.h"

#include "client/dead_letter.h"
#include "client/targets/kafka_reject.h"
#include "client/targets/kafka_send.h"
#include "client/targets/kafka_topics.h"

#define BATCH_BYTES (1024 * 1024)
#define LINGER_MS	50

/* Another producer, which finds out what the one before has done. */
static void
begin_anew(KafkaTarget *self)
{
	kafka_make_anew(self);
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

/* The id of the record at which a place is; NULL: not known. */
static void
set_last(KafkaTarget *self, const char *id)
{
	free(self->last_id);
	self->last_id = id ? client_strdup(id) : NULL;
	self->last_counted.length = 0;
}

/* While the record is still in the backlog. */
static void
note_last(KafkaTarget *self)
{
	char *id;

	if (self->last_counted.length == 0)
		return;
	id = target_record_id(&self->base, &self->last_counted);
	set_last(self, id);
	free(id);
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
		target->wake_at = clock_ms() + KAFKA_STEP_MS;
		return false;
	}
	/* what was in doubt is known now; the rest goes again */
	target->position = found.end;
	/* whoever sets the position to the end of a part has done with it */
	target->has_part = found.end > found.commit_lsn ? (Place){0} : found;
	self->stores_part = found.commit_lsn != 0;
	set_last(self, kafka_exactly_last(self->exactly));
	free(target->part_last);
	target->part_last = self->last_id ? client_strdup(self->last_id) : NULL;
	target->reached_in = kafka_exactly_timeline(self->exactly);
	if (!self->has_started)
		self->committed.end = found.end; /* here the stream begins */
	self->has_started = true;
	target_rewind(target, &self->committed);
	self->phase = KAFKA_READY;
	return true;
}

void
kafka_transactions_resume(KafkaTarget *self, const Identity *identity)
{
	Target *target = &self->base;

	/* all files of them have the same numbers: a second one would be passed over */
	if (identity->timeline == 0)
		client_exit(EXIT_USAGE,
					"%s: --exactly-once keeps the position of a slot, and "
					"replayed records have none: replay them without it",
					target->name);
	target->stores_parts = true;
	self->exactly = kafka_exactly_new(self->prefix, &target->identity);
	target->stored_in = kafka_exactly_topic(self->exactly);
	self->phase = KAFKA_PREPARING;
	kafka_open_producer(self);
	while (!prepare_step(self))
	{
		rd_kafka_poll(self->producer, 0);
		target_await(target);
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
	note_last(self);
	switch (
		kafka_exactly_commit(self->exactly, self->producer, &target->place,
							 target->place.commit_lsn ? self->last_id : NULL))
	{
		case KAFKA_PENDING:
		case KAFKA_MISSING:
			target->wake_at = clock_ms() + KAFKA_STEP_MS;
			return false;
		case KAFKA_DOUBTFUL:
			renew_producer(self);
			target->wake_at = clock_ms() + KAFKA_STEP_MS;
			return false;
		case KAFKA_DONE:
			break;
	}
	self->phase = KAFKA_READY;
	self->is_open = false;
	self->stores_part = target->place.commit_lsn != 0;
	self->bytes = 0;
	target->counts.requests++;
	target_taken(target, 1, self->last);
	self->last = 0;
	self->nrejected = 0;
	if (kafka_may_join(self, ledger_prefix(target->ledger, target->number)))
		begin_anew(self);
	return true;
}

/*
 * The end of a transaction of which Kafka has a part goes into a transaction, too,
 * though nothing is sent: a part whose rest hasn't come can so be told later.
 */
static bool
goes_into_transaction(const KafkaTarget *self, const Record *record)
{
	return record->wanted || (self->stores_part && record->complete);
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
		if (!self->is_open && goes_into_transaction(self, &record))
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
		if (record.wanted && !kafka_send(self, &record))
			break;
		target_next(target, &record);
		if (record.kind != FRAME_SCHEMA)
			self->last_counted = record;
		if (!self->is_open)
		{
			set_last(self, NULL);
			target_taken(target, record.number, record.number);
			continue;
		}
		self->last = record.number;
		self->bytes += record.length;
		target->counts.records += record.wanted;
		target->counts.bytes += record.wanted ? record.length : 0;
	}
	if (self->in_doubt)
		renew_producer(self);
	/* a record's messages are in one transaction */
	return self->is_open && self->last > 0 && !self->owes_tombstone &&
		   (self->bytes >= most || target->draining ||
			clock_ms() >= self->commit_at);
}

void
kafka_transactions_work(KafkaTarget *self)
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
		target->wake_at = clock_ms() + KAFKA_STEP_MS;
}

#endif /* HAVE_RDKAFKA */
