/*
 * kafka_reject.c
 *		Dead letters of a Kafka target.
 */
#ifdef HAVE_RDKAFKA

#include "client/targets/kafka_reject.h"

#include "client/memory.h"

void
kafka_reject(KafkaTarget *self, const Record *record, const char *reason)
{
	if (self->exactly == NULL)
	{
		target_rejected(&self->base, record, reason);
		return;
	}
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

#endif /* HAVE_RDKAFKA */
