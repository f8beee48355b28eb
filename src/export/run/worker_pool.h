/*
 * worker_pool.h
 *		A coordinator's workers: started, waited for, and ended with it.
 */
#ifndef OUTFLOW_WORKER_POOL_H
#define OUTFLOW_WORKER_POOL_H

#include "export/run/shared.h"
#include "postmaster/bgworker.h"

typedef struct WorkerPool
{
	MemoryContext			 context; /* as long as the coordinator's */
	JobShared				*shared;  /* NULL until they are started */
	int						 nworkers;
	BackgroundWorkerHandle **workers;
} WorkerPool;

/* Starts so many workers, or as many as there are slots for; returns how many. */
extern int worker_pool_start(WorkerPool *pool, const Job *job, int wanted);
/* Until all parts are done; throws what goes wrong in a worker, or with one. */
extern void worker_pool_wait(const WorkerPool *pool, int nparts);
/* Ends them, and returns when they have ended. */
extern void worker_pool_stop(WorkerPool *pool);
/* Tells them that nobody waits any more; never throws. */
extern void worker_pool_abandon(WorkerPool *pool);

#endif /* OUTFLOW_WORKER_POOL_H */
