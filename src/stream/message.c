/*
 * message.c
 *		Logical messages, of transactions and outside of any; captured DDL
 *		comes as messages with a prefix of our own.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "utils/memutils.h"

#include "compat.h"
#include "stream/ddl.h"
#include "stream/stream.h"

static bool
is_member(const List *prefixes, const char *prefix)
{
	ListCell *lc;

	foreach (lc, prefixes)
		if (strcmp(lfirst(lc), prefix) == 0)
			return true;
	return false;
}

static bool
is_wanted(const StreamOptions *options, const char *prefix)
{
	return options->messages &&
		   !is_member(options->exclude_prefixes, prefix) &&
		   (options->message_prefixes == NIL ||
			is_member(options->message_prefixes, prefix));
}

static void
write_message(StreamSession *session, const ChangeTransaction *txn,
			  const ChangePosition *position, const MessageChange *message)
{
	MemoryContext old = MemoryContextSwitchTo(session->change_context);

	session->format->message(writer_begin(session), &session->format_options,
							 txn, position, message);
	writer_end(session);
	MemoryContextSwitchTo(old);
	MemoryContextReset(session->change_context);
}

/* What a message of ours tells of a command; NULL for all others. */
static const DdlChange *
read_ddl(StreamSession *session, const MessageChange *message, DdlChange *ddl)
{
	MemoryContext old;
	bool		  is_ddl;

	if (!message->transactional || session->options.traits.plain_messages ||
		strcmp(message->prefix, DDL_PREFIX) != 0)
		return NULL;
	old = MemoryContextSwitchTo(session->change_context);
	is_ddl = ddl_message_read(message->content, message->size, ddl);
	MemoryContextSwitchTo(old);
	return is_ddl ? ddl : NULL;
}

/*
 * Which subtransaction a message comes from.  The server doesn't tell, but
 * while a transaction is in progress it watches the one whose change is at
 * hand; one that it doesn't watch has committed, up to the top.
 */
static TransactionId
writing_subxid(const ReorderBufferTXN *txn)
{
	return TransactionIdIsValid(CheckXidAlive) ? CheckXidAlive : txn->xid;
}

/*
 * A message outside of transactions is delivered at once, whatever becomes of
 * the transaction that wrote it.
 */
void
change_message(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			   XLogRecPtr lsn, bool transactional, const char *prefix,
			   Size size, const char *content)
{
	StreamSession *session = stream_session(ctx);
	DdlChange	   ddl;
	MessageChange  message = {.prefix = prefix,
							  .content = content,
							  .size = size,
							  .transactional = transactional};
	/*
	 * The id of a message outside of transactions is its own LSN, as commit
	 * LSN: it is delivered before the transaction that commits just behind.
	 */
	ChangePosition	  at = {.lsn = InvalidXLogRecPtr};
	ChangeTransaction none = {.commit_lsn = lsn};

	if (transactional)
	{
		position_advance(session, lsn, writing_subxid(txn));
		writer_progress(session);
		if (session->skipped ||
			snapshot_has(snapshot_of(session, NULL, NULL), session->txn.xid))
			return;
	}
	else if (!origin_is_wanted(session, session->record_origin))
		return;
	message.ddl = read_ddl(session, &message, &ddl);
	if (message.ddl == NULL && !is_wanted(&session->options, prefix))
		return;
	message.omitted = oversize_message(session, &message);
	if (transactional)
	{
		transaction_ensure_begun(session);
		write_message(session, &session->txn, &session->position, &message);
		session->txn.changes++;
		return;
	}
	write_message(session, &none, &at, &message);
	writer_flush(session, true);
}
