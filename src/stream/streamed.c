/*
 * streamed.c
 *		Transactions in progress: delivered piece by piece before they end.
 *
 * Each piece stands between stream_start and stream_stop, and several
 * transactions may take turns.  What must survive from one piece to the next
 * hangs on the server's entry for the transaction: the position (a piece may
 * end in the middle of a multi-insert), the count of changes, also of each
 * subtransaction, and which definitions the consumer has seen in it.  Those are
 * per transaction, since a consumer drops all that it got of one that aborts.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "compat.h"
#include "stream/stream.h"

static StreamedTransaction *
find_streamed(StreamSession *session, ReorderBufferTXN *txn)
{
	StreamedTransaction *streamed = txn->output_plugin_private;
	MemoryContext		 context;

	if (streamed)
		return streamed;
	context =
		AllocSetContextCreate(session->context, "outflow streamed transaction",
							  ALLOCSET_SMALL_SIZES);
	streamed = MemoryContextAllocZero(context, sizeof(StreamedTransaction));
	streamed->context = context;
	streamed->skipped = snapshots_have_all(session, txn->xid);
	streamed->schemas = relation_table("outflow streamed definitions",
									   sizeof(StreamedDefinition), context);
	txn->output_plugin_private = streamed;
	return streamed;
}

static void
forget(ReorderBufferTXN *txn)
{
	StreamedTransaction *streamed = txn->output_plugin_private;

	if (streamed == NULL)
		return;
	txn->output_plugin_private = NULL;
	MemoryContextDelete(streamed->context);
}

void
streamed_start(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	StreamSession		*session = stream_session(ctx);
	StreamedTransaction *streamed = find_streamed(session, txn);

	overlap_begin(session, txn);
	relation_cache_trim(session);
	transaction_describe(&session->txn, txn);
	session->txn.in_progress = true;
	session->txn.commit_lsn = InvalidXLogRecPtr;
	session->txn.end_lsn = InvalidXLogRecPtr;
	session->txn.time = 0;
	session->txn.changes = streamed->changes;
	session->position = streamed->position;
	session->judged_generation = 0;
	streamed->end_origin = XLogRecGetOrigin(ctx->reader);
	streamed->end_wanted = origin_is_wanted(session, streamed->end_origin);
	session->skipped = streamed->skipped;
	session->begun = false;
	session->streamed = streamed;
}

/*
 * Also called when the transaction turned out to be aborted in the middle of
 * the piece: nothing here may read catalogs.
 */
void
streamed_stop(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	StreamSession		*session = stream_session(ctx);
	StreamedTransaction *streamed = session->streamed;

	streamed->changes = session->txn.changes;
	streamed->position = session->position;
	if (session->begun)
	{
		transaction_write(session, EVENT_STREAM_STOP, &session->txn,
						  InvalidTransactionId);
		writer_flush(session);
	}
	session->begun = false;
	session->streamed = NULL;
}

void
streamed_count(StreamedTransaction *streamed, TransactionId subxid)
{
	bool found;

	if (streamed->part == NULL || streamed->part->subxid != subxid)
	{
		if (streamed->parts == NULL)
			streamed->parts =
				relation_table("outflow streamed subtransactions",
							   sizeof(StreamedPart), streamed->context);
		streamed->part =
			hash_search(streamed->parts, &subxid, HASH_ENTER, &found);
		if (!found)
			streamed->part->changes = 0;
	}
	streamed->part->changes++;
}

/* The server calls for each subtransaction that goes, inner ones too. */
static void
forget_part(StreamedTransaction *streamed, TransactionId subxid)
{
	StreamedPart *part = NULL;

	if (streamed->parts)
		part = hash_search(streamed->parts, &subxid, HASH_FIND, NULL);
	if (part == NULL)
		return;
	streamed->undone += part->changes;
	part->changes = 0;
}

void
streamed_abort(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			   XLogRecPtr abort_lsn)
{
	StreamSession		*session = stream_session(ctx);
	ReorderBufferTXN	*top = rbtxn_get_toptxn(txn);
	StreamedTransaction *streamed = top->output_plugin_private;
	ChangeTransaction	 t = {.xid = top->xid};

	if (streamed && streamed->emitted)
	{
		transaction_write(session, EVENT_STREAM_ABORT, &t, txn->xid);
		writer_flush(session);
	}
	if (streamed)
		forget_part(streamed, txn->xid);
	if (top == txn)
		forget(txn);
}

/*
 * Whether the origin with which it ended is wanted.  That was found out when
 * catalogs could be read as they were, unless it is another than the one that
 * was at hand then.
 */
static bool
end_is_wanted(StreamSession *session, const StreamedTransaction *streamed)
{
	ReplOriginId origin = XLogRecGetOrigin(session->ctx->reader);

	if (origin == streamed->end_origin)
		return streamed->end_wanted;
	return origin_is_wanted(session, origin);
}

static void
end_streamed(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			 TransactionEvent event)
{
	StreamSession		*session = stream_session(ctx);
	StreamedTransaction *streamed = find_streamed(session, txn);
	bool				 silent = !streamed->emitted;
	ChangeTransaction	 t;

	/* until here, only the origins of its rows were known */
	if (!end_is_wanted(session, streamed))
	{
		OutputPluginUpdateProgress(ctx, silent);
		streamed_abort(ctx, txn, txn->final_lsn);
		return;
	}
	/* a prepared one always has its record, for what follows it */
	if (event == EVENT_STREAM_PREPARE)
		silent = streamed->skipped;
	OutputPluginUpdateProgress(ctx, silent);
	session->unreported = 0;
	if (!silent)
	{
		transaction_describe(&t, txn);
		t.changes = streamed->changes - streamed->undone;
		if (event == EVENT_STREAM_PREPARE)
			t.time = rbtxn_prepare_time(txn);
		transaction_write(session, event, &t, InvalidTransactionId);
		writer_flush(session);
	}
	relation_end_streamed(session, streamed);
	forget(txn);
}

void
streamed_prepare(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				 XLogRecPtr prepare_lsn)
{
	end_streamed(ctx, txn, EVENT_STREAM_PREPARE);
}

void
streamed_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				XLogRecPtr commit_lsn)
{
	end_streamed(ctx, txn, EVENT_STREAM_COMMIT);
}
