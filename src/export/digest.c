/*
 * digest.c
 *		The digest of a part: which tuple versions its scan saw.
 *
 * Vacuum, freezing and rolled-back writers change pages without changing
 * rows.  Where the page rules fail, the digest may still prove that the rows
 * are the same.  What proves it is the limit of digest_range() and the number
 * of rows: a tuple inserted by a transaction that had ended before the old
 * snapshot was taken, and not deleted for the new one, was there for the old
 * one too; when there are as many of them now as there were then, they are the
 * same tuple versions, which never change.  The hash over their places and
 * bytes guards what the proof takes for granted: that nothing but
 * transactions writes into heap pages.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "export/stamp.h"
#include "export/validity.h"

#define HASH_SEED  UINT64CONST(0x243F6A8885A308D3)
#define HASH_PRIME UINT64CONST(0x9E3779B97F4A7C15)

static inline uint64
mix(uint64 hash, uint64 word)
{
	hash = (hash ^ word) * HASH_PRIME;
	return hash ^ (hash >> 32);
}

static uint64
mix_bytes(uint64 hash, const char *bytes, size_t len)
{
	uint64 word;

	for (; len >= sizeof(word); bytes += sizeof(word), len -= sizeof(word))
	{
		memcpy(&word, bytes, sizeof(word));
		hash = mix(hash, word);
	}
	if (len > 0)
	{
		word = 0;
		memcpy(&word, bytes, len);
		hash = mix(hash, word);
	}
	return hash;
}

void
digest_begin(Digest *digest)
{
	digest->rows = 0;
	digest->hash = HASH_SEED;
}

/*
 * Takes of the header what stays the same for as long as the tuple version
 * lives: freezing keeps the raw xmin, and hint bits and xmax are left out.
 */
void
digest_add(Digest *digest, const HeapTupleData *tuple)
{
	HeapTupleHeader header = tuple->t_data;
	uint64			place;
	uint64			form;
	uint64			hash = digest->hash;

	place = ((uint64) ItemPointerGetBlockNumber(&tuple->t_self) << 32) |
			HeapTupleHeaderGetRawXmin(header);
	form = ((uint64) ItemPointerGetOffsetNumber(&tuple->t_self) << 48) |
		   ((uint64) (header->t_infomask & HEAP_HASNULL) << 40) |
		   ((uint64) HeapTupleHeaderGetNatts(header) << 24) | header->t_hoff;
	hash = mix(hash, place);
	hash = mix(hash, form);
	hash = mix(hash, tuple->t_len);
	digest->hash = mix_bytes(hash, (char *) header + SizeofHeapTupleHeader,
							 tuple->t_len - SizeofHeapTupleHeader);
	digest->rows++;
}

/* Frozen tuples count too: their raw xmin says who inserted them. */
static inline bool
inserted_before(const HeapTupleData *tuple, XidWindow window, uint64 limit)
{
	TransactionId xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);

	return !TransactionIdIsNormal(xmin) || xid_widen(window, xmin) < limit;
}

bool
digest_range(Digest *digest, Relation rel, BlockNumber first_block,
			 BlockNumber end_block, Snapshot snapshot, uint64 xid_limit)
{
	XidWindow	  window = xid_window();
	BlockNumber	  nblocks = RelationGetNumberOfBlocks(rel);
	bool		  same = true;
	TableScanDesc scan;
	HeapTuple	  tuple;

	digest_begin(digest);
	end_block = Min(end_block, nblocks);
	if (first_block >= end_block)
		return true;

	scan = table_beginscan_strat(rel, snapshot, 0, NULL, true, false);
	heap_setscanlimits(scan, first_block, end_block - first_block);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (xid_limit != 0 && RULE(RULE_DIGEST_XMIN) &&
			!inserted_before(tuple, window, xid_limit))
		{
			same = false;
			break;
		}
		digest_add(digest, tuple);
	}
	table_endscan(scan);
	return same;
}
