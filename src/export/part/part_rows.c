/*
 * part_rows.c
 *		The rows of a part: from its blocks, or a plan, through the filter and
 *		the encoder into the chain of sinks.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"

#include "encode/mask_value.h"
#include "encoding.h"
#include "export/job/part_table.h"
#include "export/plan/source.h"
#include "export/part/part.h"
#include "export/part/part_scan.h"

/* Bytes that go down the chain at a time. */
#define FLUSH_SIZE (256 * 1024)
/* A buffer that one row made larger than this is given back. */
#define KEEP_SIZE (4 * 1024 * 1024)
/* Formats that hold rows back show progress, too: after so many rows. */
#define PROGRESS_ROWS 1024

void
part_drain_rows(void *arg, ByteBuffer *out)
{
	PartScan *scan = arg;

	sink_write(scan->chain, out->data, out->len);
	buffer_clear(out);
}

void
part_begin_progress(Oid relid)
{
	pgstat_progress_start_command(PROGRESS_COMMAND_COPY, relid);
	pgstat_progress_update_param(PROGRESS_COPY_COMMAND,
								 PROGRESS_COPY_COMMAND_TO);
	pgstat_progress_update_param(PROGRESS_COPY_TYPE, PROGRESS_COPY_TYPE_FILE);
}

static void
show_progress(PartScan *scan)
{
	pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED,
								 scan->bytes_before +
									 (int64) scan->result->plain.bytes);
	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED,
								 scan->rows_before + scan->result->rows);
}

void
part_spend_stored(PartScan *scan)
{
	uint64 bytes = scan->result->stored.bytes;

	throttle_spend(scan->context->throttle, bytes - scan->stored,
				   scan->context->stop);
	scan->stored = bytes;
}

void
part_flush_rows(PartScan *scan)
{
	sink_write(scan->chain, scan->out.data, scan->out.len);
	buffer_reset_to(&scan->out, KEEP_SIZE);
	show_progress(scan);
	part_spend_stored(scan);
}

void
part_open_filter(PartScan *scan)
{
	EState		 *state;
	MemoryContext old;

	if (scan->filter_tree == NULL)
		return;
	state = CreateExecutorState();
	scan->filter_context = GetPerTupleExprContext(state);
	old = MemoryContextSwitchTo(state->es_query_cxt);
	scan->filter =
		ExecInitQual(make_ands_implicit((Expr *) scan->filter_tree), NULL);
	MemoryContextSwitchTo(old);
}

static bool
ask_filter(void *arg)
{
	PartScan *scan = arg;

	return ExecQual(scan->filter, scan->filter_context);
}

static bool
passes_filter(PartScan *scan, TupleTableSlot *slot)
{
	if (scan->filter == NULL)
		return true;
	scan->filter_context->ecxt_scantuple = slot;
	ResetExprContext(scan->filter_context);
	if (likely(!scan->shape->is_secret))
		return ask_filter(scan);
	return mask_hide_reports(scan->shape, NULL, ask_filter, scan);
}

static void
check_stop(PartScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	if (*scan->context->stop)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
						errmsg("export job is stopping")));
}

static void
numbered_row_error_context(PartScan *scan)
{
	uint64 number = place_number(&scan->place);

	if (scan->shape->current)
		encoding_context("column \"%s\" of the query, row " UINT64_FORMAT,
						 scan->shape->current->name, number);
	else
		errcontext("query, row " UINT64_FORMAT, number);
}

/* Puts names around an error of an output function, a format or a filter. */
static void
row_error_context(void *arg)
{
	PartScan	*scan = arg;
	BlockNumber	 block = ItemPointerGetBlockNumberNoCheck(&scan->place);
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(&scan->place);

	if (scan->leaf == NULL)
		numbered_row_error_context(scan);
	else if (scan->shape->current)
		encoding_context("column \"%s\" of table %s, row with ctid (%u,%u)",
						 scan->shape->current->name, scan->leaf_name, block,
						 offset);
	else if (scan->encoding && scan->job->row_format->compresses_itself)
		/* it may be at rows that it held back for a page */
		encoding_context("table %s, part %d", scan->leaf_name,
						 scan->part->number);
	else
		encoding_context("table %s, row with ctid (%u,%u)", scan->leaf_name,
						 block, offset);
}

static void
begin_row(PartScan *scan, const ItemPointerData *place,
		  ErrorContextCallback *errors)
{
	scan->encoding = false;
	scan->place = *place;
	errors->callback = row_error_context;
	errors->arg = scan;
	errors->previous = error_context_stack;
	error_context_stack = errors;
}

static void
end_row(ErrorContextCallback *errors)
{
	error_context_stack = errors->previous;
}

bool
part_quote(const PartScan *scan)
{
	bool quoting = quote_all_identifiers;

	if (scan->job->row_format->canonical_settings)
		quote_all_identifiers = false;
	return quoting;
}

/* The slot's own values are the executor's. */
static void
encode_masked_row(PartScan *scan, TupleTableSlot *slot)
{
	RowShape *shape = scan->shape;

	memcpy(shape->values, slot->tts_values,
		   sizeof(Datum) * shape->desc->natts);
	memcpy(shape->nulls, slot->tts_isnull, sizeof(bool) * shape->desc->natts);
	mask_row(shape, shape->values, shape->nulls, true);
	scan->job->row_format->row(scan->encoder, shape->values, shape->nulls,
							   &scan->out);
}

/* The slot is laid out like the root. */
static void
encode_row(PartScan *scan, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(scan->row_context);
	bool		  quoting = part_quote(scan);

	scan->encoding = true;
	if (unlikely(scan->shape->nmasks > 0))
		encode_masked_row(scan, slot);
	else
		scan->job->row_format->row(scan->encoder, slot->tts_values,
								   slot->tts_isnull, &scan->out);
	quote_all_identifiers = quoting;
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->row_context);
}

void
part_close_encoder(PartScan *scan)
{
	ErrorContextCallback errors;
	bool				 quoting = part_quote(scan);

	begin_row(scan, &scan->place, &errors);
	scan->encoding = true;
	scan->job->row_format->close(scan->encoder, &scan->out);
	end_row(&errors);
	quote_all_identifiers = quoting;
}

static void
count_row(PartScan *scan)
{
	scan->result->rows++;
	if (scan->out.len >= FLUSH_SIZE)
		part_flush_rows(scan);
	else if (scan->result->rows % PROGRESS_ROWS == 0)
		show_progress(scan);
}

void
part_export_row(PartScan *scan, const ItemPointerData *place,
				TupleTableSlot *slot)
{
	ErrorContextCallback errors;

	check_stop(scan);
	begin_row(scan, place, &errors);
	encode_row(scan, slot);
	end_row(&errors);
	count_row(scan);
}

static void
export_planned_row(void *arg, TupleTableSlot *slot)
{
	/* what it has selected after the columns */
	Datum place = slot->tts_values[slot->tts_tupleDescriptor->natts - 1];

	part_export_row(arg, (ItemPointer) DatumGetPointer(place), slot);
}

static void
export_tuple(PartScan *scan)
{
	TupleTableSlot		*slot = scan->slot;
	ErrorContextCallback errors;
	bool				 passes;

	if (scan->map)
		slot = execute_attr_map_slot(scan->map, slot, scan->mapped);
	else
		slot_getsomeattrs(slot, scan->last_attribute);
	begin_row(scan, &scan->slot->tts_tid, &errors);
	passes = passes_filter(scan, slot);
	if (passes)
		encode_row(scan, slot);
	end_row(&errors);
	if (passes)
		count_row(scan);
}

static void
export_blocks(PartScan *scan)
{
	const PlannedPart *part = scan->part;
	TableScanDesc	   heap;

	/* the ring buffer of a sequential scan, but always from the start */
	heap = table_beginscan_strat(scan->leaf, scan->context->snapshot, 0, NULL,
								 true, false);
	heap_setscanlimits(heap, part->first_block,
					   part->end_block - part->first_block);
	while (table_scan_getnextslot(heap, ForwardScanDirection, scan->slot))
	{
		check_stop(scan);
		digest_add(&scan->digest,
				   ExecFetchSlotHeapTuple(scan->slot, false, NULL));
		export_tuple(scan);
	}
	table_endscan(heap);
}

void
part_export_rows(PartScan *scan)
{
	const PlannedPart *part = scan->part;

	if (part->end_block <= part->first_block)
		return;
	if (source_hides_rows(scan->root))
		planned_scan(scan->source, scan->root, scan->leaf, scan->shape, part,
					 scan->context->snapshot, export_planned_row, scan);
	else
		export_blocks(scan);
}
