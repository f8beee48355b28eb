/*
 * kafka_send.c
 *		A record on its way into a producer of librdkafka.
 */
#ifdef HAVE_RDKAFKA

#include "client/targets/kafka_send.h"

#include <stdlib.h>

#include "client/targets/kafka_reject.h"
#include "client/targets/kafka_topics.h"

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

void
kafka_make_anew(KafkaTarget *self)
{
	kafka_close_producer(self);
	kafka_change_batches(self);
	if (self->exactly)
		kafka_exactly_reset(self->exactly);
	kafka_open_producer(self);
	/* whether its creation was heard is unknown, too */
	if (self->is_creating)
		free(self->topics[--self->ntopics]);
	self->is_creating = self->owes_tombstone = self->in_doubt = false;
}

bool
kafka_send(KafkaTarget *self, const Record *record)
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
		self->in_doubt = true;
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

#endif /* HAVE_RDKAFKA */
