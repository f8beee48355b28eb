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
#include "sink/file/file_internal.h"
#include "storage/fd.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

typedef struct FileId
{
	dev_t device;
	ino_t inode;
	bool  is_cluster; /* some server's data directory, or a database in one */
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
	id->is_cluster = fstatat(directory, "PG_VERSION", &st, 0) == 0;
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
							errmsg("could not determine where directory "
								   "\"%s\" lies: %m",
								   path)));
		(void) file_fd_close(at);
		at = parent;
		id = id_of(at->fd, path);
	}
	(void) file_fd_close(at);
	return ids;
}

/* A directory that belongs to the server. */
typedef struct ServerDirectory
{
	char *path;
	bool  alone; /* others' directories may lie in it, and above it */
} ServerDirectory;

static List *
add_directory(List *directories, const char *path, bool alone)
{
	ServerDirectory *directory = palloc(sizeof(ServerDirectory));

	directory->path = pstrdup(path);
	directory->alone = alone;
	return lappend(directories, directory);
}

static List *
add_parent(List *directories, const char *file, bool alone)
{
	char path[MAXPGPATH];

	strlcpy(path, file, sizeof(path));
	get_parent_directory(path);
	/* a mere name lies in the data directory */
	return path[0] ? add_directory(directories, path, alone) : directories;
}

static const char *
setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return value ? value : "";
}

static List *
add_tablespaces(List *directories)
{
	DIR			  *tablespaces = AllocateDir("pg_tblspc");
	struct dirent *entry;

	while ((entry = ReadDir(tablespaces, "pg_tblspc")) != NULL)
	{
		if (entry->d_name[0] != '.')
			directories = add_directory(
				directories, psprintf("pg_tblspc/%s", entry->d_name), false);
	}
	FreeDir(tablespaces);
	return directories;
}

/* Sockets in a directory that is everybody's, as /tmp is, don't make it ours */
static bool
is_public(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_ISVTX) != 0 &&
		   (st.st_mode & S_IWOTH) != 0;
}

static List *
add_sockets(List *directories)
{
	List	 *paths;
	ListCell *cell;

	if (!SplitDirectoriesString(pstrdup(setting("unix_socket_directories")),
								',', &paths))
		return directories;
	foreach (cell, paths)
	{
		char *path = lfirst(cell);

		/* an abstract socket is in no directory */
		if (path[0] == '/')
			directories = add_directory(directories, path, is_public(path));
	}
	return directories;
}

/* The collector's directory, and that of a file which takes its place. */
static List *
add_logs(List *directories)
{
	char	target[MAXPGPATH];
	ssize_t len = readlink("/proc/self/fd/2", target, sizeof(target) - 1);

	if (setting("log_directory")[0])
		directories =
			add_directory(directories, setting("log_directory"), false);
	if (len > 0 && target[0] == '/')
	{
		target[len] = '\0';
		directories = add_parent(directories, target, true);
	}
	return directories;
}

/*
 * Directories of this server that hold, or may hold, what it runs on.  Names
 * are relative to the data directory, where every server process works.
 */
static List *
server_directories(void)
{
	/* files of the configuration, and what programs look for beside them */
	const char *files[] = {"config_file", "hba_file", "ident_file",
						   "external_pid_file", "ssl_key_file"};
	List	   *directories = NIL;
	char		share[MAXPGPATH];

	directories = add_directory(directories, ".", false);
	directories = add_directory(directories, XLOGDIR, false);
	directories = add_directory(directories, pkglib_path, false);
	get_share_path(my_exec_path, share);
	directories = add_directory(directories, share, false);
	directories = add_parent(directories, my_exec_path, false);
	directories = add_directory(directories, "/etc", false);
	for (int i = 0; i < lengthof(files); i++)
		directories = add_parent(directories, setting(files[i]), false);
	directories = add_tablespaces(directories);
	directories = add_sockets(directories);
	return add_logs(directories);
}

pg_noreturn static void
refuse(const char *path, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("directory \"%s\" cannot hold exports", path),
					errdetail_internal("%s", detail), errhint("%s", hint)));
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

#define SERVER_PLACES                                                         \
	"its data, WAL, tablespaces, configuration, sockets, log or programs."

static void
check_against(List *above, const char *path, const ServerDirectory *place,
			  bool children)
{
	FileFd *server = open_server_directory(place->path);
	FileId *id;

	if (server == NULL)
		return;
	id = id_of(server->fd, place->path);
	if (place->alone ? !children && same_id(id, linitial(above))
					 : id_in_list(id, above))
		refuse(path,
			   "It lies in a directory of the server itself: " SERVER_PLACES,
			   "Name a directory elsewhere.");
	/* a new directory beside the data directory is fine */
	if (!children && !place->alone &&
		id_in_list(linitial(above),
				   directory_and_above(server->fd, place->path)))
		refuse(path,
			   "It contains a directory of the server itself: " SERVER_PLACES,
			   "Name a new directory below it, or one elsewhere.");
	(void) file_fd_close(server);
}

void
file_refuse_hidden(const char *name, const char *path)
{
	if (name[0] == '.')
		refuse(path,
			   "Nothing is exported to a directory whose name begins with a "
			   "dot, nor below one.",
			   "Name a directory elsewhere.");
}

char *
file_real_path(int directory, const char *path)
{
	char	real[MAXPGPATH];
	ssize_t len =
		readlink(psprintf("/proc/self/fd/%d", directory), real, sizeof(real));

	if (len < 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not find out where directory \"%s\" "
							   "lies: %m",
							   path)));
	if (len == sizeof(real))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("directory \"%s\" lies too deep", path)));
	return pnstrdup(real, len);
}

/* Where it really lies, since links may lead there. */
static void
refuse_hidden_above(int directory, const char *path)
{
	const char *at = file_real_path(directory, path);

	for (; *at; at += strcspn(at, "/"))
	{
		at += strspn(at, "/");
		file_refuse_hidden(at, path);
	}
}

/*
 * With children, the question is whether new directories may be made in it;
 * else whether it may hold an export itself.  may_be_hidden: somebody else has
 * chosen the place.
 */
void
file_refuse_server_directory(int directory, const char *path, bool children,
							 bool may_be_hidden)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow directory check", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	List		 *above = directory_and_above(directory, path);
	ListCell	 *lc;

	foreach (lc, server_directories())
		check_against(above, path, lfirst(lc), children);
	foreach (lc, above)
		if (((FileId *) lfirst(lc))->is_cluster)
			refuse(path, "It lies in the data directory of another server.",
				   "Name a directory elsewhere.");
	if (!may_be_hidden)
		refuse_hidden_above(directory, path);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
