/*
 * kinesis_ring.c
 *		The records of a Kinesis target that are not acknowledged, in order, and
 *		those of them that a request may have: one of a key.
 */
#ifdef HAVE_LIBCURL

#include <stdlib.h>
#include <string.h>

#include "client/targets/kinesis_target.h"

#define KEY_BYTES (KINESIS_KEY_SIZE - 1)

static KinesisEntry *
kinesis_entry_at(KinesisTarget *self, size_t i)
{
	return &self->entries[(self->first + i) % self->allocated];
}

static size_t
record_size(const Record *record)
{
	return record->length - 1 + KEY_BYTES;
}

void
kinesis_done(KinesisTarget *self, KinesisEntry *entry)
{
	entry->state = ENTRY_DONE;
	target_taken(&self->base, entry->record.number, entry->record.number);
}

void
kinesis_shift(KinesisTarget *self)
{
	while (self->count > 0 && kinesis_entry_at(self, 0)->state == ENTRY_DONE)
	{
		self->bytes -= record_size(&kinesis_entry_at(self, 0)->record);
		self->first = (self->first + 1) % self->allocated;
		self->count--;
	}
}

void
kinesis_reject(KinesisTarget *self, KinesisEntry *entry, const char *reason)
{
	target_rejected(&self->base, &entry->record, reason);
	kinesis_done(self, entry);
}

static void
kinesis_take(KinesisTarget *self, const Record *record)
{
	KinesisEntry *entry;
	char		 *reason;

	if (record_size(record) > self->max_record)
	{
		reason = client_format("%zu bytes are too large: at most %zu",
							   record_size(record), self->max_record);
		target_rejected(&self->base, record, reason);
		free(reason);
		return;
	}
	facts_read(&self->facts, &self->base, record);
	if (self->count == 0)
		self->since = clock_ms();
	entry = kinesis_entry_at(self, self->count++);
	entry->record = *record;
	entry->state = ENTRY_WAITING;
	kinesis_partition_key(&self->facts, record, entry->key);
	self->bytes += record_size(record);
}

void
kinesis_fill(KinesisTarget *self)
{
	Record record;

	while (self->count < self->allocated &&
		   self->bytes < KINESIS_LOOK_AHEAD * self->max_bytes &&
		   target_next(&self->base, &record))
	{
		if (record.wanted)
			kinesis_take(self, &record);
		else
			target_taken(&self->base, record.number, record.number);
	}
}

/* A key of the table of busy ones, as it is or newly entered; true: it was. */
static bool
key_is_busy(KinesisTarget *self, const char *key)
{
	char   digits[9];
	size_t i;

	memcpy(digits, key, 8);
	digits[8] = '\0';
	for (i = strtoul(digits, NULL, 16);; i++)
	{
		const char **slot = &self->busy[i & (self->nbusy - 1)];

		if (*slot == NULL)
		{
			*slot = key;
			return false;
		}
		if (strcmp(*slot, key) == 0)
			return true;
	}
}

bool
kinesis_build_request(KinesisTarget *self)
{
	size_t most = self->alone ? 1 : self->max_records;
	size_t bytes = 0;
	size_t i;

	self->nsent = 0;
	memset(self->busy, 0, self->nbusy * sizeof(*self->busy));
	kinesis_begin(&self->body, self->stream);
	for (i = 0; i < self->count && self->nsent < most; i++)
	{
		KinesisEntry *entry = kinesis_entry_at(self, i);

		if (entry->state == ENTRY_DONE || key_is_busy(self, entry->key))
			continue;
		bytes += record_size(&entry->record);
		if (self->nsent > 0 && bytes > self->max_bytes)
			break;
		kinesis_append(&self->body, &entry->record, entry->key);
		entry->state = ENTRY_SENT;
		self->sent[self->nsent++] = entry;
	}
	if (self->nsent == 0)
		return false;
	kinesis_end(&self->body);
	return true;
}

#endif /* HAVE_LIBCURL */
