/*
 * prepared.c
 *		Prepared transactions: which ones are delivered at PREPARE, and what
 *		the second phase tells.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlogreader.h"
#include "storage/procarray.h"

#include "compat.h"
#include "stream/stream.h"

/* Whether pieces of it were delivered, of which the consumer awaits the end. */
static bool
transaction_is_streamed(LogicalDecodingContext *ctx, TransactionId xid)
{
	dlist_iter iter;

	dlist_foreach (iter, &ctx->reorder->toplevel_by_lsn)
	{
		const ReorderBufferTXN *txn =
			dlist_container(ReorderBufferTXN, node, iter.cur);

		if (txn->xid == xid)
			return rbtxn_is_streamed(txn);
	}
	return false;
}

/*
 * Whether a transaction is not to be delivered at PREPARE.  The server asks
 * again at the second phase, where nothing is filtered: what an earlier session
 * delivered must be ended, and a consumer passes over the end of what it has
 * not seen.
 *
 * One that was rolled back before it is decoded may lack its catalog rows, which
 * nothing holds.  The server stops at the first one that it misses, for ever, if
 * it belongs to a savepoint: it looks whether the transaction was undone only
 * for changes of the top level.
 */
bool
prepared_filter(LogicalDecodingContext *ctx, TransactionId xid,
				const char *gid)
{
	if (XLogRecGetRmid(ctx->reader) != RM_XACT_ID ||
		(XLogRecGetInfo(ctx->reader) & XLOG_XACT_OPMASK) != XLOG_XACT_PREPARE)
		return false;
	return !TransactionIdIsInProgress(xid) && !TransactionIdDidCommit(xid) &&
		   !transaction_is_streamed(ctx, xid);
}

/*
 * Written whatever the origin of the second phase, which may be another one
 * than that of the changes.  Pieces that no stream_prepare ended are taken
 * back before it: the server may send some of a transaction whose PREPARE it
 * passed over, and then calls for nothing that would end them.
 */
static void
finish_prepared(StreamSession *session, TransactionEvent event,
				const ChangeTransaction *t)
{
	bool skipped = snapshots_have_all(session, t->xid);

	OutputPluginUpdateProgress(session->ctx, skipped);
	if (skipped)
		return;
	transaction_write(session, event, t, InvalidTransactionId);
	writer_flush(session);
}

void
prepared_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				XLogRecPtr commit_lsn)
{
	ChangeTransaction t;

	streamed_abort(ctx, txn, commit_lsn);
	transaction_describe(&t, txn);
	finish_prepared(stream_session(ctx), EVENT_COMMIT_PREPARED, &t);
}

/*
 * Where the PREPARE ended, the server knows only if it was not passed over: no
 * record tells it.
 */
void
prepared_rollback(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				  XLogRecPtr prepare_end_lsn, TimestampTz prepare_time)
{
	ChangeTransaction t;

	streamed_abort(ctx, txn, prepare_end_lsn);
	transaction_describe(&t, txn);
	finish_prepared(stream_session(ctx), EVENT_ROLLBACK_PREPARED, &t);
}
