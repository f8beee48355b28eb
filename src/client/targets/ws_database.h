/*
 * ws_database.h
 *		What the page shows of the database: slot, exports, preflight.
 */
#ifndef CLIENT_WS_DATABASE_H
#define CLIENT_WS_DATABASE_H

#include "client/memory.h"

typedef struct WsDatabase WsDatabase;

/* With the rights of the user of the connection string. */
extern WsDatabase *ws_database_new(const char *conninfo, const char *slot);

/*
 * Asks again, if that is due and somebody watches; returns when it will be.
 */
extern long long ws_database_work(WsDatabase *database, bool is_watched);

/* Appends the last answers as further members of an object. */
extern void ws_database_append(const WsDatabase *database, Bytes *json);

extern void ws_database_free(WsDatabase *database);

#endif
