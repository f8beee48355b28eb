/*
 * iceberg_identifier.c
 *		The columns that tell an Iceberg table's rows apart, as others have set them.
 *
 * Exports set none.  Those of the current schema stay, as long as the next one may
 * have them: Iceberg Table Spec, "Identifier Field IDs".
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/iceberg_table.h"

#define IDENTIFIERS "identifier-field-ids"

static bool
is_exact(const char *type)
{
	return type && strcmp(type, "float") != 0 && strcmp(type, "double") != 0;
}

/* Never null, nor is what it is a part of, and there is one of it. */
static bool
may_identify(Jsonb *type, int64 id)
{
	ListCell *cell;

	check_stack_depth();
	foreach (cell, lake_json_objects(type, "fields"))
	{
		Jsonb *field = lfirst(cell);
		Jsonb *nested = lake_json_object(field, "type");

		if (!lake_json_is_true(field, "required"))
			continue;
		if (lake_json_int(field, "id") == id)
			return is_exact(lake_json_text(field, "type"));
		if (nested && may_identify(nested, id))
			return true;
	}
	return false;
}

Jsonb *
iceberg_schema_to_follow(const IcebergTable *table, const List *used,
						 Jsonb *current)
{
	int64	  id = lake_json_int(current, "schema-id");
	ListCell *cell;

	foreach (cell,
			 list_member_ptr(used, current) ? NIL : table->table.versions)
	{
		if (((const IcebergVersion *) lfirst(cell))->schema == id)
			return linitial(used);
	}
	return current;
}

char *
iceberg_take_identifiers(Jsonb *before, const char *schema, Jsonb *after)
{
	char		  *ids = lake_json_any(before, IDENTIFIERS);
	char		  *at = ids && ids[0] == '[' ? ids + 1 : "";
	const char	  *comma = "";
	StringInfoData out;

	initStringInfo(&out);
	/* without its last brace */
	appendStringInfo(&out, "%.*s,\"" IDENTIFIERS "\":[",
					 (int) strlen(schema) - 1, schema);
	while (isdigit((unsigned char) *at))
	{
		int64 id = strtoll(at, &at, 10);

		CHECK_FOR_INTERRUPTS();
		if (may_identify(after, id))
		{
			appendStringInfo(&out, "%s" INT64_FORMAT, comma, id);
			comma = ",";
		}
		at += strspn(at, ", ");
	}
	appendStringInfoString(&out, "]}");
	return comma[0] ? out.data : pstrdup(schema);
}

bool
iceberg_same_identifiers(Jsonb *one, Jsonb *other)
{
	char *ids = lake_json_any(one, IDENTIFIERS);
	char *others = lake_json_any(other, IDENTIFIERS);

	return strcmp(ids ? ids : "[]", others ? others : "[]") == 0;
}
