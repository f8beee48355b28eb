/*
 * delta_log.c
 *		Reads the log of a Delta table.
 *
 * Each version is a file of lines, each line an action.  Versions are numbered
 * without gaps from 0 on, and so they are read.  Checkpoints save other readers
 * the older ones; a file of our own, of lines too, saves us those.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "compat.h"
#include "encoding.h"
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

/* -1: it is no version's. */
static int64
version_of_name(const char *name)
{
	if (strspn(name, "0123456789") != VERSION_DIGITS ||
		strcmp(name + VERSION_DIGITS, ".json") != 0)
		return -1;
	return lake_number(name, NULL);
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
read_lines(DeltaLog *log, LakeVersion *version, char *key, char *text,
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

static void
read_version(DeltaLog *log, Destination *root, int64 number)
{
	DeltaVersion *version = palloc0_object(DeltaVersion);
	size_t		  len;
	char		 *text = delta_log_get(root, log->table.folder, number, &len);
	char		 *sum = delta_find_sum(text, len);
	int			  removed = list_length(log->removed);

	version->version.version = number;
	version->has_sum = sum != NULL;
	version->finding = delta_judge_sum(sum, text, len);
	read_lines(log, &version->version,
			   delta_log_key(log->table.folder, number), text, len);
	date_removals(log, removed, &version->version);
	log->table.versions = lappend(log->table.versions, version);
	log->table.last = number;
	pfree(text);
}

static void
take_jobs(DeltaLog *log, Jsonb *state)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(state, "jobs"))
	{
		LakeVersion *version = palloc0_object(LakeVersion);

		CHECK_FOR_INTERRUPTS();
		version->uuid = lake_json_text(lfirst(cell), "uuid");
		version->app = lake_json_text(lfirst(cell), "app");
		version->server = lake_json_text(lfirst(cell), "server");
		if (version->uuid && version->app)
			log->jobs = lappend(log->jobs, version);
	}
}

typedef struct StateRead
{
	DeltaLog	*log; /* that takes over what was kept */
	Destination *root;
	int64		 last;
	int64		 version; /* up to which; -1: nothing was, or of another log */
	char		*unused;  /* says why, if it is there */
} StateRead;

pg_noreturn static void
throw_damage(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED), errmsg_internal("%s", what)));
}

/* The first line, and what follows that. */
static char *
split_state(char *text, size_t len)
{
	char   *first = memchr(text, '\n', len);
	Finding finding = delta_judge_sum(delta_find_sum(text, len), text, len);

	if (first == NULL)
		throw_damage("It has no whole line.");
	if (!finding_is_ok(finding))
		throw_damage(finding.detail);
	return first + 1;
}

/* Whether the log is still the one that the state is of. */
static bool
is_of_log(StateRead *read, int64 version, int64 sum)
{
	size_t len;
	char  *commit = NULL;

	if (version <= read->last)
		commit = read->root->driver->get(
			read->root, delta_log_key(read->log->table.folder, version),
			VERSION_MAX_SIZE, &len);
	if (version > read->last)
		read->unused = psprintf(
			"is of version " INT64_FORMAT ", which is later.", version);
	else if (commit == NULL)
		read->unused = psprintf("is of version " INT64_FORMAT
								", which is not there any more.",
								version);
	else if (checksum_crc32c(commit, len) != sum)
		read->unused = psprintf(
			"is of another version " INT64_FORMAT " than is there.", version);
	return read->unused == NULL;
}

static void
read_state(void *arg)
{
	StateRead  *read = arg;
	DeltaLog   *log = read->log;
	const char *folder = log->table.folder;
	char	   *key = destination_key(folder, DELTA_STATE);
	size_t		len;
	char	   *text =
		read->root->driver->get(read->root, key, VERSION_MAX_SIZE, &len);
	char		*lines;
	int64		 version;
	Jsonb		*state;
	LakeVersion *before = palloc0_object(LakeVersion);

	if (text == NULL)
		return;
	lines = split_state(text, len);
	state = lake_json_parse(text, lines - text);
	if (!lake_json_get_int(state, "version", &version) || version < 0)
		throw_damage("It is of no version.");
	if (!is_of_log(read, version, lake_json_int(state, "crc32c")))
		return;
	before->version = -1;
	read_lines(log, before, key, lines, text + len - lines);
	date_removals(log, 0, before);
	take_jobs(log, state);
	read->version = version;
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

static DeltaLog *
new_log(const char *folder)
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

/* What was kept; no more than an empty one if that is damaged, as the log may well
 * be whole. */
static DeltaLog *
log_of_state(Destination *root, const char *folder, int64 last)
{
	StateRead read = {new_log(folder), root, last, -1};
	Finding	  finding = lake_try(read_state, &read);

	if (!finding_is_ok(finding))
	{
		read.log = new_log(folder);
		read.unused = psprintf("is damaged: %s", finding.detail);
	}
	else
		read.log->first = Max(read.version, 0);
	read.log->unused = read.unused;
	return read.log;
}

/* The last version, -1 for none; and the last before that which is not there, or
 * no file that can be read, -1 for none. */
static int64
find_versions(Destination *root, const char *folder, int64 *lacks)
{
	int64 last = -1;
	List *entries = root->driver->list(
		root, destination_key(folder, DELTA_LOG_FOLDER), NULL);
	ListCell *cell;

	*lacks = -1;
	/* by name, and so by number */
	foreach (cell, entries)
	{
		DestinationEntry *entry = lfirst(cell);
		int64			  version = version_of_name(entry->name);

		CHECK_FOR_INTERRUPTS();
		if (version < 0)
			continue;
		if (!entry->is_regular)
			*lacks = version;
		else if (version - 1 != last)
			*lacks = version - 1;
		last = version;
	}
	return last;
}

/* What is there, but can't be read. */
static void
check_is_file(Destination *root, const char *folder, int64 version)
{
	ListCell *cell;

	foreach (cell, root->driver->list(
					   root, destination_key(folder, DELTA_LOG_FOLDER), NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (version_of_name(entry->name) == version && !entry->is_regular)
			lake_throw_no_file(root, delta_log_key(folder, version));
	}
}

pg_noreturn static void
throw_incomplete(Destination *root, const DeltaLog *log, int64 lacks,
				 int64 last)
{
	const char *folder = log->table.folder;
	char	   *what = psprintf("It lacks version " INT64_FORMAT
								", and its last one is " INT64_FORMAT ".",
								lacks, last);

	check_is_file(root, folder, lacks);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the log of the Delta table in \"%s\" is not complete",
					destination_key(root->path, folder)),
			 log->unused
				 ? errdetail("%s  File \"%s\", which has what the older ones "
							 "said, %s",
							 what, destination_key(folder, DELTA_STATE),
							 log->unused)
				 : errdetail_internal("%s", what),
			 errhint("Something has cleaned it up.  Export to another "
					 "directory.")));
}

static DeltaLog *
read_log(Destination *root, const char *folder, bool whole, int64 until)
{
	int64	  lacks;
	int64	  last = Min(find_versions(root, folder, &lacks), until);
	DeltaLog *log = last >= 0 && (!whole || lacks >= 0)
						? log_of_state(root, folder, last)
						: new_log(folder);

	if (last >= 0 && log->first <= lacks)
		throw_incomplete(root, log, lacks, last);
	/* the last number there is has no next */
	for (int64 left = last - log->first; left >= 0; left--)
		read_version(log, root, last - left);
	/* such a state does not tell whose the table is */
	if (log->first > 0 && lake_last_change(&log->table) == NULL)
	{
		if (lacks >= 0)
			throw_incomplete(root, log, lacks, last);
		return read_log(root, folder, true, until);
	}
	if (log->protocol && strcmp(log->protocol, DELTA_PROTOCOL) != 0 &&
		strcmp(log->protocol, DELTA_PROTOCOL_NTZ) != 0)
		log->table.is_foreign = true;
	return log;
}

DeltaLog *
delta_log_read(Destination *root, const char *folder, bool whole)
{
	return read_log(root, folder, whole, PG_INT64_MAX);
}

DeltaLog *
delta_log_read_until(Destination *root, const char *folder, int64 version)
{
	return read_log(root, folder, true, version);
}
