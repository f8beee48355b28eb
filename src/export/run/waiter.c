/*
 * waiter.c
 *		The session in CALL: starts a job's coordinator, waits for it and passes
 *		on a cancel.
 *
 * Runs in a procedure that may end transactions, and holds neither a snapshot
 * nor locks while it waits.  What it knows it reads from the job's row, which
 * is right whatever became of the coordinator.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "export/job/job.h"
#include "export/run/call.h"
#include "export/run/launch.h"
#include "export/run/run.h"
#include "export/run/tell.h"

#define POLL_MS 500 /* below the shortest wait of a retry, which is told */
/* How long a cancelled CALL waits for its job to stop, and how often it looks. */
#define STOP_PATIENCE_MS 10000
#define STOP_POLL_MS	 20
/* Coordinators that end without a word: the role can't connect, say. */
#define MAX_SILENT_ENDS 3

typedef struct Waiter
{
	int64					id;
	MemoryContext			context;
	MemoryContext			look_context; /* reset after each look */
	BackgroundWorkerHandle *handle;		  /* of our coordinator, which may not
										   * be the one that runs the job */
	int						silent_ends;
	Told					told;
} Waiter;

static void
waiter_error(int code, Datum arg)
{
	Waiter *waiter = (Waiter *) DatumGetPointer(arg);

	if (waiter->handle)
		TerminateBackgroundWorker(waiter->handle);
}

static void
wait_a_moment(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

static bool
has_stopped(Waiter *waiter)
{
	pid_t pid;

	return waiter->handle == NULL ||
		   GetBackgroundWorkerPid(waiter->handle, &pid) == BGWH_STOPPED;
}

/*
 * Whether nobody runs the job any more.  One that nobody has begun is withdrawn
 * with it: it would begin when nobody expects it.
 */
static bool
withdraw_job(Waiter *waiter)
{
	bool ended = has_stopped(waiter) && job_lock_exclude(waiter->id);
	Job *job;

	if (ended && job_try_lock_row(waiter->id))
	{
		job = job_load(waiter->id, false);
		if (job && job->state == JOB_QUEUED)
			job_set_state(waiter->id, JOB_INTERRUPTED, NULL);
	}
	call_commit_to_record();
	return ended;
}

/* Ends the job, whoever started the coordinator that runs it, or is about to. */
static void
end_job(Waiter *waiter)
{
	TimestampTz begun = GetCurrentTimestamp();

	do
	{
		if (waiter->handle)
			TerminateBackgroundWorker(waiter->handle);
		(void) job_terminate(waiter->id);
		if (withdraw_job(waiter))
			return;
		wait_a_moment(STOP_POLL_MS);
	} while (!TimestampDifferenceExceeds(begun, GetCurrentTimestamp(),
										 STOP_PATIENCE_MS));
}

/* What became of the job; when its row can't be read, what must have become. */
static JobState
state_now(int64 id)
{
	Job		*job = job_try_lock_tables() ? job_load_now(id) : NULL;
	JobState state = job ? job->state : JOB_INTERRUPTED;

	call_commit_to_record();
	return state;
}

/* The statement was cancelled: the job ends first, then the statement. */
static void
stop_job(Waiter *waiter)
{
	JobState state;

	HOLD_INTERRUPTS();
	end_job(waiter);
	state = state_now(waiter->id);
	RESUME_INTERRUPTS();
	if (state == JOB_DONE)
		QueryCancelPending = false; /* too late: it has come to its end */
	else if (ProcDiePending)
		return;
	else if (state == JOB_QUEUED || state == JOB_RUNNING)
		ereport(NOTICE,
				(errmsg("export job " INT64_FORMAT " goes on", waiter->id),
				 errdetail("It could not be stopped yet."),
				 errhint("SELECT outflow.cancel(" INT64_FORMAT ") stops it.",
						 waiter->id)));
	else
		ereport(
			NOTICE,
			(errmsg("export job " INT64_FORMAT " is interrupted", waiter->id),
			 errhint("CALL outflow.resume(" INT64_FORMAT ") continues it.",
					 waiter->id)));
}

static void
check_interrupts(Waiter *waiter)
{
	/* a client that went away is noticed only by looking */
	if (MyProcPort && !pq_check_connection())
	{
		ClientConnectionLost = true;
		InterruptPending = true;
	}
	if (QueryCancelPending || ProcDiePending || ClientConnectionLost)
		stop_job(waiter);
	CHECK_FOR_INTERRUPTS();
}

/* One that would only find that the job must wait takes a place from others. */
static void
start_coordinator(Waiter *waiter, Job *job)
{
	char *waiting_for = queue_wait(job);

	if (waiting_for == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(waiter->context);
		bool		  started =
			launch_coordinator(job->id, job->owner, &waiter->handle);

		MemoryContextSwitchTo(old);
		if (started)
			return;
		waiter->handle = NULL;
		waiting_for =
			pstrdup("a free background worker (max_worker_processes)");
	}
	job->waiting_for = waiting_for;
	if (job_try_lock_row(job->id))
		job_set_waiting_for(job->id, waiting_for);
}

/* Our coordinator has ended, and the job is still queued. */
static void
handle_requeued(Waiter *waiter, const Job *job)
{
	JobError error;

	/* somebody else's may be about to begin */
	if (job->waiting_for || job_is_held(job->id))
	{
		waiter->silent_ends = 0;
		return;
	}
	if (++waiter->silent_ends < MAX_SILENT_ENDS || !job_try_lock_row(job->id))
		return;
	error_set(&error, ERRCODE_CANNOT_CONNECT_NOW,
			  "the job's background worker could not start", NULL,
			  "The server log says why.", NULL);
	job_set_state(job->id, JOB_FAILED, &error);
}

/* Judges the job's row; true when the job is done. */
static bool
waiter_judge(Waiter *waiter)
{
	bool stopped = waiter->handle && has_stopped(waiter);
	Job *job = job_load_now(waiter->id);

	if (job == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("export job " INT64_FORMAT " does not exist any more",
						waiter->id)));
	if (job->state == JOB_DONE)
	{
		tell_result(job->id);
		return true;
	}
	if (job->state == JOB_FAILED || job->state == JOB_INTERRUPTED)
	{
		waiter->handle = NULL;
		tell_failure(job);
	}
	if (stopped)
	{
		if (job->state == JOB_QUEUED)
			handle_requeued(waiter, job);
		waiter->handle = NULL;
	}
	else if (job->state == JOB_QUEUED && waiter->handle == NULL)
		start_coordinator(waiter, job);
	tell_waiting(&waiter->told, job);
	if (job->state != JOB_QUEUED)
	{
		tell_blocked(&waiter->told, job);
		tell_progress(&waiter->told, job);
	}
	return false;
}

/*
 * Looks at the job once, in a transaction of its own.  A cancel waits until
 * check_interrupts(), which still can write the job's row.  So nothing here may
 * wait for others: whoever has locked the tables is waited for between the looks.
 */
static bool
look(Waiter *waiter)
{
	MemoryContext old = MemoryContextSwitchTo(waiter->look_context);
	bool		  done;

	HOLD_INTERRUPTS();
	done = job_try_lock_tables() && waiter_judge(waiter);
	call_commit_to_record();
	RESUME_INTERRUPTS();
	MemoryContextSwitchTo(old);
	MemoryContextReset(waiter->look_context);
	return done;
}

void
wait_for_job(int64 id)
{
	Waiter *waiter = palloc0_object(Waiter);

	waiter->id = id;
	waiter->context = CurrentMemoryContext;
	waiter->look_context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow waiter", ALLOCSET_DEFAULT_SIZES);
	told_begin(&waiter->told);
	PG_ENSURE_ERROR_CLEANUP(waiter_error, PointerGetDatum(waiter));
	{
		while (!look(waiter))
		{
			wait_a_moment(POLL_MS);
			check_interrupts(waiter);
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(waiter_error, PointerGetDatum(waiter));
}
