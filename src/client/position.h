/*
 * position.h
 *		The ledger of positions: what was received, what each target has taken,
 *		and what may be confirmed to PostgreSQL.
 *
 * Records are numbered from 1 as they are received.  A mark says that with the
 * records up to now everything before an LSN has been received: the end of a
 * transaction, a message outside of any, or a keepalive between transactions.
 * Targets acknowledge numbers, in any order.  Confirmed is the LSN of the last
 * mark before which every target has every record: never a later one, so that
 * nothing is lost, and never an earlier one, so that WAL isn't held for nothing.
 *
 * Memory: a bit per target for each record that is received and not yet
 * acknowledged, and 24 bytes per open mark; queues bound both.
 */
#ifndef CLIENT_POSITION_H
#define CLIENT_POSITION_H

#include "client/lsn.h"

typedef struct Ledger Ledger;

extern Ledger *ledger_new(int ntargets);
extern void	   ledger_free(Ledger *ledger);

/* One more record; its number. */
extern uint64_t ledger_received(Ledger *ledger);

/*
 * All that ends before the LSN has been received.  One that is not later than
 * the mark before is ignored: keepalives may tell old news.  The time is that
 * of the commit, in microseconds since 1970, for who wants to know the lag.
 */
extern void ledger_mark(Ledger *ledger, Lsn lsn, long long committed_us);

/*
 * The target has these records for good.  Telling it twice is allowed, telling
 * it of what was not received is a bug that ends the program.
 */
extern void ledger_taken(Ledger *ledger, int target, uint64_t first,
						 uint64_t count);

/*
 * What the target has beyond its prefix is sent to it again: it has that only once it
 * has told so again.
 */
extern void ledger_forget_beyond(Ledger *ledger, int target);

/* 0 before there is one. */
extern Lsn ledger_confirmed(const Ledger *ledger);

/* The last mark. */
extern Lsn ledger_received_lsn(const Ledger *ledger);

/* The number of the last record received, and up to which a target has all. */
extern uint64_t ledger_last(const Ledger *ledger);
extern uint64_t ledger_prefix(const Ledger *ledger, int target);

/*
 * Up to which LSN a target has everything, and when the first transaction that
 * it lacks was committed: 0 if it lacks none that has been received as a whole.
 */
extern Lsn		 ledger_delivered_lsn(const Ledger *ledger, int target);
extern long long ledger_lacks_since(const Ledger *ledger, int target);

/* The least of all targets. */
extern uint64_t ledger_common_prefix(const Ledger *ledger);

#endif
