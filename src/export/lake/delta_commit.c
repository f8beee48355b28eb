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

#include "access/xlog.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "encode/delta/delta_text.h"
#include "export/lake/delta_log.h"
#include "export/lake/lake.h"
#include "failpoint.h"

/* The table, as long as it lives; in the log's words. */
static char *
app_of_source(const JobSource *source)
{
	return psprintf(DELTA_APP UINT64_FORMAT "/%u/%u", GetSystemIdentifier(),
					MyDatabaseId, source->relid);
}

bool
delta_is_of_this_database(const DeltaVersion *version)
{
	char *begin = psprintf(DELTA_APP UINT64_FORMAT "/%u/",
						   GetSystemIdentifier(), MyDatabaseId);

	return version->app && strncmp(version->app, begin, strlen(begin)) == 0;
}

static char *
path_of_folder(const Destination *root, const char *folder)
{
	return folder[0] ? psprintf("%s/%s", root->path, folder)
					 : pstrdup(root->path);
}

static bool
is_outflows(const DeltaVersion *version)
{
	return version->app &&
		   strncmp(version->app, DELTA_APP, strlen(DELTA_APP)) == 0;
}

static char *
describe_version(const DeltaVersion *version)
{
	if (version->job != 0)
		return psprintf("It is of export job " INT64_FORMAT
						" of another database or table, \"%s\".",
						version->job, version->source);
	return psprintf("Operation \"%s\" of \"%s\" has made it.",
					version->operation ? version->operation : "unknown",
					version->engine ? version->engine : "an unknown writer");
}

/* ---- whose the table is */

static void
check_log(const Destination *root, const Job *job, const JobSource *source,
		  const DeltaLog *log)
{
	const DeltaVersion *last = delta_log_last_change(log);
	char			   *path = path_of_folder(root, source->folder);

	if (last == NULL)
		return;
	if (log->is_foreign)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the Delta table in \"%s\" has features that exports "
						"do not write",
						path),
				 errhint("Export to another directory.")));
	if (job->options.overwrite)
		return;
	if (!is_outflows(last) || strcmp(last->app, app_of_source(source)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("version " INT64_FORMAT
						" of the Delta table in \"%s\" is not of an export of "
						"table %s",
						last->version, path, source->name),
				 errdetail("%s", describe_version(last)),
				 errhint("Choose another directory, or replace what the table "
						 "holds with options => '{\"overwrite\": true}'.")));
}

void
lake_check_folder(Destination *root, const Job *job, const JobSource *source)
{
	DeltaLog *log = delta_log_read(root, source->folder, false);
	List	 *files;

	check_log(root, job, source, log);
	if (log->last >= 0)
		return;
	files = root->driver->list(root, source->folder, NULL);
	if (files != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("\"%s\" is not empty, and no Delta table",
						path_of_folder(root, source->folder)),
				 errdetail("It holds \"%s\".",
						   ((DestinationEntry *) linitial(files))->name),
				 errhint("Choose an empty directory.")));
}

bool
lake_is_committed(Destination *root, const Job *job, const JobSource *source)
{
	return delta_log_of_job(delta_log_read(root, source->folder, false),
							job->uuid) != NULL;
}

char *
lake_version_key(Destination *root, const Job *job, const JobSource *source)
{
	const DeltaVersion *version = delta_log_of_job(
		delta_log_read(root, source->folder, true), job->uuid);

	return version ? delta_log_key(source->folder, version->version) : NULL;
}

bool
lake_is_complete(Destination *root, const Job *job)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		CHECK_FOR_INTERRUPTS();
		if (!lake_is_committed(root, job, lfirst(cell)))
			return false;
	}
	return true;
}

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

/* From the server's encoding. */
static void
commit_put_text(StringInfo out, const char *text)
{
	char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	delta_text(out, utf8, strlen(utf8));
}

/* Files have no folders in a table's log. */
static const char *
path_of_part(const FinishedPart *part)
{
	return destination_name(part->file);
}

static void
put_add(Commit *commit, const FinishedPart *part)
{
	StringInfo out = &commit->files;

	appendStringInfoString(out, "{\"add\":{\"path\":");
	commit_put_text(out, path_of_part(part));
	appendStringInfo(out,
					 ",\"partitionValues\":{},\"size\":" INT64_FORMAT
					 ",\"modificationTime\":" INT64_FORMAT
					 ",\"dataChange\":true",
					 part->bytes_stored, commit->now);
	if (part->statistics)
	{
		appendStringInfoString(out, ",\"stats\":");
		commit_put_text(out, part->statistics);
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
	commit_put_text(out, file->path);
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
	HTAB		   *kept = delta_path_set();
	HASH_SEQ_STATUS files;
	DeltaFile	   *file;
	ListCell	   *cell;

	foreach (cell, commit->parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		commit->rows += part->rows;
		(void) hash_search(kept, path_of_part(part), HASH_ENTER, NULL);
		if (!hash_search(commit->log->files, path_of_part(part), HASH_FIND,
						 NULL))
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
	commit_put_text(out, psprintf("export job " INT64_FORMAT
								  ", snapshot %s, lsn %s",
								  job->id, job->snapshot, job->lsn));
	appendStringInfo(out,
					 ",\"outflow\":{\"job\":" INT64_FORMAT
					 ",\"uuid\":\"%s\",\"source\":",
					 job->id, job->uuid);
	commit_put_text(out, source->name);
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
	const DeltaLog	   *log = commit->log;
	const DeltaVersion *last = delta_log_last_change(log);
	const char		   *comment = commit->source->comment;

	/* another writer's may have settings and partitions */
	return last && is_outflows(last) && log->schema && log->id &&
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
	commit_put_text(out,
					commit->log->id ? commit->log->id : commit->job->uuid);
	appendStringInfoString(out, ",\"name\":");
	commit_put_text(out, source->name);
	if (source->comment)
	{
		appendStringInfoString(out, ",\"description\":");
		commit_put_text(out, source->comment);
	}
	appendStringInfoString(out, ",\"format\":{\"provider\":\"parquet\","
								"\"options\":{}},\"schemaString\":");
	commit_put_text(out, source->table_schema);
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
					 app_of_source(commit->source), commit->job->id,
					 commit->now);
}

static void
build(Commit *commit)
{
	commit->now = delta_now();
	initStringInfo(&commit->files);
	initStringInfo(&commit->actions);
	put_files(commit);
	put_info(commit);
	put_protocol(commit);
	put_metadata(commit);
	put_transaction(commit);
	appendBinaryStringInfo(&commit->actions, commit->files.data,
						   commit->files.len);
}

/* ---- the commit */

/* Another writer was first, unless it was an earlier try of ours. */
static void
check_winner(Destination *root, const Job *job, const JobSource *source,
			 int64 number)
{
	DeltaLog	 *log = delta_log_read(root, source->folder, false);
	DeltaVersion *winner;

	if (delta_log_of_job(log, job->uuid))
		return;
	if (log->last < number)
		elog(ERROR, "version " INT64_FORMAT " is neither free nor there",
			 number);
	winner = list_nth(log->versions, (int) (number - log->first));
	ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
					errmsg("another writer has committed version " INT64_FORMAT
						   " of the Delta table in \"%s\"",
						   number, path_of_folder(root, source->folder)),
					errdetail("%s", describe_version(winner)),
					errhint("Let one writer at a time have a table.")));
}

void
lake_commit(Destination *root, const Job *job, const JobSource *source,
			const List *parts)
{
	Commit	  commit = {.job = job, .source = source, .parts = parts};
	DeltaLog *log = delta_log_read(root, source->folder, false);
	char	 *key = delta_log_key(source->folder, log->last + 1);

	if (delta_log_of_job(log, job->uuid))
		return;
	check_log(root, job, source, log);
	commit.log = log;
	build(&commit);
	FAILPOINT("lake-commit");
	if (!root->driver->put_new(root, key, commit.actions.data,
							   commit.actions.len))
		check_winner(root, job, source, log->last + 1);
	FAILPOINT("lake-committed");
	delta_checkpoint_if_due(root, source->folder, log->last + 1);
}
