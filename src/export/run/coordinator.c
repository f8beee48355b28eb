/*
 * coordinator.c
 *		The background worker that runs a job.
 *
 * It holds the job's lock from its first step to the end of the process, and
 * the relations' locks and the snapshot from the plan to the last part.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/part/part_check.h"
#include "export/job/part_table.h"
#include "export/plan/source.h"
#include "export/plan/plan.h"
#include "export/part/part.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/lake/lake.h"
#include "export/run/run.h"
#include "export/run/launch.h"
#include "export/run/worker_pool.h"
#include "failpoint.h"
#include "sink/server.h"

/* How often one that is told to end tries to say how its job stands. */
#define LAST_TRIES	  100
#define LAST_PAUSE_MS 10

typedef struct Coordinator
{
	int64		  id;
	MemoryContext context;
	MemoryContext attempt; /* of a step that is tried again; NULL for none */
	Job			 *job;
	Destination	 *root;
	char		 *moved_from; /* where the job was before; NULL: here */
	List		 *candidates; /* of an earlier run, or of the base */
	bool		  prepared;	  /* root is more than an attempt's */
	bool		  complete;	  /* only the publication is missing */
	bool		  claimed;	  /* the job is ours to run or to fail */
	bool		  ran;		  /* it was not sent back to wait */
	JobError	  error;	  /* that ended it */
	WorkerPool	  pool;
} Coordinator;

PGDLLEXPORT void outflow_coordinator_main(Datum arg);

/* Before the job's lock, so that the next one finds it free. */
static void
release_place(Coordinator *coordinator)
{
	if (coordinator->root)
		coordinator->root->driver->release(coordinator->root);
	coordinator->root = NULL;
}

static void
coordinator_exit(int code, Datum arg)
{
	Coordinator *coordinator = (Coordinator *) DatumGetPointer(arg);

	/* a leader that ends before its lock group may lose the server a process */
	worker_pool_abandon(&coordinator->pool);
	worker_pool_stop(&coordinator->pool);
	release_place(coordinator);
}

/* A copy of a server or a database has its queue, which that itself will run. */
static void
check_queue(const Job *job)
{
	if (job->server == NULL || strcmp(job->server, job_database()) == 0)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg(
			 "another server or database has queued export job " INT64_FORMAT,
			 job->id),
		 errdetail("It has the same past, such as the one that this one is a "
				   "copy of, or has taken the place of."),
		 errhint("If it is to run here, resume it; else forget it.")));
}

/*
 * Whether the job is there to be run, with its row locked.  One that is not has a
 * row that others may hold.
 */
static bool
load_queued(Coordinator *coordinator)
{
	MemoryContext old = MemoryContextSwitchTo(coordinator->context);
	Job			 *job = job_load(coordinator->id, false);

	if (job && job->state == JOB_QUEUED)
		job = job_load(coordinator->id, true);
	coordinator->job = job;
	MemoryContextSwitchTo(old);
	return job && job->state == JOB_QUEUED;
}

/*
 * Makes the job ours, or says in its row what it waits for.  All other jobs wait
 * for the lock of submissions: what a role can hold comes before it.
 */
static bool
claim(Coordinator *coordinator)
{
	const char *waiting_for;
	Job		   *job;

	StartTransactionCommand();
	if (!job_lock_hold(coordinator->id))
	{
		CommitTransactionCommand();
		return false;
	}
	job_lock_tables();
	if (!load_queued(coordinator))
	{
		CommitTransactionCommand();
		return false;
	}
	job_lock_submission();
	job = coordinator->job;
	coordinator->claimed = true;
	check_queue(job);
	/* two of them may have been submitted at the same time */
	destination_check_free(job, true);

	waiting_for = queue_wait(job);
	if (waiting_for == NULL &&
		worker_pool_start(&coordinator->pool, job, queue_workers(job)) == 0)
		waiting_for = "a free background worker (max_worker_processes)";
	if (waiting_for)
		job_set_waiting_for(job->id, waiting_for);
	else
	{
		job_set_state(job->id, JOB_RUNNING, NULL);
		job_set_processes(job->id, 1 + coordinator->pool.nworkers);
	}
	CommitTransactionCommand();
	return waiting_for == NULL;
}

/* Whether only the publication is missing.  kept: its hidden directory is there. */
static bool
is_complete(Coordinator *coordinator, bool kept)
{
	Job		 *job = coordinator->job;
	List	 *parts;
	ListCell *cell;

	if (job->parts_total < 0 || !handover_holds(job))
		return false;
	/* without it, files are the job's only by the manifest */
	if (!kept && coordinator->root->driver->tables == NULL &&
		!job_makes_tables(job) && !older_is_own(coordinator->root, "", job))
		return false;
	if (job->publishing && job_makes_tables(job) &&
		lake_is_complete(coordinator->root, job))
		return true;
	/* not at that moment, which was too long ago */
	if (job->snapshot == NULL)
		return false;
	parts = parts_load(job->id);
	if (list_length(parts) != job->parts_total)
		return false;
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		if (!part->done)
			return false;
	}
	/* a file is trusted when it has been read once more */
	foreach (cell, parts)
	{
		if (!part_is_intact(job, coordinator->root, lfirst(cell)))
			return false;
	}
	if (job_makes_tables(job) &&
		list_length(lake_live_parts(coordinator->root, job, parts)) <
			list_length(parts))
		return false;
	return coordinator->root->driver->tables == NULL ||
		   coordinator->root->driver->tables->is_current(coordinator->root);
}

static MemoryContext
begin_attempt(Coordinator *coordinator)
{
	coordinator->attempt =
		AllocSetContextCreate(coordinator->context, "outflow export attempt",
							  ALLOCSET_DEFAULT_SIZES);
	return MemoryContextSwitchTo(coordinator->attempt);
}

static void
end_attempt(void *arg)
{
	Coordinator *coordinator = arg;

	if (!coordinator->prepared)
		coordinator->root = NULL;
	if (coordinator->attempt)
		MemoryContextDelete(coordinator->attempt);
	coordinator->attempt = NULL;
}

/* Tables don't tell whose rows they have: only the record does. */
static void
refuse_unknown_publication(const Job *job, const Destination *root)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("it is not known whether export job " INT64_FORMAT
					" was published",
					job->id),
			 errdetail("It had begun to, and at \"%s\" there is no record "
					   "of it for the role that logs in there now.",
					   root->location),
			 errhint("Let the role log in that did so before, and resume the "
					 "job; or look at the tables, forget the job and begin a "
					 "new one.")));
}

/*
 * Directories may have been exchanged since the job was made, and a server may
 * have been altered.
 */
static void
follow_place(Coordinator *coordinator)
{
	Job		   *job = coordinator->job;
	const char *location = coordinator->root->location;

	if (strcmp(location, job->location) != 0)
	{
		/* an attempt that fails takes back only what is written down */
		coordinator->moved_from = job->location;
		job->location = MemoryContextStrdup(coordinator->context, location);
	}
	if (coordinator->moved_from == NULL)
		return;
	if (!job_lock_location(job->location))
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("destination \"%s\" is in use by another call",
							   job->destination)));
	job_set_location(job->id, job->location);
	destination_check_free(job, true);
}

/*
 * Where a server leads by now may be the same place by another name: then what
 * the job has left is there.  Otherwise it would stay where it was, and be
 * nobody's.
 */
static void
check_same_place(const Coordinator *coordinator, bool kept)
{
	const Job *job = coordinator->job;

	if (coordinator->moved_from == NULL || kept ||
		coordinator->root->driver->wrapper == NULL || job->parts_total < 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("server \"%s\" leads to another place by now",
					server_name(job->destination)),
			 errdetail("What export job " INT64_FORMAT " has written so far "
					   "is at \"%s\".",
					   job->id, coordinator->moved_from),
			 errhint("Set the server's options back and resume the job; or "
					 "make another server that leads there, and forget it.")));
}

/*
 * Opens the destination and decides what is left of an earlier run: all of it
 * if only publication is missing, else what will prove to hold.
 */
static void
coordinator_prepare(void *arg)
{
	Coordinator	 *coordinator = arg;
	Job			 *job = coordinator->job;
	MemoryContext old;
	bool		  kept;

	StartTransactionCommand();
	/* a try that failed has ended the locks */
	job_lock_tables();
	(void) job_reload(job, false);
	/* the owner's rights, which may have been others at the submission */
	destination_check_running(job);
	old = begin_attempt(coordinator);
	job_derive(job);
	coordinator->root = destination_open(job, DESTINATION_CREATE);
	destination_set_tables(job, coordinator->root);
	follow_place(coordinator);
	kept = ownership_open(job, coordinator->root, false);
	check_same_place(coordinator, kept);
	if (!kept)
		ownership_check_finished(job, coordinator->root);
	coordinator->root->driver->sweep(coordinator->root);
	coordinator->complete = is_complete(coordinator, kept);
	if (!coordinator->complete)
	{
		/* without it, nothing that is there is known to be the job's */
		if (job->publishing && !kept && coordinator->root->driver->tables)
			refuse_unknown_publication(job, coordinator->root);
		if (job->publishing && kept)
			publish_retreat(job, coordinator->root);
		else if (job->publishing)
			publish_check_anew(job, coordinator->root);
		destination_check_empty(coordinator->root, job, false);
		if (!kept)
			(void) ownership_open(job, coordinator->root, true);
		/* of two that found it free at once, one at least sees the other */
		destination_check_unclaimed(coordinator->root, "", job);
		job_set_publishing(job->id, false);
		coordinator->candidates = carry_candidates(job);
		if (job_makes_tables(job))
			coordinator->candidates = lake_live_parts(coordinator->root, job,
													  coordinator->candidates);
	}
	MemoryContextSwitchTo(old);
	CommitTransactionCommand();
	/* what it opened and loaded stays */
	coordinator->attempt = NULL;
	coordinator->prepared = true;
}

static void
begin_reading(void)
{
	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;
}

static void
coordinator_restart_reading(void)
{
	CommitTransactionCommand();
	begin_reading();
}

static void
export_parts(Coordinator *coordinator)
{
	ExportPlan	 *plan;
	MemoryContext old;

	begin_reading();
	plan = plan_make(coordinator->job, coordinator->candidates,
					 coordinator_restart_reading, coordinator->context);
	/* as the workers see them, and as they stay: locks are held by now */
	old = MemoryContextSwitchTo(coordinator->context);
	destination_set_tables(coordinator->job, coordinator->root);
	MemoryContextSwitchTo(old);
	(void) shared_publish_plan(coordinator->pool.shared, plan);
	worker_pool_wait(&coordinator->pool, plan->nparts);
	UnregisterSnapshot(plan->snapshot);
	CommitTransactionCommand();
}

/* An earlier attempt may have removed it already, but for a record of tables. */
static void
reclaim(const Job *job, Destination *root)
{
	bool keeps_record = root->driver->tables != NULL;

	if (!root->driver->is_claimed(root) &&
		!ownership_open(job, root, !keeps_record) && keeps_record)
		refuse_unknown_publication(job, root);
}

/* May be done again: an earlier attempt's steps are no-ops then. */
static void
publish(void *arg)
{
	Coordinator	 *coordinator = arg;
	MemoryContext old;
	Job			 *job;

	/* from now on finished files of ours may stand at the destination */
	StartTransactionCommand();
	publish_check_rights(coordinator->job);
	job_lock_tables();
	(void) job_reload(coordinator->job, false);
	job_set_publishing(coordinator->id, true);
	CommitTransactionCommand();

	StartTransactionCommand();
	old = begin_attempt(coordinator);
	job = job_reload(coordinator->job, false);
	/* what is asked is whether an earlier attempt has begun with it */
	job->publishing = coordinator->job->publishing;
	job_derive(job);
	/* the locks may have been waited for */
	destination_check_running(job);
	coordinator->root->driver->check_place(coordinator->root);
	reclaim(job, coordinator->root);
	publish_job(job, coordinator->root);
	MemoryContextSwitchTo(old);
	job_set_state(coordinator->id, JOB_DONE, NULL);
	FAILPOINT("done-commit");
	CommitTransactionCommand();
}

/* Room for a queued job, now that this one has its workers or has ended. */
static void
start_next(void)
{
	StartTransactionCommand();
	if (job_try_lock_tables())
		(void) queue_start_next(1, false);
	CommitTransactionCommand();
}

static void
coordinate(void *arg)
{
	Coordinator *coordinator = arg;

	if (!claim(coordinator))
		return;
	coordinator->ran = true;
	start_next();
	retry_run(&(Retry){coordinator->job, -1, "preparation", NULL},
			  coordinator_prepare, end_attempt, coordinator);
	if (!coordinator->complete)
	{
		handover_prepare(coordinator->job);
		export_parts(coordinator);
	}
	worker_pool_stop(&coordinator->pool);
	retry_run(&(Retry){coordinator->job, -1, "publication", NULL}, publish,
			  end_attempt, coordinator);
}

/* An error: nobody may go on before locks and snapshot are released. */
static void
coordinate_cleanup(void *arg)
{
	Coordinator *coordinator = arg;

	end_attempt(coordinator);
	worker_pool_abandon(&coordinator->pool);
	worker_pool_stop(&coordinator->pool);
}

/*
 * Waits for whoever has locked the job's row, but not when it is time to end: it
 * says "running" then, which without a coordinator means "interrupted".  Nor for
 * a row that is gone.
 */
static bool
reach_row(Coordinator *coordinator)
{
	bool gone;

	for (int tries = 0;; tries++)
	{
		StartTransactionCommand();
		gone = job_try_lock_tables() && !job_is_there(coordinator->job);
		if (!gone && job_try_lock_row(coordinator->id))
			return true;
		CommitTransactionCommand();
		if (gone || (ProcDiePending && tries >= LAST_TRIES))
			return false;
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LAST_PAUSE_MS,
						 PG_WAIT_EXTENSION);
	}
}

static void
record_failure(void *arg)
{
	Coordinator	   *coordinator = arg;
	const JobError *error = &coordinator->error;
	bool			interrupted = error->code == ERRCODE_ADMIN_SHUTDOWN ||
					   error->code == ERRCODE_QUERY_CANCELED;
	const JobShared *shared = coordinator->pool.shared;
	int				 part = shared ? shared->failed_part : -1;

	if (!reach_row(coordinator))
		return;
	job_set_state(coordinator->id, interrupted ? JOB_INTERRUPTED : JOB_FAILED,
				  error);
	/* what a part was at when it had to stop is no fault of it */
	if (part >= 0 && !interrupted)
		part_failed(coordinator->id, part, error_line(error));
	CommitTransactionCommand();
}

/* An error has resumed them. */
static void
hold_interrupts_again(void *arg)
{
	HOLD_INTERRUPTS();
}

/* A row that can't be written says that the job runs, until its lock is free. */
static void
end_failed(Coordinator *coordinator)
{
	JobError unrecorded;

	(void) guarded_run(record_failure, hold_interrupts_again, coordinator,
					   &unrecorded);
	release_place(coordinator);
	job_lock_release(coordinator->id);
}

void
outflow_coordinator_main(Datum arg)
{
	static Coordinator coordinator;
	CoordinatorArgs	   args;
	bool			   ok;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(args.database, args.owner, 0);
	settings_pin_worker(args.owner);

	coordinator.id = DatumGetInt64(arg);
	coordinator.context = coordinator.pool.context =
		AllocSetContextCreate(TopMemoryContext, "outflow export coordinator",
							  ALLOCSET_DEFAULT_SIZES);
	/* after the connection's own callback, so that it runs before it */
	before_shmem_exit(coordinator_exit, PointerGetDatum(&coordinator));
	pgstat_report_activity(STATE_RUNNING, MyBgworkerEntry->bgw_name);

	MemoryContextSwitchTo(coordinator.context);
	ok = guarded_run(coordinate, coordinate_cleanup, &coordinator,
					 &coordinator.error);
	if (!coordinator.claimed)
		return;
	/* also when it is time to end */
	HOLD_INTERRUPTS();
	if (!ok)
		end_failed(&coordinator);
	if (coordinator.ran || !ok)
		start_next();
	RESUME_INTERRUPTS();
}
