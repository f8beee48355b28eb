/*
 * queue.c
 *		Jobs that nobody waits for: they start when the transaction that queued
 *		them commits, or when there is room for them.
 *
 * A job in state "queued" may be started by anybody at any time: the first
 * coordinator that holds its lock runs it, any other one ends at once.
 *
 * A role's jobs may wait for a lock that the role itself holds, as long as it
 * likes.  So the last place is kept for a role that has no other one, with the
 * processes that it needs, and the next place is whose role has the fewest.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/run/run.h"
#include "export/job/job_access.h"
#include "export/run/launch.h"

PG_FUNCTION_INFO_V1(outflow_run_queue);
PGDLLEXPORT Datum outflow_run_queue(PG_FUNCTION_ARGS);

/* Of one role: more is a loop that has gone wrong, or means ill. */
#define MAX_QUEUED_JOBS 500

typedef struct QueuedJob
{
	int64		  id;
	Oid			  owner;
	int			  running; /* its owner's jobs that run */
	TransactionId xid;	   /* that has queued it, or taken it from the queue */
	bool		  taken;
} QueuedJob;

/* For the present transaction, in TopTransactionContext. */
static List *pending = NIL;

/* Adds a job to a list in the context. */
static List *
queue_append(List *jobs, MemoryContext context, QueuedJob added)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	QueuedJob	 *queued = palloc_object(QueuedJob);

	*queued = added;
	jobs = lappend(jobs, queued);
	MemoryContextSwitchTo(old);
	return jobs;
}

static bool
start(const QueuedJob *queued)
{
	return launch_coordinator(queued->id, queued->owner, NULL);
}

/* A savepoint may have been rolled back: what it has done to the queue is undone. */
static bool
is_undone(const QueuedJob *queued)
{
	return !TransactionIdIsCurrentTransactionId(queued->xid);
}

/*
 * When nothing may fail any more.  Without a free slot the job stays queued.
 *
 * What was taken from the queue, and is there again: whoever was about to start
 * it has found it locked.
 */
static void
start_those(bool committed)
{
	ListCell *cell;

	foreach (cell, pending)
	{
		const QueuedJob *queued = lfirst(cell);
		bool			 holds = committed && !is_undone(queued);

		if (holds != queued->taken)
			(void) start(queued);
	}
	pending = NIL;
}

static void
refuse_to_prepare(void)
{
	ListCell *cell;

	foreach (cell, pending)
	{
		const QueuedJob *queued = lfirst(cell);

		if (!queued->taken && !is_undone(queued))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("cannot PREPARE a transaction that has "
								   "queued an export job")));
	}
}

static void
start_pending(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			refuse_to_prepare();
			break;
		case XACT_EVENT_PREPARE:
			pending = NIL;
			break;
		case XACT_EVENT_COMMIT:
			start_those(true);
			break;
		case XACT_EVENT_ABORT:
			start_those(false);
			break;
		default:
			break;
	}
}

static void
add_pending(int64 id, Oid owner, bool taken)
{
	static bool registered = false;

	pending = queue_append(pending, TopTransactionContext,
						   (QueuedJob){.id = id,
									   .owner = owner,
									   .xid = GetCurrentTransactionId(),
									   .taken = taken});
	if (!registered)
		RegisterXactCallback(start_pending, NULL);
	registered = true;
}

void
queue_start_at_commit(int64 id, Oid owner)
{
	add_pending(id, owner, false);
}

void
queue_start_unless_committed(int64 id, Oid owner)
{
	add_pending(id, owner, true);
}

/*
 * Whose role has the fewest running first, then by age.  patient: without those
 * that were tried in vain a moment ago.
 */
static List *
queued_jobs(bool patient)
{
	const Oid	  type = BOOLOID;
	const Datum	  value = BoolGetDatum(patient);
	MemoryContext context = CurrentMemoryContext;
	List		 *jobs = NIL;
	uint64		  count;
	JobAccess	  access;

	job_access_begin(&access);
	/* one that can't start must not keep the others from their turn */
	count =
		job_query("WITH running AS MATERIALIZED (SELECT owner, count(*) AS "
				  "jobs FROM outflow.job WHERE state = 'running' AND "
				  "workers > 0 AND outflow_internal.job_state(job, state) "
				  "= 'running' GROUP BY owner) "
				  "SELECT j.job, j.owner, coalesce(r.jobs, 0) "
				  "FROM outflow.job AS j "
				  "LEFT JOIN running AS r ON r.owner = j.owner "
				  "WHERE j.state = 'queued' AND "
				  "outflow_internal.job_can_connect(j.owner) "
				  "AND (NOT $1 OR j.tried IS NULL OR j.tried < "
				  "pg_catalog.clock_timestamp() - interval '1 second') "
				  "ORDER BY 3, j.job",
				  1, &type, &value, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		jobs =
			queue_append(jobs, context,
						 (QueuedJob){.id = job_field_int(i, 1, 0),
									 .owner = (Oid) job_field_int(i, 2, 0),
									 .running = (int) job_field_int(i, 3, 0)});
	}
	job_access_end(&access);
	return jobs;
}

/* What the jobs that run leave to others, those apart that are kept for a role
 * that has none. */
static int
spare_processes(int processes)
{
	return launch_room() - processes - MIN_PROCESSES;
}

/* Superusers need no watching. */
static bool
has_place(Oid owner, const JobLoad *load)
{
	return load->jobs < max_jobs &&
		   (load->own == 0 || superuser_arg(owner) ||
			(load->jobs < max_jobs - 1 &&
			 spare_processes(load->processes) >= MIN_PROCESSES));
}

char *
queue_wait(const Job *job)
{
	JobLoad load = job_load_at_hand(job->id, job->owner);

	if (has_place(job->owner, &load))
		return NULL;
	if (load.jobs < max_jobs - 1)
		return psprintf("the end of a running job (the last %d background "
						"workers are for a role that has none)",
						MIN_PROCESSES);
	if (load.jobs < max_jobs)
		return pstrdup("the end of a running job (the last place of "
					   "outflow.max_jobs is for a role that has none)");
	return psprintf("the end of one of %d running jobs (outflow.max_jobs)",
					max_jobs);
}

int
queue_workers(const Job *job)
{
	int spare;

	if (superuser_arg(job->owner))
		return job->workers;
	spare =
		spare_processes(job_load_at_hand(job->id, job->owner).processes) - 1;
	return Max(MIN_PROCESSES - 1, Min(job->workers, spare));
}

int
queue_start_next(int most, bool patient)
{
	List	 *jobs = queued_jobs(patient);
	JobLoad	  load;
	int		  started = 0;
	ListCell *cell;

	if (jobs == NIL)
		return 0;
	load = job_load_at_hand(0, InvalidOid);
	foreach (cell, jobs)
	{
		QueuedJob *queued = lfirst(cell);

		if (started >= most)
			break;
		/* it would only find that it must wait; or somebody's coordinator is
		 * about to claim it */
		load.own = queued->running;
		if (!has_place(queued->owner, &load) || job_is_held(queued->id))
			continue;
		if (!start(queued))
			break;
		started++;
		load.jobs++;
		load.processes += MIN_PROCESSES;
	}
	list_free_deep(jobs);
	return started;
}

Datum
outflow_run_queue(PG_FUNCTION_ARGS)
{
	job_check_may_write("run_queue");
	PG_RETURN_INT32(queue_start_next(max_jobs, true));
}

void
queue_check_room(Oid owner)
{
	const Oid	type = OIDOID;
	const Datum value = ObjectIdGetDatum(owner);
	int64		count;
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("SELECT count(*) FROM outflow.job "
					 "WHERE owner = $1 AND state = 'queued'",
					 1, &type, &value, NULL);
	count = job_field_int(0, 1, 0);
	job_access_end(&access);
	if (count >= MAX_QUEUED_JOBS)
		ereport(
			ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("role \"%s\" has " INT64_FORMAT
					" queued export jobs already",
					GetUserNameFromId(owner, false), count),
			 errhint("Wait until some of them have run, or cancel some.")));
}
