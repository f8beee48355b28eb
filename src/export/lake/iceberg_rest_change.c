/*
 * iceberg_rest_change.c
 *		A change of an Iceberg table, as a REST catalog takes it: what it goes
 *		out from, and what becomes another.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "export/lake/iceberg_table.h"

/* A JSON array of objects that is being written. */
typedef struct Items
{
	StringInfo	out;
	const char *comma;
} Items;

/* The first member of the next object: "type" or "action". */
static void
begin_object(Items *items, const char *member, const char *value)
{
	appendStringInfo(items->out, "%s{\"%s\":\"%s\"", items->comma, member,
					 value);
	items->comma = ",";
}

static void
put_member_int(Items *items, const char *name, int64 value)
{
	appendStringInfo(items->out, ",\"%s\":" INT64_FORMAT, name, value);
}

static void
put_member_text(Items *items, const char *name, const char *value)
{
	appendStringInfo(items->out, ",\"%s\":", name);
	lake_json_put_text(items->out, value);
}

static void
put_member_json(Items *items, const char *name, const char *json)
{
	appendStringInfo(items->out, ",\"%s\":%s", name, json);
}

static void
end_object(Items *items)
{
	appendStringInfoChar(items->out, '}');
}

/* ---- what it goes out from */

static void
put_requirements(Items *items, const IcebergTable *table,
				 const IcebergChange *change)
{
	begin_object(items, "type", "assert-table-uuid");
	put_member_text(items, "uuid",
					lake_json_text(table->metadata, "table-uuid"));
	end_object(items);
	begin_object(items, "type", "assert-ref-snapshot-id");
	put_member_text(items, "ref", "main");
	if (table->current == ICEBERG_NONE)
		put_member_json(items, "snapshot-id", "null");
	else
		put_member_int(items, "snapshot-id", table->current);
	end_object(items);
	if (change->job)
	{
		/* manifests have its number */
		begin_object(items, "type", "assert-default-spec-id");
		put_member_int(items, "default-spec-id", table->spec);
		end_object(items);
		/* by that others' orders show, which take numbers */
		begin_object(items, "type", "assert-default-sort-order-id");
		put_member_int(
			items, "default-sort-order-id",
			lake_json_int(table->metadata, "default-sort-order-id"));
		end_object(items);
	}
	if (change->schema == NULL)
		return;
	begin_object(items, "type", "assert-current-schema-id");
	put_member_int(items, "current-schema-id",
				   lake_json_int(table->metadata, "current-schema-id"));
	end_object(items);
	begin_object(items, "type", "assert-last-assigned-field-id");
	put_member_int(items, "last-assigned-field-id",
				   lake_json_int(table->metadata, "last-column-id"));
	end_object(items);
}

/* ---- what becomes another */

/* All that a table has before its first snapshot, but the schema. */
static void
put_new_table(Items *items, const IcebergTable *table, const char *uuid)
{
	begin_object(items, "action", "assign-uuid");
	put_member_text(items, "uuid", uuid);
	end_object(items);
	begin_object(items, "action", "upgrade-format-version");
	put_member_int(items, "format-version", 2);
	end_object(items);
	begin_object(items, "action", "set-location");
	put_member_text(items, "location", table->location);
	end_object(items);
}

/* -1 is what was added last. */
static void
put_new_layout(Items *items)
{
	begin_object(items, "action", "add-spec");
	put_member_json(items, "spec", "{\"spec-id\":0,\"fields\":[]}");
	end_object(items);
	begin_object(items, "action", "set-default-spec");
	put_member_int(items, "spec-id", -1);
	end_object(items);
	begin_object(items, "action", "add-sort-order");
	put_member_json(items, "sort-order", "{\"order-id\":0,\"fields\":[]}");
	end_object(items);
	begin_object(items, "action", "set-default-sort-order");
	put_member_int(items, "sort-order-id", -1);
	end_object(items);
}

static void
put_sort_order(Items *items, const IcebergTable *table,
			   const IcebergChange *change)
{
	int64 now = lake_json_int(table->metadata, "default-sort-order-id");

	if (change->new_order)
	{
		begin_object(items, "action", "add-sort-order");
		put_member_json(items, "sort-order", change->new_order);
		end_object(items);
	}
	if (change->job == NULL || change->default_order == now)
		return;
	begin_object(items, "action", "set-default-sort-order");
	/* not -1, the last one: files are marked with this very number */
	put_member_int(items, "sort-order-id", change->default_order);
	end_object(items);
}

static void
put_schema(Items *items, const IcebergTable *table,
		   const IcebergChange *change)
{
	if (change->schema)
	{
		begin_object(items, "action", "add-schema");
		put_member_json(
			items, "schema",
			iceberg_schema_with_id(change->schema, change->schema_id));
		put_member_int(items, "last-column-id", change->last_column);
		end_object(items);
	}
	else if (lake_json_int(table->metadata, "current-schema-id") ==
			 change->schema_id)
		return;
	begin_object(items, "action", "set-current-schema");
	put_member_int(items, "schema-id",
				   change->schema ? -1 : change->schema_id);
	end_object(items);
}

/* The table's comment. */
static void
put_comment(Items *items, const IcebergTable *table,
			const IcebergChange *change)
{
	char *before = lake_json_text(
		lake_json_object(table->metadata, "properties"), "comment");
	char *now = change->source->comment;

	if (now && (before == NULL || strcmp(before, now) != 0))
	{
		begin_object(items, "action", "set-properties");
		appendStringInfoString(items->out, ",\"updates\":{\"comment\":");
		lake_json_put_text(items->out, now);
		appendStringInfoChar(items->out, '}');
		end_object(items);
	}
	else if (before && now == NULL)
	{
		begin_object(items, "action", "remove-properties");
		put_member_json(items, "removals", "[\"comment\"]");
		end_object(items);
	}
}

/* How long the branch's snapshots are to stay, as others have set it. */
static void
put_retention(Items *items, const IcebergTable *table)
{
	static const char *const names[] = {
		"min-snapshots-to-keep", "max-snapshot-age-ms", "max-ref-age-ms"};
	Jsonb *branch =
		lake_json_object(lake_json_object(table->metadata, "refs"), "main");

	for (int i = 0; i < lengthof(names); i++)
	{
		char *value = lake_json_any(branch, names[i]);

		if (value)
			put_member_json(items, names[i], value);
	}
}

static void
put_snapshot(Items *items, const IcebergTable *table,
			 const IcebergChange *change)
{
	begin_object(items, "action", "add-snapshot");
	put_member_json(items, "snapshot", change->snapshot);
	end_object(items);
	begin_object(items, "action", "set-snapshot-ref");
	put_member_text(items, "ref-name", "main");
	put_member_text(items, "type", "branch");
	put_member_int(items, "snapshot-id", change->snapshot_id);
	put_retention(items, table);
	end_object(items);
}

/* A catalog looks at them together with a new schema, too. */
static void
put_lost_specs(Items *items, const IcebergChange *change)
{
	const char *comma = "";
	ListCell   *cell;

	begin_object(items, "action", "remove-partition-specs");
	appendStringInfoString(items->out, ",\"spec-ids\":[");
	foreach (cell, change->lost_specs)
	{
		appendStringInfo(items->out, "%s" INT64_FORMAT, comma,
						 lake_json_int(lfirst(cell), "spec-id"));
		comma = ",";
	}
	appendStringInfoChar(items->out, ']');
	end_object(items);
}

static void
put_expired(Items *items, const IcebergChange *change)
{
	const char *comma = "";
	ListCell   *cell;

	begin_object(items, "action", "remove-snapshots");
	appendStringInfoString(items->out, ",\"snapshot-ids\":[");
	foreach (cell, change->expired)
	{
		IcebergVersion *version = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		appendStringInfo(items->out, "%s" INT64_FORMAT, comma,
						 version->version.version);
		comma = ",";
	}
	appendStringInfoChar(items->out, ']');
	end_object(items);
}

static void
put_updates(Items *items, const IcebergTable *table,
			const IcebergChange *change, const char *uuid)
{
	if (uuid)
		put_new_table(items, table, uuid);
	if (change->lost_specs)
		put_lost_specs(items, change);
	put_schema(items, table, change);
	if (uuid)
		put_new_layout(items);
	put_sort_order(items, table, change);
	if (change->source)
		put_comment(items, table, change);
	if (change->snapshot)
		put_snapshot(items, table, change);
	if (change->expired)
		put_expired(items, change);
}

static void
put_namespace(StringInfo out, const LakeCatalog *catalog)
{
	const char *comma = "";
	ListCell   *cell;

	appendStringInfoString(out, "\"namespace\":[");
	foreach (cell, catalog->namespace)
	{
		appendStringInfoString(out, comma);
		lake_json_put_text(out, lfirst(cell));
		comma = ",";
	}
	appendStringInfoChar(out, ']');
}

char *
iceberg_rest_change(const LakeCatalog *catalog, const IcebergTable *table,
					const IcebergChange *change, const char *uuid)
{
	StringInfoData out;
	Items		   requirements = {&out, ""};
	Items		   updates = {&out, ""};

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"identifier\":{");
	put_namespace(&out, catalog);
	appendStringInfoString(&out, ",\"name\":");
	lake_json_put_text(&out,
					   lake_catalog_table_name(catalog, table->table.folder));
	appendStringInfoString(&out, "},\"requirements\":[");
	if (uuid)
	{
		begin_object(&requirements, "type", "assert-create");
		end_object(&requirements);
	}
	else
		put_requirements(&requirements, table, change);
	appendStringInfoString(&out, "],\"updates\":[");
	put_updates(&updates, table, change, uuid);
	appendStringInfoString(&out, "]}");
	return pg_server_to_any(out.data, out.len, PG_UTF8);
}
