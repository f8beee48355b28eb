/*
 * query_guard.c
 *		Hooks of the executor, which look at plans while a query is exported.
 *
 * They stay where they are once the library is loaded, and are idle otherwise:
 * a library that the query itself loads puts its own ones above them.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext_data.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "utils/memutils.h"

#include "export/plan/masks.h"
#include "export/plan/query_guard.h"
#include "compat.h"

static ExecutorStart_hook_type		previous_start;
static ExecutorCheckPerms_hook_type previous_check;
static bool							are_masks_guarded;

static void
refuse_masked(Oid relid)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cannot export a query that reads table %s",
						   relation_full_name(relid)),
					errdetail("It has masked columns, whose values a query "
							  "could show in another form."),
					errhint("Export the table itself.")));
}

static void
refuse_catalog(Oid relid)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cannot export a query that reads table %s",
						   relation_full_name(relid)),
					errdetail("It can hold values of masked columns, or what "
							  "makes them."),
					errhint("Leave it, and views of it, out of the query.")));
}

/* Default values of columns that were added later, for older rows. */
static bool
reads_missing_values(const Bitmapset *columns)
{
	return bms_is_member(Anum_pg_attribute_attmissingval -
							 FirstLowInvalidHeapAttributeNumber,
						 columns) ||
		   bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns);
}

static bool
catalog_holds_values(Oid relid, const Bitmapset *columns)
{
	switch (relid)
	{
		case StatisticRelationId:
		case StatisticExtDataRelationId:
		case AttrDefaultRelationId:
			return true;
		case AttributeRelationId:
			return reads_missing_values(columns);
		default:
			return get_rel_relkind(relid) == RELKIND_TOASTVALUE;
	}
}

static bool
check_read_tables(CHECK_PERMS_PARAMETERS)
{
	ListCell *cell;

	foreach (cell, are_masks_guarded ? tables : NIL)
	{
		RangeTblEntry *table = lfirst_node(RangeTblEntry, cell);

		if (!OidIsValid(table->relid))
			continue;
		if (masks_cover(table->relid))
			refuse_masked(table->relid);
		if (catalog_holds_values(table->relid,
								 table_read_columns(table, rights)))
			refuse_catalog(table->relid);
	}
	return previous_check ? previous_check(CHECK_PERMS_ARGUMENTS) : true;
}

/*
 * Parallel workers would not look at what their functions read.  Settings could
 * be changed back, and plans are older than the query; so those of functions lose
 * their workers when they are begun.
 */
static void
start_without_workers(QueryDesc *desc, int flags)
{
	if (are_masks_guarded && desc->plannedstmt->parallelModeNeeded)
	{
		PlannedStmt *plan =
			MemoryContextAlloc(GetMemoryChunkContext(desc), sizeof(*plan));

		*plan = *desc->plannedstmt;
		plan->parallelModeNeeded = false;
		desc->plannedstmt = plan;
	}
	if (previous_start)
		previous_start(desc, flags);
	else
		standard_ExecutorStart(desc, flags);
}

void
query_guard_init(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = start_without_workers;
	previous_check = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_read_tables;
}

/* An ERROR ends read-only with its (sub)transaction, as the server does. */
void
query_run_guarded(const char *text, GuardedQuery body, void *arg)
{
	bool was_read_only = XactReadOnly;

	are_masks_guarded = mask_setting_rules() != NIL;
	PG_TRY();
	{
		XactReadOnly = true;
		body(text, arg);
		XactReadOnly = was_read_only;
	}
	PG_FINALLY();
	{
		are_masks_guarded = false;
	}
	PG_END_TRY();
}
