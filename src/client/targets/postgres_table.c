/*
 * postgres_table.c
 *		What the target's catalog says of a table.
 */
#include "client/targets/postgres_table.h"

#include <stdlib.h>
#include <string.h>

static const char columns_query[] =
	"SELECT relkind, attname, atttypid, attgenerated, attidentity"
	" FROM pg_namespace AS n JOIN pg_class AS c ON relnamespace = n.oid"
	" LEFT JOIN pg_attribute ON attrelid = c.oid AND attnum > 0"
	"  AND NOT attisdropped"
	" WHERE nspname = $1 AND relname = $2 ORDER BY attnum";

/* Of each column of each unique index the operator that stands for equality. */
static const char indexes_query[] =
	"SELECT indexrelid, indnkeyatts, attname, s.nspname, oprname"
	" FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid"
	" JOIN pg_index ON indrelid = c.oid"
	" CROSS JOIN unnest(indkey::int2[], indclass::oid[]) WITH ORDINALITY"
	"  AS k (attribute, class, place)"
	" JOIN pg_attribute AS a ON attrelid = c.oid AND attnum = attribute"
	" JOIN pg_opclass AS o ON o.oid = class"
	" JOIN pg_am ON pg_am.oid = opcmethod AND amname = 'btree'"
	" JOIN pg_amop ON amopfamily = opcfamily AND amoplefttype = opcintype"
	"  AND amoprighttype = opcintype AND amopstrategy = 3"
	" JOIN pg_operator ON pg_operator.oid = amopopr"
	" JOIN pg_namespace AS s ON s.oid = oprnamespace"
	" WHERE n.nspname = $1 AND c.relname = $2 AND indisunique AND indisvalid"
	"  AND indpred IS NULL AND indexprs IS NULL AND place <= indnkeyatts"
	" ORDER BY indisprimary DESC, indexrelid, place";

static char *
table_identifier(PGconn *conn, const char *name)
{
	char *quoted = PQescapeIdentifier(conn, name, strlen(name));
	char *copy;

	if (quoted == NULL)
		client_exit(EXIT_FAILED, "\"%s\" can't be quoted: %s", name,
					PQerrorMessage(conn));
	copy = client_strdup(quoted);
	PQfreemem(quoted);
	return copy;
}

static bool
label_is(const JsonValue *value, const char *label)
{
	return strncmp(label, value->data, value->length) == 0 &&
		   label[value->length] == '\0';
}

static PostgresTable *
table_new(PostgresTables *tables, PostgresSession *session,
		  const JsonValue *schema, const JsonValue *name)
{
	PostgresTable *table = client_alloc(sizeof(PostgresTable));
	char		  *schema_name = json_unquoted(schema);
	char		  *table_name = json_unquoted(name);
	char		  *schema_identifier;
	char		  *table_quoted;

	if (schema_name == NULL || table_name == NULL)
		client_exit(EXIT_FAILED, "a record names no table");
	table->schema = client_strndup(schema->data, schema->length);
	table->name = client_strndup(name->data, name->length);
	table->display = client_format("%s.%s", schema_name, table_name);
	schema_identifier = table_identifier(session->conn, schema_name);
	table_quoted = table_identifier(session->conn, table_name);
	table->identifier =
		client_format("%s.%s", schema_identifier, table_quoted);
	free(schema_identifier);
	free(table_quoted);
	free(schema_name);
	free(table_name);
	table->next = tables->first;
	return tables->first = table;
}

PostgresTable *
postgres_table(PostgresTables *tables, PostgresSession *session,
			   const JsonValue *schema, const JsonValue *name)
{
	PostgresTable **at;

	for (at = &tables->first; *at; at = &(*at)->next)
		if (label_is(name, (*at)->name) && label_is(schema, (*at)->schema))
		{
			PostgresTable *table = *at;

			/* the one that changes now probably changes next */
			*at = table->next;
			table->next = tables->first;
			return tables->first = table;
		}
	return table_new(tables, session, schema, name);
}

void
postgres_table_ask(PostgresTable *table, PostgresSession *session)
{
	JsonValue	schema = {table->schema, strlen(table->schema)};
	JsonValue	name = {table->name, strlen(table->name)};
	char	   *schema_name = json_unquoted(&schema);
	char	   *table_name = json_unquoted(&name);
	const char *values[] = {schema_name, table_name};

	postgres_expect(session,
					PQsendQueryParams(session->conn, columns_query, 2, NULL,
									  values, NULL, NULL, 0),
					(PostgresAnswer){.kind = ANSWER_COLUMNS, .table = table});
	postgres_expect(session,
					PQsendQueryParams(session->conn, indexes_query, 2, NULL,
									  values, NULL, NULL, 0),
					(PostgresAnswer){.kind = ANSWER_INDEXES, .table = table});
	PQsendFlushRequest(session->conn);
	table->is_asked = true;
	free(schema_name);
	free(table_name);
}

void
postgres_table_columns(PostgresTable *table, PGresult *result, PGconn *conn)
{
	int n = PQntuples(result);
	int i;

	table->kind = n > 0 ? PQgetvalue(result, 0, 0)[0] : 0;
	if (n == 1 && PQgetisnull(result, 0, 1))
		n = 0; /* a table without columns */
	table->columns = client_alloc((n + 1) * sizeof(PostgresColumn));
	table->ncolumns = n;
	for (i = 0; i < n; i++)
		table->columns[i] = (PostgresColumn){
			.name = client_strdup(PQgetvalue(result, i, 1)),
			.identifier = table_identifier(conn, PQgetvalue(result, i, 1)),
			.type = strtoul(PQgetvalue(result, i, 2), NULL, 10),
			.generated = PQgetvalue(result, i, 3)[0] != '\0',
			.identity_always = PQgetvalue(result, i, 4)[0] == 'a',
		};
}

static int
column_by_name(const PostgresTable *table, const char *name)
{
	int i;

	for (i = 0; i < table->ncolumns; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return i;
	return -1;
}

/* The rows of one index, from first on; returns how many there are. */
static int
take_index(PostgresTable *table, PGresult *result, int first, PGconn *conn)
{
	PostgresIndex *index = &table->indexes[table->nindexes];
	const char	  *oid = PQgetvalue(result, first, 0);
	int			   ncolumns = atoi(PQgetvalue(result, first, 1));
	int			   n = 0;

	while (first + n < PQntuples(result) &&
		   strcmp(PQgetvalue(result, first + n, 0), oid) == 0)
		n++;
	if (n != ncolumns)
		return n; /* one of its columns has no such operator */
	index->ncolumns = n;
	index->columns = client_alloc(n * sizeof(int));
	index->operators = client_alloc(n * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		char *schema =
			table_identifier(conn, PQgetvalue(result, first + i, 3));

		index->columns[i] =
			column_by_name(table, PQgetvalue(result, first + i, 2));
		index->operators[i] = client_format("OPERATOR(%s.%s)", schema,
											PQgetvalue(result, first + i, 4));
		free(schema);
	}
	table->nindexes++;
	return n;
}

void
postgres_table_indexes(PostgresTable *table, PGresult *result, PGconn *conn)
{
	int n = PQntuples(result);
	int i = 0;

	table->indexes = client_alloc((n + 1) * sizeof(PostgresIndex));
	while (i < n)
		i += take_index(table, result, i, conn);
	table->is_described = true;
}

static void
free_description(PostgresTable *table)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		free(table->columns[i].name);
		free(table->columns[i].identifier);
		free(table->columns[i].label);
	}
	for (int i = 0; i < table->nindexes; i++)
	{
		for (int k = 0; k < table->indexes[i].ncolumns; k++)
			free(table->indexes[i].operators[k]);
		free(table->indexes[i].columns);
		free(table->indexes[i].operators);
	}
	free(table->columns);
	free(table->indexes);
	table->columns = NULL;
	table->indexes = NULL;
	table->ncolumns = table->nindexes = 0;
}

void
postgres_statements_forget(PostgresTable *table, PostgresSession *session)
{
	while (table->statements)
	{
		PostgresStatement *statement = table->statements;
		char *sql = client_format("DEALLOCATE %s", statement->name);

		if (session)
			postgres_send(session, sql,
						  (PostgresAnswer){.kind = ANSWER_NOTHING});
		table->statements = statement->next;
		mem_free(&statement->shape);
		free(statement->name);
		free(statement);
		free(sql);
	}
	table->nstatements = 0;
}

/* A line of what is known; a key has no newline in it. */
static bool
key_was_told(const PostgresTable *table, const JsonValue *key)
{
	const char *p = table->keys.data;
	const char *end = p + table->keys.length;

	for (; p < end; p += strcspn(p, "\n") + 1)
		if (strcspn(p, "\n") == key->length &&
			memcmp(p, key->data, key->length) == 0)
			return true;
	return false;
}

static bool
was_told(const Bytes *known, const JsonValue *value)
{
	return known->length == value->length &&
		   (value->length == 0 ||
			memcmp(known->data, value->data, value->length) == 0);
}

static void
keep_told(Bytes *known, const JsonValue *value)
{
	mem_reset(known);
	mem_append(known, value->data, value->length);
}

void
postgres_table_told(PostgresTable *table, PostgresSession *session,
					const JsonValue *columns, const JsonValue *key)
{
	bool is_same = was_told(&table->columns_told, columns);
	bool is_again = is_same && was_told(&table->key_told, key);

	keep_told(&table->key_told, key);
	if (is_same && !is_again && key_was_told(table, key))
		return;
	if (!is_same || is_again)
		mem_reset(&table->keys);
	keep_told(&table->columns_told, columns);
	mem_append(&table->keys, key->data, key->length);
	mem_add(&table->keys, "\n");
	free_description(table);
	postgres_statements_forget(table, session);
	table->is_asked = table->is_described = table->warned = false;
}

void
postgres_tables_forget(PostgresTables *tables)
{
	while (tables->first)
	{
		PostgresTable *table = tables->first;

		tables->first = table->next;
		free_description(table);
		postgres_statements_forget(table, NULL);
		mem_free(&table->columns_told);
		mem_free(&table->key_told);
		mem_free(&table->keys);
		free(table->schema);
		free(table->name);
		free(table->display);
		free(table->identifier);
		free(table);
	}
}

int
postgres_column(PostgresTable *table, const JsonValue *label, int guess)
{
	char *name;
	int	  i;

	if (guess < table->ncolumns && table->columns[guess].label &&
		label_is(label, table->columns[guess].label))
		return guess;
	for (i = 0; i < table->ncolumns; i++)
		if (table->columns[i].label &&
			label_is(label, table->columns[i].label))
			return i;
	name = json_unquoted(label);
	i = column_by_name(table, name);
	free(name);
	if (i >= 0)
		table->columns[i].label = client_strndup(label->data, label->length);
	return i;
}

bool
postgres_table_makes(PostgresTable *table, const JsonValue *labels)
{
	const char *end = labels->data + labels->length;
	JsonValue	label = {labels->data, 0};

	/* past the bracket, or a label and its comma */
	while ((label.data += label.length + 1) < end)
	{
		int column;

		label.length = json_value_length(label.data, end);
		column = postgres_column(table, &label, 0);
		if (column < 0 || !table->columns[column].generated)
			return false;
	}
	return true;
}

char *
postgres_table_only(const PostgresTable *table)
{
	return client_format("%s%s", table->kind == 'p' ? "" : "ONLY ",
						 table->identifier);
}

const PostgresIndex *
postgres_table_index(const PostgresTable *table, const int *columns,
					 int ncolumns)
{
	for (int i = 0; i < table->nindexes; i++)
	{
		const PostgresIndex *index = &table->indexes[i];
		int					 found = 0;

		for (int k = 0; k < index->ncolumns; k++)
			for (int c = 0; c < ncolumns; c++)
				found += columns[c] == index->columns[k];
		if (found == index->ncolumns)
			return index;
	}
	return NULL;
}
