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
#include "utils/varlena.h"

typedef enum Containment
{
	FILE_APART,
	FILE_INSIDE,
	FILE_UNKNOWN /* errno says why */
} Containment;

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is directory the same as outer, or somewhere below it? */
static Containment
directory_lies_in(int directory, const struct stat *outer)
{
	FileFd	   *at = file_fd_open(directory, ".", O_PATH | O_DIRECTORY);
	struct stat here;
	struct stat above;
	Containment result = FILE_UNKNOWN;

	if (!file_fd_is_open(at) || fstat(at->fd, &here) != 0)
		return FILE_UNKNOWN;
	while (result == FILE_UNKNOWN)
	{
		FileFd *parent;

		if (same_file(&here, outer))
		{
			result = FILE_INSIDE;
			break;
		}
		parent = file_fd_open(at->fd, "..", O_PATH | O_DIRECTORY);
		(void) file_fd_close(at);
		at = parent;
		if (!file_fd_is_open(at) || fstat(at->fd, &above) != 0)
			return FILE_UNKNOWN;
		if (same_file(&here, &above))
			result = FILE_APART; /* at the top */
		here = above;
	}
	(void) file_fd_close(at);
	return result;
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
					errmsg("directory \"%s\" can't hold exports", path),
					errdetail_internal("%s", detail)));
}

static void
check_against(int directory, const struct stat *self, const char *path,
			  const char *server_path, bool children)
{
	FileFd	   *server;
	struct stat other;
	Containment inside;
	Containment around = FILE_APART;
	int			save_errno;

	server = file_fd_open(AT_FDCWD, server_path, O_PATH | O_DIRECTORY);
	if (!file_fd_is_open(server))
	{
		/* a tablespace that was just dropped, a file given by a bare name */
		if (errno == ENOENT || errno == ENOTDIR)
			return;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open directory \"%s\": %m", server_path)));
	}
	if (fstat(server->fd, &other) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat directory \"%s\": %m", server_path)));

	inside = directory_lies_in(directory, &other);
	/* a new directory beside the data directory is fine */
	if (!children && inside == FILE_APART)
		around = directory_lies_in(server->fd, self);
	save_errno = errno;
	(void) file_fd_close(server);
	errno = save_errno;

	if (inside == FILE_INSIDE)
		refuse(path, "It lies in a directory of the server itself: its data, "
					 "WAL, tablespaces, configuration or libraries.");
	if (around == FILE_INSIDE)
		refuse(path, "It contains a directory of the server itself: its data, "
					 "WAL, tablespaces, configuration or libraries.");
	if (inside == FILE_UNKNOWN || around == FILE_UNKNOWN)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not find out where directory \"%s\" "
							   "lies: %m",
							   path)));
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
	struct stat	  self;
	ListCell	 *lc;

	if (fstat(directory, &self) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not stat directory \"%s\": %m", path)));
	foreach (lc, server_directories())
		check_against(directory, &self, path, lfirst(lc), children);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
