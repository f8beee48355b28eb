/*
 * worker_pool.c
 *		A coordinator's workers: started, waited for, and ended with it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "export/run/launch.h"
#include "export/run/run.h"
#include "export/run/worker_pool.h"

/* How long workers may take to see that the job stops by themselves. */
#define STOP_PATIENCE_MS 2000
#define STOP_POLL_MS	 10

int
worker_pool_start(WorkerPool *pool, const Job *job, int wanted)
{
	dsm_segment *segment = shared_create(job, wanted);
	JobShared	*shared = dsm_segment_address(segment);

	BecomeLockGroupLeader();
	pool->shared = shared;
	pool->workers = MemoryContextAllocZero(
		pool->context, wanted * sizeof(BackgroundWorkerHandle *));
	while (pool->nworkers < wanted)
	{
		MemoryContext old = MemoryContextSwitchTo(pool->context);
		int			  number = pool->nworkers;
		bool		  started =
			launch_worker(shared->job, number, dsm_segment_handle(segment),
						  &pool->workers[number]);

		MemoryContextSwitchTo(old);
		if (!started)
			break;
		pool->nworkers++;
	}
	return pool->nworkers;
}

/* Throws what has gone wrong in a worker, or with one. */
static void
check_workers(const WorkerPool *pool)
{
	JobShared *shared = pool->shared;

	if (pg_atomic_read_u32(&shared->error_ready))
	{
		JobError *error = &shared->error;

		pg_memory_barrier();
		ereport(
			ERROR,
			(errcode(error->code), errmsg_internal("%s", error->message),
			 error->detail[0] ? errdetail_internal("%s", error->detail) : 0,
			 error->hint[0] ? errhint("%s", error->hint) : 0,
			 error->context[0] ? errcontext("%s", error->context) : 0));
	}
	for (int i = 0; i < pool->nworkers; i++)
	{
		uint32 state = pg_atomic_read_u32(&shared->workers[i].state);
		pid_t  pid;

		if (state == WORKER_LEFT)
			continue;
		/* one that could not even connect has not said so */
		if (state == WORKER_DIED ||
			GetBackgroundWorkerPid(pool->workers[i], &pid) == BGWH_STOPPED)
		{
			if (pg_atomic_read_u32(&shared->workers[i].state) == WORKER_LEFT ||
				pg_atomic_read_u32(&shared->error_ready))
				continue;
			ereport(ERROR, (errcode(ERRCODE_ADMIN_SHUTDOWN),
							errmsg("a worker of the export was terminated"),
							errhint("The server log may say why.")));
		}
	}
}

void
worker_pool_wait(const WorkerPool *pool, int nparts)
{
	JobShared *shared = pool->shared;

	while (pg_atomic_read_u32(&shared->parts_done) < (uint32) nparts)
	{
		retry_check_stop(NULL);
		check_workers(pool);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* Of a worker that has been told to stop; one that takes too long is ended. */
static void
await_worker(BackgroundWorkerHandle *worker)
{
	TimestampTz begun = GetCurrentTimestamp();
	bool		terminated = false;
	pid_t		pid;

	while (GetBackgroundWorkerPid(worker, &pid) != BGWH_STOPPED)
	{
		if (!terminated && TimestampDifferenceExceeds(
							   begun, GetCurrentTimestamp(), STOP_PATIENCE_MS))
		{
			TerminateBackgroundWorker(worker);
			terminated = true;
		}
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 STOP_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
worker_pool_stop(WorkerPool *pool)
{
	if (pool->shared == NULL)
		return;
	pool->shared->stop = true;
	shared_wake_workers(pool->shared);
	for (int i = 0; i < pool->nworkers; i++)
		await_worker(pool->workers[i]);
}

void
worker_pool_abandon(WorkerPool *pool)
{
	if (pool->shared == NULL)
		return;
	pool->shared->coordinator_gone = true;
	pool->shared->stop = true;
	shared_wake_workers(pool->shared);
}
