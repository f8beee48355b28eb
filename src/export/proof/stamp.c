/*
 * stamp.c
 *		Takes stamps, and writes and reads them as text.
 *
 * The order of things is the point: the snapshot, then the scan, then the LSN
 * while the snapshot is still held, then the flush of WAL up to that LSN, and
 * only then may the stamp be committed and believed.  See README.md of export/.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "export/proof/stamp.h"
#include "position/snapshot_text.h"
#include "position/xid.h"

#define STAMP_VERSION 1

void
stamp_begin(Stamp *stamp, Relation rel, BlockNumber first_block,
			BlockNumber end_block, Snapshot snapshot,
			const Signature *signature)
{
	XidWindow window = xid_window();

	memset(stamp, 0, sizeof(*stamp));
	stamp->system_id = GetSystemIdentifier();
	stamp->database = MyDatabaseId;
	stamp->relation = RelationGetRelid(rel);
	stamp->filenumber = relation_filenumber(rel);
	stamp->persistence = rel->rd_rel->relpersistence;
	stamp->first_block = first_block;
	stamp->end_block = end_block;
	stamp->snapshot = snapshot_to_text(snapshot);
	stamp->xmin = FullTransactionIdFromU64(xid_widen(window, snapshot->xmin));
	stamp->xmax = FullTransactionIdFromU64(xid_widen(window, snapshot->xmax));
	stamp->signature = *signature;
}

/*
 * Where the last WAL record ended.  The insert position is where the next one
 * will begin: after the header of a fresh WAL page, where nothing is that
 * could be flushed.
 */
static XLogRecPtr
last_record_end(void)
{
	XLogRecPtr insert = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(insert, wal_segment_size) == SizeOfXLogLongPHD)
		insert -= SizeOfXLogLongPHD;
	else if (insert % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		insert -= SizeOfXLogShortPHD;
	return insert;
}

bool
stamp_end(Stamp *stamp, const Digest *digest)
{
	TransactionId xmin = XidFromFullTransactionId(stamp->xmin);

	/*
	 * Were the snapshot gone, its marks on the pages could have been pruned or
	 * frozen before the LSN is read, and nothing would show them.
	 */
	if (!TransactionIdIsValid(MyProc->xmin) ||
		TransactionIdPrecedes(xmin, MyProc->xmin))
		elog(ERROR, "snapshot was released before its part was stamped");

	stamp->lsn = last_record_end();
	XLogFlush(stamp->lsn);

	if (digest != NULL)
	{
		stamp->has_digest = true;
		stamp->digest = *digest;
	}

	/* such a server may prune what the snapshot still sees */
	return !OldSnapshotThresholdActive();
}

/* what stamp_from_text() reads, in this order */
char *
stamp_to_text(const Stamp *stamp)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%d " UINT64_FORMAT " %u %u %u %c %u %u %X/%X ",
					 STAMP_VERSION, stamp->system_id, stamp->database,
					 stamp->relation, stamp->filenumber, stamp->persistence,
					 stamp->first_block, stamp->end_block,
					 LSN_FORMAT_ARGS(stamp->lsn));
	appendStringInfo(&text, "%c " UINT64_FORMAT " " UINT64_FORMAT " ",
					 stamp->has_digest ? 'd' : '-', stamp->digest.rows,
					 stamp->digest.hash);
	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
		appendStringInfo(&text, "%02x", stamp->signature.bytes[i]);
	appendStringInfo(&text, " %s", stamp->snapshot);
	return text.data;
}

static bool
read_signature(const char *hex, Signature *signature)
{
	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
	{
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		signature->bytes[i] = (uint8) byte;
	}
	return hex[2 * PG_SHA256_DIGEST_LENGTH] == ' ';
}

/* Its two ends are what the rules need. */
static bool
stamp_read_snapshot(const char *text, Stamp *stamp)
{
	SnapshotIds ids;

	if (!snapshot_from_text(text, &ids))
		return false;
	stamp->snapshot = pstrdup(text);
	stamp->xmin = FullTransactionIdFromU64(ids.xmin);
	stamp->xmax = FullTransactionIdFromU64(ids.xmax);
	return ids.xmin >= FirstNormalTransactionId;
}

void
stamp_from_text(Stamp *stamp, const char *text)
{
	int	   version;
	uint32 lsn_high;
	uint32 lsn_low;
	char   digest;
	int	   rest = 0;

	memset(stamp, 0, sizeof(*stamp));
	if (sscanf(text,
			   "%d " UINT64_FORMAT " %u %u %u %c %u %u %X/%X "
			   "%c " UINT64_FORMAT " " UINT64_FORMAT " %n",
			   &version, &stamp->system_id, &stamp->database, &stamp->relation,
			   &stamp->filenumber, &stamp->persistence, &stamp->first_block,
			   &stamp->end_block, &lsn_high, &lsn_low, &digest,
			   &stamp->digest.rows, &stamp->digest.hash, &rest) != 13 ||
		version != STAMP_VERSION ||
		strlen(text + rest) <= 2 * PG_SHA256_DIGEST_LENGTH ||
		!read_signature(text + rest, &stamp->signature) ||
		!stamp_read_snapshot(text + rest + 2 * PG_SHA256_DIGEST_LENGTH + 1,
							 stamp))
		elog(ERROR, "malformed stamp \"%s\"", text);
	stamp->has_digest = digest == 'd';
	stamp->lsn = ((uint64) lsn_high << 32) | lsn_low;
}
