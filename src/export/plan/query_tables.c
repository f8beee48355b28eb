/*
 * query_tables.c
 *		What a query reads, before and after the end of a transaction.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "export/plan/query_tables.h"
#include "row/row.h"

typedef struct QueryTable
{
	Oid			relid;
	const char *name;
	bool		is_temporary;
	bool		has_rows; /* if they may go with the transaction */
} QueryTable;

static bool
has_temporary_rows(Oid relid)
{
	Relation rel = relation_open(relid, NoLock);
	bool	 found = rel->rd_islocaltemp &&
				 RELKIND_HAS_TABLE_AM(rel->rd_rel->relkind) &&
				 RelationGetNumberOfBlocks(rel) > 0;

	relation_close(rel, NoLock);
	return found;
}

/* Not by relationOids: the planner puts each constant of type oid there too. */
List *
query_tables_remember(const PlannedStmt *plan)
{
	List		   *tables = NIL;
	const ListCell *cell;

	foreach (cell, plan->rtable)
	{
		const RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
		QueryTable			*table;

		CHECK_FOR_INTERRUPTS();
		if (entry->rtekind != RTE_RELATION)
			continue;
		table = palloc_object(QueryTable);
		table->relid = entry->relid;
		table->name = relation_full_name(table->relid);
		table->is_temporary =
			get_rel_persistence(table->relid) == RELPERSISTENCE_TEMP;
		table->has_rows = has_temporary_rows(table->relid);
		tables = lappend(tables, table);
	}
	return tables;
}

static void
report_temporary_lost(const QueryTable *table, bool is_gone)
{
	const char *action = is_gone ? "DROP" : "DELETE ROWS";

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 is_gone ? errmsg("table %s was dropped before the query ran",
							  table->name)
					 : errmsg("table %s lost its rows before the query ran",
							  table->name),
			 errdetail("CALL outflow.export_query first commits the "
					   "transaction that it is called in, which has this "
					   "effect on tables that are ON COMMIT %s.",
					   action),
			 errhint("Create the table with ON COMMIT PRESERVE ROWS.")));
}

static void
report_dropped(const QueryTable *table)
{
	if (table->is_temporary)
		report_temporary_lost(table, true);
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("table %s was dropped before the query ran",
						   table->name)));
}

void
query_tables_lock(const List *tables)
{
	const ListCell *cell;

	foreach (cell, tables)
	{
		const QueryTable *table = lfirst(cell);

		LockRelationOid(table->relid, AccessShareLock);
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table->relid)))
			report_dropped(table);
		if (table->has_rows && !has_temporary_rows(table->relid))
			report_temporary_lost(table, false);
	}
}
