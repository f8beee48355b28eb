/*
 * destination.c
 *		Where an export goes: the directory of "file:///...".
 *
 * An export of many tables has a folder for each of them there.  A part's file
 * is known as "folder/name"; until it is published it has its mere name, which
 * is unique in the job, in the job's one temporary directory.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "export/job/job.h"
#include "option.h"

#define FILE_SCHEME "file://"

char *
destination_path(const char *destination)
{
	const char *path;

	if (strncmp(destination, FILE_SCHEME, strlen(FILE_SCHEME)) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown kind of destination \"%s\"",
							   option_shown(destination)),
						errhint("A directory of the server is written as "
								"file:///absolute/path.")));
	path = destination + strlen(FILE_SCHEME);
	if (path[0] != '/')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("destination \"%s\" is not an absolute path",
							   option_shown(destination)),
						errhint("Write it as file:///absolute/path.")));
	return pstrdup(path);
}

FileRoot *
destination_open(const Job *job, int flags)
{
	return file_root_open(destination_path(job->destination),
						  settings_export_root(), flags);
}

FileRoot *
destination_open_known(const char *location, bool must_open)
{
	return file_root_open(location, NULL,
						  FILE_ROOT_MISSING_OK | FILE_ROOT_HIDDEN |
							  (must_open ? 0 : FILE_ROOT_TRY));
}

const char *
destination_file_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

FileRoot *
destination_folder(FileRoot *root, const char *folder, int flags)
{
	return folder[0] ? file_root_subdir(root, folder, flags) : root;
}

FileRoot *
destination_folder_of(FileRoot *root, const char *file)
{
	const char *name = destination_file_name(file);

	if (name == file)
		return root;
	return file_root_subdir(root, pnstrdup(file, name - file - 1),
							FILE_ROOT_MISSING_OK | FILE_ROOT_TRY);
}

void
destination_folder_close(FileRoot *folder, FileRoot *root)
{
	if (folder && folder != root)
		file_root_close(folder);
}

bool
destination_is_folder(const Job *job, const char *name)
{
	const ListCell *cell;

	foreach (cell, job->sources)
	{
		if (strcmp(((JobSource *) lfirst(cell))->folder, name) == 0)
			return true;
	}
	return false;
}

bool
destination_has_folders(const Job *job)
{
	return ((JobSource *) linitial(job->sources))->folder[0] != '\0';
}

void
destination_check_free(const Job *job, bool begun)
{
	int64 other = job_at_location(job->location, job->id, begun);

	if (other != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("destination \"%s\" is in use by export job " INT64_FORMAT,
					job->destination, other),
			 errdetail("An unfinished job has its directory to itself, with "
					   "all that lies beneath it."),
			 errhint("Finish that job, or cancel and forget it.")));
}

void
destination_check_unreferenced(const Job *job)
{
	int64 other = job_referring_to(job->location, job->id);

	if (other != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg(
				 "destination \"%s\" holds files of export job " INT64_FORMAT,
				 job->destination, other),
			 errdetail("Parts of that export refer to files there."),
			 errhint("Export to another directory, or forget that job.")));
}

/* The hidden directory of another job, which sink.h names so. */
#define TEMP_PREFIX ".outflow-"

static void
check_not_in_use(const List *files, const Job *job)
{
	const ListCell *cell;

	foreach (cell, files)
	{
		FileEntry *entry = lfirst(cell);

		if (strncmp(entry->name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("another export is writing to destination \"%s\"",
							job->destination),
					 errdetail("It holds \"%s\".", entry->name),
					 errhint("Finish or forget that export first.  If no "
							 "server knows it, remove the directory.")));
	}
}

#define STRANGERS_NAMED 10

/* Each table's folder is looked at for itself. */
static List *
without_folders(List *names, const Job *job)
{
	List	 *rest = NIL;
	ListCell *cell;

	foreach (cell, names)
	{
		if (!destination_is_folder(job, lfirst(cell)))
			rest = lappend(rest, lfirst(cell));
	}
	return rest;
}

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

/*
 * overwrite replaces exports of this server only.  What else is there stays, and
 * is named; what has a name that every export needs is refused.
 */
static void
check_strangers(FileRoot *directory, const Job *job, bool tell)
{
	List *strangers = without_folders(older_strangers(directory), job);
	StringInfoData names;
	ListCell	  *cell;

	if (strangers == NIL)
		return;
	if (has_manifest_name(strangers))
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_FILE),
			 errmsg("directory \"%s\" holds something that is not known to "
					"be an export of this server",
					file_root_path(directory)),
			 errdetail("It has a \"%s\" or \"%s\" that this server did not "
					   "write, or that was changed.",
					   PUBLISH_MANIFEST, PUBLISH_SUCCESS),
			 errhint("Remove it, or choose another directory.")));
	if (!tell)
		return;
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
					"export of this server"),
			 errdetail("In directory \"%s\": %s.", file_root_path(directory),
					   names.data)));
}

void
destination_check_empty(FileRoot *root, const Job *job, bool tell)
{
	List	 *files = file_list(root, FILE_FINAL);
	ListCell *cell;

	check_not_in_use(files, job);
	if (files != NIL && !job->options.overwrite)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("destination \"%s\" is not empty", job->destination),
				 errdetail("It holds \"%s\".",
						   ((FileEntry *) linitial(files))->name),
				 errhint("Choose an empty directory, or replace what is there "
						 "with options => '{\"overwrite\": true}'.")));
	if (files == NIL)
		return;
	destination_check_unreferenced(job);
	check_strangers(root, job, tell);
	if (!destination_has_folders(job))
		return;
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		FileRoot  *folder =
			destination_folder(root, source->folder, FILE_ROOT_MISSING_OK);

		CHECK_FOR_INTERRUPTS();
		if (folder)
		{
			check_not_in_use(file_list(folder, FILE_FINAL), job);
			check_strangers(folder, job, tell);
		}
		destination_folder_close(folder, root);
	}
}
