/*
 * remote.h
 *		A connection to another PostgreSQL, which is not trusted.
 *
 * All waits are on the process's latch, so that a cancel ends them.  What is
 * sent and received lies in the connection; results are copied, so that an
 * ERROR leaks none.  The connection ends with the memory context in which it
 * was made, and when what it was doing is given up.
 */
#ifndef OUTFLOW_REMOTE_H
#define OUTFLOW_REMOTE_H

#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "nodes/pg_list.h"

#include "compat.h"

/* What a query of ours can return at most, in bytes. */
#define REMOTE_MAX_ANSWER (64 * 1024 * 1024)

typedef struct Remote
{
	PGconn *conn; /* NULL: not connected */
	Oid		server;
	char   *name;	/* the server's, for messages */
	char *encoding; /* of COPY's text; NULL: this database's, as of all else */
	int	  version;	/* as server_version_num; once connected */
	char *user;		/* whom the remote takes us for */
	char *ledger;	/* the schema that holds what is ours; once connected */
	char *cluster;	/* and database, whose numbers are its own; "": unknown */
	PGresult *result;	/* being read */
	int		  waiting;	/* bytes of the socket's that were left unread */
	int64	  received; /* bytes of the answer, about */
	int64	  expected; /* at most */
	int64	  memory;	/* of the process, before it answered */
	bool	  ready;	/* it was looked at, and may be used */
} Remote;

/* ---- remote_connect.c */

/* Doesn't connect yet. */
extern Remote *remote_new(const ForeignServer *server);
/*
 * Connects, unless there is a connection that waits for a command.  Secrets are
 * read each time; true if the connection is a new one.
 */
extern bool remote_connect(Remote *remote);
/* A transaction, in a connection that is made if there is none. */
extern void remote_begin(Remote *remote);

/* ---- remote_address.c */

struct PostgresConfig;
/* Those of the host that may be connected to, between commas. */
extern char *remote_addresses(const char				  *server,
							  const struct PostgresConfig *config);
/* What comes after that one; NULL for nothing.  The list is used up. */
extern char *remote_addresses_after(char *addresses, const char *address);

/* ---- remote_environment.c */

/* Around calls of libpq's that connect; returns what goes to the other. */
extern char **remote_hide_environment(void);
extern void	  remote_restore_environment(char **all);

/* ---- remote.c */

/* Waits for the socket (WL_SOCKET_READABLE, ...) or the latch. */
extern void remote_wait(Remote *remote, int events);
/*
 * Around each read of the socket: counts what has come since the last one, and
 * gives up a remote that answers without end, for libpq keeps it all; and one
 * that announces a message of more than it should answer at all, for which libpq
 * has made room by now and would read all that comes at once.
 */
extern void remote_before_read(Remote *remote);
extern void remote_after_read(Remote *remote);
/*
 * Runs a command, with text parameters, of which any may be NULL.  An error of
 * the remote's is one here.
 */
extern void remote_run(Remote *remote, const char *command, int count,
					   const char *const *values);
/* The same of one without parameters. */
extern void remote_command(Remote *remote, const char *command);
/*
 * The same of one that creates an object, outside of transactions: one that
 * another connection makes at the same moment is as good.
 */
extern void remote_create(Remote *remote, const char *command);
/* How many rows the last command changed. */
extern uint64 remote_changed(const Remote *remote);
/* What the last command returned; none of our queries asks for nulls. */
extern int	 remote_rows(const Remote *remote);
extern char *remote_value(const Remote *remote, int row, int column);
/* It answers what PostgreSQL would not. */
pg_noreturn extern void remote_distrusted(const Remote *remote);
extern bool remote_is_true(const Remote *remote, int row, int column);

extern void remote_commit(Remote *remote);

extern char *remote_identifier(Remote *remote, const char *name);
/* COPY ... FROM STDIN */
extern void	  remote_copy_begin(Remote *remote, const char *command);
extern void	  remote_copy_data(Remote *remote, const char *data, size_t len);
extern uint64 remote_copy_end(Remote *remote); /* rows */
/* COPY ... TO STDOUT: hands on each message; take must not throw. */
extern void remote_copy_out(Remote *remote, const char *command,
							void (*take)(void *argument, const char *data,
										 size_t len),
							void *argument);

/* ---- remote_error.c */

/* Ends the connection, and with it whatever it was doing; never throws. */
extern void remote_close(void *remote);
/* Text of the remote's as it may be shown: cut, cleaned, in our encoding. */
extern char *remote_clean(const char *text);
/* What the connection says of itself, or of a result. */
pg_noreturn extern void remote_lost(Remote *remote);
pg_noreturn extern void remote_failed(Remote *remote, const PGresult *result);

#endif /* OUTFLOW_REMOTE_H */
