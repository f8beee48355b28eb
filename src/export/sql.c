/*
 * sql.c
 *		What users call: exports, resume, cancel, forget.
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/builtins.h"

#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/plan/source.h"
#include "export/plan/plan.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/run/run.h"
#include "compat.h"
#include "export/arguments.h"
#include "export/job/job_access.h"
#include "export/run/launch.h"

PG_FUNCTION_INFO_V1(outflow_export);
PG_FUNCTION_INFO_V1(outflow_export_start);
PG_FUNCTION_INFO_V1(outflow_export_tables);
PG_FUNCTION_INFO_V1(outflow_export_tables_start);
PG_FUNCTION_INFO_V1(outflow_export_schema);
PG_FUNCTION_INFO_V1(outflow_export_schema_start);
PG_FUNCTION_INFO_V1(outflow_export_publication);
PG_FUNCTION_INFO_V1(outflow_export_publication_start);
PG_FUNCTION_INFO_V1(outflow_resume);
PG_FUNCTION_INFO_V1(outflow_resume_start);
PG_FUNCTION_INFO_V1(outflow_cancel);
PG_FUNCTION_INFO_V1(outflow_forget);
PG_FUNCTION_INFO_V1(outflow_job_state);
PGDLLEXPORT Datum outflow_export(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_tables(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_tables_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_schema(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_schema_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_publication(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_publication_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_resume(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_resume_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_cancel(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_forget(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_job_state(PG_FUNCTION_ARGS);

/* A procedure that waits must be able to end transactions. */
static void
require_nonatomic(FunctionCallInfo fcinfo, const char *name, const char *start)
{
	if (fcinfo->context && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
		 errmsg("CALL outflow.%s cannot run inside a transaction block", name),
		 errdetail("A job is seen by its background workers only when its "
				   "record has been committed."),
		 errhint("Inside a transaction, use SELECT outflow.%s(...), which "
				 "starts the job when the transaction commits.",
				 start)));
}

/* The job runs as the caller, later and elsewhere. */
static void
check_caller(void)
{
	if (InLocalUserIdChange() || InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot create an export job within a "
						"security-restricted operation or a SECURITY DEFINER "
						"function")));
	rights_check_owner(GetUserId());
}

/* Early errors: the place itself, who else uses it, what it holds. */
static void
check_destination(Job *job)
{
	Destination *root;

	destination_check_rights(job->destination);
	job->location = destination_locate(job);
	destination_check_free(job, false);
	/* the job makes it, with its owner's rights and settings */
	root = destination_open(job, DESTINATION_PROBE);
	if (root == NULL)
		return;
	/* what is open can't be exchanged any more */
	job->location = pstrdup(root->location);
	destination_check_empty(root, job, true);
	root->driver->check_writable(root);
	root->driver->close(root);
}

static Datum
return_job(FunctionCallInfo fcinfo, int64 id)
{
	TupleDesc desc;
	Datum	  value = Int64GetDatum(id);
	bool	  is_null = false;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(desc), &value, &is_null));
}

/* start is what a transaction must call instead of name */
static int64
export_and_wait(FunctionCallInfo fcinfo, SetSources set_sources,
				const char *name, const char *start)
{
	Job	 *job;
	int64 id;

	arguments_refuse_secrets(fcinfo);
	job_check_may_write(name);
	require_nonatomic(fcinfo, name, start);
	check_caller();
	rights_check_server();
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	job = job_from_arguments(fcinfo, set_sources);
	if (job->workers > 0)
		launch_check_room();
	check_destination(job);
	if (job->workers == 0)
		run_inline(job);
	else
	{
		job_insert(job);
		SPI_commit();
		wait_for_job(job->id);
	}
	id = job->id;
	SPI_finish();
	return id;
}

static int64
export_later(FunctionCallInfo fcinfo, SetSources set_sources)
{
	Job *job;

	arguments_refuse_secrets(fcinfo);
	check_caller();
	rights_check_server();
	job = job_from_arguments(fcinfo, set_sources);
	if (job->workers == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an export that nobody waits for needs workers")));
	launch_check_room();
	queue_check_room(job->owner);
	check_destination(job);
	job_insert(job);
	queue_start_at_commit(job->id, job->owner);
	return job->id;
}

Datum
outflow_export(PG_FUNCTION_ARGS)
{
	return return_job(fcinfo, export_and_wait(fcinfo, arguments_set_source,
											  "export", "export_start"));
}

Datum
outflow_export_start(PG_FUNCTION_ARGS)
{
	job_check_may_write("export_start");
	PG_RETURN_INT64(export_later(fcinfo, arguments_set_source));
}

Datum
outflow_export_tables(PG_FUNCTION_ARGS)
{
	return return_job(fcinfo,
					  export_and_wait(arguments_of_many(fcinfo),
									  arguments_set_tables, "export_tables",
									  "export_tables_start"));
}

Datum
outflow_export_tables_start(PG_FUNCTION_ARGS)
{
	job_check_may_write("export_tables_start");
	PG_RETURN_INT64(
		export_later(arguments_of_many(fcinfo), arguments_set_tables));
}

Datum
outflow_export_schema(PG_FUNCTION_ARGS)
{
	return return_job(fcinfo,
					  export_and_wait(arguments_of_many(fcinfo),
									  arguments_set_schema, "export_schema",
									  "export_schema_start"));
}

Datum
outflow_export_schema_start(PG_FUNCTION_ARGS)
{
	job_check_may_write("export_schema_start");
	PG_RETURN_INT64(
		export_later(arguments_of_many(fcinfo), arguments_set_schema));
}

Datum
outflow_export_publication(PG_FUNCTION_ARGS)
{
	return return_job(fcinfo, export_and_wait(arguments_of_many(fcinfo),
											  arguments_set_publication,
											  "export_publication",
											  "export_publication_start"));
}

Datum
outflow_export_publication_start(PG_FUNCTION_ARGS)
{
	job_check_may_write("export_publication_start");
	PG_RETURN_INT64(
		export_later(arguments_of_many(fcinfo), arguments_set_publication));
}

/* Whether the lock's holder is a call at work, and not the job itself. */
static bool
is_call(int pid)
{
	PGPROC *proc = pid ? BackendPidGetProc(pid) : NULL;

	return proc && !proc_is_background_worker(proc);
}

/* The job's lock is not to be had. */
static void
report_busy(int64 id)
{
	int pid = job_holder(id);

	if (is_call(pid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("export job " INT64_FORMAT
						" is being changed by another call",
						id),
				 errdetail("Process %d has not ended its transaction.", pid)));
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_IN_USE),
		 errmsg("export job " INT64_FORMAT " is running", id),
		 errhint("SELECT outflow.cancel(" INT64_FORMAT ") stops it.", id)));
}

/* Puts a job that is not running back into the queue. */
static Job *
requeue(int64 id)
{
	Job *job = job_load_own(id, false);

	rights_check_server();
	destination_check_rights(job->destination);
	rights_check_owner(job->owner);
	launch_check_room();
	if (job->state == JOB_DONE)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("export job " INT64_FORMAT " is done", id)));
	if (!job_lock_exclude(id))
		report_busy(id);
	/* what it was before the lock may have changed */
	job = job_load_own(id, true);
	if (job->state != JOB_DONE && job->state != JOB_QUEUED)
		job_set_state(id, JOB_QUEUED, NULL);
	return job;
}

Datum
outflow_resume(PG_FUNCTION_ARGS)
{
	int64 id;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"job\" must not be null")));
	id = PG_GETARG_INT64(0);
	job_check_may_write("resume");
	require_nonatomic(fcinfo, "resume", "resume_start");
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) requeue(id);
	SPI_commit();
	wait_for_job(id);
	SPI_finish();
	PG_RETURN_VOID();
}

Datum
outflow_resume_start(PG_FUNCTION_ARGS)
{
	Job *job;

	job_check_may_write("resume_start");
	queue_check_room(job_load_own(PG_GETARG_INT64(0), false)->owner);
	job = requeue(PG_GETARG_INT64(0));
	queue_start_at_commit(job->id, job->owner);
	PG_RETURN_INT64(job->id);
}

Datum
outflow_cancel(PG_FUNCTION_ARGS)
{
	int64 id = PG_GETARG_INT64(0);
	Job	 *job;
	int	  pid;

	job_check_may_write("cancel");
	job = job_load_own(id, false);
	if (job->state == JOB_QUEUED && job_lock_exclude(id))
	{
		job = job_load_own(id, true);
		if (job->state != JOB_QUEUED)
			PG_RETURN_BOOL(false);
		job_set_state(id, JOB_INTERRUPTED, NULL);
		PG_RETURN_BOOL(true);
	}
	pid = job_holder(id);
	if (pid != MyProcPid && is_call(pid))
		report_busy(id);
	if (pid == 0 || pid == MyProcPid)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(kill(pid, SIGTERM) == 0);
}

/*
 * The files first: a record without files is harmless, the reverse is not.
 * A finished job has none that are its own, and neither has one whose hidden
 * directory is gone: that went last.
 */
static void
remove_files(Job *job)
{
	Destination *root;

	if (job->state == JOB_DONE)
		return;
	job_derive(job);
	root = destination_open_known(job->location, true);
	if (root == NULL)
		return;
	if (ownership_open(job, root, false))
	{
		if (job->publishing)
			publish_undo(job, parts_load(job->id), root);
		root->driver->discard(root);
	}
	else if (job->publishing)
		ereport(NOTICE, (errmsg("files in \"%s\" stay", job->location),
						 errdetail("The job had finished there, or its hidden "
								   "directory was removed.")));
	root->driver->close(root);
}

Datum
outflow_forget(PG_FUNCTION_ARGS)
{
	int64 id = PG_GETARG_INT64(0);
	Job	 *job;
	bool  with_slot;

	job_check_may_write("forget");
	(void) job_load_own(id, false);
	if (!job_lock_exclude(id))
		report_busy(id);
	job = job_load_own(id, true);
	with_slot = handover_may_forget(job);
	remove_files(job);
	if (with_slot)
		handover_forget(job);
	job_delete(id);
	PG_RETURN_VOID();
}

/*
 * What a row's state means now.  The row may be older than the lock's state,
 * so a "running" one without its lock is read again.
 */
Datum
outflow_job_state(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	const char *running = job_state_names[JOB_RUNNING];
	Job		   *job;

	if (strcmp(text_to_cstring(PG_GETARG_TEXT_PP(1)), running) != 0 ||
		RecoveryInProgress() || job_is_live(id))
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	job = job_load(id, false);
	if (job == NULL)
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	if (job->state == JOB_RUNNING)
		job->state = JOB_INTERRUPTED;
	PG_RETURN_TEXT_P(cstring_to_text(job_state_names[job->state]));
}
