/*
 * shared.h
 *		What a job's coordinator and workers share in dynamic shared memory.
 *
 * The coordinator makes the first segment before it starts its workers, and a
 * second one with the plan when there is a plan.  Everything here is written
 * once, or atomic, or guarded by error_claimed and error_ready.
 */
#ifndef OUTFLOW_SHARED_H
#define OUTFLOW_SHARED_H

#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/proc.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/plan/plan.h"
#include "export/part/part.h"

typedef enum JobPhase
{
	PHASE_STARTING,	 /* no plan yet */
	PHASE_PLANNED,	 /* the plan's segment may be attached */
	PHASE_EXPORTING, /* and its parts are rows of outflow.part */
} JobPhase;

typedef enum WorkerState
{
	WORKER_STARTING,
	WORKER_READY, /* joined the lock group */
	WORKER_LEFT,  /* nothing to do any more */
	WORKER_DIED
} WorkerState;

typedef struct SharedWorker
{
	PGPROC			*proc; /* valid when ready */
	pg_atomic_uint32 state;
} SharedWorker;

typedef struct JobShared
{
	uint32	magic;
	int64	job;
	Oid		database;
	Oid		owner;
	PGPROC *coordinator;
	int		coordinator_pid;

	volatile bool stop;				/* workers end as soon as they can */
	volatile bool coordinator_gone; /* so are its locks and its snapshot */

	pg_atomic_uint32 phase;
	dsm_handle		 plan;	   /* set before PHASE_PLANNED */
	pg_atomic_uint32 recorder; /* 1 once a worker is to record the plan */
	pg_atomic_uint32 next_part;
	pg_atomic_uint32 parts_done;
	Throttle		 throttle;

	/* the first error is the job's: written by whoever claims it, and read by
	 * others once it is ready */
	pg_atomic_uint32 error_claimed;
	pg_atomic_uint32 error_ready;
	int				 failed_part; /* or -1 */
	JobError		 error;

	int			 nworkers;
	SharedWorker workers[FLEXIBLE_ARRAY_MEMBER];
} JobShared;

/*
 * The plan's segment: this, the serialized snapshot, its text, the parts, and the
 * sources' definitions as the worker that records the plan has signed them.
 */
typedef struct SharedPlan
{
	int		   nparts;
	XLogRecPtr lsn;
	Size	   snapshot; /* offsets within the segment */
	Size	   snapshot_text;
	Size	   parts;
	Size	   definitions;
} SharedPlan;

static inline char *
shared_snapshot(SharedPlan *plan)
{
	return (char *) plan + plan->snapshot;
}

static inline const char *
shared_snapshot_text(SharedPlan *plan)
{
	return (char *) plan + plan->snapshot_text;
}

static inline const PlannedPart *
shared_parts(SharedPlan *plan)
{
	return (PlannedPart *) ((char *) plan + plan->parts);
}

static inline Signature *
shared_definitions(SharedPlan *plan)
{
	return (Signature *) ((char *) plan + plan->definitions);
}

extern dsm_segment *shared_create(const Job *job, int nworkers);
/* NULL if the coordinator is gone already. */
extern dsm_segment *shared_attach(dsm_handle handle);
extern dsm_segment *shared_publish_plan(JobShared		 *shared,
										const ExportPlan *plan);
/* The phase, once it has been reached; false when it is time to stop. */
extern bool shared_wait_for(JobShared *shared, JobPhase phase);
extern void shared_set_phase(JobShared *shared, JobPhase phase);
extern void shared_set_error(JobShared *shared, const JobError *error,
							 int part);
extern void shared_wake_coordinator(JobShared *shared);
extern void shared_wake_workers(JobShared *shared);

#endif /* OUTFLOW_SHARED_H */
