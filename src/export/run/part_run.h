/*
 * part_run.h
 *		What every process that exports parts does with each of them.
 */
#ifndef OUTFLOW_PART_RUN_H
#define OUTFLOW_PART_RUN_H

#include "export/job/part_table.h"
#include "export/part/part.h"

/* Where transactions begin and end, which is each process's own. */
typedef struct PartTransactions
{
	/* around what is read from and written to the job tables */
	void (*begin)(void *arg);
	void (*commit)(void *arg);
	/* around the reading of the part, under the job's snapshot */
	Snapshot (*begin_reading)(void *arg);
	void (*end_reading)(void *arg);
} PartTransactions;

/*
 * Exports the part, or keeps what an earlier export has of it, and writes its
 * checkpoint.  memory is the part's own.
 */
extern void part_run(PartContext *context, const PlannedPart *part,
					 MemoryContext			 memory,
					 const PartTransactions *transactions, void *arg);

#endif /* OUTFLOW_PART_RUN_H */
