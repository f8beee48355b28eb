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

#include "access/genam.h"
#include "access/rmgr.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlogreader.h"
#include "catalog/pg_replication_origin.h"
#include "replication/origin.h"
#include "replication/snapbuild.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

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

/*
 * As catalogs were at the end of what is delivered, where the transaction's own
 * don't have it: it was made after its first change, or there are none.  Not by the
 * caches, which would keep it and tell it of transactions that are delivered next.
 */
static char *
name_at_end(StreamSession *session, ReplOriginId origin)
{
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *name = NULL;

	catalog = table_open(ReplicationOriginRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_replication_origin_roident,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(origin));
	scan = systable_beginscan(catalog, ReplicationOriginIdentIndex, true,
							  snapshot_at_end(session->ctx), 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		name = text_to_cstring(
			&((Form_pg_replication_origin) GETSTRUCT(tuple))->roname);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return name;
}

/*
 * Numbers are given to other names once they are free, so nobody may keep a
 * name for longer than a transaction.  The caches do, but forget it where it was
 * changed: invalidations tell of that.
 */
char *
origin_name(StreamSession *session, ReplOriginId origin)
{
	MemoryContext context = CurrentMemoryContext;
	bool		  outside = !IsTransactionState();
	char		 *name = NULL;

	if (origin == InvalidReplOriginId)
		return NULL;
	if (outside)
		StartTransactionCommand();
	if (HistoricSnapshotActive())
		(void) replorigin_by_oid(origin, true, &name);
	if (name == NULL)
		name = name_at_end(session, origin);
	if (outside)
	{
		if (name)
			name = MemoryContextStrdup(context, name);
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
	}
	return name;
}

/* Whether option "origin" lets through what comes from this origin. */
bool
origin_is_wanted(StreamSession *session, ReplOriginId origin)
{
	char	 *name = NULL;
	bool	  found = false;
	ListCell *lc;

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
		found |= name && strcmp(wanted, name) == 0;
	}
	if (name)
		pfree(name);
	return found;
}

/*
 * The same for a row, which mostly has the origin of the one before.  Where
 * definitions change inside of a transaction, so may whose number it is.
 */
bool
origin_wrote_wanted(StreamSession *session, ReplOriginId origin)
{
	uint64 generation = session->generation;

	if (likely(session->judged_generation == generation &&
			   session->judged_origin == origin))
		return session->judged_wanted;
	session->judged_wanted = origin_is_wanted(session, origin);
	session->judged_origin = origin;
	session->judged_generation = generation;
	return session->judged_wanted;
}
