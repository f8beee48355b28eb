/*
 * lake_sql.c
 *		What users ask of a lake table: its versions, and room.
 *
 * A vacuum removes files that no version within retention has.  Only those go
 * that a job of this database wrote: their names have its uuid, and a version of
 * the table says so too.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "export/export_destination.h"
#include "export/job/job.h"
#include "export/job/job_access.h"
#include "export/lake/delta_log.h"
#include "export/lake/lake.h"

PG_FUNCTION_INFO_V1(outflow_lake_versions);
PG_FUNCTION_INFO_V1(outflow_lake_vacuum);
PGDLLEXPORT Datum outflow_lake_versions(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_lake_vacuum(PG_FUNCTION_ARGS);

#define EPOCH_USECS ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static Destination *
open_directory(const Job *job)
{
	destination_check_kind(job->destination);
	destination_check_rights(job->destination);
	return destination_open(job, DESTINATION_EXISTING);
}

static DeltaLog *
read_table(const Job *job, Destination *root)
{
	DeltaLog *log = delta_log_read(root, "", true);

	if (log->last < 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("there is no lake table in \"%s\"",
							   job->destination)));
	return log;
}

/* Sets the value, or null for none. */
static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	values[column] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
put_version(ReturnSetInfo *result, const DeltaVersion *version)
{
	Datum values[10];
	bool  nulls[10] = {false};

	values[0] = Int64GetDatum(version->version);
	values[1] = TimestampTzGetDatum(version->timestamp * 1000 - EPOCH_USECS);
	nulls[1] = version->timestamp == 0;
	set_text(values, nulls, 2, version->operation);
	set_text(values, nulls, 3, version->engine);
	values[4] = Int64GetDatum(version->job);
	nulls[4] = version->job == 0;
	set_text(values, nulls, 5, version->snapshot);
	nulls[6] = version->lsn == NULL;
	values[6] = nulls[6] ? (Datum) 0
						 : DirectFunctionCall1(pg_lsn_in,
											   CStringGetDatum(version->lsn));
	values[7] = Int64GetDatum(version->rows);
	nulls[7] = version->job == 0;
	values[8] = Int64GetDatum(version->added);
	values[9] = Int64GetDatum(version->removed);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* outflow.lake_versions(destination) */
Datum
outflow_lake_versions(PG_FUNCTION_ARGS)
{
	Job			 job = {.destination = text_to_cstring(PG_GETARG_TEXT_PP(0))};
	DeltaLog	*log;
	Destination *root;
	ListCell	*cell;

	InitMaterializedSRF(fcinfo, 0);
	root = open_directory(&job);
	log = read_table(&job, root);
	foreach (cell, log->versions)
	{
		CHECK_FOR_INTERRUPTS();
		put_version((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	}
	root->driver->close(root);
	return (Datum) 0;
}

/* ---- vacuum */

/* Nobody else may be at it, nor begin before this transaction ends. */
static void
lock_table(const Job *job, const Destination *root)
{
	int64 other = job_at_location(root->location, 0, false);

	if (other != 0 || !job_lock_location(root->location))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("destination \"%s\" is in use", job->destination),
				 other ? errdetail("Export job " INT64_FORMAT
								   " is not done with it.",
								   other)
					   : errdetail("Another call is at it.")));
}

/* "part-000012-UUID.parquet" of a version that this database committed */
static bool
is_of_this_database(const DeltaLog *log, const char *path)
{
	const char *uuid = path + strcspn(path, "0123456789");
	ListCell   *cell;

	uuid += strspn(uuid, "0123456789");
	if (strncmp(path, "part-", 5) != 0 || *uuid++ != '-' ||
		!destination_name_is_valid(path))
		return false;
	foreach (cell, log->versions)
	{
		DeltaVersion *version = lfirst(cell);

		if (version->uuid && delta_is_of_this_database(version) &&
			strncmp(uuid, version->uuid, strlen(version->uuid)) == 0 &&
			strcmp(uuid + strlen(version->uuid), ".parquet") == 0)
			return true;
	}
	return false;
}

/*
 * Removes what the table had before the limit only.  A file's newest removal
 * counts, since others may have restored an older version.
 */
static void
remove_older_than(TimestampTz limit, const DeltaLog *log, Destination *root,
				  ReturnSetInfo *result)
{
	HTAB *seen = delta_path_set();

	for (int i = list_length(log->removed) - 1; i >= 0; i--)
	{
		DeltaRemoved *removed = list_nth(log->removed, i);
		Datum		  values[2];
		bool		  nulls[2] = {false};
		bool		  found;

		CHECK_FOR_INTERRUPTS();
		if (!is_of_this_database(log, removed->path))
			continue;
		(void) hash_search(seen, removed->path, HASH_ENTER, &found);
		if (found || removed->timestamp * 1000 - EPOCH_USECS >= limit ||
			hash_search(log->files, removed->path, HASH_FIND, NULL) ||
			!root->driver->remove(root, removed->path))
			continue;
		values[0] = CStringGetTextDatum(removed->path);
		values[1] = Int64GetDatum(removed->size);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
}

/* outflow.lake_vacuum(destination, retention): the files that were removed */
Datum
outflow_lake_vacuum(PG_FUNCTION_ARGS)
{
	Job			 job = {.destination = text_to_cstring(PG_GETARG_TEXT_PP(0))};
	TimestampTz	 limit = DatumGetTimestampTz(DirectFunctionCall2(
		 timestamptz_mi_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
		 PG_GETARG_DATUM(1)));
	DeltaLog	*log;
	Destination *root;

	job_check_may_write("lake_vacuum");
	rights_check_server();
	if (limit > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"retention\" must not be negative")));
	InitMaterializedSRF(fcinfo, 0);
	root = open_directory(&job);
	lock_table(&job, root);
	log = read_table(&job, root);
	if (log->is_foreign)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the Delta table in \"%s\" has features that exports "
						"do not write",
						job.destination),
				 errhint("Use the vacuum of what has written to it since.")));
	remove_older_than(limit, log, root, (ReturnSetInfo *) fcinfo->resultinfo);
	root->driver->sync(root, "");
	root->driver->close(root);
	return (Datum) 0;
}
