/*
 * pq_place.h
 *		Which server a connection is made to, of several that it may be.
 *
 * libpq goes on to a list's next host, and to the next address of one, where it is
 * refused or may not stay.  A place that says nothing it waits for, unless it waits
 * for us too: here each has its time, and a connection is begun anew without those
 * that were silent.
 */
#ifndef CLIENT_PQ_PLACE_H
#define CLIENT_PQ_PLACE_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "client/log.h"
#include "client/memory.h"

/* All zeroes: any may be tried. */
typedef struct PqPlaces
{
	int count;
	Bytes
		hosts; /* those left, as libpq's lists; no data: as the user has them */
	Bytes addresses;
	Bytes ports;
	bool  is_doubled; /* the last one, as libpq takes no list that is empty */
	char *present;	  /* where libpq is */
	long long until;  /* that it may say nothing */
	LogLimit  limit;
} PqPlaces;

/*
 * Begins a connection; key: of an option with this value, of which NULL is none.  It may
 * have failed already.
 */
extern PGconn *pq_start(PqPlaces *places, const char *conninfo,
						const char *application, const char *key,
						const char *value);

/*
 * Until when to wait for where libpq is now: for its connect_timeout, or for so long
 * if it has none.
 */
extern long long pq_patience(PqPlaces *places, PGconn *conn, long long ms);

/*
 * It said nothing: whether there are others, of which pq_start() is then to be called.
 * If not, any may be tried again.
 */
extern bool pq_pass_over(PqPlaces *places, PGconn *conn);

/* There is a connection, or none can be made: the next is another matter. */
extern void pq_forget_places(PqPlaces *places);

/* That it said nothing, as a new text. */
extern char *pq_silence(PGconn *conn);

#endif
