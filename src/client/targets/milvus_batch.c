/*
 * milvus_batch.c
 *		The records that go to Milvus together, and those that wait for a row.
 *
 * A partial update of a row that isn't there is no bad record yet: after a crash,
 * the row may have been deleted by what came later and comes again.  It waits for
 * that, until everything that could have been sent before has come.
 */
#ifdef HAVE_LIBCURL

#include <stdlib.h>
#include <string.h>

#include "client/targets/milvus_target.h"

#define BATCH_BYTES (1024 * 1024)
#define MAX_WAITING 10000

/* ---- rows that aren't there */

void
milvus_wait_for_row(MilvusTarget *self, const MilvusOperation *operation)
{
	self->waiting = client_realloc(self->waiting, (self->nwaiting + 1) *
													  sizeof(MilvusWaiting));
	self->waiting[self->nwaiting++] = (MilvusWaiting){
		.record = self->records[self->done],
		.table = operation->table,
		.key = client_strdup(operation->key),
		.reason = self->rejection,
	};
	self->rejection = NULL;
}

static void
forget_waiting(MilvusTarget *self, size_t i)
{
	free(self->waiting[i].key);
	free(self->waiting[i].reason);
	self->nwaiting--;
	memmove(self->waiting + i, self->waiting + i + 1,
			(self->nwaiting - i) * sizeof(MilvusWaiting));
}

/* The whole row was put or deleted: updates before that don't matter. */
static void
settle_waiting(MilvusTarget *self, const MilvusOperation *operation)
{
	size_t i = 0;

	while (i < self->nwaiting)
	{
		const MilvusWaiting *waiting = &self->waiting[i];

		if (waiting->table == operation->table &&
			operation->kind != MILVUS_PARTIAL &&
			(operation->kind == MILVUS_TRUNCATE ||
			 strcmp(waiting->key, operation->key) == 0))
		{
			target_taken(&self->base, waiting->record.number,
						 waiting->record.number);
			forget_waiting(self, i);
		}
		else
			i++;
	}
}

static void
reject_waiting(MilvusTarget *self)
{
	const MilvusWaiting *waiting = &self->waiting[0];
	char				*reason = client_format(
					   "the WAL has only a part of the row, and collection \"%s\" has "
									  "no row %s: load the table first, or ALTER TABLE %s REPLICA "
									  "IDENTITY FULL (%s)",
					   waiting->table->collection, waiting->key, waiting->table->display,
					   waiting->reason);

	target_rejected(&self->base, &waiting->record, reason);
	free(reason);
	forget_waiting(self, 0);
}

/* Is nothing to come any more that an earlier run may have sent? */
static bool
has_passed_horizon(MilvusTarget *self)
{
	const Place *place = &self->base.place;
	Lsn			 reached = place->commit_lsn ? place->commit_lsn : place->end;

	return reached > self->horizon ||
		   (!target_has_more(&self->base) &&
			ledger_received_lsn(self->base.ledger) >= self->horizon);
}

void
milvus_judge_waiting(MilvusTarget *self)
{
	size_t most = (size_t) self->base.settings->queue_bytes;

	while (self->nwaiting > 0 &&
		   (self->nwaiting > MAX_WAITING ||
			self->base.backlog->bytes >= most || has_passed_horizon(self)))
		reject_waiting(self);
}

/* ---- the batch */

void
milvus_finish_batch(MilvusTarget *self)
{
	uint64_t from = self->first;
	size_t	 i;

	for (i = 0; i < self->nwaiting; i++)
	{
		uint64_t number = self->waiting[i].record.number;

		if (number < from)
			continue;
		if (number > from)
			target_taken(&self->base, from, number - 1);
		from = number + 1;
	}
	if (from <= self->last)
		target_taken(&self->base, from, self->last);
	milvus_clear(&self->batch);
	self->nrecords = self->bytes = self->done = 0;
	self->first = self->last = 0;
	self->is_complete = self->alone = false;
}

static void
milvus_take(MilvusTarget *self, Record *record)
{
	target_next(&self->base, record);
	if (self->last == 0)
		self->first = record->number;
	self->last = record->number;
}

static void
milvus_keep(MilvusTarget *self, Record *record, MilvusOperation *operations,
			int count)
{
	int i;

	milvus_take(self, record);
	if (self->nrecords == self->allocated)
	{
		self->allocated = self->allocated ? self->allocated * 2 : 64;
		self->records =
			client_realloc(self->records, self->allocated * sizeof(Record));
	}
	if (self->nrecords == 0)
		self->since = clock_ms();
	self->records[self->nrecords++] = *record;
	self->bytes += record->length;
	for (i = 0; i < count; i++)
		milvus_add(&self->batch, &operations[i]);
}

/* A schema record: the collection is looked at anew before rows follow. */
static void
take_definition(MilvusTarget *self, MilvusTable *table, Record *record)
{
	milvus_take(self, record);
	mem_reset(&table->definition);
	mem_append(&table->definition, record->data, record->length - 1);
	self->to_describe = table;
}

/*
 * Takes a record into the batch.  False: it can't be in it, or is nothing that
 * others may follow in it.
 */
static bool
fill_with(MilvusTarget *self, Record *record)
{
	MilvusOperation operations[2];
	MilvusRecord	parts;
	MilvusTable	   *table = NULL;
	char		   *reason = NULL;
	int				count;

	milvus_read_record(&parts, record);
	if (record->wanted &&
		(record->kind == FRAME_CHANGE || record->kind == FRAME_SCHEMA))
		table =
			milvus_table(&self->tables, self->base.settings->milvus_collection,
						 &parts.schema, &parts.table, &self->base);
	if (table == NULL)
	{
		milvus_take(self, record);
		return true;
	}
	if (record->kind == FRAME_SCHEMA || !table->is_described)
	{
		if (self->nrecords > 0)
			return false;
		if (record->kind == FRAME_SCHEMA)
			take_definition(self, table, record);
		self->to_describe = table;
		return false;
	}
	if (json_is(&parts.op, "\"truncate\"") && self->nrecords > 0)
		return false;
	count = milvus_read_change(operations, table, &parts, self->has_partial,
							   &reason);
	if (count < 0)
	{
		milvus_take(self, record);
		target_rejected(&self->base, record, reason);
		free(reason);
		return true;
	}
	if (milvus_conflicts(&self->batch, &operations[0]))
	{
		milvus_free_operation(&operations[0]);
		return false;
	}
	milvus_keep(self, record, operations, count);
	return operations[0].kind != MILVUS_TRUNCATE;
}

bool
milvus_fill_batch(MilvusTarget *self)
{
	size_t most = target_batch_bytes(&self->base, BATCH_BYTES);
	bool   is_full = false;
	Record record;

	while (!is_full && self->to_describe == NULL &&
		   target_peek(&self->base, &record))
		is_full = !fill_with(self, &record) ||
				  (self->nrecords > 0 && self->bytes >= most);
	if (self->nrecords == 0)
	{
		if (self->last > 0)
			milvus_finish_batch(self);
		return false;
	}
	return is_full || self->base.draining ||
		   clock_ms() >= self->since + target_linger(&self->base, 0);
}

void
milvus_load_record(MilvusTarget *self)
{
	milvus_clear(&self->batch);
	while (self->done < self->nrecords)
	{
		const Record   *record = &self->records[self->done];
		MilvusOperation operations[2];
		MilvusRecord	parts;
		char		   *reason = NULL;
		int				count;
		int				i;

		milvus_read_record(&parts, record);
		count = milvus_read_change(
			operations,
			milvus_table(&self->tables, self->base.settings->milvus_collection,
						 &parts.schema, &parts.table, &self->base),
			&parts, self->has_partial, &reason);
		for (i = 0; i < count; i++)
			milvus_add(&self->batch, &operations[i]);
		if (count > 0)
			return;
		target_rejected(&self->base, record, reason);
		free(reason);
		self->done++;
	}
}

static void
milvus_delivered(MilvusTarget *self, size_t first, size_t end)
{
	self->base.counts.records += end - first;
	for (; first < end; first++)
		self->base.counts.bytes += self->records[first].length;
}

void
milvus_operations_done(MilvusTarget *self)
{
	size_t i;

	for (i = 0; self->nwaiting > 0 && i < self->batch.count; i++)
		settle_waiting(self, &self->batch.operations[i]);
	if (!self->alone)
	{
		milvus_delivered(self, 0, self->nrecords);
		milvus_finish_batch(self);
		return;
	}
	milvus_delivered(self, self->done, self->done + 1);
	self->done++;
	milvus_load_record(self);
}

#endif /* HAVE_LIBCURL */
