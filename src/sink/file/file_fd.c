/*
 * file_fd.c
 *		File descriptors that no error leaks.
 *
 * The server's own virtual descriptors open by path, and a path is what an
 * export must not look up twice.  So these are opened relative to a directory,
 * reported to the server's accounting and tied to a memory context.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "sink/file/file_internal.h"
#include "sink/stage.h"
#include "storage/fd.h"

/* what new files get; directories are made with 0700 */
#define FILE_MODE 0600

static void
file_fd_release(void *argument)
{
	(void) file_fd_close(argument);
}

FileFd *
file_fd_open(int directory, const char *name, int flags)
{
	FileFd *file = palloc0(sizeof(FileFd));
	int		save_errno;

	file->fd = -1;
	sink_guard(file_fd_release, file);
	if (!AcquireExternalFD())
		return file;

	do
		file->fd = openat(directory, name, flags | O_CLOEXEC, FILE_MODE);
	while (file->fd < 0 && errno == EINTR);

	if (file->fd < 0)
	{
		save_errno = errno;
		ReleaseExternalFD();
		errno = save_errno;
	}
	return file;
}

bool
file_fd_is_open(const FileFd *file)
{
	return file != NULL && file->fd >= 0;
}

int
file_fd_close(FileFd *file)
{
	int result;

	if (!file_fd_is_open(file))
		return 0;
	/* closedir() closes the descriptor too */
	result = file->dir ? closedir(file->dir) : close(file->fd);
	file->dir = NULL;
	file->fd = -1;
	ReleaseExternalFD();
	return result;
}

bool
file_fd_read_dir(FileFd *file)
{
	if (!file_fd_is_open(file))
		return false;
	file->dir = fdopendir(file->fd);
	return file->dir != NULL;
}

const char *
file_fd_next_name(FileFd *file)
{
	struct dirent *entry;

	do
	{
		errno = 0;
		entry = readdir(file->dir);
	} while (entry && (strcmp(entry->d_name, ".") == 0 ||
					   strcmp(entry->d_name, "..") == 0));
	return entry ? entry->d_name : NULL;
}

int
file_space_hint(void)
{
	if (errno != ENOSPC && errno != EDQUOT)
		return 0;
	errcode(ERRCODE_DISK_FULL); /* which the server calls ENOSPC only */
	return errhint("Free disk space at the destination.");
}
