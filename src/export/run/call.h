/*
 * call.h
 *		The transactions of a CALL.
 *
 * It commits the one that it is called in, and begins others.  Those may write
 * whatever the defaults say, which the caller's functions can change meanwhile.
 */
#ifndef OUTFLOW_CALL_H
#define OUTFLOW_CALL_H

/* Connects to SPI, in a procedure that may end transactions. */
extern void call_connect(void);

/*
 * Commits.  The next transaction has the settings that the first one had for
 * itself (SET LOCAL, and so a role).
 */
extern void call_commit(void);

/* The same; the next transaction has a snapshot, as the first one had. */
extern void call_begin_anew(void);

/* The next transaction is for jobs' rows alone: others don't make it fail. */
extern void call_commit_to_record(void);
extern void call_rollback_to_record(void);

#endif /* OUTFLOW_CALL_H */
