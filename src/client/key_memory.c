/*
 * key_memory.c
 *		Remembers the key columns of tables.
 */
#include "client/key_memory.h"

#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"
#include "client/memory.h"

typedef struct KeyColumns
{
	uint64_t number;  /* of the schema record */
	char	*table;	  /* SCHEMA.TABLE */
	char	*columns; /* ["id",..], or NULL */
} KeyColumns;

/* In the order of their numbers. */
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

static const KeyColumns *
find_entry(const KeyMemory *memory, const char *table, uint64_t number)
{
	size_t i;

	for (i = memory->count; i-- > 0;)
		if (memory->entries[i].number <= number &&
			strcmp(memory->entries[i].table, table) == 0)
			return &memory->entries[i];
	return NULL;
}

/* A new text; NULL if the record is of no table. */
static char *
table_of_record(const Record *record)
{
	char *schema = json_find_text(record->data, record->length - 1, "schema");
	char *table = json_find_text(record->data, record->length - 1, "table");
	char *name = NULL;

	if (table)
		name = client_format("%s.%s", schema ? schema : "", table);
	free(schema);
	free(table);
	return name;
}

/* Of that table, what no record needs that isn't taken yet. */
static void
forget(KeyMemory *memory, const char *table, uint64_t taken)
{
	const KeyColumns *needed = find_entry(memory, table, taken);
	uint64_t		  number = needed ? needed->number : 0;
	size_t			  kept = 0;
	size_t			  i;

	for (i = 0; i < memory->count; i++)
	{
		KeyColumns *entry = &memory->entries[i];

		if (entry->number < number && strcmp(entry->table, table) == 0)
		{
			free(entry->table);
			free(entry->columns);
		}
		else
			memory->entries[kept++] = *entry;
	}
	memory->count = kept;
}

void
key_memory_learn(KeyMemory *memory, const Record *record, uint64_t taken)
{
	char			 *table = table_of_record(record);
	const KeyColumns *known;
	JsonValue		  key;

	if (table == NULL)
		return;
	known = find_entry(memory, table, UINT64_MAX);
	if (known && known->number >= record->number)
	{
		free(table); /* it is read again */
		return;
	}
	forget(memory, table, taken);
	memory->entries = client_realloc(memory->entries,
									 (memory->count + 1) * sizeof(KeyColumns));
	memory->entries[memory->count++] = (KeyColumns){
		.number = record->number,
		.table = table,
		.columns = json_find(record->data, record->length - 1, "key", &key) &&
						   key.data[0] == '['
					   ? client_strndup(key.data, key.length)
					   : NULL,
	};
}

const char *
key_memory_columns(const KeyMemory *memory, const char *table, uint64_t number)
{
	const KeyColumns *entry = find_entry(memory, table, number);

	return entry ? entry->columns : NULL;
}

const char *
key_memory_of_record(const KeyMemory *memory, const Record *record)
{
	const char *columns = NULL;
	char	   *table = NULL;

	if (record->kind == FRAME_CHANGE)
		table = table_of_record(record);
	if (table)
		columns = key_memory_columns(memory, table, record->number);
	free(table);
	return columns;
}
