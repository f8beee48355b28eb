/*
 * iceberg_rest.c
 *		Tables of an Iceberg REST catalog.
 *
 * A change says what it goes out from; the catalog makes it only if that still
 * holds.  So it may be sent again when it is not known whether it was made: it
 * is made once, or refused, since it has been made.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "export/lake/iceberg_table.h"
#include "failpoint.h"
#include "option.h"

/* ---- asking */

static char *
table_shown(const LakeCatalog *catalog, const char *folder)
{
	return psprintf("table \"%s\"", lake_catalog_name(catalog, folder));
}

static void
check_namespace(LakeCatalog *catalog)
{
	CatalogCall call = {.method = "GET",
						.path = lake_catalog_namespace_path(catalog)};

	if (lake_catalog_call(catalog, &call) != CATALOG_MISSING)
		return;
	call.hint = "Make the namespace, or correct the export option "
				"\"catalog\" or the server's options warehouse and prefix.";
	catalog_throw(catalog->rest, &call, "find the namespace in the catalog");
}

char *
iceberg_rest_location(Jsonb *metadata)
{
	char  *location = lake_json_text(metadata, "location");
	size_t len = location ? strlen(location) : 0;

	while (len > 0 && location[len - 1] == '/')
		location[--len] = '\0';
	return location ? location : pstrdup("");
}

/* False if the catalog does not say; *metadata is NULL for no table. */
static bool
ask_for_table(LakeCatalog *catalog, const char *folder, CatalogCall *call,
			  Jsonb **metadata)
{
	*call = (CatalogCall){.method = "GET",
						  .path = lake_catalog_table_path(catalog, folder)};
	*metadata = NULL;
	if (lake_catalog_call(catalog, call) == CATALOG_MISSING)
		return true;
	if (call->result != CATALOG_DONE)
		return false;
	*metadata =
		lake_json_object(lake_catalog_answer(catalog->rest, call), "metadata");
	if (*metadata == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("server \"%s\" told nothing of %s",
						catalog->rest->name, table_shown(catalog, folder))));
	return true;
}

Jsonb *
iceberg_rest_load(LakeCatalog *catalog, const char *folder)
{
	CatalogCall call;
	Jsonb	   *metadata;

	if (!ask_for_table(catalog, folder, &call, &metadata))
		catalog_throw(catalog->rest, &call,
					  psprintf("load %s", table_shown(catalog, folder)));
	if (metadata == NULL)
		check_namespace(catalog);
	return metadata;
}

void
iceberg_rest_check_absent(const Job *job)
{
	LakeCatalog *catalog = lake_catalog_open(job);
	ListCell	*cell;

	foreach (cell, catalog ? job->sources : NIL)
	{
		JobSource *source = lfirst(cell);
		Jsonb	  *metadata = iceberg_rest_load(catalog, source->folder);

		CHECK_FOR_INTERRUPTS();
		if (metadata)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("%s of the catalog is in another place",
							table_shown(catalog, source->folder)),
					 errdetail("It is in \"%s\"; there is nothing in \"%s\".",
							   option_shown(iceberg_rest_location(metadata)),
							   job->destination),
					 errhint("Export to that place, or choose another name in "
							 "the catalog.")));
	}
}

/* ---- a new table */

/*
 * After a conflict: an ERROR unless the table is there by now, since then a view,
 * or what lies in the same place, is in the way.
 */
static void
check_conflict(LakeCatalog *catalog, const char *folder,
			   const CatalogCall *conflict)
{
	if (iceberg_rest_load(catalog, folder) == NULL)
		catalog_throw(catalog->rest, conflict,
					  psprintf("create %s", table_shown(catalog, folder)));
}

/*
 * It is staged: nothing is there before its first version.  The catalog chooses
 * the table's uuid, and may insist on another place.
 */
static char *
stage_table(LakeCatalog *catalog, const IcebergTable *table,
			const IcebergChange *change)
{
	const char	  *folder = table->table.folder;
	CatalogCall	   call = {.method = "POST"};
	StringInfoData body;
	Jsonb		  *metadata;
	char		  *location;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"stage-create\":true,\"name\":");
	lake_json_put_text(&body, lake_catalog_table_name(catalog, folder));
	appendStringInfoString(&body, ",\"location\":");
	lake_json_put_text(&body, table->location);
	appendStringInfo(&body, ",\"schema\":%s}",
					 iceberg_schema_with_id(change->schema, 0));
	call.path = psprintf("%s/tables", lake_catalog_namespace_path(catalog));
	call.body = pg_server_to_any(body.data, body.len, PG_UTF8);
	if (lake_catalog_call(catalog, &call) == CATALOG_CONFLICT)
	{
		check_conflict(catalog, folder, &call);
		return NULL;
	}
	if (call.result != CATALOG_DONE)
		catalog_throw(catalog->rest, &call,
					  psprintf("create %s", table_shown(catalog, folder)));
	metadata = lake_json_object(lake_catalog_answer(catalog->rest, &call),
								"metadata");
	location = iceberg_rest_location(metadata);
	if (strcmp(location, table->location) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the catalog would have %s in another place",
							   table_shown(catalog, folder)),
						errdetail("That is \"%s\", not \"%s\".",
								  option_shown(location), table->location),
						errhint("Export to that place, or let the catalog's "
								"namespace and warehouse have this one.")));
	return lake_json_need_text(metadata, "table-uuid");
}

/* ---- what became of a change */

static bool
has_snapshot(Jsonb *metadata, int64 id)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(metadata, "snapshots"))
	{
		if (lake_json_int(lfirst(cell), "snapshot-id") == id)
			return true;
	}
	return false;
}

/* Whether it was made, as the table shows; an expiry leaves no snapshot. */
static bool
was_made(Jsonb *now, const IcebergChange *change)
{
	ListCell *cell;

	if (change->snapshot)
		return has_snapshot(now, change->snapshot_id);
	foreach (cell, change->expired)
	{
		IcebergVersion *version = lfirst(cell);

		if (has_snapshot(now, version->version.version))
			return false;
	}
	return true;
}

/* Whether it can be made no more, since the table is another one by now. */
static bool
is_too_late(Jsonb *now, const IcebergTable *table)
{
	int64 current = lake_json_int(now, "current-snapshot-id");

	if (now == NULL)
		return table->metadata != NULL;
	return table->metadata == NULL ||
		   (current > 0 ? current : ICEBERG_NONE) != table->current;
}

pg_noreturn static void
throw_refused(const LakeCatalog *catalog, const CatalogCall *call,
			  const char *folder)
{
	catalog_throw(catalog->rest, call,
				  psprintf("commit to %s", table_shown(catalog, folder)));
}

pg_noreturn static void
throw_unknown(const LakeCatalog *catalog, CatalogCall *call,
			  const char *folder, const IcebergChange *change)
{
	call->hint = change->job ? "Nothing has been removed.  Resume the job: it "
							   "asks the catalog once more."
							 : "No file has been removed.  Try again later.";
	catalog_throw(catalog->rest, call,
				  psprintf("learn whether %s was changed",
						   table_shown(catalog, folder)));
}

static void
note_end(const CatalogCall *call, int how)
{
	if (call->sending)
		call->sending->tell(call->sending->arg, how);
}

bool
iceberg_rest_put(Destination *root, const IcebergTable *table,
				 const IcebergChange *change)
{
	LakeCatalog *catalog = root->catalog;
	const char	*folder = table->table.folder;
	char		*uuid = NULL;
	LakeSent	 sent;
	CatalogCall	 call = {.method = "POST",
						 .path = lake_catalog_table_path(catalog, folder),
						 .only_once = true,
						 .sending =
							 lake_begin_sent(&sent, root, folder, change->job)};

	if (table->metadata == NULL &&
		(uuid = stage_table(catalog, table, change)) == NULL)
		return false;
	FAILPOINT("catalog-staged");
	call.body = iceberg_rest_change(catalog, table, change, uuid);
	for (int tries = 1;; tries++)
	{
		bool		is_clear;
		CatalogCall look;
		Jsonb	   *now;

		CHECK_FOR_INTERRUPTS();
		(void) lake_catalog_call(catalog, &call);
		FAILPOINT("catalog-answered");
		if (call.result == CATALOG_DONE)
			break;
		is_clear =
			call.result != CATALOG_CONFLICT && call.result != CATALOG_UNKNOWN;
		/* of an earlier try it says nothing */
		if (is_clear && tries == 1)
		{
			note_end(&call, SENDING_REFUSED);
			throw_refused(catalog, &call, folder);
		}
		if (!ask_for_table(catalog, folder, &look, &now))
			throw_unknown(catalog, &look, folder, change);
		if (now && was_made(now, change))
			break;
		if (is_clear)
			throw_refused(catalog, &call, folder);
		if (is_too_late(now, table) ||
			(call.result == CATALOG_CONFLICT && tries == 1))
		{
			note_end(&call,
					 is_too_late(now, table) ? SENDING_OVER : SENDING_REFUSED);
			return false;
		}
		if (call.result == CATALOG_CONFLICT)
			return false;
		if (tries > catalog->rest->config.retries)
			throw_unknown(catalog, &call, folder, change);
		catalog_pause(catalog->rest, tries);
	}
	note_end(&call, SENDING_OVER);
	return true;
}
