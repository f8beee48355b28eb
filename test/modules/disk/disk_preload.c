/*
 * disk_preload.c
 *		write(), pwrite(), pwritev(), posix_fallocate(), fsync(), mkdirat() and
 *		flock() below the directory that DISK_ROOT names.
 *
 * While the file DISK_ROOT.full exists, there is no room for files and new
 * directories whose name holds the text in it.  With a number of bytes after
 * the text ("-" for any name) there is room for so many bytes more, of all
 * files together; what is removed makes no room.  While DISK_ROOT.sync exists, the next fsync() of
 * such a file fails with the error whose number comes first, and DISK_ROOT.sync
 * goes.  While DISK_ROOT.unlocked exists, locks are unknown there.  Each fsync() adds a line, the error's number and the file's name, to
 * DISK_ROOT.log.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_PATH 4096

static const char *
control(const char *suffix)
{
	static char path[MAX_PATH];

	snprintf(path, sizeof(path), "%s.%s", getenv("DISK_ROOT"), suffix);
	return path;
}

/* Whether the descriptor is of a file of the type below the directory. */
static int
is_below(int fd, char *path, mode_t type)
{
	const char *root = getenv("DISK_ROOT");
	char		link[64];
	struct stat st;
	ssize_t		len;

	if (root == NULL)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, MAX_PATH - 1);
	if (len < 0)
		return 0;
	path[len] = '\0';
	return strncmp(path, root, strlen(root)) == 0 &&
		   path[strlen(root)] == '/' && fstat(fd, &st) == 0 &&
		   (st.st_mode & S_IFMT) == type;
}

/* How much of len has room in a file or directory of that name. */
static size_t
room(const char *path, size_t len)
{
	char	  name[256] = "";
	long long bytes = 0;
	long long used = 0;
	FILE	 *file = fopen(control("full"), "r");
	int		  counter;

	if (file == NULL)
		return len;
	if (fscanf(file, "%255s %lld", name, &bytes) < 1)
		name[0] = '\0';
	fclose(file);
	if (strcmp(name, "-") != 0 && strstr(path, name) == NULL)
		return len;

	/* all processes share it */
	counter = open(control("used"), O_RDWR | O_CREAT, 0600);
	if (counter < 0 || flock(counter, LOCK_EX) != 0)
		abort();
	if (pread(counter, &used, sizeof(used), 0) < 0)
		abort();
	if (len > (size_t) (bytes - used))
		len = bytes - used;
	used += len;
	if (pwrite(counter, &used, sizeof(used), 0) != sizeof(used))
		abort();
	close(counter);
	return len;
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

/* Shortens what has no room: the last write into a full disk is a short one. */
static int
has_room(int fd, size_t *len)
{
	char path[MAX_PATH];

	if (*len == 0 || !is_below(fd, path, S_IFREG))
		return 1;
	*len = room(path, *len);
	if (*len == 0)
		errno = ENOSPC;
	return *len > 0;
}

/* the server's flags for modules hide what isn't marked */
#define EXPORTED __attribute__((visibility("default")))

EXPORTED ssize_t
write(int fd, const void *data, size_t len)
{
	static ssize_t (*real)(int, const void *, size_t);

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "write");
	return has_room(fd, &len) ? real(fd, data, len) : -1;
}

EXPORTED ssize_t
pwrite(int fd, const void *data, size_t len, off_t offset)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "pwrite");
	return has_room(fd, &len) ? real(fd, data, len, offset) : -1;
}

/* All or nothing: with these the server makes its tables longer. */
static int
has_room_for_all(int fd, size_t len)
{
	size_t left = len;

	if (has_room(fd, &left) && left == len)
		return 1;
	errno = ENOSPC;
	return 0;
}

EXPORTED ssize_t
pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
	static ssize_t (*real)(int, const struct iovec *, int, off_t);
	size_t len = 0;

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "pwritev");
	for (int i = 0; i < count; i++)
		len += pieces[i].iov_len;
	return has_room_for_all(fd, len) ? real(fd, pieces, count, offset) : -1;
}

EXPORTED int
posix_fallocate(int fd, off_t offset, off_t len)
{
	static int (*real)(int, off_t, off_t);

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "posix_fallocate");
	return has_room_for_all(fd, len) ? real(fd, offset, len) : ENOSPC;
}

EXPORTED int
flock(int fd, int operation)
{
	static int (*real)(int, int);
	char path[MAX_PATH];

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "flock");
	if (is_below(fd, path, S_IFREG) && access(control("unlocked"), F_OK) == 0)
	{
		errno = ENOLCK;
		return -1;
	}
	return real(fd, operation);
}

/* Takes a byte, so that each place where the disk is full can be one of these. */
EXPORTED int
mkdirat(int fd, const char *name, mode_t mode)
{
	static int (*real)(int, const char *, mode_t);
	char path[MAX_PATH + 256];
	char parent[MAX_PATH];

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "mkdirat");
	if (is_below(fd, parent, S_IFDIR))
	{
		snprintf(path, sizeof(path), "%s/%.255s", parent, name);
		if (room(path, 1) == 0)
		{
			errno = ENOSPC;
			return -1;
		}
	}
	return real(fd, name, mode);
}

EXPORTED int
fsync(int fd)
{
	static int (*real)(int);
	char  path[MAX_PATH];
	int	  error;
	FILE *file;

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "fsync");
	if (!is_below(fd, path, S_IFREG))
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
