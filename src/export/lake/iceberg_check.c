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
	HTAB				 *files;	/* of all manifests that could be read */
	Finding				  metadata; /* of what that says of the snapshot */
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

/* ---- what the metadata says of it */

/* A list is beside the manifests that were written with it, wherever that was. */
static bool
is_in_place(const SnapshotCheck *snapshot)
{
	const LakeCheck *check = snapshot->check;
	const char		*list = snapshot->version->manifest_list;
	size_t			 place = destination_name(list) - list;
	ListCell		*cell;

	foreach (cell, snapshot->manifests)
	{
		const char *path = ((IcebergManifest *) lfirst(cell))->path;

		if (destination_name(path) - path == place &&
			strncmp(path, list, place) == 0)
			return true;
	}
	return strcmp(list,
				  check->root->driver->uri(
					  check->root, iceberg_key(check->folder,
											   destination_name(list)))) == 0;
}

/* Its columns, however they are written; NULL: it is not there. */
static char *
columns_of_schema(Jsonb *schema)
{
	char *fields = lake_json_any(schema, "fields");
	char *to = fields;

	for (char *from = fields; from && *from; from++)
	{
		if (*from != ' ')
			*to++ = *from;
	}
	if (to)
		*to = '\0';
	return fields;
}

static char *
columns_by_id(Jsonb *metadata, int64 id)
{
	Jsonb *schema =
		iceberg_schema_of_id(lake_json_objects(metadata, "schemas"), id);

	return schema ? columns_of_schema(schema) : NULL;
}

/* As a manifest's head has it, which is Avro's: lengths are zigzag varints. */
static Jsonb *
schema_in_manifest(const char *text, size_t len)
{
	static const char name[] = "\x0c"
							   "schema";
	const char		 *end = text + len;
	const char		 *at = memmem(text, len, name, strlen(name));
	uint64			  size = 0;

	if (at == NULL)
		return NULL;
	at += strlen(name);
	for (int shift = 0; at < end && shift < 63; shift += 7)
	{
		uint8 byte = *at++;

		size |= (uint64) (byte & 0x7F) << shift;
		if (byte < 0x80)
			break;
	}
	size >>= 1;
	return size <= end - at ? lake_json_parse(at, size) : NULL;
}

/* Whether a manifest that came with the snapshot has other columns. */
static bool
has_other_columns(const SnapshotCheck *snapshot, int64 schema,
				  const char *columns)
{
	const LakeCheck *check = snapshot->check;
	ListCell		*cell;

	foreach (cell, snapshot->manifests)
	{
		const IcebergManifest *manifest = lfirst(cell);
		size_t				   len;
		char				  *text;
		Jsonb				  *was;

		CHECK_FOR_INTERRUPTS();
		if (manifest->snapshot != snapshot->version->version.version)
			continue;
		text = check->root->driver->get(
			check->root,
			iceberg_key(check->folder, destination_name(manifest->path)),
			ICEBERG_FILE_MAX, &len);
		was = text ? schema_in_manifest(text, len) : NULL;
		if (was && lake_json_int(was, "schema-id") == schema &&
			strcmp(columns_of_schema(was), columns) != 0)
			return true;
	}
	return false;
}

static void
judge_metadata(void *arg)
{
	SnapshotCheck *snapshot = arg;
	Jsonb		  *metadata =
		((const IcebergTable *) snapshot->check->table)->metadata;
	int64 schema = lake_json_int(iceberg_parse_json(snapshot->version->json),
								 "schema-id");
	char *columns = columns_by_id(metadata, schema);
	int64 current = lake_json_int(metadata, "current-schema-id");

	if (!is_in_place(snapshot))
		snapshot->metadata = (Finding){
			"wrong content", "It has the version's manifest list elsewhere."};
	else if (columns == NULL || columns_by_id(metadata, current) == NULL)
		snapshot->metadata = (Finding){
			"wrong content", psprintf("It has no schema " INT64_FORMAT ".",
									  columns ? current : schema)};
	else if (has_other_columns(snapshot, schema, columns))
		snapshot->metadata = (Finding){
			"wrong content",
			"The version's schema is not the one that it was committed with."};
	else
		snapshot->metadata = finding_ok;
}

/* A catalog's is that catalog's business. */
static void
tell_metadata(SnapshotCheck *snapshot)
{
	const LakeCheck *check = snapshot->check;
	Finding			 finding;

	if (check->root->catalog)
		return;
	finding = lake_try(judge_metadata, snapshot);
	check->tell(check->arg,
				iceberg_metadata_key(check->folder, check->table->last),
				finding_is_ok(finding) ? snapshot->metadata : finding);
}

void
iceberg_check(const LakeCheck *check)
{
	SnapshotCheck snapshot = {.check = check,
							  .version =
								  (const IcebergVersion *) check->version,
							  .files = iceberg_file_set()};
	Finding		  finding = lake_try(read_manifest_list, &snapshot);

	bool is_read = finding_is_ok(finding) && check_manifests(&snapshot);

	if (is_read)
		finding = check_snapshot(&snapshot);
	check->tell(check->arg,
				iceberg_key(check->folder,
							destination_name(snapshot.version->manifest_list)),
				finding);
	/* what damaged manifests say proves nothing */
	if (is_read && finding_is_ok(finding))
		tell_metadata(&snapshot);
}
