/*
 * iceberg_spec.c
 *		What sort orders and partition specs of others make of an Iceberg table's
 *		columns, and whether those can have it made of them.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/iceberg_table.h"
#include "option.h"

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

/* ---- partition specs of before */

/* The id of the column that is called so, "a" or, in a struct, "a.b"; 0: none. */
static int64
column_of_name(Jsonb *type, const char *name)
{
	ListCell *cell;

	check_stack_depth();
	foreach (cell, lake_json_objects(type, "fields"))
	{
		char  *column = lake_json_text(lfirst(cell), "name");
		Jsonb *nested = lake_json_object(lfirst(cell), "type");
		size_t len = strlen(column);
		int64  found = 0;

		if (strcmp(name, column) == 0)
			return lake_json_int(lfirst(cell), "id");
		if (nested && strncmp(name, column, len) == 0 && name[len] == '.')
			found = column_of_name(nested, name + len + 1);
		if (found)
			return found;
	}
	return 0;
}

/* One of a column that is gone is in no reader's way, unless another column has
 * its name. */
static bool
partition_fits(Jsonb *field, Jsonb *schema)
{
	char *type = iceberg_source_type(schema, field);
	char *name = lake_json_text(field, "name");
	int64 column = name ? column_of_name(schema, name) : 0;

	return (type == NULL || iceberg_transform_takes(field, type)) &&
		   (column == 0 || column == lake_json_int(field, "source-id"));
}

/* That is another program's: exports have no partitions.  NULL: there is none. */
static const IcebergVersion *
version_with_partitions(const IcebergTable *table)
{
	ListCell *cell;

	/* nothing of before stays */
	if (table->is_moved)
		return NULL;
	foreach (cell, table->table.versions)
	{
		const IcebergVersion *version = lfirst(cell);

		if (!lake_is_outflows(&version->version))
			return version;
	}
	return NULL;
}

/* NULL: it has none. */
static Jsonb *
field_that_does_not_fit(Jsonb *spec, Jsonb *schema)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(spec, "fields"))
	{
		if (!partition_fits(lfirst(cell), schema))
			return lfirst(cell);
	}
	return NULL;
}

static void
check_not_needed(const IcebergTable *table, Jsonb *field)
{
	const IcebergVersion *version = version_with_partitions(table);
	char				 *name = lake_json_text(field, "name");

	if (version)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the columns do not fit partitions that the Iceberg table "
					"has had"),
			 errdetail("Readers would refuse the table over partition field "
					   "\"%s\", and version " INT64_FORMAT
					   ", of another program, may need that.",
					   option_shown(name ? name : ""),
					   version->version.version),
			 errhint("Expire that version with the program that has made it, "
					 "or export to another directory.")));
}

void
iceberg_choose_specs(const IcebergTable *table, IcebergChange *change,
					 Jsonb *schema)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(table->metadata, "partition-specs"))
	{
		Jsonb *spec = lfirst(cell);
		Jsonb *field = field_that_does_not_fit(spec, schema);

		CHECK_FOR_INTERRUPTS();
		if (field)
		{
			check_not_needed(table, field);
			change->lost_specs = lappend(change->lost_specs, spec);
		}
		else
			change->kept_specs = lappend(change->kept_specs, spec);
	}
}
