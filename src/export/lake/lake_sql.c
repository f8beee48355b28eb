/*
 * lake_sql.c
 *		What users ask of a lake table: its versions, and room.
 *
 * A vacuum removes files that no version within retention has.  Only those go
 * that a job of this database and server wrote: their names have its uuid, and a
 * version of the table says so too.
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
#include "export/lake/lake.h"
#include "export/lake/lake_catalog.h"
#include "export/lake/lake_table.h"
#include "option.h"

PG_FUNCTION_INFO_V1(outflow_lake_versions);
PG_FUNCTION_INFO_V1(outflow_lake_vacuum);
PGDLLEXPORT Datum outflow_lake_versions(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_lake_vacuum(PG_FUNCTION_ARGS);

/* Nobody else may be at it, nor begin before this transaction ends. */
static void
lock_table(const Job *job, const Destination *root)
{
	bool  locked = job_lock_location(root->location);
	int64 other = job_at_location(root->location, 0, false);

	if (other != 0 || !locked)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("destination \"%s\" is in use", job->destination),
				 other ? errdetail("Export job " INT64_FORMAT
								   " is not done with it.",
								   other)
					   : errdetail("Another call is at it."),
				 other ? errhint("Finish that job, or cancel and forget it.")
					   : 0));
}

/* What a copy of the server would remove, the server itself may need. */
static void
check_vacuum(const LakeFormat *format, const LakeTable *table,
			 const char *destination)
{
	const LakeVersion *last = lake_last_change(table);

	lake_check_features(format, table, destination,
						_("Use the vacuum of what has written to it since."));
	if (last && lake_is_of_a_copy(last))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version " INT64_FORMAT
						" of the %s table in \"%s\" is not this server's",
						last->version, format->name, destination),
				 errdetail("%s", lake_describe_version(last)),
				 errhint("Vacuum it there.")));
}

typedef struct OpenTable
{
	Destination		 *root;
	const LakeFormat *format;
	LakeTable		 *table;
} OpenTable;

/* catalog: that the table is in, "" for none */
static OpenTable
open_table(Job *job, const text *catalog, bool to_change)
{
	OpenTable open;

	destination_check_kind(job->destination);
	destination_check_rights(job->destination);
	open.root = destination_open(job, DESTINATION_EXISTING);
	/* before it is read: what is to change may not change meanwhile */
	if (to_change)
		lock_table(job, open.root);
	if (VARSIZE_ANY_EXHDR(catalog) > 0)
		lake_catalog_attach_table(open.root, text_to_cstring(catalog));
	open.format = lake_find(open.root, "", &open.table);
	if (open.format == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("there is no lake table in \"%s\"",
							   job->destination)));
	if (to_change)
		open.table =
			lake_when_settled(open.format, open.root, open.table, true);
	return open;
}

/* Sets the value, or null for none. */
static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	values[column] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

/* Anything may be written there. */
static bool
is_lsn(const char *text)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	size_t			  high = strspn(text, hex);
	size_t			  low;

	if (high < 1 || high > 8 || text[high] != '/')
		return false;
	low = strspn(text + high + 1, hex);
	return low >= 1 && low <= 8 && text[high + 1 + low] == '\0';
}

/* In milliseconds since 1970; 0 is none. */
static bool
is_time(int64 milliseconds)
{
	return milliseconds > 0 && milliseconds <= PG_INT64_MAX / 1000 &&
		   IS_VALID_TIMESTAMP(lake_timestamp(milliseconds));
}

static void
put_version(ReturnSetInfo *result, const LakeVersion *version)
{
	Datum values[10];
	bool  nulls[10] = {false};

	values[0] = Int64GetDatum(version->version);
	nulls[1] = !is_time(version->timestamp);
	values[1] = nulls[1]
					? (Datum) 0
					: TimestampTzGetDatum(lake_timestamp(version->timestamp));
	set_text(values, nulls, 2, version->operation);
	set_text(values, nulls, 3, version->engine);
	values[4] = Int64GetDatum(version->job);
	nulls[4] = version->job == 0;
	set_text(values, nulls, 5, version->snapshot);
	nulls[6] = version->lsn == NULL || !is_lsn(version->lsn);
	values[6] = nulls[6] ? (Datum) 0
						 : DirectFunctionCall1(pg_lsn_in,
											   CStringGetDatum(version->lsn));
	values[7] = Int64GetDatum(version->rows);
	nulls[7] = version->job == 0;
	values[8] = Int64GetDatum(version->added);
	values[9] = Int64GetDatum(version->removed);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* outflow.lake_versions(destination, catalog) */
Datum
outflow_lake_versions(PG_FUNCTION_ARGS)
{
	Job		  job = {.destination = text_to_cstring(PG_GETARG_TEXT_PP(0))};
	OpenTable open;
	ListCell *cell;

	option_refuse_secret_argument(fcinfo, 0, "destination");
	option_refuse_secret_argument(fcinfo, 1, "catalog");
	InitMaterializedSRF(fcinfo, 0);
	open = open_table(&job, PG_GETARG_TEXT_PP(1), false);
	foreach (cell, open.table->versions)
	{
		CHECK_FOR_INTERRUPTS();
		put_version((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	}
	open.root->driver->close(open.root);
	return (Datum) 0;
}

/* ---- vacuum */

static void
put_removed(void *arg, const char *file, int64 bytes)
{
	ReturnSetInfo *result = arg;
	Datum values[2] = {CStringGetTextDatum(file), Int64GetDatum(bytes)};
	bool  nulls[2] = {false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* outflow.lake_vacuum(destination, retention, catalog): the files that were
 * removed */
Datum
outflow_lake_vacuum(PG_FUNCTION_ARGS)
{
	Job			job = {.destination = text_to_cstring(PG_GETARG_TEXT_PP(0))};
	TimestampTz limit;
	OpenTable	open;

	option_refuse_secret_argument(fcinfo, 0, "destination");
	option_refuse_secret_argument(fcinfo, 2, "catalog");
	job_check_may_write("lake_vacuum");
	rights_check_server();
	limit = DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_mi_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
		PG_GETARG_DATUM(1)));
	if (limit > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"retention\" must not be negative")));
	InitMaterializedSRF(fcinfo, 0);
	open = open_table(&job, PG_GETARG_TEXT_PP(2), true);
	check_vacuum(open.format, open.table, job.destination);
	open.format->vacuum(open.root, open.table, lake_milliseconds(limit),
						put_removed, fcinfo->resultinfo);
	open.root->driver->sync(open.root, "");
	open.root->driver->close(open.root);
	return (Datum) 0;
}
