/*
 * debezium_source.c
 *		Where and when a change event of format debezium comes from.
 *
 * "sequence" holds the LSN of the commit and that of the change: both grow in
 * the order of delivery and are the same in every delivery.  Debezium puts
 * the commit before this one in the first place, which differs after each
 * restart.
 */
#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "encode/debezium/debezium.h"
#include "encode/value/json_part.h"

#define UNIX_EPOCH_OFFSET                                                     \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

typedef struct EventCount
{
	Oid	   relid; /* hash key */
	uint64 count;
	uint64 last; /* the change that was counted last */
	char  *name; /* schema.table, as JSON */
} EventCount;

static void
forget_counts(Debezium *debezium)
{
	ListCell *lc;

	foreach (lc, debezium->order)
		pfree(((EventCount *) lfirst(lc))->name);
	list_free(debezium->order);
	debezium->order = NIL;
	hash_destroy(debezium->counts);
	debezium->counts = NULL;
}

static void
create_counts(Debezium *debezium)
{
	HASHCTL ctl;

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(EventCount);
	ctl.hcxt = GetMemoryChunkContext(debezium);
	debezium->counts = hash_create("outflow debezium events", 32, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
debezium_init(Debezium *debezium)
{
	buffer_init(&debezium->source);
	buffer_init(&debezium->middle);
	if (debezium->transaction_metadata)
		create_counts(debezium);
}

void
debezium_times(ByteBuffer *out, TimestampTz time)
{
	char *start = buffer_reserve(out, 128);
	char *dst = start;
	int64 micros = time + UNIX_EPOCH_OFFSET;
	int64 millis = micros / 1000 - (micros % 1000 < 0 ? 1 : 0);

	memcpy(dst, ",\"ts_ms\":", 9);
	dst += 9;
	dst += text_int64(dst, millis);
	memcpy(dst, ",\"ts_us\":", 9);
	dst += 9;
	dst += text_int64(dst, micros);
	memcpy(dst, ",\"ts_ns\":", 9);
	dst += 9;
	dst += text_int64(dst, micros * 1000);
	buffer_advance(out, dst - start);
}

static void
render_source(Debezium *debezium, const JsonStyle *style,
			  const ChangeTransaction *txn)
{
	ByteBuffer *out = &debezium->source;

	buffer_clear(out);
	buffer_append_literal(
		out, ",\"source\":{\"version\":\"1.0\",\"connector\":\"postgresql\"");
	buffer_append_literal(out, ",\"name\":");
	json_append_string(out, style, debezium->server);
	/* outside of transactions no time is stored: the connector's own answer */
	debezium_times(out, TransactionIdIsValid(txn->xid)
							? txn->time
							: GetCurrentTimestamp());
	buffer_append_literal(out, ",\"snapshot\":\"false\",\"db\":");
	json_append_string(out, style, debezium->database);
	buffer_append_literal(out, ",\"sequence\":\"[\\\"");
	json_append_uint(out, txn->commit_lsn);
	buffer_append_literal(out, "\\\",\\\"");

	out = &debezium->middle;
	buffer_clear(out);
	buffer_append_literal(out, ",\"txId\":");
	if (TransactionIdIsValid(txn->xid))
		json_append_uint(out, txn->xid);
	else
		buffer_append_literal(out, "null");
	buffer_append_literal(out, ",\"lsn\":");
}

void
debezium_enter(Debezium *debezium, const JsonStyle *style,
			   const ChangeTransaction *txn)
{
	if (likely(debezium->commit_lsn == txn->commit_lsn &&
			   debezium->xid == txn->xid))
		return;
	debezium->commit_lsn = InvalidXLogRecPtr; /* until all is done */
	render_source(debezium, style, txn);
	if (debezium->order != NIL)
	{
		forget_counts(debezium);
		create_counts(debezium);
	}
	debezium->xid = txn->xid;
	debezium->commit_lsn = txn->commit_lsn;
}

void
debezium_source(ByteBuffer *out, const Debezium *debezium,
				const ChangePosition *position, const ShapeText *table)
{
	char lsn[MAX_NUMBER_TEXT];
	/* a message outside of transactions is its own commit */
	int len = text_int64(
		lsn, (int64) (position->lsn ? position->lsn : debezium->commit_lsn));

	buffer_append(out, debezium->source.data, debezium->source.len);
	buffer_append(out, lsn, len);
	buffer_append_literal(out, "\\\"]\"");
	shape_text_append(out, table);
	buffer_append(out, debezium->middle.data, debezium->middle.len);
	buffer_append(out, lsn, len);
	buffer_append_literal(out, ",\"xmin\":null}");
}

/* "id":"xid:LSN", the same in all of a transaction */
static void
append_transaction_id(ByteBuffer *out, const ChangeTransaction *txn)
{
	buffer_append_literal(out, "\"id\":\"");
	json_append_uint(out, txn->xid);
	buffer_append_char(out, ':');
	json_append_uint(out, txn->commit_lsn);
	buffer_append_char(out, '"');
}

/* Counts one more event of a relation; once, as it may be written again. */
static uint64
count_event(Debezium *debezium, const RowShape *shape, uint64 change)
{
	EventCount *entry;
	bool		found;

	entry = hash_search(debezium->counts, &shape->relid, HASH_ENTER, &found);
	if (!found)
	{
		MemoryContext old =
			MemoryContextSwitchTo(GetMemoryChunkContext(debezium));
		const JsonStyle style = json_style_default();
		ByteBuffer		name;
		char		   *plain = psprintf("%s.%s", shape->schema, shape->name);

		entry->count = entry->last = 0;
		buffer_init(&name);
		json_append_string(&name, &style, plain);
		entry->name = buffer_text(&name);
		debezium->order = lappend(debezium->order, entry);
		pfree(plain);
		MemoryContextSwitchTo(old);
	}
	if (entry->last != change)
		entry->count++;
	entry->last = change;
	return entry->count;
}

void
debezium_number(ByteBuffer *out, Debezium *debezium,
				const ChangeTransaction *txn, const RowShape *shape)
{
	uint64 order;

	if (!debezium->transaction_metadata || !TransactionIdIsValid(txn->xid))
	{
		buffer_append_literal(out, ",\"transaction\":null");
		return;
	}
	buffer_append_literal(out, ",\"transaction\":{");
	append_transaction_id(out, txn);
	buffer_append_literal(out, ",\"total_order\":");
	json_append_uint(out, txn->changes + 1);
	buffer_append_literal(out, ",\"data_collection_order\":");
	order = shape ? count_event(debezium, shape, txn->changes + 1) : 1;
	json_append_uint(out, order);
	buffer_append_char(out, '}');
}

static void
append_counts(ByteBuffer *out, const Debezium *debezium)
{
	const char *comma = "";
	ListCell   *lc;

	foreach (lc, debezium->order)
	{
		const EventCount *entry = lfirst(lc);

		if (buffer_is_over(out))
			return;
		buffer_append(out, comma, strlen(comma));
		buffer_append_literal(out, "{\"data_collection\":");
		buffer_append(out, entry->name, strlen(entry->name));
		buffer_append_literal(out, ",\"event_count\":");
		json_append_uint(out, entry->count);
		buffer_append_char(out, '}');
		comma = ",";
	}
}

void
debezium_transaction(ByteBuffer *out, const ChangeFormatOptions *options,
					 TransactionEvent event, const ChangeTransaction *txn,
					 const ChangePosition *position, RecordForm form)
{
	Debezium *debezium = debezium_of(options);

	debezium_enter(debezium, &options->style, txn);
	if (!options->include_transactions)
		return;
	if (event == EVENT_BEGIN)
	{
		buffer_append_literal(out, "{\"status\":\"BEGIN\",");
		append_transaction_id(out, txn);
		buffer_append_literal(
			out, ",\"event_count\":null,\"data_collections\":null");
	}
	else
	{
		buffer_append_literal(out, "{\"status\":\"END\",");
		append_transaction_id(out, txn);
		buffer_append_literal(out, ",\"event_count\":");
		json_append_uint(out, txn->changes);
		if (form == RECORD_WHOLE)
		{
			buffer_append_literal(out, ",\"data_collections\":[");
			append_counts(out, debezium);
			buffer_append_char(out, ']');
		}
		else
			buffer_append_literal(
				out, ",\"data_collections\":null,\"omitted\":true");
	}
	debezium_times(out, txn->time);
	buffer_append_char(out, '}');
}
