/*
 * postgres_statement.c
 *		The SQL that applies a change, prepared once per table and set of
 *		columns.
 *
 * Parameters have the types of their columns, so that text becomes a value as
 * COPY would have it.  A row is found by the operators of an index that is
 * unique.  Where there is none, and where there is no key, rows are compared by
 * what is stored of them, as IS NOT DISTINCT FROM would but for types that have
 * no equality or a loose one: 1.0 is not 1.00.
 */
#include <stdlib.h>
#include <string.h>

#include "client/targets/postgres_table.h"

/* Of a table; with more sets of columns than that they are prepared again. */
#define MAX_STATEMENTS 500

typedef struct StatementText
{
	Bytes				 sql;
	const PostgresTable *table;
	const int			*set;
	int					 nset;
	const int			*find;
	int					 nfind;
	const PostgresIndex *index;
	char				*only;
} StatementText;

static void
add_column(StatementText *text, int column, bool first)
{
	mem_format(&text->sql, "%s%s", first ? "" : ", ",
			   text->table->columns[column].identifier);
}

/* The parameter that has the column to find by. */
static int
find_parameter(const StatementText *text, int column)
{
	for (int i = 0; i < text->nfind; i++)
		if (text->find[i] == column)
			return text->nset + i + 1;
	return 0;
}

static void
add_index_condition(StatementText *text)
{
	const PostgresIndex *index = text->index;

	for (int i = 0; i < index->ncolumns; i++)
		mem_format(&text->sql, "%s%s %s $%d", i == 0 ? "" : " AND ",
				   text->table->columns[index->columns[i]].identifier,
				   index->operators[i],
				   find_parameter(text, index->columns[i]));
}

static void
add_image_condition(StatementText *text)
{
	mem_add(&text->sql, "ROW(");
	for (int i = 0; i < text->nfind; i++)
		add_column(text, text->find[i], i == 0);
	mem_add(&text->sql, ")::record *= ROW(");
	for (int i = 0; i < text->nfind; i++)
		mem_format(&text->sql, "%s$%d", i == 0 ? "" : ", ",
				   text->nset + i + 1);
	mem_add(&text->sql, ")::record");
}

/* Rows that are the same in all: any one of them is the right one. */
static void
add_condition(StatementText *text, bool one_of_same)
{
	mem_add(&text->sql, " WHERE ");
	if (text->index)
		add_index_condition(text);
	else if (one_of_same)
	{
		mem_format(&text->sql,
				   "(tableoid, ctid) = (SELECT tableoid, ctid FROM %s WHERE ",
				   text->only);
		add_image_condition(text);
		mem_add(&text->sql, " LIMIT 1)");
	}
	else
		add_image_condition(text);
}

static void
add_insert(StatementText *text)
{
	mem_format(&text->sql, "INSERT INTO %s ", text->table->identifier);
	if (text->nset == 0)
	{
		mem_add(&text->sql, "DEFAULT VALUES");
		return;
	}
	mem_add(&text->sql, "(");
	for (int i = 0; i < text->nset; i++)
		add_column(text, text->set[i], i == 0);
	mem_add(&text->sql, ") OVERRIDING SYSTEM VALUE VALUES (");
	for (int i = 0; i < text->nset; i++)
		mem_format(&text->sql, "%s$%d", i == 0 ? "" : ", ", i + 1);
	mem_add(&text->sql, ")");
}

static void
add_update(StatementText *text, bool one_of_same)
{
	mem_format(&text->sql, "UPDATE %s SET ", text->only);
	for (int i = 0; i < text->nset; i++)
	{
		add_column(text, text->set[i], i == 0);
		mem_format(&text->sql, " = $%d", i + 1);
	}
	add_condition(text, one_of_same);
}

/* A new row that has the rest from the old one. */
static void
add_replace(StatementText *text, bool one_of_same)
{
	const PostgresTable *table = text->table;
	bool				 first = true;

	mem_format(&text->sql, "WITH old AS (DELETE FROM %s", text->only);
	add_condition(text, one_of_same);
	mem_format(&text->sql, " RETURNING *) INSERT INTO %s (",
			   table->identifier);
	for (int i = 0; i < table->ncolumns; i++)
		if (!table->columns[i].generated)
		{
			add_column(text, i, first);
			first = false;
		}
	mem_add(&text->sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	first = true;
	for (int i = 0; i < table->ncolumns; i++)
	{
		int parameter = 0;

		if (table->columns[i].generated)
			continue;
		for (int k = 0; k < text->nset; k++)
			if (text->set[k] == i)
				parameter = k + 1;
		if (parameter)
			mem_format(&text->sql, "%s$%d", first ? "" : ", ", parameter);
		else
			add_column(text, i, first);
		first = false;
	}
	mem_add(&text->sql, " FROM old");
}

static void
add_statement(StatementText *text, StatementKind kind)
{
	switch (kind)
	{
		case STATEMENT_INSERT:
			add_insert(text);
			break;
		case STATEMENT_UPDATE:
		case STATEMENT_UPDATE_ROW:
			add_update(text, kind == STATEMENT_UPDATE_ROW);
			break;
		case STATEMENT_REPLACE:
		case STATEMENT_REPLACE_ROW:
			add_replace(text, kind == STATEMENT_REPLACE_ROW);
			break;
		case STATEMENT_DELETE:
		case STATEMENT_DELETE_ROW:
			mem_format(&text->sql, "DELETE FROM %s", text->only);
			add_condition(text, kind == STATEMENT_DELETE_ROW);
			break;
		case STATEMENT_LOOK:
			mem_format(&text->sql, "SELECT FROM %s", text->only);
			add_condition(text, false);
			break;
	}
}

static void
prepare_statement(PostgresStatement *statement, StatementText *text,
				  PostgresSession *session)
{
	const PostgresTable *table = text->table;
	int					 n = text->nset + text->nfind;
	Oid					*types = client_alloc((n + 1) * sizeof(Oid));

	for (int i = 0; i < n; i++)
		types[i] = table
					   ->columns[i < text->nset ? text->set[i]
												: text->find[i - text->nset]]
					   .type;
	log_message(LOG_DEBUG, "%s: preparing %s", session->name, text->sql.data);
	postgres_expect(session,
					PQsendPrepare(session->conn, statement->name,
								  text->sql.data, n, types),
					(PostgresAnswer){.kind = ANSWER_NOTHING});
	free(types);
}

static void
append_shape(Bytes *shape, StatementKind kind, const int *set, int nset,
			 const int *find, int nfind)
{
	int head[] = {kind, nset};

	mem_append(shape, head, sizeof(head));
	mem_append(shape, set, nset * sizeof(int));
	mem_append(shape, find, nfind * sizeof(int));
}

const PostgresStatement *
postgres_statement(PostgresTables *tables, PostgresTable *table,
				   PostgresSession *session, StatementKind kind,
				   const int *set, int nset, const int *find, int nfind,
				   const PostgresIndex *index)
{
	static Bytes		shape;
	PostgresStatement **at;
	PostgresStatement  *statement;
	StatementText		text = {.table = table,
								.set = set,
								.nset = nset,
								.find = find,
								.nfind = nfind,
								.index = index};

	mem_reset(&shape);
	append_shape(&shape, kind, set, nset, find, nfind);
	for (at = &table->statements; (statement = *at); at = &statement->next)
		if (statement->shape.length == shape.length &&
			memcmp(statement->shape.data, shape.data, shape.length) == 0)
		{
			*at = statement->next;
			statement->next = table->statements;
			return table->statements = statement;
		}
	if (table->nstatements++ == MAX_STATEMENTS)
		postgres_statements_forget(table, session);
	statement = client_alloc(sizeof(PostgresStatement));
	mem_append(&statement->shape, shape.data, shape.length);
	statement->name = client_format("outflow_%lu", ++tables->named);
	statement->next = table->statements;
	table->statements = statement;
	text.only = postgres_table_only(table);
	add_statement(&text, kind);
	prepare_statement(statement, &text, session);
	mem_free(&text.sql);
	free(text.only);
	return statement;
}
