/*
 * ws_reader.c
 *		A client's way through the spool: which records come next.
 */
#ifdef HAVE_WSLAY

#include <string.h>

#include "client/targets/ws_server.h"

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
	{
		memmove(self->lines.data, self->lines.data + used,
				self->lines.length - used);
		self->lines.length -= used;
	}
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

Lsn
ws_reader_seek_end(WsReader *self, Spool *spool)
{
	self->place = spool_end(spool);
	self->position = spool_head(spool);
	self->inside = false;
	mem_reset(&self->lines);
	return self->position;
}

void
ws_reader_free(WsReader *self)
{
	ws_filter_free(&self->filter);
	mem_free(&self->lines);
}

#endif /* HAVE_WSLAY */
