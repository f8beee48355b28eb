/*
 * file_path.c
 *		Paths as users write them, their components, and names of files below a
 *		root.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "option.h"
#include "sink/file/file_internal.h"

List *
path_components(const char *path, const char *what)
{
	List	   *components = NIL;
	const char *at = path;

	if (path[0] != '/')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s \"%s\" is not an absolute path", what,
							   option_shown(path))));
	/* we could go deeper, but no tool could follow */
	if (strlen(path) >= MAXPGPATH)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("path of %s is too long", what),
						errdetail("The limit is %d bytes.", MAXPGPATH - 1)));
	while (*at)
	{
		size_t len = strcspn(at, "/");

		if (len == 2 && at[0] == '.' && at[1] == '.')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s \"%s\" must not contain \"..\"", what, path),
					 errhint("Write the path that it means.")));
		if (len > NAME_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a name in the path of %s is too long", what),
					 errdetail("The limit is %d bytes.", NAME_MAX)));
		if (len > 0 && !(len == 1 && at[0] == '.'))
			components = lappend(components, pnstrdup(at, len));
		at += len;
		at += strspn(at, "/");
	}
	if (components == NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s cannot be the root directory", what),
						errhint("Name a directory below it.")));
	return components;
}

char *
path_join(List *components, int count)
{
	StringInfoData path;

	initStringInfo(&path);
	for (int i = 0; i < count; i++)
		appendStringInfo(&path, "/%s", (char *) list_nth(components, i));
	return path.data;
}

int
path_check_beneath(List *components, const char *path, const char *export_root)
{
	List	 *outer = path_components(export_root, "export root");
	bool	  beneath = list_length(components) > list_length(outer);
	ListCell *a;
	ListCell *b;

	forboth (a, components, b, outer)
		if (strcmp(lfirst(a), lfirst(b)) != 0)
			beneath = false;
	if (!beneath)
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("directory \"%s\" is not beneath the export root", path),
			 errhint("Files may be exported only beneath the directory "
					 "that \"outflow.export_root\" names.")));
	return list_length(outer);
}

void
file_check_name(const char *name)
{
	if (!destination_name_is_valid(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid name \"%s\" for a file of an export", name)));
}

char *
file_path(const FileRoot *root, FilePlace place, const char *name)
{
	if (place == FILE_FINAL)
		return psprintf("%s/%s", root->path, name);
	return psprintf("%s/%s/%s", root->path, root->temp_name, name);
}
