/*
 * milvus_schema.c
 *		Which collection a table's rows go to, and whether they can: its fields,
 *		as the server describes them, against the table's columns, as schema
 *		records do.
 *
 * What would fail or lose something with every row ends the program, with the
 * way out; what depends on the row is left to Milvus and to --on-reject.
 */
#ifdef HAVE_LIBCURL

#include <stdlib.h>
#include <string.h>

#include "client/targets/milvus.h"

/* ---- fields, as the server describes them */

static bool
is_true(const JsonValue *object, const char *member)
{
	JsonValue value;

	return json_find(object->data, object->length, member, &value) &&
		   json_is(&value, "true");
}

/* The next element of an array that starts at *place; false after the last. */
static bool
next_element(const char **place, const char *end, JsonValue *element)
{
	const char *p = *place;

	while (p < end && strchr("[, \t\r\n", *p))
		p++;
	element->data = p;
	element->length = p < end && *p != ']' ? json_value_length(p, end) : 0;
	*place = p + element->length;
	return element->length > 0;
}

/* params: [{"key":"dim","value":"4"}] */
static long long
read_dimensions(const JsonValue *field)
{
	JsonValue	params;
	JsonValue	pair;
	const char *p;
	long long	dimensions = 0;

	if (!json_find(field->data, field->length, "params", &params) ||
		params.data[0] != '[')
		return 0;
	for (p = params.data;
		 next_element(&p, params.data + params.length, &pair);)
	{
		char *key = json_find_text(pair.data, pair.length, "key");
		char *value = json_find_text(pair.data, pair.length, "value");

		if (key && value && strcmp(key, "dim") == 0)
			dimensions = strtoll(value, NULL, 10);
		free(key);
		free(value);
	}
	return dimensions;
}

static void
read_field(MilvusTable *table, const JsonValue *description,
		   const Target *target)
{
	char *name =
		json_find_text(description->data, description->length, "name");
	char *type =
		json_find_text(description->data, description->length, "type");
	MilvusField *field;
	JsonValue	 preset;

	if (name == NULL || type == NULL)
		client_exit(EXIT_TARGET, "%s: a field of collection \"%s\" is %.*s",
					target->name, table->collection, (int) description->length,
					description->data);
	field = milvus_add_field(table, name, type);
	field->form = milvus_type_form(type);
	field->element =
		json_find_text(description->data, description->length, "elementType");
	field->dimensions = read_dimensions(description);
	field->is_made = is_true(description, "isFunctionOutput");
	field->is_nullable = is_true(description, "nullable") ||
						 json_find(description->data, description->length,
								   "defaultValue", &preset);
	if (!is_true(description, "primaryKey"))
		return;
	table->key = table->nfields - 1;
	if (is_true(description, "autoId"))
		client_exit(EXIT_TARGET,
					"%s: collection \"%s\" makes its primary keys itself "
					"(autoId): an update would add a row; make it anew "
					"without",
					target->name, table->collection);
}

/* functions: [{"outputFieldNames":["sparse"]}]; older servers tell it here alone */
static void
mark_made_fields(MilvusTable *table, const JsonValue *data)
{
	JsonValue	functions;
	JsonValue	function;
	JsonValue	names;
	JsonValue	name;
	const char *p;
	const char *q;

	if (!json_find(data->data, data->length, "functions", &functions) ||
		functions.data[0] != '[')
		return;
	for (p = functions.data;
		 next_element(&p, functions.data + functions.length, &function);)
		if (json_find(function.data, function.length, "outputFieldNames",
					  &names) &&
			names.data[0] == '[')
			for (q = names.data;
				 next_element(&q, names.data + names.length, &name);)
			{
				int field = milvus_field(table, &name);

				if (field >= 0)
					table->fields[field].is_made = true;
			}
}

static void
forget_fields(MilvusTable *table)
{
	while (table->nfields > 0)
	{
		MilvusField *field = &table->fields[--table->nfields];

		free(field->name);
		free(field->type);
		free(field->element);
	}
	table->key = 0;
	table->takes_dynamic = false;
}

/* ---- against the table's columns */

static void
check_column(MilvusTable *table, const JsonValue *column, const Target *target)
{
	JsonValue	 label;
	char		*type = json_find_text(column->data, column->length, "type");
	long long	 modifier;
	char		*plain;
	int			 i;
	MilvusField *field;

	if (type == NULL ||
		!json_find(column->data, column->length, "name", &label))
		return;
	i = milvus_field(table, &label);
	if (i < 0)
		client_exit(EXIT_TARGET,
					"%s: collection \"%s\" has no field for column %.*s (%s) "
					"of table %s: add it, or leave the column out with -o "
					"exclude_columns=",
					target->name, table->collection, (int) label.length,
					label.data, type, table->display);
	field = &table->fields[i];
	field->has_column = true;
	plain = milvus_plain_type(type, &modifier);
	if (!field->is_dynamic && !milvus_type_fits(field, plain))
		client_exit(
			EXIT_TARGET,
			"%s: field \"%s\" of collection \"%s\" is %s%s%s, which "
			"can't hold all of column %s.%.*s, %s: make the collection "
			"with a fitting field, or leave the column out with -o "
			"exclude_columns=",
			target->name, field->name, table->collection, field->type,
			field->element ? " of " : "", field->element ? field->element : "",
			table->display, (int) label.length, label.data, type);
	if (field->dimensions > 0 && modifier > 0 &&
		(field->form == MILVUS_VECTOR || field->form == MILVUS_BITS ||
		 field->form == MILVUS_SPARSE) &&
		modifier != field->dimensions)
		client_exit(EXIT_TARGET,
					"%s: field \"%s\" of collection \"%s\" has %lld "
					"dimensions, column %s.%.*s has %lld: make the collection "
					"with as many",
					target->name, field->name, table->collection,
					field->dimensions, table->display, (int) label.length,
					label.data, modifier);
	free(plain);
	free(type);
}

static void
check_fields(const MilvusTable *table, const Target *target)
{
	size_t i;

	for (i = 0; i < table->nfields; i++)
	{
		const MilvusField *field = &table->fields[i];

		if (!field->has_column && !field->is_nullable && !field->is_made)
			client_exit(EXIT_TARGET,
						"%s: table %s has no column for field \"%s\" (%s) of "
						"collection \"%s\", which is neither nullable nor has "
						"a default",
						target->name, table->display, field->name, field->type,
						table->collection);
	}
}

/* Deletes must name the primary key, so the replica identity is that column. */
static void
check_identity(const MilvusTable *table, bool has_partial,
			   const Target *target)
{
	const char *key = table->fields[table->key].name;
	size_t		length = table->definition.length;
	JsonValue	columns = {0};
	char	   *identity =
		json_find_text(table->definition.data, length, "identity");
	Bytes expected = {0};
	Bytes listed = {0};

	json_find(table->definition.data, length, "key", &columns);
	mem_add(&expected, "[");
	json_append_text(&expected, key);
	mem_add(&expected, "]");
	if (columns.data)
		mem_append(&listed, columns.data, columns.length);
	if (listed.length == 0 || strcmp(listed.data, expected.data) != 0)
		client_exit(
			EXIT_TARGET,
			"%s: the key of table %s is %s and not %s, the primary key of "
			"collection \"%s\"; for a key of several columns, generate one "
			"(GENERATED ALWAYS AS (...) STORED) with a unique index that is "
			"the "
			"REPLICA IDENTITY",
			target->name, table->display,
			listed.length > 2 ? listed.data : "missing", expected.data,
			table->collection);
	if (!has_partial && (identity == NULL || strcmp(identity, "full") != 0))
		client_exit(EXIT_TARGET,
					"%s: the server knows no partial updates (Milvus 2.6.2 "
					"does), so that an update would lose what the WAL leaves "
					"out, such as unchanged vectors: ALTER TABLE %s REPLICA "
					"IDENTITY FULL",
					target->name, table->display);
	mem_free(&expected);
	mem_free(&listed);
	free(identity);
}

void
milvus_described(MilvusTable *table, const Bytes *answer, bool has_partial,
				 const Target *target)
{
	JsonValue	data;
	JsonValue	fields;
	JsonValue	columns;
	JsonValue	element;
	const char *p;

	forget_fields(table);
	if (!json_find(answer->data, answer->length, "data", &data) ||
		!json_find(data.data, data.length, "fields", &fields) ||
		fields.data[0] != '[')
		client_exit(EXIT_TARGET, "%s: unexpected description of \"%s\": %s",
					target->name, table->collection, answer->data);
	for (p = fields.data;
		 next_element(&p, fields.data + fields.length, &element);)
		read_field(table, &element, target);
	mark_made_fields(table, &data);
	if (table->nfields == 0)
		client_exit(EXIT_TARGET, "%s: collection \"%s\" has no field",
					target->name, table->collection);
	table->takes_dynamic = is_true(&data, "enableDynamicField");
	table->is_described = true;
	if (table->definition.length == 0)
		return;
	check_identity(table, has_partial, target);
	if (json_find(table->definition.data, table->definition.length, "columns",
				  &columns) &&
		columns.data[0] == '[')
		for (p = columns.data;
			 next_element(&p, columns.data + columns.length, &element);)
			check_column(table, &element, target);
	check_fields(table, target);
}

#endif /* HAVE_LIBCURL */
