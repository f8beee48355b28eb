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
	uint64_t number; /* of the schema record */
	char	*schema; /* apart, as names may have dots in them */
	char	*table;
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

static bool
is_of_table(const KeyColumns *entry, const char *schema, const char *table)
{
	return strcmp(entry->table, table) == 0 &&
		   strcmp(entry->schema, schema) == 0;
}

static const KeyColumns *
find_entry(const KeyMemory *memory, const char *schema, const char *table,
		   uint64_t number)
{
	size_t i;

	for (i = memory->count; i-- > 0;)
		if (memory->entries[i].number <= number &&
			is_of_table(&memory->entries[i], schema, table))
			return &memory->entries[i];
	return NULL;
}

/* New texts; table is NULL if the record is of none. */
static void
read_table(const Record *record, char **schema, char **table)
{
	*schema = json_find_text(record->data, record->length - 1, "schema");
	*table = json_find_text(record->data, record->length - 1, "table");
	if (*schema == NULL)
		*schema = client_strdup("");
}

/* Of that table, what no record needs that isn't taken yet. */
static void
forget(KeyMemory *memory, const char *schema, const char *table,
	   uint64_t taken)
{
	const KeyColumns *needed = find_entry(memory, schema, table, taken);
	uint64_t		  number = needed ? needed->number : 0;
	size_t			  kept = 0;
	size_t			  i;

	for (i = 0; i < memory->count; i++)
	{
		KeyColumns *entry = &memory->entries[i];

		if (entry->number < number && is_of_table(entry, schema, table))
		{
			free(entry->schema);
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
	const KeyColumns *known = NULL;
	JsonValue		  key;
	char			 *schema;
	char			 *table;

	read_table(record, &schema, &table);
	if (table)
		known = find_entry(memory, schema, table, UINT64_MAX);
	/* of no table, or it is read again */
	if (table == NULL || (known && known->number >= record->number))
	{
		free(schema);
		free(table);
		return;
	}
	forget(memory, schema, table, taken);
	memory->entries = client_realloc(memory->entries,
									 (memory->count + 1) * sizeof(KeyColumns));
	memory->entries[memory->count++] = (KeyColumns){
		.number = record->number,
		.schema = schema,
		.table = table,
		.columns = json_find(record->data, record->length - 1, "key", &key) &&
						   key.data[0] == '['
					   ? client_strndup(key.data, key.length)
					   : NULL,
	};
}

const char *
key_memory_columns(const KeyMemory *memory, const char *schema,
				   const char *table, uint64_t number)
{
	const KeyColumns *entry = find_entry(memory, schema, table, number);

	return entry ? entry->columns : NULL;
}

const char *
key_memory_of_record(const KeyMemory *memory, const Record *record)
{
	const char *columns = NULL;
	char	   *schema;
	char	   *table;

	if (record->kind != FRAME_CHANGE)
		return NULL;
	read_table(record, &schema, &table);
	if (table)
		columns = key_memory_columns(memory, schema, table, record->number);
	free(schema);
	free(table);
	return columns;
}
