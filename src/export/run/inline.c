/*
 * inline.c
 *		workers => 0: a whole job in the calling backend, in one transaction.
 *
 * It leaves either a finished export and its record, or nothing; so there is
 * nothing to resume.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/part/part.h"
#include "export/plan/plan.h"
#include "export/run/call.h"
#include "export/run/inline.h"
#include "export/run/part_run.h"
#include "export/run/run.h"
#include "export/run/tell.h"

void
inline_remove_files(int code, Datum arg)
{
	InlineFiles *files = (InlineFiles *) DatumGetPointer(arg);

	if (files->publishing != NIL)
		publish_undo(files->job, files->publishing, files->root);
	files->root->driver->discard(files->root);
}

void
inline_publish(InlineFiles *files)
{
	int64 id = files->job->id;
	Job	 *planned = job_load(id, false);

	destination_check_running(files->job);
	HOLD_INTERRUPTS();
	job_derive(planned);
	files->publishing = parts_load(id);
	publish_job(planned, files->root);
	job_set_state(id, JOB_DONE, NULL);
}

void
inline_published(InlineFiles *files)
{
	files->publishing = NIL;
	QueryCancelPending = false;
	RESUME_INTERRUPTS();
}

/* All of it is one transaction. */
static void
inline_no_transaction(void *arg)
{
}

static Snapshot
inline_begin_reading(void *arg)
{
	const ExportPlan *plan = arg;

	PushActiveSnapshot(plan->snapshot);
	return plan->snapshot;
}

static void
inline_end_reading(void *arg)
{
	PopActiveSnapshot();
}

static void
export_all(Job *job, ExportPlan *plan, Destination *root)
{
	static const PartTransactions transactions = {
		inline_no_transaction, inline_no_transaction, inline_begin_reading,
		inline_end_reading};
	Throttle	throttle;
	bool		never = false;
	PartContext context = {.job = job,
						   .root = root,
						   .snapshot_text = plan->snapshot_text,
						   .throttle = &throttle,
						   .stop = &never};

	throttle_init(&throttle);
	for (int i = 0; i < plan->nparts; i++)
	{
		MemoryContext part_context =
			AllocSetContextCreate(CurrentMemoryContext, "outflow export part",
								  ALLOCSET_DEFAULT_SIZES);

		CHECK_FOR_INTERRUPTS();
		part_run(&context, &plan->parts[i], part_context, &transactions, plan);
		MemoryContextDelete(part_context);
	}
}

void
run_inline(Job *job)
{
	ExportPlan *plan;
	InlineFiles files = {job, NULL, NIL};

	/* a transaction of its own: locks before the snapshot */
	call_commit();
	plan = plan_make(job, carry_candidates(job), call_commit,
					 CurrentMemoryContext);

	job_insert(job);
	(void) job_lock_exclude(job->id);
	job_set_state(job->id, JOB_RUNNING, NULL);
	plan_record(job, plan->parts, plan->nparts, plan->snapshot_text,
				plan->lsn);

	files.root = destination_open(job, DESTINATION_CREATE);
	destination_check_empty(files.root, job, false);
	PG_ENSURE_ERROR_CLEANUP(inline_remove_files, PointerGetDatum(&files));
	{
		(void) ownership_open(job, files.root, true);
		destination_check_unclaimed(files.root, "", job);
		export_all(job, plan, files.root);
		UnregisterSnapshot(plan->snapshot);
		inline_publish(&files);
		call_commit_to_record();
		inline_published(&files);
	}
	PG_END_ENSURE_ERROR_CLEANUP(inline_remove_files, PointerGetDatum(&files));
	files.root->driver->close(files.root);
	tell_result(job->id);
}
