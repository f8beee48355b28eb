/*
 * shared.c
 *		The shared memory of a job's coordinator and workers.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/plan/plan.h"
#include "export/part/part.h"
#include "compat.h"
#include "export/run/shared.h"

#define SHARED_MAGIC 0x6f75746a

dsm_segment *
shared_create(const Job *job, int nworkers)
{
	Size		 size = add_size(offsetof(JobShared, workers),
								 mul_size(nworkers, sizeof(SharedWorker)));
	dsm_segment *segment = dsm_create(size, 0);
	JobShared	*shared = dsm_segment_address(segment);

	memset(shared, 0, size);
	shared->magic = SHARED_MAGIC;
	shared->job = job->id;
	shared->database = MyDatabaseId;
	shared->owner = job->owner;
	shared->coordinator = MyProc;
	shared->coordinator_pid = MyProcPid;
	shared->failed_part = -1;
	pg_atomic_init_u32(&shared->phase, PHASE_STARTING);
	pg_atomic_init_u32(&shared->recorder, 0);
	pg_atomic_init_u32(&shared->next_part, 0);
	pg_atomic_init_u32(&shared->parts_done, 0);
	throttle_init(&shared->throttle);
	pg_atomic_init_u32(&shared->error_claimed, 0);
	pg_atomic_init_u32(&shared->error_ready, 0);
	shared->nworkers = nworkers;
	for (int i = 0; i < nworkers; i++)
		pg_atomic_init_u32(&shared->workers[i].state, WORKER_STARTING);
	dsm_pin_mapping(segment);
	return segment;
}

dsm_segment *
shared_attach(dsm_handle handle)
{
	dsm_segment *segment = dsm_attach(handle);

	if (segment == NULL)
		return NULL;
	if (((JobShared *) dsm_segment_address(segment))->magic != SHARED_MAGIC)
	{
		dsm_detach(segment);
		return NULL;
	}
	return segment;
}

dsm_segment *
shared_publish_plan(JobShared *shared, const ExportPlan *plan)
{
	Size text_size = strlen(plan->snapshot_text) + 1;
	Size snapshot_size = EstimateSnapshotSpace(plan->snapshot);
	Size parts_size = mul_size(plan->nparts, sizeof(PlannedPart));
	Size snapshot = MAXALIGN(sizeof(SharedPlan));
	Size parts = add_size(snapshot, MAXALIGN(snapshot_size));
	Size definitions = add_size(parts, MAXALIGN(parts_size));
	Size text =
		add_size(definitions, mul_size(plan->nsources, sizeof(Signature)));
	dsm_segment *segment = dsm_create(add_size(text, text_size), 0);
	SharedPlan	*copy = dsm_segment_address(segment);

	copy->nparts = plan->nparts;
	copy->lsn = plan->lsn;
	copy->snapshot = snapshot;
	copy->parts = parts;
	copy->definitions = definitions;
	copy->snapshot_text = text;
	SerializeSnapshot(plan->snapshot, (char *) copy + snapshot);
	memcpy((char *) copy + parts, plan->parts, parts_size);
	memcpy((char *) copy + text, plan->snapshot_text, text_size);
	dsm_pin_mapping(segment);

	shared->plan = dsm_segment_handle(segment);
	shared_set_phase(shared, PHASE_PLANNED);
	return segment;
}

void
shared_set_phase(JobShared *shared, JobPhase phase)
{
	pg_memory_barrier();
	pg_atomic_write_u32(&shared->phase, phase);
	shared_wake_workers(shared);
	shared_wake_coordinator(shared);
}

bool
shared_wait_for(JobShared *shared, JobPhase phase)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (shared->stop || shared->coordinator_gone)
			return false;
		if (pg_atomic_read_u32(&shared->phase) >= phase)
		{
			pg_memory_barrier();
			return true;
		}
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
shared_set_error(JobShared *shared, const JobError *error, int part)
{
	uint32 nobody = 0;

	if (pg_atomic_compare_exchange_u32(&shared->error_claimed, &nobody, 1))
	{
		shared->error = *error;
		shared->failed_part = part;
		pg_memory_barrier();
		pg_atomic_write_u32(&shared->error_ready, 1);
	}
	shared_wake_coordinator(shared);
}

void
shared_wake_coordinator(JobShared *shared)
{
	SetLatch(&shared->coordinator->procLatch);
}

void
shared_wake_workers(JobShared *shared)
{
	for (int i = 0; i < shared->nworkers; i++)
	{
		SharedWorker *worker = &shared->workers[i];

		if (pg_atomic_read_u32(&worker->state) == WORKER_READY)
			SetLatch(&worker->proc->procLatch);
	}
}
