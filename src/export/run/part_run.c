/*
 * part_run.c
 *		One part, from the candidate that it may have to its checkpoint.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "export/export_destination.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/part/part.h"
#include "export/run/part_run.h"
#include "failpoint.h"
#include "session_lock.h"

/* Whether the candidate's file stays, instead of a new one. */
static bool
keep_or_export(const PartContext *context, const PlannedPart *part,
			   const FinishedPart *candidate, PartResult *result)
{
	PinnedSettings *pinned = settings_pin_job(context->job);
	const char	   *trouble = NULL;
	bool			kept = false;

	destination_check_running(context->job);
	if (candidate && candidate->file)
	{
		trouble = carry_keep(context, part, candidate);
		kept = trouble == NULL;
	}
	if (!kept)
	{
		part_export(context, part, result);
		if (result->reason == NULL)
			result->reason = trouble;
	}
	settings_unpin(pinned);
	return kept;
}

void
part_run(PartContext *context, const PlannedPart *part, MemoryContext memory,
		 const PartTransactions *transactions, void *arg)
{
	const Job	 *job = context->job;
	FinishedPart *candidate = NULL;
	PartResult	  result;
	bool		  carried;
	MemoryContext old;

	if (part->candidate >= 0)
	{
		transactions->begin(arg);
		old = MemoryContextSwitchTo(memory);
		candidate = part_load(job->id, part->number);
		MemoryContextSwitchTo(old);
		transactions->commit(arg);
	}

	context->snapshot = transactions->begin_reading(arg);
	session_locks_protect();
	old = MemoryContextSwitchTo(memory);
	carried = keep_or_export(context, part, candidate, &result);
	MemoryContextSwitchTo(old);
	transactions->end_reading(arg);
	if (carried)
		FAILPOINT("part-carried");

	transactions->begin(arg);
	old = MemoryContextSwitchTo(memory);
	if (carried)
		part_carried(job, part, carry_refers(job, candidate));
	else
		part_checkpoint(job, part, &result);
	MemoryContextSwitchTo(old);
	FAILPOINT("checkpoint-commit");
	transactions->commit(arg);
}
