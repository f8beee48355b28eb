/*
 * iceberg_known.c
 *		Which jobs an Iceberg table's files can be of, as the table tells it.
 *
 * A job is ours if a snapshot of it is, in any metadata that is still there.
 * Its files may outlive that, as later jobs carry them.  So those are ours, too,
 * that a snapshot of ours has files or manifests of, unless a snapshot of
 * another database's, or of a copy of this server, says that the job is its own.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "encoding.h"
#include "export/lake/iceberg_table.h"
#include "subtransaction.h"

/* When the metadata of a number was made. */
typedef struct MetadataMade
{
	int64 number; /* the key */
	int64 made;
} MetadataMade;

/* What becomes known. */
typedef struct KnownSearch
{
	Destination	 *root;
	const char	 *folder;
	IcebergKnown *known;
	HTAB *carried;	/* uuids of jobs that snapshots of ours have files of */
	HTAB *others;	/* of jobs whose snapshots are not ours */
	HTAB *unread;	/* names of what is there, but for those */
	bool  is_whole; /* all metadata could be read */
	MemoryContext one;
} KnownSearch;

/* All that is in the table's metadata. */
static List *
list_metadata(const KnownSearch *search)
{
	return search->root->driver->list(
		search->root, destination_key(search->folder, ICEBERG_FOLDER), NULL);
}

/* Names of the metadata of before that is still there. */
static List *
older_metadata(const KnownSearch *search, const IcebergTable *table)
{
	List	 *names = NIL;
	ListCell *cell;

	foreach (cell, list_metadata(search))
	{
		const DestinationEntry *entry = lfirst(cell);
		int64					number = iceberg_number_of_name(entry->name);

		if (entry->is_regular && number >= 0 && number < table->table.last)
			names = lappend(names, entry->name);
	}
	/* a catalog's have names of its own */
	foreach (cell, search->root->catalog
					   ? lake_json_objects(table->metadata, "metadata-log")
					   : NIL)
	{
		char	   *uri = lake_json_text(lfirst(cell), "metadata-file");
		const char *name = uri ? destination_name(uri) : "";

		if (destination_name_is_valid(name) && !strstr(name, ".gz"))
			names = lappend(names, pstrdup(name));
	}
	return names;
}

/* ---- what snapshots have */

/* Once each, as snapshots share them. */
static bool
is_to_be_read(KnownSearch *search, const char *name)
{
	return strlen(name) < LAKE_PATH_MAX &&
		   hash_search(search->unread, name, HASH_REMOVE, NULL);
}

static void
take_manifest(KnownSearch *search, IcebergManifest *manifest)
{
	const char	   *name = destination_name(manifest->path);
	HASH_SEQ_STATUS files;
	IcebergFile	   *file;
	HTAB		   *found;

	lake_take_uuid(search->carried, name);
	if (!is_to_be_read(search, name))
		return;
	found = iceberg_file_set();
	iceberg_add_files(found, search->root, search->folder, manifest);
	hash_seq_init(&files, found);
	while ((file = hash_seq_search(&files)) != NULL)
		lake_take_uuid_of_file(search->carried, file->name);
	hash_destroy(found);
}

typedef struct SnapshotRead
{
	KnownSearch			 *search;
	const IcebergVersion *version;
} SnapshotRead;

static void
take_files_of_snapshot(void *arg)
{
	SnapshotRead *read = arg;
	ListCell	 *cell;

	foreach (cell, iceberg_manifests(read->search->root, read->search->folder,
									 read->version, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		take_manifest(read->search, lfirst(cell));
	}
}

/* What is damaged in a snapshot that may be about to go is in nobody's way. */
static void
take_snapshot_files(KnownSearch *search, const IcebergVersion *version)
{
	SnapshotRead  read = {search, version};
	MemoryContext all = MemoryContextSwitchTo(search->one);
	ErrorData	 *error = NULL;

	if (is_to_be_read(search, destination_name(version->manifest_list)))
		error = subtransaction_try(take_files_of_snapshot, &read);
	if (error && !lake_is_damage(error))
		ReThrowError(error);
	if (error)
		ereport(WARNING, (errmsg("not all files of version " INT64_FORMAT
								 " of the Iceberg table are known",
								 version->version.version),
						  errdetail_internal("%s", error->message)));
	MemoryContextSwitchTo(all);
	MemoryContextReset(search->one);
}

/* ---- what metadata speaks of */

static void
take_known(KnownSearch *search, int64 number, const IcebergTable *table)
{
	MetadataMade *made =
		hash_search(search->known->made, &number, HASH_ENTER, NULL);
	ListCell *cell;

	made->made = table->updated;
	lake_take_uuids(search->known->uuids, table->table.versions);
	foreach (cell, table->table.versions)
	{
		const IcebergVersion *version = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (lake_is_ours(&version->version))
			take_snapshot_files(search, version);
		else if (version->version.uuid)
			lake_take_uuid(search->others, version->version.uuid);
	}
}

/* A file of the metadata of earlier. */
typedef struct OlderMetadata
{
	KnownSearch *search;
	const char	*name;
} OlderMetadata;

static void
read_older(void *arg)
{
	OlderMetadata *older = arg;
	KnownSearch	  *search = older->search;
	IcebergTable  *table =
		iceberg_read_file(search->root, search->folder, older->name);

	if (table)
		take_known(search, iceberg_number_of_name(older->name), table);
}

/* One file at a time is in memory.  What is damaged tells nothing. */
static void
take_older(KnownSearch *search, const IcebergTable *table)
{
	MemoryContext all = CurrentMemoryContext;
	MemoryContext one =
		AllocSetContextCreate(all, "metadata", ALLOCSET_DEFAULT_SIZES);
	ListCell *cell;

	foreach (cell, older_metadata(search, table))
	{
		OlderMetadata older = {search, lfirst(cell)};
		ErrorData	 *error;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(one);
		error = subtransaction_try(read_older, &older);
		if (error && !lake_is_damage(error))
			ReThrowError(error);
		search->is_whole &= error == NULL;
		if (error)
			ereport(WARNING,
					(errmsg("not all versions in \"%s\" of the Iceberg table "
							"are known",
							encoding_shown(older.name)),
					 errdetail_internal("%s", error->message)));
		MemoryContextSwitchTo(all);
		MemoryContextReset(one);
	}
	MemoryContextDelete(one);
}

/* Without all metadata it isn't known which of them are others'. */
static void
take_carried(KnownSearch *search)
{
	HASH_SEQ_STATUS carried;
	const char	   *uuid;

	if (!search->is_whole)
		return;
	hash_seq_init(&carried, search->carried);
	while ((uuid = hash_seq_search(&carried)) != NULL)
	{
		if (!hash_search(search->others, uuid, HASH_FIND, NULL))
			lake_take_uuid(search->known->uuids, uuid);
	}
}

static HTAB *
names_of_metadata(const KnownSearch *search)
{
	HTAB	 *names = lake_path_set();
	ListCell *cell;

	foreach (cell, list_metadata(search))
	{
		const DestinationEntry *entry = lfirst(cell);

		if (entry->is_regular && strlen(entry->name) < LAKE_PATH_MAX)
			(void) hash_search(names, entry->name, HASH_ENTER, NULL);
	}
	return names;
}

/* Whatever a vacuum that was killed has left, too. */
IcebergKnown *
iceberg_find_known(Destination *root, const IcebergTable *table)
{
	HASHCTL		control = {.keysize = sizeof(int64),
						   .entrysize = sizeof(MetadataMade),
						   .hcxt = CurrentMemoryContext};
	KnownSearch search = {.root = root,
						  .folder = table->table.folder,
						  .known = palloc_object(IcebergKnown),
						  .is_whole = true};

	search.known->uuids = lake_uuid_set();
	search.known->made = hash_create("outflow metadata", 128, &control,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	search.carried = lake_uuid_set();
	search.others = lake_uuid_set();
	search.unread = names_of_metadata(&search);
	search.one = AllocSetContextCreate(CurrentMemoryContext, "snapshot",
									   ALLOCSET_DEFAULT_SIZES);
	/* a catalog numbers none */
	take_known(&search, root->catalog ? -1 : table->table.last, table);
	take_older(&search, table);
	take_carried(&search);
	MemoryContextDelete(search.one);
	return search.known;
}

int64
iceberg_known_made(const IcebergKnown *known, int64 number)
{
	const MetadataMade *next =
		hash_search(known->made, &number, HASH_FIND, NULL);
	const MetadataMade *other;
	HASH_SEQ_STATUS		all;

	if (next)
		return next->made;
	/* it is damaged, or gone: when the next one was made, it was there */
	hash_seq_init(&all, known->made);
	while ((other = hash_seq_search(&all)) != NULL)
	{
		if (other->number > number &&
			(next == NULL || other->number < next->number))
			next = other;
	}
	return next ? next->made : PG_INT64_MAX;
}
