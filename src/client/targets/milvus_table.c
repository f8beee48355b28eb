/*
 * milvus_table.c
 *		Tables that changes come from, and the names of their collections.
 */
#ifdef HAVE_LIBCURL

#include <stdlib.h>
#include <string.h>

#include "client/targets/milvus.h"

bool
milvus_template_is_valid(const char *text)
{
	const char *p = text;

	while ((p = strpbrk(p, "{}")) != NULL)
	{
		if (strncmp(p, "{schema}", 8) != 0 && strncmp(p, "{table}", 7) != 0)
			return false;
		p = strchr(p, '}') + 1;
	}
	return *text != '\0';
}

/* What no name of a collection may have becomes an underscore. */
static void
append_name(Bytes *out, const char *text)
{
	for (; *text; text++)
	{
		bool is_letter = (*text >= 'a' && *text <= 'z') ||
						 (*text >= 'A' && *text <= 'Z') || *text == '_';
		bool is_digit = *text >= '0' && *text <= '9' && out->length > 0;

		mem_append(out, is_letter || is_digit ? text : "_", 1);
	}
}

static char *
collection_name(const char *template, const MilvusTable *table)
{
	Bytes		name = {0};
	const char *p = template;

	while (*p)
	{
		size_t plain = strcspn(p, "{");

		mem_append(&name, p, plain);
		p += plain;
		if (*p == '\0')
			break;
		append_name(&name, p[1] == 's' ? table->schema : table->name);
		p = strchr(p, '}') + 1;
	}
	return name.data;
}

static void
check_alone(const MilvusTable *tables, const MilvusTable *table,
			const Target *target)
{
	for (; tables; tables = tables->next)
		if (strcmp(tables->collection, table->collection) == 0)
			client_exit(EXIT_TARGET,
						"%s: tables %s and %s would share collection \"%s\"; "
						"tell them apart by --milvus-collection, or let a "
						"publication publish partitions via their root",
						target->name, tables->display, table->display,
						table->collection);
}

MilvusTable *
milvus_table(MilvusTable	**tables, const char *template,
			 const JsonValue *schema, const JsonValue *name,
			 const Target *target)
{
	char		*schema_text = schema->data ? json_unquoted(schema) : NULL;
	char		*name_text = name->data ? json_unquoted(name) : NULL;
	MilvusTable *table = NULL;

	if (schema_text && name_text)
		for (table = *tables; table; table = table->next)
			if (strcmp(table->schema, schema_text) == 0 &&
				strcmp(table->name, name_text) == 0)
				break;
	if (table == NULL && schema_text && name_text)
	{
		table = client_alloc(sizeof(MilvusTable));
		table->schema = schema_text;
		table->name = name_text;
		table->display = client_format("%s.%s", schema_text, name_text);
		table->collection = collection_name(template, table);
		check_alone(*tables, table, target);
		table->next = *tables;
		*tables = table;
		return table;
	}
	free(schema_text);
	free(name_text);
	return table;
}

MilvusField *
milvus_add_field(MilvusTable *table, char *name, char *type)
{
	MilvusField *field;

	table->fields = client_realloc(table->fields,
								   (table->nfields + 1) * sizeof(MilvusField));
	field = &table->fields[table->nfields++];
	*field = (MilvusField){.name = name, .type = type};
	return field;
}

int
milvus_field(MilvusTable *table, const JsonValue *name)
{
	char  *text = json_unquoted(name);
	size_t i;

	for (i = 0; text && i < table->nfields; i++)
		if (strcmp(table->fields[i].name, text) == 0)
		{
			free(text);
			return (int) i;
		}
	if (text == NULL || !table->takes_dynamic)
	{
		free(text);
		return -1;
	}
	milvus_add_field(table, text, client_strdup("dynamic"))->is_dynamic = true;
	return (int) table->nfields - 1;
}

#endif /* HAVE_LIBCURL */
