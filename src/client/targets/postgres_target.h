/*
 * postgres_target.h
 *		What the files of the target postgresql:// share: what was sent, and what
 *		is waited for.
 */
#ifndef CLIENT_POSTGRES_TARGET_H
#define CLIENT_POSTGRES_TARGET_H

#include "client/targets/postgres_apply.h"
#include "client/targets/targets.h"

typedef enum Await
{
	AWAIT_NOTHING,	  /* records may be sent */
	AWAIT_TABLE,	  /* to know it */
	AWAIT_PROOF,	  /* that all is right, to commit it */
	AWAIT_CHECKPOINT, /* the same, for a savepoint */
	AWAIT_COMMIT,
	AWAIT_FAILURE, /* the end of what an error undoes */
	AWAIT_ROLLBACK,
} Await;

/* A record that is put aside without having been sent. */
typedef struct PostgresUnsent
{
	Cursor		at;
	const char *reason;
} PostgresUnsent;

typedef struct PostgresTarget
{
	Target			base;
	PostgresSession session;
	PostgresApply	apply;
	Await			await;
	bool			is_resumed; /* whose changes these are is known */

	bool	  is_open;	/* a transaction there */
	Place	  start;	/* where it began, or its last checkpoint */
	Lsn		  released; /* of that transaction records were let go; 0 */
	uint64_t  last;		/* record in it */
	size_t	  bytes;	/* since the start */
	uint64_t  records;
	long long commit_at; /* if nothing comes */
	Lsn		  position;	 /* that the row there has */
	Lsn		  reaches;	 /* that it will have */

	uint64_t  failed; /* record of the first error; 0: none */
	char	 *reason;
	bool	  is_undone; /* what was sent with it is rolled back */
	bool	  is_told;	 /* it was rejected */
	uint64_t *rejected;	 /* and others that may come again, in order */
	size_t	  nrejected;

	PostgresUnsent *unsent; /* since the start, not yet among the rejected */
	size_t			nunsent;
} PostgresTarget;

/* Takes what the server has answered, and sends what follows from it. */
extern void postgres_read_answers(PostgresTarget *self);

/* That record can't be applied; the first one counts. */
extern void postgres_failed(PostgresTarget *self, uint64_t number,
							const char *reason);

/*
 * The record at the cursor can't be sent.  If rejected records are put aside,
 * this one will be; else it has failed, and is false.
 */
extern bool postgres_put_aside(PostgresTarget *self, const Record *record,
							   const char *reason);

/* Something failed, and is still to be rolled back. */
extern bool postgres_has_failed(const PostgresTarget *self);

/* What was sent since the start is undone: it is sent again. */
extern void postgres_start_again(PostgresTarget *self);

/* Whether it was rejected, which may end the program: it is passed over. */
extern bool postgres_is_rejected(PostgresTarget *self, const Record *record);

#endif
