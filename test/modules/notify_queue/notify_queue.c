/*
 * notify_queue.c
 *		Makes the NOTIFY queue look full: the calling session, which LISTENs,
 *		has not read that much yet.
 *
 * For servers whose queue has 8 GB; from 17 on max_notify_queue_pages makes it small.
 * The session has to stay in its transaction until it has called empty_queue(): what it
 * would read has never been written.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

#if PG_VERSION_NUM < 170000

#include "miscadmin.h"
#include "storage/backendid.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(fill_queue);
PG_FUNCTION_INFO_V1(empty_queue);
PGDLLEXPORT Datum fill_queue(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum empty_queue(PG_FUNCTION_ARGS);

/* Of 8 kB, by number; half of them may be in use. */
#define PAGES (32 * 0x10000)

/* As commands/async.c of PostgreSQL 15 and 16 has them. */
typedef struct Position
{
	int page;
	int offset;
} Position;

typedef struct Listener
{
	int32	  pid;
	Oid		  database;
	BackendId next;
	Position  position;
} Listener;

typedef struct Queue
{
	Position	head;
	Position	tail;
	int			stop_page;
	BackendId	first;
	TimestampTz warned;
	Listener	listeners[FLEXIBLE_ARRAY_MEMBER];
} Queue;

static void
set_length(int pages)
{
	bool   found;
	Queue *queue = ShmemInitStruct("Async Queue Control",
								   offsetof(Queue, listeners) +
									   (MaxBackends + 1) * sizeof(Listener),
								   &found);
	Listener *self = &queue->listeners[MyBackendId];

	if (!found || self->pid != MyProcPid)
		elog(ERROR, "this session does not LISTEN");
	LWLockAcquire(NotifyQueueTailLock, LW_EXCLUSIVE);
	LWLockAcquire(NotifyQueueLock, LW_EXCLUSIVE);
	self->position = queue->head;
	self->position.page = (queue->head.page + PAGES - pages) % PAGES;
	queue->tail = self->position;
	queue->stop_page = self->position.page;
	LWLockRelease(NotifyQueueLock);
	LWLockRelease(NotifyQueueTailLock);
}

Datum
fill_queue(PG_FUNCTION_ARGS)
{
	set_length(PAGES / 2 - 1);
	PG_RETURN_VOID();
}

Datum
empty_queue(PG_FUNCTION_ARGS)
{
	set_length(0);
	PG_RETURN_VOID();
}

#endif
