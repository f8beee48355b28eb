/*
 * table_row.c
 *		From the description of a job table's row to its statements.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"

#include "compat.h"
#include "export/job/error.h"
#include "export/job/table_row.h"
#include "sink/sink.h"

/* Of those that are written, the parameter's type. */
static const Oid field_types[] = {
	[FIELD_INT32] = INT4OID,	[FIELD_INT64] = INT8OID,
	[FIELD_UINT32] = INT8OID,	[FIELD_OBJECT] = OIDOID,
	[FIELD_TEXT] = TEXTOID,		[FIELD_TEXTS] = TEXTARRAYOID,
	[FIELD_LSN] = LSNOID,		[FIELD_SQLSTATE] = TEXTOID,
	[FIELD_CHECKSUM] = TEXTOID, [FIELD_ERROR_TEXT] = TEXTOID,
};

void
row_argument(RowArguments *arguments, Oid type, Datum value)
{
	Assert(arguments->count < JOB_QUERY_ARGS);
	arguments->types[arguments->count] = type;
	arguments->values[arguments->count] = value;
	arguments->nulls[arguments->count++] = false;
}

void
row_text_argument(RowArguments *arguments, const char *text)
{
	row_argument(arguments, TEXTOID,
				 text ? CStringGetTextDatum(text) : (Datum) 0);
	arguments->nulls[arguments->count - 1] = text == NULL;
}

static Datum
number_datum(const RowField *field, int64 number, Datum datum, bool *is_null)
{
	*is_null = field->nullable && number == field->null_value;
	return datum;
}

static Datum
text_datum(const char *text, bool *is_null)
{
	*is_null = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

static Datum
field_datum(const RowField *field, const void *row, bool *is_null)
{
	const void *member = (const char *) row + field->offset;

	*is_null = false;
	switch (field->kind)
	{
		case FIELD_INT32:
			return number_datum(field, *(const int32 *) member,
								Int32GetDatum(*(const int32 *) member),
								is_null);
		case FIELD_INT64:
			return number_datum(field, *(const int64 *) member,
								Int64GetDatum(*(const int64 *) member),
								is_null);
		case FIELD_UINT32:
			return Int64GetDatum((int64) * (const uint32 *) member);
		case FIELD_OBJECT:
			return ObjectIdGetDatum(*(const Oid *) member);
		case FIELD_TEXT:
			return text_datum(*(char *const *) member, is_null);
		case FIELD_TEXTS:
			*is_null = field->nullable && *(List *const *) member == NIL;
			return text_array_from_list(*(List *const *) member);
		case FIELD_LSN:
			return LSNGetDatum(*(const XLogRecPtr *) member);
		case FIELD_SQLSTATE:
			*is_null = *(const int *) member == 0;
			return CStringGetTextDatum(
				unpack_sql_state(*(const int *) member));
		case FIELD_ERROR_TEXT:
			*is_null = *(const char *) member == '\0';
			return CStringGetTextDatum((const char *) member);
		case FIELD_CHECKSUM:
			return CStringGetTextDatum(
				checksum_to_text((const Checksum *) member));
		case FIELD_BOOL:
		case FIELD_LSN_TEXT:
		case FIELD_CHOICE:
			break;
	}
	elog(ERROR, "column \"%s\" is only read", field->name);
}

void
row_arguments(RowArguments *arguments, const RowTable *table, int use,
			  const void *row)
{
	for (int i = 0; i < table->nfields; i++)
	{
		const RowField *field = &table->fields[i];
		Datum			value;
		bool			is_null;

		if (!(field->uses & use))
			continue;
		value = field_datum(field, row, &is_null);
		row_argument(arguments, field_types[field->kind], value);
		arguments->nulls[arguments->count - 1] = is_null;
	}
}

typedef void (*AppendField)(StringInfo sql, const RowField *field,
							const char *prefix, int number);

/* number: the first parameter's */
static void
row_append_fields(StringInfo sql, const RowTable *table, int use,
				  AppendField append, const char *prefix, int number)
{
	bool first = true;

	for (int i = 0; i < table->nfields; i++)
	{
		if (!(table->fields[i].uses & use))
			continue;
		if (!first)
			appendStringInfoString(sql, ", ");
		append(sql, &table->fields[i], prefix, number++);
		first = false;
	}
}

static void
row_append_column(StringInfo sql, const RowField *field, const char *prefix,
				  int number)
{
	appendStringInfo(sql, "%s%s", prefix, field->name);
}

static void
append_expression(StringInfo sql, const RowField *field, const char *prefix,
				  int number)
{
	appendStringInfoString(sql, field->reads ? field->reads : field->name);
}

static void
append_parameter(StringInfo sql, const RowField *field, const char *prefix,
				 int number)
{
	appendStringInfo(sql, field->writes ? field->writes : "$%d", number);
}

static void
append_assignment(StringInfo sql, const RowField *field, const char *prefix,
				  int number)
{
	appendStringInfo(sql, "%s = ", field->name);
	append_parameter(sql, field, prefix, number);
}

void
row_columns(StringInfo sql, const RowTable *table, int use, const char *prefix)
{
	row_append_fields(sql, table, use, row_append_column, prefix, 0);
}

void
row_parameters(StringInfo sql, const RowTable *table, int use, int first)
{
	row_append_fields(sql, table, use, append_parameter, "", first);
}

void
row_assignments(StringInfo sql, const RowTable *table, int use, int first)
{
	row_append_fields(sql, table, use, append_assignment, "", first);
}

uint64
row_query(const char *sql, const RowArguments *arguments)
{
	return job_query(sql, arguments->count, arguments->types,
					 arguments->values, arguments->nulls);
}

uint64
row_insert(const RowTable *table, const void *row, const char *suffix)
{
	StringInfoData sql;
	RowArguments   arguments = {0};

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", table->name);
	row_columns(&sql, table, FIELD_INSERTED, "");
	appendStringInfoString(&sql, ") VALUES (");
	row_parameters(&sql, table, FIELD_INSERTED, 1);
	appendStringInfo(&sql, ")%s", suffix);
	row_arguments(&arguments, table, FIELD_INSERTED, row);
	return row_query(sql.data, &arguments);
}

/* As they would be written, by bytes. */
static bool
is_same_field(const RowField *field, const void *row, const void *other)
{
	bool  row_null, other_null;
	Datum value = field_datum(field, row, &row_null);
	Datum other_value = field_datum(field, other, &other_null);
	Oid	  type = field_types[field->kind];

	if (row_null || other_null)
		return row_null && other_null;
	return datumIsEqual(value, other_value, get_typbyval(type),
						get_typlen(type));
}

bool
row_is_same(const RowTable *table, const void *row, const void *other)
{
	for (int i = 0; i < table->nfields; i++)
	{
		if ((table->fields[i].uses & FIELD_INSERTED) &&
			!is_same_field(&table->fields[i], row, other))
			return false;
	}
	return true;
}

static int
choice_of(const RowField *field, const char *text)
{
	for (int i = 0; field->choices[i]; i++)
	{
		if (strcmp(field->choices[i], text) == 0)
			return i;
	}
	elog(ERROR, "unknown %s \"%s\"", field->name, text);
}

/* Servers before and from 19 on print LSNs in two ways. */
static char *
lsn_text(const char *field)
{
	XLogRecPtr lsn;

	if (field == NULL || !parse_lsn(field, &lsn))
		return NULL;
	return psprintf("%X/%X", LSN_FORMAT_ARGS(lsn));
}

static XLogRecPtr
lsn_value(const char *field)
{
	XLogRecPtr lsn;

	return field && parse_lsn(field, &lsn) ? lsn : InvalidXLogRecPtr;
}

static void
row_read_field(const RowField *field, uint64 row, int column, void *result)
{
	void *member = (char *) result + field->offset;
	char *text = job_field(row, column);
	int64 number = field->null_value;

	switch (field->kind)
	{
		case FIELD_INT32:
			*(int32 *) member = (int32) job_field_int(row, column, number);
			break;
		case FIELD_INT64:
			*(int64 *) member = job_field_int(row, column, number);
			break;
		case FIELD_UINT32:
		case FIELD_OBJECT:
			*(uint32 *) member = (uint32) job_field_int(row, column, number);
			break;
		case FIELD_BOOL:
			*(bool *) member = text && text[0] == 't';
			break;
		case FIELD_TEXT:
			*(char **) member = text ? pstrdup(text) : NULL;
			break;
		case FIELD_TEXTS:
			*(List **) member = job_field_list(row, column);
			break;
		case FIELD_LSN:
			*(XLogRecPtr *) member = lsn_value(text);
			break;
		case FIELD_LSN_TEXT:
			*(char **) member = lsn_text(text);
			break;
		case FIELD_CHOICE:
			*(int *) member = choice_of(field, text);
			break;
		case FIELD_SQLSTATE:
			*(int *) member = text ? MAKE_SQLSTATE(text[0], text[1], text[2],
												   text[3], text[4])
								   : 0;
			break;
		case FIELD_ERROR_TEXT:
			error_text_copy(member, text);
			break;
		case FIELD_CHECKSUM:
			if (text)
				checksum_from_text(text, member);
			break;
	}
	if (text)
		pfree(text);
}

List *
row_select(const RowTable *table, const char *condition,
		   const RowArguments *arguments, MemoryContext context)
{
	List		  *rows = NIL;
	StringInfoData sql;
	uint64		   count;
	MemoryContext  old;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	row_append_fields(&sql, table, FIELD_SELECTED, append_expression, "", 0);
	appendStringInfo(&sql, " FROM %s WHERE %s", table->name, condition);
	count = row_query(sql.data, arguments);

	old = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < count; i++)
	{
		void *row = palloc0(table->size);
		int	  column = 0;

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < table->nfields; j++)
		{
			if (table->fields[j].uses & FIELD_SELECTED)
				row_read_field(&table->fields[j], i, ++column, row);
		}
		rows = lappend(rows, row);
	}
	MemoryContextSwitchTo(old);
	return rows;
}
