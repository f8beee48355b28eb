/*
 * snapshot_text.c
 *		Writes and reads snapshots as text.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "storage/shmem.h"
#include "utils/snapmgr.h"

#include "position/snapshot_text.h"
#include "position/xid.h"

static int
compare_uint64(const void *a, const void *b)
{
	uint64 left = *(const uint64 *) a;
	uint64 right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

char *
snapshot_to_text(Snapshot snapshot)
{
	XidWindow	   window = xid_window();
	uint64		  *xids;
	StringInfoData text;

	if (!IsMVCCSnapshot(snapshot) || snapshot->takenDuringRecovery)
		elog(ERROR, "snapshot cannot be written as text");

	xids = palloc(mul_size(sizeof(uint64), snapshot->xcnt + 1));
	for (uint32 i = 0; i < snapshot->xcnt; i++)
		xids[i] = xid_widen(window, snapshot->xip[i]);
	qsort(xids, snapshot->xcnt, sizeof(uint64), compare_uint64);

	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":",
					 xid_widen(window, snapshot->xmin),
					 xid_widen(window, snapshot->xmax));
	for (uint32 i = 0; i < snapshot->xcnt; i++)
	{
		/* a transaction being prepared shows twice */
		if (i > 0 && xids[i] == xids[i - 1])
			continue;
		appendStringInfo(&text, i == 0 ? UINT64_FORMAT : "," UINT64_FORMAT,
						 xids[i]);
	}
	pfree(xids);
	return text.data;
}

/* A number that ends at the given character; moves after that. */
static bool
read_xid(const char **p, char end, uint64 *xid)
{
	char *stop;

	errno = 0;
	if (**p < '0' || **p > '9')
		return false;
	*xid = strtoull(*p, &stop, 10);
	if (*stop != end || errno != 0)
		return false;
	*p = end ? stop + 1 : stop;
	return true;
}

static bool
add_xid(SnapshotIds *ids, uint64 xid)
{
	if (xid < ids->xmin || xid >= ids->xmax ||
		(ids->nxip > 0 && xid <= ids->xip[ids->nxip - 1]))
		return false;
	if (ids->nxip == ids->room)
	{
		ids->room = Max(16, ids->room * 2);
		ids->xip = ids->xip ? repalloc_array(ids->xip, uint64, ids->room)
							: palloc_array(uint64, ids->room);
	}
	ids->xip[ids->nxip++] = xid;
	return true;
}

bool
snapshot_ids_add(SnapshotIds *ids, const char *text)
{
	uint64 xid;

	return read_xid(&text, '\0', &xid) && add_xid(ids, xid);
}

bool
snapshot_from_text(const char *text, SnapshotIds *ids)
{
	uint64 xid;

	memset(ids, 0, sizeof(SnapshotIds));
	if (!read_xid(&text, ':', &ids->xmin) ||
		!read_xid(&text, ':', &ids->xmax) || ids->xmin == 0 ||
		ids->xmin > ids->xmax)
		return false;
	while (*text != '\0')
	{
		char end = strchr(text, ',') ? ',' : '\0';

		if (!read_xid(&text, end, &xid) || !add_xid(ids, xid))
			return false;
		if (end == ',' && *text == '\0')
			return false;
	}
	return true;
}

bool
snapshot_ids_visible(const SnapshotIds *ids, uint64 xid)
{
	int low = 0;
	int high = ids->nxip;

	if (xid >= ids->xmax)
		return false;
	if (xid < ids->xmin)
		return true;
	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (ids->xip[middle] == xid)
			return false;
		if (ids->xip[middle] < xid)
			low = middle + 1;
		else
			high = middle;
	}
	return true;
}
