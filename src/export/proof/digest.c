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

#include "export/proof/stamp.h"
#include "export/proof/validity.h"
#include "position/xid.h"

#define HASH_SEED  UINT64CONST(0x243F6A8885A308D3)
#define HASH_PRIME UINT64CONST(0x9E3779B97F4A7C15)

/* What processors load at a time, and how much of it in advance. */
#define CACHE_LINE	  64
#define PREFETCH_SIZE 1024

static inline uint64
mix(uint64 hash, uint64 word)
{
	hash = (hash ^ word) * HASH_PRIME;
	return hash ^ (hash >> 32);
}

static inline uint64
read_word(const char *bytes)
{
	uint64 word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/*
 * For a tuple that is known by three words and its bytes.  In lanes that don't
 * wait for each other's multiplications, nor for other tuples'.
 */
static uint64
hash_tuple(uint64 a, uint64 b, uint64 c, const char *bytes, size_t len)
{
	uint64 d = len;

	for (; len >= 32; bytes += 32, len -= 32)
	{
		a = mix(a, read_word(bytes));
		b = mix(b, read_word(bytes + 8));
		c = mix(c, read_word(bytes + 16));
		d = mix(d, read_word(bytes + 24));
	}
	if (len >= 16)
	{
		a = mix(a, read_word(bytes));
		b = mix(b, read_word(bytes + 8));
		bytes += 16;
		len -= 16;
	}
	if (len >= 8)
	{
		c = mix(c, read_word(bytes));
		bytes += 8;
		len -= 8;
	}
	if (len > 0)
	{
		uint64 word = 0;

		memcpy(&word, bytes, len);
		d = mix(d, word);
	}
	return mix(mix(a, HASH_PRIME) + b, mix(c, HASH_SEED) + d);
}

void
digest_begin(Digest *digest)
{
	digest->rows = 0;
	digest->hash = HASH_SEED;
}

/*
 * Pages are filled from their ends on, so that the next tuple most likely lies
 * right before this one, where no processor expects it.  It may come into the
 * cache while this one is at work.
 */
static inline void
prefetch_next(const HeapTupleData *tuple)
{
	const char *start = (const char *) tuple->t_data;
	uint32		len = Min(tuple->t_len, PREFETCH_SIZE);

	for (uint32 i = CACHE_LINE; i <= len + CACHE_LINE; i += CACHE_LINE)
		__builtin_prefetch(start - i);
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

	place = ((uint64) ItemPointerGetBlockNumber(&tuple->t_self) << 32) |
			HeapTupleHeaderGetRawXmin(header);
	form = ((uint64) ItemPointerGetOffsetNumber(&tuple->t_self) << 48) |
		   ((uint64) (header->t_infomask & HEAP_HASNULL) << 40) |
		   ((uint64) HeapTupleHeaderGetNatts(header) << 24) | header->t_hoff;
	prefetch_next(tuple);
	digest->hash =
		mix(digest->hash, hash_tuple(place, form, tuple->t_len,
									 (char *) header + SizeofHeapTupleHeader,
									 tuple->t_len - SizeofHeapTupleHeader));
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
