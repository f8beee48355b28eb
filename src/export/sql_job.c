/*
 * sql_job.c
 *		What users call for a job that there is: resume, cancel, forget.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/job/job.h"
#include "export/job/job_access.h"
#include "export/job/part_table.h"
#include "export/plan/plan.h"
#include "export/plan/query.h"
#include "export/run/call.h"
#include "export/run/launch.h"
#include "export/run/run.h"
#include "export/sql.h"

PG_FUNCTION_INFO_V1(outflow_resume);
PG_FUNCTION_INFO_V1(outflow_resume_start);
PG_FUNCTION_INFO_V1(outflow_cancel);
PG_FUNCTION_INFO_V1(outflow_forget);
PG_FUNCTION_INFO_V1(outflow_job_state);
PG_FUNCTION_INFO_V1(outflow_job_slot);
PGDLLEXPORT Datum outflow_resume(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_resume_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_cancel(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_forget(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_job_state(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_job_slot(PG_FUNCTION_ARGS);

/* The job's lock is not to be had. */
static void
report_busy(int64 id)
{
	int pid = job_changer(id);

	if (pid != 0)
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

	if (job_is_query(job) && job->state != JOB_DONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("export job " INT64_FORMAT " cannot be resumed", id),
				 errdetail("It exports a query, which can only be run again "
						   "from its start."),
				 errhint("SELECT outflow.forget(" INT64_FORMAT
						 "), then CALL outflow.export_query again.",
						 id)));
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
	job_set_server(id);
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
	sql_require_nonatomic(fcinfo, "resume", "resume_start");
	call_connect();
	(void) requeue(id);
	call_commit_to_record();
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
	pid = job_changer(id);
	if (pid != 0 && pid != MyProcPid)
		report_busy(id);
	if (!job_is_query(job))
		PG_RETURN_BOOL(job_terminate(id));
	pid = job_runner(id);
	if (pid == 0 || pid == MyProcPid || job->state != JOB_RUNNING)
		PG_RETURN_BOOL(false);
	/* the session in CALL is the job; its statement ends, and it lives on */
	PG_RETURN_BOOL(kill(pid, SIGINT) == 0);
}

/* A store may yet do what was the job's last step: readers would take it for an
 * export without rows. */
static void
tell_late(const Job *job, Destination *root)
{
	const DestinationDriver *driver = root->driver;
	uint64					 size;

	if (driver->wrapper == NULL || driver->tables || job_makes_tables(job) ||
		!older_is_job(root, "", job) ||
		driver->stat(root, PUBLISH_SUCCESS, &size, NULL))
		return;
	ereport(NOTICE,
			(errmsg("file \"%s\" may still appear in \"%s\"", PUBLISH_SUCCESS,
					root->path),
			 errdetail("The export may have sent it at last, and a store may "
					   "carry out what nobody waits for any more."),
			 errhint("Look there in some minutes, and remove it.")));
}

/*
 * The files first: a record without files is harmless, the reverse is not.
 * A finished job has none that are its own, and neither has one whose hidden
 * directory is gone: that went last.
 */
static void
sql_remove_files(Job *job)
{
	Destination *root;

	if (job->state == JOB_DONE)
	{
		publish_release(job);
		return;
	}
	job_derive(job);
	root = destination_open_known(job, true);
	if (root == NULL)
		return;
	if (ownership_open(job, root, false))
	{
		if (job->publishing)
		{
			tell_late(job, root);
			publish_undo(job, parts_load(job->id), root);
		}
		root->driver->discard(root);
	}
	else if (destination_keeps_tables(job->location))
	{
		/* before there was a plan, nothing was staged */
		if (job->parts_total >= 0)
			publish_tell_staged(job);
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
	if (PG_GETARG_BOOL(1))
		publish_abandon(job);
	else
		sql_remove_files(job);
	if (with_slot)
		handover_forget(job);
	job_delete(id);
	PG_RETURN_VOID();
}

/* What a row's state means now. */
Datum
outflow_job_state(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	const char *running = job_state_names[JOB_RUNNING];
	Job		   *job;

	if (strcmp(text_to_cstring(PG_GETARG_TEXT_PP(1)), running) != 0 ||
		RecoveryInProgress() || job_is_live(id))
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	job = job_load_now(id);
	if (job == NULL)
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	PG_RETURN_TEXT_P(cstring_to_text(job_state_names[job->state]));
}

/* The slot of the caller's finished job, as the job left it. */
Datum
outflow_job_slot(PG_FUNCTION_ARGS)
{
	int64 id = PG_GETARG_INT64(0);
	Job	 *job = job_load_own(id, false);

	/* which has not the primary's slots */
	if (RecoveryInProgress())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("a standby does not have the slot of export "
							   "job " INT64_FORMAT,
							   id),
						errhint("Call it on the primary server.")));
	if (job->state != JOB_DONE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("export job " INT64_FORMAT " is not done", id)));
	if (job->slot == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("export job " INT64_FORMAT " has no replication slot", id),
			 errhint("Export with the argument \"slot\".")));
	if (!handover_holds(job))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "replication slot \"%s\" is not as export job " INT64_FORMAT
				 " left it",
				 job->slot, id),
			 errdetail("It was dropped, has lost its WAL, or has been "
					   "consumed from since.")));
	PG_RETURN_NAME(
		DatumGetName(DirectFunctionCall1(namein, CStringGetDatum(job->slot))));
}
