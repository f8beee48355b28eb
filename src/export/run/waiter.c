/*
 * waiter.c
 *		The session in CALL: starts a job's coordinator, waits for it, reports,
 *		and passes on a cancel.
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
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "export/job/job.h"
#include "export/run/run.h"
#include "export/run/launch.h"

/* libpq/libpq.h declares it, but needs Kerberos' header files for that */
extern bool pq_check_connection(void);

#define POLL_MS 1000
/* How long a cancelled CALL waits for its job to stop. */
#define STOP_PATIENCE_MS 10000
/* Coordinators that end without a word: the role can't connect, say. */
#define MAX_SILENT_ENDS 3
/* Looking at everybody's locks is not for every moment. */
#define BLOCKED_USEC (5 * USECS_PER_SEC)

typedef struct Waiter
{
	int64					id;
	MemoryContext			context;
	MemoryContext			look_context; /* reset after each look */
	BackgroundWorkerHandle *handle;		  /* NULL while the job is queued */
	int						silent_ends;
	/* told last: what the job waits for, and who waits for locks */
	char	   *waiting_told;
	char	   *blocked_told;
	int			parts_told; /* progress, told last */
	TimestampTz progress_told;
	TimestampTz blocked_looked;
	TimestampTz begun;
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

/* Whether the text differs from what was told last; remembers it. */
static bool
is_news(Waiter *waiter, char **told, const char *text)
{
	if (*told && strcmp(*told, text) == 0)
		return false;
	if (*told)
		pfree(*told);
	*told = MemoryContextStrdup(waiter->context, text);
	return true;
}

static void
tell_waiting(Waiter *waiter, const Job *job)
{
	if (job->waiting_for == NULL ||
		!is_news(waiter, &waiter->waiting_told, job->waiting_for))
		return;
	if (job->state == JOB_QUEUED)
		ereport(NOTICE,
				(errmsg("export job " INT64_FORMAT " is queued", job->id),
				 errdetail("It waits for %s.", job->waiting_for)));
	else
		ereport(WARNING,
				(errmsg("export job " INT64_FORMAT " tries again", job->id),
				 errdetail_internal("It waits for %s", job->waiting_for)));
}

/* Who stands in the way of the export, and in whose way it stands. */
static void
tell_blocked(Waiter *waiter, const Job *job)
{
	TimestampTz now = GetCurrentTimestamp();
	char	   *text;

	if (now - waiter->blocked_looked < BLOCKED_USEC)
		return;
	waiter->blocked_looked = now;
	text = job_waits(job->id);
	if (text && is_news(waiter, &waiter->blocked_told, text))
		ereport(WARNING, (errmsg("export job " INT64_FORMAT
								 ": somebody waits for a lock",
								 job->id),
						  errdetail_internal("%s", text)));
}

/* At most once a second, and less often as the export takes longer. */
static void
tell_progress(Waiter *waiter, const Job *job)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz since = now - waiter->progress_told;
	JobProgress progress;

	if (client_min_messages > NOTICE || job->parts_total <= 0 ||
		since < USECS_PER_SEC || since < (now - waiter->begun) / 20)
		return;
	job_progress(job->id, &progress);
	if (progress.parts_done == waiter->parts_told)
		return;
	waiter->parts_told = progress.parts_done;
	waiter->progress_told = now;
	ereport(NOTICE, (errmsg("export job " INT64_FORMAT
							": %d of %d parts, " INT64_FORMAT
							" rows, " INT64_FORMAT " bytes",
							job->id, progress.parts_done, job->parts_total,
							progress.rows, progress.bytes)));
}

/*
 * Whether the job would fail again in the same way: what it reads or what it
 * was told to do must be changed, and a job's arguments can't be.
 */
static bool
is_final(const JobError *error)
{
	int class = ERRCODE_TO_CATEGORY(error->code);

	return class == ERRCODE_DATA_EXCEPTION ||
		   class == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		   class == ERRCODE_FEATURE_NOT_SUPPORTED ||
		   class == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		   error->code == ERRCODE_UNDEFINED_TABLE;
}

static char *
way_out(const Job *job)
{
	const JobError *error = &job->error;
	const char	   *space = error->hint[0] ? " " : "";

	if (job->state != JOB_FAILED || !is_final(error))
		return psprintf("%s%sCALL outflow.resume(" INT64_FORMAT
						") continues it.",
						error->hint, space, job->id);
	return psprintf("%s%sSELECT outflow.forget(" INT64_FORMAT
					") removes the job and its unfinished files; change what "
					"the error names, or the export's arguments, and export "
					"again.",
					error->hint, space, job->id);
}

static void
throw_failure(const Job *job)
{
	const JobError *error = &job->error;
	bool			failed = job->state == JOB_FAILED;

	ereport(ERROR,
			(errcode(failed ? error->code : ERRCODE_QUERY_CANCELED),
			 failed ? errmsg("export job " INT64_FORMAT " failed: %s", job->id,
							 error->message)
					: errmsg("export job " INT64_FORMAT " was interrupted",
							 job->id),
			 error->detail[0] ? errdetail_internal("%s", error->detail) : 0,
			 errhint("%s", way_out(job)),
			 error->context[0] ? errcontext("%s", error->context) : 0));
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

void
tell_result(int64 id)
{
	JobCarried carried;

	job_carried(id, &carried);
	if (carried.made_null > 0)
		ereport(NOTICE,
				(errmsg("export job " INT64_FORMAT ": " INT64_FORMAT
						" values became nulls",
						id, carried.made_null),
				 errdetail("The format cannot hold them, and the option "
						   "\"lossy\" says \"null\".")));
	if (carried.carried + carried.redone == 0)
		return;
	ereport(NOTICE, (errmsg("export job " INT64_FORMAT
							": %d parts carried over, %d exported again",
							id, carried.carried, carried.redone),
					 carried.reasons ? errdetail("Exported again because: %s.",
												 carried.reasons)
									 : 0));
}

/* Judges the job's row; true when the job is done. */
static bool
judge(Waiter *waiter)
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
		throw_failure(job);
	}
	if (stopped)
	{
		handle_requeued(waiter, job);
		waiter->handle = NULL;
	}
	else if (job->state == JOB_QUEUED && waiter->handle == NULL)
		start_coordinator(waiter, job);
	tell_waiting(waiter, job);
	if (job->state != JOB_QUEUED)
	{
		tell_blocked(waiter, job);
		tell_progress(waiter, job);
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
	done = job_try_lock_tables() && judge(waiter);
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
	waiter->begun = waiter->progress_told = waiter->blocked_looked =
		GetCurrentTimestamp();
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
