/*
 * delta_action.c
 *		What the log of a Delta table says, line by line.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "compat.h"
#include "encoding.h"
#include "export/lake/delta_log.h"

char *
delta_log_key(const char *folder, int64 version)
{
	return destination_key(folder, psprintf(DELTA_LOG_FOLDER "/%020lld.json",
											(long long) version));
}

static void
take_file(DeltaLog *log, const LakeVersion *version, const char *path,
		  Jsonb *add, const char *line, size_t len)
{
	DeltaFile *file;

	if (strlen(path) >= sizeof(file->path))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the log of a Delta table names a file whose "
							   "name is too long")));
	if (lake_json_object(add, "deletionVector"))
		log->table.is_foreign = true;
	file = hash_search(log->files, path, HASH_ENTER, NULL);
	file->size = lake_json_int(add, "size");
	file->version = version->version;
	file->action = pnstrdup(line, len);
}

/*
 * The actions of a version have no order: a path that it removes and adds is
 * in the table, with another deletion vector.
 */
static void
take_removed(DeltaLog *log, const LakeVersion *version, const char *path,
			 Jsonb *remove, const char *line, size_t len)
{
	DeltaRemoved *removed = palloc_object(DeltaRemoved);
	DeltaFile	 *file = hash_search(log->files, path, HASH_FIND, NULL);

	if (file && file->version != version->version)
		(void) hash_search(log->files, path, HASH_REMOVE, NULL);
	removed->path = pstrdup(path);
	removed->timestamp = lake_json_int(remove, "deletionTimestamp");
	removed->size = lake_json_int(remove, "size");
	removed->action = pnstrdup(line, len);
	log->removed = lappend(log->removed, removed);
}

static void
take_metadata(DeltaLog *log, Jsonb *metadata, const char *line, size_t len)
{
	log->metadata = pnstrdup(line, len);
	log->schema = lake_json_text(metadata, "schemaString");
	log->id = lake_json_text(metadata, "id");
	log->comment = lake_json_text(metadata, "description");
}

static void
take_transaction(DeltaLog *log, LakeVersion *version, Jsonb *txn,
				 const char *line, size_t len)
{
	char			 *app = lake_json_text(txn, "appId");
	DeltaTransaction *last;

	if (app == NULL)
		return;
	if (version->app == NULL || strncmp(app, LAKE_APP, strlen(LAKE_APP)) == 0)
		version->app = app;
	last = hash_search(log->transactions, &app, HASH_ENTER, NULL);
	last->line = pnstrdup(line, len);
}

static void
take_info(LakeVersion *version, Jsonb *info)
{
	Jsonb *ours = lake_json_object(info, "outflow");

	version->timestamp = lake_json_int(info, "timestamp");
	version->operation = lake_json_text(info, "operation");
	version->engine = lake_json_text(info, "engineInfo");
	if (ours == NULL)
		return;
	version->server = lake_json_text(ours, "server");
	version->uuid = lake_json_text(ours, "uuid");
	version->job = lake_json_int(ours, "job");
	version->source = lake_json_text(ours, "source");
	version->snapshot = lake_json_text(ours, "snapshot");
	version->lsn = lake_json_text(ours, "lsn");
	version->rows = lake_json_int(ours, "rows");
}

static void
take_action(DeltaLog *log, LakeVersion *version, const char *line, size_t len)
{
	Jsonb *action = lake_json_parse(line, len);
	Jsonb *found;
	char  *path = NULL;

	if ((found = lake_json_object(action, "add")) != NULL &&
		(path = lake_json_text(found, "path")) != NULL)
	{
		take_file(log, version, path, found, line, len);
		version->added++;
		version->changes = true;
	}
	else if ((found = lake_json_object(action, "remove")) != NULL &&
			 (path = lake_json_text(found, "path")) != NULL)
	{
		take_removed(log, version, path, found, line, len);
		version->removed++;
		version->changes = true;
	}
	else if ((found = lake_json_object(action, "metaData")) != NULL)
	{
		take_metadata(log, found, line, len);
		version->changes = true;
	}
	else if ((found = lake_json_object(action, "protocol")) != NULL)
	{
		log->protocol = pnstrdup(line, len);
		version->changes = true;
	}
	else if ((found = lake_json_object(action, "txn")) != NULL)
		take_transaction(log, version, found, line, len);
	else if ((found = lake_json_object(action, "commitInfo")) != NULL)
		take_info(version, found);
	/* a log has many lines */
	if (path)
		pfree(path);
	if (found)
		pfree(found);
	pfree(action);
}

static void
report_log_place(void *arg)
{
	encoding_context("log of a Delta table, \"%s\"", (char *) arg);
}

char *
delta_log_get(Destination *root, const char *folder, int64 version,
			  size_t *len)
{
	char *key = delta_log_key(folder, version);
	char *text = root->driver->get(root, key, DELTA_VERSION_MAX_SIZE, len);

	if (text == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_FILE),
			 errmsg("the log of the Delta table has no \"%s\" any more", key),
			 errhint("Export to another directory.")));
	return text;
}

/* Removals from this one on that say no time: they came with the version. */
static void
date_removals(DeltaLog *log, int from, const LakeVersion *version)
{
	for (int i = from; i < list_length(log->removed); i++)
	{
		DeltaRemoved *removed = list_nth(log->removed, i);

		if (removed->timestamp == 0)
			removed->timestamp =
				version->timestamp ? version->timestamp : lake_now();
	}
}

void
delta_log_take(DeltaLog *log, LakeVersion *version, char *key, char *text,
			   size_t len)
{
	ErrorContextCallback place = {.callback = report_log_place, .arg = key};
	char				*end = text + len;
	int					 removed = list_length(log->removed);

	place.previous = error_context_stack;
	error_context_stack = &place;
	for (char *line = text; line < end;)
	{
		char *stop = memchr(line, '\n', end - line);

		CHECK_FOR_INTERRUPTS();
		if (stop == NULL)
			stop = end;
		if (stop > line)
			take_action(log, version, line, stop - line);
		line = stop + 1;
	}
	error_context_stack = place.previous;
	date_removals(log, removed, version);
}

static uint32
hash_app(const void *key, Size size)
{
	const char *app = *(const char *const *) key;

	return hash_bytes((const unsigned char *) app, strlen(app));
}

static int
compare_apps(const void *one, const void *other, Size size)
{
	return strcmp(*(const char *const *) one, *(const char *const *) other);
}

DeltaLog *
delta_log_new(const char *folder)
{
	DeltaLog *log = palloc0_object(DeltaLog);
	HASHCTL	  control = {.keysize = sizeof(((DeltaFile *) NULL)->path),
						 .entrysize = sizeof(DeltaFile),
						 .hcxt = CurrentMemoryContext};
	HASHCTL	  apps = {.keysize = sizeof(char *),
					  .entrysize = sizeof(DeltaTransaction),
					  .hash = hash_app,
					  .match = compare_apps,
					  .hcxt = CurrentMemoryContext};

	log->table.folder = folder;
	log->table.last = -1;
	log->files = hash_create("outflow files of a Delta table", 256, &control,
							 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	log->transactions =
		hash_create("outflow writers of a Delta table", 16, &apps,
					HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	return log;
}
