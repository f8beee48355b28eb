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
#include "encoding.h"
#include "stream/ddl.h"
#include "stream/stream.h"

static bool
message_is_member(const List *prefixes, const char *prefix)
{
	ListCell *lc;

	foreach (lc, prefixes)
		if (strcmp(lfirst(lc), prefix) == 0)
			return true;
	return false;
}

static bool
message_is_wanted(const StreamOptions *options, const char *prefix)
{
	return options->messages &&
		   !message_is_member(options->exclude_prefixes, prefix) &&
		   (options->message_prefixes == NIL ||
			message_is_member(options->message_prefixes, prefix));
}

/* A message that is being written. */
typedef struct Message
{
	StreamSession			*session;
	const ChangeTransaction *txn;
	ChangePosition			 position;
	ChangePosition			 named; /* as options and errors name it */
	MessageChange			 change;
} Message;

static void
write_form(StreamSession *session, ByteBuffer *out, RecordForm form,
		   const void *what)
{
	const Message *message = what;
	MessageChange  change = message->change;

	change.form = form;
	session->format->message(out, &session->format_options, message->txn,
							 &message->position, &change);
}

static void
message_error_context(void *arg)
{
	const Message *message = arg;
	char		  *prefix = option_shown(message->change.prefix);

	encoding_context("writing a message with prefix \"%s\", change %X/%X/%04X",
					 prefix, LSN_FORMAT_ARGS(message->named.lsn),
					 message->named.index);
	pfree(prefix);
}

static void
report_message(StreamSession *session, const MessageChange *message,
			   RecordForm form)
{
	const char *left_out = form == RECORD_BARE	  ? "All of it"
						   : message->ddl == NULL ? "Its content"
						   : form == RECORD_SHORT ? "Its text"
												  : "Its text and objects";

	record_report(session,
				  message->ddl ? psprintf("command \"%s\"", message->ddl->tag)
							   : psprintf("message with prefix \"%s\"",
										  option_shown(message->prefix)),
				  left_out);
}

static void
message_write(Message *message)
{
	StreamSession		*session = message->session;
	ErrorContextCallback errors = {.callback = message_error_context,
								   .arg = message,
								   .previous = error_context_stack};
	MemoryContext		 old;
	RecordForm			 form;

	error_context_stack = &errors;
	old = MemoryContextSwitchTo(session->change_context);
	form = record_write(session, record_limit(&session->options), write_form,
						message);
	if (form != RECORD_WHOLE)
		report_message(session, &message->change, form);
	writer_end(session);
	MemoryContextSwitchTo(old);
	MemoryContextReset(session->change_context);
	error_context_stack = errors.previous;
}

/* What capture wrote of a command; NULL for all other messages. */
static const DdlChange *
read_ddl(StreamSession *session, const MessageChange *message, XLogRecPtr lsn,
		 DdlChange *ddl)
{
	MemoryContext old;
	bool		  is_ddl;

	if (!message->transactional || session->options.traits.plain_messages ||
		strcmp(message->prefix, DDL_PREFIX) != 0 ||
		!captured_has(session, lsn))
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
	/*
	 * The id of a message outside of transactions is its own LSN, as commit
	 * LSN: it is delivered before the transaction that commits just after.
	 *
	 * The server gives the LSN at which a message's record ends, and so the
	 * next one begins.  Which of the two comes first is not the same on every
	 * delivery if they belong to different subtransactions.  So that their ids
	 * are, they count apart.
	 */
	ChangeTransaction none = {.commit_lsn = lsn};
	Message			  message = {.session = session,
								 .txn = &none,
								 .named = {.lsn = lsn},
								 .change = {.prefix = prefix,
											.content = content,
											.size = size,
											.transactional = transactional}};

	if (transactional)
	{
		message.position = (ChangePosition){
			.lsn = lsn, .is_end = true, .subxid = writing_subxid(txn)};
		/* its last byte: a row may begin where it ends */
		message.named.lsn = lsn - 1;
		writer_progress(session);
		if (session->skipped ||
			snapshot_has(snapshot_of_rest(session), session->txn.xid))
			return;
		message.txn = &session->txn;
	}
	else if (!origin_is_wanted(session, session->record_origin))
		return;
	message.change.ddl = read_ddl(session, &message.change, lsn, &ddl);
	if (message.change.ddl == NULL &&
		!message_is_wanted(&session->options, prefix))
		return;
	if (record_is_skipped(session, &message.named))
		return;
	if (transactional)
	{
		transaction_ensure_begun(session);
		message_write(&message);
		transaction_count(session, message.position.subxid);
		return;
	}
	message_write(&message);
	writer_flush(session);
}
