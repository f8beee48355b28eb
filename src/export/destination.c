/*
 * destination.c
 *		Where an export goes: the directory behind "file:///...".
 */
#include "postgres.h"

#include "export/job.h"

#define FILE_SCHEME "file://"

char *
destination_path(const char *destination)
{
	const char *path;

	if (strncmp(destination, FILE_SCHEME, strlen(FILE_SCHEME)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown kind of destination \"%s\"", destination),
				 errhint("A directory of the server is written as "
						 "file:///absolute/path.")));
	path = destination + strlen(FILE_SCHEME);
	if (path[0] != '/')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("destination \"%s\" is not an absolute path",
							   destination),
						errhint("Write it as file:///absolute/path.")));
	return pstrdup(path);
}

FileRoot *
destination_open(const Job *job, bool create)
{
	return file_root_open(destination_path(job->destination), export_root,
						  create ? FILE_ROOT_CREATE : FILE_ROOT_MISSING_OK);
}

/* The hidden directory of another job, which sink.h names so. */
#define TEMP_PREFIX ".outflow-"

void
destination_check_empty(FileRoot *root, const Job *job)
{
	List	 *files = file_list(root, FILE_FINAL);
	ListCell *cell;

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
	if (files != NIL && !job->options.overwrite)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("destination \"%s\" is not empty", job->destination),
				 errdetail("It holds \"%s\".",
						   ((FileEntry *) linitial(files))->name),
				 errhint("Choose an empty directory, or replace what is there "
						 "with options => '{\"overwrite\": true}'.")));
}
