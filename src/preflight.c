/*
 * preflight.c
 *		The facts that outflow.preflight() can't learn from SQL: which library
 *		the server has loaded, and how much room the file systems have that
 *		slots and exports fill.
 *
 * What can't be told is NULL; nothing here fails because of a file system.
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "access/htup_details.h"
#include "access/xlog_internal.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "limit.h"
#include "row/mask.h"

/* the columns of outflow_internal.preflight_library() */
typedef enum FactColumn
{
	FACT_VERSION,
	FACT_UNREADABLE_LIMIT,
	FACT_SHOWS_ROOM,
	FACT_WAL_FREE,
	FACT_WAL_TOTAL,
	FACT_ROOT_FREE,
	FACT_ROOT_TOTAL,
	FACT_COLUMNS
} FactColumn;

PG_FUNCTION_INFO_V1(outflow_preflight_library);

/* fill in the free and all bytes of a path's file system */
static void
fill_room(const char *path, int free_column, int total_column, Datum *values,
		  bool *nulls)
{
	struct statvfs room;

	if (path == NULL || path[0] == '\0' || statvfs(path, &room) != 0)
		return;
	values[free_column] =
		Int64GetDatum((int64) room.f_bavail * (int64) room.f_frsize);
	values[total_column] =
		Int64GetDatum((int64) room.f_blocks * (int64) room.f_frsize);
	nulls[free_column] = false;
	nulls[total_column] = false;
}

PGDLLEXPORT Datum
outflow_preflight_library(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	Datum	  values[FACT_COLUMNS] = {0};
	bool	  nulls[FACT_COLUMNS];
	/* like pg_ls_waldir(), and outflow.export_root itself */
	bool		shows_room = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	const char *limit = limit_unreadable();

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != FACT_COLUMNS)
		elog(ERROR, "unexpected result type");

	memset(nulls, true, sizeof(nulls));
	values[FACT_VERSION] = CStringGetTextDatum(OUTFLOW_VERSION);
	nulls[FACT_VERSION] = false;
	if (limit == NULL && !mask_setting_is_readable())
		limit = "outflow.mask_columns";
	if (limit)
	{
		values[FACT_UNREADABLE_LIMIT] = CStringGetTextDatum(limit);
		nulls[FACT_UNREADABLE_LIMIT] = false;
	}
	values[FACT_SHOWS_ROOM] = BoolGetDatum(shows_room);
	nulls[FACT_SHOWS_ROOM] = false;
	if (shows_room)
	{
		fill_room(XLOGDIR, FACT_WAL_FREE, FACT_WAL_TOTAL, values, nulls);
		fill_room(GetConfigOption("outflow.export_root", true, false),
				  FACT_ROOT_FREE, FACT_ROOT_TOTAL, values, nulls);
	}

	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
