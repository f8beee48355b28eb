/*
 * lake_left.c
 *		Files of an export that came to nothing, in a table's folder.
 *
 * They have its uuid in their names, and no record tells more of it: it may have
 * been of another format than the job that finds them, but without a catalog,
 * which needs workers.  So what no version has that is seen from here is removed
 * only where no other table can have it.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/lake.h"
#include "export/lake/lake_table.h"

/* Whether all names there are its own; below: those of folders, too. */
static bool
is_all_its(Destination *root, const char *folder, const char *uuid, bool below)
{
	ListCell *cell;

	foreach (cell, root->driver->list(root, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (strstr(entry->name, uuid) == NULL &&
			!(below && entry->is_directory &&
			  is_all_its(root, destination_key(folder, entry->name), uuid,
						 false)))
			return false;
	}
	return true;
}

/* Whether there is no table whose version may have them but the one that is seen. */
static bool
is_only_table(const LakeFormat *format, Destination *root, const char *folder,
			  const char *uuid)
{
	LakeTable *table = format->read(root, folder, true);

	if (table->is_foreign ||
		(format->is_unreadable && format->is_unreadable(table)))
		return false;
	/* no lock of ours keeps a clone of this server from a store, and it might be
	 * about to make the next version */
	if (table->last >= 0 && root->driver->wrapper)
		return false;
	return root->catalog == NULL &&
		   (table->last >= 0 || is_all_its(root, folder, uuid, true));
}

/* The next version needn't wait for what becomes of this one; a new table must,
 * lest the folder be in its way for good. */
static void
check_table_is_there(const LakeFormat *format, Destination *root,
					 const char *folder)
{
	if (format->read(root, folder, false)->last >= 0)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_IN_USE),
		 errmsg("it is not known yet whether an export that was killed has "
				"made the %s table in \"%s\"",
				format->name, lake_path_of_folder(root, folder)),
		 errdetail("The %s may still be at the last request.",
				   root->catalog ? "catalog" : "store"),
		 errhint("Try again in some minutes.")));
}

static void
remove_data_files(Destination *root, const char *folder, const char *uuid)
{
	HTAB	 *uuids = lake_uuid_set();
	ListCell *cell;

	(void) hash_search(uuids, uuid, HASH_ENTER, NULL);
	foreach (cell, root->driver->list(root, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (entry->is_regular && lake_file_is_ours(uuids, entry->name))
			(void) root->driver->remove(root,
										destination_key(folder, entry->name));
	}
	root->driver->sync(root, folder);
}

bool
lake_remove_left(Destination *root, const Job *left, const JobSource *source)
{
	const LakeFormat *format = lake_format_of(root, left);
	const char		 *folder = source->folder;
	/* before the look at the table, where it may appear meanwhile */
	bool is_sent = lake_is_sent(root, folder, left);

	if (lake_is_committed(root, left, source))
	{
		lake_end_sent(root, folder, left);
		return true;
	}
	if (is_sent)
		check_table_is_there(format, root, folder);
	if (is_sent || !is_only_table(format, root, folder, left->uuid))
		return format->read(root, folder, true)->last >= 0;
	remove_data_files(root, folder, left->uuid);
	lake_undo(root, left, source);
	return true;
}
