/*
 * plan.h
 *		The moment and the parts of an export.
 */
#ifndef OUTFLOW_PLAN_H
#define OUTFLOW_PLAN_H

#include "export/job/part_table.h"
#include "utils/snapshot.h"

/* ---- plan.c */

typedef struct ExportPlan
{
	Snapshot	 snapshot;
	char		*snapshot_text;
	XLogRecPtr	 lsn;
	int			 nsources;
	int			 nparts;
	int			 room; /* for so many */
	PlannedPart *parts;
} ExportPlan;

/*
 * Locks, then snapshot, then block counts; in a fresh transaction of the
 * caller, which keeps it open.  May end it and begin another one by calling
 * restart when partitions came or went meanwhile.
 *
 * earlier are finished parts (FinishedPart *) that may still hold: their blocks
 * stay parts, and with them their numbers if they are the job's own.
 */
extern ExportPlan *plan_make(const Job *job, const List			 *earlier,
							 void (*restart)(void), MemoryContext context);

/* Writes a plan, of the same parts in every process, into the job tables. */
extern void plan_record(const Job *job, const PlannedPart *parts, int nparts,
						const char *snapshot, XLogRecPtr lsn);
/* A shape's columns as a JSON array: a source's definition. */
extern char *plan_describe(RowShape *shape);

/* Errors if a small part_size would make too many files; sources are locked. */
extern void plan_check_part_size(const Job *job);

/* ---- handover.c: slot => name */

/* Errors that are better told when the job is created. */
extern void handover_check(const Job *job);
/* Makes the slot unless an earlier run has; the snapshot may be taken then. */
extern void handover_prepare(Job *job);
/* Whether the slot is still there for a job whose parts are finished. */
extern bool handover_holds(const Job *job);
/* Whether the slot goes with the job; an error if the caller may not do that. */
extern bool handover_may_forget(const Job *job);
extern void handover_forget(const Job *job);

#endif /* OUTFLOW_PLAN_H */
