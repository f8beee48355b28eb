/*
 * session_lock.h
 *		Advisory locks that a process keeps over transactions and errors.
 *
 * Of the server's locks only advisory ones of the session outlive an aborted
 * transaction, and pg_advisory_unlock_all(), which any function may call, ends
 * them.  So while code of users runs, the transaction holds them instead, and
 * gives them back to the session at its end, however it ends: others never find
 * them free.
 */
#ifndef OUTFLOW_SESSION_LOCK_H
#define OUTFLOW_SESSION_LOCK_H

#include "storage/lock.h"

/* False if others have it, or this process has it this way already. */
extern bool session_lock_try(const LOCKTAG *tag, LOCKMODE mode);
/* The same, but waits for others. */
extern bool session_lock_acquire(const LOCKTAG *tag, LOCKMODE mode);
extern void session_lock_release(const LOCKTAG *tag);
extern bool session_lock_is_held(const LOCKTAG *tag);

/* Before code of users, in each transaction that runs some. */
extern void session_locks_protect(void);

#endif /* OUTFLOW_SESSION_LOCK_H */
