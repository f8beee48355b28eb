/*
 * session_lock.c
 *		Locks of the session that users' functions can't end.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "session_lock.h"

typedef struct SessionLock
{
	LOCKTAG	 tag;
	LOCKMODE mode;
	bool	 in_transaction; /* which holds it, instead of the session */
} SessionLock;

static List *held_locks;

static SessionLock *
find_lock(const LOCKTAG *tag)
{
	ListCell *cell;

	foreach (cell, held_locks)
	{
		SessionLock *lock = lfirst(cell);

		if (memcmp(&lock->tag, tag, sizeof(LOCKTAG)) == 0)
			return lock;
	}
	return NULL;
}

/* In this transaction, whichever of its subtransactions ends first. */
static LockAcquireResult
transaction_acquire(const SessionLock *lock)
{
	ResourceOwner	  old = CurrentResourceOwner;
	LockAcquireResult result;

	CurrentResourceOwner = TopTransactionResourceOwner;
	result = LockAcquire(&lock->tag, lock->mode, false, true);
	CurrentResourceOwner = old;
	return result;
}

static void
transaction_release(const SessionLock *lock)
{
	ResourceOwner old = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	(void) LockRelease(&lock->tag, lock->mode, false);
	CurrentResourceOwner = old;
}

/* The locks are still held: that the session has them, too, needs nobody. */
static void
give_back(XactEvent event, void *arg)
{
	ListCell *cell;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	foreach (cell, held_locks)
	{
		SessionLock *lock = lfirst(cell);

		if (lock->in_transaction)
			(void) LockAcquire(&lock->tag, lock->mode, true, true);
		lock->in_transaction = false;
	}
}

static bool
acquire(const LOCKTAG *tag, LOCKMODE mode, bool wait)
{
	static bool	  registered = false;
	MemoryContext old;
	SessionLock	 *lock;

	if (find_lock(tag))
		return false;
	if (!registered)
		RegisterXactCallback(give_back, NULL);
	registered = true;
	if (LockAcquire(tag, mode, true, !wait) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	old = MemoryContextSwitchTo(TopMemoryContext);
	lock = palloc0_object(SessionLock);
	lock->tag = *tag;
	lock->mode = mode;
	held_locks = lappend(held_locks, lock);
	MemoryContextSwitchTo(old);
	return true;
}

bool
session_lock_try(const LOCKTAG *tag, LOCKMODE mode)
{
	return acquire(tag, mode, false);
}

bool
session_lock_acquire(const LOCKTAG *tag, LOCKMODE mode)
{
	return acquire(tag, mode, true);
}

void
session_lock_release(const LOCKTAG *tag)
{
	SessionLock *lock = find_lock(tag);

	if (lock == NULL)
		return;
	if (lock->in_transaction)
		transaction_release(lock);
	else
		(void) LockRelease(tag, lock->mode, true);
	held_locks = list_delete_ptr(held_locks, lock);
	pfree(lock);
}

bool
session_lock_is_held(const LOCKTAG *tag)
{
	return find_lock(tag) != NULL;
}

void
session_locks_protect(void)
{
	ListCell *cell;

	foreach (cell, held_locks)
	{
		SessionLock *lock = lfirst(cell);

		if (lock->in_transaction)
			continue;
		if (transaction_acquire(lock) == LOCKACQUIRE_NOT_AVAIL)
			elog(ERROR, "a lock of the session is gone");
		lock->in_transaction = true;
		(void) LockRelease(&lock->tag, lock->mode, true);
	}
}
