/*
 * ws_reader.c
 *		A client's way through the spool: which records come next.
 */
#ifdef HAVE_WSLAY

#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"
#include "client/targets/ws_server.h"

/* Where a client may begin. */
typedef struct Start
{
	SpoolPlace place;
	Lsn		   position; /* that all before it belongs to */
	bool	   inside;	 /* a transaction */
} Start;

/* The last changes that were found, of which the first is where to begin. */
typedef struct Recent
{
	Start *starts; /* a ring */
	int	   count;
	size_t found;
	Start  next;   /* where the next change's begins */
	bool   is_cut; /* the first line is a part of one */
} Recent;

static bool
is_before(SpoolPlace a, SpoolPlace b)
{
	return a.segment != b.segment ? a.segment < b.segment
								  : a.offset < b.offset;
}

/* Until the first line is whole, or known to be too long. */
static bool
fill_lines(WsReader *self, Spool *spool)
{
	while (self->lines.length < WS_FRAME_BYTES ||
		   (self->lines.length < WS_MAX_RECORD &&
			!memchr(self->lines.data, '\n', self->lines.length)))
	{
		char	chunk[16384];
		ssize_t n = spool_read(spool, &self->place, chunk, sizeof(chunk));

		if (n < 0)
			return false;
		if (n == 0)
			break;
		mem_append(&self->lines, chunk, n);
	}
	return true;
}

/* Passes over the rest of a line that is too long; its whole length. */
static uint64_t
skip_line(WsReader *self, Spool *spool, uint64_t length)
{
	char	chunk[16384];
	ssize_t n;

	while ((n = spool_read(spool, &self->place, chunk, sizeof(chunk))) > 0)
	{
		char *newline = memchr(chunk, '\n', n);

		if (newline)
		{
			mem_append(&self->lines, newline + 1, chunk + n - newline - 1);
			return length + (newline - chunk);
		}
		length += n;
	}
	return length;
}

static void
drop_front(Bytes *lines, size_t length)
{
	memmove(lines->data, lines->data + length, lines->length - length);
	lines->length -= length;
}

/* One line into the message. */
static void
take_line(WsReader *self, Bytes *message, const char *line, size_t length)
{
	Lsn			end;
	const char *rest;

	if (*line == '#' && lsn_read(line + 1, &end, &rest))
	{
		self->position = end;
		self->inside = false;
		return;
	}
	self->inside = true;
	if (!ws_filter_wants(&self->filter, line, length))
		return;
	if (message->length > 0)
		mem_add(message, ",");
	mem_append(message, line, length);
}

/* A line without end so far is longer than clients are sent. */
static void
take_large(WsReader *self, Spool *spool, Bytes *records)
{
	Bytes	 start = self->lines;
	uint64_t length;

	self->lines = (Bytes){0};
	length = skip_line(self, spool, start.length);
	self->inside = true;
	if (ws_filter_wants(&self->filter, start.data, start.length))
		ws_append_large(records, start.data, start.length, length);
	mem_free(&start);
}

/* The records of the next message, of about WS_FRAME_BYTES. */
static void
take_lines(WsReader *self, Spool *spool, Bytes *records)
{
	size_t used = 0;
	char  *newline;

	while (records->length < WS_FRAME_BYTES && used < self->lines.length &&
		   (newline = memchr(self->lines.data + used, '\n',
							 self->lines.length - used)) != NULL)
	{
		size_t length = newline - self->lines.data - used;

		take_line(self, records, self->lines.data + used, length);
		used += length + 1;
	}
	if (used == 0)
		take_large(self, spool, records);
	else
		drop_front(&self->lines, used);
}

bool
ws_reader_next(WsReader *self, Spool *spool, Bytes *records, bool *has_more)
{
	*has_more = false;
	if (!fill_lines(self, spool))
		return false;
	if (self->lines.length == 0)
		return true;
	take_lines(self, spool, records);
	*has_more = true;
	return true;
}

bool
ws_reader_seek(WsReader *self, Spool *spool, Lsn after)
{
	if (!spool_find(spool, after, &self->place))
		return false;
	self->position = after;
	self->inside = false;
	mem_reset(&self->lines);
	return true;
}

void
ws_reader_seek_end(WsReader *self, Spool *spool)
{
	self->place = spool_end(spool);
	self->position = spool_head(spool);
	self->inside = false;
	mem_reset(&self->lines);
}

/*
 * A line, and the place behind it.  Changes count, which have an id; with the
 * first of a transaction come the lines before it, such as its "begin".
 */
static void
look_at_line(const WsReader *self, Recent *recent, const char *line,
			 size_t length, SpoolPlace behind)
{
	JsonValue	id;
	Lsn			end;
	const char *rest;

	if (*line == '#' && lsn_read(line + 1, &end, &rest))
		recent->next = (Start){behind, end, false};
	else if (recent->is_cut)
	{
		recent->next = (Start){behind, recent->next.position, true};
		recent->is_cut = false;
	}
	else if (json_find(line, length, "id", &id) &&
			 ws_filter_wants(&self->filter, line, length))
	{
		recent->starts[recent->found++ % recent->count] = recent->next;
		recent->next = (Start){behind, recent->next.position, true};
	}
}

/* Those that are whole; what is left ends at that place. */
static void
look_at_lines(const WsReader *self, Recent *recent, Bytes *lines,
			  SpoolPlace place)
{
	size_t used = 0;
	char  *newline;

	while ((newline = memchr(lines->data + used, '\n',
							 lines->length - used)) != NULL)
	{
		const char *line = lines->data + used;
		SpoolPlace	behind = place;

		used = newline + 1 - lines->data;
		behind.offset -= lines->length - used;
		look_at_line(self, recent, line, newline - line, behind);
	}
	drop_front(lines, used);
}

void
ws_reader_seek_recent(WsReader *self, Spool *spool, int count)
{
	Recent	   recent = {.count = count};
	SpoolPlace place;
	Bytes	   lines = {0};
	char	   chunk[16384];
	ssize_t	   n;
	Start	   start;

	recent.starts = client_alloc(count * sizeof(Start));
	recent.next.position = spool_tail(spool, WS_RECENT_BYTES, &place);
	recent.next.place = place;
	recent.is_cut = place.offset > 0;
	/* no line goes from one segment into the next */
	while ((n = spool_read(spool, &place, chunk, sizeof(chunk))) > 0)
	{
		mem_append(&lines, chunk, n);
		look_at_lines(self, &recent, &lines, place);
	}
	start =
		recent
			.starts[recent.found < (size_t) count ? 0 : recent.found % count];
	if (recent.found > 0 && is_before(start.place, self->place))
	{
		self->place = start.place;
		self->position = start.position;
		self->inside = start.inside;
		mem_reset(&self->lines);
	}
	mem_free(&lines);
	free(recent.starts);
}

void
ws_reader_free(WsReader *self)
{
	ws_filter_free(&self->filter);
	mem_free(&self->lines);
}

#endif /* HAVE_WSLAY */
