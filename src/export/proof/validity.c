/*
 * validity.c
 *		Proves that a stamped part's rows are still the same, or doesn't.
 *
 * The rules read pages and tuple headers only; no commit log, no values.  A
 * part that breaks one is not proven, which is not the same as changed: vacuum
 * and rolled-back writers break rules too, so its digest gets a second say.
 * Every rule errs on the side of exporting again.  README.md of export/ has
 * the proof, rule by rule.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "export/proof/validity.h"
#include "position/xid.h"

#ifdef OUTFLOW_VALIDITY_MUTANTS
int validity_mutant = 0;
#endif

/* What the rules of one check compare with. */
typedef struct PageRules
{
	XLogRecPtr lsn;
	uint64	   xmin;
	XidWindow  window;
} PageRules;

/* The storage must be the one that was stamped, of a sort that has WAL. */
static Verdict
check_storage(const Stamp *stamp, Relation rel)
{
	if (stamp->system_id != GetSystemIdentifier() ||
		stamp->database != MyDatabaseId)
		return VERDICT_FOREIGN;
	if ((rel->rd_rel->relkind != RELKIND_RELATION &&
		 rel->rd_rel->relkind != RELKIND_MATVIEW) ||
		rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT ||
		stamp->persistence != RELPERSISTENCE_PERMANENT ||
		rel->rd_tableam != GetHeapamTableAmRoutine() || IsCatalogRelation(rel))
		return VERDICT_ALTERED;
	if (stamp->relation != RelationGetRelid(rel) ||
		stamp->filenumber != relation_filenumber(rel))
		return VERDICT_REWRITTEN;
	return VERDICT_UNTOUCHED;
}

/*
 * A stamp that is ahead of the cluster, or of the snapshot that it is judged
 * under, was not written by this cluster's past.
 */
static bool
in_future(const Stamp *stamp, Snapshot snapshot)
{
	XidWindow window = xid_window();
	uint64	  xmin = xid_widen(window, snapshot->xmin);
	uint64	  xmax = xid_widen(window, snapshot->xmax);

	return stamp->lsn > GetFlushRecPtr(NULL) ||
		   xmin < U64FromFullTransactionId(stamp->xmin) ||
		   xmax < U64FromFullTransactionId(stamp->xmax);
}

/* The rule that a tuple breaks, or NULL. */
static inline const char *
check_tuple(const PageRules *rules, HeapTupleHeader tuple)
{
	uint16 infomask = tuple->t_infomask;

	if (infomask & HEAP_MOVED)
		return "moved tuple";
	if (RULE(RULE_XMIN) && !HeapTupleHeaderXminFrozen(tuple) &&
		xid_widen(rules->window, HeapTupleHeaderGetRawXmin(tuple)) >=
			rules->xmin)
		return "xmin";
	if ((infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(infomask))
		return NULL;
	if (infomask & HEAP_XMAX_IS_MULTI)
		return RULE(RULE_MULTIXACT) ? "multixact" : NULL;
	if (RULE(RULE_XMAX) && xid_widen(rules->window, HeapTupleHeaderGetRawXmax(
														tuple)) >= rules->xmin)
		return "xmax";
	return NULL;
}

/*
 * The rule that a page breaks, or NULL.  The caller holds a share lock on the
 * buffer.  Redirected, dead and unused line pointers have no tuple, and scans
 * pass them over too.  PD_ALL_VISIBLE saves nothing: it may have been set,
 * without a new LSN, for tuples that the stamp's snapshot doesn't see.
 */
static const char *
check_page(const PageRules *rules, Buffer buffer)
{
	Page		 page = BufferGetPage(buffer);
	XLogRecPtr	 lsn = BufferGetLSNAtomic(buffer);
	OffsetNumber last;

	if (RULE(RULE_ZERO_PAGE) && (PageIsNew(page) || XLogRecPtrIsInvalid(lsn)))
		return "zero page";
	if (RULE(RULE_LSN) && lsn > rules->lsn)
		return "page LSN";
	if (!RULE(RULE_ALL_VISIBLE) && PageIsAllVisible(page))
		return NULL;

	last = PageGetMaxOffsetNumber(page);
	for (OffsetNumber i = FirstOffsetNumber; i <= last; i++)
	{
		ItemId		item = PageGetItemId(page, i);
		const char *broken;

		if (!ItemIdIsNormal(item))
			continue;
		broken = check_tuple(rules, (HeapTupleHeader) PageGetItem(page, item));
		if (broken != NULL)
			return broken;
	}
	return NULL;
}

/*
 * Small tables stay in the cache for the scan that may follow; large ones must
 * not sweep it.  The threshold is that of sequential scans.
 */
static BufferAccessStrategy
read_strategy(BlockNumber nblocks)
{
	if (nblocks > (BlockNumber) (NBuffers / 4))
		return GetAccessStrategy(BAS_BULKREAD);
	return NULL;
}

/*
 * The blocks are read one after the other, which kernels read ahead by
 * themselves; asking for them in advance only costs cached tables time.
 */
bool
validity_check_pages(const Stamp *stamp, Relation rel, ValidityDetail *detail)
{
	BlockNumber			 nblocks = RelationGetNumberOfBlocks(rel);
	BlockNumber			 end = stamp->end_block;
	BufferAccessStrategy strategy = read_strategy(nblocks);
	const char			*broken = NULL;
	PageRules			 rules;
	BlockNumber			 block;

	if (end > nblocks)
	{
		if (RULE(RULE_RANGE))
		{
			detail->block = nblocks;
			detail->rule = "range";
			return false;
		}
		end = nblocks;
	}

	rules.lsn = stamp->lsn;
	rules.xmin = U64FromFullTransactionId(stamp->xmin);
	rules.window = xid_window();

	for (block = stamp->first_block; block < end && broken == NULL; block++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer =
			ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		broken = check_page(&rules, buffer);
		UnlockReleaseBuffer(buffer);
		detail->blocks_read++;
		if (broken != NULL)
			detail->block = block;
	}
	if (strategy != NULL)
		FreeAccessStrategy(strategy);
	detail->rule = broken;
	return broken == NULL;
}

bool
validity_check_rows(const Stamp *stamp, Relation rel, Snapshot snapshot)
{
	uint64 limit = U64FromFullTransactionId(stamp->xmin);
	Digest now;

	if (!stamp->has_digest || !digest_range(&now, rel, stamp->first_block,
											stamp->end_block, snapshot, limit))
		return false;
	if (RULE(RULE_DIGEST_ROWS) && now.rows != stamp->digest.rows)
		return false;
	return !RULE(RULE_DIGEST_HASH) || now.hash == stamp->digest.hash;
}

Verdict
validity_check(const Stamp *stamp, Relation rel, Snapshot snapshot,
			   const Signature *signature, ValidityDetail *detail)
{
	ValidityDetail unused;
	Verdict		   verdict;

	if (detail == NULL)
		detail = &unused;
	memset(detail, 0, sizeof(*detail));
	detail->block = InvalidBlockNumber;

	verdict = check_storage(stamp, rel);
	if (!verdict_is_valid(verdict))
		return verdict;
	if (in_future(stamp, snapshot))
		return VERDICT_FUTURE;
	if (memcmp(&stamp->signature, signature, sizeof(*signature)) != 0)
		return VERDICT_REDEFINED;
	if (validity_check_pages(stamp, rel, detail))
		return VERDICT_UNTOUCHED;
	if (validity_check_rows(stamp, rel, snapshot))
		return VERDICT_SAME_ROWS;
	return VERDICT_CHANGED;
}

const char *
verdict_reason(Verdict verdict)
{
	switch (verdict)
	{
		case VERDICT_UNTOUCHED:
			return "no page was changed";
		case VERDICT_SAME_ROWS:
			return "the rows are the same";
		case VERDICT_CHANGED:
			return "rows were changed";
		case VERDICT_REWRITTEN:
			return "the table was rewritten";
		case VERDICT_REDEFINED:
			return "the definition of the output was changed";
		case VERDICT_ALTERED:
			return "the table is not a permanent heap";
		case VERDICT_FOREIGN:
			return "the part was read in another cluster or database";
		case VERDICT_FUTURE:
			return "the part was read in a future that the cluster lost";
	}
	elog(ERROR, "unrecognized verdict %d", (int) verdict);
	return NULL;
}
