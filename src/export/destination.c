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

void
destination_check_empty(FileRoot *root, const Job *job)
{
	List	  *files;
	FileEntry *first;

	if (job->options.overwrite)
		return;
	files = file_list(root, FILE_FINAL);
	if (files == NIL)
		return;
	first = linitial(files);
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_FILE),
			 errmsg("destination \"%s\" is not empty", job->destination),
			 errdetail("It holds \"%s\".", first->name),
			 errhint("Choose an empty directory, or replace what is there "
					 "with options => '{\"overwrite\": true}'.")));
}
