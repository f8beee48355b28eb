/*
 * server_call.h
 *		One statement that may take long, in the event loop, so that it can be
 *		watched and cancelled.
 */
#ifndef CLIENT_SERVER_CALL_H
#define CLIENT_SERVER_CALL_H

#include <libpq-fe.h>
#include <stdbool.h>

typedef struct ServerCall
{
	PGconn *conn;
	void (*before_message)(
		void); /* called before a notice is shown; or NULL */
	int		  fd;
	bool	  ended;
	bool	  ready;   /* there was an event */
	int		  cancels; /* that were sent */
	PGresult *rows;	   /* NULL: it failed */
	char	 *error;   /* with detail and hint; NULL: none */
	char	  sqlstate[6];
	bool	  is_resumable; /* the server's hint says so */
} ServerCall;

/*
 * A connection, of the kind that libpq's parameter replication names (NULL: for
 * SQL).  NULL if there is none, with the reason as a new text.
 */
extern PGconn *server_try(const char *conninfo, const char *replication,
						  char **why);

/* One for SQL; ends the program if there is none. */
extern PGconn *server_connect(const char *conninfo);

/* Begins a statement with parameters as texts.  All of call but conn is zero. */
extern void call_start(ServerCall *call, const char *sql, int count,
					   const char *const *values);

/*
 * Does what can be done now: reads answers, and passes on each signal to stop,
 * the first as a cancel.  At the second the program ends.
 */
extern void call_work(ServerCall *call);

/* Releases all of it, the connection too. */
extern void call_close(ServerCall *call);

#endif
