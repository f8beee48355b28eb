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
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "export/job.h"
#include "failpoint.h"

typedef enum SlotState
{
	SLOT_MISSING,
	SLOT_FOREIGN, /* of another database or plugin */
	SLOT_LOST,	  /* its WAL is gone */
	SLOT_FINE
} SlotState;

static SlotState
slot_state(const char *slot)
{
	Oid		  types[] = {NAMEOID};
	Datum	  values[] = {DirectFunctionCall1(namein, CStringGetDatum(slot))};
	SlotState state = SLOT_MISSING;
	const char *sql =
		"SELECT s.plugin OPERATOR(pg_catalog.=) 'outflow' "
		"AND s.database OPERATOR(pg_catalog.=) pg_catalog.current_database(), "
		"s.wal_status OPERATOR(pg_catalog.=) 'lost' "
		"FROM pg_catalog.pg_replication_slots AS s "
		"WHERE s.slot_name OPERATOR(pg_catalog.=) $1";

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 1) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not look for a replication slot");
	if (SPI_processed > 0)
	{
		char *own =
			SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		char *lost =
			SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);

		if (own == NULL || *own != 't')
			state = SLOT_FOREIGN;
		else if (lost == NULL || *lost == 't')
			state = SLOT_LOST;
		else
			state = SLOT_FINE;
	}
	PopActiveSnapshot();
	SPI_finish();
	return state;
}

static void
report_taken(const char *slot)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("replication slot \"%s\" already exists", slot),
			 errhint("Choose a name that is free: the export makes the slot "
					 "itself.")));
}

void
handover_check(const char *slot)
{
	slot_name_check(slot);
	if (!superuser() && !has_rolreplication(GetUserId()))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to create replication slot "
							   "\"%s\"",
							   slot),
						errdetail("Only roles with the REPLICATION attribute "
								  "may do this.")));
	check_logical_decoding_requirements();
	if (slot_state(slot) != SLOT_MISSING)
		report_taken(slot);
}

bool
handover_holds(const Job *job)
{
	return job->slot == NULL ||
		   (job->slot_ready && slot_state(job->slot) == SLOT_FINE);
}

/* In a transaction that has not written and will not. */
static void
make_slot(const char *slot)
{
	Oid	  types[] = {NAMEOID};
	Datum values[] = {DirectFunctionCall1(namein, CStringGetDatum(slot))};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_execute_with_args(
			"SELECT pg_catalog.pg_create_logical_replication_slot($1, "
			"'outflow')",
			1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not make a replication slot");
	PopActiveSnapshot();
	SPI_finish();
}

/*
 * A transaction whose commit is behind the slot's start in WAL may still be
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
handover_prepare(const Job *job)
{
	SlotState state;

	if (job->slot == NULL)
		return;
	StartTransactionCommand();
	state = slot_state(job->slot);
	if (state == SLOT_FOREIGN || (state != SLOT_MISSING && !job->slot_made))
		report_taken(job->slot);
	if (state == SLOT_LOST)
		ReplicationSlotDrop(job->slot, true);
	CommitTransactionCommand();
	if (state == SLOT_FINE && job->slot_ready)
		return;

	/* known before it is there: no crash leaves a slot that nobody drops */
	StartTransactionCommand();
	job_set_slot(job->id, false);
	CommitTransactionCommand();

	StartTransactionCommand();
	FAILPOINT("slot-named");
	if (state != SLOT_FINE)
		make_slot(job->slot);
	FAILPOINT("slot-made");
	wait_for_older();
	CommitTransactionCommand();

	StartTransactionCommand();
	job_set_slot(job->id, true);
	CommitTransactionCommand();
}

void
handover_forget(const Job *job)
{
	if (job->slot == NULL || !job->slot_made || job->state == JOB_DONE)
		return;
	switch (slot_state(job->slot))
	{
		case SLOT_FINE:
		case SLOT_LOST:
			ReplicationSlotDrop(job->slot, true);
			break;
		case SLOT_MISSING:
		case SLOT_FOREIGN:
			break;
	}
}
