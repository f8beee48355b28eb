/*
 * job_access.c
 *		The way to the job tables: their owner's rights, and SPI.
 *
 * Nobody has rights on the tables, so each access takes those of their owner
 * for its few statements, as referential integrity triggers do.  The statements
 * are ours and fully qualified; search_path is pinned nevertheless, and the
 * user's functions never run meanwhile.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "encoding.h"
#include "export/job/job_access.h"

PG_FUNCTION_INFO_V1(outflow_job_guard);
PG_FUNCTION_INFO_V1(outflow_part_guard);
PGDLLEXPORT Datum outflow_job_guard(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum outflow_part_guard(PG_FUNCTION_ARGS);

/* Besides us only referential integrity triggers run like this. */
#define OWN_ACCESS (SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS)

static const char *const job_tables[] = {"job", "source", "part"};

Oid
job_table_oid(const char *name)
{
	Oid schema = get_namespace_oid("outflow", false);
	Oid relid = get_relname_relid(name, schema);

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("table \"outflow.%s\" does not exist", name),
						errhint("CREATE EXTENSION outflow makes it.")));
	return relid;
}

void
job_check_may_write(const char *name)
{
	if (RecoveryInProgress())
		ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
						errmsg("cannot execute outflow.%s on a standby", name),
						errhint("Call it on the primary server.")));
	PreventCommandIfReadOnly(psprintf("outflow.%s", name));
	encoding_prepare();
}

static Oid
table_owner(const char *name)
{
	HeapTuple tuple;
	Oid		  owner;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(job_table_oid(name)));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for table outflow.%s", name);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

void
job_access_check_owner(Oid role)
{
	for (int i = 0; i < lengthof(job_tables); i++)
	{
		Oid owner = table_owner(job_tables[i]);

		if (!has_privs_of_role(owner, role))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("table outflow.%s belongs to role \"%s\", which "
							"may not act as role \"%s\"",
							job_tables[i], GetUserNameFromId(owner, false),
							GetUserNameFromId(role, false)),
					 errdetail("Whoever owns the records of jobs could make "
							   "them act as anybody."),
					 errhint("Make the role a superuser again, or let one own "
							 "the tables and functions of schemas outflow and "
							 "outflow_internal.")));
	}
}

void
job_access_begin(JobAccess *access)
{
	Oid owner = table_owner("job");

	for (int i = 0; i < lengthof(job_tables); i++)
		job_triggers_check(job_tables[i], job_table_oid(job_tables[i]), owner);
	GetUserIdAndSecContext(&access->user, &access->security_context);
	SetUserIdAndSecContext(owner, access->security_context | OWN_ACCESS);
	access->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
job_access_end(JobAccess *access)
{
	PopActiveSnapshot();
	SPI_finish();
	AtEOXact_GUC(true, access->nestlevel);
	SetUserIdAndSecContext(access->user, access->security_context);
}

/*
 * Trigger of each of the tables.  A role that may write all tables
 * (pg_write_all_data) could else make a job another's, and so act as anybody.
 */
Datum
outflow_job_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "not called as a trigger");
	if (!superuser() && GetUserId() != trigger->tg_relation->rd_rel->relowner)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
					   RelationGetRelationName(trigger->tg_relation));
	return PointerGetDatum(NULL);
}

/*
 * Trigger of outflow.part: a row that comes from elsewhere says nothing about
 * this cluster's heap.
 */
Datum
outflow_part_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	 tuple;
	Oid			 user;
	int			 security_context;
	int			 column;
	Datum		 value = (Datum) 0;
	bool		 isnull = true;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "not called as a trigger");
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple
													   : trigger->tg_trigtuple;
	GetUserIdAndSecContext(&user, &security_context);
	if ((security_context & OWN_ACCESS) == OWN_ACCESS)
		return PointerGetDatum(tuple);
	column = SPI_fnumber(RelationGetDescr(trigger->tg_relation), "stamp");
	if (column <= 0)
		elog(ERROR, "trigger of another table");
	tuple = heap_modify_tuple_by_cols(tuple,
									  RelationGetDescr(trigger->tg_relation),
									  1, &column, &value, &isnull);
	return PointerGetDatum(tuple);
}

/* Our statements are no one's business; what surrounds the call is. */
static void
forget_statement(ErrorData *error, const char *sql)
{
	char *line = psprintf("SQL statement \"%s\"", sql);
	char *found = error->context ? strstr(error->context, line) : NULL;

	if (found)
	{
		char *end = found + strlen(line);

		if (*end == '\n')
			end++;
		memmove(found, end, strlen(end) + 1);
		end = error->context + strlen(error->context);
		if (end > error->context && end[-1] == '\n')
			end[-1] = '\0';
	}
	if (error->context && error->context[0] == '\0')
		error->context = NULL;
}

/*
 * What is committed by now counts, also in a transaction whose snapshot is
 * older: a lock tells nothing of what was done before it was had, if the
 * statement that follows can't see that.  Referential integrity triggers do it
 * the same way.
 */
static int
execute(const char *sql, int nargs, const Oid *types, const Datum *values,
		const char *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int  result = 0;

	PG_TRY();
	{
		SPIPlanPtr plan = SPI_prepare(sql, nargs, unconstify(Oid *, types));

		result = plan == NULL
					 ? SPI_result
					 : SPI_execute_snapshot(plan, unconstify(Datum *, values),
											nulls, GetLatestSnapshot(),
											InvalidSnapshot, false, true, 0);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		forget_statement(error, sql);
		ReThrowError(error);
	}
	PG_END_TRY();
	return result;
}

uint64
job_query(const char *sql, int nargs, const Oid *types, const Datum *values,
		  const bool *nulls)
{
	char marks[JOB_QUERY_ARGS] = {0};
	int	 result;

	Assert(nargs <= JOB_QUERY_ARGS);
	for (int i = 0; i < nargs; i++)
		marks[i] = nulls && nulls[i] ? 'n' : ' ';
	result = execute(sql, nargs, types, values, marks);
	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

char *
job_field(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						column);
}

int64
job_field_int(uint64 row, int column, int64 null_value)
{
	char *text = job_field(row, column);

	return text ? pg_strtoint64(text) : null_value;
}

List *
job_field_list(uint64 row, int column)
{
	bool  is_null;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
								column, &is_null);

	return is_null ? NIL : text_array_to_list(value);
}

List *
text_array_to_list(Datum array)
{
	List  *list = NIL;
	Datum *elements;
	bool  *nulls;
	int	   count;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("array must not contain nulls")));
		list = lappend(list, TextDatumGetCString(elements[i]));
	}
	return list;
}

Datum
text_array_from_list(const List *list)
{
	int		  count = list_length(list);
	Datum	 *elements = palloc(sizeof(Datum) * Max(count, 1));
	ListCell *cell;

	foreach (cell, list)
		elements[foreach_current_index(cell)] =
			CStringGetTextDatum((char *) lfirst(cell));
	return PointerGetDatum(
		construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}
