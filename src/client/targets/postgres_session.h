/*
 * postgres_session.h
 *		A session of the PostgreSQL that changes are applied to: connected, with
 *		settings under which any text means the same as at the source, the only
 *		one that applies this slot, and with the position that it is at.
 *
 * The position is a row of outflow_client.position there.  Whoever applies
 * changes holds an advisory lock of the slot for the session, and moves the
 * position on from the one that it knows, in the transaction of the changes.
 */
#ifndef CLIENT_POSTGRES_SESSION_H
#define CLIENT_POSTGRES_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "client/identity.h"
#include "client/log.h"
#include "client/lsn.h"
#include "client/memory.h"
#include "client/pq_notice.h"
#include "client/pq_place.h"
#include "client/url.h"

typedef enum SessionPhase
{
	SESSION_DOWN,		/* until retry_at */
	SESSION_CONNECTING, /* libpq is at it */
	SESSION_PREPARING,	/* a question is under way */
	SESSION_READY,		/* in pipeline mode */
} SessionPhase;

/* What a command in the pipeline was for; each has one answer. */
typedef enum AnswerKind
{
	ANSWER_NOTHING, /* or it is of no interest */
	ANSWER_CHANGE,	/* one row, by the record of that number */
	ANSWER_COMMAND, /* by that record, of any number of rows */
	ANSWER_POSITION,
	ANSWER_COLUMNS, /* of the table */
	ANSWER_INDEXES,
	ANSWER_COMMIT,
	ANSWER_SYNC, /* all before it is done, or undone */
} AnswerKind;

typedef struct PostgresAnswer
{
	AnswerKind			  kind;
	uint64_t			  number; /* of a record, 0: none */
	struct PostgresTable *table;
} PostgresAnswer;

typedef struct PostgresSession
{
	const char *name; /* of the target, for messages */
	const Url  *url;
	Identity	identity; /* whose changes are applied */
	bool		of_slot;  /* else they have no position: they are replayed */
	bool		is_probe; /* nothing is applied or made, only asked */

	SessionPhase phase;
	PGconn		*conn;
	int			 fd;	/* watched, or -1 */
	bool		 ready; /* there was an event */
	long long	 retry_at;
	unsigned	 attempt;
	uint64_t	 losses; /* counted */
	LogLimit	 limit;
	PqNotices	 notices;
	PqPlaces	 places;
	size_t		 step;
	bool		 has_schema; /* outflow_client */
	bool		 has_table;
	bool		 has_timeline; /* the table, in a column */
	bool		 may_alter;	   /* it is ours, or as good as that */
	bool		 is_taken;	   /* by another session */
	Lsn			 position;	   /* found when it became ready; 0: none */
	uint32_t	 timeline;	   /* and that of it; 0: unknown */

	Bytes  expected; /* of PostgresAnswer: what the pipeline will bring */
	size_t answered; /* of them */
} PostgresSession;

/* Ends the program if libpq can't read the URL. */
extern void postgres_session_open(PostgresSession *session, const Url *url);

/* A step on the way to SESSION_READY, if it isn't there. */
extern void postgres_session_work(PostgresSession *session);

/* The session is of no use: another one, later. */
extern void postgres_session_lost(PostgresSession *session, const char *why);

/* Sends what libpq holds, and watches; false if the session was lost. */
extern bool postgres_session_flush(PostgresSession *session);

extern void postgres_session_close(PostgresSession *session);

/* That answer is to come, to a command that was sent, or else there is no room. */
extern void postgres_expect(PostgresSession *session, int sent,
							PostgresAnswer answer);

/* A command without parameters. */
extern void postgres_send(PostgresSession *session, const char *sql,
						  PostgresAnswer answer);

/* The end of a series of commands, before which an error undoes the rest. */
extern void postgres_send_sync(PostgresSession *session);

/* postgres_start.c: the next question, or false after the last one. */
extern bool postgres_ask(PostgresSession *session, Bytes *question);
extern void postgres_answer(PostgresSession *session, PGresult *result);

/* Was it a question that may fail like that? */
extern bool postgres_goes_on_after(PostgresSession *session,
								   const char	   *sqlstate);

/* What an error means. */
typedef enum PostgresFault
{
	FAULT_PASSES, /* a restart, a deadlock, no room: once more */
	FAULT_RECORD, /* the values are to blame */
	FAULT_STAYS,  /* rights, definitions: somebody must do something */
} PostgresFault;

extern PostgresFault postgres_fault(const char *sqlstate);
extern PostgresFault postgres_fault_of(const PGresult *result);

#endif
