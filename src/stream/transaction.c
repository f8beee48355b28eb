/*
 * transaction.c
 *		Where a transaction begins and ends in the stream.
 *
 * The begin record is written just before the transaction's first record, so
 * that a transaction of which nothing is wanted costs no message at all.
 */
#include "postgres.h"

#include "compat.h"
#include "replication/origin.h"
#include "stream/stream.h"

void
transaction_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	StreamSession	  *session = stream_session(ctx);
	ChangeTransaction *t = &session->txn;

	memset(t, 0, sizeof(*t));
	t->xid = txn->xid;
	t->commit_lsn = txn->final_lsn;
	t->end_lsn = txn->end_lsn;
	t->time = txn->xact_time.commit_time;
	t->origin = txn->origin_id;
	t->origin_lsn = txn->origin_lsn;
	session->begun = false;
	session->skipped = false;
	session->position.lsn = InvalidXLogRecPtr;
	session->position.index = 0;
	if (session->options.traits.empty_transactions)
		transaction_ensure_begun(session);
}

static void
write_event(StreamSession *session, TransactionEvent event)
{
	session->format->transaction(writer_begin(session),
								 &session->format_options, event,
								 &session->txn, &session->position);
	writer_end(session);
}

void
transaction_ensure_begun(StreamSession *session)
{
	if (session->begun)
		return;
	session->begun = true;
	if (session->options.include_transactions)
		write_event(session, EVENT_BEGIN);
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
		write_event(session, EVENT_COMMIT);
	writer_flush(session, true);
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

/* True: the change is filtered away. */
bool
origin_filter(LogicalDecodingContext *ctx, RepOriginId origin)
{
	StreamSession *session = stream_session(ctx);
	List		  *wanted;

	if (session == NULL)
		return false;
	if (list_member_oid(session->options.exclude_origins, origin))
		return true;
	wanted = session->options.origin;
	if (list_length(wanted) != 1)
		return false;
	return strcmp(linitial(wanted), "none") == 0 &&
		   origin != InvalidRepOriginId;
}
