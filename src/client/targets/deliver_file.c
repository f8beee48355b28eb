/*
 * deliver_file.c
 *		file:///directory: records as lines of files that appear whole.
 *
 * A file is written under a hidden name, .SLOT-START.ndjson, and gets its name
 * SLOT-START-END.ndjson when it is large or old enough: START and END are
 * positions, so names sort as transactions do, and a file ends with a
 * transaction.  Readers that pass over hidden files see whole ones only.
 *
 * Exactly once: .SLOT.state says up to which position the directory has
 * everything, and how many bytes of the hidden file belong to that.  After a
 * crash what stands behind them is cut off, and comes again.  The order is
 * always: data synced, then the state, then the acknowledgement.
 *
 * zstd: a sync ends a block, not the frame.  A frame that a crash left open is
 * ended by an empty last block (RFC 8878, 3.1.1.2), and the next one follows.
 *
 * All steps between two crashes are here together: what may be lost is decided
 * by their order.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "client/disk.h"
#include "client/memory.h"
#include "client/targets/targets.h"

#define WRITE_AT_ONCE (1024 * 1024)
#define LINGER_MS	  1000
#define LAST_BLOCK	  "\001\000\000" /* raw, empty, the last one of its frame */

typedef struct FileTarget
{
	Target		base;
	char	   *directory;
	const char *suffix;
	ZSTD_CCtx  *zstd;	/* NULL: not compressed */
	Bytes		output; /* of it */

	int		  fd;					 /* the hidden file; -1: none */
	char	  name[STATE_FILE_NAME]; /* of it, within the directory */
	Lsn		  start;				 /* of it */
	uint64_t  size;					 /* written */
	bool	  at_end;	  /* of a transaction, with the last byte written */
	bool	  open_frame; /* zstd is within a frame */
	bool	  holds_back; /* zstd may have bytes that aren't written yet */
	bool	  whole_open; /* it was so at whole_size */
	long long opened_at;

	uint64_t  last; /* number of the last record written; 0: all synced */
	uint64_t  whole_size; /* bytes of whole transactions */
	Lsn		  whole_lsn;  /* the end of the last of them; 0: nothing new */
	size_t	  unsynced;
	long long sync_at;
} FileTarget;

static char *
path_of(const FileTarget *self, const char *name)
{
	return client_format("%s/%s", self->directory, name);
}

static void
file_failed(const FileTarget *self, const char *what)
{
	client_exit(disk_exit_code(), "could not %s \"%s/%s\": %s", what,
				self->directory, self->name, strerror(errno));
}

static void
open_compression(FileTarget *self, const char *how)
{
	const char *colon = strchr(how, ':');
	size_t		length = colon ? (size_t) (colon - how) : strlen(how);
	char	   *end = NULL;
	long		level = colon ? strtol(colon + 1, &end, 10) : 3;

	self->suffix = ".ndjson";
	if (!colon && strcmp(how, "none") == 0)
		return;
	if (length != 4 || strncmp(how, "zstd", 4) != 0 ||
		(colon && (end == colon + 1 || *end)) || level > ZSTD_maxCLevel() ||
		level < ZSTD_minCLevel())
		client_exit(EXIT_USAGE,
					"--file-compression is none, zstd or zstd:LEVEL, not "
					"\"%s\"",
					how);
	self->suffix = ".ndjson.zst";
	self->zstd = ZSTD_createCCtx();
	if (self->zstd == NULL)
		client_exit(EXIT_FAILED, "out of memory");
	/* no checksum, so that an open frame can be ended without its contents */
	ZSTD_CCtx_setParameter(self->zstd, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(self->zstd, ZSTD_c_checksumFlag, 0);
	mem_reserve(&self->output, ZSTD_CStreamOutSize());
}

static void
check_directory(const Url *url)
{
	struct stat status;

	if (url->host || url->path == NULL || url->path[0] != '/')
		client_exit(EXIT_USAGE, "\"%s\" must be file:///absolute/directory",
					url->display);
	if (stat(url->path, &status) != 0 || !S_ISDIR(status.st_mode))
		client_exit(EXIT_TARGET, "there is no directory \"%s\"", url->path);
}

static Target *
file_open(const Url *url, const Settings *settings)
{
	FileTarget *self = client_alloc(sizeof(FileTarget));
	char	   *path;

	/* before anything is made there */
	if (settings->slot == NULL)
		client_exit(EXIT_USAGE,
					"%s keeps the order of a slot, and replayed records "
					"have none: choose another target",
					url->display);
	check_directory(url);
	self->directory = client_strdup(url->path);
	open_compression(self, settings->file_compression);
	self->fd = -1;
	self->sync_at = NEVER;
	path = client_format("%s/.%s.state", self->directory, settings->slot);
	self->base.state = state_open(path);
	free(path);
	return &self->base;
}

static void
final_name(const FileTarget *self, Lsn end, char *name)
{
	snprintf(name, STATE_FILE_NAME, "%s-%016llX-%016llX%s",
			 self->base.state->state.identity.slot,
			 (unsigned long long) self->start, (unsigned long long) end,
			 self->suffix);
}

/* The hidden name: .SLOT-START.ndjson */
static void
hidden_name(const FileTarget *self, Lsn start, char *name)
{
	snprintf(name, STATE_FILE_NAME, ".%s-%016llX%s",
			 self->base.state->state.identity.slot, (unsigned long long) start,
			 self->suffix);
}

/* A crash may have come between the two names. */
static bool
is_same_file(const char *one, const char *other)
{
	struct stat a;
	struct stat b;
	bool		same = stat(one, &a) == 0 && stat(other, &b) == 0 &&
				a.st_dev == b.st_dev && a.st_ino == b.st_ino;

	errno = EEXIST;
	return same;
}

/* The hidden file gets its name.  Its state says so already. */
static void
give_name(FileTarget *self, Lsn end)
{
	char  name[STATE_FILE_NAME];
	char *from = path_of(self, self->name);
	char *to;

	final_name(self, end, name);
	to = path_of(self, name);
	if (link(from, to) != 0 && (errno != EEXIST || !is_same_file(from, to)))
		file_failed(self, "give its name to file");
	if (unlink(from) != 0)
		file_failed(self, "take its hidden name from file");
	disk_sync_directory(self->directory);
	free(from);
	free(to);
}

/* No file is open, and none is remembered. */
static void
no_file(FileTarget *self)
{
	SlotState *state = &self->base.state->state;

	if (self->fd >= 0)
		close(self->fd);
	self->fd = -1;
	self->size = self->whole_size = 0;
	state->file[0] = '\0';
	state->bytes = 0;
	state->finishing = state->open_frame = false;
	self->whole_open = self->holds_back = false;
}

/* What a crash left behind what is remembered goes; an open frame is ended. */
static void
repair_tail(FileTarget *self)
{
	SlotState  *state = &self->base.state->state;
	struct stat status;

	if (fstat(self->fd, &status) != 0)
		file_failed(self, "look at file");
	if ((uint64_t) status.st_size < state->bytes)
		client_exit(EXIT_IDENTITY,
					"file \"%s/%s\" has %lld bytes, and %llu were "
					"acknowledged: it was cut, or its disk lost them",
					self->directory, self->name, (long long) status.st_size,
					(unsigned long long) state->bytes);
	if (ftruncate(self->fd, state->bytes) != 0)
		file_failed(self, "truncate file");
	if (lseek(self->fd, 0, SEEK_END) < 0)
		file_failed(self, "look at file");
	if ((uint64_t) status.st_size > state->bytes)
		log_message(LOG_INFO, "cut %llu bytes off \"%s\", which come again",
					(unsigned long long) (status.st_size - state->bytes),
					self->name);
	self->size = state->bytes;
	if (state->open_frame)
	{
		if (!disk_write(self->fd, LAST_BLOCK, 3))
			file_failed(self, "write to file");
		self->size += 3;
	}
	if (fdatasync(self->fd) != 0)
		file_failed(self, "sync file");
	state->open_frame = false;
	self->at_end = true;
	state->bytes = self->whole_size = self->size;
	state_write(self->base.state);
}

/* Goes on with the file that the state knows. */
static void
reopen_file(FileTarget *self)
{
	SlotState *state = &self->base.state->state;
	char	  *path = path_of(self, state->file);

	snprintf(self->name, STATE_FILE_NAME, "%s", state->file);
	self->start = strtoull(strrchr(state->file, '-') + 1, NULL, 16);
	self->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (self->fd < 0 && errno == ENOENT && state->finishing)
		no_file(self);
	else if (self->fd < 0 && errno == ENOENT && state->bytes > 0)
		client_exit(EXIT_IDENTITY,
					"file \"%s\" is gone, with changes that were acknowledged",
					path);
	else if (self->fd < 0 && errno == ENOENT)
		no_file(self);
	else if (self->fd < 0)
		file_failed(self, "open file");
	else if (state->finishing)
	{
		give_name(self, state->position);
		no_file(self);
	}
	else
		repair_tail(self);
	free(path);
	self->opened_at = clock_ms();
}

static void
file_resume(Target *target, const Identity *identity)
{
	FileTarget *self = (FileTarget *) target;
	StateFile  *file = target->state;

	file->state.identity = *identity;
	target->position = file->state.position;
	if (file->state.file[0])
	{
		size_t length = strlen(file->state.file);
		size_t suffix = strlen(self->suffix);

		if (strchr(file->state.file, '/'))
			client_exit(EXIT_IDENTITY,
						"\"%s\" names a file outside of its directory",
						file->path);
		if (length < suffix || strrchr(file->state.file, '-') == NULL ||
			strcmp(file->state.file + length - suffix, self->suffix) != 0)
			client_exit(EXIT_USAGE,
						"file \"%s/%s\" was begun with another "
						"--file-compression: go on with that one",
						self->directory, file->state.file);
		reopen_file(self);
	}
}

/* The file is remembered before it exists, so that none is ever forgotten. */
static void
create_file(FileTarget *self)
{
	SlotState *state = &self->base.state->state;
	char	  *path;

	self->start = state->position;
	hidden_name(self, self->start, self->name);
	snprintf(state->file, STATE_FILE_NAME, "%s", self->name);
	state->bytes = 0;
	state->open_frame = false;
	state_write(self->base.state);
	path = path_of(self, self->name);
	self->fd =
		open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (self->fd < 0)
		file_failed(self, "create file");
	disk_sync_directory(self->directory);
	free(path);
	self->size = self->whole_size = 0;
	self->opened_at = clock_ms();
}

/* Hands bytes to the compressor, or asks it for what it holds back. */
static void
write_compressed(FileTarget *self, const char *data, size_t length,
				 ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = {data, length, 0};
	size_t		  left;

	do
	{
		ZSTD_outBuffer out = {self->output.data, self->output.allocated, 0};

		left = ZSTD_compressStream2(self->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			client_exit(EXIT_FAILED, "could not compress: %s",
						ZSTD_getErrorName(left));
		if (out.pos > 0 && !disk_write(self->fd, out.dst, out.pos))
			file_failed(self, "write to file");
		self->size += out.pos;
	} while (how == ZSTD_e_continue ? in.pos < in.size : left > 0);
	self->open_frame = how != ZSTD_e_end;
	self->holds_back = how == ZSTD_e_continue;
}

static void
write_bytes(FileTarget *self, const char *data, size_t length)
{
	if (length == 0)
		return;
	if (self->zstd)
		write_compressed(self, data, length, ZSTD_e_continue);
	else
	{
		if (!disk_write(self->fd, data, length))
			file_failed(self, "write to file");
		self->size += length;
	}
	self->unsynced += length;
}

/* The end of a transaction has been written: a block of zstd's ends there. */
static void
settle_end(FileTarget *self)
{
	if (self->zstd && self->holds_back)
		write_compressed(self, "", 0, ZSTD_e_flush);
	self->whole_size = self->size;
	self->whole_open = self->open_frame;
}

/* Everything written so far is safe, and told. */
static void
file_sync(FileTarget *self)
{
	StateFile *file = self->base.state;
	uint64_t   last = self->last;

	if (last == 0)
		return;
	if (self->fd >= 0 && self->at_end)
		settle_end(self);
	if (self->fd >= 0 && fdatasync(self->fd) != 0)
		file_failed(self, "sync file");
	if (self->whole_lsn != 0)
	{
		file->state.position = self->whole_lsn;
		file->state.bytes = self->whole_size;
		file->state.open_frame = self->whole_open;
		state_write(file);
	}
	self->base.counts.requests++;
	self->last = 0;
	self->whole_lsn = 0;
	self->unsynced = 0;
	self->sync_at = NEVER;
	target_taken(&self->base, 1, last);
}

/* Hands the file over; it ends with a transaction, and all is synced. */
static void
finish_file(FileTarget *self)
{
	StateFile *file = self->base.state;

	if (self->zstd)
	{
		write_compressed(self, "", 0, ZSTD_e_end);
		if (fdatasync(self->fd) != 0)
			file_failed(self, "sync file");
		file->state.bytes = self->size;
		file->state.open_frame = false;
	}
	file->state.finishing = true;
	state_write(file);
	give_name(self, file->state.position);
	no_file(self);
	state_write(file);
}

/*
 * Whether the file holds transactions, all of them whole.  The size alone does
 * not tell: zstd holds back the beginning of the next one.
 */
static bool
is_whole(const FileTarget *self)
{
	return self->fd >= 0 && self->at_end && self->size > 0 &&
		   self->whole_size == self->size;
}

static bool
is_due(const FileTarget *self)
{
	const Settings *settings = self->base.settings;

	return is_whole(self) &&
		   ((settings->file_rotate_bytes > 0 &&
			 self->size >= (uint64_t) settings->file_rotate_bytes) ||
			(settings->file_rotate_ms > 0 &&
			 clock_ms() - self->opened_at >= settings->file_rotate_ms));
}

static void
take_stretch(FileTarget *self, const Stretch *stretch)
{
	size_t rest = stretch->length - stretch->complete;

	if (stretch->length > 0 && self->fd < 0)
		create_file(self);
	write_bytes(self, stretch->data, stretch->complete);
	if (stretch->end != 0)
	{
		self->whole_lsn = stretch->end;
		self->at_end = true;
	}
	if (rest > 0)
	{
		if (self->at_end)
			settle_end(self);
		write_bytes(self, stretch->data + stretch->complete, rest);
		self->at_end = false;
	}
	self->base.counts.records += stretch->last - stretch->first + 1;
	self->base.counts.bytes += stretch->length;
	self->last = stretch->last;
}

static void
file_work(Target *target)
{
	FileTarget *self = (FileTarget *) target;
	size_t		batch = target_batch_bytes(target, 16 * 1024 * 1024);
	bool		has_more = false;
	Stretch		stretch;

	while (target_next_stretch(target, WRITE_AT_ONCE, &stretch))
	{
		take_stretch(self, &stretch);
		if (self->sync_at == NEVER)
			self->sync_at = clock_ms() + target_linger(target, LINGER_MS);
		if (self->unsynced >= batch)
		{
			has_more = target_has_more(target);
			break;
		}
	}
	if (self->last > 0 && (target->draining || self->unsynced >= batch ||
						   clock_ms() >= self->sync_at))
		file_sync(self);
	if (self->last == 0 && is_due(self))
		finish_file(self);
	target->wake_at = self->sync_at;
	/* one that is not whole waits for records, or for its sync, however old */
	if (self->last == 0 && is_whole(self) &&
		target->settings->file_rotate_ms > 0 &&
		self->opened_at + target->settings->file_rotate_ms < target->wake_at)
		target->wake_at = self->opened_at + target->settings->file_rotate_ms;
	/* nothing else would wake us for it */
	if (has_more)
		target->wake_at = 0;
}

static void
file_remember(Target *target, Lsn confirmed)
{
	if (confirmed > target->state->state.confirmed)
		target->state->state.confirmed = confirmed;
	state_write(target->state);
}

static void
file_close(Target *target)
{
	FileTarget *self = (FileTarget *) target;

	file_sync(self);
	/* whoever stopped us wants to read it */
	if (is_whole(self))
		finish_file(self);
	if (self->fd >= 0)
		close(self->fd);
	state_close(target->state);
}

static bool
file_probe(const Url *url, const Settings *settings, char **why)
{
	(void) settings;
	check_directory(url);
	if (access(url->path, W_OK | X_OK) == 0)
		return true;
	*why = client_format("cannot write to directory \"%s\": %s", url->path,
						 strerror(errno));
	return false;
}

const TargetOps file_target = {
	.open = file_open,
	.resume = file_resume,
	.work = file_work,
	.remember = file_remember,
	.close = file_close,
	.probe = file_probe,
};
