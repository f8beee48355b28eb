/*
 * worker.c
 *		A background worker of an export job: claims parts and exports them.
 *
 * It joins the coordinator's lock group before it takes any lock, so that it
 * queues behind nobody that waits for the coordinator.  A part is read in a
 * read-only transaction under the job's snapshot; its checkpoint is written in
 * another one, since a snapshot of the past can't update rows.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/plan/plan.h"
#include "export/part/part.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/run/run.h"
#include "export/run/part_run.h"
#include "export/run/shared.h"
#include "failpoint.h"
#include "session_lock.h"

typedef struct ExportWorker
{
	JobShared		  *shared;
	SharedWorker	  *self;
	MemoryContext	   context; /* the process's life */
	MemoryContext	   part_context;
	Job				  *job;
	Destination		  *root;
	SharedPlan		  *plan;
	const PlannedPart *part; /* being exported; NULL for none */
} ExportWorker;

PGDLLEXPORT void outflow_worker_main(Datum arg);

/* However a part's attempt ends, its unfinished file goes with its memory. */
static void
work_cleanup(void *arg)
{
	ExportWorker *worker = arg;

	if (worker->part_context)
	{
		MemoryContextDelete(worker->part_context);
		worker->part_context = NULL;
	}
}

/* Runs however the process ends: attempts end with it. */
static void
worker_exit(int code, Datum arg)
{
	ExportWorker *worker = (ExportWorker *) DatumGetPointer(arg);

	work_cleanup(worker);
	if (pg_atomic_read_u32(&worker->self->state) != WORKER_LEFT)
		pg_atomic_write_u32(&worker->self->state, WORKER_DIED);
	shared_wake_coordinator(worker->shared);
}

/* Loads the job and opens its destination. */
static void
worker_prepare(ExportWorker *worker)
{
	MemoryContext old;

	StartTransactionCommand();
	old = MemoryContextSwitchTo(worker->context);
	worker->job = job_load(worker->shared->job, false);
	if (worker->job == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("export job " INT64_FORMAT " does not exist",
							   worker->shared->job)));
	job_derive(worker->job);
	worker->root = destination_open(worker->job, DESTINATION_EXISTING);
	destination_set_tables(worker->job, worker->root);
	ownership_join(worker->job, worker->root);
	MemoryContextSwitchTo(old);
	CommitTransactionCommand();
}

static void
attach_plan(ExportWorker *worker)
{
	dsm_segment *segment = dsm_attach(worker->shared->plan);

	if (segment == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the job's coordinator has ended")));
	dsm_pin_mapping(segment);
	worker->plan = dsm_segment_address(segment);
}

/* Takes over the definitions that the recording worker wrote: parts are checked
 * against them. */
static void
read_definitions(ExportWorker *worker)
{
	MemoryContext old;
	Job			 *recorded;
	ListCell	 *mine;
	ListCell	 *theirs;

	StartTransactionCommand();
	old = MemoryContextSwitchTo(worker->context);
	recorded = job_load(worker->job->id, false);
	MemoryContextSwitchTo(old);
	CommitTransactionCommand();
	if (recorded == NULL)
		return;
	forboth (mine, worker->job->sources, theirs, recorded->sources)
		((JobSource *) lfirst(mine))->definition =
			((JobSource *) lfirst(theirs))->definition;
}

static void
worker_begin(void *arg)
{
	StartTransactionCommand();
}

static void
worker_commit(void *arg)
{
	CommitTransactionCommand();
}

static Snapshot
worker_begin_reading(void *arg)
{
	ExportWorker *worker = arg;

	settings_reload();
	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;
	RestoreTransactionSnapshot(RestoreSnapshot(shared_snapshot(worker->plan)),
							   worker->shared->coordinator);
	PushActiveSnapshot(GetTransactionSnapshot());
	return GetActiveSnapshot();
}

static void
worker_end_reading(void *arg)
{
	ExportWorker *worker = arg;

	/* only then were all parts read under the same locks and snapshot */
	if (worker->shared->coordinator_gone)
		ereport(ERROR, (errcode(ERRCODE_ADMIN_SHUTDOWN),
						errmsg("the job's coordinator has ended")));
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Before the first part, and before the job's record says what its columns are. */
static void
sign_definitions(ExportWorker *worker)
{
	(void) worker_begin_reading(worker);
	session_locks_protect();
	part_sign_sources(worker->job, shared_definitions(worker->plan));
	worker_end_reading(worker);
}

/* The coordinator can't write: its transaction is read-only to the end. */
static void
record_plan(ExportWorker *worker)
{
	SharedPlan *plan = worker->plan;
	uint32		nobody = 0;

	if (!pg_atomic_compare_exchange_u32(&worker->shared->recorder, &nobody, 1))
		return;
	sign_definitions(worker);
	StartTransactionCommand();
	plan_record(worker->job, shared_parts(plan), plan->nparts,
				shared_snapshot_text(plan), plan->lsn);
	FAILPOINT("plan-commit");
	CommitTransactionCommand();
	shared_set_phase(worker->shared, PHASE_EXPORTING);
}

static void
export_part(void *arg)
{
	static const PartTransactions transactions = {
		worker_begin, worker_commit, worker_begin_reading, worker_end_reading};
	ExportWorker *worker = arg;
	PartContext	  context = {.job = worker->job,
							 .root = worker->root,
							 .snapshot_text = shared_snapshot_text(worker->plan),
							 .throttle = &worker->shared->throttle,
							 .stop = &worker->shared->stop,
							 .definitions = shared_definitions(worker->plan)};

	worker->part_context = AllocSetContextCreate(
		worker->context, "outflow export part", ALLOCSET_DEFAULT_SIZES);
	part_run(&context, worker->part, worker->part_context, &transactions,
			 worker);
	FAILPOINT("checkpoint-committed");
	pgstat_report_stat(false);

	MemoryContextDelete(worker->part_context);
	worker->part_context = NULL;
	worker->part = NULL;
	pg_atomic_fetch_add_u32(&worker->shared->parts_done, 1);
	shared_wake_coordinator(worker->shared);
}

static void
work(void *arg)
{
	ExportWorker *worker = arg;
	JobShared	 *shared = worker->shared;

	/* the coordinator makes the directories, and tries again if need be */
	if (!shared_wait_for(shared, PHASE_PLANNED))
		return;
	worker_prepare(worker);
	attach_plan(worker);
	record_plan(worker);
	if (!shared_wait_for(shared, PHASE_EXPORTING))
		return;
	read_definitions(worker);
	while (!shared->stop && !shared->coordinator_gone)
	{
		uint32 next = pg_atomic_fetch_add_u32(&shared->next_part, 1);

		if (next >= (uint32) worker->plan->nparts)
			break;
		worker->part = &shared_parts(worker->plan)[next];
		retry_run(
			&(Retry){worker->job, worker->part->number, NULL, &shared->stop},
			export_part, work_cleanup, worker);
	}
}

void
outflow_worker_main(Datum arg)
{
	static ExportWorker worker;
	dsm_segment		   *segment;
	int					number;
	JobError			error;

	memcpy(&number, MyBgworkerEntry->bgw_extra, sizeof(number));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	segment = shared_attach(DatumGetUInt32(arg));
	if (segment == NULL)
		return;
	worker_process_begin();
	worker.context = AllocSetContextCreate(
		TopMemoryContext, "outflow export worker", ALLOCSET_DEFAULT_SIZES);
	worker.shared = dsm_segment_address(segment);
	worker.self = &worker.shared->workers[number];
	before_shmem_exit(worker_exit, PointerGetDatum(&worker));

	/* before anything that takes a lock */
	if (!BecomeLockGroupMember(worker.shared->coordinator,
							   worker.shared->coordinator_pid))
		return;
	worker.self->proc = MyProc;
	pg_write_barrier();
	pg_atomic_write_u32(&worker.self->state, WORKER_READY);

	BackgroundWorkerInitializeConnectionByOid(worker.shared->database,
											  worker.shared->owner, 0);
	settings_pin_worker(worker.shared->owner);
	pgstat_report_activity(STATE_RUNNING, MyBgworkerEntry->bgw_name);
	job_lock_share(worker.shared->job);
	MemoryContextSwitchTo(worker.context);
	if (guarded_run(work, work_cleanup, &worker, &error))
		pg_atomic_write_u32(&worker.self->state, WORKER_LEFT);
	else
		shared_set_error(worker.shared, &error,
						 worker.part ? worker.part->number : -1);
}
