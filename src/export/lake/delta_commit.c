/*
 * delta_commit.c
 *		A version of a Delta table, from the parts of a job.
 *
 * A version is one new file of the log, and whoever writes it first has it.  It
 * says what the table is from then on: files that the job carried are in the log
 * already, those that it wrote are added, all others are removed.
 *
 * Each action of the version is written here, as they must agree with each other.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/delta_log.h"
#include "failpoint.h"

/* ---- the version's actions */

typedef struct Commit
{
	const Job		*job;
	const JobSource *source;
	const List		*parts;
	const DeltaLog	*log;
	int64			 now; /* milliseconds since 1970 */
	int64			 rows;
	int64			 added, added_bytes;
	int64			 removed;
	StringInfoData	 files;	  /* the lines of files */
	StringInfoData	 actions; /* all lines */
} Commit;

static void
put_add(Commit *commit, const FinishedPart *part)
{
	StringInfo out = &commit->files;

	appendStringInfoString(out, "{\"add\":{\"path\":");
	lake_json_put_text(out, lake_name_of_part(part));
	appendStringInfo(out,
					 ",\"partitionValues\":{},\"size\":" INT64_FORMAT
					 ",\"modificationTime\":" INT64_FORMAT
					 ",\"dataChange\":true",
					 part->bytes_stored, commit->now);
	if (part->statistics)
	{
		appendStringInfoString(out, ",\"stats\":");
		lake_json_put_text(out, part->statistics);
	}
	appendStringInfoString(out, "}}\n");
	commit->added++;
	commit->added_bytes += part->bytes_stored;
}

static void
put_remove(Commit *commit, const DeltaFile *file)
{
	StringInfo out = &commit->files;

	appendStringInfoString(out, "{\"remove\":{\"path\":");
	lake_json_put_text(out, file->path);
	appendStringInfo(out,
					 ",\"deletionTimestamp\":" INT64_FORMAT
					 ",\"dataChange\":true,\"extendedFileMetadata\":true,"
					 "\"partitionValues\":{},\"size\":" INT64_FORMAT "}}\n",
					 commit->now, file->size);
	commit->removed++;
}

/* The difference between what the log has and what the job has. */
static void
put_files(Commit *commit)
{
	HTAB		   *kept = lake_path_set();
	HASH_SEQ_STATUS files;
	DeltaFile	   *file;
	ListCell	   *cell;

	foreach (cell, commit->parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		commit->rows += part->rows;
		(void) hash_search(kept, lake_name_of_part(part), HASH_ENTER, NULL);
		if (!hash_search(commit->log->files, lake_name_of_part(part),
						 HASH_FIND, NULL))
			put_add(commit, part);
	}
	hash_seq_init(&files, commit->log->files);
	while ((file = hash_seq_search(&files)) != NULL)
	{
		if (!hash_search(kept, file->path, HASH_FIND, NULL))
			put_remove(commit, file);
	}
}

/* Which version this is; first, as readers of a table's history expect it. */
static void
put_info(Commit *commit)
{
	StringInfo		 out = &commit->actions;
	const Job		*job = commit->job;
	const JobSource *source = commit->source;

	appendStringInfo(out, "{\"commitInfo\":{\"timestamp\":" INT64_FORMAT,
					 commit->now);
	appendStringInfo(
		out,
		",\"operation\":\"WRITE\",\"operationParameters\":{\"mode\":"
		"\"Overwrite\",\"partitionBy\":\"[]\"},\"isBlindAppend\":false,"
		"\"engineInfo\":\"outflow/" OUTFLOW_VERSION
		"\",\"txnId\":\"%s\",\"operationMetrics\":{\"numFiles\":"
		"\"" INT64_FORMAT "\",\"numOutputBytes\":\"" INT64_FORMAT
		"\",\"numRemovedFiles\":\"" INT64_FORMAT "\"},\"userMetadata\":",
		job->uuid, commit->added, commit->added_bytes, commit->removed);
	lake_json_put_text(out, psprintf("export job " INT64_FORMAT
									 ", snapshot %s, lsn %s",
									 job->id, job->snapshot, job->lsn));
	appendStringInfo(out,
					 ",\"outflow\":{\"job\":" INT64_FORMAT
					 ",\"uuid\":\"%s\",\"server\":\"%s\"," DELTA_NO_SUM
					 ",\"source\":",
					 job->id, job->uuid, job_server());
	lake_json_put_text(out, text_for_utf8(source->name));
	appendStringInfo(
		out,
		",\"snapshot\":\"%s\",\"lsn\":\"%s\",\"rows\":" INT64_FORMAT "}}}\n",
		job->snapshot, job->lsn, commit->rows);
}

static bool
has_local_timestamps(const char *schema)
{
	return strstr(schema, "\"type\":\"timestamp_ntz\"") ||
		   strstr(schema, "\"elementType\":\"timestamp_ntz\"");
}

/* Once the table has a feature, it keeps it: older versions need it. */
static void
put_protocol(Commit *commit)
{
	const char *now = commit->log->protocol;
	bool		ntz = has_local_timestamps(commit->source->table_schema);

	if (now == NULL || (ntz && strcmp(now, DELTA_PROTOCOL) == 0))
		appendStringInfo(&commit->actions, "%s\n",
						 ntz ? DELTA_PROTOCOL_NTZ : DELTA_PROTOCOL);
}

static bool
is_described(const Commit *commit)
{
	const DeltaLog	  *log = commit->log;
	const LakeVersion *last = lake_last_change(&log->table);
	const char		  *comment = commit->source->comment;

	/* another writer's may have settings and partitions */
	return last && lake_is_outflows(last) && log->schema && log->id &&
		   strcmp(log->schema, commit->source->table_schema) == 0 &&
		   strcmp(log->comment ? log->comment : "", comment ? comment : "") ==
			   0;
}

static void
put_metadata(Commit *commit)
{
	StringInfo		 out = &commit->actions;
	const JobSource *source = commit->source;

	if (is_described(commit))
		return;
	/* the first job's uuid is the table's */
	appendStringInfoString(out, "{\"metaData\":{\"id\":");
	lake_json_put_text(out,
					   commit->log->id ? commit->log->id : commit->job->uuid);
	appendStringInfoString(out, ",\"name\":");
	lake_json_put_text(out, text_for_utf8(source->name));
	if (source->comment)
	{
		appendStringInfoString(out, ",\"description\":");
		lake_json_put_text(out, source->comment);
	}
	appendStringInfoString(out, ",\"format\":{\"provider\":\"parquet\","
								"\"options\":{}},\"schemaString\":");
	lake_json_put_text(out, source->table_schema);
	appendStringInfo(out,
					 ",\"partitionColumns\":[],\"configuration\":{},"
					 "\"createdTime\":" INT64_FORMAT "}}\n",
					 commit->now);
}

/* What other writers of Delta keep a retry from being a second version by. */
static void
put_transaction(Commit *commit)
{
	appendStringInfo(&commit->actions,
					 "{\"txn\":{\"appId\":\"%s\",\"version\":" INT64_FORMAT
					 ",\"lastUpdated\":" INT64_FORMAT "}}\n",
					 lake_app_of_source(commit->source), commit->job->id,
					 commit->now);
}

static void
build(Commit *commit)
{
	commit->now = lake_now();
	initStringInfo(&commit->files);
	initStringInfo(&commit->actions);
	put_files(commit);
	put_info(commit);
	put_protocol(commit);
	put_metadata(commit);
	put_transaction(commit);
	appendBinaryStringInfo(&commit->actions, commit->files.data,
						   commit->files.len);
	delta_put_sum(delta_find_sum(commit->actions.data, commit->actions.len),
				  commit->actions.data, commit->actions.len);
}

/* ---- the commit */

static bool
delta_commit(Destination *root, LakeTable *table, const Job *job,
			 const JobSource *source, const List *parts)
{
	Commit commit = {.job = job,
					 .source = source,
					 .parts = parts,
					 .log = (DeltaLog *) table};

	table->last = lake_next_number(table->last);
	build(&commit);
	FAILPOINT("lake-commit");
	return lake_put_version(root, source->folder, job,
							delta_log_key(source->folder, table->last),
							commit.actions.data, commit.actions.len);
}

/* All that a commit leaves is its version, or no more than the log's folder. */
static void
delta_undo(Destination *root, const Job *job, const JobSource *source)
{
	(void) root->driver->remove(
		root, destination_key(source->folder, DELTA_LOG_FOLDER "/"));
}

static LakeTable *
delta_read(Destination *root, const char *folder, bool whole)
{
	return &delta_log_read(root, folder, whole)->table;
}

static bool
delta_holds(Destination *root, const LakeTable *table, const char *uuid)
{
	const DeltaLog *log = (const DeltaLog *) table;
	HASH_SEQ_STATUS files;
	DeltaFile	   *file;
	const ListCell *cell;
	bool			found = false;

	hash_seq_init(&files, log->files);
	while ((file = hash_seq_search(&files)) != NULL)
		found |= strstr(file->path, uuid) != NULL;
	/* a version that is no longer read */
	foreach (cell, log->jobs)
		found |= strcmp(((const LakeVersion *) lfirst(cell))->uuid, uuid) == 0;
	return found;
}

/* ---- what no version has any more */

/* A file's newest removal counts, since others may have restored an older
 * version. */
static void
delta_vacuum(Destination *root, LakeTable *table, int64 limit, LakeTold tell,
			 void *arg)
{
	DeltaLog *log = (DeltaLog *) table;
	HTAB	 *seen = lake_path_set();
	HTAB	 *uuids = lake_uuid_set();

	lake_take_uuids(uuids, table->versions);
	/* versions that somebody has cleaned up */
	lake_take_uuids(uuids, log->jobs);
	for (int i = list_length(log->removed) - 1; i >= 0; i--)
	{
		DeltaRemoved *removed = list_nth(log->removed, i);
		bool		  found;

		CHECK_FOR_INTERRUPTS();
		if (!lake_file_is_ours(uuids, removed->path))
			continue;
		(void) hash_search(seen, removed->path, HASH_ENTER, &found);
		if (!found && removed->timestamp < limit &&
			!hash_search(log->files, removed->path, HASH_FIND, NULL) &&
			root->driver->remove(root, removed->path))
			tell(arg, removed->path, removed->size);
	}
}

/* A version has the schema of all its files, whatever older ones have. */
static void
delta_check_schema(const LakeTable *table, const Job *job,
				   const JobSource *source)
{
}

const LakeFormat lake_format_delta = {.name = "Delta",
									  .folder = DELTA_LOG_FOLDER,
									  .files = &row_format_delta,
									  .read = delta_read,
									  .check_schema = delta_check_schema,
									  .commit = delta_commit,
									  .holds = delta_holds,
									  .settle = delta_checkpoint_if_due,
									  .undo = delta_undo,
									  .check = delta_check,
									  .vacuum = delta_vacuum};
