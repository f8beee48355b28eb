/*
 * ws_spool.c
 *		The segments of the spool.
 *
 * The state file remembers the last segment, how much of it is synced, and the
 * position there.  Of what was written after that, whole transactions are kept,
 * as their checksums tell, and the rest is cut off: it comes again from the
 * slot.  A transaction larger than the whole spool isn't kept: clients that need it
 * must fetch the tables anew.
 *
 * Writing and what a crash leaves are here together: each relies on the order in
 * which the other touches the disk.
 */
#include "client/targets/ws_spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "client/disk.h"
#include "client/log.h"
#include "client/memory.h"
#include "client/targets/ws_spool_internal.h"

#define SEGMENTS 16 /* of about that share of the limit */
#define SUFFIX	 ".spool"

static char *
segment_path(const Spool *spool, Lsn start)
{
	return client_format("%s/%s-%016llX" SUFFIX, spool->directory,
						 spool->state->state.identity.slot,
						 (unsigned long long) start);
}

static void
add_segment(Spool *spool, Lsn start, int fd, uint64_t size)
{
	spool->segments = client_realloc(spool->segments,
									 (spool->nsegments + 1) * sizeof(Segment));
	spool->segments[spool->nsegments++] =
		(Segment){spool->next_number++, start, fd, size, NULL, 0};
	spool->bytes += size;
}

static void
remove_segment(Spool *spool, size_t i)
{
	Segment *segment = &spool->segments[i];
	char	*path = segment_path(spool, segment->start);

	if (unlink(path) != 0 && errno != ENOENT)
		spool_failed(spool, "remove a segment");
	close(segment->fd);
	free(segment->marks);
	spool->bytes -= segment->size;
	spool->nsegments--;
	memmove(segment, segment + 1, (spool->nsegments - i) * sizeof(Segment));
	free(path);
}

/* What is remembered before the file exists is never taken for another's. */
static void
remember_segment(Spool *spool)
{
	SlotState *state = &spool->state->state;

	state->position = spool->head;
	state->bytes = spool->nsegments ? spool_last_segment(spool)->size : 0;
	snprintf(state->file, STATE_FILE_NAME, "%016llX",
			 (unsigned long long) (spool->nsegments
									   ? spool_last_segment(spool)->start
									   : spool->head));
	state_write(spool->state);
}

static void
create_segment(Spool *spool)
{
	char *path = segment_path(spool, spool->head);
	int	  fd = open(
		  path, O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		  0600);

	if (fd < 0)
		spool_failed(spool, "create a segment");
	/* of all but the last, every byte is trusted after a crash */
	if (spool->nsegments > 0 && fdatasync(spool_last_segment(spool)->fd) != 0)
		spool_failed(spool, "sync a segment");
	add_segment(spool, spool->head, fd, 0);
	disk_sync_directory(spool->directory);
	remember_segment(spool);
	free(path);
}

/* The start that a name of ours has; false if it is another's file. */
static bool
parse_name(const Spool *spool, const char *name, Lsn *start)
{
	size_t slot = strlen(spool->state->state.identity.slot);
	char  *end;

	if (strncmp(name, spool->state->state.identity.slot, slot) != 0 ||
		name[slot] != '-' || strlen(name) != slot + 17 + strlen(SUFFIX))
		return false;
	*start = strtoull(name + slot + 1, &end, 16);
	return strcmp(end, SUFFIX) == 0;
}

static int
compare_starts(const void *a, const void *b)
{
	Lsn x = *(const Lsn *) a;
	Lsn y = *(const Lsn *) b;

	return x < y ? -1 : x > y;
}

/* Starts of the segments that lie there, in order. */
static Lsn *
list_starts(const Spool *spool, size_t *count)
{
	DIR			  *dir = opendir(spool->directory);
	struct dirent *entry;
	Lsn			  *starts = NULL;
	Lsn			   start;

	if (dir == NULL)
		spool_failed(spool, "list files");
	*count = 0;
	while ((entry = readdir(dir)) != NULL)
		if (parse_name(spool, entry->d_name, &start))
		{
			starts = client_realloc(starts, (*count + 1) * sizeof(Lsn));
			starts[(*count)++] = start;
		}
	closedir(dir);
	if (*count > 0)
		qsort(starts, *count, sizeof(Lsn), compare_starts);
	return starts;
}

/*
 * Transactions that were written after the last sync are there unless the
 * machine crashed, and clients have seen them: those that are whole are kept.
 * Returns where they end.
 */
static uint64_t
find_whole(Spool *spool, int fd, uint64_t offset)
{
	FILE	*file = fdopen(dup(fd), "r");
	char	*line = NULL;
	size_t	 size = 0;
	ssize_t	 length;
	uint64_t whole = offset;
	uint32_t checksum = crc32(0, NULL, 0);

	if (file == NULL || fseeko(file, offset, SEEK_SET) != 0)
		spool_failed(spool, "read a segment");
	while ((length = getline(&line, &size, file)) > 0 &&
		   line[length - 1] == '\n')
	{
		uint32_t expected;
		Lsn		 end;

		offset += length;
		line[length - 1] = '\0';
		if (!spool_parse_trailer(line, &end, &expected))
		{
			line[length - 1] = '\n';
			checksum = crc32(checksum, (const Bytef *) line, length);
			continue;
		}
		if (expected != checksum)
			break;
		checksum = crc32(0, NULL, 0);
		if (end > spool->head)
			spool->head = end;
		whole = offset;
	}
	free(line);
	fclose(file);
	return whole;
}

static void
reopen_segment(Spool *spool, Lsn start, bool is_last)
{
	char	   *path = segment_path(spool, start);
	int			fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) != 0)
		spool_failed(spool, "open a segment");
	if (is_last)
	{
		uint64_t bytes = spool->state->state.bytes;

		if ((uint64_t) status.st_size < bytes)
			client_exit(EXIT_IDENTITY,
						"\"%s\" has lost what was acknowledged: remove the "
						"spool's files, and clients fetch anew",
						path);
		bytes = find_whole(spool, fd, bytes);
		if (ftruncate(fd, bytes) != 0 || fdatasync(fd) != 0)
			spool_failed(spool, "cut a segment");
		status.st_size = bytes;
		/* with the position that goes with it: see spool_open() */
		spool->state->state.bytes = bytes;
	}
	add_segment(spool, start, fd, status.st_size);
	free(path);
}

Spool *
spool_open(const char *directory, uint64_t limit, StateFile *state)
{
	Spool *spool = client_alloc(sizeof(Spool));
	Lsn	   last = strtoull(state->state.file, NULL, 16);
	Lsn	  *starts;
	size_t count;
	size_t i;

	spool->directory = client_strdup(directory);
	spool->limit = limit;
	spool->state = state;
	spool->head = state->state.position;
	starts = list_starts(spool, &count);
	for (i = 0; i < count; i++)
	{
		if (state->state.file[0] && starts[i] <= last)
			reopen_segment(spool, starts[i], starts[i] == last);
		else
		{
			char *path = segment_path(spool, starts[i]);

			/* begun and not remembered: it comes again */
			unlink(path);
			free(path);
		}
	}
	free(starts);
	state->state.position = spool->head;
	/* without the one that was written last there is a gap */
	if (spool->nsegments > 0 && spool_last_segment(spool)->start != last)
		while (spool->nsegments > 0)
			remove_segment(spool, 0);
	return spool;
}

void
spool_begin_at(Spool *spool, Lsn start)
{
	if (spool->head == 0)
		spool->head = start;
}

/* The oldest go, but never the one that is written. */
static void
evict(Spool *spool)
{
	while (spool->nsegments > 1 &&
		   spool->bytes + spool->written > spool->limit)
		remove_segment(spool, 0);
	/* one transaction alone is too large */
	if (spool->written > spool->limit)
	{
		log_message(LOG_WARNING,
					"a transaction is larger than the spool and is not kept: "
					"clients fetch anew");
		spool->is_dropping = true;
		spool->written = 0;
		spool->checksum = crc32(0, NULL, 0);
		if (ftruncate(spool_last_segment(spool)->fd,
					  spool_last_segment(spool)->size) != 0)
			spool_failed(spool, "cut a segment");
	}
}

void
spool_append(Spool *spool, const char *data, size_t length)
{
	if (spool->is_dropping)
		return;
	if (spool->nsegments == 0 ||
		(spool->written == 0 &&
		 spool_last_segment(spool)->size > spool->limit / SEGMENTS))
		create_segment(spool);
	if (!disk_write(spool_last_segment(spool)->fd, data, length))
		spool_failed(spool, "write");
	spool->written += length;
	spool->checksum = crc32(spool->checksum, (const Bytef *) data, length);
	evict(spool);
}

void
spool_end_transaction(Spool *spool, Lsn end)
{
	char trailer[48];

	if (spool->is_dropping)
	{
		/* nobody may believe to have it */
		while (spool->nsegments > 0)
			remove_segment(spool, 0);
		spool->head = end;
		spool->is_dropping = false;
		create_segment(spool);
		return;
	}
	snprintf(trailer, sizeof(trailer), "#" LSN_FORMAT " %08x\n", LSN_ARGS(end),
			 (unsigned) spool->checksum);
	spool_append(spool, trailer, strlen(trailer));
	if (spool->is_dropping)
	{
		spool_end_transaction(spool, end);
		return;
	}
	spool_last_segment(spool)->size += spool->written;
	spool->bytes += spool->written;
	spool->written = 0;
	spool->checksum = crc32(0, NULL, 0);
	spool->head = end;
}

void
spool_sync(Spool *spool)
{
	if (spool->nsegments > 0 && fdatasync(spool_last_segment(spool)->fd) != 0)
		spool_failed(spool, "sync a segment");
	remember_segment(spool);
}

void
spool_close(Spool *spool)
{
	while (spool->nsegments > 0)
	{
		close(spool_last_segment(spool)->fd);
		free(spool_last_segment(spool)->marks);
		spool->nsegments--;
	}
	free(spool->segments);
	free(spool->directory);
	free(spool);
}
