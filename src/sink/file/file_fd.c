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

#include "common/username.h"
#include "sink/file/file_internal.h"
#include "sink/stage.h"
#include "lib/stringinfo.h"
#include "storage/fd.h"

static void
file_fd_release(void *argument)
{
	(void) file_fd_close(argument);
}

/*
 * What is made gets its mode at once: with a mode that is set afterwards, a
 * crash in between would leave another one, and chmod() takes a directory's
 * group from what is made in it.  The server's umask is for its own files and
 * would take away what a user has given.
 */
static int
open_exactly(int directory, const char *name, int flags, mode_t mode)
{
	mode_t servers = umask(0);
	int	   fd = openat(directory, name, flags, mode);
	int	   save_errno = errno;

	(void) umask(servers);
	errno = save_errno;
	return fd;
}

static FileFd *
fd_open(int directory, const char *name, int flags, mode_t mode)
{
	FileFd *file = palloc0(sizeof(FileFd));
	int		save_errno;

	file->fd = -1;
	sink_guard(file_fd_release, file);
	if (!AcquireExternalFD())
		return file;

	do
		file->fd = open_exactly(directory, name, flags | O_CLOEXEC, mode);
	while (file->fd < 0 && errno == EINTR);

	if (file->fd < 0)
	{
		save_errno = errno;
		ReleaseExternalFD();
		errno = save_errno;
	}
	return file;
}

FileFd *
file_fd_open(int directory, const char *name, int flags)
{
	return fd_open(directory, name, flags, FILE_MODE_PRIVATE);
}

FileFd *
file_fd_create(int directory, const char *name, mode_t mode)
{
	return fd_open(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
				   mode);
}

int
file_make_directory(int parent, const char *name, mode_t file_mode)
{
	mode_t servers = umask(0);
	int	   result = mkdirat(parent, name, file_directory_mode(file_mode));
	int	   save_errno = errno;

	(void) umask(servers);
	errno = save_errno;
	return result;
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

/* As one word of a shell, whatever it is. */
static char *
quote_for_shell(const char *word)
{
	StringInfoData quoted;

	initStringInfo(&quoted);
	appendStringInfoChar(&quoted, '\'');
	for (; *word; word++)
	{
		if (*word == '\'')
			appendStringInfoString(&quoted, "'\\'");
		appendStringInfoChar(&quoted, *word);
	}
	appendStringInfoChar(&quoted, '\'');
	return quoted.data;
}

int
file_access_hint(const char *missing)
{
	char	   *problem;
	const char *user;

	if (errno != EACCES && errno != EPERM)
		return file_space_hint();
	if (missing == NULL)
		return errhint("The server's operating system user must be able to "
					   "write there.");
	/* in a container, it may have a number only */
	user = get_user_name(&problem);
	return errhint("The server's operating system user must be able to write "
				   "there: as root, install -d -o %s %s",
				   user ? user : psprintf("%u", (unsigned int) geteuid()),
				   quote_for_shell(missing));
}
