/*
 * query.c
 *		What a query must be for its rows to be exported, and its execution.
 *
 * It is one statement that reads, in the calling session: names, rights,
 * policies and settings are those that the same SELECT would have there.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "export/plan/part_key.h"
#include "export/plan/query.h"
#include "export/plan/query_guard.h"
#include "export/plan/query_tables.h"
#include "compat.h"
#include "position/snapshot_text.h"
#include "row/mask.h"

JobSource *
query_source_new(char *text)
{
	JobSource *source = palloc0_object(JobSource);

	source->name = QUERY_NAME;
	source->folder = "";
	source->query = text;
	return source;
}

static const char *
job_query_text(const Job *job)
{
	return ((JobSource *) linitial(job->sources))->query;
}

/* ---- what it may be ---- */

pg_noreturn static void
query_refuse(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot export this query"), errdetail("%s", detail),
			 errhint("Write one SELECT, VALUES or TABLE, with or without a "
					 "WITH in front of it.")));
}

/* A place that the parser tells is one in the query, not in the CALL. */
static void
query_error_position(void *arg)
{
	int position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(arg);
}

static void
query_check_statement(const Query *query)
{
	if (query->commandType == CMD_UTILITY && query->utilityStmt &&
		IsA(query->utilityStmt, CreateTableAsStmt))
		query_refuse("It must not make a table (INTO).");
	if (query->commandType != CMD_SELECT)
		query_refuse("It is not a query.");
	if (query->hasModifyingCTE)
		query_refuse("It changes rows in its WITH.");
	if (query->rowMarks != NIL)
		query_refuse("It locks rows (FOR UPDATE and the like).");
}

static Query *
query_analyze(const char *text)
{
	ErrorContextCallback errors = {.callback = query_error_position,
								   .arg = unconstify(char *, text),
								   .previous = error_context_stack};
	List				*statements;
	List				*queries;
	RawStmt				*statement;

	error_context_stack = &errors;
	statements = raw_parser(text, RAW_PARSE_DEFAULT);
	if (list_length(statements) != 1)
		query_refuse(statements == NIL ? "It is empty."
									   : "It is more than one statement.");
	statement = linitial_node(RawStmt, statements);
	/* others would be analyzed, and some of them run, in vain */
	if (!IsA(statement->stmt, SelectStmt))
		query_refuse("It is not a query.");
	queries =
		pg_analyze_and_rewrite_fixedparams(statement, text, NULL, 0, NULL);
	error_context_stack = errors.previous;
	if (list_length(queries) != 1)
		query_refuse("Rules make more than one statement of it.");
	query_check_statement(linitial_node(Query, queries));
	return linitial_node(Query, queries);
}

/* ---- while it is planned and run ---- */

/* See query_guard.c: with masks it would have no workers. */
static PlannedStmt *
make_plan(const char *text)
{
	return plan_query(query_analyze(text), text,
					  mask_setting_rules() == NIL ? CURSOR_OPT_PARALLEL_OK
												  : 0);
}

typedef struct QueryFacts
{
	TupleDesc desc;
	List	 *tables;
} QueryFacts;

/* Begins it, which checks its rights, and reads nothing. */
static void
learn_facts(const char *text, void *arg)
{
	QueryFacts	*facts = arg;
	PlannedStmt *plan = make_plan(text);
	QueryDesc	*desc =
		CreateQueryDesc(plan, text, GetActiveSnapshot(), InvalidSnapshot,
						None_Receiver, NULL, NULL, 0);

	ExecutorStart(desc, EXEC_FLAG_EXPLAIN_ONLY);
	facts->desc = CreateTupleDescCopy(desc->tupDesc);
	facts->tables = query_tables_remember(plan);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

/* Of formats whose readers find values by name. */
static void
check_result_names(TupleDesc desc, const char *format)
{
	for (int i = 0; i < desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < i; j++)
		{
			if (strcmp(NameStr(TupleDescAttr(desc, j)->attname), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column name \"%s\" appears more than once in "
								"the query's result",
								name),
						 errdetail("Columns of format \"%s\" are known by "
								   "their names.",
								   format),
						 errhint("Give one of them another name with AS.")));
		}
	}
}

/* An encoder that is opened and thrown away says what the export's would. */
static void
query_check_format(const Job *job, TupleDesc desc)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow format check", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ByteBuffer	  out;

	if (job->row_format->canonical_settings)
		check_result_names(desc, job->format);
	buffer_init(&out);
	(void) job->row_format->open(
		row_shape_of_result(desc, QUERY_NAME, context), &job->options.row,
		&(RowHost){0}, &out);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

List *
query_check(const Job *job)
{
	QueryFacts facts;

	PushActiveSnapshot(GetTransactionSnapshot());
	query_run_guarded(job_query_text(job), learn_facts, &facts);
	PopActiveSnapshot();
	query_check_format(job, facts.desc);
	part_key_check(job, facts.desc);
	return facts.tables;
}

Snapshot
query_begin_reading(char **text, XLogRecPtr *lsn)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	*text = snapshot_to_text(GetActiveSnapshot());
	*lsn = GetXLogInsertRecPtr();
	return GetActiveSnapshot();
}

typedef struct QueryRun
{
	Snapshot	  snapshot;
	DestReceiver *receiver;
} QueryRun;

static void
run_plan(const char *text, void *arg)
{
	QueryRun  *run = arg;
	QueryDesc *desc =
		CreateQueryDesc(make_plan(text), text, run->snapshot, InvalidSnapshot,
						run->receiver, NULL, NULL, 0);

	ExecutorStart(desc, 0);
	executor_run(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

void
query_run(const Job *job, Snapshot snapshot, DestReceiver *receiver)
{
	QueryRun run = {snapshot, receiver};

	query_run_guarded(job_query_text(job), run_plan, &run);
}
