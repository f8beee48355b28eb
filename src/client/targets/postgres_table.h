/*
 * postgres_table.h
 *		What is known of the tables that changes are applied to, and the
 *		statements that apply them.
 */
#ifndef CLIENT_POSTGRES_TABLE_H
#define CLIENT_POSTGRES_TABLE_H

#include "client/json_scan.h"
#include "client/targets/postgres_session.h"

typedef struct PostgresColumn
{
	char *name;
	char *identifier; /* quoted */
	char *label; /* as records write it, with quotes; NULL: none has yet */
	Oid	  type;
	bool  generated;	   /* left to the target */
	bool  identity_always; /* no UPDATE may set it */
} PostgresColumn;

/* A unique index, and the operators that it finds a row by. */
typedef struct PostgresIndex
{
	int	   ncolumns;
	int	  *columns;	  /* by their place in the table's */
	char **operators; /* OPERATOR(...) */
} PostgresIndex;

/* Which statement a change needs. */
typedef enum StatementKind
{
	STATEMENT_INSERT,
	STATEMENT_UPDATE,  /* of the row with the key */
	STATEMENT_REPLACE, /* the same, where a column can't be set */
	STATEMENT_DELETE,
	STATEMENT_UPDATE_ROW, /* of one of the rows that are the same */
	STATEMENT_REPLACE_ROW,
	STATEMENT_DELETE_ROW,
	STATEMENT_LOOK, /* nothing changes, but the row must be there */
} StatementKind;

/* A statement of a table, by what it does to which columns. */
typedef struct PostgresStatement
{
	struct PostgresStatement *next;
	Bytes					  shape; /* kind, columns to set and to find by */
	char					 *name;
} PostgresStatement;

typedef struct PostgresTable
{
	struct PostgresTable *next;
	char				 *schema; /* as records write them, with quotes */
	char				 *name;
	char				 *display; /* for messages */
	char				 *identifier;
	bool				  is_asked;
	bool				  is_described;
	char				  kind; /* pg_class.relkind; 0: there is none */
	int					  ncolumns;
	PostgresColumn		 *columns;
	int					  nindexes;
	PostgresIndex		 *indexes;
	PostgresStatement	 *statements;
	int					  nstatements;
	bool				  warned;		/* that no index finds its rows */
	Bytes				  columns_told; /* by the last schema record */
	Bytes				  key_told;
	Bytes				  keys; /* with these columns, a line each */
} PostgresTable;

typedef struct PostgresTables
{
	PostgresTable *first;
	unsigned long  named; /* statements, ever */
} PostgresTables;

/* The table that a record names; it may still have to be described. */
extern PostgresTable *postgres_table(PostgresTables	 *tables,
									 PostgresSession *session,
									 const JsonValue *schema,
									 const JsonValue *name);

/* Asks the server for it; and what the answers say. */
extern void postgres_table_ask(PostgresTable *table, PostgresSession *session);
extern void postgres_table_columns(PostgresTable *table, PGresult *result,
								   PGconn *conn);
extern void postgres_table_indexes(PostgresTable *table, PGresult *result,
								   PGconn *conn);

/*
 * A schema record.  If it tells something new the table may have been changed, or
 * got an index; if it tells the same as the last one, the table was made anew: it is
 * asked for again when it is needed.  Partitions with keys of their own bring the
 * same few records in turn.
 */
extern void postgres_table_told(PostgresTable *table, PostgresSession *session,
								const JsonValue *columns,
								const JsonValue *key);

/* All of them, with a session that ended or has deallocated all. */
extern void postgres_tables_forget(PostgresTables *tables);

extern void postgres_statements_forget(PostgresTable   *table,
									   PostgresSession *session);

/* The column that a record calls so, or -1; guess is where it may be. */
extern int postgres_column(PostgresTable *table, const JsonValue *label,
						   int guess);

/* Whether all columns of a list of labels are generated there. */
extern bool postgres_table_makes(PostgresTable	 *table,
								 const JsonValue *labels);

/* How statements name it: without tables that inherit from it. */
extern char *postgres_table_only(const PostgresTable *table);

/*
 * Of these columns that name a row, the index that finds it by some of them, or
 * NULL.
 */
extern const PostgresIndex *postgres_table_index(const PostgresTable *table,
												 const int			 *columns,
												 int ncolumns);

/*
 * postgres_statement.c: the statement that sets the columns to parameters 1 to
 * nset, in the row that has the nfind columns from there on.  Prepares it if it
 * is new.
 */
extern const PostgresStatement *
postgres_statement(PostgresTables *tables, PostgresTable *table,
				   PostgresSession *session, StatementKind kind,
				   const int *set, int nset, const int *find, int nfind,
				   const PostgresIndex *index);

#endif
