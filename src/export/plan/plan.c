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
#include "nodes/bitmapset.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/plan/source.h"
#include "export/plan/plan.h"
#include "position/snapshot_text.h"

/* File names have six digits; more are possible, but nobody's intention. */
#define MAX_PARTS 10000000

/* A part_size that was chosen is kept to; this one, the default, is a limit. */
#define DEFAULT_PART_SIZE (INT64CONST(128) * 1024 * 1024)
/* Below this, what a part costs by itself would show. */
#define MIN_PART_SIZE (INT64CONST(8) * 1024 * 1024)
/* Below this a part is for tests and tables that are small themselves. */
#define SMALL_PART_SIZE (INT64CONST(1) * 1024 * 1024)
#define MAX_SMALL_PARTS 1000
/* So that none is idle for long while another one ends. */
#define PARTS_PER_WORKER 4

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

static PlannedPart *
add_part(ExportPlan *plan, int source, Oid relid, BlockNumber first,
		 BlockNumber end)
{
	PlannedPart *part;

	if (plan->nparts >= MAX_PARTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("an export cannot have more than %d parts", MAX_PARTS),
				 errhint("Use a larger part_size.")));
	if (plan->nparts == plan->room)
	{
		plan->room *= 2;
		plan->parts =
			repalloc_huge(plan->parts, plan->room * sizeof(PlannedPart));
	}
	part = &plan->parts[plan->nparts++];
	part->number = -1;
	part->source = source;
	part->relid = relid;
	part->first_block = first;
	part->end_block = end;
	part->candidate = -1;
	return part;
}

/* Blocks that no earlier part holds. */
static void
add_blocks(ExportPlan *plan, int source, Oid relid, BlockNumber first,
		   BlockNumber end, BlockNumber step)
{
	while (first < end)
	{
		BlockNumber next = end - first > step ? first + step : end;

		(void) add_part(plan, source, relid, first, next);
		first = next;
	}
}

static int
compare_blocks(const ListCell *a, const ListCell *b)
{
	const FinishedPart *left = lfirst(a);
	const FinishedPart *right = lfirst(b);

	if (left->plan.first_block != right->plan.first_block)
		return left->plan.first_block < right->plan.first_block ? -1 : 1;
	return left->plan.number - right->plan.number;
}

/* The earlier parts of a leaf, in the order of their blocks. */
static List *
earlier_parts(const List *earlier, int source, Oid relid)
{
	List	 *parts = NIL;
	ListCell *cell;

	foreach (cell, earlier)
	{
		FinishedPart *part = lfirst(cell);

		if (part->plan.relid == relid &&
			(part->plan.source == source || part->plan.source == ANY_SOURCE))
			parts = lappend(parts, part);
	}
	list_sort(parts, compare_blocks);
	return parts;
}

/*
 * Earlier parts keep their blocks, as far as the leaf still has them; what lies
 * between and after them becomes new parts.
 */
static void
add_leaf(ExportPlan *plan, int64 part_size, const List *earlier, int source,
		 Oid relid)
{
	Relation	leaf = relation_open(relid, NoLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(leaf);
	BlockNumber step = blocks_per_part(blocks, toast_blocks(leaf), part_size);
	BlockNumber next = 0;
	ListCell   *cell;

	foreach (cell, earlier_parts(earlier, source, relid))
	{
		FinishedPart *before = lfirst(cell);
		BlockNumber	  first = before->plan.first_block;
		BlockNumber	  end = Min(before->plan.end_block, blocks);
		PlannedPart	 *part;

		if (first < next || first >= end)
			continue;
		add_blocks(plan, source, relid, next, first, step);
		part = add_part(plan, source, relid, first, end);
		part->candidate = before->plan.number;
		next = end;
	}
	add_blocks(plan, source, relid, next, blocks, step);
	relation_close(leaf, NoLock);
}

/*
 * Candidates of an own earlier run keep their numbers, which their files are
 * named after; all others get those that are free, in order.
 */
static void
number_parts(ExportPlan *plan, const Job *job)
{
	bool	   own = job->parts_total >= 0;
	Bitmapset *used = NULL;
	int		   next = 0;

	for (int i = 0; own && i < plan->nparts; i++)
	{
		if (plan->parts[i].candidate >= 0)
			used = bms_add_member(used, plan->parts[i].candidate);
	}
	for (int i = 0; i < plan->nparts; i++)
	{
		PlannedPart *part = &plan->parts[i];

		if (own && part->candidate >= 0)
			part->number = part->candidate;
		else
		{
			while (bms_is_member(next, used))
				next++;
			part->number = next++;
		}
	}
	bms_free(used);
}

/* An empty table is a file without rows, not the lack of one. */
static void
add_empty_part(ExportPlan *plan, const List *earlier, int source, Oid relid)
{
	PlannedPart *part = add_part(plan, source, relid, 0, 0);
	List		*before = earlier_parts(earlier, source, relid);

	if (before != NIL &&
		((FinishedPart *) linitial(before))->plan.end_block == 0)
		part->candidate = ((FinishedPart *) linitial(before))->plan.number;
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
		Relation   rel = source_open(source->relid, source->name,
									 source->columns, job->options.row_security);

		lists = lappend(lists, source_leaves(rel));
		relation_close(rel, NoLock);
	}
	/* they were, but partitions come and go */
	sources_check_apart(job->sources);
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

/* All that is exported, in blocks of heap and of TOAST. */
static void
count_blocks(const List *leaves, double *heap, double *all)
{
	const ListCell *cell;
	const ListCell *leaf;

	*heap = *all = 0;
	foreach (cell, leaves)
	{
		foreach (leaf, (List *) lfirst(cell))
		{
			Relation	rel = relation_open(lfirst_oid(leaf), NoLock);
			BlockNumber blocks = RelationGetNumberOfBlocks(rel);

			*heap += blocks;
			*all += (double) blocks + toast_blocks(rel);
			relation_close(rel, NoLock);
		}
	}
}

/*
 * The same for each worker of several, in so many parts that they end at about
 * the same time.  Only new parts are cut to this size: where an earlier run or
 * a base has made parts, they stay.
 */
static int64
choose_part_size(const Job *job, const List *leaves)
{
	double heap, all, rounds;

	if (job->part_size != DEFAULT_PART_SIZE || job->workers < 2)
		return job->part_size;
	count_blocks(leaves, &heap, &all);
	rounds = ceil(all * BLCKSZ / DEFAULT_PART_SIZE / job->workers);
	rounds = Max(rounds, PARTS_PER_WORKER);
	rounds = Min(rounds, floor(all * BLCKSZ / MIN_PART_SIZE / job->workers));
	if (rounds < 1)
		return MIN_PART_SIZE;
	/* a heap block more, lest rounding leave a crumb for a last part */
	return (all / (rounds * job->workers) + all / heap) * BLCKSZ;
}

void
plan_check_part_size(const Job *job)
{
	List	 *leaves = NIL;
	ListCell *cell;
	double	  heap, all, parts;

	if (job->part_size >= SMALL_PART_SIZE)
		return;
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		Relation   rel = relation_open(source->relid, NoLock);

		leaves = lappend(leaves, source_leaves(rel));
		relation_close(rel, NoLock);
	}
	count_blocks(leaves, &heap, &all);
	/* a part is a block of heap at least */
	parts = Min(heap, ceil(all * BLCKSZ / job->part_size));
	if (parts > MAX_SMALL_PARTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("\"part_size\" is too small for what is exported"),
				 errdetail("It would be cut into %.0f files; parts of less "
						   "than 1 MB are for at most %d.",
						   parts, MAX_SMALL_PARTS),
				 errhint("Use a larger \"part_size\", at least \"1MB\", or "
						 "the default.")));
}

static void
plan_parts(ExportPlan *plan, const Job *job, const List *earlier, List *leaves)
{
	int64	  part_size = choose_part_size(job, leaves);
	ListCell *cell;

	plan->room = 64;
	plan->parts = palloc(plan->room * sizeof(PlannedPart));
	foreach (cell, leaves)
	{
		List	  *list = lfirst(cell);
		JobSource *source =
			list_nth(job->sources, foreach_current_index(cell));
		int		  before = plan->nparts;
		ListCell *leaf;

		foreach (leaf, list)
			add_leaf(plan, part_size, earlier, source->number,
					 lfirst_oid(leaf));
		if (plan->nparts == before)
			add_empty_part(plan, earlier, source->number,
						   list == NIL ? source->relid : linitial_oid(list));
	}
	number_parts(plan, job);
}

ExportPlan *
plan_make(const Job *job, const List *earlier, void (*restart)(void),
		  MemoryContext context)
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
	/* without those whose concurrent detachment the snapshot sees */
	PushActiveSnapshot(plan->snapshot);
	leaves = lock_sources(job);
	PopActiveSnapshot();

	plan->snapshot_text = snapshot_to_text(plan->snapshot);
	plan->lsn = GetXLogInsertRecPtr();
	plan->nsources = list_length(job->sources);
	plan_parts(plan, job, earlier, leaves);
	MemoryContextSwitchTo(old);
	return plan;
}
