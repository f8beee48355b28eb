/*
 * facts.c
 *		Reads what a record is about.
 *
 * Inserts of format json have no key of their own: it is made of the new row,
 * by the columns that the table's schema record named (key_memory.h).
 */
#include "client/targets/facts.h"

#include <stdlib.h>
#include <string.h>

#define LSN_DIGITS 16

/*
 * {"id":1,..} of the row, for the columns of a key.  Nothing where one of them
 * isn't there: half a key would be that of other rows.
 */
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
		bool found = text && json_find(row->data, row->length, text, &value);

		free(text);
		if (!found)
		{
			mem_reset(out);
			return;
		}
		mem_add(out, out->length ? "," : "{");
		mem_append(out, name.data, name.length);
		mem_add(out, ":");
		mem_append(out, value.data, value.length);
		p += name.length;
		if (*p == ',')
			p++;
	}
	if (out->length)
		mem_add(out, "}");
}

/* The members that tell. */
enum
{
	ID,
	OP,
	KEY,
	NEW,
	SOURCE,
	SCHEMA,
	TABLE,
	MEMBERS
};

static const char *const member_names[MEMBERS] = {
	[ID] = "id",		 [OP] = "op",		  [KEY] = "key",	 [NEW] = "new",
	[SOURCE] = "source", [SCHEMA] = "schema", [TABLE] = "table",
};

static JsonValue *
member_place(JsonValue *members, const JsonValue *name)
{
	int i;

	for (i = 0; i < MEMBERS; i++)
	{
		const char *other = member_names[i];

		if (name->data[1] == other[0] && name->data[2] == other[1] &&
			name->length == strlen(other) + 2 &&
			memcmp(name->data + 1, other, name->length - 2) == 0)
			return &members[i];
	}
	return NULL;
}

/*
 * All of them in one pass, which ends when two that are the last ones are found.
 * What isn't there has length 0.
 */
static void
find_members(JsonValue *members, const char *object, size_t length, int last,
			 int other_last)
{
	JsonCursor cursor = json_members(object, length);
	JsonValue  name;
	JsonValue  value;

	memset(members, 0, MEMBERS * sizeof(JsonValue));
	while ((members[last].length == 0 || members[other_last].length == 0) &&
		   json_next_member(&cursor, &name, &value))
	{
		JsonValue *place = member_place(members, &name);

		if (place)
			*place = value;
	}
}

/* Of Debezium's format, the table is told in the member source. */
static void
find_all(JsonValue *members, const Record *record)
{
	JsonValue of_source[MEMBERS];

	find_members(members, record->data, record->length - 1, SOURCE, OP);
	if (members[SOURCE].length == 0 || members[SOURCE].data[0] != '{')
		return;
	find_members(of_source, members[SOURCE].data, members[SOURCE].length,
				 SCHEMA, TABLE);
	members[SCHEMA] = of_source[SCHEMA];
	members[TABLE] = of_source[TABLE];
}

/* The text of a string, in a buffer; NULL if it is none. */
static const char *
keep_text(Bytes *buffer, const JsonValue *value)
{
	mem_reset(buffer);
	mem_add(buffer, "");
	return value->length && json_append_unquoted(buffer, value) ? buffer->data
																: NULL;
}

static const char *
keep_id(Facts *facts, const JsonValue *value, const Target *target,
		const Record *record)
{
	const char *id = NULL;
	char	   *made;

	if (record->kind == FRAME_CHANGE)
		id = keep_text(&facts->texts[0], value);
	if (id == NULL)
	{
		made = target_record_id(target, record);
		mem_reset(&facts->texts[0]);
		mem_add(&facts->texts[0], made);
		free(made);
		id = facts->texts[0].data;
	}
	return id;
}

/* Those of inserts, which have no key of their own; or NULL. */
static const char *
columns_of_key(const Facts *facts, const Target *target, const Record *record)
{
	return key_memory_columns(target->keys, facts->schema ? facts->schema : "",
							  facts->table ? facts->table : "",
							  record->number);
}

static void
find_key(Facts *facts, const Target *target, const Record *record,
		 const JsonValue *members)
{
	const char *columns;

	if (members[KEY].length > 0)
	{
		if (members[KEY].data[0] == '{')
			mem_append(&facts->key, members[KEY].data, members[KEY].length);
		return;
	}
	if (members[NEW].length == 0)
		return;
	columns = columns_of_key(facts, target, record);
	if (columns)
		key_of_row(&facts->key, columns, &members[NEW]);
}

void
facts_row_key(const Facts *facts, const Target *target, const Record *record,
			  Bytes *key)
{
	const char *columns = columns_of_key(facts, target, record);
	JsonValue	row;

	mem_reset(key);
	if (columns && json_find(record->data, record->length - 1, "new", &row))
		key_of_row(key, columns, &row);
}

void
facts_read(Facts *facts, const Target *target, const Record *record)
{
	JsonValue members[MEMBERS];

	find_all(members, record);
	facts->id = keep_id(facts, &members[ID], target, record);
	facts->op = keep_text(&facts->texts[1], &members[OP]);
	facts->schema = keep_text(&facts->texts[2], &members[SCHEMA]);
	facts->table = keep_text(&facts->texts[3], &members[TABLE]);
	/* the commit's, which the id begins with */
	facts->lsn[0] = '\0';
	if (record->kind == FRAME_CHANGE)
		strncat(facts->lsn, facts->id, LSN_DIGITS);
	mem_reset(&facts->key);
	if (record->kind == FRAME_CHANGE)
		find_key(facts, target, record, members);
	facts->is_delete = facts->op && (strcmp(facts->op, "d") == 0 ||
									 strcmp(facts->op, "delete") == 0);
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
