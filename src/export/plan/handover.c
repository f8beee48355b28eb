/*
 * handover.c
 *		slot => name: an export that a stream goes on from, without a gap and
 *		without a duplicate.
 *
 * The slot comes first, then the wait until every transaction that the slot
 * may not show has ended, then the job's snapshot.  So each transaction is
 * visible in the snapshot or in the stream, and the stream's option
 * "after_snapshot" passes over those that are in both.
 *
 * A run that resumes the job moves the snapshot, never the slot.  A slot that
 * was lost is made anew, since the snapshot that follows it is new as well.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "replication/logical.h"
#include "replication/slot.h"
#include "storage/lmgr.h"
#include "storage/spin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"

#include "export/job/job.h"
#include "export/plan/plan.h"
#include "compat.h"
#include "export/job/job_access.h"
#include "failpoint.h"

typedef enum SlotState
{
	SLOT_MISSING,
	SLOT_FOREIGN, /* not known to be the one that the job made */
	SLOT_LOST,	  /* the job's, but its WAL is gone */
	SLOT_FINE
} SlotState;

/*
 * A slot is the job's if it has the position that it was made with: one that
 * is made later begins at a later LSN, and a consumer moves it.  (Peeking may
 * move restart_lsn, up to there.)
 *
 * Slots have no identity, so a copy of it that got its name passes for it: all
 * that the server keeps of a slot is copied.  It streams the same changes from
 * the same position, and only roles that may drop slots can put it there.
 */
static SlotState
slot_state(const Job *job)
{
	const Oid	types[] = {NAMEOID, LSNOID, LSNOID};
	const Datum values[] = {
		DirectFunctionCall1(namein, CStringGetDatum(job->slot)),
		LSNGetDatum(job->slot_restart), LSNGetDatum(job->slot_start)};
	SlotState state = SLOT_MISSING;
	JobAccess access;

	job_access_begin(&access);
	if (job_query("SELECT (s.plugin = 'outflow' "
				  "AND s.database = pg_catalog.current_database() "
				  "AND NOT s.temporary "
				  "AND s.confirmed_flush_lsn = $3 "
				  "AND coalesce(s.restart_lsn, $2) BETWEEN $2 AND $3)::int, "
				  "(coalesce(s.wal_status, 'lost') = 'lost')::int "
				  "FROM pg_catalog.pg_replication_slots AS s "
				  "WHERE s.slot_name = $1",
				  lengthof(types), types, values, NULL) > 0)
	{
		if (!job_field_int(0, 1, 0))
			state = SLOT_FOREIGN;
		else
			state = job_field_int(0, 2, 1) ? SLOT_LOST : SLOT_FINE;
	}
	job_access_end(&access);
	return state;
}

/* The same of a slot that this process holds, and which so can't change. */
static bool
holds_own_slot(const Job *job)
{
	const ReplicationSlotPersistentData *slot = &MyReplicationSlot->data;

	return slot->database == MyDatabaseId &&
		   slot->persistency == RS_PERSISTENT &&
		   strcmp(NameStr(slot->plugin), "outflow") == 0 &&
		   slot->confirmed_flush == job->slot_start &&
		   (slot->restart_lsn == InvalidXLogRecPtr ||
			(slot->restart_lsn >= job->slot_restart &&
			 slot->restart_lsn <= job->slot_start));
}

/*
 * To drop it by its name would be to drop whatever has the name by then.  False
 * if that is not the job's.
 */
static bool
drop_own_slot(const Job *job)
{
	bool is_own;

	replication_slot_acquire(job->slot, true);
	is_own = holds_own_slot(job);
	if (is_own)
	{
		/* a slot that is released as such is dropped */
		SpinLockAcquire(&MyReplicationSlot->mutex);
		MyReplicationSlot->data.persistency = RS_EPHEMERAL;
		SpinLockRelease(&MyReplicationSlot->mutex);
	}
	ReplicationSlotRelease();
	return is_own;
}

static void
report_taken(const Job *job)
{
	bool made = job->slot_start != InvalidXLogRecPtr;

	ereport(
		ERROR,
		(errcode(ERRCODE_DUPLICATE_OBJECT),
		 errmsg("replication slot \"%s\" already exists", job->slot),
		 made
			 ? errdetail("It is not the one that the export made, or has been "
						 "consumed from since.")
			 : 0,
		 made ? errhint("Drop it if nobody needs it: the export then makes a "
						"new one.")
			  : errhint("Choose a name that is free: the export makes the "
						"slot itself.")));
}

/* As the server itself asks for slots. */
static void
handover_check_rights(const char *slot, const char *what)
{
	if (!superuser() && !has_rolreplication(GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to %s replication slot \"%s\"",
						what, slot),
				 errdetail("Only roles with the REPLICATION attribute may do "
						   "this.")));
}

/* When the job begins, all of them may be in use again. */
static void
check_slot_is_free(void)
{
	bool found = false;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
		found |= !ReplicationSlotCtl->replication_slots[i].in_use;
	LWLockRelease(ReplicationSlotControlLock);
	if (!found)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("all replication slots are in use"),
						errhint("Free one or increase "
								"max_replication_slots.")));
}

void
handover_check(const Job *job)
{
	slot_name_check(job->slot);
	handover_check_rights(job->slot, "create");
	check_logical_decoding_requirements();
	if (slot_state(job) != SLOT_MISSING)
		report_taken(job);
	check_slot_is_free();
}

bool
handover_holds(const Job *job)
{
	return job->slot == NULL ||
		   (job->slot_ready && slot_state(job) == SLOT_FINE);
}

/*
 * A temporary one, which a crash takes along, in a transaction that has not
 * written and will not.
 */
static void
make_slot(const char *slot)
{
	Oid	  types[] = {NAMEOID};
	Datum values[] = {DirectFunctionCall1(namein, CStringGetDatum(slot))};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) job_query("SELECT pg_catalog.pg_create_logical_replication_slot("
					 "$1, 'outflow', true)",
					 1, types, values, NULL);
	PopActiveSnapshot();
	SPI_finish();
}

/*
 * Its position is in the job's row before the slot outlives this process, so
 * no crash leaves one that nobody can tell from another's.
 */
static void
keep_slot(Job *job)
{
	replication_slot_acquire(job->slot, false);
	job->slot_start = MyReplicationSlot->data.confirmed_flush;
	job->slot_restart = MyReplicationSlot->data.restart_lsn;

	StartTransactionCommand();
	job_set_slot(job, false);
	CommitTransactionCommand();
	FAILPOINT("slot-named");

	ReplicationSlotPersist();
	ReplicationSlotRelease();
}

/*
 * A transaction whose commit is after the slot's start in WAL may still be
 * invisible, while its backend waits for a standby.  The locks that are waited
 * for show in jobs.waiting_for.
 */
static void
wait_for_older(void)
{
	TransactionId horizon = ReadNextTransactionId();

	for (;;)
	{
		TransactionId oldest;

		CHECK_FOR_INTERRUPTS();
		oldest = GetLatestSnapshot()->xmin;
		if (TransactionIdFollowsOrEquals(oldest, horizon))
			break;
		XactLockTableWait(oldest, NULL, NULL, XLTW_None);
	}
}

void
handover_prepare(Job *job)
{
	SlotState state;

	if (job->slot == NULL)
		return;
	StartTransactionCommand();
	state = slot_state(job);
	if (state == SLOT_FOREIGN)
		report_taken(job);
	if (state == SLOT_LOST)
	{
		handover_check_rights(job->slot, "drop");
		if (!drop_own_slot(job))
			report_taken(job);
	}
	CommitTransactionCommand();
	if (state == SLOT_FINE && job->slot_ready)
		return;

	if (state != SLOT_FINE)
	{
		StartTransactionCommand();
		make_slot(job->slot);
		CommitTransactionCommand();
		keep_slot(job);
	}
	FAILPOINT("slot-made");

	StartTransactionCommand();
	wait_for_older();
	CommitTransactionCommand();

	StartTransactionCommand();
	job_set_slot(job, true);
	CommitTransactionCommand();
}

static void
tell_kept(const Job *job)
{
	ereport(NOTICE,
			(errmsg("replication slot \"%s\" is kept", job->slot),
			 errdetail("It is not the one that the export made, or has "
					   "been consumed from since.")));
}

bool
handover_may_forget(const Job *job)
{
	SlotState state;

	if (job->slot == NULL || job->state == JOB_DONE)
		return false;
	state = slot_state(job);
	if (state == SLOT_FOREIGN && job->slot_start != InvalidXLogRecPtr)
		tell_kept(job);
	if (state == SLOT_MISSING || state == SLOT_FOREIGN)
		return false;
	handover_check_rights(job->slot, "drop");
	return true;
}

void
handover_forget(const Job *job)
{
	/* files were removed meanwhile, which can take long */
	if (!drop_own_slot(job))
		tell_kept(job);
}
