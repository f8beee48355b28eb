/*
 * delta_state.c
 *		What outflow keeps beside a Delta table's log, to read less of that.
 *
 * It is for ourselves, and needed in a hurry: so it is lines, as the log is, and
 * no Parquet.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "export/lake/delta_log.h"

/* ---- what is kept */

static void
put_job(StringInfo out, HTAB *uuids, const LakeVersion *version)
{
	bool found;

	if (version->uuid == NULL || version->app == NULL)
		return;
	(void) hash_search(uuids, version->uuid, HASH_REMOVE, &found);
	if (!found)
		return;
	appendStringInfoString(
		out, out->data[out->len - 1] == '[' ? "{\"uuid\":" : ",{\"uuid\":");
	lake_json_put_text(out, version->uuid);
	appendStringInfoString(out, ",\"app\":");
	lake_json_put_text(out, version->app);
	if (version->server)
	{
		appendStringInfoString(out, ",\"server\":");
		lake_json_put_text(out, version->server);
	}
	appendStringInfoChar(out, '}');
}

/* Whose the files are, that are there or were removed: their versions may be
 * cleaned up before they are. */
static void
put_jobs(StringInfo out, const DeltaLog *log)
{
	HTAB		   *uuids = lake_uuid_set();
	HASH_SEQ_STATUS files;
	DeltaFile	   *file;
	ListCell	   *cell;

	hash_seq_init(&files, log->files);
	while ((file = hash_seq_search(&files)) != NULL)
		lake_take_uuid_of_file(uuids, file->path);
	foreach (cell, log->removed)
		lake_take_uuid_of_file(uuids, ((DeltaRemoved *) lfirst(cell))->path);
	appendStringInfoString(out, ",\"jobs\":[");
	foreach (cell, log->jobs)
		put_job(out, uuids, lfirst(cell));
	foreach (cell, log->table.versions)
		put_job(out, uuids, lfirst(cell));
	appendStringInfoChar(out, ']');
}

void
delta_put_state(Destination *root, const DeltaLog *log, const List *actions)
{
	const char	   *folder = log->table.folder;
	int64			version = log->table.last;
	size_t			len;
	char		   *text = delta_log_get(root, folder, version, &len);
	StringInfoData	state;
	const ListCell *cell;

	initStringInfo(&state);
	/* a sum of the version's file, and then its own */
	appendStringInfo(&state,
					 "{\"version\":" INT64_FORMAT
					 ",\"crc32c\":%u,\"outflow\":{" DELTA_NO_SUM "}",
					 version, checksum_crc32c(text, len));
	put_jobs(&state, log);
	appendStringInfoString(&state, "}\n");
	foreach (cell, actions)
		appendStringInfo(&state, "%s\n", (char *) lfirst(cell));
	delta_put_sum(delta_find_sum(state.data, state.len), state.data,
				  state.len);
	root->driver->put(root, destination_key(folder, DELTA_STATE), state.data,
					  state.len, true);
}

/* ---- and read again */

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
			DELTA_VERSION_MAX_SIZE, &len);
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
		read->root->driver->get(read->root, key, DELTA_VERSION_MAX_SIZE, &len);
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
	delta_log_take(log, before, key, lines, text + len - lines);
	take_jobs(log, state);
	read->version = version;
}

DeltaLog *
delta_log_of_state(Destination *root, const char *folder, int64 last)
{
	StateRead read = {delta_log_new(folder), root, last, -1};
	Finding	  finding = lake_try(read_state, &read);

	if (!finding_is_ok(finding))
	{
		read.log = delta_log_new(folder);
		read.unused = psprintf("is damaged: %s", finding.detail);
	}
	else
		read.log->first = Max(read.version, 0);
	read.log->unused = read.unused;
	return read.log;
}
