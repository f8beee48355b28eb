/*
 * file_root.c
 *		One opened destination directory.
 *
 * The path is walked once, component by component; what comes after works
 * below the descriptor that the walk ends with.  Names below it are single
 * components opened with O_NOFOLLOW, so there is nothing that a link, a ".."
 * or a directory swapped in later could lead elsewhere, on any kernel.
 *
 * All ways into a directory are here, so that none leaves out a check.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "encoding.h"
#include "miscadmin.h"
#include "compat.h"
#include "sink/file/file_internal.h"
#include "storage/fd.h"
#include "utils/memutils.h"

int
file_errcode(void)
{
	if (errno == ENAMETOOLONG)
		return errcode(ERRCODE_INVALID_PARAMETER_VALUE);
	return errcode_for_file_access();
}

/* Makes a directory below parent, durably; it may exist. */
static void
make_directory(int parent, const char *name, const char *path,
			   mode_t file_mode)
{
	FileFd *real;

	if (file_make_directory(parent, name, file_mode) != 0 && errno != EEXIST)
		ereport(ERROR, (file_errcode(),
						errmsg("could not create directory \"%s\": %m", path),
						file_access_hint(path)));
	/* parent may be a mere place (O_PATH), which can't be synchronized */
	real = file_fd_open(parent, ".", O_RDONLY | O_DIRECTORY);
	if (file_fd_is_open(real))
		file_sync_directory(real->fd, path);
	else if (errno != EACCES)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open the parent of \"%s\": %m", path)));
	(void) file_fd_close(real);
}

pg_noreturn static void
open_failed(int parent, const char *name, const char *path)
{
	int			save_errno = errno;
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISLNK(st.st_mode))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("\"%s\" is a symbolic link", path),
						errhint("Name the directory that it points to.")));
	errno = save_errno;
	ereport(ERROR, (file_errcode(),
					errmsg("could not open directory \"%s\": %m", path),
					file_access_hint(NULL)));
}

/*
 * Opens one component of a path.  Returns NULL if it is not there and flags
 * allow that; *made counts components that had to be made.
 */
static FileFd *
open_component(int parent, const char *name, const char *path, int open_flags,
			   int flags, mode_t file_mode, int *made)
{
	FileFd *file = file_fd_open(parent, name, open_flags | O_DIRECTORY);

	if (!file_fd_is_open(file) && errno == ENOENT)
	{
		if (flags & FILE_ROOT_PROBE)
		{
			file_refuse_server_directory(parent, path, true,
										 flags & FILE_ROOT_HIDDEN);
			if (faccessat(parent, ".", W_OK | X_OK, AT_EACCESS) != 0)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not create directory \"%s\": %m", path),
						 file_access_hint(path)));
			return NULL;
		}
		if (flags & FILE_ROOT_CREATE)
		{
			if (*made == 0)
				file_refuse_server_directory(parent, path, true,
											 flags & FILE_ROOT_HIDDEN);
			make_directory(parent, name, path, file_mode);
			(*made)++;
			file = file_fd_open(parent, name,
								open_flags | O_DIRECTORY | O_NOFOLLOW);
		}
		else if (flags & FILE_ROOT_MISSING_OK)
			return NULL;
	}
	if (!file_fd_is_open(file) && (flags & FILE_ROOT_TRY))
		return NULL;
	if (!file_fd_is_open(file))
		open_failed(parent, name, path);
	return file;
}

/* Nothing in a directory can be opened that one may read but not search. */
static bool
is_searchable(FileFd *directory, int flags)
{
	int save_errno;

	if (!(flags & FILE_ROOT_TRY) ||
		faccessat(directory->fd, ".", X_OK, AT_EACCESS) == 0)
		return true;
	save_errno = errno;
	(void) file_fd_close(directory);
	errno = save_errno;
	return false;
}

static FileRoot *
root_new(const char *path, FileFd *dir, mode_t file_mode)
{
	FileRoot *root = palloc0(sizeof(FileRoot));

	root->path = pstrdup(path);
	root->file_mode = file_mode;
	root->dir = dir;
	return root;
}

/*
 * Where a walk begins: at the export root, if there is one, else at the top.
 * *trusted is how many components of the path it stands for.
 */
static FileFd *
open_top(List *components, const char *path, const char *export_root,
		 int *trusted)
{
	bool		confined = export_root != NULL && export_root[0] != '\0';
	const char *top = confined ? export_root : "/";
	FileFd	   *at;

	*trusted =
		confined ? path_check_beneath(components, path, export_root) : 0;
	at = file_fd_open(AT_FDCWD, top, O_PATH | O_DIRECTORY);
	if (!file_fd_is_open(at))
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not open directory \"%s\": %m", top)));
	return at;
}

static void
refuse_hidden_names(List *components, int trusted, const char *path)
{
	for (int i = trusted; i < list_length(components); i++)
		file_refuse_hidden(list_nth(components, i), path);
}

FileRoot *
file_root_open(const char *path, const char *export_root, int flags,
			   mode_t file_mode)
{
	List	 *components = path_components(path, "directory");
	int		  count = list_length(components);
	int		  trusted;
	int		  made = 0;
	FileFd	 *at = open_top(components, path, export_root, &trusted);
	bool	  confined = trusted > 0;
	FileRoot *root;

	/* what lies above an export root is its setter's choice */
	if (confined)
		flags |= FILE_ROOT_HIDDEN;
	else if (!(flags & FILE_ROOT_HIDDEN))
		refuse_hidden_names(components, 0, path);
	if (confined)
		refuse_hidden_names(components, trusted, path);

	for (int i = trusted; i < count; i++)
	{
		bool	last = (i == count - 1);
		char   *name = list_nth(components, i);
		FileFd *next;

		/* links above the export are the administrator's own */
		next =
			open_component(at->fd, name, path_join(components, i + 1),
						   (last ? O_RDONLY : O_PATH) |
							   (last || confined || made > 0 ? O_NOFOLLOW : 0),
						   flags, file_mode, &made);
		if (next == NULL)
		{
			int save_errno = errno;

			(void) file_fd_close(at);
			errno = save_errno;
			return NULL;
		}
		(void) file_fd_close(at);
		at = next;
	}

	if (!is_searchable(at, flags))
		return NULL;
	path = path_join(components, count);
	file_refuse_server_directory(at->fd, path, false,
								 flags & FILE_ROOT_HIDDEN);
	root = root_new(path, at, file_mode);
	root->made = made;
	return root;
}

char *
file_root_resolve(const char *path, const char *export_root)
{
	List   *components = path_components(path, "directory");
	int		count = list_length(components);
	int		at_component;
	FileFd *at = open_top(components, path, export_root, &at_component);
	char   *real;

	while (at_component < count)
	{
		FileFd *next = file_fd_open(at->fd, list_nth(components, at_component),
									O_PATH | O_DIRECTORY);

		if (!file_fd_is_open(next))
			break;
		(void) file_fd_close(at);
		at = next;
		at_component++;
	}
	real = file_real_path(at->fd, path);
	(void) file_fd_close(at);
	/* the top is not followed by a second slash */
	if (strcmp(real, "/") == 0)
		real = pstrdup("");
	while (at_component < count)
		real = psprintf("%s/%s", real,
						(char *) list_nth(components, at_component++));
	return real;
}

FileRoot *
file_root_subdir(FileRoot *parent, const char *name, int flags)
{
	char	 *path = psprintf("%s/%s", parent->path, name);
	int		  made = 0;
	FileRoot *root;
	FileFd	 *dir;

	file_check_name(name);
	dir = open_component(parent->dir->fd, name, path, O_RDONLY | O_NOFOLLOW,
						 flags, parent->file_mode, &made);
	if (dir == NULL || !is_searchable(dir, flags))
		return NULL;
	file_refuse_server_directory(dir->fd, path, false, true);
	root = root_new(path, dir, parent->file_mode);
	if (file_fd_is_open(parent->temp))
	{
		root->temp = parent->temp;
		root->temp_name = psprintf("../%s", parent->temp_name);
		root->temp_is_shared = true;
	}
	return root;
}

/* Whether a directory stays for what it is, or where: it holds something, is
 * mounted, or whoever has it or its parent keeps it. */
static bool
is_kept(int error)
{
	return error == ENOTEMPTY || error == EEXIST || error == ENOTDIR ||
		   error == EBUSY || error == EPERM || error == EACCES;
}

bool
file_root_remove_subdir(FileRoot *parent, const char *name)
{
	file_check_name(name);
	if (unlinkat(parent->dir->fd, name, AT_REMOVEDIR) == 0)
		return true;
	if (errno != ENOENT && !is_kept(errno))
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not remove directory \"%s\": %m",
							   file_path(parent, FILE_FINAL, name))));
	return false;
}

/*
 * Removes an empty directory from its parent, which is returned; NULL if it stays,
 * since it holds something, or something else has its name.
 */
static FileFd *
remove_empty(FileFd *directory, const char *path)
{
	FileFd *parent = file_fd_open(directory->fd, "..", O_RDONLY | O_DIRECTORY);
	const char *name = strrchr(path, '/') + 1;
	struct stat opened;
	struct stat named;

	if (!file_fd_is_open(parent))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open the parent of \"%s\": %m", path)));
	/* what has been put in its place since is none of ours */
	if (fstat(directory->fd, &opened) == 0 &&
		fstatat(parent->fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		opened.st_dev == named.st_dev && opened.st_ino == named.st_ino)
	{
		if (unlinkat(parent->fd, name, AT_REMOVEDIR) == 0)
		{
			file_sync_directory(parent->fd, path);
			return parent;
		}
		if (errno != ENOTEMPTY && errno != EEXIST)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not remove directory \"%s\": %m", path)));
	}
	(void) file_fd_close(parent);
	return NULL;
}

void
file_root_remove(FileRoot *root, int levels)
{
	char   *path = pstrdup(root->path);
	FileFd *at = remove_empty(root->dir, path);

	while (at)
	{
		FileFd *parent = NULL;

		*strrchr(path, '/') = '\0';
		if (--levels > 0)
			parent = remove_empty(at, path);
		(void) file_fd_close(at);
		at = parent;
	}
	pfree(path);
}

void
file_temp_release(FileRoot *root)
{
	(void) file_fd_close(root->owner);
}

void
file_root_close(FileRoot *root)
{
	file_temp_release(root);
	if (!root->temp_is_shared)
		(void) file_fd_close(root->temp);
	(void) file_fd_close(root->dir);
}

const char *
file_root_path(const FileRoot *root)
{
	return root->path;
}

void
file_root_give_mode(FileRoot *root)
{
	mode_t		wanted = file_directory_mode(root->file_mode) & 0077;
	struct stat st;

	/* what hands on its group goes on so, and what is closed to us stays so */
	if (fstat(root->dir->fd, &st) == 0 && st.st_uid == geteuid() &&
		(st.st_mode & 0077) != wanted &&
		fchmod(root->dir->fd, wanted | (st.st_mode & 07700)) != 0)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not set permissions of directory \"%s\": %m",
						encoding_shown(root->path))));
}

void
file_root_check_writable(FileRoot *root)
{
	mode_t		wanted = file_directory_mode(root->file_mode) & 0111;
	struct stat st;

	if (faccessat(root->dir->fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("cannot write to directory \"%s\": %m", root->path),
				 file_access_hint(NULL)));
	if (fstat(root->dir->fd, &st) == 0 && (wanted & ~st.st_mode) != 0)
		ereport(WARNING,
				(errmsg("not everyone who may read the files may search "
						"directory \"%s\"",
						encoding_shown(root->path)),
				 errdetail("Files get mode %04o; the directory is there and "
						   "keeps its mode %04o.",
						   (unsigned) root->file_mode,
						   (unsigned) st.st_mode & 07777)));
}

void
file_root_check_place(FileRoot *root)
{
	struct stat opened;
	struct stat named;

	if (fstat(root->dir->fd, &opened) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat directory \"%s\": %m", root->path)));
	if (fstatat(AT_FDCWD, root->path, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
		named.st_dev != opened.st_dev || named.st_ino != opened.st_ino)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("directory \"%s\" was removed, moved or replaced",
						root->path),
				 errdetail("The export had opened another one there.")));
}

void
file_root_sync(FileRoot *root)
{
	if (file_fd_is_open(root->temp))
		file_sync_directory(root->temp->fd, root->path);
	file_sync_directory(root->dir->fd, root->path);
}

void
file_sync_directory(int directory, const char *path)
{
	/* some file systems know no such thing, and say so in one of two ways */
	if (pg_fsync(directory) != 0 && errno != EBADF && errno != EINVAL)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not fsync directory \"%s\": %m", path)));
}

int
file_directory(const FileRoot *root, FilePlace place)
{
	if (place == FILE_FINAL)
		return root->dir->fd;
	if (!file_fd_is_open(root->temp))
		elog(ERROR, "no temporary directory is open in \"%s\"", root->path);
	return root->temp->fd;
}
