/*
 * iceberg_metadata_next.c
 *		The metadata that follows on another one, or on none.
 *
 * What exports know nothing of is taken over as it is.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "export/lake/iceberg_table.h"

/* That readers can go back to, and that settling leaves. */
#define METADATA_LOGGED 99

typedef struct Next
{
	const IcebergTable	*table;
	const IcebergChange *change;
	StringInfoData		 out;
} Next;

/* What is written anew; the rest is taken over. */
static const char *const written_members[] = {"format-version",
											  "table-uuid",
											  "location",
											  "last-sequence-number",
											  "last-updated-ms",
											  "last-column-id",
											  "schemas",
											  "current-schema-id",
											  "partition-specs",
											  "default-spec-id",
											  "last-partition-id",
											  "sort-orders",
											  "default-sort-order-id",
											  "properties",
											  "current-snapshot-id",
											  "refs",
											  "snapshots",
											  "snapshot-log",
											  "statistics",
											  "partition-statistics",
											  "metadata-log",
											  "schema"};

static void
put_name(Next *next, const char *name)
{
	appendStringInfo(&next->out, ",\"%s\":", name);
}

static void
put_int(Next *next, const char *name, int64 value)
{
	put_name(next, name);
	appendStringInfo(&next->out, INT64_FORMAT, value);
}

/* As it was, or what a new table has. */
static void
put_kept(Next *next, const char *name, const char *otherwise)
{
	char *kept = lake_json_any(next->table->metadata, name);

	put_name(next, name);
	appendStringInfoString(&next->out, kept ? kept : otherwise);
}

/*
 * Paths are absolute: what a table that was moved or copied has of before lies in
 * the other place, and maybe another table has it there.  Whoever expires what is
 * not ours destroys that one.
 */
static bool
leaves_past(const Next *next)
{
	return next->change->snapshot && next->table->is_moved;
}

static bool
is_expired(const Next *next, int64 snapshot)
{
	ListCell *cell;

	if (leaves_past(next))
		return true;
	foreach (cell, next->change->expired)
	{
		IcebergVersion *version = lfirst(cell);

		if (version->version.version == snapshot)
			return true;
	}
	return false;
}

static char *
text_of(Jsonb *json)
{
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* The objects of an array, and one more; NULL for none. */
static void
put_objects(Next *next, const char *name, const List *objects,
			const char *last)
{
	const ListCell *cell;
	const char	   *comma = "";

	put_name(next, name);
	appendStringInfoChar(&next->out, '[');
	foreach (cell, objects)
	{
		CHECK_FOR_INTERRUPTS();
		appendStringInfo(&next->out, "%s%s", comma, text_of(lfirst(cell)));
		comma = ",";
	}
	if (last)
		appendStringInfo(&next->out, "%s%s", comma, last);
	appendStringInfoChar(&next->out, ']');
}

/* Of those that name a snapshot, those whose snapshot stays. */
static List *
not_expired(const Next *next, const char *name)
{
	List	 *kept = NIL;
	ListCell *cell;

	foreach (cell, lake_json_objects(next->table->metadata, name))
	{
		CHECK_FOR_INTERRUPTS();
		if (!is_expired(next, lake_json_int(lfirst(cell), "snapshot-id")))
			kept = lappend(kept, lfirst(cell));
	}
	return kept;
}

/* What the table has been since the last snapshot that is gone: readers who look
 * for a time would take the one before it for what the table was then. */
static List *
logged_snapshots(const Next *next)
{
	List	 *logged = NIL;
	ListCell *cell;

	foreach (cell, lake_json_objects(next->table->metadata, "snapshot-log"))
	{
		CHECK_FOR_INTERRUPTS();
		if (is_expired(next, lake_json_int(lfirst(cell), "snapshot-id")))
			logged = NIL;
		else
			logged = lappend(logged, lfirst(cell));
	}
	return logged;
}

static List *
logged_metadata(const Next *next)
{
	List *logged = lake_json_objects(next->table->metadata, "metadata-log");
	int	  first = Max(list_length(logged) - (METADATA_LOGGED - 1), 0);

	if (leaves_past(next))
		return NIL;
	while (first < list_length(logged) &&
		   lake_json_int(list_nth(logged, first), "timestamp-ms") <
			   next->change->oldest)
		first++;
	return list_copy_tail(logged, first);
}

/* The members that are not written anew, as they are. */
static void
put_rest(Next *next, Jsonb *object, bool (*is_new)(const char *name))
{
	ListCell *cell;

	foreach (cell, lake_json_names(object))
	{
		char *name = lfirst(cell);

		if (is_new(name))
			continue;
		appendStringInfoChar(&next->out, ',');
		lake_json_put_text(&next->out, name);
		appendStringInfo(&next->out, ":%s", lake_json_any(object, name));
	}
}

static bool
is_main(const char *name)
{
	return strcmp(name, "main") == 0;
}

/* A branch's or tag's; others tell how long its snapshots are to stay. */
static bool
is_in_each_ref(const char *name)
{
	return strcmp(name, "snapshot-id") == 0 || strcmp(name, "type") == 0;
}

/* "main" is the snapshot that the table is; others are of no concern. */
static void
put_refs(Next *next)
{
	int64  main_snapshot = next->change->snapshot ? next->change->snapshot_id
												  : next->table->current;
	Jsonb *refs = lake_json_object(next->table->metadata, "refs");

	put_name(next, "refs");
	appendStringInfo(&next->out,
					 "{\"main\":{\"snapshot-id\":" INT64_FORMAT
					 ",\"type\":\"branch\"",
					 main_snapshot);
	put_rest(next, lake_json_object(refs, "main"), is_in_each_ref);
	appendStringInfoChar(&next->out, '}');
	if (!leaves_past(next))
		put_rest(next, refs, is_main);
	appendStringInfoChar(&next->out, '}');
}

/* The table's comment is one of them. */
static void
put_properties(Next *next)
{
	Jsonb *properties = lake_json_object(next->table->metadata, "properties");
	const char *comment =
		next->change->source ? next->change->source->comment : NULL;
	char *kept = NULL;

	if (next->change->source == NULL)
	{
		put_kept(next, "properties", "{}");
		return;
	}
	if (properties)
	{
		properties = DatumGetJsonbP(
			DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(properties),
								CStringGetTextDatum("comment")));
		if (JB_ROOT_COUNT(properties) > 0)
			kept = text_of(properties);
	}
	put_name(next, "properties");
	appendStringInfoChar(&next->out, '{');
	if (comment)
	{
		appendStringInfoString(&next->out, "\"comment\":");
		lake_json_put_text(&next->out, comment);
	}
	/* without its braces */
	if (kept)
		appendStringInfo(&next->out, "%s%.*s", comment ? "," : "",
						 (int) strlen(kept) - 2, kept + 1);
	appendStringInfoChar(&next->out, '}');
}

static bool
is_written(const char *name)
{
	for (int i = 0; i < lengthof(written_members); i++)
	{
		if (strcmp(written_members[i], name) == 0)
			return true;
	}
	return false;
}

static void
put_schemas(Next *next)
{
	const IcebergChange *change = next->change;

	put_int(next, "last-column-id", change->last_column);
	put_objects(next, "schemas",
				lake_json_objects(next->table->metadata, "schemas"),
				change->schema
					? iceberg_schema_with_id(change->schema, change->schema_id)
					: NULL);
	put_int(next, "current-schema-id", change->schema_id);
}

static void
put_sort_orders(Next *next)
{
	const IcebergChange *change = next->change;
	List *orders = lake_json_objects(next->table->metadata, "sort-orders");
	static const char unsorted[] = "{\"order-id\":0,\"fields\":[]}";

	if (orders == NIL)
		orders = list_make1(lake_json_parse(unsorted, strlen(unsorted)));
	put_objects(next, "sort-orders", orders, change->new_order);
	if (change->job)
		put_int(next, "default-sort-order-id", change->default_order);
	else
		put_kept(next, "default-sort-order-id", "0");
}

/* Other programs' files, which stay where they are. */
static void
put_statistics_files(Next *next, const char *name)
{
	if (lake_json_any(next->table->metadata, name))
		put_objects(next, name, not_expired(next, name), NULL);
}

static void
put_snapshots(Next *next)
{
	const IcebergChange *change = next->change;
	const IcebergTable	*table = next->table;

	put_int(next, "current-snapshot-id",
			change->snapshot ? change->snapshot_id : table->current);
	put_refs(next);
	put_objects(next, "snapshots", not_expired(next, "snapshots"),
				change->snapshot);
	put_objects(next, "snapshot-log", logged_snapshots(next),
				change->snapshot
					? psprintf("{\"timestamp-ms\":" INT64_FORMAT
							   ",\"snapshot-id\":" INT64_FORMAT "}",
							   change->now, change->snapshot_id)
					: NULL);
	put_statistics_files(next, "statistics");
	put_statistics_files(next, "partition-statistics");
}

/* Where readers find the metadata of before. */
static char *
this_in_log(const IcebergTable *table)
{
	StringInfoData entry;

	if (table->metadata == NULL)
		return NULL;
	initStringInfo(&entry);
	appendStringInfo(&entry,
					 "{\"timestamp-ms\":" INT64_FORMAT ",\"metadata-file\":",
					 table->updated);
	lake_json_put_text(&entry,
					   psprintf("%s/%s", table->location,
								iceberg_metadata_key("", table->table.last)));
	appendStringInfoChar(&entry, '}');
	return entry.data;
}

/* That of a table that was moved tells so until its files are in place. */
static void
put_location(Next *next)
{
	const IcebergTable *table = next->table;

	put_name(next, "location");
	lake_json_put_text(&next->out, table->is_moved && !leaves_past(next)
									   ? iceberg_rest_location(table->metadata)
									   : table->location);
}

char *
iceberg_metadata_next(const IcebergTable *table, const IcebergChange *change)
{
	Next next = {.table = table, .change = change};

	initStringInfo(&next.out);
	appendStringInfoString(&next.out, "{\"format-version\":2");
	/* the first job's uuid is the table's */
	put_kept(&next, "table-uuid",
			 change->job ? psprintf("\"%s\"", change->job->uuid) : "null");
	put_location(&next);
	put_int(&next, "last-sequence-number",
			table->sequence + (change->snapshot != NULL));
	put_int(&next, "last-updated-ms", change->now);
	put_schemas(&next);
	if (change->lost_specs)
		put_objects(&next, "partition-specs", change->kept_specs, NULL);
	else
		put_kept(&next, "partition-specs", "[{\"spec-id\":0,\"fields\":[]}]");
	put_kept(&next, "default-spec-id", "0");
	put_kept(&next, "last-partition-id", "999");
	put_sort_orders(&next);
	put_properties(&next);
	put_snapshots(&next);
	put_objects(&next, "metadata-log", logged_metadata(&next),
				this_in_log(table));
	put_rest(&next, next.table->metadata, is_written);
	appendStringInfoString(&next.out, "}\n");
	return pg_server_to_any(next.out.data, next.out.len, PG_UTF8);
}
