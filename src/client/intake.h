/*
 * intake.h
 *		From messages of the server to records in the queue and marks in the
 *		ledger.
 */
#ifndef CLIENT_INTAKE_H
#define CLIENT_INTAKE_H

#include "client/backlog.h"
#include "client/position.h"

typedef struct Intake
{
	const FrameFormat *format;
	bool			   deliver_framing; /* begin and commit records, too */
	Lsn				   endpos;			/* 0: none */
	Ledger			  *ledger;
	Backlog			  *backlog;

	bool	  in_transaction;
	Lsn		  commit_lsn;	/* of the transaction */
	long long committed_us; /* when that was, or the last one */
	uint64_t  nrecords;		/* of it, those of schemas apart */
	uint64_t  to_skip; /* of it, received before the connection was lost */
	char	 *last_id; /* of the last of those; NULL if it has none */
	bool	  ended;   /* endpos was reached */
	uint64_t  bytes;   /* received */
	uint64_t  transactions;
} Intake;

/*
 * A message of records, of which data becomes the queue's; the byte after the
 * last one is writable.  Release frees it.  The server sent it at that time,
 * which stands for the commit's where the records don't tell.
 */
extern void intake_message(Intake *intake, char *start, char *data,
						   size_t length, Lsn lsn, long long sent_us,
						   void (*release)(void *));

/* The server is at that position and has sent everything before it. */
extern void intake_keepalive(Intake *intake, Lsn lsn, long long sent_us);

/* The rest of a transaction is still to come, again if it was cut off. */
extern bool intake_is_amid(const Intake *intake);

/*
 * The connection was lost.  The next one starts after the last mark: of a
 * transaction that was cut off the beginning will come again, and is skipped.
 */
extern void intake_restart(Intake *intake);

#endif
