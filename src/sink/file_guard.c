/*
 * file_guard.c
 *		Keeps exports out of the server's own directories.
 *
 * Directories are compared by what they are (device and inode), never by
 * path: a link or a second mount can give one directory many paths.  A
 * directory lies in another if walking up through ".." meets it.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "compat.h"
#include "sink/file_internal.h"
#include "storage/fd.h"
#include "utils/guc.h"
#include "utils/memutils.h"

typedef struct FileId
{
	dev_t device;
	ino_t inode;
} FileId;

static FileId *
id_of(int directory, const char *path)
{
	FileId	   *id = palloc(sizeof(FileId));
	struct stat st;

	if (fstat(directory, &st) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not stat directory \"%s\": %m", path)));
	id->device = st.st_dev;
	id->inode = st.st_ino;
	return id;
}

static bool
same_id(const FileId *a, const FileId *b)
{
	return a->device == b->device && a->inode == b->inode;
}

static bool
id_in_list(const FileId *id, List *ids)
{
	ListCell *lc;

	foreach (lc, ids)
		if (same_id(id, lfirst(lc)))
			return true;
	return false;
}

/* The directory itself and all that it lies in, up to the top. */
static List *
directory_and_above(int directory, const char *path)
{
	FileId *id = id_of(directory, path);
	List   *ids = NIL;
	FileFd *at = NULL;

	while (ids == NIL || !same_id(id, llast(ids)))
	{
		FileFd *parent;

		ids = lappend(ids, id);
		parent =
			file_fd_open(at ? at->fd : directory, "..", O_PATH | O_DIRECTORY);
		if (!file_fd_is_open(parent))
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not find out where directory "
								   "\"%s\" lies: %m",
								   path)));
		(void) file_fd_close(at);
		at = parent;
		id = id_of(at->fd, path);
	}
	(void) file_fd_close(at);
	return ids;
}

/*
 * Directories of this server that hold, or may hold, what it runs on.  Names
 * are relative to the data directory, where every server process works.
 */
static List *
server_directories(void)
{
	const char *files[] = {ConfigFileName, HbaFileName, IdentFileName};
	List	   *paths =
		list_make3(pstrdup("."), pstrdup(XLOGDIR), pstrdup(pkglib_path));
	DIR *tablespaces;

	for (int i = 0; i < lengthof(files); i++)
	{
		char path[MAXPGPATH];

		if (files[i] == NULL)
			continue;
		strlcpy(path, files[i], sizeof(path));
		get_parent_directory(path);
		paths = lappend(paths, pstrdup(path));
	}

	tablespaces = AllocateDir("pg_tblspc");
	for (;;)
	{
		struct dirent *entry = ReadDir(tablespaces, "pg_tblspc");

		if (entry == NULL)
			break;
		if (entry->d_name[0] != '.')
			paths = lappend(paths, psprintf("pg_tblspc/%s", entry->d_name));
	}
	FreeDir(tablespaces);
	return paths;
}

pg_noreturn static void
refuse(const char *path, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("directory \"%s\" cannot hold exports", path),
					errdetail_internal("%s", detail)));
}

/* Opens one of them, or returns NULL if it is not there. */
static FileFd *
open_server_directory(const char *path)
{
	FileFd *server = file_fd_open(AT_FDCWD, path, O_PATH | O_DIRECTORY);

	if (file_fd_is_open(server))
		return server;
	/* a tablespace that was just dropped, a configuration without a file */
	if (errno == ENOENT || errno == ENOTDIR)
		return NULL;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not open server directory \"%s\": %m", path)));
	return NULL; /* not reached */
}

static void
check_against(List *above, const char *path, const char *server_path,
			  bool children)
{
	FileFd *server = open_server_directory(server_path);

	if (server == NULL)
		return;
	if (id_in_list(id_of(server->fd, server_path), above))
		refuse(path, "It lies in a directory of the server itself: its data, "
					 "WAL, tablespaces, configuration or libraries.");
	/* a new directory beside the data directory is fine */
	if (!children && id_in_list(linitial(above),
								directory_and_above(server->fd, server_path)))
		refuse(path, "It contains a directory of the server itself: its data, "
					 "WAL, tablespaces, configuration or libraries.");
	(void) file_fd_close(server);
}

/*
 * With children, the question is whether new directories may be made in it;
 * else whether it may hold an export itself.
 */
void
file_refuse_server_directory(int directory, const char *path, bool children)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow directory check", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	List		 *above = directory_and_above(directory, path);
	ListCell	 *lc;

	foreach (lc, server_directories())
		check_against(above, path, lfirst(lc), children);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
