/*
 * overlap.c
 *		Transactions that began before a definition changed, and end after it.
 *
 * Transactions are replayed in the order of their ends.  So what one of them has
 * left in caches, the server's too, may be newer than what another one's first
 * changes were made by; and the server's invalidations lead from older
 * definitions to newer ones only.  Such a transaction begins with empty caches.
 * Those of a definition that changed while it was in progress come where that
 * was, and at its end.
 *
 * Only what the stream uses counts: temporary tables come and go all the time.
 * Values that are names of objects, as regclass, use all of them.
 *
 * What SQL has left in caches is of now, and what a stream leaves there is of the
 * past.  So a stream begins with empty ones and leaves empty ones to the SQL that
 * comes next on its connection.  The server sees to that where functions decode.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlogreader.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

#include "stream/stream.h"

/* Since when a transaction has the invalidations of those beside it. */
static bool
server_leads_forward(void)
{
	static const int least[] = {150013, 160009, 170005, 180000};
	int version = atoi(GetConfigOption("server_version_num", false, false));

	for (int i = 0; i < lengthof(least); i++)
		if (version / 10000 == least[i] / 10000)
			return version >= least[i];
	return true;
}

void
overlap_open(StreamSession *session)
{
	session->overlap.is_handled = server_leads_forward();
	session->overlap.is_on_connection = !IsTransactionState();
	if (!session->overlap.is_on_connection)
		open_relations_find(session);
	session->overlap.is_of_now = session->open_relations != NIL;
}

static void
changed_at(StreamOverlap *overlap, XLogRecPtr lsn)
{
	overlap->changed = Max(overlap->changed, lsn);
}

static ChangedRelation *
slot_of(StreamOverlap *overlap, Oid relid)
{
	return &overlap->unused[relid % lengthof(overlap->unused)];
}

/*
 * What changed before values named things wasn't kept in mind, and may be anything.
 */
static void
use_names(StreamSession *session)
{
	if (session->overlap.uses_names)
		return;
	session->overlap.uses_names = true;
	changed_at(&session->overlap, session->ctx->reader->EndRecPtr);
}

/* Called by invalidations: nothing here may fail. */
void
overlap_changed(StreamSession *session, Oid relid, bool is_used)
{
	StreamOverlap *overlap = &session->overlap;
	XLogRecPtr	   lsn = session->ctx->reader->EndRecPtr;

	if (overlap->is_emptying)
		return;
	if (is_used || overlap->uses_names || !OidIsValid(relid))
		changed_at(overlap, lsn);
	else
	{
		ChangedRelation *slot = slot_of(overlap, relid);

		/* what there is no room for might come to be used */
		if (slot->relid != relid)
			changed_at(overlap, slot->lsn);
		*slot = (ChangedRelation){relid, lsn};
	}
}

void
overlap_uses(StreamSession *session, Oid relid)
{
	const ChangedRelation *slot = slot_of(&session->overlap, relid);

	if (!OidIsValid(relid))
		use_names(session);
	else if (slot->relid == relid)
		changed_at(&session->overlap, slot->lsn);
}

/* No definition changes by that. */
void
overlap_empty_caches(StreamSession *session)
{
	session->overlap.is_emptying = true;
	InvalidateSystemCaches();
	session->overlap.is_emptying = false;
}

/* After an error, too, which has ended the transaction. */
void
overlap_close(StreamSession *session)
{
	if (session->overlap.is_on_connection)
		overlap_empty_caches(session);
}

/*
 * What is open is looked up at once.  The indexes among it may not have been there
 * then, so that is done as of now.
 */
static void
empty_caches_of_then(StreamSession *session)
{
	Snapshot then = GetCatalogSnapshot(InvalidOid);
	HTAB	*tuplecids = HistoricSnapshotGetTupleCids();

	TeardownHistoricSnapshot(false);
	overlap_empty_caches(session);
	SetupHistoricSnapshot(then, tuplecids);
	session->overlap.is_of_now = session->open_relations != NIL;
}

void
overlap_begin(StreamSession *session, const ReorderBufferTXN *txn)
{
	StreamOverlap *overlap = &session->overlap;

	if (unlikely(txn->base_snapshot_lsn < overlap->changed) &&
		overlap->is_handled)
		empty_caches_of_then(session);
	if (likely(!overlap->is_of_now))
		return;
	overlap->is_emptying = true;
	open_relations_as_of_then(session);
	overlap->is_emptying = false;
	overlap->is_of_now = false;
}
