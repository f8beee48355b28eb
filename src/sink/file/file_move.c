/*
 * file_move.c
 *		What happens to files once they are written: publication, carrying into
 *		a later export, reading back, removal.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "encoding.h"
#include "miscadmin.h"
#include "sink/file/file_internal.h"
#include "sink/stage.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define FILE_READ_SIZE (256 * 1024)

static bool
stat_file(FileRoot *root, FilePlace place, const char *name, struct stat *st)
{
	if (fstatat(file_directory(root, place), name, st, AT_SYMLINK_NOFOLLOW) ==
		0)
		return true;
	if (errno != ENOENT)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not stat file \"%s\": %m",
							   file_path(root, place, name))));
	return false;
}

bool
file_stat(FileRoot *root, FilePlace place, const char *name, uint64 *size)
{
	struct stat st;

	file_check_name(name);
	if (!stat_file(root, place, name, &st) || !S_ISREG(st.st_mode))
		return false;
	*size = st.st_size;
	return true;
}

mode_t
file_mode_like(FileRoot *root, const char *name, mode_t otherwise)
{
	struct stat st;

	file_check_name(name);
	if (!stat_file(root, FILE_FINAL, name, &st) || !S_ISREG(st.st_mode))
		return otherwise;
	return FILE_MODE_PRIVATE | (st.st_mode & FILE_MODE_WIDEST);
}

void
file_give_mode(FileRoot *root, const char *name)
{
	struct stat st;
	FileFd	   *file;

	file_check_name(name);
	if (!stat_file(root, FILE_FINAL, name, &st) ||
		(st.st_mode & 07777) == root->file_mode || st.st_uid != geteuid())
		return;
	/* it may be something else by now */
	file = file_fd_open(file_directory(root, FILE_FINAL), name,
						O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (file_fd_is_open(file) && fstat(file->fd, &st) == 0 &&
		S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		fchmod(file->fd, root->file_mode) != 0)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not set permissions of file \"%s\": %m",
						encoding_shown(file_path(root, FILE_FINAL, name)))));
	(void) file_fd_close(file);
}

bool
file_remove(FileRoot *root, FilePlace place, const char *name)
{
	file_check_name(name);
	if (unlinkat(file_directory(root, place), name, 0) == 0)
		return true;
	if (errno != ENOENT)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not remove file \"%s\": %m",
							   file_path(root, place, name))));
	return false;
}

static bool
same_inode(FileRoot *root, const char *name)
{
	struct stat temp;
	struct stat final;

	return stat_file(root, FILE_TEMP, name, &temp) &&
		   stat_file(root, FILE_FINAL, name, &final) &&
		   temp.st_dev == final.st_dev && temp.st_ino == final.st_ino;
}

bool
file_is_both(FileRoot *root, const char *name)
{
	file_check_name(name);
	return same_inode(root, name);
}

bool
file_is_as_written(FileRoot *root, const char *name, uint64 size)
{
	struct stat st;

	file_check_name(name);
	return !stat_file(root, FILE_TEMP, name, &st) ||
		   (S_ISREG(st.st_mode) && (uint64) st.st_size == size);
}

/* rename() that fails with EEXIST, also where the file system can't do that */
static int
rename_into_free_name(FileRoot *root, const char *name)
{
	int			temp = file_directory(root, FILE_TEMP);
	int			final = file_directory(root, FILE_FINAL);
	struct stat st;

	if (renameat2(temp, name, final, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* NFS: a link is made once, whoever else tries */
	if (linkat(temp, name, final, name, 0) == 0)
		return unlinkat(temp, name, 0);
	if (errno == EEXIST)
		return -1;
	if (fstatat(final, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
	{
		errno = EEXIST;
		return -1;
	}
	return renameat(temp, name, final, name);
}

bool
file_publish(FileRoot *root, const char *name, bool replace)
{
	int	   temp = file_directory(root, FILE_TEMP);
	int	   final = file_directory(root, FILE_FINAL);
	int	   result;
	uint64 size;

	file_check_name(name);
	if (replace)
		result = renameat(temp, name, final, name);
	else
		result = rename_into_free_name(root, name);

	if (result != 0 && errno == ENOENT &&
		file_stat(root, FILE_FINAL, name, &size))
		return false;
	if (result != 0 && errno == EEXIST && !same_inode(root, name))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_FILE),
						errmsg("file \"%s\" already exists",
							   file_path(root, FILE_FINAL, name))));
	if (result != 0 && errno != EEXIST)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not publish file \"%s\": %m",
							   file_path(root, FILE_FINAL, name)),
						file_space_hint()));

	/* renaming one link of a file to another one of it changes nothing */
	(void) unlinkat(temp, name, 0);
	return true;
}

void
file_put(FileRoot *root, const char *name, const char *data, size_t len,
		 bool replace)
{
	Sink *file = file_new(root, name);

	sink_write(file, data, len);
	sink_finish(file);
	(void) file_publish(root, name, replace);
	file_root_sync(root);
}

bool
file_put_new(FileRoot *root, const char *name, const char *data, size_t len)
{
	Sink *file = file_new(root, name);

	sink_write(file, data, len);
	sink_finish(file);
	if (rename_into_free_name(root, name) == 0)
	{
		file_root_sync(root);
		return true;
	}
	if (errno != EEXIST)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not publish file \"%s\": %m",
							   file_path(root, FILE_FINAL, name)),
						file_space_hint()));
	(void) unlinkat(file_directory(root, FILE_TEMP), name, 0);
	return false;
}

/* What a hard link fails with where only a copy is possible. */
static bool
needs_copy(int error)
{
	return error == EXDEV || error == EPERM || error == EMLINK ||
		   error == EOPNOTSUPP || error == ENOSYS;
}

/*
 * What a carried file is changed to would change the older export's: so one of
 * another mode is copied.
 */
static bool
has_mode(FileRoot *from, const char *name, mode_t mode)
{
	struct stat st;

	return !stat_file(from, FILE_FINAL, name, &st) ||
		   (st.st_mode & 07777) == mode;
}

/* Gives a link the name it was made for, if it is one of a regular file. */
static bool
adopt_link(FileRoot *root, const char *attempt, const char *name)
{
	int			temp = file_directory(root, FILE_TEMP);
	struct stat st;
	int			save_errno;

	if (fstatat(temp, attempt, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISREG(st.st_mode))
	{
		(void) unlinkat(temp, attempt, 0);
		return false;
	}
	if (renameat(temp, attempt, temp, name) != 0)
	{
		save_errno = errno;
		(void) unlinkat(temp, attempt, 0);
		errno = save_errno;
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not rename file \"%s\" to \"%s\": %m",
							   attempt, file_path(root, FILE_TEMP, name))));
	}
	/* still there if an earlier attempt had linked the same file */
	(void) unlinkat(temp, attempt, 0);
	file_sync_directory(temp, root->path);
	return true;
}

bool
file_carry(FileRoot *root, const char *name, FileRoot *from,
		   const char *from_name)
{
	char *attempt = file_attempt_name(name);
	Sink *copy;

	file_check_name(name);
	file_check_name(from_name);
	if (!has_mode(from, from_name, root->file_mode))
		errno = EPERM; /* to link it as it is */
	else if (linkat(file_directory(from, FILE_FINAL), from_name,
					file_directory(root, FILE_TEMP), attempt, 0) == 0)
		return adopt_link(root, attempt, name);
	if (errno == ENOENT)
		return false;
	if (!needs_copy(errno))
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not link file \"%s\" to \"%s\": %m",
							   file_path(from, FILE_FINAL, from_name),
							   file_path(root, FILE_TEMP, name)),
						file_space_hint()));

	copy = file_new(root, name);
	if (file_read(from, FILE_FINAL, from_name, copy))
		return true;
	sink_cleanup(copy);
	return false;
}

/* Says what failed, or where *error is wanted, only why. */
static void
read_failed(FileRoot *root, FilePlace place, const char *name,
			const char *what, int *error)
{
	if (error == NULL)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not %s file \"%s\": %m", what,
							   file_path(root, place, name))));
	*error = errno;
}

/* Closed if there is no such regular file; *size is its size. */
static FileFd *
open_to_read(FileRoot *root, FilePlace place, const char *name, uint64 *size,
			 int *error)
{
	FileFd	   *file;
	struct stat st;

	file_check_name(name);
	/* a FIFO must not stop us before we see what it is */
	file = file_fd_open(file_directory(root, place), name,
						O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (!file_fd_is_open(file))
	{
		if (errno != ENOENT && errno != ELOOP && errno != ENXIO)
			read_failed(root, place, name, "open", error);
		return file;
	}
	memset(&st, 0, sizeof(st));
	if (fstat(file->fd, &st) != 0)
		read_failed(root, place, name, "stat", error);
	if (!S_ISREG(st.st_mode))
		(void) file_fd_close(file);
	*size = st.st_size;
	return file;
}

static ssize_t
read_some(FileFd *file, char *buffer, size_t size)
{
	ssize_t done;

	do
	{
		CHECK_FOR_INTERRUPTS();
		pgstat_report_wait_start(WAIT_EVENT_COPY_FILE_READ);
		done = read(file->fd, buffer, size);
		pgstat_report_wait_end();
	} while (done < 0 && errno == EINTR);
	return done;
}

/* The reader's context also closes the file when a stage throws. */
static bool
read_file(FileRoot *root, FilePlace place, const char *name, Sink *to,
		  int *error)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow file reader", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	uint64		  size;
	FileFd		 *file = open_to_read(root, place, name, &size, error);
	bool		  found = file_fd_is_open(file);
	char		 *buffer = palloc(FILE_READ_SIZE);
	ssize_t		  done = 0;

	MemoryContextSwitchTo(caller);
	if (found)
	{
		(void) posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		while ((done = read_some(file, buffer, FILE_READ_SIZE)) > 0)
			sink_write(to, buffer, done);
		if (done < 0)
			read_failed(root, place, name, "read", error);
		else
			sink_finish(to);
	}
	MemoryContextDelete(context);
	return found && done == 0;
}

bool
file_read(FileRoot *root, FilePlace place, const char *name, Sink *to)
{
	return read_file(root, place, name, to, NULL);
}

bool
file_try_read(FileRoot *root, FilePlace place, const char *name, Sink *to,
			  int *error)
{
	*error = 0;
	return read_file(root, place, name, to, error);
}

char *
file_get(FileRoot *root, FilePlace place, const char *name, size_t max,
		 size_t *len)
{
	uint64	size;
	FileFd *file = open_to_read(root, place, name, &size, NULL);
	char   *path = file_path(root, place, name);
	char   *content;
	size_t	done = 0;
	ssize_t more = 0;

	if (!file_fd_is_open(file))
		return NULL;
	if (size > max)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("file \"%s\" is longer than %zu bytes", path, max)));
	content = MemoryContextAllocHuge(CurrentMemoryContext, size + 1);
	while (done < size &&
		   (more = read_some(file, content + done, size - done)) > 0)
		done += more;
	if (more < 0)
		read_failed(root, place, name, "read", NULL);
	content[done] = '\0';
	(void) file_fd_close(file);
	*len = done;
	return content;
}
