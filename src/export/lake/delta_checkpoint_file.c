/*
 * delta_checkpoint_file.c
 *		Checkpoints of a Delta table's log, every ten versions.
 *
 * Readers begin at the one that _last_checkpoint names.  A version is there
 * without it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "encode/delta/delta_checkpoint.h"
#include "export/lake/delta_log.h"
#include "failpoint.h"

/* For so long others keep a file that was removed: Delta's own default. */
#define REMOVED_KEPT_MS (INT64CONST(7) * 24 * 60 * 60 * 1000)
/* Beyond this the log is read as it is. */
#define MAX_ACTIONS_BYTES ((size_t) 256 * 1024 * 1024)
/* Of old removals in a state, which each export reads. */
#define MAX_OLD_REMOVALS_BYTES ((size_t) 16 * 1024 * 1024)

char *
delta_checkpoint_key(const char *folder, int64 version)
{
	return destination_key(folder, psprintf(DELTA_LOG_FOLDER
											"/%020lld.checkpoint.parquet",
											(long long) version));
}

/* The names of what is in the table's folder. */
static HTAB *
names_in_folder(Destination *root, const char *folder)
{
	HTAB	 *names = lake_path_set();
	ListCell *cell;

	foreach (cell, root->driver->list(root, folder, NULL))
	{
		const char *name = ((DestinationEntry *) lfirst(cell))->name;

		CHECK_FOR_INTERRUPTS();
		if (strlen(name) < LAKE_PATH_MAX)
			(void) hash_search(names, name, HASH_ENTER, NULL);
	}
	return names;
}

/* The table's files, and once each those removed of late, or that are there yet
 * (NULL: it does not matter), as a vacuum is still to remove them. */
static List *
actions_of(const DeltaLog *log, int64 now, HTAB *there)
{
	List			 *actions = list_make2(log->protocol, log->metadata);
	HTAB			 *seen = lake_path_set();
	HASH_SEQ_STATUS	  transactions;
	DeltaTransaction *transaction;
	HASH_SEQ_STATUS	  files;
	DeltaFile		 *file;

	hash_seq_init(&transactions, log->transactions);
	while ((transaction = hash_seq_search(&transactions)) != NULL)
		actions = lappend(actions, transaction->line);
	hash_seq_init(&files, log->files);
	while ((file = hash_seq_search(&files)) != NULL)
		actions = lappend(actions, file->action);
	for (int i = list_length(log->removed) - 1; i >= 0; i--)
	{
		DeltaRemoved *removed = list_nth(log->removed, i);
		bool		  found;

		CHECK_FOR_INTERRUPTS();
		if (strlen(removed->path) >= sizeof(file->path) ||
			(removed->timestamp < now - REMOVED_KEPT_MS &&
			 !(there && hash_search(there, removed->path, HASH_FIND, NULL))) ||
			hash_search(log->files, removed->path, HASH_FIND, NULL))
			continue;
		(void) hash_search(seen, removed->path, HASH_ENTER, &found);
		if (!found)
			actions = lappend(actions, removed->action);
	}
	return actions;
}

static size_t
bytes_of(const List *actions)
{
	size_t			bytes = 0;
	const ListCell *cell;

	foreach (cell, actions)
		bytes += strlen(lfirst(cell));
	return bytes;
}

static void
put_checkpoint(Destination *root, const DeltaLog *log, const List *actions)
{
	const char *folder = log->table.folder;
	int64		version = log->table.last;
	ByteBuffer	file;
	char	   *last;

	buffer_init(&file);
	delta_checkpoint(&file, actions, DELTA_NO_SUM_DIGITS);
	delta_put_sum(delta_find_checkpoint_sum(file.data, file.len), file.data,
				  file.len);
	FAILPOINT("lake-checkpoint");
	root->driver->put(root, delta_checkpoint_key(folder, version), file.data,
					  file.len, true);
	FAILPOINT("lake-checkpointed");
	last = psprintf("{\"version\":" INT64_FORMAT
					",\"size\":%d,\"sizeInBytes\":%zu}\n",
					version, list_length(actions), (size_t) file.len);
	root->driver->put(root, destination_key(folder, DELTA_LAST_CHECKPOINT),
					  last, strlen(last), true);
}

void
delta_checkpoint_if_due(Destination *root, const char *folder, int64 version)
{
	DeltaLog *log;
	List	 *actions;
	List	 *whole;

	if (version == 0 || version % DELTA_CHECKPOINT_APART != 0)
		return;
	log = delta_log_read(root, folder, false);
	/* somebody has gone on meanwhile, who may make their own */
	if (log->table.last != version || log->protocol == NULL ||
		log->metadata == NULL)
		return;
	actions = actions_of(log, lake_now(), NULL);
	if (bytes_of(actions) > MAX_ACTIONS_BYTES)
		return;
	put_checkpoint(root, log, actions);
	/* it has to tell whose the table is: whoever made its last change */
	if (lake_last_change(&log->table) != llast(log->table.versions))
		return;
	whole = actions_of(log, lake_now(), names_in_folder(root, folder));
	if (bytes_of(whole) <= bytes_of(actions) + MAX_OLD_REMOVALS_BYTES)
		actions = whole;
	if (bytes_of(actions) <= MAX_ACTIONS_BYTES)
		delta_put_state(root, log, actions);
}
