/*
 * delta_log.c
 *		Reads the log of a Delta table.
 *
 * Each version is a file of lines, each line an action.  Versions are numbered
 * without gaps from 0 on, and so they are read.  Checkpoints save other readers
 * the older ones; a file of our own, of lines too, saves us those.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "export/lake/delta_log.h"

/* What a version's file can be at most. */
#define VERSION_MAX_SIZE ((size_t) 1024 * 1024 * 1024)
#define VERSION_DIGITS	 20

char *
delta_log_key(const char *folder, int64 version)
{
	return destination_key(folder, psprintf(DELTA_LOG_FOLDER "/%020lld.json",
											(long long) version));
}

int64
delta_now(void)
{
	return (GetCurrentTimestamp() +
			(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) /
		   1000;
}

/* -1: it is no version's. */
static int64
version_of_name(const char *name)
{
	if (strspn(name, "0123456789") != VERSION_DIGITS ||
		strcmp(name + VERSION_DIGITS, ".json") != 0)
		return -1;
	return strtoll(name, NULL, 10);
}

static void
take_file(DeltaLog *log, const DeltaVersion *version, const char *path,
		  Jsonb *add, const char *line, size_t len)
{
	DeltaFile *file;

	if (strlen(path) >= sizeof(file->path))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the log of a Delta table names a file whose "
							   "name is too long")));
	if (delta_json_object(add, "deletionVector"))
		log->is_foreign = true;
	file = hash_search(log->files, path, HASH_ENTER, NULL);
	file->size = delta_json_int(add, "size");
	file->version = version->version;
	file->action = pnstrdup(line, len);
}

/*
 * The actions of a version have no order: a path that it removes and adds is
 * in the table, with another deletion vector.
 */
static void
take_removed(DeltaLog *log, const DeltaVersion *version, const char *path,
			 Jsonb *remove, const char *line, size_t len)
{
	DeltaRemoved *removed = palloc_object(DeltaRemoved);
	DeltaFile	 *file = hash_search(log->files, path, HASH_FIND, NULL);

	if (file && file->version != version->version)
		(void) hash_search(log->files, path, HASH_REMOVE, NULL);
	removed->path = pstrdup(path);
	removed->timestamp = delta_json_int(remove, "deletionTimestamp");
	removed->size = delta_json_int(remove, "size");
	removed->action = pnstrdup(line, len);
	log->removed = lappend(log->removed, removed);
}

static void
take_metadata(DeltaLog *log, Jsonb *metadata, const char *line, size_t len)
{
	log->metadata = pnstrdup(line, len);
	log->schema = delta_json_text(metadata, "schemaString");
	log->id = delta_json_text(metadata, "id");
	log->comment = delta_json_text(metadata, "description");
}

static void
take_transaction(DeltaLog *log, DeltaVersion *version, Jsonb *txn,
				 const char *line, size_t len)
{
	char	 *app = delta_json_text(txn, "appId");
	ListCell *cell;

	if (app == NULL)
		return;
	if (version->app == NULL ||
		strncmp(app, DELTA_APP, strlen(DELTA_APP)) == 0)
		version->app = app;
	foreach (cell, log->transactions)
	{
		/* a pair: the appId, and its line */
		if (strcmp(linitial((List *) lfirst(cell)), app) == 0)
		{
			lsecond((List *) lfirst(cell)) = pnstrdup(line, len);
			return;
		}
	}
	log->transactions =
		lappend(log->transactions, list_make2(app, pnstrdup(line, len)));
}

static void
take_info(DeltaVersion *version, Jsonb *info)
{
	Jsonb *ours = delta_json_object(info, "outflow");

	version->timestamp = delta_json_int(info, "timestamp");
	version->operation = delta_json_text(info, "operation");
	version->engine = delta_json_text(info, "engineInfo");
	if (ours == NULL)
		return;
	version->uuid = delta_json_text(ours, "uuid");
	version->job = delta_json_int(ours, "job");
	version->source = delta_json_text(ours, "source");
	version->snapshot = delta_json_text(ours, "snapshot");
	version->lsn = delta_json_text(ours, "lsn");
	version->rows = delta_json_int(ours, "rows");
}

static void
take_action(DeltaLog *log, DeltaVersion *version, const char *line, size_t len)
{
	Jsonb *action = delta_json_parse(line, len);
	Jsonb *found;
	char  *path;

	if ((found = delta_json_object(action, "add")) != NULL &&
		(path = delta_json_text(found, "path")) != NULL)
	{
		take_file(log, version, path, found, line, len);
		version->added++;
		version->changes = true;
	}
	else if ((found = delta_json_object(action, "remove")) != NULL &&
			 (path = delta_json_text(found, "path")) != NULL)
	{
		take_removed(log, version, path, found, line, len);
		version->removed++;
		version->changes = true;
	}
	else if ((found = delta_json_object(action, "metaData")) != NULL)
	{
		take_metadata(log, found, line, len);
		version->changes = true;
	}
	else if ((found = delta_json_object(action, "protocol")) != NULL)
	{
		log->protocol = pnstrdup(line, len);
		version->changes = true;
	}
	else if ((found = delta_json_object(action, "txn")) != NULL)
		take_transaction(log, version, found, line, len);
	else if ((found = delta_json_object(action, "commitInfo")) != NULL)
		take_info(version, found);
	pfree(action);
}

static void
report_log_place(void *arg)
{
	errcontext("log of a Delta table, \"%s\"", (char *) arg);
}

uint32
delta_log_sum(const char *text, size_t len)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, text, len);
	FIN_CRC32C(crc);
	return crc;
}

char *
delta_log_get(Destination *root, const char *folder, int64 version,
			  size_t *len)
{
	char *key = delta_log_key(folder, version);
	char *text = root->driver->get(root, key, VERSION_MAX_SIZE, len);

	if (text == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_FILE),
			 errmsg("the log of the Delta table has no \"%s\" any more", key),
			 errhint("Export to another directory.")));
	return text;
}

/* Each line is an action. */
static void
read_lines(DeltaLog *log, DeltaVersion *version, char *key, char *text,
		   size_t len)
{
	ErrorContextCallback place = {.callback = report_log_place, .arg = key};
	char				*end = text + len;

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
}

/* Removals from this one on that say no time: they came with the version. */
static void
date_removals(DeltaLog *log, int from, const DeltaVersion *version)
{
	for (int i = from; i < list_length(log->removed); i++)
	{
		DeltaRemoved *removed = list_nth(log->removed, i);

		if (removed->timestamp == 0)
			removed->timestamp =
				version->timestamp ? version->timestamp : delta_now();
	}
}

static void
read_version(DeltaLog *log, Destination *root, int64 number)
{
	DeltaVersion *version = palloc0_object(DeltaVersion);
	size_t		  len;
	char		 *text = delta_log_get(root, log->folder, number, &len);
	int			  removed = list_length(log->removed);

	version->version = number;
	read_lines(log, version, delta_log_key(log->folder, number), text, len);
	date_removals(log, removed, version);
	log->versions = lappend(log->versions, version);
	log->last = number;
	pfree(text);
}

/*
 * Takes over what was kept up to a version, and returns that; -1 if nothing
 * was, or of a log that was another one.
 */
static int64
read_state(DeltaLog *log, Destination *root, int64 last)
{
	char		 *key = destination_key(log->folder, DELTA_STATE);
	size_t		  len;
	size_t		  version_len;
	char		 *text = root->driver->get(root, key, VERSION_MAX_SIZE, &len);
	char		 *first = text ? memchr(text, '\n', len) : NULL;
	char		 *commit;
	int64		  version;
	Jsonb		 *state;
	DeltaVersion *before = palloc0_object(DeltaVersion);
	int			  removed = list_length(log->removed);

	if (first == NULL)
		return -1;
	state = delta_json_parse(text, first - text);
	version = delta_json_int(state, "version");
	if (version > last)
		return -1;
	commit = delta_log_get(root, log->folder, version, &version_len);
	if (delta_json_int(state, "crc32c") != delta_log_sum(commit, version_len))
		return -1;
	first++;
	before->version = -1;
	read_lines(log, before, key, first, text + len - first);
	date_removals(log, removed, before);
	return version;
}

/* The last version, -1 for none; and the first from which on none lacks. */
static int64
find_versions(Destination *root, const char *folder, int64 *first)
{
	int64 next = -1;
	List *entries = root->driver->list(
		root, destination_key(folder, DELTA_LOG_FOLDER), NULL);
	ListCell *cell;

	*first = 0;
	/* by name, and so by number */
	foreach (cell, entries)
	{
		int64 version =
			version_of_name(((DestinationEntry *) lfirst(cell))->name);

		if (version < 0)
			continue;
		if (version != next)
			*first = version;
		next = version + 1;
	}
	return next < 0 ? -1 : next - 1;
}

DeltaLog *
delta_log_read(Destination *root, const char *folder, bool whole)
{
	DeltaLog *log = palloc0_object(DeltaLog);
	HASHCTL	  control = {.keysize = sizeof(((DeltaFile *) NULL)->path),
						 .entrysize = sizeof(DeltaFile),
						 .hcxt = CurrentMemoryContext};
	int64	  first;
	int64	  last = find_versions(root, folder, &first);

	log->folder = folder;
	log->last = -1;
	log->files = hash_create("outflow files of a Delta table", 256, &control,
							 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	if (last >= 0 && (!whole || first > 0))
		log->first = read_state(log, root, last);
	log->first = Max(log->first, 0);
	if (last >= 0 && log->first < first)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the log of the Delta table in \"%s\" is not complete",
					destination_key(root->path, folder)),
			 errdetail("It lacks version " INT64_FORMAT ", and its last one "
					   "is " INT64_FORMAT ".",
					   first - 1, last),
			 errhint("Something has cleaned it up.  Export to another "
					 "directory.")));
	for (int64 version = log->first; version <= last; version++)
		read_version(log, root, version);
	if (log->protocol && strcmp(log->protocol, DELTA_PROTOCOL) != 0 &&
		strcmp(log->protocol, DELTA_PROTOCOL_NTZ) != 0)
		log->is_foreign = true;
	return log;
}

const DeltaVersion *
delta_log_last_change(const DeltaLog *log)
{
	for (int i = list_length(log->versions) - 1; i >= 0; i--)
	{
		DeltaVersion *version = list_nth(log->versions, i);

		if (version->changes || version->uuid)
			return version;
	}
	return NULL;
}

const DeltaVersion *
delta_log_of_job(const DeltaLog *log, const char *uuid)
{
	ListCell *cell;

	foreach (cell, log->versions)
	{
		DeltaVersion *version = lfirst(cell);

		if (version->uuid && strcmp(version->uuid, uuid) == 0)
			return version;
	}
	return NULL;
}

HTAB *
delta_path_set(void)
{
	HASHCTL control = {.keysize = sizeof(((DeltaFile *) NULL)->path),
					   .entrysize = sizeof(((DeltaFile *) NULL)->path),
					   .hcxt = CurrentMemoryContext};

	return hash_create("outflow paths", 256, &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}
