/*
 * transaction.c
 *		Where a transaction begins and ends in the stream.
 *
 * The begin record is written just before the transaction's first record, so
 * that a transaction of which nothing is wanted costs no message at all.  A
 * prepared transaction always has its records, empty or not: what follows its
 * PREPARE may come in another session, which can't know.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogreader.h"

#include "compat.h"
#include "stream/stream.h"

/* What is known from the start. */
void
transaction_describe(ChangeTransaction *t, const ReorderBufferTXN *txn)
{
	memset(t, 0, sizeof(*t));
	t->xid = txn->xid;
	t->commit_lsn = t->prepare_lsn = txn->final_lsn;
	t->end_lsn = txn->end_lsn;
	t->time = rbtxn_commit_time(txn);
	t->gid = txn->gid;
	t->origin = txn->origin_id;
	t->origin_lsn = txn->origin_lsn;
}

/* Whether any of the transaction may be wanted. */
static bool
transaction_is_wanted(StreamSession *session, const ReorderBufferTXN *txn)
{
	return !snapshots_have_all(session, txn->xid) &&
		   origin_is_wanted(session, txn->origin_id);
}

/* An event's record holds names of limited length, whatever the options. */
#define LEAST_LIMIT (64 * 1024)

typedef struct Event
{
	TransactionEvent		 event;
	const ChangeTransaction *txn;
	ChangePosition			 position;
} Event;

static void
write_event(StreamSession *session, ByteBuffer *out, RecordForm form,
			const void *what)
{
	const Event *event = what;

	session->format->transaction(out, &session->format_options, event->event,
								 event->txn, &event->position, form);
}

void
transaction_write(StreamSession *session, TransactionEvent event,
				  const ChangeTransaction *txn, TransactionId subxid)
{
	Event what = {event, txn, {.subxid = subxid}};
	int64 limit = Max(record_limit(&session->options), LEAST_LIMIT);

	if (record_write(session, limit, write_event, &what) != RECORD_WHOLE)
		record_report(session, "record of a transaction",
					  "What it counts by table");
	writer_end(session);
}

/* The name is the transaction's: its rows may have other origins. */
static void
name_origin(StreamSession *session)
{
	const char	 *name = NULL;
	MemoryContext old = MemoryContextSwitchTo(session->change_context);

	if (!session->skipped)
		name = origin_name(session, session->txn.origin);
	if (session->origin_name)
		pfree(session->origin_name);
	session->origin_name =
		name ? MemoryContextStrdup(session->context, text_of_names(name))
			 : NULL;
	session->txn.origin_name = session->origin_name;
	MemoryContextSwitchTo(old);
}

static void
begin(StreamSession *session, ReorderBufferTXN *txn)
{
	overlap_begin(session, txn);
	relation_cache_trim(session);
	transaction_describe(&session->txn, txn);
	session->begun = false;
	session->skipped = !transaction_is_wanted(session, txn);
	session->judged_generation = 0;
	session->position.lsn = InvalidXLogRecPtr;
	session->position.index = 0;
	name_origin(session);
}

void
transaction_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	StreamSession *session = stream_session(ctx);

	begin(session, txn);
	if (session->options.traits.empty_transactions)
		transaction_ensure_begun(session);
}

void
transaction_ensure_begun(StreamSession *session)
{
	if (likely(session->begun))
		return;
	session->begun = true;
	if (session->streamed)
	{
		session->streamed->emitted = true;
		transaction_write(session, EVENT_STREAM_START, &session->txn,
						  InvalidTransactionId);
	}
	else
		transaction_write(session, EVENT_BEGIN, &session->txn,
						  InvalidTransactionId);
}

void
transaction_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				   XLogRecPtr commit_lsn)
{
	StreamSession *session = stream_session(ctx);
	bool		   empty = !session->begun;

	OutputPluginUpdateProgress(ctx, empty);
	session->unreported = 0;
	if (empty)
		return;
	session->begun = false;
	if (session->options.include_transactions)
		transaction_write(session, EVENT_COMMIT, &session->txn,
						  InvalidTransactionId);
	writer_flush(session);
}

/*
 * ---- prepared transactions, which are delivered at PREPARE
 *
 * One that was prepared before the slot was told to do so comes at its COMMIT
 * PREPARED instead, after what has come since; so must its ids sort.
 */

void
transaction_begin_prepare(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	StreamSession *session = stream_session(ctx);

	begin(session, txn);
	session->txn.commit_lsn = ctx->reader->ReadRecPtr;
	session->txn.time = rbtxn_prepare_time(txn);
	session->begun = true;
	if (!session->skipped)
		transaction_write(session, EVENT_BEGIN_PREPARE, &session->txn,
						  InvalidTransactionId);
}

void
transaction_prepare(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
					XLogRecPtr prepare_lsn)
{
	StreamSession *session = stream_session(ctx);

	OutputPluginUpdateProgress(ctx, session->skipped);
	session->unreported = 0;
	session->begun = false;
	if (session->skipped)
		return;
	transaction_write(session, EVENT_PREPARE, &session->txn,
					  InvalidTransactionId);
	writer_flush(session);
}

/*
 * The tuples of one multi-insert record share an LSN; the index tells them
 * apart.  It counts what the WAL holds, whatever is then filtered away.
 */
void
position_advance(StreamSession *session, XLogRecPtr lsn, TransactionId subxid)
{
	ChangePosition *position = &session->position;

	if (position->lsn == lsn)
		position->index++;
	else
	{
		position->lsn = lsn;
		position->index = 0;
	}
	position->subxid = subxid;
}
