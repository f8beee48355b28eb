/*
 * writer.c
 *		From records to messages: gathers records, hands them to the server.
 *
 * With batch_bytes = 0 each record is a message.  Otherwise records, separated
 * by newlines, are packed until there are that many bytes; what is waiting
 * always goes out at the end of a transaction, under its end LSN, so that a
 * client that confirms the message confirms the transaction.
 *
 * Records are gathered in a buffer of our own, since the server stamps a
 * message with the LSN of the moment in which its writing begins.
 */
#include "postgres.h"

#include "compat.h"
#include "stream/stream.h"

/* Buffers that grew past this are given back once they are empty. */
#define MAX_KEPT_BUFFER (1024 * 1024)

/* Core's choice where it reports progress by itself. */
#define CHANGES_PER_REPORT 100

static void
shrink_buffer(StringInfo buffer, MemoryContext context, int64 wanted)
{
	MemoryContext old;

	if (buffer->maxlen <= Max(MAX_KEPT_BUFFER, wanted * 2))
		return;
	old = MemoryContextSwitchTo(context);
	pfree(buffer->data);
	initStringInfo(buffer);
	MemoryContextSwitchTo(old);
}

void
writer_flush(StreamSession *session, bool last_write)
{
	LogicalDecodingContext *ctx = session->ctx;
	StringInfo				batch = &session->batch;

	batch->len = session->record_start;
	if (batch->len == 0)
		return;
	session->record_start = 0;
	last_write |= session->options.traits.stamp_all;
	if (send_queue_put(session, batch->data, batch->len, last_write))
	{
		resetStringInfo(batch);
		return;
	}
	OutputPluginPrepareWrite(ctx, last_write);
	buffer_append(ctx->out, batch->data, batch->len);
	resetStringInfo(batch);
	shrink_buffer(batch, session->context, session->options.batch_bytes);
	OutputPluginWrite(ctx, last_write);
	shrink_buffer(ctx->out, ctx->context, session->options.batch_bytes);
	session->unreported = 0;
}

/*
 * An error between writer_begin() and writer_end() may leave half a record:
 * where decoding goes on after an error (an in-progress transaction that was
 * aborted), writer_begin() of the next record drops it.
 */
StringInfo
writer_begin(StreamSession *session)
{
	StringInfo batch = &session->batch;

	batch->len = session->record_start;
	batch->cursor = 0; /* no limit of a record before this one */
	if (batch->len > 0 && !session->options.traits.one_record)
		buffer_append_char(batch, '\n');
	return batch;
}

void
writer_end(StreamSession *session)
{
	StringInfo batch = &session->batch;
	bool	   joined = session->options.traits.one_record;
	int		   separator = session->record_start > 0 && !joined ? 1 : 0;

	if (batch->len == session->record_start + separator)
		batch->len = session->record_start; /* the format wrote nothing */
	batch->data[batch->len] = '\0';
	session->record_start = batch->len;
	if (batch->len > 0 && !joined &&
		batch->len >= session->options.batch_bytes)
		writer_flush(session, false);
}

void
writer_progress(StreamSession *session)
{
	if (!PLUGIN_REPORTS_PROGRESS)
		return;
	if (++session->unreported < CHANGES_PER_REPORT)
		return;
	session->unreported = 0;
	OutputPluginUpdateProgress(session->ctx, false);
}
