/*
 * captured.c
 *		Which logical messages capture wrote, and nobody else.
 *
 * Whoever may connect may write messages of any prefix and content.  Those
 * that tell of DDL are written under an origin that belongs to no replication
 * origin (DoNotReplicateId): origins can be made and chosen from SQL, by those
 * who have the right, but never with this number, which only C code in the
 * server can set.  A record's origin is seen as it is decoded, and not when
 * the message is delivered; so the LSNs of these records are kept until then.
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "access/xlogreader.h"
#include "replication/message.h"
#include "replication/reorderbuffer.h"

#include "compat.h"
#include "stream/stream.h"

/* Drops what stands before every transaction that is still to be delivered. */
static void
forget_delivered(StreamSession *session)
{
	CapturedMessages *captured = &session->captured;
	ReorderBufferTXN *oldest =
		ReorderBufferGetOldestTXN(session->ctx->reorder);
	Size kept = 0;

	for (Size i = 0; i < captured->count; i++)
		if (oldest && captured->lsns[i] >= oldest->first_lsn)
			captured->lsns[kept++] = captured->lsns[i];
	captured->count = kept;
}

/* Enlarges when less than half of it could be forgotten. */
static void
make_room(StreamSession *session)
{
	CapturedMessages *captured = &session->captured;

	if (captured->count < captured->room)
		return;
	forget_delivered(session);
	if (captured->count * 2 < captured->room)
		return;
	captured->room = Max(captured->room * 2, 64);
	captured->lsns =
		captured->lsns
			? repalloc_huge(captured->lsns,
							captured->room * sizeof(XLogRecPtr))
			: MemoryContextAlloc(session->context,
								 captured->room * sizeof(XLogRecPtr));
}

/* For the record at hand; LSNs come in their order. */
bool
captured_note(StreamSession *session)
{
	CapturedMessages *captured = &session->captured;
	XLogReaderState	 *record = session->ctx->reader;

	if (XLogRecGetRmid(record) != RM_LOGICALMSG_ID)
		return false;
	make_room(session);
	captured->lsns[captured->count++] = record->EndRecPtr;
	return true;
}

bool
captured_has(const StreamSession *session, XLogRecPtr lsn)
{
	const CapturedMessages *captured = &session->captured;
	Size					low = 0;
	Size					high = captured->count;

	while (low < high)
	{
		Size middle = low + (high - low) / 2;

		if (captured->lsns[middle] == lsn)
			return true;
		if (captured->lsns[middle] < lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
