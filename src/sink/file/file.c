/*
 * file.c
 *		A destination: one new file of an export, whole and durable or absent.
 *
 * It is written under a name of its own in the temporary directory.  finish
 * makes it durable and renames it to its name there, which replaces what an
 * earlier attempt left.  Whatever ends it before that, an error, a cancel or
 * the end of the process, removes it; only a kill leaves it, for
 * file_temp_sweep().
 *
 * An error of fsync is final: the kernel may have dropped the bytes and
 * forgotten the error, so a second fsync would prove nothing.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/ilist.h"
#include "miscadmin.h"
#include "failpoint.h"
#include "sink/file/file_internal.h"
#include "sink/stage.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/wait_event.h"

/* Small writes are gathered up to this size; larger ones pass uncopied. */
#define FILE_BUFFER_SIZE (256 * 1024)

/* The kernel is asked to begin writing back after so many bytes. */
#define FILE_FLUSH_SIZE (8 * 1024 * 1024)

typedef struct FileSink
{
	Sink	   base;
	FileRoot  *root;
	char	  *name;	/* to get in the end */
	char	  *attempt; /* has until then */
	FileFd	  *file;
	bool	   unfinished; /* is in unfinished_files */
	dlist_node node;
	uint64	   written;
	uint64	   flushed; /* handed to the kernel's write-back */
	size_t	   held;
	char	  *buffer;
} FileSink;

static void file_write(Sink *sink, const char *data, size_t len);
static void file_finish(Sink *sink);
static void file_cleanup(Sink *sink);

static const SinkOps file_ops = {
	.write = file_write,
	.finish = file_finish,
	.cleanup = file_cleanup,
};

/*
 * A process that ends in the middle, as on pg_terminate_backend(), need not
 * reset every memory context: its files are removed from this list.
 */
static dlist_head unfinished_files = DLIST_STATIC_INIT(unfinished_files);
static bool		  exit_is_watched = false;

static void
file_forget(FileSink *self)
{
	if (self->unfinished)
		dlist_delete(&self->node);
	self->unfinished = false;
}

static void
file_release(void *argument)
{
	FileSink *self = argument;

	(void) file_fd_close(self->file);
	if (self->unfinished && file_fd_is_open(self->root->temp))
		(void) unlinkat(self->root->temp->fd, self->attempt, 0);
	file_forget(self);
}

static void
file_release_all(int code, Datum argument)
{
	while (!dlist_is_empty(&unfinished_files))
		file_release(dlist_head_element(FileSink, node, &unfinished_files));
}

static void
file_watch_exit(void)
{
	if (exit_is_watched)
		return;
	on_proc_exit(file_release_all, (Datum) 0);
	exit_is_watched = true;
}

char *
file_attempt_name(const char *name)
{
	static uint32 counter = 0;

	return psprintf(".%d-%u-%s", MyProcPid, ++counter, name);
}

/* Opens a file that nobody has: a killed process may have had our number. */
static void
file_create(FileSink *self)
{
	int directory = file_directory(self->root, FILE_TEMP);

	do
	{
		self->attempt = file_attempt_name(self->name);
		self->file =
			file_fd_create(directory, self->attempt, self->root->file_mode);
	} while (!file_fd_is_open(self->file) && errno == EEXIST);
	if (!file_fd_is_open(self->file))
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not create file \"%s\": %m",
							   file_path(self->root, FILE_TEMP, self->name)),
						file_space_hint()));
	dlist_push_tail(&unfinished_files, &self->node);
	self->unfinished = true;
}

Sink *
file_new(FileRoot *root, const char *name)
{
	FileSink *self = sink_stage_new(sizeof(FileSink), &file_ops, NULL);

	file_check_name(name);
	self->root = root;
	self->name = pstrdup(name);
	self->buffer = palloc(FILE_BUFFER_SIZE);
	sink_guard(file_release, self);
	file_watch_exit();
	file_create(self);
	return &self->base;
}

static void
file_write_out(FileSink *self, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t done;

		FAILPOINT("file-write");
		errno = 0;
		pgstat_report_wait_start(WAIT_EVENT_COPY_FILE_WRITE);
		done = write(self->file->fd, data, Min(len, SINK_SLICE_SIZE));
		pgstat_report_wait_end();
		if (done <= 0 && errno != EINTR)
		{
			/* a file system that takes nothing and gives no reason is full */
			if (errno == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write to file \"%s\": %m",
							file_path(self->root, FILE_TEMP, self->name)),
					 file_space_hint()));
		}
		if (done > 0)
		{
			data += done;
			len -= done;
			self->written += done;
		}
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Lets the disk work while we do, so that little is left for fsync.  Only a
 * hint: its errors are fsync's to report.  The server's own helper for this
 * is not used because it may answer an I/O error with a PANIC, which is right
 * for the server's data and wrong for an export's.
 */
static void
file_begin_write_back(FileSink *self)
{
#ifdef SYNC_FILE_RANGE_WRITE
	if (!enableFsync || self->written - self->flushed < FILE_FLUSH_SIZE)
		return;
	(void) sync_file_range(self->file->fd, self->flushed,
						   self->written - self->flushed,
						   SYNC_FILE_RANGE_WRITE);
	self->flushed = self->written;
#endif
}

static void
file_flush(FileSink *self)
{
	size_t held = self->held;

	self->held = 0;
	file_write_out(self, self->buffer, held);
	file_begin_write_back(self);
}

static void
file_write(Sink *sink, const char *data, size_t len)
{
	FileSink *self = (FileSink *) sink;

	if (len <= FILE_BUFFER_SIZE - self->held)
	{
		memcpy(self->buffer + self->held, data, len);
		self->held += len;
		return;
	}
	file_flush(self);
	if (len >= FILE_BUFFER_SIZE)
	{
		file_write_out(self, data, len);
		file_begin_write_back(self);
		return;
	}
	memcpy(self->buffer, data, len);
	self->held = len;
}

/* Makes the bytes durable, and ends the use of the descriptor. */
static void
file_sync_and_close(FileSink *self)
{
	int result;

	FAILPOINT("file-fsync");
	pgstat_report_wait_start(WAIT_EVENT_COPY_FILE_WRITE);
	result = pg_fsync(self->file->fd);
	pgstat_report_wait_end();
	if (result != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not fsync file \"%s\": %m",
							   file_path(self->root, FILE_TEMP, self->name)),
						file_space_hint()));
	if (file_fd_close(self->file) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not close file \"%s\": %m",
							   file_path(self->root, FILE_TEMP, self->name)),
						file_space_hint()));
}

static void
file_finish(Sink *sink)
{
	FileSink *self = (FileSink *) sink;
	int		  directory = file_directory(self->root, FILE_TEMP);

	if (!file_fd_is_open(self->file))
		elog(ERROR, "file \"%s\" is finished already", self->name);
	file_flush(self);
	file_sync_and_close(self);
	FAILPOINT("file-rename");
	if (renameat(directory, self->attempt, directory, self->name) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not rename file \"%s\" to \"%s\": %m",
							   self->attempt,
							   file_path(self->root, FILE_TEMP, self->name))));
	file_forget(self);
	FAILPOINT("file-directory-fsync");
	file_sync_directory(directory, self->root->path);
}

static void
file_cleanup(Sink *sink)
{
	file_release(sink);
}
