/*
 * backlog.h
 *		The records that were received and that not every target has taken yet,
 *		in memory, bounded by bytes.
 *
 * A message of the server is kept as it came and shared by all targets.  Each
 * target reads along with a cursor of its own; a message is freed once every
 * target has acknowledged all of its records.
 */
#ifndef CLIENT_BACKLOG_H
#define CLIENT_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/frame.h"
#include "client/lsn.h"

/* A record as targets see it; data ends with a newline that length counts. */
typedef struct Record
{
	const char *data;
	size_t		length;
	FrameKind	kind;
	bool		wanted;	  /* else for the position only: not to be delivered */
	bool		complete; /* a transaction ends with it, or it stands alone */
	Lsn			lsn;	  /* of a begin: of the commit; complete: the end */
	uint64_t	number;	  /* in the ledger */
} Record;

typedef struct Message Message;
typedef struct Backlog
{
	Message *first;
	Message *last;
	size_t	 bytes; /* of all messages */
	uint64_t messages;
} Backlog;

/* Where a target stands: what it reads next. */
typedef struct Cursor
{
	Message *message; /* NULL: none has come yet */
	size_t	 record;
} Cursor;

/*
 * A new message of that many bytes, all of them records, which release
 * frees (NULL: free()).  Its records are then told one by one, in order.
 */
extern void backlog_open(Backlog *backlog, char *data, size_t size,
						 void (*release)(void *));
extern void backlog_add(Backlog *backlog, const Record *record);

/* The record at the cursor; false if there is none yet. */
extern bool backlog_peek(const Backlog *backlog, Cursor *cursor,
						 Record *record);
extern void backlog_advance(Cursor *cursor);

/* When the first record after that number was received, of clock_ms(); 0: none. */
extern long long backlog_waiting_since(const Backlog *backlog,
									   uint64_t		  number);

/*
 * Frees messages of which all records up to that number are acknowledged.  The
 * cursors have passed those.
 */
extern void backlog_release(Backlog *backlog, uint64_t number,
							Cursor **cursors, int ncursors);

#endif
