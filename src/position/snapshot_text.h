/*
 * snapshot_text.h
 *		Snapshots as pg_snapshot writes them, xmin:xmax:xid,xid,..., with
 *		64-bit transaction ids: what an export was read under, and what a
 *		stream goes on from.
 */
#ifndef OUTFLOW_SNAPSHOT_TEXT_H
#define OUTFLOW_SNAPSHOT_TEXT_H

#include "utils/snapshot.h"

/* The ids that a snapshot's text consists of. */
typedef struct SnapshotIds
{
	uint64	xmin; /* all before it had ended */
	uint64	xmax; /* it and all after it had not begun */
	int		nxip;
	uint64 *xip; /* in progress, ascending */
	int		room;
} SnapshotIds;

extern char *snapshot_to_text(Snapshot snapshot);

/* False if the text is none; the ids live in the current memory context. */
extern bool snapshot_from_text(const char *text, SnapshotIds *ids);
/* Adds one more transaction in progress; false if the text is none. */
extern bool snapshot_ids_add(SnapshotIds *ids, const char *text);

/* Whether a top-level transaction is visible in it. */
extern bool snapshot_ids_visible(const SnapshotIds *ids, uint64 xid);

#endif /* OUTFLOW_SNAPSHOT_TEXT_H */
