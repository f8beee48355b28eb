/*
 * iceberg_check.c
 *		Whether a snapshot's list and manifests are those that were committed.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/iceberg_table.h"
#include "option.h"

typedef struct SnapshotCheck
{
	const LakeCheck		 *check;
	const IcebergVersion *version;
	List				 *manifests;
	IcebergManifest		 *manifest; /* that is being read */
	pg_crc32c			  list_sum;
	HTAB				 *files; /* of all manifests that could be read */
} SnapshotCheck;

/* A damaged list may name anything: none but those that are written here are
 * looked for, and shown. */
static bool
is_manifest_name(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && strcmp(name + len - 5, ".avro") == 0 &&
		   strspn(name, "0123456789abcdef-mvro.") == len;
}

static void
read_manifest_list(void *arg)
{
	SnapshotCheck *snapshot = arg;
	ListCell	  *cell;

	snapshot->manifests =
		iceberg_manifests(snapshot->check->root, snapshot->check->folder,
						  snapshot->version, &snapshot->list_sum);
	foreach (cell, snapshot->manifests)
	{
		CHECK_FOR_INTERRUPTS();
		if (!is_manifest_name(
				destination_name(((IcebergManifest *) lfirst(cell))->path)))
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("It names a manifest that is none.")));
	}
}

static void
read_manifest_files(void *arg)
{
	SnapshotCheck *snapshot = arg;

	iceberg_add_files(snapshot->files, snapshot->check->root,
					  snapshot->check->folder, snapshot->manifest);
}

/* Whether all of them could be read. */
static bool
check_manifests(SnapshotCheck *snapshot)
{
	const LakeCheck *check = snapshot->check;
	bool			 ok = true;
	ListCell		*cell;

	foreach (cell, snapshot->manifests)
	{
		Finding finding;

		CHECK_FOR_INTERRUPTS();
		snapshot->manifest = lfirst(cell);
		finding = lake_try(read_manifest_files, snapshot);
		check->tell(check->arg,
					iceberg_key(check->folder,
								destination_name(snapshot->manifest->path)),
					finding);
		ok &= finding_is_ok(finding);
	}
	return ok;
}

static bool
iceberg_has_part(const void *files, const FinishedPart *part)
{
	const IcebergFile *file =
		hash_search((HTAB *) files, lake_name_of_part(part), HASH_FIND, NULL);

	return file && file->rows == part->rows &&
		   file->size == part->bytes_stored;
}

static Finding
check_snapshot(const SnapshotCheck *snapshot)
{
	const char *was = snapshot->version->sum;
	char	   *is = iceberg_sum(snapshot->manifests, snapshot->list_sum);
	Finding		finding =
		lake_check_parts(snapshot->check, iceberg_has_part, snapshot->files,
						 hash_get_num_entries(snapshot->files));

	/* exports of before have named no sum */
	if (!finding_is_ok(finding) || was == NULL || strcmp(was, is) == 0)
		return finding;
	return (Finding){"wrong content",
					 psprintf("crc32c of the list and its manifests was %s, "
							  "is %s",
							  option_shown(was), is)};
}

void
iceberg_check(const LakeCheck *check)
{
	SnapshotCheck snapshot = {.check = check,
							  .version =
								  (const IcebergVersion *) check->version,
							  .files = iceberg_file_set()};
	Finding		  finding = lake_try(read_manifest_list, &snapshot);

	if (finding_is_ok(finding) && check_manifests(&snapshot))
		finding = check_snapshot(&snapshot);
	check->tell(check->arg,
				iceberg_key(check->folder,
							destination_name(snapshot.version->manifest_list)),
				finding);
}
