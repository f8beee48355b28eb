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

#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "export/job/job.h"
#include "export/run/launch.h"
#include "export/run/run.h"
#include "export/run/tell.h"

#define POLL_MS 1000
/* How long a cancelled CALL waits for its job to stop. */
#define STOP_PATIENCE_MS 10000
/* Coordinators that end without a word: the role can't connect, say. */
#define MAX_SILENT_ENDS 3

typedef struct Waiter
{
	int64					id;
	MemoryContext			context;
	MemoryContext			look_context; /* reset after each look */
	BackgroundWorkerHandle *handle;		  /* NULL while the job is queued */
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

/* A job that nobody has begun would otherwise begin when nobody expects it. */
static void
withdraw_job(Waiter *waiter)
{
	Job *job;

	if (job_lock_exclude(waiter->id) && job_try_lock_row(waiter->id))
	{
		job = job_load(waiter->id, false);
		if (job && job->state == JOB_QUEUED)
			job_set_state(waiter->id, JOB_INTERRUPTED, NULL);
	}
	SPI_commit();
}

static bool
is_done(int64 id)
{
	Job *job = job_try_lock_tables() ? job_load(id, false) : NULL;
	bool done = job && job->state == JOB_DONE;

	SPI_commit();
	return done;
}

/* The statement was cancelled: the job ends first, then the statement. */
static void
stop_job(Waiter *waiter)
{
	bool done;

	HOLD_INTERRUPTS();
	if (waiter->handle)
	{
		TerminateBackgroundWorker(waiter->handle);
		for (int waited = 0; waited < STOP_PATIENCE_MS && !has_stopped(waiter);
			 waited += 20)
			wait_a_moment(20);
	}
	/* it may have ended before it saw the job */
	if (has_stopped(waiter))
		withdraw_job(waiter);
	done = is_done(waiter->id);
	RESUME_INTERRUPTS();
	if (done)
		QueryCancelPending = false; /* too late: it has come to its end */
	else if (ProcDiePending == 0)
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

static void
start_coordinator(Waiter *waiter, const Job *job)
{
	MemoryContext old = MemoryContextSwitchTo(waiter->context);
	bool started = launch_coordinator(job->id, job->owner, &waiter->handle);

	MemoryContextSwitchTo(old);
	if (started)
		return;
	waiter->handle = NULL;
	if (job_try_lock_row(job->id))
		job_set_waiting_for(job->id,
							"a free background worker (max_worker_processes)");
}

/* A coordinator has ended, and its job is still queued. */
static void
handle_requeued(Waiter *waiter, const Job *job)
{
	JobError error;

	if (job->waiting_for)
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
	Job *job = job_load(waiter->id, false);

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
	if (job->state == JOB_FAILED || job->state == JOB_INTERRUPTED ||
		(job->state == JOB_RUNNING && stopped))
	{
		waiter->handle = NULL;
		tell_failure(job);
	}
	if (stopped)
	{
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
	SPI_commit();
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
