/*
 * iceberg_commit.c
 *		A snapshot of an Iceberg table, from the parts of a job.
 *
 * Its manifests and their list come first, under names of the job, where nobody
 * looks for them.  Then metadata of the next number names the list, and whoever
 * writes that first has the version.
 *
 * What a commit writes, what is taken back of it, and how its version is found
 * again are here together, as each must know what the others leave.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "export/lake/iceberg_table.h"
#include "failpoint.h"

/* More than that, and all manifests are written anew, together. */
#define MANIFESTS_KEPT 50

typedef struct IcebergCommit
{
	Destination			 *root;
	const IcebergTable	 *table;
	const IcebergVersion *parent; /* NULL: none whose files are known */
	IcebergChange		  change;
	const List			 *parts;
	HTAB				 *files;	 /* that the parent has */
	List				 *manifests; /* of the parent */
	IcebergWriter		 *writer;
	char				 *sum;		/* of what that has written */
	int64				  sizes[3]; /* by status: of files, their rows */
	int64				  counts[3];
	int64				  rows[3];
} IcebergCommit;

/* As random as the job's uuid is, and the same at each try. */
static int64
snapshot_of_job(const Job *job)
{
	uint64 id = 0;
	int	   digits = 0;

	for (const char *c = job->uuid; *c && digits < 16; c++)
	{
		if (*c == '-')
			continue;
		id = id * 16 + (uint64) (*c <= '9' ? *c - '0' : *c - 'a' + 10);
		digits++;
	}
	return (int64) (id & PG_INT64_MAX);
}

/* The snapshot that the table is, if its manifests are ours. */
static const IcebergVersion *
find_parent(const IcebergTable *table)
{
	IcebergVersion *last =
		table->table.versions ? llast(table->table.versions) : NULL;

	if (last == NULL || last->version.version != table->current ||
		!lake_is_outflows(&last->version))
		return NULL;
	return last;
}

/* ---- files */

static void
put_and_count(IcebergCommit *commit, const IcebergFile *file,
			  IcebergStatus status)
{
	commit->counts[status]++;
	commit->rows[status] += file->rows;
	commit->sizes[status] += file->size;
	if (status != ICEBERG_EXISTING)
		iceberg_put_file(commit->writer, file, status);
}

static void
put_new_file(IcebergCommit *commit, const char *path, const FinishedPart *part)
{
	IcebergFile file = {.rows = part->rows, .size = part->bytes_stored};

	file.entry = iceberg_entry_of_part(
		path, part,
		iceberg_order_of_part(commit->table, &commit->change, part),
		&file.entry_len);
	put_and_count(commit, &file, ICEBERG_ADDED);
	pfree(file.entry);
}

static char *
path_of_file(Destination *root, const LakeTable *lake, const char *name)
{
	return root->driver->uri(root, destination_key(lake->folder, name));
}

/* What the parent does not have, an earlier snapshot may have deleted: it never
 * comes back. */
static void
put_parts(IcebergCommit *commit)
{
	const ListCell *cell;

	foreach (cell, commit->parts)
	{
		FinishedPart *part = lfirst(cell);
		const char	 *name = lake_name_of_part(part);
		char *path = path_of_file(commit->root, &commit->table->table, name);
		IcebergFile *file = hash_search(commit->files, name, HASH_FIND, NULL);

		CHECK_FOR_INTERRUPTS();
		/* a table that was moved has its files in another place by now */
		if (file && strcmp(file->path, path) == 0)
			file->kept = true;
		else if (part->location)
			lake_throw_lost(part);
		else
			put_new_file(commit, path, part);
		pfree(path);
	}
}

static void
put_lost(IcebergCommit *commit)
{
	HASH_SEQ_STATUS files;
	IcebergFile	   *file;

	hash_seq_init(&files, commit->files);
	while ((file = hash_seq_search(&files)) != NULL)
	{
		if (file->kept)
			put_and_count(commit, file, ICEBERG_EXISTING);
		else
		{
			file->manifest->lost++;
			put_and_count(commit, file, ICEBERG_DELETED);
		}
	}
}

static bool
stays(const IcebergCommit *commit, const IcebergManifest *manifest)
{
	return manifest->lost == 0 && manifest->spec == commit->table->spec &&
		   manifest->files[ICEBERG_EXISTING] + manifest->files[ICEBERG_ADDED] >
			   0 &&
		   list_length(commit->manifests) <= MANIFESTS_KEPT;
}

/* Manifests of which nothing is lost stay, what stays of the others is written
 * anew. */
static void
put_kept_files(IcebergCommit *commit)
{
	HASH_SEQ_STATUS files;
	IcebergFile	   *file;
	ListCell	   *cell;

	foreach (cell, commit->manifests)
	{
		if (stays(commit, lfirst(cell)))
			iceberg_keep_manifest(commit->writer, lfirst(cell));
	}
	hash_seq_init(&files, commit->files);
	while ((file = hash_seq_search(&files)) != NULL)
	{
		if (file->kept && !stays(commit, file->manifest))
			iceberg_put_file(commit->writer, file, ICEBERG_EXISTING);
	}
}

/* ---- the snapshot */

/* Another writer's files, which are not counted. */
static bool
replaces_unknown(const IcebergCommit *commit)
{
	return commit->parent == NULL && commit->table->current != ICEBERG_NONE;
}

static const char *
operation_of(const IcebergCommit *commit)
{
	if (replaces_unknown(commit))
		return "overwrite";
	if (commit->counts[ICEBERG_DELETED] == 0)
		return "append";
	return commit->counts[ICEBERG_ADDED] == 0 ? "delete" : "overwrite";
}

static void
put_total(StringInfo out, const char *name, int64 value)
{
	appendStringInfo(out, ",\"%s\":\"" INT64_FORMAT "\"", name, value);
}

static void
put_fact(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, ",\"%s\":", name);
	lake_json_put_text(out, value);
}

static int64
total(const int64 *by_status)
{
	return by_status[ICEBERG_EXISTING] + by_status[ICEBERG_ADDED];
}

static void
put_summary(StringInfo out, const IcebergCommit *commit)
{
	const Job		*job = commit->change.job;
	const JobSource *source = commit->change.source;

	appendStringInfo(out, "{\"operation\":\"%s\"", operation_of(commit));
	put_total(out, "added-data-files", commit->counts[ICEBERG_ADDED]);
	put_total(out, "added-records", commit->rows[ICEBERG_ADDED]);
	put_total(out, "added-files-size", commit->sizes[ICEBERG_ADDED]);
	if (!replaces_unknown(commit))
	{
		put_total(out, "deleted-data-files", commit->counts[ICEBERG_DELETED]);
		put_total(out, "deleted-records", commit->rows[ICEBERG_DELETED]);
		put_total(out, "removed-files-size", commit->sizes[ICEBERG_DELETED]);
	}
	put_total(out, "total-data-files", total(commit->counts));
	put_total(out, "total-records", total(commit->rows));
	put_total(out, "total-files-size", total(commit->sizes));
	put_total(out, "total-delete-files", 0);
	put_total(out, "total-position-deletes", 0);
	put_total(out, "total-equality-deletes", 0);
	put_fact(out, "engine-name", "outflow");
	put_fact(out, "engine-version", OUTFLOW_VERSION);
	put_fact(out, "outflow.app", lake_app_of_source(source));
	put_fact(out, "outflow.server", job_server());
	put_fact(out, "outflow.uuid", job->uuid);
	put_fact(out, "outflow.crc32c", commit->sum);
	put_total(out, "outflow.job", job->id);
	put_fact(out, "outflow.source", text_for_utf8(source->name));
	put_fact(out, "outflow.snapshot", job->snapshot);
	put_fact(out, "outflow.lsn", job->lsn);
	put_total(out, "outflow.sort-order", commit->change.key_order);
	appendStringInfoChar(out, '}');
}

static void
build_snapshot(IcebergCommit *commit, const char *list)
{
	const IcebergTable *table = commit->table;
	StringInfoData		out;

	initStringInfo(&out);
	appendStringInfo(&out, "{\"snapshot-id\":" INT64_FORMAT,
					 commit->change.snapshot_id);
	if (table->current != ICEBERG_NONE)
		appendStringInfo(&out, ",\"parent-snapshot-id\":" INT64_FORMAT,
						 table->current);
	appendStringInfo(
		&out,
		",\"sequence-number\":" INT64_FORMAT ",\"timestamp-ms\":" INT64_FORMAT
		",\"schema-id\":" INT64_FORMAT ",\"manifest-list\":",
		table->sequence + 1, commit->change.now, commit->change.schema_id);
	lake_json_put_text(&out, list);
	appendStringInfoString(&out, ",\"summary\":");
	put_summary(&out, commit);
	appendStringInfoChar(&out, '}');
	commit->change.snapshot = out.data;
}

/* The schema of the snapshot, old or new, as manifests have it. */
static char *
schema_of(const IcebergCommit *commit)
{
	const IcebergChange *change = &commit->change;
	ListCell			*cell;

	if (change->schema)
		return iceberg_schema_with_id(change->schema, change->schema_id);
	foreach (cell, lake_json_objects(commit->table->metadata, "schemas"))
	{
		Jsonb *schema = lfirst(cell);

		if (lake_json_int(schema, "schema-id") == change->schema_id)
			return JsonbToCString(NULL, &schema->root, VARSIZE(schema));
	}
	elog(ERROR, "schema " INT64_FORMAT " is not there", change->schema_id);
}

static bool
iceberg_commit(Destination *root, LakeTable *lake, const Job *job,
			   const JobSource *source, const List *parts)
{
	IcebergTable *table = (IcebergTable *) lake;
	IcebergCommit commit = {.root = root,
							.table = table,
							/* of one that was moved nothing is in place */
							.parent =
								table->is_moved ? NULL : find_parent(table),
							.change = {.job = job,
									   .source = source,
									   .now = Max(lake_now(), table->updated),
									   .snapshot_id = snapshot_of_job(job)},
							.parts = parts};
	char		 *schema;
	char		 *list;

	(void) lake_next_number(table->sequence);
	iceberg_evolve(table, &commit.change);
	schema = schema_of(&commit);
	iceberg_choose_order(table, &commit.change, schema);
	commit.files =
		iceberg_files(root, lake->folder, commit.parent, &commit.manifests);
	commit.writer =
		iceberg_writer_new(root, table, job->uuid, schema,
						   commit.change.schema_id, commit.change.snapshot_id);
	put_parts(&commit);
	put_lost(&commit);
	put_kept_files(&commit);
	list = iceberg_writer_finish(commit.writer, &commit.sum);
	build_snapshot(&commit, list);
	FAILPOINT("lake-commit");
	return iceberg_put_change(root, table, &commit.change);
}

/* Manifests have the job's uuid in their names. */
static void
iceberg_undo(Destination *root, const Job *job, const JobSource *source)
{
	char	 *folder = destination_key(source->folder, ICEBERG_FOLDER);
	ListCell *cell;

	foreach (cell, root->driver->list(root, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (strstr(entry->name, job->uuid))
			(void) root->driver->remove(
				root, iceberg_key(source->folder, entry->name));
	}
	root->driver->sync(root, folder);
	/* only an empty one goes */
	(void) root->driver->remove(root, psprintf("%s/", folder));
}

static HTAB *
iceberg_live(Destination *root, const LakeTable *lake)
{
	List		   *manifests;
	HASH_SEQ_STATUS files;
	IcebergFile	   *file;
	HTAB		   *live =
		iceberg_files(root, lake->folder,
					  find_parent((const IcebergTable *) lake), &manifests);

	hash_seq_init(&files, live);
	while ((file = hash_seq_search(&files)) != NULL)
	{
		if (strcmp(file->path, path_of_file(root, lake, file->name)) != 0)
			(void) hash_search(live, file->name, HASH_REMOVE, NULL);
	}
	return live;
}

static bool
iceberg_holds(Destination *root, const LakeTable *lake, const char *uuid)
{
	const IcebergTable *table = (const IcebergTable *) lake;
	List			   *manifests;
	ListCell		   *cell;
	HASH_SEQ_STATUS		files;
	IcebergFile		   *file;
	bool				found = false;

	if (table->current == ICEBERG_NONE)
		return false;
	hash_seq_init(&files, iceberg_files(root, lake->folder, find_parent(table),
										&manifests));
	while ((file = hash_seq_search(&files)) != NULL)
		found |= strstr(file->name, uuid) != NULL;
	foreach (cell, manifests)
		found |=
			strstr(((IcebergManifest *) lfirst(cell))->path, uuid) != NULL;
	return found;
}

static const IcebergVersion *
find_snapshot(const IcebergTable *table, int64 id)
{
	ListCell *cell;

	foreach (cell, table->table.versions)
	{
		IcebergVersion *version = lfirst(cell);

		if (version->version.version == id)
			return version;
	}
	return NULL;
}

/*
 * Others' manifests are not read.  Where each snapshot is there down to one of
 * ours, or to the first, none that is gone can have brought files of a job.
 */
static bool
iceberg_is_unreadable(const LakeTable *lake)
{
	const IcebergTable *table = (const IcebergTable *) lake;
	int64				id = table->current;

	for (int i = 0; i <= list_length(lake->versions); i++)
	{
		const IcebergVersion *version;

		if (id <= 0)
			return false;
		version = find_snapshot(table, id);
		if (version == NULL)
			return true;
		if (lake_is_outflows(&version->version))
			return false;
		id = version->parent;
	}
	return true;
}

const LakeFormat lake_format_iceberg = {.name = "Iceberg",
										.folder = ICEBERG_FOLDER,
										.files = &row_format_iceberg,
										.read = iceberg_read,
										.check_schema = iceberg_check_schema,
										.commit = iceberg_commit,
										.holds = iceberg_holds,
										.live = iceberg_live,
										.is_unreadable = iceberg_is_unreadable,
										.settle = iceberg_settle,
										.undo = iceberg_undo,
										.check = iceberg_check,
										.vacuum = iceberg_vacuum};
