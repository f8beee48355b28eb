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

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "access/xact.h"
#include "miscadmin.h"
#include "optimizer/planner.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "export/run/shared.h"
#include "failpoint.h"

/* Blocks up to this size come from memory that was freed before. */
#define KEPT_BLOCK_SIZE (4 * 1024 * 1024)
/* What is kept of it at most. */
#define KEPT_FREE_SIZE (64 * 1024 * 1024)

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

bool
worker_start(JobShared *shared, dsm_handle handle, int number,
			 BackgroundWorkerHandle **started)
{
	BackgroundWorker worker = {0};

	snprintf(worker.bgw_name, BGW_MAXLEN,
			 "outflow job " INT64_FORMAT " worker %d", shared->job, number);
	strlcpy(worker.bgw_type, "outflow worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "outflow", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "outflow_worker_main", BGW_MAXLEN);
	worker.bgw_flags =
		BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = UInt32GetDatum(handle);
	worker.bgw_notify_pid = MyProcPid;
	memcpy(worker.bgw_extra, &number, sizeof(number));
	return RegisterDynamicBackgroundWorker(&worker, started);
}

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
prepare(ExportWorker *worker)
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

/* The coordinator can't write: its transaction is read-only to the end. */
static void
record_plan(ExportWorker *worker)
{
	SharedPlan *plan = worker->plan;
	uint32		nobody = 0;

	if (!pg_atomic_compare_exchange_u32(&worker->shared->recorder, &nobody, 1))
		return;
	StartTransactionCommand();
	parts_record(worker->job, shared_parts(plan), plan->nparts);
	job_record_plan(worker->job, shared_snapshot_text(plan), plan->lsn,
					plan->nparts);
	FAILPOINT("plan-commit");
	CommitTransactionCommand();
	shared_set_phase(worker->shared, PHASE_EXPORTING);
}

/* Whether an earlier run or the base has finished the part. */
static FinishedPart *
load_candidate(ExportWorker *worker, const PlannedPart *part)
{
	FinishedPart *candidate;
	MemoryContext old;

	if (part->candidate < 0)
		return NULL;
	StartTransactionCommand();
	old = MemoryContextSwitchTo(worker->part_context);
	candidate = part_load(worker->job->id, part->number);
	MemoryContextSwitchTo(old);
	CommitTransactionCommand();
	return candidate;
}

/* Reads the part under the job's snapshot; true if an earlier one still holds */
static bool
read_part(ExportWorker *worker, const PlannedPart *part,
		  const FinishedPart *candidate, PartResult *result)
{
	bool		  carried;
	PartContext	  context = {.job = worker->job,
							 .root = worker->root,
							 .snapshot_text = shared_snapshot_text(worker->plan),
							 .throttle = &worker->shared->throttle,
							 .stop = &worker->shared->stop};
	MemoryContext old;

	settings_reload();
	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;
	RestoreTransactionSnapshot(RestoreSnapshot(shared_snapshot(worker->plan)),
							   worker->shared->coordinator);
	PushActiveSnapshot(GetTransactionSnapshot());
	context.snapshot = GetActiveSnapshot();

	old = MemoryContextSwitchTo(worker->part_context);
	carried = carry_or_export(&context, part, candidate, result);
	MemoryContextSwitchTo(old);

	/* only then were all parts read under the same locks and snapshot */
	if (worker->shared->coordinator_gone)
		ereport(ERROR, (errcode(ERRCODE_ADMIN_SHUTDOWN),
						errmsg("the job's coordinator has ended")));
	PopActiveSnapshot();
	CommitTransactionCommand();
	return carried;
}

static void
export_part(void *arg)
{
	ExportWorker	  *worker = arg;
	const PlannedPart *part = worker->part;
	PartResult		   result;
	FinishedPart	  *candidate;
	bool			   carried;
	MemoryContext	   old;

	worker->part_context = AllocSetContextCreate(
		worker->context, "outflow export part", ALLOCSET_DEFAULT_SIZES);
	candidate = load_candidate(worker, part);
	carried = read_part(worker, part, candidate, &result);

	if (carried)
		FAILPOINT("part-carried");
	StartTransactionCommand();
	old = MemoryContextSwitchTo(worker->part_context);
	if (carried)
		part_carried(worker->job, part, carry_refers(worker->job, candidate));
	else
		part_checkpoint(worker->job, part, &result);
	MemoryContextSwitchTo(old);
	FAILPOINT("checkpoint-commit");
	CommitTransactionCommand();
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
	prepare(worker);
	attach_plan(worker);
	record_plan(worker);
	if (!shared_wait_for(shared, PHASE_EXPORTING))
		return;
	while (!shared->stop && !shared->coordinator_gone)
	{
		uint32 next = pg_atomic_fetch_add_u32(&shared->next_part, 1);

		if (next >= (uint32) worker->plan->nparts)
			break;
		worker->part = &shared_parts(worker->plan)[next];
		retry_run(
			&(Retry){shared->job, worker->part->number, NULL, &shared->stop},
			export_part, work_cleanup, worker);
	}
}

static planner_hook_type next_planner = NULL;

static PlannedStmt *
plan_serially(Query *query, const char *text, int options,
			  ParamListInfo parameters PLANNER_EXPLAIN_PARAMETER)
{
	planner_hook_type plan = next_planner ? next_planner : standard_planner;

	return plan(query, text, options & ~CURSOR_OPT_PARALLEL_OK,
				parameters PLANNER_EXPLAIN_ARGUMENT);
}

/*
 * A parallel query makes its process the leader of a lock group, which a member
 * of another one can't be: both groups would be broken, and the slots of their
 * processes lost to the server.  Policies and filters call functions, which may
 * set what they like; so the planner itself does without.
 */
static void
forbid_parallel_queries(void)
{
	next_planner = planner_hook;
	planner_hook = plan_serially;
}

/*
 * A part, and a row group of Parquet, is many blocks that are freed together
 * and needed again at once.  Without this the C library would give them back
 * and the kernel clear every page of them anew.
 */
static void
keep_freed_memory(void)
{
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK_SIZE);
	(void) mallopt(M_TRIM_THRESHOLD, KEPT_FREE_SIZE);
#endif
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
	keep_freed_memory();
	forbid_parallel_queries();
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
