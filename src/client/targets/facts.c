/*
 * facts.c
 *		Reads what a record is about.
 *
 * Inserts of format json have no key of their own: it is made of the new row,
 * by the columns that the table's schema record named.
 */
#include "client/targets/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct KeyColumns
{
	char *table;   /* SCHEMA.TABLE */
	char *columns; /* ["id",..] */
} KeyColumns;

struct KeyMemory
{
	size_t		count;
	KeyColumns *entries;
};

KeyMemory *
key_memory_new(void)
{
	return client_alloc(sizeof(KeyMemory));
}

static KeyColumns *
find_columns(const KeyMemory *memory, const char *table)
{
	size_t i;

	for (i = 0; i < memory->count; i++)
		if (strcmp(memory->entries[i].table, table) == 0)
			return &memory->entries[i];
	return NULL;
}

/* A schema record: remember the key's columns. */
static void
learn_columns(KeyMemory *memory, const char *table, const Record *record)
{
	KeyColumns *entry = find_columns(memory, table);
	JsonValue	key;

	if (entry == NULL)
	{
		memory->entries = client_realloc(
			memory->entries, (memory->count + 1) * sizeof(KeyColumns));
		entry = &memory->entries[memory->count++];
		entry->table = client_strdup(table);
		entry->columns = NULL;
	}
	free(entry->columns);
	entry->columns = NULL;
	if (json_find(record->data, record->length - 1, "key", &key) &&
		key.data[0] == '[')
		entry->columns = client_strndup(key.data, key.length);
}

/* {"id":1,..} of the row, for the columns of a key. */
static void
key_of_row(Bytes *out, const char *columns, const JsonValue *row)
{
	const char *p = columns + 1;
	const char *end = columns + strlen(columns);

	while (p < end && *p == '"')
	{
		JsonValue name = {p, json_value_length(p, end)};
		JsonValue value;
		char	 *text = json_unquoted(&name);

		if (text && json_find(row->data, row->length, text, &value))
		{
			mem_add(out, out->length ? "," : "{");
			mem_append(out, name.data, name.length);
			mem_add(out, ":");
			mem_append(out, value.data, value.length);
		}
		free(text);
		p += name.length;
		if (*p == ',')
			p++;
	}
	if (out->length)
		mem_add(out, "}");
}

static void
find_key(Facts *facts, KeyMemory *memory, const char *table,
		 const Record *record)
{
	JsonValue	value;
	KeyColumns *entry;

	if (record->kind != FRAME_CHANGE)
		return;
	if (json_find(record->data, record->length - 1, "key", &value))
	{
		if (value.data[0] == '{')
			mem_append(&facts->key, value.data, value.length);
		return;
	}
	entry = find_columns(memory, table);
	if (entry && entry->columns &&
		json_find(record->data, record->length - 1, "new", &value))
		key_of_row(&facts->key, entry->columns, &value);
}

void
facts_row_key(const Facts *facts, const KeyMemory *memory,
			  const Record *record, Bytes *key)
{
	char *name = client_format("%s.%s", facts->schema ? facts->schema : "",
							   facts->table ? facts->table : "");
	const KeyColumns *entry = find_columns(memory, name);
	JsonValue		  row;

	mem_reset(key);
	if (entry && entry->columns &&
		json_find(record->data, record->length - 1, "new", &row))
		key_of_row(key, entry->columns, &row);
	free(name);
}

void
facts_read(Facts *facts, KeyMemory *memory, const Target *target,
		   const Record *record)
{
	const char *data = record->data;
	size_t		length = record->length - 1;
	JsonValue	source;
	char	   *name;

	mem_reset(&facts->key);
	free(facts->id);
	free(facts->op);
	free(facts->schema);
	free(facts->table);
	facts->id = target_record_id(target, record);
	facts->op = json_find_text(data, length, "op");
	/* the commit's, which the id begins with */
	snprintf(facts->lsn, sizeof(facts->lsn), "%.16s",
			 record->kind == FRAME_CHANGE ? facts->id : "");
	if (json_find(data, length, "source", &source) && source.data[0] == '{')
	{
		data = source.data;
		length = source.length;
	}
	facts->schema = json_find_text(data, length, "schema");
	facts->table = json_find_text(data, length, "table");
	name = client_format("%s.%s", facts->schema ? facts->schema : "",
						 facts->table ? facts->table : "");
	if (record->kind == FRAME_SCHEMA)
		learn_columns(memory, name, record);
	find_key(facts, memory, name, record);
	facts->is_delete = facts->op && (strcmp(facts->op, "d") == 0 ||
									 strcmp(facts->op, "delete") == 0);
	free(name);
}

const char *
facts_kind(const Record *record)
{
	static const char *const kinds[] = {
		[FRAME_CHANGE] = "message",
		[FRAME_SCHEMA] = "schema",
		[FRAME_BEGIN] = "transaction",
		[FRAME_COMMIT] = "transaction",
	};

	return kinds[record->kind];
}

bool
facts_of_table(const Facts *facts, const Record *record)
{
	return record->kind == FRAME_CHANGE && facts->schema && facts->table &&
		   *facts->table;
}
