/*
 * ws_reader.c
 *		A client's way through the spool: which records come next.
 */
#ifdef HAVE_WSLAY

#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"
#include "client/targets/ws_server.h"

#define SKIP_AT_ONCE 65536 /* of a line that is too long */

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

/*
 * Passes over the rest of a line that is too long, some at a time, as it may be
 * as large as the spool.  False if the spool has gone on.
 */
static bool
skip_line(WsReader *self, Spool *spool, bool *at_end)
{
	char	chunk[16384];
	size_t	passed = 0;
	ssize_t n = 0;

	*at_end = false;
	while (passed < SKIP_AT_ONCE &&
		   (n = spool_read(spool, &self->place, chunk, sizeof(chunk))) > 0)
	{
		char *newline = memchr(chunk, '\n', n);

		if (newline)
		{
			mem_append(&self->lines, newline + 1, chunk + n - newline - 1);
			self->length += newline - chunk;
			*at_end = true;
			return true;
		}
		self->length += n;
		passed += n;
	}
	return n > 0;
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
begin_large(WsReader *self)
{
	self->large = self->lines;
	self->lines = (Bytes){0};
	self->length = self->large.length;
	self->inside = true;
}

static void
end_large(WsReader *self, Bytes *records)
{
	const Bytes *start = &self->large;

	if (ws_filter_wants(&self->filter, start->data, start->length))
		ws_append_large(records, start->data, start->length, self->length);
	mem_free(&self->large);
}

/* Whatever was read is forgotten. */
static void
reset_lines(WsReader *self)
{
	mem_reset(&self->lines);
	mem_free(&self->large);
}

/* The records of the next message, of about WS_FRAME_BYTES. */
static void
take_lines(WsReader *self, Bytes *records)
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
		begin_large(self);
	else
		drop_front(&self->lines, used);
}

bool
ws_reader_next(WsReader *self, Spool *spool, Bytes *records, bool *has_more)
{
	bool at_end;

	*has_more = false;
	if (self->large.length > 0)
	{
		if (!skip_line(self, spool, &at_end))
			return false;
		if (at_end)
			end_large(self, records);
	}
	else
	{
		if (!fill_lines(self, spool))
			return false;
		if (self->lines.length == 0)
			return true;
		take_lines(self, records);
	}
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
	reset_lines(self);
	return true;
}

void
ws_reader_seek_end(WsReader *self, Spool *spool)
{
	self->place = spool_end(spool);
	self->position = spool_head(spool);
	self->inside = false;
	reset_lines(self);
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
		reset_lines(self);
	}
	mem_free(&lines);
	free(recent.starts);
}

void
ws_reader_free(WsReader *self)
{
	ws_filter_free(&self->filter);
	mem_free(&self->lines);
	mem_free(&self->large);
}

#endif /* HAVE_WSLAY */
