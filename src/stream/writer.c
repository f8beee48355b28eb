/*
 * writer.c
 *		From records to messages: gathers records, hands them to the server.
 *
 * With batch_bytes = 0 each record is a message.  Otherwise records, separated
 * by newlines, are packed until there are that many bytes.  What is waiting
 * always goes out at the end of a transaction.
 *
 * Every message carries an LSN.  Clients confirm it, and some of them, once
 * they have confirmed the LSN of the last message, whatever position a
 * keepalive tells afterwards.  So:
 *
 * - In the middle of a transaction it is that of the last record in the
 *	 message.  Confirming it confirms what committed before, which has been
 *	 delivered, and no part of this transaction, which ends later.
 * - A transaction's last message carries its end LSN, which confirms it.  Were
 *	 it a row's, a client that had confirmed an earlier transaction, which may
 *	 have ended after that row, would lose this one to the next keepalive.
 *
 * Hence a message that is full waits for the next record, or the end, to know
 * which of the two it is.
 */
#include "postgres.h"

#include "compat.h"
#include "stream/stream.h"

/* Buffers that grew past this are given back once they are empty. */
#define MAX_KEPT_BUFFER (1024 * 1024)

/* Core's choice where it reports progress by itself. */
#define CHANGES_PER_REPORT 100

static void
writer_shrink_message(LogicalDecodingContext *ctx, size_t keep)
{
	MemoryContext old;

	if ((size_t) ctx->out->maxlen <= keep)
		return;
	old = MemoryContextSwitchTo(ctx->context);
	pfree(ctx->out->data);
	initStringInfo(ctx->out);
	MemoryContextSwitchTo(old);
}

/* The server stamps a message with what it finds in write_location. */
static void
write_through_server(StreamSession *session, XLogRecPtr lsn)
{
	LogicalDecodingContext *ctx = session->ctx;
	ByteBuffer			   *batch = &session->batch;
	XLogRecPtr				location = ctx->write_location;
	size_t					keep =
		Max(MAX_KEPT_BUFFER, (size_t) session->options.batch_bytes * 2);

	ctx->write_location = lsn;
	OutputPluginPrepareWrite(ctx, true);
	appendBinaryStringInfo(ctx->out, batch->data, (int) batch->len);
	buffer_reset_to(batch, keep);
	OutputPluginWrite(ctx, true);
	ctx->write_location = location;
	writer_shrink_message(ctx, keep);
	session->unreported = 0;
}

static void
hand_over(StreamSession *session, XLogRecPtr lsn)
{
	ByteBuffer *batch = &session->batch;

	batch->len = session->record_start;
	if (batch->len == 0)
		return;
	session->record_start = 0;
	if (send_queue_put(session, batch->data, batch->len, lsn))
		buffer_clear(batch);
	else
		write_through_server(session, lsn);
}

void
writer_flush(StreamSession *session)
{
	hand_over(session, session->ctx->write_location);
}

void
writer_make_room(StreamSession *session)
{
	hand_over(session, session->record_lsn);
}

static bool
is_full(const StreamSession *session)
{
	return session->record_start > 0 && !session->options.traits.one_record &&
		   session->record_start >= session->options.batch_bytes;
}

/*
 * An error between writer_begin() and writer_end() may leave half a record:
 * where decoding goes on after an error (an in-progress transaction that was
 * aborted), writer_begin() of the next record drops it.
 */
ByteBuffer *
writer_begin(StreamSession *session)
{
	ByteBuffer *batch = &session->batch;

	if (is_full(session))
		writer_make_room(session);
	batch->len = session->record_start;
	buffer_limit_forget(batch); /* of a record before this one */
	if (batch->len > 0 && !session->options.traits.one_record)
		buffer_append_char(batch, '\n');
	return batch;
}

void
writer_end(StreamSession *session)
{
	ByteBuffer *batch = &session->batch;
	bool		joined = session->options.traits.one_record;
	int			separator = session->record_start > 0 && !joined ? 1 : 0;

	if (batch->len == session->record_start + separator)
		batch->len = session->record_start; /* the format wrote nothing */
	else
		session->record_lsn = session->ctx->write_location;
	(void) buffer_text(batch);
	session->record_start = batch->len;
}

void
writer_report(StreamSession *session)
{
	session->unreported = 0;
	OutputPluginUpdateProgress(session->ctx, false);
}

void
writer_progress(StreamSession *session)
{
	if (!PLUGIN_REPORTS_PROGRESS)
		return;
	if (++session->unreported < CHANGES_PER_REPORT)
		return;
	writer_report(session);
}
