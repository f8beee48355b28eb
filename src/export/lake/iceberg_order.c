/*
 * iceberg_order.c
 *		The sort orders of an Iceberg table, and which of them a file is in.
 *
 * The key's order is declared once, and stays when the key is another one by
 * then, as older files refer to it.  It is the default one, too, which by the
 * specification is how writers should sort what they add, and no promise of what
 * is there: Spark sorts what it inserts or rewrites, for the sake of all who read
 * it.  What a reader may rely on is the id of a file's own entry.  That is given
 * to files that were seen to be in order, and to no other, "assumed to be
 * unsorted" then, whatever the default is.
 *
 * Whoever has chosen another default keeps it, which is seen by what our last
 * version has set; but not for a table that takes this one's place.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/iceberg_table.h"

#define NAME_DEFAULT "default-sort-order-id"

/* The field ids of an order as a key gives it, "1,3"; NULL for another one. */
static char *
fields_of_order(Jsonb *order)
{
	StringInfoData out;
	ListCell	  *cell;
	List		  *fields = lake_json_objects(order, "fields");

	initStringInfo(&out);
	foreach (cell, fields)
	{
		Jsonb *field = lfirst(cell);
		char  *transform = lake_json_text(field, "transform");
		char  *direction = lake_json_text(field, "direction");

		if (transform == NULL || strcmp(transform, "identity") != 0 ||
			direction == NULL || strcmp(direction, "asc") != 0)
			return NULL;
		appendStringInfo(&out, "%s" INT64_FORMAT,
						 foreach_current_index(cell) > 0 ? "," : "",
						 lake_json_int(field, "source-id"));
	}
	return out.data;
}

static List *
orders_of(const IcebergTable *table)
{
	return lake_json_objects(table->metadata, "sort-orders");
}

static Jsonb *
order_of_id(const IcebergTable *table, int64 id)
{
	ListCell *cell;

	foreach (cell, orders_of(table))
	{
		if (lake_json_int(lfirst(cell), "order-id") == id)
			return lfirst(cell);
	}
	return NULL;
}

/* 0: the table has none of these fields. */
static int64
id_of_fields(const IcebergTable *table, const char *fields)
{
	ListCell *cell;

	foreach (cell, orders_of(table))
	{
		char *found = fields_of_order(lfirst(cell));

		if (found && found[0] && strcmp(found, fields) == 0)
			return lake_json_int(lfirst(cell), "order-id");
	}
	return ICEBERG_UNSORTED;
}

/* As a catalog numbers them, too. */
static int64
free_id(const IcebergTable *table)
{
	int64	  id = ICEBERG_UNSORTED + 1;
	ListCell *cell;

	foreach (cell, orders_of(table))
		id = Max(id, lake_json_int(lfirst(cell), "order-id") + 1);
	return id;
}

/* A key has no nulls; where they would be is Spark's and Trino's default. */
static char *
order_of_fields(const char *fields, int64 id)
{
	StringInfoData out;
	const char	  *comma = "";

	initStringInfo(&out);
	appendStringInfo(&out, "{\"order-id\":" INT64_FORMAT ",\"fields\":[", id);
	for (const char *at = fields; *at; at += strspn(at, ","))
	{
		size_t len = strcspn(at, ",");

		appendStringInfo(&out,
						 "%s{\"transform\":\"identity\",\"source-id\":%.*s,"
						 "\"direction\":\"asc\",\"null-order\":"
						 "\"nulls-first\"}",
						 comma, (int) len, at);
		comma = ",";
		at += len;
	}
	appendStringInfoString(&out, "]}");
	return out.data;
}

/* Readers refuse a table whose default order its columns cannot have. */
static bool
order_fits(Jsonb *order, Jsonb *schema)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(order, "fields"))
	{
		char *type = iceberg_source_type(schema, lfirst(cell));

		if (type == NULL || !iceberg_transform_takes(lfirst(cell), type))
			return false;
	}
	return order != NULL;
}

/*
 * Whether others have chosen the default one, for columns of the source: it is
 * not what our last version has set, which is not the last that was made where
 * they have gone back.
 */
static bool
is_others_choice(const IcebergTable *table, const JobSource *source, int64 now)
{
	const IcebergVersion *made = NULL;
	const IcebergVersion *last = NULL;
	ListCell			 *cell;

	foreach (cell, table->table.versions)
	{
		const IcebergVersion *version = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!lake_is_outflows(&version->version))
			continue;
		if (made == NULL || version->sequence > made->sequence)
			made = version;
		last = version;
	}
	if (last == NULL)
		return now != ICEBERG_UNSORTED;
	return now != last->sort_order && now != made->sort_order &&
		   strcmp(last->version.app, lake_app_of_source(source)) == 0;
}

void
iceberg_choose_order(const IcebergTable *table, IcebergChange *change,
					 const char *schema)
{
	Jsonb *planned = iceberg_parse_json(change->source->table_schema);
	char  *fields = lake_json_text(planned, "order");
	int64  now = lake_json_int(table->metadata, NAME_DEFAULT);

	if (fields)
	{
		change->key_order = id_of_fields(table, fields);
		if (change->key_order == ICEBERG_UNSORTED)
		{
			change->key_order = free_id(table);
			change->new_order = order_of_fields(fields, change->key_order);
		}
		change->key_fields = fields;
	}
	change->default_order = change->key_order;
	if (is_others_choice(table, change->source, now) &&
		order_fits(order_of_id(table, now), iceberg_parse_json(schema)))
		change->default_order = now;
	/* others may not have declared it */
	if (change->default_order == ICEBERG_UNSORTED && orders_of(table) != NIL &&
		order_of_id(table, ICEBERG_UNSORTED) == NULL)
		change->new_order = order_of_fields("", ICEBERG_UNSORTED);
}

int64
iceberg_order_of_part(const IcebergTable *table, const IcebergChange *change,
					  const FinishedPart *part)
{
	const char *fields =
		part->statistics ? strchr(part->statistics, '/') : NULL;

	if (fields == NULL)
		return ICEBERG_UNSORTED;
	if (change->key_fields && strcmp(change->key_fields, fields + 1) == 0)
		return change->key_order;
	/* the key may be another one by now */
	return id_of_fields(table, fields + 1);
}
