/*
 * query_run.c
 *		A job that exports a query, in the calling session.
 *
 * Its record is committed before the query begins, so that others see it run,
 * and can cancel it.  The query runs in one transaction, under one snapshot;
 * a second one publishes the files.  An error leaves neither files nor record.
 * What a kill leaves, or a place that doesn't answer any more, is an interrupted
 * job, which forget() removes: a query can't be taken up where it was left.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/part/query_rows.h"
#include "export/plan/query.h"
#include "export/plan/query_tables.h"
#include "export/run/call.h"
#include "export/run/inline.h"
#include "export/run/run.h"
#include "export/run/tell.h"
#include "failpoint.h"
#include "session_lock.h"

/* Interrupts are held while the record is removed. */
#define DELETE_TRIES	  30
#define DELETE_PAUSE_USEC 100000

typedef struct QueryJob
{
	Job			 *job;
	const List	 *tables;
	InlineFiles	  files;
	bool		  recorded; /* the record may be committed */
	bool		  locked;
	bool		  in_step;
	MemoryContext memory;
	ResourceOwner owner;
} QueryJob;

/*
 * Whatever can fail is a step: a subtransaction, whose end leaves a transaction
 * that can be rolled back in here.
 */
static void
query_step(QueryJob *run, void (*body)(QueryJob *run))
{
	run->owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	run->in_step = true;
	MemoryContextSwitchTo(run->memory);
	body(run);
	ReleaseCurrentSubTransaction();
	run->in_step = false;
	MemoryContextSwitchTo(run->memory);
	CurrentResourceOwner = run->owner;
}

/* Functions of the query that ask again get the same answers. */
static void
read_one_moment(void)
{
	XactIsoLevel = Max(XactIsoLevel, XACT_REPEATABLE_READ);
}

/*
 * Locks before the snapshot, which could see a table empty that was rewritten
 * in between.
 */
static void
begin_step(QueryJob *run)
{
	query_tables_lock(run->tables);
	run->files.root = destination_open(run->job, DESTINATION_CREATE);
}

static void
record_parts(const Job *job, const QueryParts *parts, const char *snapshot,
			 XLogRecPtr lsn)
{
	JobSource	 planned = *(JobSource *) linitial(job->sources);
	int			 count = list_length(parts->parts);
	PlannedPart *plans = palloc_array(PlannedPart, count);
	ListCell	*cell;

	foreach (cell, parts->parts)
		plans[foreach_current_index(cell)] =
			((QueryPart *) lfirst(cell))->plan;
	parts_record(job, plans, count);
	foreach (cell, parts->parts)
	{
		QueryPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		part_checkpoint(job, &part->plan, &part->result);
	}
	job_record_plan(job->id, snapshot, lsn, count);
	planned.job = job->id;
	planned.definition = parts->definition;
	job_record_definition(&planned);
	job_set_publishing(job->id, true);
}

static void
write_step(QueryJob *run)
{
	Job		   *job = run->job;
	Throttle	throttle;
	bool		never = false;
	QueryParts	parts = {0};
	XLogRecPtr	lsn;
	char	   *text;
	PartContext context = {.job = job,
						   .root = run->files.root,
						   .throttle = &throttle,
						   .stop = &never};

	destination_check_empty(run->files.root, job, false);
	(void) ownership_open(job, run->files.root, true);
	destination_check_unclaimed(run->files.root, "", job);
	throttle_init(&throttle);
	session_locks_protect();
	context.snapshot = query_begin_reading(&text, &lsn);
	context.snapshot_text = text;
	query_export(&context, &parts);
	PopActiveSnapshot();
	destination_check_running(job);
	record_parts(job, &parts, text, lsn);
}

static void
publish_step(QueryJob *run)
{
	inline_publish(&run->files);
}

static void
write_and_publish_rows(void *arg)
{
	QueryJob *run = arg;

	query_step(run, write_step);
	call_commit();
	/* as a serializable one it could fail for reasons that are not its own */
	XactIsoLevel = XACT_READ_COMMITTED;
	FAILPOINT("query-written");
	query_step(run, publish_step);
	call_commit_to_record();
	inline_published(&run->files);
}

/* Others see it from now on. */
static void
record_running(QueryJob *run)
{
	Job *job = run->job;

	/* DROP EXTENSION may wait for what this transaction has read already */
	call_commit();
	job_lock_tables();
	job_insert(job);
	if (!job_lock_hold(job->id))
		elog(ERROR, "could not lock export job " INT64_FORMAT, job->id);
	run->locked = true;
	job_set_state(job->id, JOB_RUNNING, NULL);
	run->recorded = true;
	call_commit();
}

/*
 * Others may hold the tables for long: whoever removes the extension, say, which
 * removes the record as well.  So it is given up after a while.
 */
static bool
delete_record(const Job *job)
{
	for (int i = 0; i < DELETE_TRIES; i++)
	{
		AcceptInvalidationMessages();
		if (!OidIsValid(get_extension_oid("outflow", true)))
			return true;
		if (job_try_lock_tables())
		{
			if (job_is_there(job))
				job_delete(job->id);
			return true;
		}
		pg_usleep(DELETE_PAUSE_USEC);
	}
	return false;
}

/* The error goes on once the record is gone, whatever is left of a transaction. */
static ErrorData *
remove_record(QueryJob *run)
{
	ErrorData *error;
	bool	   left;

	MemoryContextSwitchTo(run->memory);
	error = CopyErrorData();
	FlushErrorState();
	HOLD_INTERRUPTS();
	if (run->in_step)
	{
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(run->memory);
		CurrentResourceOwner = run->owner;
	}
	call_rollback_to_record();
	FAILPOINT("query-failed");
	left = run->files.left || !delete_record(run->job);
	call_commit_to_record();
	RESUME_INTERRUPTS();
	if (left)
		ereport(NOTICE, (errmsg("export job " INT64_FORMAT " is interrupted",
								run->job->id),
						 errhint("SELECT outflow.forget(" INT64_FORMAT
								 ") removes what it has left.",
								 run->job->id)));
	return error;
}

/* All or nothing, but a record that is committed. */
static void
run_recorded(QueryJob *run)
{
	PG_TRY();
	{
		record_running(run);
		read_one_moment();
		query_step(run, begin_step);
		inline_run(&run->files, write_and_publish_rows, run);
		run->files.root->driver->close(run->files.root);
	}
	PG_CATCH();
	{
		if (!run->recorded)
			PG_RE_THROW();
		ReThrowError(remove_record(run));
	}
	PG_END_TRY();
}

void
run_query(Job *job, const List *tables)
{
	QueryJob *run = palloc0_object(QueryJob);

	run->job = job;
	run->tables = tables;
	run->files.job = job;
	run->memory = CurrentMemoryContext;
	PG_TRY();
	{
		run_recorded(run);
		/* DROP EXTENSION may be waiting */
		tell_result(job->id);
		job_unlock_tables();
	}
	PG_FINALLY();
	{
		if (run->locked)
			job_lock_release(job->id);
	}
	PG_END_TRY();
}
