/*
 * table_row.h
 *		A row of a job table and the struct that holds it, described once.
 *
 * A table is an array of fields.  The statements that write and read its rows
 * follow from it, and so does what goes into them and comes out.
 */
#ifndef OUTFLOW_TABLE_ROW_H
#define OUTFLOW_TABLE_ROW_H

#include "export/job/job_access.h"
#include "lib/stringinfo.h"

/* What the struct has; the SQL type follows. */
typedef enum FieldKind
{
	FIELD_INT32,
	FIELD_INT64,
	FIELD_UINT32,	  /* as bigint */
	FIELD_OBJECT,	  /* Oid */
	FIELD_TEXT,		  /* char * */
	FIELD_TEXTS,	  /* List of char *, as text[] */
	FIELD_LSN,		  /* XLogRecPtr */
	FIELD_SQLSTATE,	  /* int, as five characters; 0 is null */
	FIELD_ERROR_TEXT, /* char[ERROR_TEXT_SIZE]; "" is null */
	FIELD_CHECKSUM,	  /* Checksum, as "method:hex" */
	/* these are only read */
	FIELD_BOOL,
	FIELD_LSN_TEXT, /* char *, as we write LSNs everywhere */
	FIELD_CHOICE	/* an enum, as one of its names */
} FieldKind;

/* Which statements have the field. */
#define FIELD_SELECTED 0x01
#define FIELD_INSERTED 0x02
#define FIELD_RESULT   0x04 /* the UPDATE with what came of it */

typedef struct RowField
{
	const char *name; /* the column's */
	FieldKind	kind;
	size_t		offset;
	int			uses;	  /* FIELD_SELECTED and so on */
	bool		nullable; /* and this is null, if it is a number: */
	int64		null_value;

	const char *const *choices; /* FIELD_CHOICE: the names, then NULL */
	const char		  *reads;	/* instead of the column's name */
	const char		  *writes;	/* around the parameter: a format */
} RowField;

typedef struct RowTable
{
	const char	   *name;
	size_t			size; /* of the struct */
	const RowField *fields;
	int				nfields;
} RowTable;

/* What a statement is given: $1, $2 and so on. */
typedef struct RowArguments
{
	int	  count;
	Oid	  types[JOB_QUERY_ARGS];
	Datum values[JOB_QUERY_ARGS];
	bool  nulls[JOB_QUERY_ARGS];
} RowArguments;

/* Adds one that is no field. */
extern void row_argument(RowArguments *arguments, Oid type, Datum value);
/* A text; NULL is null. */
extern void row_text_argument(RowArguments *arguments, const char *text);
/* Adds the row's fields with this use. */
extern void row_arguments(RowArguments *arguments, const RowTable *table,
						  int use, const void *row);

/* Parts of statements: "a, b", "$1, $2" and "a = $1, b = $2". */
extern void row_columns(StringInfo sql, const RowTable *table, int use,
						const char *prefix);
extern void row_parameters(StringInfo sql, const RowTable *table, int use,
						   int first);
extern void row_assignments(StringInfo sql, const RowTable *table, int use,
							int first);

extern const RowTable job_table;

/* Inserts one row; suffix follows the statement.  Returns how many came. */
extern uint64 row_insert(const RowTable *table, const void *row,
						 const char *suffix);
/* Whether the same would be inserted for both. */
extern bool row_is_same(const RowTable *table, const void *row,
						const void *other);
/* UPDATE, or another statement; the same. */
extern uint64 row_query(const char *sql, const RowArguments *arguments);
/* The rows under a condition, as structs in the context. */
extern List *row_select(const RowTable *table, const char *condition,
						const RowArguments *arguments, MemoryContext context);

#endif /* OUTFLOW_TABLE_ROW_H */
