/*
 * query_tables.h
 *		The tables of a query that was checked in a transaction which has ended
 *		when it runs.
 */
#ifndef OUTFLOW_QUERY_TABLES_H
#define OUTFLOW_QUERY_TABLES_H

#include "nodes/plannodes.h"

/* What the plan's tables are, all of which are locked; in the current context. */
extern List *query_tables_remember(const PlannedStmt *plan);

/*
 * Locks them again.  Errors if one is gone, or has lost its rows with the
 * transaction: the query would mean another table, or find nothing.
 */
extern void query_tables_lock(const List *tables);

#endif /* OUTFLOW_QUERY_TABLES_H */
