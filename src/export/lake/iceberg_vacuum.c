/*
 * iceberg_vacuum.c
 *		Snapshots of an Iceberg table that nobody needs any more, and their files.
 *
 * Metadata without the snapshots comes first, then files go that no snapshot
 * has, the metadata of before last.  Where that ends early, it is what tells the
 * next vacuum whose the files are that are left: see iceberg_known.c.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "export/lake/iceberg_table.h"
#include "failpoint.h"
#include "option.h"
#include "sink/patience.h"

typedef struct Vacuum
{
	Destination	 *root;
	IcebergTable *table;
	int64		  limit;
	LakeTold	  tell;
	void		 *arg;
	IcebergKnown *known;
	List		 *kept;	   /* of IcebergVersion * */
	List		 *expired; /* of IcebergVersion * */
	HTAB		 *needed;  /* names of files that those that are kept have */
} Vacuum;

/* Until when a snapshot was the table, as the log of snapshots has it. */
typedef struct TableUntil
{
	int64 snapshot; /* the key */
	int64 until;
} TableUntil;

/* The last time counts, since others may have gone back to it.  *begin: when the
 * log begins. */
static HTAB *
read_snapshot_log(const IcebergTable *table, int64 *begin)
{
	HASHCTL		control = {.keysize = sizeof(int64),
						   .entrysize = sizeof(TableUntil),
						   .hcxt = CurrentMemoryContext};
	HTAB	   *log = hash_create("outflow snapshot log", 256, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	TableUntil *last = NULL;
	ListCell   *cell;

	*begin = 0;
	foreach (cell, lake_json_objects(table->metadata, "snapshot-log"))
	{
		int64 id = lake_json_int(lfirst(cell), "snapshot-id");
		int64 time = lake_json_int(lfirst(cell), "timestamp-ms");

		CHECK_FOR_INTERRUPTS();
		if (last)
			last->until = time;
		else
			*begin = time;
		last = hash_search(log, &id, HASH_ENTER, NULL);
		last->until = PG_INT64_MAX;
	}
	return log;
}

/*
 * A snapshot is needed until it has not been the table for so long.  One that the
 * log does not have was so before it begins, or never; then it and the next one
 * have at least to be so old.
 */
static void
sort_snapshots(Vacuum *vacuum)
{
	List *versions = vacuum->table->table.versions;
	int64 begin;
	HTAB *log = read_snapshot_log(vacuum->table, &begin);
	HTAB *kept = iceberg_kept_by_refs(vacuum->table);

	for (int i = 0; i < list_length(versions); i++)
	{
		IcebergVersion *version = list_nth(versions, i);
		bool			last = i == list_length(versions) - 1;
		LakeVersion	   *next = last ? NULL : list_nth(versions, i + 1);
		TableUntil	   *logged =
			hash_search(log, &version->version.version, HASH_FIND, NULL);
		int64 until =
			logged ? logged->until : Max(begin, next ? next->timestamp : 0);

		CHECK_FOR_INTERRUPTS();
		if (!last && Max(version->version.timestamp, until) < vacuum->limit &&
			lake_is_ours(&version->version) &&
			!iceberg_ref_to(kept, version->version.version))
			vacuum->expired = lappend(vacuum->expired, version);
		else if (!lake_is_outflows(&version->version))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("version " INT64_FORMAT
							" of the Iceberg table is not of an export",
							version->version.version),
					 errdetail("Which files it has is not known."),
					 errhint("Expire it with the programs that write to the "
							 "table.")));
		else
			vacuum->kept = lappend(vacuum->kept, version);
	}
}

static void
need(Vacuum *vacuum, const char *uri)
{
	char name[LAKE_PATH_MAX];

	strlcpy(name, destination_name(uri), sizeof(name));
	(void) hash_search(vacuum->needed, name, HASH_ENTER, NULL);
}

static void
need_files_of(Vacuum *vacuum, IcebergVersion *version)
{
	List		   *manifests;
	HASH_SEQ_STATUS files;
	IcebergFile	   *file;
	ListCell	   *manifest;
	HTAB *found = iceberg_files(vacuum->root, vacuum->table->table.folder,
								version, &manifests);

	need(vacuum, version->manifest_list);
	foreach (manifest, manifests)
		need(vacuum, ((IcebergManifest *) lfirst(manifest))->path);
	hash_seq_init(&files, found);
	while ((file = hash_seq_search(&files)) != NULL)
		need(vacuum, file->name);
	hash_destroy(found);
}

/* Without an expiry there is no next metadata, and the last goes on to name it. */
static void
need_logged_metadata(Vacuum *vacuum)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(vacuum->table->metadata, "metadata-log"))
	{
		char *uri = lake_json_text(lfirst(cell), "metadata-file");

		CHECK_FOR_INTERRUPTS();
		if (uri)
			need(vacuum, uri);
	}
}

/* One version's manifests at a time are in memory. */
static void
find_needed(Vacuum *vacuum)
{
	MemoryContext versions = CurrentMemoryContext;
	MemoryContext one =
		AllocSetContextCreate(versions, "version", ALLOCSET_DEFAULT_SIZES);
	ListCell *cell;

	vacuum->needed = lake_path_set();
	foreach (cell, vacuum->kept)
	{
		MemoryContextSwitchTo(one);
		need_files_of(vacuum, lfirst(cell));
		MemoryContextSwitchTo(versions);
		MemoryContextReset(one);
	}
	MemoryContextDelete(one);
	if (vacuum->expired == NIL)
		need_logged_metadata(vacuum);
}

static void
put_expiry(Vacuum *vacuum, const IcebergChange *change)
{
	IcebergTable *table = vacuum->table;

	if (vacuum->expired == NIL)
		return;
	if (iceberg_has_new_ref(vacuum->root, table, vacuum->expired) ||
		!iceberg_put_change(vacuum->root, table, change))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("another writer has changed the Iceberg table "
							   "in \"%s\"",
							   lake_path_of_folder(vacuum->root,
												   table->table.folder)),
						errhint("Try again.")));
	FAILPOINT("lake-expired");
	iceberg_check_lost_refs(vacuum->root, table, vacuum->expired);
}

static void
discard_claim(void *arg)
{
	Destination *root = arg;

	root->driver->discard(root);
}

/* Without the snapshots, and without the metadata that goes. */
static void
commit_expiry(Vacuum *vacuum)
{
	IcebergTable *table = vacuum->table;
	IcebergChange change = {
		.now = Max(lake_now(), table->updated),
		.schema_id = lake_json_int(table->metadata, "current-schema-id"),
		.last_column = lake_json_int(table->metadata, "last-column-id"),
		.expired = vacuum->expired,
		.oldest = vacuum->limit};

	if (!lake_claim(vacuum->root))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("another vacuum is at the Iceberg table in \"%s\"",
					lake_path_of_folder(vacuum->root, table->table.folder))));
	PG_TRY();
	{
		/* a vacuum has no job whose mode it could have */
		vacuum->root->driver->keep_mode(
			vacuum->root,
			iceberg_metadata_key(table->table.folder, table->table.last));
		put_expiry(vacuum, &change);
		/* that may be what an earlier vacuum, or job, had no time for */
		iceberg_settle(vacuum->root, table->table.folder, table->table.last);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(GetMemoryChunkContext(vacuum->root));
		patience_clean_up(discard_claim, vacuum->root, vacuum->root->path);
	}
	PG_END_TRY();
	discard_claim(vacuum->root);
}

/* ---- files */

static void
remove_file(Vacuum *vacuum, const char *key, uint64 size)
{
	if (vacuum->root->driver->remove(vacuum->root, key))
		vacuum->tell(vacuum->arg, key, (int64) size);
	FAILPOINT("lake-vacuum");
}

static bool
is_needed(const Vacuum *vacuum, const char *name)
{
	return strlen(name) < LAKE_PATH_MAX &&
		   hash_search(vacuum->needed, name, HASH_FIND, NULL);
}

static void
remove_data(Vacuum *vacuum)
{
	const char *folder = vacuum->table->table.folder;
	ListCell   *cell;

	foreach (cell, vacuum->root->driver->list(vacuum->root, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (entry->is_regular && !is_needed(vacuum, entry->name) &&
			lake_file_is_ours(vacuum->known->uuids, entry->name))
			remove_file(vacuum, destination_key(folder, entry->name),
						entry->size);
	}
	/* before that goes which tells whose they are */
	vacuum->root->driver->sync(vacuum->root, folder);
}

/* "UUID-m0.avro" and "snap-ID-UUID.avro" of a job of this database */
static bool
is_our_manifest(const Vacuum *vacuum, const char *name)
{
	size_t		len = strlen(name);
	const char *rest;

	if (len < 5 || strcmp(name + len - 5, ".avro") != 0)
		return false;
	if (strncmp(name, "snap-", 5) == 0)
	{
		name += 5 + strspn(name + 5, "0123456789");
		return *name == '-' &&
			   lake_has_uuid(vacuum->known->uuids, name + 1, &rest) &&
			   strcmp(rest, ".avro") == 0;
	}
	return lake_has_uuid(vacuum->known->uuids, name, &rest) && *rest == '-';
}

/* Whether the next metadata, by which it is older, is so old. */
static bool
is_old_metadata(const Vacuum *vacuum, int64 number)
{
	/* what this vacuum has made is not */
	if (number < 0 || number >= vacuum->table->table.last)
		return false;
	return iceberg_known_made(vacuum->known, number + 1) < vacuum->limit;
}

static void
remove_metadata(Vacuum *vacuum)
{
	const char *folder = vacuum->table->table.folder;
	List	   *entries = vacuum->root->driver->list(
			  vacuum->root, destination_key(folder, ICEBERG_FOLDER), NULL);
	List	 *old = NIL;
	ListCell *cell;

	/* by name: lists, which tell whose the manifests are, come after those */
	foreach (cell, entries)
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_needed(vacuum, entry->name))
			continue;
		if (is_our_manifest(vacuum, entry->name))
			remove_file(vacuum, iceberg_key(folder, entry->name), entry->size);
		else if (is_old_metadata(vacuum, iceberg_number_of_name(entry->name)))
			old = lappend(old, entry);
	}
	vacuum->root->driver->sync(vacuum->root,
							   destination_key(folder, ICEBERG_FOLDER));
	foreach (cell, old)
	{
		DestinationEntry *entry = lfirst(cell);

		remove_file(vacuum, iceberg_key(folder, entry->name), entry->size);
	}
}

/* Another table may have its files. */
static void
check_collectable(const IcebergTable *table)
{
	char *enabled = lake_json_text(
		lake_json_object(table->metadata, "properties"), "gc.enabled");

	if (enabled == NULL || pg_strcasecmp(enabled, "true") == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("no file of the Iceberg table is to be removed"),
			 errdetail("Its property \"gc.enabled\" is \"%s\".",
					   option_shown(enabled)),
			 errhint("If no other table has its files, set the property to "
					 "true with the program that has set it.")));
}

void
iceberg_vacuum(Destination *root, LakeTable *lake, int64 limit, LakeTold tell,
			   void *arg)
{
	Vacuum vacuum = {.root = root,
					 .table = (IcebergTable *) lake,
					 .limit = limit,
					 .tell = tell,
					 .arg = arg};

	if (vacuum.table->current == ICEBERG_NONE)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the Iceberg table has no current snapshot")));
	check_collectable(vacuum.table);
	vacuum.known = iceberg_find_known(root, vacuum.table);
	sort_snapshots(&vacuum);
	find_needed(&vacuum);
	commit_expiry(&vacuum);
	remove_data(&vacuum);
	remove_metadata(&vacuum);
}
