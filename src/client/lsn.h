/*
 * lsn.h
 *		Positions in the WAL, as the client reads and writes them.
 */
#ifndef CLIENT_LSN_H
#define CLIENT_LSN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* 0 is no position. */
typedef uint64_t Lsn;

#define LSN_FORMAT	  "%X/%X"
#define LSN_ARGS(lsn) (unsigned) ((lsn) >> 32), (unsigned) (lsn)

/* "0/1A2B400"; *end is what follows it.  False if there is none. */
static inline bool
lsn_read(const char *text, Lsn *lsn, const char **end)
{
	unsigned high;
	unsigned low;
	int		 length;

	if (sscanf(text, "%8X/%8X%n", &high, &low, &length) != 2)
		return false;
	*lsn = (uint64_t) high << 32 | low;
	if (end)
		*end = text + length;
	return true;
}

static inline bool
lsn_parse(const char *text, Lsn *lsn)
{
	const char *end;

	return lsn_read(text, lsn, &end) && *end == '\0';
}

#endif
