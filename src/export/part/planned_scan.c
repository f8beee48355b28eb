/*
 * planned_scan.c
 *		The rows of a part that row security leaves to the job's owner, and the
 *		rights that a SELECT of the same would need.
 *
 * They come from a query of their own, through rewriter and planner: a policy
 * may hold subqueries, and the planner keeps every other expression after it.
 * The query names the table that is exported, whose policies count; before it
 * is planned, its partition takes the table's place.
 */
#include "postgres.h"

#include "access/attmap.h"
#include "access/sysattr.h"
#include "catalog/pg_authid.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "encode/mask_value.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/plan/source.h"
#include "export/part/part.h"
#include "compat.h"

typedef struct RowReceiver
{
	DestReceiver  base;
	PlannedRow	  row;
	void		 *arg;
	volatile bool at_row; /* it has passed all that may hide it */
} RowReceiver;

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	slot_getallattrs(slot);
	receiver->at_row = true;
	receiver->row(receiver->arg, slot);
	receiver->at_row = false;
	return true;
}

static void
receive_nothing(DestReceiver *self)
{
}

static void
receive_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

/*
 * Columns keep their places, so that rows look like those of a scan; the row's
 * own place comes after them.
 */
static void
scan_append_columns(StringInfo sql, Relation root, const RowShape *shape)
{
	TupleDesc desc = RelationGetDescr(root);
	bool	 *exported = palloc0(sizeof(bool) * (desc->natts + 1));

	for (int i = 0; i < shape->ncolumns; i++)
		exported[shape->columns[i].attnum] = true;
	for (int i = 1; i <= desc->natts; i++)
		appendStringInfo(sql, "%s, ",
						 exported[i]
							 ? quote_identifier(NameStr(
								   TupleDescAttr(desc, i - 1)->attname))
							 : "NULL");
	appendStringInfoString(sql, "ctid");
	pfree(exported);
}

static char *
query_text(const JobSource *source, Relation root, const RowShape *shape,
		   const PlannedPart *part)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	scan_append_columns(&sql, root, shape);
	appendStringInfo(&sql,
					 " FROM ONLY %s WHERE ctid >= '(%u,0)'::tid "
					 "AND ctid < '(%u,0)'::tid",
					 relation_full_name(RelationGetRelid(root)),
					 part->first_block, part->end_block);
	if (source->filter)
		appendStringInfo(&sql, " AND (%s)", source->filter);
	return sql.data;
}

/* For people who read what is audited: only what is exported. */
static char *
plain_query_text(const JobSource *source, Relation root, const RowShape *shape)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < shape->ncolumns; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(shape->columns[i].name));
	appendStringInfo(&sql, " FROM ONLY %s",
					 relation_full_name(RelationGetRelid(root)));
	if (source->filter)
		appendStringInfo(&sql, " WHERE %s", source->filter);
	return sql.data;
}

/* Where a row lies is ours to ask: a right to SELECT columns has no ctid. */
static void
permit_ctid(Query *query, RangeTblEntry *table)
{
	Bitmapset **columns = &query_rights(query, table)->selectedCols;

	*columns =
		bms_del_member(*columns, SelfItemPointerAttributeNumber -
									 FirstLowInvalidHeapAttributeNumber);
}

/* A place in our query is none in the statement of the user's. */
static void
hide_position(void *arg)
{
	errposition(0);
}

/* With the policies of the current user, who is the job's owner. */
static Query *
analyze(const JobSource *source, const char *sql, Relation root)
{
	ErrorContextCallback errors = {.callback = hide_position,
								   .previous = error_context_stack};
	PinnedSettings		*pinned = filter_pin_settings();
	RawStmt				*raw;
	Query				*query;
	List				*queries;
	RangeTblEntry		*table;

	error_context_stack = &errors;
	raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	/* what we ask for besides the filter is the server's own */
	filter_check_names(source, raw->stmt);
	query = parse_analyze_fixedparams(raw, sql, NULL, 0, NULL);
	filter_check_objects(source, query->jointree->quals);
	queries = pg_rewrite_query(query);
	query = linitial_node(Query, queries);
	table = linitial_node(RangeTblEntry, query->rtable);
	error_context_stack = errors.previous;
	settings_unpin(pinned);
	/* the name may be another table's by now: a schema can be renamed */
	if (list_length(queries) != 1 || table->relid != RelationGetRelid(root))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"%s\" was renamed meanwhile",
							   RelationGetRelationName(root))));
	permit_ctid(query, table);
	return query;
}

/* Reads the leaf instead: rights and policies are the root's. */
static Query *
retarget(Query *query, Relation root, Relation leaf)
{
	TupleDesc	   desc = RelationGetDescr(root);
	AttrMap		  *map = make_attrmap(desc->natts);
	Bitmapset	  *selected = NULL;
	RangeTblEntry *table;
	bool		   found_whole_row;
	int			   column = -1;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped)
			map->attnums[i] =
				get_attnum(RelationGetRelid(leaf), NameStr(column->attname));
	}
	query = (Query *) map_variable_attnos(
		(Node *) query, 1, 0, map, leaf->rd_rel->reltype, &found_whole_row);
	table = linitial_node(RangeTblEntry, query->rtable);
	table->relid = RelationGetRelid(leaf);
	table->relkind = leaf->rd_rel->relkind;
	while ((column = bms_next_member(query_rights(query, table)->selectedCols,
									 column)) >= 0)
	{
		int attnum = column + FirstLowInvalidHeapAttributeNumber;

		if (attnum > 0)
			attnum = map->attnums[attnum - 1];
		selected = bms_add_member(selected,
								  attnum - FirstLowInvalidHeapAttributeNumber);
	}
	free_attrmap(map);
	/* as for every partition of a table that is read */
	query_rights(query, table)->relid = RelationGetRelid(leaf);
	query_rights(query, table)->checkAsUser = BOOTSTRAP_SUPERUSERID;
	query_rights(query, table)->selectedCols = selected;
	return query;
}

typedef struct PlannedRun
{
	Query		*query;
	const char	*sql;
	Snapshot	 snapshot;
	RowReceiver *receiver;
} PlannedRun;

/* The planner computes what it can of policies and filters, too. */
static bool
run(void *arg)
{
	PlannedRun *run = arg;
	QueryDesc  *desc = CreateQueryDesc(plan_query(run->query, run->sql, 0),
									   run->sql, run->snapshot, InvalidSnapshot,
									   &run->receiver->base, NULL, NULL, 0);

	ExecutorStart(desc, 0);
	executor_run(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	return true;
}

/* Rows as the job's owner sees them, also for what the policies' functions read. */
static void
turn_row_security_on(void)
{
	(void) set_config_option("row_security", "on", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

Query *
planned_query(const JobSource *source, Relation root, const RowShape *shape)
{
	int	   nestlevel = NewGUCNestLevel();
	Query *query;

	turn_row_security_on();
	query = analyze(source, plain_query_text(source, root, shape), root);
	AtEOXact_GUC(false, nestlevel);
	return query;
}

void
planned_scan(const JobSource *source, Relation root, Relation leaf,
			 const RowShape *shape, const PlannedPart *part, Snapshot snapshot,
			 PlannedRow row, void *arg)
{
	RowReceiver receiver = {{.receiveSlot = receive_row,
							 .rStartup = receive_startup,
							 .rShutdown = receive_nothing,
							 .rDestroy = receive_nothing,
							 .mydest = DestNone},
							row,
							arg};
	PlannedRun	planned;
	int			nestlevel = NewGUCNestLevel();
	char	   *sql = query_text(source, root, shape, part);
	Query	   *query;

	turn_row_security_on();
	query = analyze(source, sql, root);
	if (leaf != root)
		query = retarget(query, root, leaf);
	planned = (PlannedRun){query, sql, snapshot, &receiver};
	if (shape->is_secret)
		(void) mask_hide_reports(shape, &receiver.at_row, run, &planned);
	else
		(void) run(&planned);
	AtEOXact_GUC(false, nestlevel);
}

/*
 * The planner would compute what the table's indexes, statistics and partitions
 * call, in the name of who exports the table, which may not be its owner.
 */
static PlannedStmt *
plan_nothing(const Query *query)
{
	PlannedStmt *plan = makeNode(PlannedStmt);
	ListCell	*cell;

	plan->commandType = CMD_SELECT;
	plan->queryId = query->queryId;
	plan->canSetTag = true;
	plan->planTree = (Plan *) makeNode(Result);
	plan->rtable = query->rtable;
	plan_set_rights(plan, query);
	foreach (cell, query->rtable)
		plan->relationOids = lappend_oid(
			plan->relationOids, lfirst_node(RangeTblEntry, cell)->relid);
	return plan;
}

/*
 * Begins a query, which checks its rights, and reads nothing.  What policies read
 * is known when they are planned, as the rows are that they leave.
 */
static void
check_query(Query *query, const char *sql)
{
	RangeTblEntry *table = linitial_node(RangeTblEntry, query->rtable);
	PlannedStmt	  *plan = table->securityQuals == NIL
							  ? plan_nothing(query)
							  : plan_query(query, sql, 0);
	QueryDesc	  *desc =
		CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot,
						None_Receiver, NULL, NULL, 0);

	ExecutorStart(desc, EXEC_FLAG_EXPLAIN_ONLY);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

/*
 * Extensions audit what is read, and allow it or not, where the executor checks
 * a query's rights.  Some rely on a query that is being executed, which a
 * background worker has none of; so they get one.
 */
void
planned_check(const JobSource *source, Relation root, Relation leaf,
			  const RowShape *shape)
{
	int	  nestlevel = NewGUCNestLevel();
	char *sql = plain_query_text(source, root, shape);

	turn_row_security_on();
	check_query(analyze(source, sql, root), sql);
	if (leaf != root)
		check_query(retarget(analyze(source, sql, root), root, leaf), sql);
	AtEOXact_GUC(false, nestlevel);
}
