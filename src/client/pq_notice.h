/*
 * pq_notice.h
 *		What a server says besides its answers, in our log.
 */
#ifndef CLIENT_PQ_NOTICE_H
#define CLIENT_PQ_NOTICE_H

#include <libpq-fe.h>

#include "client/log.h"

/* Of one server, over all connections to it. */
typedef struct PqNotices
{
	const char *name; /* whose they are; NULL: the source's */
	LogTexts	texts;
} PqNotices;

/* To be called as soon as there is a connection: servers speak before it is made. */
extern void pq_log_notices(PGconn *conn, PqNotices *notices);

/* A warning is one, and what is for nobody but developers is debug. */
extern LogLevel pq_notice_level(const PGresult *notice);

#endif
