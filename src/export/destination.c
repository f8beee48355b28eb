/*
 * destination.c
 *		Where an export goes: the directory behind "file:///...".
 *
 * An export of many tables has a folder for each of them there.  A part's file
 * is known as "folder/name"; until it is published it has its mere name, which
 * is unique in the job, in the job's one temporary directory.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/job.h"
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
							FILE_ROOT_MISSING_OK);
}

void
destination_folder_close(FileRoot *folder, FileRoot *root)
{
	if (folder && folder != root)
		file_root_close(folder);
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

void
destination_check_empty(FileRoot *root, const Job *job)
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
	if (files == NIL || !destination_has_folders(job))
		return;
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		FileRoot  *folder =
			destination_folder(root, source->folder, FILE_ROOT_MISSING_OK);

		CHECK_FOR_INTERRUPTS();
		if (folder)
			check_not_in_use(file_list(folder, FILE_FINAL), job);
		destination_folder_close(folder, root);
	}
}
