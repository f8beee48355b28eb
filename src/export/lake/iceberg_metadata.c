/*
 * iceberg_metadata.c
 *		Reads the metadata of an Iceberg table.
 *
 * The last of metadata/vN.metadata.json is the table, whatever version-hint.text
 * says: that only spares readers the listing of names.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "encoding.h"
#include "export/lake/iceberg_table.h"
#include "failpoint.h"
#include "option.h"

#define METADATA_SUFFIX ".metadata.json"
#define VERSION_HINT	"version-hint.text"
#define UUID_LENGTH		36
/* So many of before are kept; the table is known by the last one alone. */
#define METADATA_KEPT 100

char *
iceberg_key(const char *folder, const char *name)
{
	return destination_key(folder, psprintf(ICEBERG_FOLDER "/%s", name));
}

char *
iceberg_metadata_key(const char *folder, int64 number)
{
	return iceberg_key(folder,
					   psprintf("v" INT64_FORMAT METADATA_SUFFIX, number));
}

int64
iceberg_number_of_name(const char *name)
{
	char *rest;
	int64 number;

	if (name[0] != 'v' || name[1] < '0' || name[1] > '9' ||
		/* nobody's catalog writes v07 */
		(name[1] == '0' && name[2] != '.'))
		return -1;
	number = lake_number(name + 1, &rest);
	return strcmp(rest, METADATA_SUFFIX) == 0 ? number : -1;
}

/* A number that no catalog reads. */
static bool
is_nobodys_name(const char *name)
{
	return name[0] == 'v' && name[1] == '0' &&
		   strcmp(name + 1 + strspn(name + 1, "0123456789"),
				  METADATA_SUFFIX) == 0;
}

/* The metadata of another kind of catalog, or one that is compressed; not the
 * checksums that Hadoop hides beside the files that it writes. */
static bool
is_other_metadata(const char *name)
{
	return name[0] != '.' && !is_nobodys_name(name) &&
		   (strstr(name, METADATA_SUFFIX) ||
			strstr(name, ".metadata.json.gz") ||
			strstr(name, ".gz.metadata.json")) &&
		   iceberg_number_of_name(name) < 0;
}

/* Called by a uuid alone: so Hadoop's catalog writes what it is about to give a
 * number, and leaves it if it dies then; but other catalogs call what they have so,
 * too. */
static bool
is_uuids_name(const char *name)
{
	return strspn(name, "0123456789abcdef-") == UUID_LENGTH &&
		   name[8] == '-' && name[UUID_LENGTH] == '.';
}

/* ---- snapshots */

/* All values of a summary are strings. */
static int64
summary_int(Jsonb *summary, const char *name)
{
	char *text = lake_json_text(summary, name);

	return text ? strtoll(text, NULL, 10) : 0;
}

static IcebergVersion *
take_snapshot(Jsonb *snapshot)
{
	IcebergVersion *taken = palloc0_object(IcebergVersion);
	LakeVersion	   *version = &taken->version;
	Jsonb		   *summary = lake_json_object(snapshot, "summary");

	taken->json = JsonbToCString(NULL, &snapshot->root, VARSIZE(snapshot));
	taken->parent = lake_json_int(snapshot, "parent-snapshot-id");
	taken->sequence = lake_json_int(snapshot, "sequence-number");
	taken->schema = lake_json_int(snapshot, "schema-id");
	taken->sort_order = summary_int(summary, "outflow.sort-order");
	version->version = lake_json_int(snapshot, "snapshot-id");
	version->timestamp = lake_json_int(snapshot, "timestamp-ms");
	version->changes = true;
	version->operation = lake_json_text(summary, "operation");
	version->engine = lake_json_text(summary, "engine-name");
	version->app = lake_json_text(summary, "outflow.app");
	version->added = summary_int(summary, "added-data-files");
	version->removed = summary_int(summary, "deleted-data-files");
	if (version->app == NULL)
		return taken;
	/* its files are looked for by that */
	taken->manifest_list = lake_json_need_text(snapshot, "manifest-list");
	taken->sum = lake_json_text(summary, "outflow.crc32c");
	version->server = lake_json_text(summary, "outflow.server");
	version->uuid = lake_json_text(summary, "outflow.uuid");
	version->job = summary_int(summary, "outflow.job");
	version->source = lake_json_text(summary, "outflow.source");
	version->snapshot = lake_json_text(summary, "outflow.snapshot");
	version->lsn = lake_json_text(summary, "outflow.lsn");
	version->rows = summary_int(summary, "total-records");
	return taken;
}

/* In the order in which they were made; the one that the table is comes last. */
static void
take_snapshots(IcebergTable *table)
{
	IcebergVersion *current = NULL;
	ListCell	   *cell;

	foreach (cell, lake_json_objects(table->metadata, "snapshots"))
	{
		IcebergVersion *version = take_snapshot(lfirst(cell));

		CHECK_FOR_INTERRUPTS();
		if (version->version.version == table->current)
			current = version;
		else
			table->table.versions = lappend(table->table.versions, version);
	}
	if (current)
		table->table.versions = lappend(table->table.versions, current);
	else if (table->current != ICEBERG_NONE)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("what is known of the table has no snapshot " INT64_FORMAT
					", the current one",
					table->current),
			 errhint("Mend the table with what has written to it, or "
					 "export to another directory.")));
}

/* ---- metadata */

static bool
is_partitioned(const IcebergTable *table)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(table->metadata, "partition-specs"))
	{
		Jsonb *found = lfirst(cell);

		if (lake_json_int(found, "spec-id") == table->spec)
			return lake_json_objects(found, "fields") != NIL;
	}
	return table->spec != 0;
}

/*
 * Programs write the same in their own way: file:/a, file:///a, file:///a/;
 * s3://b, s3a://b.
 */
static char *
place_of_uri(const char *uri)
{
	size_t scheme = strcspn(uri, ":/");
	char  *place;
	size_t len;

	if (uri[scheme] == ':')
		uri += scheme + 1;
	place = pstrdup(uri + strspn(uri, "/"));
	len = strlen(place);
	while (len > 0 && place[len - 1] == '/')
		place[--len] = '\0';
	return place;
}

static bool
is_moved(const IcebergTable *table)
{
	char *location = place_of_uri(iceberg_rest_location(table->metadata));

	return location[0] != '\0' &&
		   strcmp(location, place_of_uri(table->location)) != 0;
}

static void
take_facts(IcebergTable *table)
{
	Jsonb *metadata = table->metadata;
	int64  current = lake_json_int(metadata, "current-snapshot-id");

	table->current = current > 0 ? current : ICEBERG_NONE;
	table->sequence = lake_json_int(metadata, "last-sequence-number");
	table->updated = lake_json_int(metadata, "last-updated-ms");
	table->spec = lake_json_int(metadata, "default-spec-id");
	if (lake_json_int(metadata, "format-version") != 2 ||
		is_partitioned(table))
		table->table.is_foreign = true;
	else
		(void) lake_json_need_text(metadata, "table-uuid");
	table->is_moved = is_moved(table);
	take_snapshots(table);
}

static void
report_metadata_place(void *arg)
{
	encoding_context("metadata of an Iceberg table, \"%s\"", (char *) arg);
}

static IcebergTable *
new_table(Destination *root, const char *folder)
{
	IcebergTable *table = palloc0_object(IcebergTable);

	table->table.folder = folder;
	table->table.last = -1;
	table->current = ICEBERG_NONE;
	table->location = root->driver->uri(root, folder);
	return table;
}

IcebergTable *
iceberg_read_file(Destination *root, const char *folder, const char *name)
{
	char				*key = iceberg_key(folder, name);
	ErrorContextCallback place = {.callback = report_metadata_place,
								  .arg = key};
	IcebergTable		*table = new_table(root, folder);
	size_t				 len;
	char *text = root->driver->get(root, key, ICEBERG_FILE_MAX, &len);

	if (text == NULL)
		return NULL;
	place.previous = error_context_stack;
	error_context_stack = &place;
	table->metadata = lake_json_parse(text, len);
	take_facts(table);
	error_context_stack = place.previous;
	return table;
}

static IcebergTable *
read_numbered(Destination *root, const char *folder, int64 number)
{
	char		 *key = iceberg_metadata_key(folder, number);
	IcebergTable *table =
		iceberg_read_file(root, folder, destination_name(key));

	if (table)
		table->table.last = number;
	return table;
}

/* ---- the table */

static void
check_location(const IcebergTable *table, const char *name)
{
	char *location = iceberg_rest_location(table->metadata);

	if (strcmp(location, table->location) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" of the catalog is in another place", name),
			 errdetail("It is in \"%s\", not in \"%s\".",
					   option_shown(location), table->location),
			 errhint("Export to that place, or choose another name in "
					 "the catalog.")));
}

/* The number of a version is that of its snapshot. */
static LakeTable *
read_from_catalog(Destination *root, const char *folder)
{
	IcebergTable		*table = new_table(root, folder);
	ErrorContextCallback place = {
		.callback = report_metadata_place,
		.arg = lake_catalog_name(root->catalog, folder)};

	table->metadata = iceberg_rest_load(root->catalog, folder);
	if (table->metadata == NULL)
		return &table->table;
	check_location(table, place.arg);
	place.previous = error_context_stack;
	error_context_stack = &place;
	take_facts(table);
	error_context_stack = place.previous;
	table->table.last = table->sequence;
	return &table->table;
}

LakeTable *
iceberg_read(Destination *root, const char *folder, bool whole)
{
	IcebergTable *table;
	const char	 *other = NULL;
	bool		  passing = true; /* all of such a kind */
	bool		  is_file = true;
	int64		  last = -1;
	ListCell	 *cell;

	if (root->catalog)
		return read_from_catalog(root, folder);
	foreach (cell, root->driver->list(
					   root, destination_key(folder, ICEBERG_FOLDER), NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (iceberg_number_of_name(entry->name) > last)
		{
			last = iceberg_number_of_name(entry->name);
			is_file = entry->is_regular;
		}
		if (is_other_metadata(entry->name) &&
			(other == NULL || !is_uuids_name(entry->name)))
		{
			other = entry->name;
			passing = is_uuids_name(other);
		}
	}
	if (!is_file)
		lake_throw_no_file(root, iceberg_metadata_key(folder, last));
	table = last >= 0 ? read_numbered(root, folder, last)
					  : new_table(root, folder);
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("file \"%s\" has just been removed",
						destination_key(root->path,
										iceberg_metadata_key(folder, last)))));
	if (other)
	{
		table->table.last = Max(last, 0);
		if (!table->table.is_foreign)
		{
			table->table.foreign_file = destination_key(ICEBERG_FOLDER, other);
			table->table.is_passing = passing;
		}
		table->table.is_foreign = true;
	}
	return &table->table;
}

/* ---- what readers find it by */

void
iceberg_settle(Destination *root, const char *folder, int64 last)
{
	char *hint = psprintf(INT64_FORMAT, last);

	FAILPOINT("lake-settle");
	/* the rest is the catalog's business */
	if (root->catalog)
		return;
	root->driver->put(root, iceberg_key(folder, VERSION_HINT), hint,
					  strlen(hint), true);
	/* one more each time */
	if (last > METADATA_KEPT)
		(void) root->driver->remove(
			root, iceberg_metadata_key(folder, last - METADATA_KEPT));
}
