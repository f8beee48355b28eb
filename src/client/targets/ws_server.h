/*
 * ws_server.h
 *		The WebSocket server: connections, what they ask for by HTTP, and the
 *		sessions that they become.
 */
#ifndef CLIENT_WS_SERVER_H
#define CLIENT_WS_SERVER_H

#include "client/memory.h"
#include "client/target.h"
#include "client/targets/ws_spool.h"

/* The limits that every client meets; README.md tells them. */
#define WS_MAX_CLIENTS	1000
#define WS_MAX_REQUEST	8192	/* bytes of an HTTP request's head */
#define WS_MAX_MESSAGE	65536	/* bytes that a client may send at once */
#define WS_MAX_RECORD	1048576 /* a longer one is told by its id */
#define WS_FRAME_BYTES	65536	/* of records that go in one message */
#define WS_WINDOW		1048576 /* bytes not acknowledged, unless asked */
#define WS_MAX_WINDOW	16777216
#define WS_MAX_RECENT	1000	/* changes from before, for who is new */
#define WS_RECENT_BYTES 1048576 /* at the spool's end, where they are */
#define WS_HELLO_MS		10000	/* to ask for something */
#define WS_PING_MS		25000
#define WS_SILENT_MS	60000 /* without a sign of life */
#define WS_SLOW_MS		60000 /* without an acknowledgement, when one is due */

/* Close codes of ours. */
#define WS_CLOSE_UNASKED 4001 /* it never subscribed */
#define WS_CLOSE_TOKEN	 4003 /* the wrong token, or none */
#define WS_CLOSE_SLOW	 4008 /* too slow: it may resume */

/* ws_message.c: what goes in a message of records. */
typedef struct WsPattern
{
	char *schema; /* with * and ? */
	char *table;  /* in the same memory */
} WsPattern;

typedef struct WsFilter
{
	WsPattern *patterns; /* none: everything */
	int		   npatterns;
} WsFilter;

extern bool ws_filter_parse(WsFilter *filter, const char *json, size_t length);
extern void ws_filter_free(WsFilter *filter);
extern bool ws_filter_wants(const WsFilter *filter, const char *record,
							size_t length);
extern void ws_append_large(Bytes *out, const char *start, size_t known,
							uint64_t length);

/*
 * ws_reader.c: where a client reads.  next() appends the records of one message,
 * with commas between them; false: the place is gone.  Nothing may have come
 * although there is more, when the client doesn't want it.
 */
typedef struct WsReader
{
	WsFilter   filter;
	SpoolPlace place;
	Bytes	   lines;	 /* read from there, and not taken */
	Lsn		   position; /* all that ends up to here was taken */
	bool	   inside;	 /* a part of a transaction after that, too */
	Bytes	   large;  /* the start of a line that is passed over; or empty */
	uint64_t   length; /* of that line, so far */
} WsReader;

extern bool ws_reader_next(WsReader *reader, Spool *spool, Bytes *records,
						   bool *has_more);

/* After that position, if the spool has all from there; or at its end. */
extern bool ws_reader_seek(WsReader *reader, Spool *spool, Lsn after);
extern void ws_reader_seek_end(WsReader *reader, Spool *spool);

/* Back to so many changes before the end, unless it is there already. */
extern void ws_reader_seek_recent(WsReader *reader, Spool *spool, int count);
extern void ws_reader_free(WsReader *reader);

typedef struct WsServer
{
	Spool	   *spool;
	const char *token;	 /* that clients must know; NULL: none */
	const char *origins; /* allowed besides our own, by commas; or NULL */
	const char *epoch;	 /* SYSTEM:TIMELINE:SLOT */
	const char *slot;
	/* what a client that watches is told */
	void (*status)(void *argument, Bytes *json);
	void *argument;
} WsServer;

/*
 * ws_subscription.c: what a client wants and has acknowledged.  It knows messages,
 * and no socket.
 */
typedef struct WsSubscription
{
	bool	  subscribed;
	bool	  watching; /* is told the status */
	WsReader  reader;
	Lsn		  told; /* position that the client knows */
	uint64_t  window;
	uint64_t  bytes; /* of records, sent */
	uint64_t  acknowledged;
	long long due_at; /* since when an acknowledgement is missing; 0 */
} WsSubscription;

/*
 * Takes a client's message, and appends what it is answered.  Returns 0, or the
 * code to close with, and why.
 */
extern int ws_subscription_take(WsSubscription *self, const WsServer *server,
								const char *text, size_t length, Bytes *reply,
								const char **why);

/* It has been sent as much as it may, which began at some time up to now. */
extern bool ws_subscription_is_full(WsSubscription *self, long long now);

/*
 * Appends the next message of records, if there are any and the position is news.
 * False: the client's place is gone.
 */
extern bool ws_subscription_next(WsSubscription *self, Spool *spool,
								 Bytes *message, bool *has_more);

/* Appends a message without records. */
extern void ws_subscription_beat(WsSubscription *self, Bytes *message);
extern void ws_subscription_free(WsSubscription *self);

/* ws_open.c: the server's token; ends the program if an argument is wrong. */
extern void ws_check_arguments(const Url *url, const Settings *settings,
							   WsServer *server);

/* As many as there are descriptors for, besides those that all else needs. */
extern int ws_most_clients(void);

typedef struct WsSession WsSession;

/*
 * ws_http.c: judges a request's head, which ends with an empty line.  Appends
 * the answer; true if the connection is a WebSocket from now on.
 */
extern bool ws_http_answer(const WsServer *server, const char *head,
						   Bytes *answer);

/* ws_session.c: a new session on that socket; its owner watches the socket. */
extern WsSession *ws_session_new(WsServer *server, int fd);

/* Reads what has come, when the socket can be read. */
extern void ws_session_read(WsSession *session);

/* Sends what is there to be sent, as far as the socket takes it. */
extern void ws_session_work(WsSession *session, long long now);

/* What it waits for: POLLIN, POLLOUT; 0: it has ended. */
extern short ws_session_events(const WsSession *session);

/* It wants to be told the status. */
extern bool ws_session_watches(const WsSession *session);

/* When it must be looked at again. */
extern long long ws_session_wake_at(const WsSession *session);

/* Says goodbye, as far as that is possible at once, and frees it. */
extern void ws_session_free(WsSession *session, int code, const char *reason);

#endif
