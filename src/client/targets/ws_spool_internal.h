/*
 * ws_spool_internal.h
 *		What the writing and the reading half of the spool share.
 */
#ifndef CLIENT_WS_SPOOL_INTERNAL_H
#define CLIENT_WS_SPOOL_INTERNAL_H

#include "client/targets/ws_spool.h"

/* A transaction that a search has passed: it begins at offset. */
typedef struct SpoolMark
{
	Lsn		 end;  /* of the one before */
	Lsn		 next; /* its own end */
	uint64_t offset;
} SpoolMark;

typedef struct Segment
{
	uint64_t   number; /* counts up within this run */
	Lsn		   start;
	int		   fd;
	uint64_t   size;  /* up to the end of its last whole transaction */
	SpoolMark *marks; /* in order; about one every 64 kB that was searched */
	size_t	   nmarks;
} Segment;

struct Spool
{
	char	  *directory;
	StateFile *state;
	uint64_t   limit;
	Segment	  *segments; /* oldest first; the last one is written */
	size_t	   nsegments;
	uint64_t   next_number;
	uint64_t   bytes; /* of all segments */
	uint64_t written; /* of the transaction under way, after the last's size */
	uint32_t checksum;	  /* of its lines */
	bool	 is_dropping; /* it is too large to be kept */
	Lsn		 head;
};

/* The one that is written; there is one. */
static inline Segment *
spool_last_segment(const Spool *spool)
{
	return &spool->segments[spool->nsegments - 1];
}

/* ---- ws_spool_read.c */

/* Ends the program. */
extern void spool_failed(const Spool *spool, const char *what);

/* The end and the checksum in a line "#LSN CHECKSUM"; false if it is none. */
extern bool spool_parse_trailer(const char *line, Lsn *end,
								uint32_t *checksum);

#endif
