/*
 * job_lock.c
 *		Who runs a job holds its lock until the process ends, however it ends.
 *
 * So a job that its row calls running, and whose lock is free, was
 * interrupted.  The locks are advisory ones of a class of their own, which no
 * SQL function takes; session_lock.h keeps one from ending them.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"

#include "compat.h"
#include "export/job/job.h"
#include "export/job/job_access.h"
#include "session_lock.h"

/* SQL's functions use the classes 1 and 2; the views know this one. */
#define JOB_LOCK_CLASS 28518

/* For the places where exports go; and for this one. */
#define LOCATION_LOCK_CLASS 28519

/* Others look at a lock for a moment only: try again before giving up. */
#define TRIES		   50
#define TRY_PAUSE_USEC 10000

/* Job ids begin with 1. */
#define SUBMISSION 0

/*
 * Either excludes both, and tells others who holds the lock.  A transaction may
 * have the second one for as long as it likes, though nothing runs: only the
 * first one leaves room for LOOK_MODE.
 */
#define RUN_MODE	ExclusiveLock
#define CHANGE_MODE AccessExclusiveLock
#define LOOK_MODE	AccessShareLock

static void
set_tag(LOCKTAG *tag, int64 id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (id >> 32), (uint32) id,
						 JOB_LOCK_CLASS);
}

static bool
try_once(const LOCKTAG *tag, LOCKMODE mode)
{
	if (mode == RUN_MODE)
		return session_lock_try(tag, mode);
	return LockAcquire(tag, mode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

static bool
try_exclusive(int64 id, LOCKMODE mode)
{
	LOCKTAG tag;

	set_tag(&tag, id);
	for (int i = 0; i < TRIES; i++)
	{
		if (try_once(&tag, mode))
			return true;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(TRY_PAUSE_USEC);
	}
	return false;
}

static bool
is_run_by_us(int64 id)
{
	LOCKTAG tag;

	set_tag(&tag, id);
	return session_lock_is_held(&tag);
}

bool
job_lock_hold(int64 id)
{
	return try_exclusive(id, RUN_MODE);
}

void
job_lock_release(int64 id)
{
	LOCKTAG tag;

	set_tag(&tag, id);
	session_lock_release(&tag);
}

void
job_lock_share(int64 id)
{
	LOCKTAG tag;

	set_tag(&tag, id);
	(void) session_lock_acquire(&tag, ShareLock);
}

/* Our own lock, or that of our group, would not stand in the way. */
bool
job_lock_exclude(int64 id)
{
	return !is_run_by_us(id) && try_exclusive(id, CHANGE_MODE);
}

static bool
lock_place(const char *location, size_t len, LOCKMODE mode)
{
	uint64 hash =
		hash_bytes_extended((const unsigned char *) location, (int) len, 0);
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32),
						 (uint32) hash, LOCATION_LOCK_CLASS);
	return LockAcquire(&tag, mode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* What it lies in is shared with others that do, so nobody has all of that. */
static bool
lock_within(const char *location, LOCKMODE mode)
{
	for (const char *slash = strchr(location, '/'); slash;
		 slash = strchr(slash + 1, '/'))
	{
		if (slash[1] != '\0' &&
			!lock_place(location, slash - location, ShareLock))
			return false;
	}
	return lock_place(location, strlen(location), mode);
}

bool
job_lock_location(const char *location)
{
	return lock_within(location, ExclusiveLock);
}

bool
job_share_location(const char *location)
{
	return lock_within(location, ShareLock);
}

/* Until release_look(); false if others have it in a mode that excludes this. */
static bool
try_look(int64 id, LOCKMODE mode)
{
	LOCKTAG tag;

	set_tag(&tag, id);
	return LockAcquire(&tag, mode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
release_look(int64 id, LOCKMODE mode)
{
	LOCKTAG tag;

	set_tag(&tag, id);
	(void) LockRelease(&tag, mode, false);
}

bool
job_is_held(int64 id)
{
	/* who holds a lock could have it once more */
	if (is_run_by_us(id) || !try_look(id, ShareLock))
		return true;
	release_look(id, ShareLock);
	return false;
}

bool
job_is_live(int64 id)
{
	bool held;

	if (!try_look(id, LOOK_MODE))
		return false;
	/* nobody can begin to change it now: who has it runs it */
	held = job_is_held(id);
	release_look(id, LOOK_MODE);
	return held;
}

void
job_lock_submission(void)
{
	LOCKTAG tag;

	set_tag(&tag, SUBMISSION);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/* Whether the job's lock is held in this mode; pid is 0 if by no process. */
static bool
find_holder(int64 id, LOCKMODE mode, int *pid)
{
	LockData *locks = GetLockStatusData();

	*pid = 0;
	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];
		LOCKTAG			  tag;

		set_tag(&tag, id);
		if (memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0 &&
			(lock->holdMask & LOCKBIT_ON(mode)) != 0)
		{
			*pid = lock->pid;
			return true;
		}
	}
	return false;
}

int
job_runner(int64 id)
{
	int pid;

	(void) find_holder(id, RUN_MODE, &pid);
	return pid;
}

bool
job_is_changed(int64 id, int *pid)
{
	return find_holder(id, CHANGE_MODE, pid);
}

bool
job_terminate(int64 id)
{
	int pid = job_runner(id);

	return pid != 0 && kill(pid, SIGTERM) == 0;
}

static const struct
{
	const char *name;
	LOCKMODE	mode;
} tables[] = {{"job", RowExclusiveLock},
			  {"source", AccessShareLock},
			  {"part", RowExclusiveLock}};

static void
set_extension_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, ExtensionRelationId,
					   get_extension_oid("outflow", false), 0);
}

/*
 * DROP EXTENSION asks for the extension before anything else.  If it had to
 * wait for the tables, it would already hold what readers of the views need
 * next, and they what it needs.
 */
static void
lock_extension(void)
{
	LOCKTAG tag;

	set_extension_tag(&tag);
	(void) LockAcquire(&tag, AccessShareLock, true, false);
}

/* The end of a process ends its session's locks only if it aborts something. */
static void
unlock_tables(int code, Datum arg)
{
	if (!IsTransactionOrTransactionBlock())
		LockReleaseAll(DEFAULT_LOCKMETHOD, true);
}

void
job_lock_tables(void)
{
	static bool registered = false;

	if (!registered)
		before_shmem_exit(unlock_tables, (Datum) 0);
	registered = true;
	lock_extension();
	for (int i = 0; i < lengthof(tables); i++)
	{
		LockRelId id = {job_table_oid(tables[i].name), MyDatabaseId};

		LockRelationIdForSession(&id, tables[i].mode);
	}
}

void
job_unlock_tables(void)
{
	LOCKTAG tag;

	for (int i = 0; i < lengthof(tables); i++)
	{
		LockRelId id = {job_table_oid(tables[i].name), MyDatabaseId};

		UnlockRelationIdForSession(&id, tables[i].mode);
	}
	set_extension_tag(&tag);
	(void) LockRelease(&tag, AccessShareLock, true);
}

bool
job_try_lock_tables(void)
{
	for (int i = 0; i < lengthof(tables); i++)
	{
		if (!ConditionalLockRelationOid(job_table_oid(tables[i].name),
										tables[i].mode))
			return false;
	}
	return true;
}

static bool
finds_row(const char *sql, int64 id)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(id);
	JobAccess	access;
	bool		found;

	job_access_begin(&access);
	found = job_query(sql, 1, &type, &value, NULL) > 0;
	job_access_end(&access);
	return found;
}

bool
job_try_lock_row(int64 id)
{
	return job_try_lock_tables() &&
		   finds_row("SELECT FROM outflow.job WHERE job = $1 "
					 "FOR NO KEY UPDATE SKIP LOCKED",
					 id);
}

bool
job_lock_record(int64 id)
{
	for (int i = 0; i < TRIES; i++)
	{
		if (finds_row("SELECT FROM outflow.job WHERE job = $1 "
					  "FOR UPDATE SKIP LOCKED",
					  id))
			return true;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(TRY_PAUSE_USEC);
	}
	return false;
}
