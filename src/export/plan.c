/*
 * plan.c
 *		The moment and the parts of an export.
 *
 * The order is what makes an export exact: locks first, then the snapshot,
 * then the numbers of blocks.  A snapshot taken before the lock could see a
 * table empty that was rewritten in between; blocks counted before the
 * snapshot could miss rows that it sees.
 */
#include "postgres.h"

#include <math.h>

#include "access/relation.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "export/job.h"

/* File names have six digits; more are possible, but nobody's intention. */
#define MAX_PARTS 10000000

/* Blocks of out-of-line values that belong to a table's rows. */
static BlockNumber
toast_blocks(Relation rel)
{
	BlockNumber blocks = 0;

	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		Relation toast =
			relation_open(rel->rd_rel->reltoastrelid, AccessShareLock);

		blocks = RelationGetNumberOfBlocks(toast);
		relation_close(toast, NoLock);
	}
	return blocks;
}

/* How many heap blocks hold about part_size bytes, TOAST included. */
static BlockNumber
blocks_per_part(BlockNumber blocks, BlockNumber toast, int64 part_size)
{
	double per_block = BLCKSZ * (1.0 + (double) toast / Max(blocks, 1));
	double count = floor(part_size / per_block);

	return (BlockNumber) Max(1.0, Min(count, (double) MaxBlockNumber));
}

static void
add_part(ExportPlan *plan, int source, Oid relid, BlockNumber first,
		 BlockNumber end, int *room)
{
	PlannedPart *part;

	if (plan->nparts >= MAX_PARTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("an export can't have more than %d parts", MAX_PARTS),
				 errhint("Use a larger part_size.")));
	if (plan->nparts == *room)
	{
		*room *= 2;
		plan->parts = repalloc_huge(plan->parts, *room * sizeof(PlannedPart));
	}
	part = &plan->parts[plan->nparts];
	part->number = plan->nparts++;
	part->source = source;
	part->relid = relid;
	part->first_block = first;
	part->end_block = end;
}

static void
add_leaf(ExportPlan *plan, const Job *job, int source, Oid relid, int *room)
{
	Relation	leaf = relation_open(relid, NoLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(leaf);
	BlockNumber step =
		blocks_per_part(blocks, toast_blocks(leaf), job->part_size);
	BlockNumber first = 0;

	while (first < blocks)
	{
		BlockNumber end = blocks - first > step ? first + step : blocks;

		add_part(plan, source, relid, first, end, room);
		first = end;
	}
	relation_close(leaf, NoLock);
}

/* A list of leaves, locked, for each source. */
static List *
lock_sources(const Job *job)
{
	List	 *lists = NIL;
	ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		Relation   rel = source_open(source->relid, source->columns);

		lists = lappend(lists, source_leaves(rel));
		relation_close(rel, NoLock);
	}
	return lists;
}

static bool
same_leaves(List *before, List *after)
{
	ListCell *a;
	ListCell *b;

	forboth (a, before, b, after)
	{
		if (!equal(lfirst(a), lfirst(b)))
			return false;
	}
	return true;
}

static void
plan_parts(ExportPlan *plan, const Job *job, List *leaves)
{
	int		  room = 64;
	ListCell *cell;

	plan->parts = palloc(room * sizeof(PlannedPart));
	foreach (cell, leaves)
	{
		List	  *list = lfirst(cell);
		JobSource *source =
			list_nth(job->sources, foreach_current_index(cell));
		int		  before = plan->nparts;
		ListCell *leaf;

		foreach (leaf, list)
			add_leaf(plan, job, source->number, lfirst_oid(leaf), &room);
		/* an empty table is a file without rows, not the lack of one */
		if (plan->nparts == before)
			add_part(plan, source->number,
					 list == NIL ? source->relid : linitial_oid(list), 0, 0,
					 &room);
	}
}

static char *
snapshot_text(Snapshot snapshot)
{
	Datum text;

	PushActiveSnapshot(snapshot);
	text = OidFunctionCall0(F_PG_CURRENT_SNAPSHOT);
	PopActiveSnapshot();
	return OidOutputFunctionCall(F_PG_SNAPSHOT_OUT, text);
}

ExportPlan *
plan_make(const Job *job, void (*restart)(void), MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ExportPlan	 *plan = palloc0_object(ExportPlan);
	List		 *leaves;

	for (;;)
	{
		leaves = lock_sources(job);
		plan->snapshot = RegisterSnapshot(GetTransactionSnapshot());

		/*
		 * Partitions can be attached under our lock on the parent.  If the
		 * list before the snapshot is the list after it, it is the snapshot's.
		 */
		if (same_leaves(leaves, lock_sources(job)))
			break;
		UnregisterSnapshot(plan->snapshot);
		restart();
		MemoryContextSwitchTo(context);
	}
	plan->snapshot_text = snapshot_text(plan->snapshot);
	plan->lsn = GetXLogInsertRecPtr();
	plan_parts(plan, job, leaves);
	MemoryContextSwitchTo(old);
	return plan;
}
