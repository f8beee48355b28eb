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

#include "compat.h"
#include "export/lake/delta_log.h"

#define VERSION_DIGITS 20

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
read_version(DeltaLog *log, Destination *root, int64 number)
{
	DeltaVersion *version = palloc0_object(DeltaVersion);
	size_t		  len;
	char		 *text = delta_log_get(root, log->table.folder, number, &len);
	char		 *sum = delta_find_sum(text, len);

	version->version.version = number;
	version->has_sum = sum != NULL;
	version->finding = delta_judge_sum(sum, text, len);
	delta_log_take(log, &version->version,
				   delta_log_key(log->table.folder, number), text, len);
	log->table.versions = lappend(log->table.versions, version);
	log->table.last = number;
	pfree(text);
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
						? delta_log_of_state(root, folder, last)
						: delta_log_new(folder);

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
