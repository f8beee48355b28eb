/*
 * disk_preload.c
 *		write(), fsync() and mkdirat() below the directory that DISK_ROOT names.
 *
 * While the file DISK_ROOT.full exists, there is no room for files and new
 * directories whose name holds the text in it.  With a number of bytes behind
 * the text ("-" for any name) there is room for so many bytes more, of all
 * files together; what is removed makes no room.  While DISK_ROOT.sync exists, the next fsync() of
 * such a file fails with the error whose number comes first, and DISK_ROOT.sync
 * goes.  Each fsync() adds a line, the error's number and the file's name, to
 * DISK_ROOT.log.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *
control(const char *suffix)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s.%s", getenv("DISK_ROOT"), suffix);
	return path;
}

/* Whether the descriptor is of a regular file below the directory. */
static int
is_below(int fd, char *path)
{
	const char *root = getenv("DISK_ROOT");
	char		link[64];
	struct stat st;
	ssize_t		len;

	if (root == NULL)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, PATH_MAX - 1);
	if (len < 0)
		return 0;
	path[len] = '\0';
	return strncmp(path, root, strlen(root)) == 0 &&
		   path[strlen(root)] == '/' && fstat(fd, &st) == 0 &&
		   S_ISREG(st.st_mode);
}

static int
is_full(const char *path)
{
	char  name[256] = "";
	FILE *file = fopen(control("full"), "r");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%255s", name) != 1)
		name[0] = '\0';
	fclose(file);
	return strstr(path, name) != NULL;
}

/* The error that fsync() has to give, or 0. */
static int
sync_error(const char *path)
{
	char  name[256] = "";
	int	  error = 0;
	FILE *file = fopen(control("sync"), "r");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%d %255s", &error, name) < 1)
		error = EIO;
	fclose(file);
	if (strstr(path, name) == NULL)
		return 0;
	unlink(control("sync"));
	return error;
}

/* the server's flags for modules hide what isn't marked */
#define EXPORTED __attribute__((visibility("default")))

EXPORTED ssize_t
write(int fd, const void *data, size_t len)
{
	static ssize_t (*real)(int, const void *, size_t);
	char path[PATH_MAX];

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "write");
	if (len > 0 && is_below(fd, path) && is_full(path))
	{
		errno = ENOSPC;
		return -1;
	}
	return real(fd, data, len);
}

EXPORTED int
fsync(int fd)
{
	static int (*real)(int);
	char  path[PATH_MAX];
	int	  error;
	FILE *file;

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "fsync");
	if (!is_below(fd, path))
		return real(fd);
	error = sync_error(path);
	file = fopen(control("log"), "a");
	if (file)
	{
		fprintf(file, "%d %s\n", error, path);
		fclose(file);
	}
	errno = error;
	return error ? -1 : real(fd);
}
