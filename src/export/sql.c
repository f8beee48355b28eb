/*
 * sql.c
 *		What users call to begin an export.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"

#include "export/arguments.h"
#include "export/export_destination.h"
#include "export/job/job.h"
#include "export/job/job_access.h"
#include "export/lake/lake.h"
#include "export/plan/plan.h"
#include "export/plan/query.h"
#include "export/run/call.h"
#include "export/run/launch.h"
#include "export/run/run.h"
#include "export/sql.h"
#include "export/take_over.h"

PG_FUNCTION_INFO_V1(outflow_export);
PG_FUNCTION_INFO_V1(outflow_export_start);
PG_FUNCTION_INFO_V1(outflow_export_query);
PG_FUNCTION_INFO_V1(outflow_export_tables);
PG_FUNCTION_INFO_V1(outflow_export_tables_start);
PG_FUNCTION_INFO_V1(outflow_export_schema);
PG_FUNCTION_INFO_V1(outflow_export_schema_start);
PG_FUNCTION_INFO_V1(outflow_export_publication);
PG_FUNCTION_INFO_V1(outflow_export_publication_start);
PGDLLEXPORT Datum outflow_export(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_query(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_tables(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_tables_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_schema(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_schema_start(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_publication(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_export_publication_start(PG_FUNCTION_ARGS);

void
sql_require_nonatomic(FunctionCallInfo fcinfo, const char *name,
					  const char *start)
{
	if (fcinfo->context && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic)
		return;
	if (start == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("CALL outflow.%s cannot run inside a transaction "
						"block",
						name),
				 errdetail("Its record is committed before the export "
						   "begins, and once more when it has ended.")));
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
	if (job_is_query(job) && destination_keeps_tables(job->location))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot export a query to a table"),
						errhint("Export it to files, or make a table or a "
								"materialized view of it and export that.")));
	destination_check_free(job, false);
	/* the job makes it, with its owner's rights and settings */
	root = destination_open(job, DESTINATION_PROBE);
	destination_choose_form(job, root);
	if (root == NULL)
	{
		lake_check_new(job);
		return;
	}
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

/* What an unfinished job may have or be, if that was in the way. */
static void
settle(Job *job)
{
	if (job->slot)
		handover_check(job);
	arguments_choose_base(job);
	check_destination(job);
}

static void
wait_committed(int64 id)
{
	call_commit_to_record();
	wait_for_job(id);
}

static int64
run_and_wait(Job *job)
{
	settle(job);
	if (job->workers == 0)
		run_inline(job);
	else
	{
		job_insert(job);
		wait_committed(job->id);
	}
	return job->id;
}

/* start is what a transaction must call instead of name */
static int64
export_and_wait(FunctionCallInfo fcinfo, SetSources set_sources,
				const char *name, const char *start)
{
	TakeOver taken;
	Job		*job;
	int64	 id;

	arguments_refuse_secrets(fcinfo);
	job_check_may_write(name);
	sql_require_nonatomic(fcinfo, name, start);
	check_caller();
	rights_check_server();
	call_connect();
	for (;;)
	{
		job = job_from_arguments(fcinfo, set_sources);
		if (job->workers > 0)
			launch_check_room();
		taken = take_over(job, true, &id);
		if (taken == TAKE_NOTHING)
			id = run_and_wait(job);
		else if (taken != TAKE_AWAY)
			wait_committed(id);
		if (taken == TAKE_NOTHING || taken == TAKE_ON)
			break;
		/* what is away stays away, and tables may have changed */
		call_begin_anew();
	}
	SPI_finish();
	return id;
}

static int64
export_later(FunctionCallInfo fcinfo, SetSources set_sources, const char *name)
{
	TakeOver taken;
	Job		*job;
	int64	 id;

	arguments_refuse_secrets(fcinfo);
	job_check_may_write(name);
	check_caller();
	rights_check_server();
	job = job_from_arguments(fcinfo, set_sources);
	if (job->workers == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an export that nobody waits for needs workers")));
	launch_check_room();
	queue_check_room(job->owner);
	do
		taken = take_over(job, false, &id);
	while (taken == TAKE_AWAY);
	if (taken == TAKE_NOTHING)
	{
		settle(job);
		id = job_insert(job);
	}
	queue_start_at_commit(id, job->owner);
	return id;
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
	PG_RETURN_INT64(
		export_later(fcinfo, arguments_set_source, "export_start"));
}

Datum
outflow_export_query(PG_FUNCTION_ARGS)
{
	FunctionCallInfo arguments = arguments_of_query(fcinfo);
	List			*tables;
	Job				*job;
	int64			 id;

	arguments_refuse_secrets(arguments);
	arguments_refuse_secret_query(arguments);
	job_check_may_write("export_query");
	sql_require_nonatomic(fcinfo, "export_query", NULL);
	check_caller();
	rights_check_server();
	call_connect();
	job = job_from_query(arguments, &tables);
	check_destination(job);
	run_query(job, tables);
	id = job->id;
	SPI_finish();
	return return_job(fcinfo, id);
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
	PG_RETURN_INT64(export_later(arguments_of_many(fcinfo),
								 arguments_set_tables, "export_tables_start"));
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
	PG_RETURN_INT64(export_later(arguments_of_many(fcinfo),
								 arguments_set_schema, "export_schema_start"));
}

Datum
outflow_export_publication(PG_FUNCTION_ARGS)
{
	arguments_refuse_secret_publication(fcinfo);
	return return_job(fcinfo, export_and_wait(arguments_of_many(fcinfo),
											  arguments_set_publication,
											  "export_publication",
											  "export_publication_start"));
}

Datum
outflow_export_publication_start(PG_FUNCTION_ARGS)
{
	arguments_refuse_secret_publication(fcinfo);
	PG_RETURN_INT64(export_later(arguments_of_many(fcinfo),
								 arguments_set_publication,
								 "export_publication_start"));
}
