/*
 * milvus_change.c
 *		What a change means for a row of a collection, and changes of the same
 *		row made one.
 *
 * Milvus promises no order within a request, so that a batch has a row at most
 * once: the last whole row or the delete counts, and fields that an update names
 * are laid over what the batch has.
 */
#ifdef HAVE_LIBCURL

#include "client/targets/milvus.h"

#include <stdlib.h>
#include <string.h>

#define NBUCKETS 4096 /* a power of two */

void
milvus_read_record(MilvusRecord *parts, const Record *record)
{
	const struct
	{
		const char *name;
		JsonValue  *value;
	} members[] = {
		{"\"op\"", &parts->op},			  {"\"schema\"", &parts->schema},
		{"\"table\"", &parts->table},	  {"\"key\"", &parts->key},
		{"\"new\"", &parts->row},		  {"\"unchanged\"", &parts->unchanged},
		{"\"omitted\"", &parts->omitted},
	};
	JsonCursor cursor = json_members(record->data, record->length - 1);
	JsonValue  name;
	JsonValue  value;
	size_t	   i;

	memset(parts, 0, sizeof(*parts));
	while (json_next_member(&cursor, &name, &value))
		for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
			if (json_is(&name, members[i].name))
				*members[i].value = value;
}

void
milvus_free_operation(MilvusOperation *operation)
{
	size_t i;

	for (i = 0; i < operation->nvalues; i++)
		free(operation->values[i]);
	free(operation->values);
	free(operation->key);
	memset(operation, 0, sizeof(*operation));
}

/* An integer goes into a filter as it is. */
static bool
is_integer(const JsonValue *value)
{
	size_t sign = value->data[0] == '-';
	size_t i;

	for (i = sign; i < value->length; i++)
		if (value->data[i] < '0' || value->data[i] > '9')
			return false;
	return value->length > sign;
}

/* The text of the primary key in an object, or NULL. */
static char *
key_text(const MilvusTable *table, const JsonValue *object)
{
	JsonValue value;

	if (object->data == NULL ||
		!json_find(object->data, object->length,
				   table->fields[table->key].name, &value) ||
		json_is(&value, "null"))
		return NULL;
	if (table->fields[table->key].form == MILVUS_TEXT)
		return value.data[0] == '"' ? json_unquoted(&value)
									: client_strndup(value.data, value.length);
	/* numbers=string */
	if (value.data[0] == '"' && value.length >= 2)
		value = (JsonValue){value.data + 1, value.length - 2};
	return is_integer(&value) ? client_strndup(value.data, value.length)
							  : NULL;
}

static void
set_value(MilvusOperation *operation, size_t field, char *value)
{
	if (field >= operation->nvalues)
	{
		operation->values = client_realloc(
			operation->values, (field + 1) * sizeof(*operation->values));
		memset(operation->values + operation->nvalues, 0,
			   (field + 1 - operation->nvalues) * sizeof(*operation->values));
		operation->nvalues = field + 1;
	}
	free(operation->values[field]);
	operation->values[field] = value;
}

/* The values of a row; NULL, or why there is none. */
static char *
read_values(MilvusOperation *operation, const JsonValue *row)
{
	JsonCursor	 cursor = json_members(row->data, row->length);
	MilvusTable *table = operation->table;
	JsonValue	 name;
	JsonValue	 value;

	while (json_next_member(&cursor, &name, &value))
	{
		int	  field = milvus_field(table, &name);
		Bytes text = {0};

		if (field < 0)
			return client_format("collection \"%s\" has no field for column "
								 "%.*s",
								 table->collection, (int) name.length,
								 name.data);
		if (table->fields[field].is_made)
			continue;
		if (table->fields[field].is_dynamic &&
			operation->kind == MILVUS_PARTIAL && json_is(&value, "null"))
			return client_format(
				"a partial update can't make the dynamic %.*s null: give "
				"collection \"%s\" a field for it",
				(int) name.length, name.data, table->collection);
		mem_add(&text, "");
		if (!milvus_append_value(&text, &table->fields[field], &value))
		{
			mem_free(&text);
			return client_format("the value of column %.*s is no %s",
								 (int) name.length, name.data,
								 table->fields[field].type);
		}
		set_value(operation, field, text.data);
	}
	return NULL;
}

static int
read_delete(MilvusOperation *operation, MilvusTable *table,
			const MilvusRecord *parts, char **reason)
{
	*operation = (MilvusOperation){.table = table, .kind = MILVUS_DELETE};
	operation->key = key_text(table, &parts->key);
	if (operation->key)
		return 1;
	*reason = client_format(
		"the record has no value of the primary key \"%s\" of collection "
		"\"%s\": the replica identity of table %s must have it",
		table->fields[table->key].name, table->collection, table->display);
	return -1;
}

/* Why a row can't be put, or NULL. */
static char *
check_row(const MilvusTable *table, const MilvusRecord *parts,
		  bool has_partial, const char *old_key, const char *key)
{
	bool is_whole = parts->unchanged.data == NULL;

	if (key == NULL)
		return client_format("the row has no value of the primary key \"%s\"",
							 table->fields[table->key].name);
	if (parts->omitted.data)
		return client_format("values were omitted as too large: %.*s",
							 (int) parts->omitted.length, parts->omitted.data);
	if (!is_whole && json_is(&parts->op, "\"insert\""))
		return client_format("an update became an insert by a row filter, and "
							 "the WAL has no value of %.*s: ALTER TABLE %s "
							 "REPLICA IDENTITY FULL",
							 (int) parts->unchanged.length,
							 parts->unchanged.data, table->display);
	if (!is_whole && old_key && strcmp(old_key, key) != 0)
		return client_format("its key changed, and the WAL has no value of "
							 "%.*s: ALTER TABLE %s "
							 "REPLICA IDENTITY FULL",
							 (int) parts->unchanged.length,
							 parts->unchanged.data, table->display);
	if (!is_whole && !has_partial)
		return client_format(
			"the WAL has no value of %.*s, and the server knows no partial "
			"updates: ALTER TABLE %s REPLICA IDENTITY FULL",
			(int) parts->unchanged.length, parts->unchanged.data,
			table->display);
	return NULL;
}

int
milvus_read_change(MilvusOperation *operations, MilvusTable *table,
				   const MilvusRecord *parts, bool has_partial, char **reason)
{
	char *old_key;
	char *key;
	int	  count = 1;

	if (json_is(&parts->op, "\"truncate\""))
	{
		operations[0] = (MilvusOperation){
			.table = table, .kind = MILVUS_TRUNCATE, .key = client_strdup("")};
		return 1;
	}
	if (json_is(&parts->op, "\"delete\""))
		return read_delete(&operations[0], table, parts, reason);
	old_key = key_text(table, &parts->key);
	key = key_text(table, &parts->row);
	*reason = check_row(table, parts, has_partial, old_key, key);
	operations[0] = (MilvusOperation){
		.table = table,
		.kind = parts->unchanged.data ? MILVUS_PARTIAL : MILVUS_UPSERT,
		.key = key,
	};
	if (*reason == NULL)
		*reason = read_values(&operations[0], &parts->row);
	if (*reason != NULL)
	{
		milvus_free_operation(&operations[0]);
		free(old_key);
		return -1;
	}
	if (old_key && strcmp(old_key, key) != 0)
	{
		operations[count++] = (MilvusOperation){
			.table = table, .kind = MILVUS_DELETE, .key = old_key};
		old_key = NULL;
	}
	free(old_key);
	return count;
}

/* FNV-1a */
static size_t
hash_of(const MilvusOperation *operation)
{
	uint64_t	hash = 14695981039346656037u ^ (uintptr_t) operation->table;
	const char *p;

	for (p = operation->key; *p; p++)
		hash = (hash ^ (unsigned char) *p) * 1099511628211u;
	return (hash ^ hash >> 32) % NBUCKETS;
}

static MilvusOperation *
find_same_row(const MilvusBatch *batch, const MilvusOperation *operation)
{
	size_t place = batch->buckets ? batch->buckets[hash_of(operation)] : 0;

	while (place > 0)
	{
		MilvusOperation *other = &batch->operations[place - 1];

		if (other->table == operation->table &&
			strcmp(other->key, operation->key) == 0)
			return other;
		place = other->next;
	}
	return NULL;
}

/* An update of some fields of what was deleted: it must come after that. */
bool
milvus_conflicts(MilvusBatch *batch, const MilvusOperation *operation)
{
	const MilvusOperation *other = find_same_row(batch, operation);

	return other && other->kind == MILVUS_DELETE &&
		   operation->kind == MILVUS_PARTIAL;
}

static void
lay_over(MilvusOperation *under, MilvusOperation *over)
{
	size_t i;

	for (i = 0; i < over->nvalues; i++)
		if (over->values[i])
		{
			set_value(under, i, over->values[i]);
			over->values[i] = NULL;
		}
	milvus_free_operation(over);
}

void
milvus_add(MilvusBatch *batch, MilvusOperation *operation)
{
	MilvusOperation *other = find_same_row(batch, operation);
	size_t			*bucket;

	if (other && operation->kind == MILVUS_PARTIAL)
		lay_over(other, operation);
	else if (other)
	{
		size_t next = other->next;

		milvus_free_operation(other);
		*other = *operation;
		other->next = next;
	}
	else
	{
		if (batch->buckets == NULL)
			batch->buckets = client_alloc(NBUCKETS * sizeof(size_t));
		if (batch->count == batch->allocated)
		{
			batch->allocated = batch->allocated ? batch->allocated * 2 : 64;
			batch->operations = client_realloc(
				batch->operations, batch->allocated * sizeof(MilvusOperation));
		}
		bucket = &batch->buckets[hash_of(operation)];
		batch->operations[batch->count] = *operation;
		batch->operations[batch->count].next = *bucket;
		*bucket = ++batch->count;
	}
}

void
milvus_clear(MilvusBatch *batch)
{
	while (batch->count > 0)
		milvus_free_operation(&batch->operations[--batch->count]);
	if (batch->buckets)
		memset(batch->buckets, 0, NBUCKETS * sizeof(size_t));
}

#endif /* HAVE_LIBCURL */
