/*
 * iceberg_spec.c
 *		What sort orders and partition specs of others make of an Iceberg table's
 *		columns, and whether those can have it made of them.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/iceberg_table.h"

/* What is no value itself, or one of many. */
#define NO_VALUE ""

/* Of the types that exports write, those that a transform takes, by Iceberg Table
 * Spec, "Partition Transforms".  All others take any. */
typedef struct TransformTypes
{
	const char *transform;
	const char *types[11];
} TransformTypes;

static const TransformTypes transforms[] = {
	{"bucket",
	 {"int", "long", "decimal", "date", "time", "timestamp", "timestamptz",
	  "string", "uuid", "binary"}},
	{"truncate", {"int", "long", "decimal", "string", "binary"}},
	{"year", {"date", "timestamp", "timestamptz"}},
	{"month", {"date", "timestamp", "timestamptz"}},
	{"day", {"date", "timestamp", "timestamptz"}},
	{"hour", {"timestamp", "timestamptz"}}};

/* NULL: it has none of that id. */
static char *
type_of_id(Jsonb *type, int64 id)
{
	Jsonb	 *element = lake_json_object(type, "element");
	ListCell *cell;

	check_stack_depth();
	if (lake_json_int(type, "element-id") == id ||
		(element && type_of_id(element, id)))
		return NO_VALUE;
	foreach (cell, lake_json_objects(type, "fields"))
	{
		Jsonb *nested = lake_json_object(lfirst(cell), "type");
		char  *found = nested ? type_of_id(nested, id) : NULL;

		if (lake_json_int(lfirst(cell), "id") == id)
			return nested ? NO_VALUE : lake_json_text(lfirst(cell), "type");
		if (found)
			return found;
	}
	return NULL;
}

char *
iceberg_source_type(Jsonb *schema, Jsonb *field)
{
	return type_of_id(schema, lake_json_int(field, "source-id"));
}

/* "truncate[3]" and "decimal(9,2)" have names, too. */
static bool
has_name(const char *text, const char *name)
{
	size_t len = strcspn(text, "[(");

	return strlen(name) == len && pg_strncasecmp(text, name, len) == 0;
}

bool
iceberg_transform_takes(Jsonb *field, const char *type)
{
	char *transform = lake_json_text(field, "transform");

	if (transform == NULL || type[0] == '\0')
		return false;
	for (int i = 0; i < lengthof(transforms); i++)
	{
		if (!has_name(transform, transforms[i].transform))
			continue;
		for (const char *const *taken = transforms[i].types; *taken; taken++)
		{
			if (has_name(type, *taken))
				return true;
		}
		return false;
	}
	return true;
}
