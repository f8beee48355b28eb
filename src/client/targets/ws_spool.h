/*
 * ws_spool.h
 *		The last transactions, in files of a directory, bounded by bytes: what
 *		WebSocket clients read and resume from.
 *
 * A segment is a file SLOT-START.spool, where START is the position before its
 * first transaction.  It holds records, a line each, and after each transaction
 * a line "#LSN CHECKSUM" with its end.  Segments end with a transaction; the oldest go
 * first.  Clients see whole transactions only, so their positions are the same
 * after every restart.
 */
#ifndef CLIENT_WS_SPOOL_H
#define CLIENT_WS_SPOOL_H

#include <sys/types.h>

#include "client/slot_state.h"

/* Where somebody reads: a byte of a segment. */
typedef struct SpoolPlace
{
	uint64_t segment;
	uint64_t offset;
} SpoolPlace;

typedef struct Spool Spool;

/*
 * Opens the directory for one writer and reads back what is in it; the state's
 * position is the head then.  limit: bytes of all segments.
 */
extern Spool *spool_open(const char *directory, uint64_t limit,
						 StateFile *state);

/* A new spool has nothing from before that position; others ignore it. */
extern void spool_begin_at(Spool *spool, Lsn start);

/* Whole lines of the transaction under way, then its end. */
extern void spool_append(Spool *spool, const char *data, size_t length);
extern void spool_end_transaction(Spool *spool, Lsn end);

/* Makes everything up to the head durable. */
extern void spool_sync(Spool *spool);

/*
 * The spool has all transactions that end after oldest and up to head.
 */
extern Lsn spool_oldest(const Spool *spool);
extern Lsn spool_head(const Spool *spool);

/*
 * The place of the first transaction that ends after that position; false if
 * the spool doesn't have all of them.
 */
extern bool spool_find(Spool *spool, Lsn after, SpoolPlace *place);

/* What comes next. */
extern SpoolPlace spool_end(const Spool *spool);

/*
 * The place of the last so many bytes, mostly within a line, or of all; returns
 * the position before its segment.
 */
extern Lsn spool_tail(const Spool *spool, uint64_t bytes, SpoolPlace *place);

/*
 * Reads whole transactions' bytes from there, at most size; 0: there are none
 * yet; -1: the place is gone.  Moves on to the next segment by itself.
 */
extern ssize_t spool_read(Spool *spool, SpoolPlace *place, char *data,
						  size_t size);

extern void spool_close(Spool *spool);

#endif
