/*
 * lake_left.c
 *		Files of an export that came to nothing, in the folders of tables.
 *
 * They have its uuid in their names, and no record tells more of it: it may have
 * been of another format than the job that finds them, and of other tables, but
 * without a catalog, which needs workers.  So what no version has that is seen from
 * here is removed only where no other table can have it.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/lake.h"
#include "export/lake/lake_table.h"
#include "subtransaction.h"

typedef enum LeftFiles
{
	LEFT_GO,
	LEFT_STAY, /* of a version, or beside those of one, where they harm nobody */
	LEFT_IN_THE_WAY
} LeftFiles;

/* False if it is closed to us, and so was to the session, which wrote nothing there. */
static bool
list_readable(Destination *root, const char *folder, List **entries)
{
	int error = 0;

	*entries = root->driver->list(root, folder, &error);
	if (error == EACCES || error == EPERM)
		return false;
	/* what may be well later is an ERROR for now */
	if (error != 0 && error != ENOENT)
		*entries = root->driver->list(root, folder, NULL);
	return true;
}

/* Whether all names there are its own; below: those of folders, too. */
static bool
is_all_its(Destination *root, const char *folder, const char *uuid, bool below)
{
	List	 *entries;
	ListCell *cell;

	if (!list_readable(root, folder, &entries))
		return false;
	foreach (cell, entries)
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
	LakeTable *table = lake_when_settled(
		format, root, format->read(root, folder, true), true);

	/* what is not known yet is no reason to forget whose the files are */
	if (table->is_passing)
		lake_check_features(format, table, lake_path_of_folder(root, folder),
							"");
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

static bool
writes_to(const Job *job, const char *folder)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		if (strcmp(((JobSource *) lfirst(cell))->folder, folder) == 0)
			return true;
	}
	return false;
}

/* Whether the job makes a table there. */
static bool
is_target(const Job *job, const char *folder)
{
	return job_makes_tables(job) && writes_to(job, folder);
}

/* That of the table which is there, or else the job's; NULL if the job has none. */
static const LakeFormat *
format_in(Destination *root, const Job *left, const char *folder)
{
	const LakeFormat *other;
	LakeTable		 *table;

	if (is_target(left, folder))
		return lake_format_of(root, left);
	other = lake_find(root, folder, &table);
	if (other == NULL && job_makes_tables(left))
		return lake_format_of(root, left);
	return other;
}

typedef struct FolderLook
{
	Destination *root;
	const char	*folder;
	const Job	*left;
	bool		 is_sent;
	LeftFiles	 what;
} FolderLook;

static LeftFiles
look_at_table(Destination *root, const char *folder, const Job *left,
			  bool is_sent)
{
	const LakeFormat *format = format_in(root, left, folder);
	Job				  of = *left;
	JobSource		  source = {.folder = unconstify(char *, folder)};

	if (format == NULL)
		return LEFT_IN_THE_WAY;
	of.row_format = format->files;
	if (lake_is_committed(root, &of, &source))
	{
		lake_end_sent(root, folder, left);
		return LEFT_STAY;
	}
	if (is_sent)
		check_table_is_there(format, root, folder);
	else if (is_only_table(format, root, folder, left->uuid))
		return LEFT_GO;
	/* nothing goes on with the table if files of another kind take its place */
	if (writes_to(left, folder) && !is_target(left, folder))
		return LEFT_IN_THE_WAY;
	return format->read(root, folder, true)->last >= 0 ? LEFT_STAY
													   : LEFT_IN_THE_WAY;
}

static void
look_at_folder(void *arg)
{
	FolderLook *look = arg;

	look->what =
		look_at_table(look->root, look->folder, look->left, look->is_sent);
}

/* What is damaged is in nobody's way who doesn't write there. */
static LeftFiles
what_damage_means(const FolderLook *look, ErrorData *error)
{
	if (!lake_is_damage(error) &&
		/* a log with a gap */
		error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
		ReThrowError(error);
	return writes_to(look->left, look->folder) ? LEFT_IN_THE_WAY : LEFT_STAY;
}

/* It had no catalog, and the next one's has no table in the folder. */
static LeftFiles
look_beside(Destination *root, const char *folder, const Job *left,
			bool is_sent)
{
	struct LakeCatalog *catalog = root->catalog;
	Job					of = *left;
	FolderLook			look = {root, folder, &of, is_sent};
	ErrorData		   *error;

	of.options.catalog = NULL;
	root->catalog = NULL;
	error = subtransaction_try(look_at_folder, &look);
	root->catalog = catalog;
	return error ? what_damage_means(&look, error) : look.what;
}

/* Whose tables' folders have there what says which files are the table's. */
static const LakeFormat *
format_of_metadata(const char *name)
{
	if (strcmp(name, lake_format_delta.folder) == 0)
		return &lake_format_delta;
	return strcmp(name, lake_format_iceberg.folder) == 0 ? &lake_format_iceberg
														 : NULL;
}

/* What has a metadata's name may be somebody's, and no folder, or closed. */
static void
undo_metadata(Destination *root, const char *folder, const Job *left)
{
	JobSource source = {.folder = unconstify(char *, folder)};
	List	 *entries;
	List	 *inner;
	ListCell *cell;

	lake_end_sent(root, folder, left);
	if (!list_readable(root, folder, &entries))
		return;
	foreach (cell, entries)
	{
		DestinationEntry *entry = lfirst(cell);
		const LakeFormat *format = format_of_metadata(entry->name);

		CHECK_FOR_INTERRUPTS();
		if (format && entry->is_directory &&
			list_readable(root, destination_key(folder, entry->name), &inner))
			format->undo(root, left, &source);
	}
}

static LeftFiles
remove_in(Destination *root, const char *folder, const Job *left)
{
	bool is_next = is_target(left, folder);
	/* before the look at the table, where it may appear meanwhile */
	bool	  is_sent = lake_is_sent(root, folder, left);
	LeftFiles what = LEFT_GO;

	/* where all is its own there is no table, but a catalog might have one */
	if (is_sent || (is_next && left->options.catalog) ||
		!is_all_its(root, folder, left->uuid, true))
		what = is_next ? look_at_table(root, folder, left, is_sent)
					   : look_beside(root, folder, left, is_sent);
	if (what == LEFT_GO)
	{
		remove_data_files(root, folder, left->uuid);
		undo_metadata(root, folder, left);
	}
	return what;
}

/* Whether the folder has files of it, or with below the metadata of a table there. */
static bool
has_its_files(Destination *root, const char *folder, const char *uuid,
			  bool below)
{
	List	 *entries;
	ListCell *cell;

	if (!list_readable(root, folder, &entries))
		return false;
	foreach (cell, entries)
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (entry->is_regular && strstr(entry->name, uuid))
			return true;
		if (below && entry->is_directory && format_of_metadata(entry->name) &&
			has_its_files(root, destination_key(folder, entry->name), uuid,
						  false))
			return true;
	}
	return false;
}

/* False: something stays that is in the way. */
static bool
clear_folder(Destination *root, const char *folder, const Job *left)
{
	LeftFiles what;

	/* whatever table is there, nothing of it is the export's */
	if (!has_its_files(root, folder, left->uuid, true))
	{
		/* a target may have no more than the log's folder */
		if (is_target(left, folder))
			undo_metadata(root, folder, left);
		return true;
	}
	what = remove_in(root, folder, left);
	/* only an empty one goes */
	if (what == LEFT_GO && folder[0])
		(void) root->driver->remove(root, psprintf("%s/", folder));
	return what != LEFT_IN_THE_WAY;
}

char *
lake_remove_left(Destination *root, const Job *left, const char *folder)
{
	ListCell *cell;

	foreach (cell, root->driver->list(root, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);
		char			 *inner = destination_key(folder, entry->name);

		CHECK_FOR_INTERRUPTS();
		/* "schema.table" */
		if (entry->is_directory && destination_name_is_valid(entry->name) &&
			strchr(entry->name, '.') && !clear_folder(root, inner, left))
			return lake_path_of_folder(root, inner);
	}
	return clear_folder(root, folder, left)
			   ? NULL
			   : lake_path_of_folder(root, folder);
}
