/*
 * query_rows.c
 *		The rows of a query, cut into parts as they come.
 *
 * The query runs under the settings of its session, and its rows are encoded
 * under the job's.  Changing settings for each row would cost more than most
 * rows, so rows are collected, and a batch of them is encoded at a time.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "executor/executor.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"

#include "encode/encode.h"
#include "export/export_destination.h"
#include "export/part/part_scan.h"
#include "export/part/query_rows.h"
#include "export/plan/part_key.h"
#include "export/plan/plan.h"
#include "export/plan/query.h"

/* A batch ends with the first of these. */
#define BATCH_ROWS	1000
#define BATCH_BYTES (512 * 1024)

/* A part_size of less than 1 MB is for so many parts, as with tables. */
#define SMALL_PART_SIZE (INT64CONST(1) * 1024 * 1024)
#define MAX_SMALL_PARTS 1000
#define MAX_PARTS		10000000

typedef struct QueryExport
{
	DestReceiver	   base;
	const PartContext *context;
	QueryParts		  *parts;
	MemoryContext	   memory; /* lives as long as the export */
	TupleDesc		   desc;
	TupleTableSlot	  *slot; /* a collected row's */
	int64			   rows; /* encoded */
	int64			   bytes;
	MemoryContext	   batch_memory;
	MinimalTuple	   batch[BATCH_ROWS];
	int				   batch_count;
	int64			   batch_bytes;
	MemoryContext	   part_memory; /* the open part's */
	PartScan		  *scan;		/* NULL: none is open */
	PartKey			  *key;			/* NULL: rows may be parted anywhere */
	bool			   reading;		/* the query, and not encoding its rows */
} QueryExport;

static void
check_part_count(const Job *job, int count)
{
	int most = job->part_size < SMALL_PART_SIZE ? MAX_SMALL_PARTS : MAX_PARTS;

	if (count >= most)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("\"part_size\" is too small for the query's "
							   "result"),
						errdetail("It has more than %d parts.", most),
						errhint("Use a larger \"part_size\".")));
}

static QueryPart *
new_query_part(QueryExport *export)
{
	MemoryContext old = MemoryContextSwitchTo(export->memory);
	QueryPart	 *part = palloc0_object(QueryPart);

	part->plan.number = list_length(export->parts->parts);
	part->plan.candidate = -1;
	part->result.snapshot = export->context->snapshot_text;
	export->parts->parts = lappend(export->parts->parts, part);
	MemoryContextSwitchTo(old);
	return part;
}

static void
begin_part(QueryExport *export)
{
	const PartContext *context = export->context;
	QueryPart		  *part;
	PartScan		  *scan;

	check_part_count(context->job, list_length(export->parts->parts));
	destination_check_running(context->job);
	context->root->driver->check_place(context->root);
	part = new_query_part(export);
	scan = palloc0_object(PartScan);
	scan->context = context;
	scan->job = context->job;
	scan->part = &part->plan;
	scan->result = &part->result;
	scan->source = linitial(context->job->sources);
	scan->shape =
		row_shape_of_result(export->desc, QUERY_NAME, CurrentMemoryContext);
	scan->row_context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow export row", ALLOCSET_DEFAULT_SIZES);
	scan->rows_before = export->rows;
	scan->bytes_before = export->bytes;
	part_open_chain(scan);
	part->result.file = MemoryContextStrdup(export->memory, part->result.file);
	if (export->parts->definition == NULL)
		export->parts->definition =
			MemoryContextStrdup(export->memory, plan_describe(scan->shape));
	export->scan = scan;
}

static void
end_part(QueryExport *export)
{
	PartResult *result = export->scan->result;

	result->lsn = GetXLogInsertRecPtr();
	part_close_chain(export->scan);
	export->bytes += (int64) result->plain.bytes;
	export->scan = NULL;
	/* and what an encoder learned for the next one is elsewhere */
	MemoryContextReset(export->part_memory);
	if (export->key)
		part_key_forget(export->key);
}

/* What is written and what waits to be. */
static bool
part_is_full(const PartScan *scan)
{
	return (int64) (scan->result->plain.bytes + scan->out.len) >=
		   scan->job->part_size;
}

/* What belongs to the row that has filled it goes there, too. */
static bool
row_begins_part(QueryExport *export)
{
	return export->scan == NULL ||
		   (part_is_full(export->scan) &&
			!(export->key && part_key_matches(export->key, export->slot)));
}

static void
export_row(QueryExport *export, MinimalTuple tuple)
{
	ItemPointerData place;

	ExecStoreMinimalTuple(tuple, export->slot, false);
	slot_getallattrs(export->slot);
	if (row_begins_part(export))
	{
		if (export->scan)
			end_part(export);
		begin_part(export);
	}
	place_set_number(&place, ++export->rows);
	part_export_row(export->scan, &place, export->slot);
	if (export->key && !part_key_is_kept(export->key) &&
		part_is_full(export->scan))
		part_key_keep(export->key, export->slot);
}

/* last: no more rows come; there is a file even if none came. */
static void
export_batch(QueryExport *export, bool last)
{
	PinnedSettings *pinned = settings_pin_job(export->context->job);
	MemoryContext	old = MemoryContextSwitchTo(export->part_memory);

	export->reading = false;
	for (int i = 0; i < export->batch_count; i++)
		export_row(export, export->batch[i]);
	if (last && export->scan == NULL)
		begin_part(export);
	if (last)
		end_part(export);
	ExecClearTuple(export->slot);
	MemoryContextSwitchTo(old);
	settings_unpin(pinned);
	export->reading = !last;
	MemoryContextReset(export->batch_memory);
	export->batch_count = 0;
	export->batch_bytes = 0;
}

/* ---- the end of the query's plan ---- */

static void
collect_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	QueryExport *export = (QueryExport *) self;
	MemoryContext old = MemoryContextSwitchTo(export->memory);

	export->desc = CreateTupleDescCopy(desc);
	export->slot = MakeSingleTupleTableSlot(export->desc, &TTSOpsMinimalTuple);
	export->key = part_key_new(export->context->job, export->desc);
	MemoryContextSwitchTo(old);
}

static bool
collect_row(TupleTableSlot *slot, DestReceiver *self)
{
	QueryExport *export = (QueryExport *) self;
	MemoryContext old = MemoryContextSwitchTo(export->batch_memory);
	MinimalTuple  tuple = ExecCopySlotMinimalTuple(slot);

	MemoryContextSwitchTo(old);
	export->batch[export->batch_count++] = tuple;
	export->batch_bytes += tuple->t_len;
	if (export->batch_count == BATCH_ROWS ||
		export->batch_bytes >= BATCH_BYTES)
		export_batch(export, false);
	return true;
}

static void
collect_nothing(DestReceiver *self)
{
}

/* Which row the query had an error in: those before it have arrived. */
static void
query_error_context(void *arg)
{
	QueryExport *export = arg;
	int64 arrived = export->rows + export->batch_count;

	if (export->reading && arrived > 0)
		errcontext("query, after row " INT64_FORMAT, arrived);
}

void
query_export(const PartContext *context, QueryParts *parts)
{
	QueryExport *export = palloc0_object(QueryExport);
	ErrorContextCallback errors = {.callback = query_error_context,
								   .arg = export,
								   .previous = error_context_stack};

	export->base.receiveSlot = collect_row;
	export->base.rStartup = collect_startup;
	export->base.rShutdown = collect_nothing;
	export->base.rDestroy = collect_nothing;
	export->base.mydest = DestNone;
	export->context = context;
	export->parts = parts;
	export->memory = CurrentMemoryContext;
	export->batch_memory = AllocSetContextCreate(
		CurrentMemoryContext, "outflow query rows", ALLOCSET_DEFAULT_SIZES);
	export->part_memory = AllocSetContextCreate(
		CurrentMemoryContext, "outflow export part", ALLOCSET_DEFAULT_SIZES);
	part_begin_progress(InvalidOid);
	export->reading = true;
	error_context_stack = &errors;
	query_run(context->job, context->snapshot, &export->base);
	error_context_stack = errors.previous;
	export_batch(export, true);
	pgstat_progress_end_command();
	ExecDropSingleTupleTableSlot(export->slot);
	MemoryContextDelete(export->part_memory);
	MemoryContextDelete(export->batch_memory);
}
