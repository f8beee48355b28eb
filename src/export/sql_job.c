/*
 * sql_job.c
 *		What users call for a job that there is: resume, cancel, forget.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "export/job/job.h"
#include "export/job/job_access.h"
#include "export/plan/plan.h"
#include "export/plan/query.h"
#include "export/run/call.h"
#include "export/run/run.h"
#include "export/sql.h"
#include "export/unfinished.h"
#include "option.h"

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
	(void) unfinished_requeue(id);
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
	job = unfinished_requeue(PG_GETARG_INT64(0));
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
		queue_start_unless_committed(id, job->owner);
		job_set_state(id, JOB_INTERRUPTED, NULL);
		PG_RETURN_BOOL(true);
	}
	if (job_is_changed(id, &pid) && pid != MyProcPid)
		unfinished_report_busy(id);
	if (!job_is_query(job))
		PG_RETURN_BOOL(job_terminate(id));
	pid = job_runner(id);
	if (pid == 0 || pid == MyProcPid || job->state != JOB_RUNNING)
		PG_RETURN_BOOL(false);
	/* the session in CALL is the job; its statement ends, and it lives on */
	PG_RETURN_BOOL(kill(pid, SIGINT) == 0);
}

Datum
outflow_forget(PG_FUNCTION_ARGS)
{
	int64 id = PG_GETARG_INT64(0);
	Job	 *job;
	bool  is_free;

	job_check_may_write("forget");
	(void) job_load_own(id, false);
	if (!job_lock_exclude(id))
		unfinished_report_busy(id);
	is_free = job_lock_record(id);
	job = job_load_own(id, false);
	if (!is_free)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("export job " INT64_FORMAT " is in use", id),
				 errdetail("A transaction in progress takes it as a base."),
				 errhint("Try again when that has ended.")));
	if (job->state == JOB_QUEUED)
		queue_start_unless_committed(id, job->owner);
	unfinished_forget(job, PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}

/*
 * What a row's state means now, to who sees the row in outflow.jobs.  To others
 * it stays as they say that it is, for the view may ask before it looks whose
 * the job is.
 */
Datum
outflow_job_state(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	const char *running = job_state_names[JOB_RUNNING];
	Job		   *job;

	if (strcmp(text_to_cstring(PG_GETARG_TEXT_PP(1)), running) != 0 ||
		RecoveryInProgress())
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	job = job_load_now(id);
	if (job == NULL || !(has_privs_of_role(GetUserId(), job->owner) ||
						 has_privs_of_role(GetUserId(), ROLE_PG_MONITOR)))
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	PG_RETURN_TEXT_P(cstring_to_text(job_state_names[job->state]));
}

/*
 * The slot of the caller's finished job, as the job left it.  The other argument
 * is the caller's own, in which a secret is refused.
 */
Datum
outflow_job_slot(PG_FUNCTION_ARGS)
{
	int64 id = PG_GETARG_INT64(0);
	Job	 *job;

	option_refuse_secret_name(fcinfo, 1, "slot");
	job = job_load_own(id, false);
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
