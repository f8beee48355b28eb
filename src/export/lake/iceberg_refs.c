/*
 * iceberg_refs.c
 *		Branches and tags of an Iceberg table, which are others' to end.
 *
 * A catalog has no requirement that no ref is new, and takes refs along with the
 * snapshot that they name.  So an expiry looks just before, and just after; what
 * came in between is lost to the catalog, but no file is.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/iceberg_table.h"
#include "option.h"

typedef struct SnapshotRef
{
	int64 snapshot; /* the key */
	char *name;
} SnapshotRef;

HTAB *
iceberg_refs(Jsonb *metadata)
{
	HASHCTL control = {.keysize = sizeof(int64),
					   .entrysize = sizeof(SnapshotRef),
					   .hcxt = CurrentMemoryContext};
	HTAB *found = hash_create("outflow refs of an Iceberg table", 64, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Jsonb	 *refs = lake_json_object(metadata, "refs");
	ListCell *cell;

	foreach (cell, lake_json_names(refs))
	{
		char *name = lfirst(cell);
		int64 id = lake_json_int(lake_json_object(refs, name), "snapshot-id");
		SnapshotRef *ref = hash_search(found, &id, HASH_ENTER, NULL);

		CHECK_FOR_INTERRUPTS();
		ref->name = name;
	}
	return found;
}

char *
iceberg_ref_to(HTAB *refs, int64 snapshot)
{
	SnapshotRef *ref = hash_search(refs, &snapshot, HASH_FIND, NULL);

	return ref ? ref->name : NULL;
}

/* ---- what a branch keeps besides */

typedef struct SnapshotParent
{
	int64 snapshot; /* the key */
	int64 parent;
	int64 timestamp;
} SnapshotParent;

static HTAB *
snapshot_parents(const IcebergTable *table)
{
	HASHCTL control = {.keysize = sizeof(int64),
					   .entrysize = sizeof(SnapshotParent),
					   .hcxt = CurrentMemoryContext};
	HTAB *parents = hash_create("outflow parents of snapshots", 256, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell *cell;

	foreach (cell, table->table.versions)
	{
		IcebergVersion *version = lfirst(cell);
		SnapshotParent *found =
			hash_search(parents, &version->version.version, HASH_ENTER, NULL);

		CHECK_FOR_INTERRUPTS();
		found->parent = version->parent;
		found->timestamp = version->version.timestamp;
	}
	return parents;
}

/* So many of a branch's newest snapshots, however old they are. */
static int64
count_to_keep(Jsonb *metadata, Jsonb *branch)
{
	int64 own = lake_json_int(branch, "min-snapshots-to-keep");
	char *tables = lake_json_text(lake_json_object(metadata, "properties"),
								  "history.expire.min-snapshots-to-keep");

	return own > 0 || tables == NULL ? own : strtoll(tables, NULL, 10);
}

/* And those that are not older than it says. */
static int64
keep_since(Jsonb *branch)
{
	int64 age = lake_json_int(branch, "max-snapshot-age-ms");

	return age > 0 ? lake_now() - age : PG_INT64_MAX;
}

static void
keep_branch(HTAB *kept, HTAB *parents, int64 id, int64 count, int64 since)
{
	/* each but once, should one be its own ancestor */
	for (int64 left = hash_get_num_entries(parents); left > 0; left--)
	{
		SnapshotParent *snapshot = hash_search(parents, &id, HASH_FIND, NULL);
		SnapshotRef	   *ref;
		bool			found;

		CHECK_FOR_INTERRUPTS();
		if (snapshot == NULL || (count <= 0 && snapshot->timestamp < since))
			return;
		ref = hash_search(kept, &id, HASH_ENTER, &found);
		if (!found)
			ref->name = "";
		id = snapshot->parent;
		count--;
	}
}

HTAB *
iceberg_kept_by_refs(const IcebergTable *table)
{
	Jsonb	 *refs = lake_json_object(table->metadata, "refs");
	Jsonb	 *main_branch = lake_json_object(refs, "main");
	HTAB	 *kept = iceberg_refs(table->metadata);
	HTAB	 *parents = snapshot_parents(table);
	ListCell *cell;

	/* not every table names its main branch */
	keep_branch(kept, parents, table->current,
				count_to_keep(table->metadata, main_branch),
				keep_since(main_branch));
	foreach (cell, lake_json_names(refs))
	{
		Jsonb *ref = lake_json_object(refs, lfirst(cell));
		char  *type = lake_json_text(ref, "type");

		if (type && strcmp(type, "branch") == 0)
			keep_branch(kept, parents, lake_json_int(ref, "snapshot-id"),
						count_to_keep(table->metadata, ref), keep_since(ref));
	}
	return kept;
}

/* ---- what came while snapshots were expired */

/* The same for any of the snapshots, which *version is then. */
static char *
ref_to_any(Jsonb *metadata, const List *expired, int64 *version)
{
	HTAB		   *refs = iceberg_refs(metadata);
	const ListCell *cell;

	foreach (cell, expired)
	{
		char *name;

		CHECK_FOR_INTERRUPTS();
		*version = ((LakeVersion *) lfirst(cell))->version;
		name = iceberg_ref_to(refs, *version);
		if (name)
			return name;
	}
	return NULL;
}

bool
iceberg_has_new_ref(Destination *root, const IcebergTable *table,
					const List *expired)
{
	int64 version;

	/* without a catalog, the next metadata file decides */
	if (root->catalog == NULL)
		return false;
	return ref_to_any(iceberg_rest_load(root->catalog, table->table.folder),
					  expired, &version) != NULL;
}

static bool
is_logged(Jsonb *metadata, const char *file)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(metadata, "metadata-log"))
	{
		char *other = lake_json_text(lfirst(cell), "metadata-file");

		if (other && strcmp(other, file) == 0)
			return true;
	}
	return false;
}

static void
check_metadata(Destination *root, const IcebergTable *table, const char *file,
			   const List *expired)
{
	const char	 *name = destination_name(file);
	IcebergTable *before;
	char		 *ref;
	int64		  version;

	if (!destination_name_is_valid(name) || strstr(name, ".gz"))
		return;
	before = iceberg_read_file(root, table->table.folder, name);
	ref = before ? ref_to_any(before->metadata, expired, &version) : NULL;
	if (ref)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("version " INT64_FORMAT
					" of the Iceberg table in \"%s\" was named \"%s\" while "
					"it was being expired",
					version, lake_path_of_folder(root, table->table.folder),
					option_shown(ref)),
			 errdetail("The catalog has dropped both.  No file has been "
					   "removed; metadata file \"%s\" has them.",
					   option_shown(name)),
			 errhint("To have them back, register the table anew with that "
					 "file, before the next vacuum.")));
}

void
iceberg_check_lost_refs(Destination *root, const IcebergTable *table,
						const List *expired)
{
	Jsonb	 *now;
	ListCell *cell;

	if (root->catalog == NULL)
		return;
	now = iceberg_rest_load(root->catalog, table->table.folder);
	/* all metadata that the table has been since it was read */
	foreach (cell, lake_json_objects(now, "metadata-log"))
	{
		char *file = lake_json_text(lfirst(cell), "metadata-file");

		CHECK_FOR_INTERRUPTS();
		if (file && !is_logged(table->metadata, file))
			check_metadata(root, table, file, expired);
	}
}
