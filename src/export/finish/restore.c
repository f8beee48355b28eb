/*
 * restore.c
 *		What outflow.restore_script() has to know of a job.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/tuplestore.h"

#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/plan/query.h"

PG_FUNCTION_INFO_V1(outflow_restore_manifests);
PGDLLEXPORT Datum outflow_restore_manifests(PG_FUNCTION_ARGS);

/*
 * One row for each table of a finished job of the caller's: its manifest, and
 * the directory that the names of files in it are relative to.
 */
Datum
outflow_restore_manifests(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Job			  *job = job_load_own(PG_GETARG_INT64(0), false);
	List		  *parts;
	ListCell	  *cell;

	if (job->state != JOB_DONE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("export job " INT64_FORMAT " is not done", job->id)));
	if (destination_keeps_tables(job->location))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("export job " INT64_FORMAT " has no files to restore "
						"from",
						job->id),
				 errdetail("Its rows are in tables.")));
	if (job_is_query(job))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("export job " INT64_FORMAT " has no table to restore",
						job->id),
				 errdetail("It exported a query.")));
	job_derive(job);
	parts = parts_load(job->id);
	InitMaterializedSRF(fcinfo, 0);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		char	  *manifest = manifest_build(
				 job, source, parts_of_source(parts, source->number));
		Datum values[3];
		bool  nulls[3] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = ObjectIdGetDatum(source->relid);
		values[1] = CStringGetTextDatum(
			psprintf("%s/%s%s", job->location, source->folder,
					 source->folder[0] ? "/" : ""));
		values[2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(manifest));
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
