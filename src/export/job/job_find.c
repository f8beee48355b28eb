/*
 * job_find.c
 *		Questions about several jobs.
 */
#include "postgres.h"

#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "export/job/job.h"
#include "export/job/job_access.h"

/* The ids of a query's rows, in the caller's context. */
static int64 *
query_ids(const char *sql, int nargs, const Oid *types, const Datum *values,
		  int *count)
{
	MemoryContext context = CurrentMemoryContext;
	JobAccess	  access;
	int64		 *ids;

	job_access_begin(&access);
	*count = (int) job_query(sql, nargs, types, values, NULL);
	ids = MemoryContextAlloc(context, sizeof(int64) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		ids[i] = job_field_int(i, 1, 0);
	job_access_end(&access);
	return ids;
}

/* The first of them, or 0 for none. */
static int64
query_id(const char *sql, int nargs, const Oid *types, const Datum *values)
{
	int	   count;
	int64 *ids = query_ids(sql, nargs, types, values, &count);

	return count > 0 ? ids[0] : 0;
}

int64
job_at_location(const char *location, int64 except, bool begun)
{
	const Oid	types[] = {TEXTOID, INT8OID, BOOLOID, OIDOID};
	const Datum values[] = {CStringGetTextDatum(location),
							Int64GetDatum(except), BoolGetDatum(begun),
							ObjectIdGetDatum(GetUserId())};

	return query_id(
		"SELECT job FROM outflow.job "
		"WHERE (location = $1 "
		"OR (starts_with(location, $1 || '/') "
		"OR starts_with($1, location || '/')) "
		"AND (state IN ('queued', 'running') OR parts_total IS NOT NULL "
		"OR pg_has_role($4, owner, 'USAGE'))) "
		"AND job <> $2 "
		"AND state <> 'done' "
		"AND (NOT $3 OR state = 'running' OR parts_total IS NOT NULL) "
		"ORDER BY job LIMIT 1",
		lengthof(types), types, values);
}

/* What a table's files depend on: a text for each source. */
static List *
source_texts(const Job *job)
{
	List		   *texts = NIL;
	const ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		char	  *columns = "";

		if (source->columns)
			columns = OidOutputFunctionCall(
				F_ARRAY_OUT, text_array_from_list(source->columns));
		texts = lappend(texts, psprintf("%u %s %s", source->relid, columns,
										source->filter ? source->filter : ""));
	}
	return texts;
}

int64
job_find_base(const Job *job, const char *database)
{
	const Oid	types[] = {OIDOID,		 TEXTOID, TEXTOID,
						   TEXTARRAYOID, BOOLOID, TEXTOID};
	const Datum values[] = {ObjectIdGetDatum(job->owner),
							CStringGetTextDatum(job->format),
							CStringGetTextDatum(job->location),
							text_array_from_list(source_texts(job)),
							BoolGetDatum(job_makes_tables(job)),
							CStringGetTextDatum(database ? database : "")};

	return query_id(
		"SELECT j.job FROM outflow.job AS j "
		"CROSS JOIN LATERAL (SELECT array_agg(s.relation) AS relations, "
		"array_agg(format('%s %s %s', s.relation, s.columns, s.filter)) "
		"AS texts FROM outflow.source AS s WHERE s.job = j.job) AS s "
		"WHERE j.state = 'done' AND j.owner = $1 AND j.format = $2 "
		"AND CASE WHEN $5 THEN j.location = $3 "
		"WHEN $6 <> '' THEN j.location = $6 "
		"OR starts_with(j.location, $6 || '/') "
		"ELSE regexp_replace(j.location, '[^/]*$', '') "
		"= regexp_replace($3, '[^/]*$', '') END "
		"AND s.relations && (SELECT array_agg(split_part(t, ' ', 1)::oid) "
		"FROM unnest($4) AS t) "
		"ORDER BY s.texts @> $4 AND s.texts <@ $4 DESC, j.finished DESC, "
		"j.job DESC LIMIT 1 FOR KEY SHARE OF j SKIP LOCKED",
		lengthof(types), types, values);
}

int64
job_referring_to(const char *location, int64 except)
{
	const Oid	types[] = {TEXTOID, INT8OID};
	const Datum values[] = {CStringGetTextDatum(location),
							Int64GetDatum(except)};

	/* a candidate that is still to be proven may become a reference; its file
	 * may be in a table's folder */
	return query_id("SELECT j.job FROM outflow.part AS p "
					"JOIN outflow.job AS j ON j.job = p.job "
					"WHERE starts_with(p.location || '/' || p.file, "
					"$1 || '/') "
					"AND j.job <> $2 "
					"AND (p.state = 'done' "
					"OR j.options ->> 'carry' = 'reference') "
					"ORDER BY j.job LIMIT 1",
					lengthof(types), types, values);
}

int64
job_with_folder(const char *location, const char *uuid)
{
	const Oid	types[] = {TEXTOID, TEXTOID};
	const Datum values[] = {CStringGetTextDatum(location),
							CStringGetTextDatum(uuid)};

	return query_id("SELECT j.job FROM outflow.job AS j "
					"JOIN outflow.source AS s ON s.job = j.job "
					"WHERE j.uuid::text = $2 AND s.folder <> '' "
					"AND j.location || '/' || s.folder = $1",
					lengthof(types), types, values);
}

/* No snapshot would show what is not committed. */
bool
job_has_uuid(const char *uuid)
{
	Relation		rel = table_open(job_table_oid("job"), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	SnapshotData	dirty;
	ScanKeyData		key;
	TableScanDesc	scan;
	bool			found;
	const Oid		type = TEXTOID;
	Datum			value;

	ScanKeyInit(&key, get_attnum(RelationGetRelid(rel), "uuid"),
				BTEqualStrategyNumber, F_UUID_EQ,
				DirectFunctionCall1(uuid_in, CStringGetDatum(uuid)));
	InitDirtySnapshot(dirty);
	scan = table_beginscan_strat(rel, &dirty, 1, &key, true, false);
	found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	/* one that was updated meanwhile may have moved to where the scan was */
	value = CStringGetTextDatum(uuid);
	return found ||
		   query_id("SELECT job FROM outflow.job WHERE uuid = $1::uuid", 1,
					&type, &value) != 0;
}

JobLoad
job_load_at_hand(int64 except, Oid owner)
{
	const Oid	types[] = {INT8OID, OIDOID};
	const Datum values[] = {Int64GetDatum(except), ObjectIdGetDatum(owner)};
	JobLoad		load = {0};
	uint64		count;
	JobAccess	access;

	job_access_begin(&access);
	count = job_query("SELECT job, (owner = $2)::int, processes "
					  "FROM outflow.job WHERE state = 'running' "
					  "AND workers > 0 AND job <> $1",
					  lengthof(types), types, values, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		if (!job_is_live(job_field_int(i, 1, 0)))
			continue;
		load.jobs++;
		load.own += (int) job_field_int(i, 2, 0);
		load.processes += (int) job_field_int(i, 3, 0);
	}
	job_access_end(&access);
	return load;
}

int64
job_based_on(int64 base, int64 except)
{
	const Oid	types[] = {INT8OID, INT8OID};
	const Datum values[] = {Int64GetDatum(base), Int64GetDatum(except)};

	return query_id("SELECT job FROM outflow.job "
					"WHERE base = $1 AND job <> $2 AND state <> 'done' "
					"ORDER BY job LIMIT 1",
					lengthof(types), types, values);
}

int64 *
job_ids_finished(const char *prefix, int *count)
{
	const Oid	types[] = {TEXTOID, OIDOID};
	const Datum values[] = {CStringGetTextDatum(prefix),
							ObjectIdGetDatum(GetUserId())};

	return query_ids("SELECT job FROM outflow.job "
					 "WHERE state = 'done' AND starts_with(destination, $1) "
					 "AND pg_has_role($2, owner, 'USAGE') "
					 "ORDER BY finished DESC, job DESC",
					 lengthof(types), types, values, count);
}
