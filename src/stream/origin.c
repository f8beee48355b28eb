/*
 * origin.c
 *		Replication origins: which ones are wanted, and their names.
 *
 * A row is wanted if the origin that wrote it is, and that with which its
 * transaction ended; mostly they are the same.  For a message inside a
 * transaction the server doesn't tell later which origin wrote it: the
 * transaction's decides.
 *
 * Numbers of origins are known to every WAL record, names are in the catalog.
 * So "none" and numbers are decided as early as the server asks, and names
 * when a transaction is delivered, where catalogs can be read as they were.
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "access/xact.h"
#include "access/xlogreader.h"
#include "replication/origin.h"

#include "compat.h"
#include "stream/stream.h"

/* True: the record is filtered away, before it costs any memory. */
bool
origin_filter(LogicalDecodingContext *ctx, ReplOriginId origin)
{
	StreamSession *session = stream_session(ctx);
	List		  *wanted;

	if (session == NULL)
		return false;
	if (origin == DoNotReplicateId && captured_note(session))
		return false;
	session->record_origin = origin;
	if (list_member_oid(session->options.exclude_origins, origin))
		return true;
	if (XLogRecGetRmid(ctx->reader) == RM_LOGICALMSG_ID)
		return false;

	/*
	 * The end of a transaction of which pieces were streamed must come, so that
	 * stream_abort can tell that they don't count: newer servers forget such a
	 * transaction without a callback.  So must the second phase of one whose
	 * first was delivered.
	 */
	if ((session->options.streaming || ctx->twophase) &&
		XLogRecGetRmid(ctx->reader) == RM_XACT_ID)
		return false;
	wanted = session->options.origin;
	return list_length(wanted) == 1 && strcmp(linitial(wanted), "none") == 0 &&
		   origin != InvalidReplOriginId;
}

/* The name, in the current memory context; NULL if it is gone. */
static char *
look_up(ReplOriginId origin)
{
	MemoryContext context = CurrentMemoryContext;
	bool		  outside = !IsTransactionState();
	char		 *name = NULL;
	char		 *result = NULL;

	if (outside)
		StartTransactionCommand();
	if (replorigin_by_oid(origin, true, &name) && name)
		result = MemoryContextStrdup(context, name);
	if (outside)
	{
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
	}
	return result;
}

/*
 * Name of the transaction's origin; NULL for a local one.  Needed twice at
 * most per transaction, it is kept until the next.
 */
const char *
origin_name(StreamSession *session, ReplOriginId origin)
{
	MemoryContext old;

	if (origin == InvalidReplOriginId)
		return NULL;
	if (session->named_origin == origin && session->origin_name)
		return session->origin_name;
	if (session->origin_name)
		pfree(session->origin_name);
	session->origin_name = NULL;
	session->named_origin = origin;
	old = MemoryContextSwitchTo(session->context);
	session->origin_name = look_up(origin);
	MemoryContextSwitchTo(old);
	return session->origin_name;
}

/* Whether option "origin" lets through what comes from this origin. */
bool
origin_is_wanted(StreamSession *session, ReplOriginId origin)
{
	const char *name = NULL;
	ListCell   *lc;

	if (session->options.origin == NIL)
		return true;
	foreach (lc, session->options.origin)
	{
		const char *wanted = lfirst(lc);

		if (strcmp(wanted, "any") == 0)
			return true;
		if (strcmp(wanted, "none") == 0)
		{
			if (origin == InvalidReplOriginId)
				return true;
			continue;
		}
		if (name == NULL)
			name = origin_name(session, origin);
		if (name && strcmp(wanted, name) == 0)
			return true;
	}
	return false;
}

/* The same for a row, which mostly has the origin of the one before. */
bool
origin_wrote_wanted(StreamSession *session, ReplOriginId origin)
{
	if (likely(session->origin_judged && session->judged_origin == origin))
		return session->judged_wanted;
	session->judged_wanted = origin_is_wanted(session, origin);
	session->judged_origin = origin;
	session->origin_judged = true;
	return session->judged_wanted;
}
