/*
 * destination_empty.c
 *		Whether an export finds its place as it needs it: nobody else's, and
 *		with nothing in it that it would not replace or go on with.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "encoding.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/lake/lake.h"

void
destination_check_unclaimed(Destination *root, const char *folder,
							const Job *job)
{
	char *removed = NULL;
	char *stays = NULL; /* of a lake table's folder */
	char *other;

	/* one that is there again is somebody's */
	while ((other = root->driver->check_free(root, folder)) != NULL &&
		   !(removed && strcmp(other, removed) == 0) &&
		   left_remove(root, folder, other, job, &stays))
	{
		CHECK_FOR_INTERRUPTS();
		removed = other;
	}
	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another export is writing to destination \"%s\"",
						job->destination),
				 stays ? errdetail("It holds \"%s\", and \"%s\" has files of "
								   "that export beside others.",
								   other, stays)
					   : errdetail("It holds \"%s\".", other),
				 errhint("Finish or forget that export first.  If no "
						 "server knows it, remove the directory.")));
}

#define STRANGERS_NAMED 10

static bool
has_manifest_name(const List *names)
{
	const ListCell *cell;

	foreach (cell, names)
	{
		if (strcmp(lfirst(cell), PUBLISH_MANIFEST) == 0 ||
			strcmp(lfirst(cell), PUBLISH_SUCCESS) == 0)
			return true;
	}
	return false;
}

/* Whether an export of this database is in a folder, and not that one. */
static bool
is_anothers(Destination *root, const char *folder, const char *uuid)
{
	char *found = older_uuid(root, folder);

	return found && !(uuid && strcmp(found, uuid) == 0);
}

/* Where others export to directories below, an export would keep them from it
 * for as long as it runs. */
static void
refuse_directories(Destination *root, const char *folder,
				   const List *strangers, const char *directory)
{
	const ListCell *cell;

	foreach (cell, root->driver->list(root, folder, NULL))
	{
		const DestinationEntry *entry = lfirst(cell);

		if (entry->is_directory && names_have(strangers, entry->name))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_FILE),
					 errmsg("directory \"%s\" holds other directories, but "
							"no export that \"overwrite\" would replace",
							directory),
					 errdetail("It holds \"%s\".", entry->name),
					 errhint("Choose another directory, such as one in it.")));
	}
}

/*
 * overwrite replaces an export of this database only, of that uuid.  What else is
 * there stays, and is named; what has a name that every export needs is refused.
 */
static void
check_strangers(Destination *root, const char *folder, const char *uuid,
				const Job *job, bool tell)
{
	List *strangers = older_strangers(root, folder, uuid, job);
	char *directory = folder[0] ? psprintf("%s/%s", root->path, folder)
								: pstrdup(root->path);
	StringInfoData names;
	ListCell	  *cell;

	if (strangers == NIL)
		return;
	if (is_anothers(root, folder, uuid))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("directory \"%s\" holds another export", directory),
				 errdetail("It is not part of the one that \"overwrite\" "
						   "would replace."),
				 errhint("Remove it, or choose another directory.")));
	if (has_manifest_name(strangers))
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_FILE),
			 errmsg("directory \"%s\" holds something that is not known to "
					"be an export of this database",
					directory),
			 errdetail("It has a \"%s\" or \"%s\" that this database did not "
					   "write, or that was changed.",
					   PUBLISH_MANIFEST, PUBLISH_SUCCESS),
			 errhint("Remove it, or choose another directory.")));
	if (!tell)
		return;
	if (uuid == NULL)
		refuse_directories(root, folder, strangers, directory);
	initStringInfo(&names);
	foreach (cell, strangers)
	{
		int i = foreach_current_index(cell);

		if (i == STRANGERS_NAMED)
		{
			appendStringInfo(&names, " and %d more",
							 list_length(strangers) - i);
			break;
		}
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "",
						 (char *) lfirst(cell));
	}
	ereport(WARNING,
			(errmsg("\"overwrite\" leaves what is not known to be part of an "
					"export of this database"),
			 errdetail("In directory \"%s\": %s.", encoding_shown(directory),
					   encoding_shown(names.data))));
}

/* Without it, the export of several tables would be damaged; what parts refer to
 * there without being seen by others yet is of one, too. */
static void
check_no_folder(const Job *job, const char *uuid)
{
	int64 other = uuid ? job_with_folder(job->location, uuid) : 0;

	if (other != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("destination \"%s\" is a table's folder of export "
						"job " INT64_FORMAT,
						job->destination, other),
				 errdetail("\"overwrite\" replaces whole exports only."),
				 errhint("Export to another directory, or replace that "
						 "export.")));
}

/* Each folder has a lake table, or is empty. */
static void
check_tables(Destination *root, const Job *job)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (source->folder[0])
			destination_check_unclaimed(root, source->folder, job);
		lake_check_folder(root, job, source);
	}
}

void
destination_check_empty(Destination *root, const Job *job, bool tell)
{
	List	 *files;
	char	 *older;
	ListCell *cell;

	if (job_makes_tables(job))
		lake_sweep(root);
	destination_check_unclaimed(root, "", job);
	if (job_makes_tables(job))
	{
		check_tables(root, job);
		return;
	}
	files = root->driver->list(root, "", NULL);
	if (files != NIL && !job->options.overwrite)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("destination \"%s\" is not empty", job->destination),
				 errdetail("It holds \"%s\".",
						   ((DestinationEntry *) linitial(files))->name),
				 errhint("Choose an empty directory, or replace what is there "
						 "with options => '{\"overwrite\": true}'.")));
	if (files == NIL)
		return;
	destination_check_unreferenced(job);
	older = older_uuid(root, "");
	check_no_folder(job, older);
	check_strangers(root, "", older, job, tell);
	if (!destination_has_folders(job))
		return;
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		destination_check_unclaimed(root, source->folder, job);
		check_strangers(root, source->folder, older, job, tell);
	}
}
