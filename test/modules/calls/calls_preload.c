/*
 * calls_preload.c
 *		What the program's first thread asks of the kernel, a line each in the file
 *		that CALLS names:
 *
 *		poll TIMEOUT	before it sleeps
 *		sync			an fdatasync() of the file that CALLS_FILE names
 *		write			a write() to it
 *		read			a pread() of it
 *		feedback LSN	what is sent to PostgreSQL, with the confirmed position
 *
 * So that tests can count and order calls instead of taking times.  With CALLS_STOP the
 * program gets a SIGTERM at the last moment before it starts over.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* from PostgreSQL 16 on modules hide what isn't exported by name */
#pragma GCC visibility push(default)

extern int	   __poll_chk(struct pollfd *fds, nfds_t count, int timeout,
						  size_t size);
extern ssize_t __pread_chk(int fd, void *data, size_t length, off_t offset,
						   size_t size);

typedef int (*PollCall)(struct pollfd *, nfds_t, int);
typedef int (*SyncCall)(int);
typedef ssize_t (*WriteCall)(int, const void *, size_t);
typedef ssize_t (*ReadCall)(int, void *, size_t, off_t);
typedef ssize_t (*SendCall)(int, const void *, size_t, int);
typedef int (*ExecCall)(int, char *const *, char *const *);

static ssize_t
next_write(int fd, const void *data, size_t length)
{
	static WriteCall call;

	if (call == NULL)
		call = (WriteCall) dlsym(RTLD_NEXT, "write");
	return call(fd, data, length);
}

static void
tell(const char *text)
{
	static int fd = -1;
	int		   saved = errno;

	/* only one thread has the process's own number */
	if (getenv("CALLS") == NULL || gettid() != getpid())
		return;
	if (fd < 0)
		fd = open(getenv("CALLS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
				  0600);
	if (fd < 0 || next_write(fd, text, strlen(text)) < 0)
		abort();
	errno = saved;
}

static int
is_watched(int fd)
{
	const char *path = getenv("CALLS_FILE");
	struct stat a;
	struct stat b;
	int			saved = errno;
	int			is = path && stat(path, &a) == 0 && fstat(fd, &b) == 0 &&
			 a.st_dev == b.st_dev && a.st_ino == b.st_ino;

	errno = saved;
	return is;
}

int
poll(struct pollfd *fds, nfds_t count, int timeout)
{
	static PollCall call;
	char			line[64];

	if (call == NULL)
		call = (PollCall) dlsym(RTLD_NEXT, "poll");
	snprintf(line, sizeof(line), "poll %d\n", timeout);
	tell(line);
	return call(fds, count, timeout);
}

/* What a compiler that fortifies calls makes of them. */
int
__poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
	(void) size;
	return poll(fds, count, timeout);
}

int
fdatasync(int fd)
{
	static SyncCall call;

	if (call == NULL)
		call = (SyncCall) dlsym(RTLD_NEXT, "fdatasync");
	if (is_watched(fd))
		tell("sync\n");
	return call(fd);
}

ssize_t
write(int fd, const void *data, size_t length)
{
	if (is_watched(fd))
		tell("write\n");
	return next_write(fd, data, length);
}

ssize_t
pread(int fd, void *data, size_t length, off_t offset)
{
	static ReadCall call;

	if (call == NULL)
		call = (ReadCall) dlsym(RTLD_NEXT, "pread");
	if (is_watched(fd))
		tell("read\n");
	return call(fd, data, length, offset);
}

ssize_t
__pread_chk(int fd, void *data, size_t length, off_t offset, size_t size)
{
	(void) size;
	return pread(fd, data, length, offset);
}

/* CopyData with a standby status update: only without TLS */
ssize_t
send(int fd, const void *data, size_t length, int flags)
{
	static SendCall		 call;
	const unsigned char *bytes = data;
	unsigned long long	 lsn = 0;
	char				 line[64];
	int					 i;

	if (call == NULL)
		call = (SendCall) dlsym(RTLD_NEXT, "send");
	if (length > 21 && bytes[0] == 'd' && bytes[5] == 'r')
	{
		for (i = 14; i < 22; i++)
			lsn = lsn << 8 | bytes[i];
		snprintf(line, sizeof(line), "feedback %016llX\n", lsn);
		tell(line);
	}
	return call(fd, data, length, flags);
}

int
fexecve(int fd, char *const *arguments, char *const *environment)
{
	ExecCall call = (ExecCall) dlsym(RTLD_NEXT, "fexecve");

	if (getenv("CALLS_STOP"))
		raise(SIGTERM);
	return call(fd, arguments, environment);
}
