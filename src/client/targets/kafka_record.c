/*
 * kafka_record.c
 *		Topic, key and headers of a record.
 */
#include "client/targets/kafka_record.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"

#define MAX_TOPIC 249 /* Kafka's limit */

typedef struct KeyColumns
{
	char *table;   /* SCHEMA.TABLE */
	char *columns; /* ["id",..] */
} KeyColumns;

struct KafkaKeys
{
	size_t		count;
	KeyColumns *entries;
};

KafkaKeys *
kafka_keys_new(void)
{
	return client_alloc(sizeof(KafkaKeys));
}

static KeyColumns *
find_columns(KafkaKeys *keys, const char *table)
{
	size_t i;

	for (i = 0; i < keys->count; i++)
		if (strcmp(keys->entries[i].table, table) == 0)
			return &keys->entries[i];
	return NULL;
}

/* A schema record: remember the key's columns. */
static void
learn_columns(KafkaKeys *keys, const char *table, const Record *record)
{
	KeyColumns *entry = find_columns(keys, table);
	JsonValue	key;

	if (entry == NULL)
	{
		keys->entries = client_realloc(keys->entries,
									   (keys->count + 1) * sizeof(KeyColumns));
		entry = &keys->entries[keys->count++];
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
find_key(KafkaRecord *result, KafkaKeys *keys, const char *table,
		 const Record *record)
{
	JsonValue	value;
	KeyColumns *entry;

	if (record->kind != FRAME_CHANGE)
		return;
	if (json_find(record->data, record->length - 1, "key", &value))
	{
		if (value.data[0] == '{')
			mem_append(&result->key, value.data, value.length);
		return;
	}
	entry = find_columns(keys, table);
	if (entry && entry->columns &&
		json_find(record->data, record->length - 1, "new", &value))
		key_of_row(&result->key, entry->columns, &value);
}

/* Kafka's names have letters, digits, dots, dashes and underscores. */
static void
add_to_topic(Bytes *topic, const char *name)
{
	const unsigned char *p;

	for (p = (const unsigned char *) name; *p; p++)
		if (isalnum(*p) || strchr("._-", *p))
			mem_append(topic, p, 1);
		else
			mem_format(topic, "_%02x", *p);
}

static void
find_topic(KafkaRecord *result, const Record *record, const char *schema,
		   const char *table, const char *prefix)
{
	static const char *const others[] = {
		[FRAME_CHANGE] = "message",
		[FRAME_SCHEMA] = "schema",
		[FRAME_BEGIN] = "transaction",
		[FRAME_COMMIT] = "transaction",
	};

	add_to_topic(&result->topic, prefix);
	mem_add(&result->topic, ".");
	if (record->kind == FRAME_CHANGE && schema && table && *table)
	{
		add_to_topic(&result->topic, schema);
		mem_add(&result->topic, ".");
		add_to_topic(&result->topic, table);
	}
	else
		mem_add(&result->topic, others[record->kind]);
	if (result->topic.length > MAX_TOPIC)
		client_exit(EXIT_TARGET,
					"\"%s\" is too long for the name of a topic: choose one "
					"with --kafka-topic",
					result->topic.data);
}

void
kafka_record(KafkaRecord *result, KafkaKeys *keys, const Target *target,
			 const Record *record, const char *prefix, const char *fixed)
{
	const char *data = record->data;
	size_t		length = record->length - 1;
	JsonValue	source;
	char	   *schema;
	char	   *table;
	char	   *name;

	mem_reset(&result->topic);
	mem_reset(&result->key);
	free(result->id);
	free(result->op);
	result->id = target_record_id(target, record);
	result->op = json_find_text(data, length, "op");
	/* the commit's, which the id begins with */
	snprintf(result->lsn, sizeof(result->lsn), "%.16s",
			 record->kind == FRAME_CHANGE ? result->id : "");
	if (json_find(data, length, "source", &source) && source.data[0] == '{')
	{
		data = source.data;
		length = source.length;
	}
	schema = json_find_text(data, length, "schema");
	table = json_find_text(data, length, "table");
	name = client_format("%s.%s", schema ? schema : "", table ? table : "");
	if (record->kind == FRAME_SCHEMA)
		learn_columns(keys, name, record);
	find_key(result, keys, name, record);
	if (fixed)
		mem_add(&result->topic, fixed);
	else
		find_topic(result, record, schema, table, prefix);
	result->tombstone =
		result->key.length > 0 && result->op &&
		(strcmp(result->op, "d") == 0 || strcmp(result->op, "delete") == 0);
	free(schema);
	free(table);
	free(name);
}
