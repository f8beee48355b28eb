/*
 * part.h
 *		From a range of blocks to a file, or to one that is kept.
 */
#ifndef OUTFLOW_PART_H
#define OUTFLOW_PART_H

#include "executor/tuptable.h"
#include "export/job/part_table.h"
#include "export/proof/stamp.h"
#include "port/atomics.h"
#include "sink/destination.h"

/* ---- planned_scan.c */

typedef void (*PlannedRow)(void *arg, TupleTableSlot *slot);

/*
 * Calls row for each row of the part that row security and the filter leave;
 * its slot is laid out like root.
 */
extern void planned_scan(const JobSource *source, Relation root, Relation leaf,
						 const RowShape *shape, const PlannedPart *part,
						 Snapshot snapshot, PlannedRow row, void *arg);
/* What decides which rows those are: the policies, and the filter. */
extern Query *planned_query(const JobSource *source, Relation root,
							const RowShape *shape);
/*
 * Where an extension audits reads or decides on them: lets it see this one, as
 * it would see a SELECT of the same columns, of the root and of the leaf.
 */
extern void planned_check(const JobSource *source, Relation root,
						  Relation leaf, const RowShape *shape);

/* ---- throttle.c: the bytes that a job may write in a second */

typedef struct Throttle
{
	pg_atomic_uint64 spent_until; /* TimestampTz */
} Throttle;

extern void throttle_init(Throttle *throttle);
/* Sleeps as long as these bytes have to take; returns early to stop. */
extern void throttle_spend(Throttle *throttle, uint64 bytes,
						   volatile bool *stop);

/* ---- part.c: exports one part */

/* What all parts that a process exports have in common. */
typedef struct PartContext
{
	const Job	  *job;
	Destination	  *root;
	Snapshot	   snapshot;
	const char	  *snapshot_text;
	Throttle	  *throttle;
	volatile bool *stop; /* an ERROR as soon as it is set */
	/* of each source, from before the first part: see part_check_definitions */
	const Signature *definitions;
} PartContext;

extern void part_export(const PartContext *context, const PlannedPart *part,
						PartResult *result);

/* ---- part_signature.c */

/*
 * The signature of a leaf's part; or a reason why its output depends on more,
 * so that it may never be carried.  filter comes from filter_plan().
 */
extern const char *part_signature(const Job *job, const JobSource *source,
								  RowShape *shape, Relation leaf, Node *filter,
								  Signature *signature);
/* Fills one signature for each of the job's sources, under its snapshot. */
extern void part_sign_sources(const Job *job, Signature *definitions);
/*
 * Errors unless everything means what it meant when the sources were signed:
 * all parts of a run are written alike, or none is kept.  signature is the
 * leaf's part's, as it is now.
 */
extern void part_check_definitions(const PartContext *context,
								   const JobSource *source, RowShape *shape,
								   Relation root, Relation leaf, Node *filter,
								   const Signature *signature);

/* ---- carry.c: parts that were finished before, and may still hold */

/* The finished parts that a new run of the job starts from. */
extern List *carry_candidates(const Job *job);
/* Warns of tables that the base has not exported; they are locked. */
extern void carry_check_base(const Job *job);
/* Whether a candidate that holds stays where it is, in another export. */
extern bool carry_refers(const Job *job, const FinishedPart *candidate);
/*
 * Keeps the candidate's file if it is proven to be what an export under the
 * snapshot would give; NULL then, or the reason why the part is to be exported.
 * The job's settings are pinned.
 */
extern const char *carry_keep(const PartContext	 *context,
							  const PlannedPart	 *part,
							  const FinishedPart *candidate);

#endif /* OUTFLOW_PART_H */
