/*
 * ws_spool_read.c
 *		Where in the spool somebody reads, and what is there.
 */
#include "client/targets/ws_spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/disk.h"
#include "client/memory.h"
#include "client/targets/ws_spool_internal.h"

#define SCAN_BYTES (64 * 1024)

void
spool_failed(const Spool *spool, const char *what)
{
	client_exit(disk_exit_code(), "could not %s in \"%s\": %s", what,
				spool->directory, strerror(errno));
}

bool
spool_parse_trailer(const char *line, Lsn *end, uint32_t *checksum)
{
	const char *rest;
	int			length;

	return line[0] == '#' && lsn_read(line + 1, end, &rest) &&
		   sscanf(rest, " %8x%n", checksum, &length) == 1 &&
		   rest[length] == '\0';
}

Lsn
spool_oldest(const Spool *spool)
{
	return spool->nsegments ? spool->segments[0].start : spool->head;
}

Lsn
spool_head(const Spool *spool)
{
	return spool->head;
}

SpoolPlace
spool_end(const Spool *spool)
{
	if (spool->nsegments == 0)
		return (SpoolPlace){spool->next_number, 0};
	return (SpoolPlace){spool_last_segment(spool)->number,
						spool_last_segment(spool)->size};
}

static Segment *
find_segment(Spool *spool, uint64_t number)
{
	uint64_t first;

	if (spool->nsegments == 0)
		return NULL;
	first = spool->segments[0].number;
	if (number < first || number - first >= spool->nsegments)
		return NULL;
	return &spool->segments[number - first];
}

/* No search goes a long way that one before has gone. */
static void
add_mark(Segment *segment, SpoolMark mark)
{
	size_t i = segment->nmarks;

	while (i > 0 && segment->marks[i - 1].offset >= mark.offset)
		i--;
	if (i < segment->nmarks && segment->marks[i].offset == mark.offset)
		return;
	segment->marks = client_realloc(segment->marks,
									(segment->nmarks + 1) * sizeof(SpoolMark));
	memmove(&segment->marks[i + 1], &segment->marks[i],
			(segment->nmarks - i) * sizeof(SpoolMark));
	segment->marks[i] = mark;
	segment->nmarks++;
}

/* The last one that is not after the position, or the segment's start. */
static SpoolMark
find_mark(const Segment *segment, Lsn after)
{
	SpoolMark found = {segment->start, segment->start, 0};
	size_t	  i;

	for (i = 0; i < segment->nmarks && segment->marks[i].end <= after; i++)
		found = segment->marks[i];
	return found;
}

/* Looks through trailers for the last one that is not after the position. */
static uint64_t
scan_segment(Spool *spool, Segment *segment, Lsn after)
{
	SpoolMark  at = find_mark(segment, after);
	SpoolPlace place = {segment->number, at.offset};
	uint64_t   marked = at.offset;
	char	  *chunk = client_alloc(SCAN_BYTES);
	char	   line[48];
	size_t	   length = 0; /* of the line so far */
	uint64_t   base = at.offset;
	ssize_t	   n;

	if (after == at.end || after < at.next)
		place.segment++; /* it is there */
	while (place.segment == segment->number &&
		   (n = spool_read(spool, &place, chunk, SCAN_BYTES)) > 0)
	{
		ssize_t i;

		for (i = 0; i < n; i++)
		{
			Lsn		 end;
			uint32_t checksum;

			if (chunk[i] != '\n')
			{
				if (length < sizeof(line) - 1)
					line[length] = chunk[i];
				length++;
				continue;
			}
			line[length < sizeof(line) ? length : sizeof(line) - 1] = '\0';
			if (length < sizeof(line) &&
				spool_parse_trailer(line, &end, &checksum))
			{
				at.next = end;
				if (base + i + 1 - marked >= SCAN_BYTES)
				{
					add_mark(segment, at);
					marked = at.offset;
				}
				if (end > after)
				{
					free(chunk);
					return at.offset;
				}
				at = (SpoolMark){end, end, base + i + 1};
			}
			length = 0;
		}
		base += n;
	}
	free(chunk);
	return at.offset;
}

bool
spool_find(Spool *spool, Lsn after, SpoolPlace *place)
{
	size_t i;

	if (after < spool_oldest(spool) || after > spool->head)
		return false;
	*place = spool_end(spool);
	if (after == spool->head)
		return true;
	for (i = spool->nsegments; i-- > 0;)
		if (spool->segments[i].start <= after)
		{
			*place =
				(SpoolPlace){spool->segments[i].number,
							 scan_segment(spool, &spool->segments[i], after)};
			return true;
		}
	return false;
}

ssize_t
spool_read(Spool *spool, SpoolPlace *place, char *data, size_t size)
{
	for (;;)
	{
		Segment *segment = find_segment(spool, place->segment);
		ssize_t	 n;

		if (segment == NULL)
			return place->segment == spool->next_number ? 0 : -1;
		if (place->offset >= segment->size)
		{
			if (segment == spool_last_segment(spool))
				return 0;
			*place = (SpoolPlace){place->segment + 1, 0};
			continue;
		}
		if (size > segment->size - place->offset)
			size = segment->size - place->offset;
		n = pread(segment->fd, data, size, place->offset);
		if (n <= 0)
			spool_failed(spool, "read a segment");
		place->offset += n;
		return n;
	}
}

Lsn
spool_tail(const Spool *spool, uint64_t bytes, SpoolPlace *place)
{
	const Segment *segment = NULL;
	size_t		   i = spool->nsegments;

	*place = spool_end(spool);
	while (bytes > 0 && i-- > 0)
	{
		uint64_t part;

		segment = &spool->segments[i];
		part = segment->size < bytes ? segment->size : bytes;
		*place = (SpoolPlace){segment->number, segment->size - part};
		bytes -= part;
	}
	return segment ? segment->start : spool->head;
}
