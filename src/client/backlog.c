/*
 * backlog.c
 *		A list of messages, each with the places of its records.
 */
#include "client/backlog.h"

#include <stdlib.h>

#include "client/clock.h"
#include "client/memory.h"

typedef struct Place
{
	uint32_t start;
	uint32_t length;
	uint8_t	 kind;
	bool	 wanted;
	bool	 complete;
	Lsn		 lsn;
} Place;

struct Message
{
	Message *next;
	char	*data;
	size_t	 size;
	void (*release)(void *);
	uint64_t  first; /* number of its first record */
	long long received_at;
	size_t	  nplaces;
	size_t	  allocated;
	Place	 *places;
};

void
backlog_open(Backlog *backlog, char *data, size_t size,
			 void (*release)(void *))
{
	Message *message = client_alloc(sizeof(Message));

	message->data = data;
	message->size = size;
	message->release = release ? release : free;
	message->received_at = clock_ms();
	if (backlog->last)
		backlog->last->next = message;
	else
		backlog->first = message;
	backlog->last = message;
	backlog->bytes += size;
	backlog->messages++;
}

void
backlog_add(Backlog *backlog, const Record *record)
{
	Message *message = backlog->last;

	if (message->nplaces == message->allocated)
	{
		message->allocated = message->allocated ? message->allocated * 2 : 4;
		message->places = client_realloc(message->places,
										 message->allocated * sizeof(Place));
	}
	if (message->nplaces == 0)
		message->first = record->number;
	message->places[message->nplaces++] = (Place){
		.start = record->data - message->data,
		.length = record->length,
		.kind = record->kind,
		.wanted = record->wanted,
		.complete = record->complete,
		.lsn = record->lsn,
	};
}

bool
backlog_peek(const Backlog *backlog, Cursor *cursor, Record *record)
{
	const Place *place;

	if (cursor->message == NULL)
		cursor->message = backlog->first;
	if (cursor->message == NULL)
		return false;
	while (cursor->record == cursor->message->nplaces)
	{
		if (cursor->message->next == NULL)
			return false;
		cursor->message = cursor->message->next;
		cursor->record = 0;
	}
	place = &cursor->message->places[cursor->record];
	*record = (Record){
		.data = cursor->message->data + place->start,
		.length = place->length,
		.kind = place->kind,
		.wanted = place->wanted,
		.complete = place->complete,
		.lsn = place->lsn,
		.number = cursor->message->first + cursor->record,
	};
	return true;
}

void
backlog_advance(Cursor *cursor)
{
	cursor->record++;
}

long long
backlog_waiting_since(const Backlog *backlog, uint64_t number)
{
	const Message *message;

	for (message = backlog->first; message; message = message->next)
		if (message->nplaces > 0 &&
			message->first + message->nplaces - 1 > number)
			return message->received_at;
	return 0;
}

static void
leave_message(Message *message, Cursor **cursors, int ncursors)
{
	int i;

	for (i = 0; i < ncursors; i++)
		if (cursors[i]->message == message)
			*cursors[i] = (Cursor){message->next, 0};
}

void
backlog_release(Backlog *backlog, uint64_t number, Cursor **cursors,
				int ncursors)
{
	while (backlog->first)
	{
		Message *message = backlog->first;

		if (message->nplaces > 0 &&
			message->first + message->nplaces - 1 > number)
			break;
		leave_message(message, cursors, ncursors);
		backlog->first = message->next;
		if (backlog->first == NULL)
			backlog->last = NULL;
		backlog->bytes -= message->size;
		backlog->messages--;
		message->release(message->data);
		free(message->places);
		free(message);
	}
}
