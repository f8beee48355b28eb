/*
 * queue.c
 *		Jobs that nobody waits for: they start when the transaction that queued
 *		them commits, or when there is room for them.
 *
 * A job in state "queued" may be started by anybody at any time: the first
 * coordinator that holds its lock runs it, any other one ends at once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/memutils.h"

#include "export/job.h"
#include "export/job_access.h"

PG_FUNCTION_INFO_V1(outflow_run_queue);
PGDLLEXPORT Datum outflow_run_queue(PG_FUNCTION_ARGS);

typedef struct QueuedJob
{
	int64 id;
	Oid	  owner;
} QueuedJob;

/* Of the present transaction, in TopTransactionContext. */
static List *pending = NIL;

static bool
start(const QueuedJob *queued)
{
	Job job = {.id = queued->id, .owner = queued->owner};

	return coordinator_start(&job, NULL);
}

/*
 * After the commit, when nothing may fail any more.  Without a free slot the
 * job stays queued.  One whose savepoint was rolled back does not exist, which
 * its coordinator sees.
 */
static void
start_pending(XactEvent event, void *arg)
{
	ListCell *cell;

	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			if (pending != NIL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has queued "
								"an export job")));
			break;
		case XACT_EVENT_COMMIT:
			foreach (cell, pending)
				(void) start(lfirst(cell));
			pending = NIL;
			break;
		case XACT_EVENT_ABORT:
			pending = NIL;
			break;
		default:
			break;
	}
}

void
queue_start_at_commit(int64 id, Oid owner)
{
	static bool	  registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	QueuedJob	 *queued = palloc_object(QueuedJob);

	queued->id = id;
	queued->owner = owner;
	pending = lappend(pending, queued);
	MemoryContextSwitchTo(old);
	if (!registered)
		RegisterXactCallback(start_pending, NULL);
	registered = true;
}

int
queue_start_next(int most)
{
	const Oid	  type = INT4OID;
	const Datum	  value = Int32GetDatum(most);
	MemoryContext context = CurrentMemoryContext;
	int			  started = 0;
	int			  count;
	QueuedJob	 *queued;
	JobAccess	  access;

	job_access_begin(&access);
	/* one that can't start must not keep the others from their turn */
	count = (int) job_query("SELECT j.job, j.owner FROM outflow.job AS j "
							"WHERE j.state = 'queued' "
							"AND outflow.job_can_connect(j.owner) "
							"ORDER BY j.job LIMIT $1",
							1, &type, &value, NULL);
	queued = MemoryContextAlloc(context, sizeof(QueuedJob) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		queued[i].id = job_field_int(i, 1, 0);
		queued[i].owner = (Oid) job_field_int(i, 2, 0);
	}
	job_access_end(&access);

	while (started < count && start(&queued[started]))
		started++;
	pfree(queued);
	return started;
}

Datum
outflow_run_queue(PG_FUNCTION_ARGS)
{
	/* more would only take each other's workers */
	PG_RETURN_INT32(queue_start_next(max_jobs));
}
