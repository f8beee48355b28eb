/*
 * deliver_stdout.c
 *		stdout: records as lines, for pipes.
 *
 * What write(2) has taken counts as delivered, and a regular file is synced
 * first: whoever reads a pipe must have what it was given.  A pipe that nobody
 * reads is waited for.
 */
#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/disk.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/targets/targets.h"

#define WRITE_AT_ONCE (1024 * 1024)
#define LINGER_MS	  1000 /* between syncs of a regular file */

typedef struct StdoutTarget
{
	Target	  base;
	bool	  is_file;
	bool	  is_full; /* wait until it can be written */
	Stretch	  stretch; /* under way; length 0: none */
	size_t	  written; /* of it */
	uint64_t  last;	   /* written, but not synced */
	long long sync_at;
} StdoutTarget;

static Target *
stdout_open(const Url *url, const Settings *settings)
{
	StdoutTarget *self = client_alloc(sizeof(StdoutTarget));
	struct stat	  status;

	(void) settings;
	if (url->host || url->path)
		client_exit(EXIT_USAGE, "stdout: takes no path");
	if (fstat(STDOUT_FILENO, &status) != 0)
		client_exit(EXIT_TARGET, "stdout is not open: %s", strerror(errno));
	self->is_file = S_ISREG(status.st_mode);
	self->sync_at = NEVER;
	return &self->base;
}

static void
stdout_writable(int fd, short events, void *argument)
{
	StdoutTarget *self = argument;

	(void) events;
	self->is_full = false;
	loop_forget(fd);
}

/* A pipe is shared with others, which may not expect O_NONBLOCK: ask first. */
static bool
can_write(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&out, 1, 0) > 0;
}

/* False if it must be waited for. */
static bool
write_stretch(StdoutTarget *self)
{
	while (self->written < self->stretch.length)
	{
		size_t	left = self->stretch.length - self->written;
		ssize_t n;

		if (!self->is_file && !can_write())
		{
			self->is_full = true;
			loop_watch(STDOUT_FILENO, POLLOUT, stdout_writable, self);
			return false;
		}
		/* a writable pipe takes as much without blocking */
		if (!self->is_file && left > PIPE_BUF)
			left = PIPE_BUF;
		n = write(STDOUT_FILENO, self->stretch.data + self->written, left);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			client_exit(disk_exit_code(), "could not write to stdout: %s",
						strerror(errno));
		if (n > 0)
			self->written += n;
	}
	return true;
}

static void
stretch_written(StdoutTarget *self)
{
	self->base.counts.bytes += self->stretch.length;
	self->base.counts.records += self->stretch.last - self->stretch.first + 1;
	self->last = self->stretch.last;
	if (!self->is_file)
	{
		target_taken(&self->base, self->stretch.first, self->stretch.last);
		self->last = 0;
	}
	else if (self->sync_at == NEVER)
		self->sync_at = clock_ms() + target_linger(&self->base, LINGER_MS);
	self->stretch.length = self->written = 0;
}

static void
stdout_sync(StdoutTarget *self)
{
	if (fdatasync(STDOUT_FILENO) != 0)
		client_exit(disk_exit_code(), "could not sync stdout: %s",
					strerror(errno));
	self->base.counts.requests++;
	target_taken(&self->base, 1, self->last);
	self->last = 0;
	self->sync_at = NEVER;
}

static void
stdout_work(Target *target)
{
	StdoutTarget *self = (StdoutTarget *) target;

	while (!self->is_full)
	{
		if (self->stretch.length == 0 &&
			!target_next_stretch(target, WRITE_AT_ONCE, &self->stretch))
			break;
		if (!write_stretch(self))
			break;
		stretch_written(self);
	}
	if (self->last > 0 && (target->draining || clock_ms() >= self->sync_at))
		stdout_sync(self);
	target->wake_at = self->sync_at;
}

static void
stdout_close(Target *target)
{
	(void) target;
}

static bool
stdout_probe(const Url *url, const Settings *settings, char **why)
{
	(void) url;
	(void) settings;
	(void) why;
	return true;
}

const TargetOps stdout_target = {
	.open = stdout_open,
	.resume = target_resume_nothing,
	.work = stdout_work,
	.remember = target_remember_nothing,
	.close = stdout_close,
	.probe = stdout_probe,
};
