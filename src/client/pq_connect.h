/*
 * pq_connect.h
 *		What all our connections to PostgreSQL begin with, and what none can be
 *		made with.
 *
 * A host that vanishes says nothing, and the system would ask after hours: we let
 * it ask soon.  While we wait for an answer, it is missed after a minute; of what
 * was sent and not received the system's own limit tells.  There is no
 * TCP_USER_TIMEOUT, as that also ends connections to a server that is alive and
 * doesn't read, since it waits for a lock.
 *
 * These stand before dbname, so what the user's connection string says is done.
 */
#ifndef CLIENT_PQ_CONNECT_H
#define CLIENT_PQ_CONNECT_H

#include <libpq-fe.h>

#define PQ_PROBE_KEYS                                                         \
	"keepalives_idle", "keepalives_interval", "keepalives_count"
#define PQ_PROBE_VALUES "30", "10", "3"

/*
 * Ends the program if libpq can't read or use a connection string; what: as a
 * message calls it, which shows nothing of it.
 */
extern void pq_check_conninfo(const char *conninfo, const char *what);

/* What it has for a keyword; NULL: nothing. */
extern const char *pq_conninfo_value(const PQconninfoOption *options,
									 const char				*keyword);

/* How many hosts, or addresses of hosts, they list; 0: they leave that to libpq. */
extern int pq_count_places(const PQconninfoOption *options);

#endif
