/*
 * part.c
 *		Exports one part: a range of a relation's blocks, under a snapshot,
 *		through an encoder and a chain of sinks, to one durable file.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "utils/backend_progress.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "export/job.h"

/* Bytes that go down the chain at a time. */
#define FLUSH_SIZE (256 * 1024)
/* A buffer that one row made larger than this is given back. */
#define KEEP_SIZE (4 * 1024 * 1024)
/* Formats that hold rows back show progress, too: after so many rows. */
#define PROGRESS_ROWS 1024

typedef struct PartScan
{
	const PartContext *context;
	const Job		  *job;
	const PlannedPart *part;
	JobSource		  *source;
	Relation		   root;
	Relation		   leaf;
	char			  *leaf_name; /* as users write it */
	RowShape		  *shape;
	RowEncoder		  *encoder;
	bool			   encoding; /* a row, not filtering it */
	Sink			  *chain;
	RowFormatOptions   options; /* the job's, with facts of this part */
	StringInfoData	   out;
	MemoryContext	   row_context;
	TupleTableSlot	  *slot;   /* of the leaf */
	TupleTableSlot	  *mapped; /* of the root, if it is laid out otherwise */
	AttrMap			  *map;
	Node			  *filter_tree;	   /* NULL for none */
	ExprState		  *filter;		   /* NULL if every row passes */
	ExprContext		  *filter_context; /* NULL for none */
	int				   last_attribute; /* that is exported */
	Stamp			   stamp;
	Digest			   digest;
	uint64			   stored; /* bytes that the throttle knows of */
	PartResult		  *result;
} PartScan;

/* A format whose rows may pass 1 GB calls this inside of row(). */
static void
drain_rows(void *arg, StringInfo out)
{
	PartScan *scan = arg;

	sink_write(scan->chain, out->data, out->len);
	resetStringInfo(out);
}

static void
begin_progress(Oid relid)
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
								 (int64) scan->result->plain.bytes);
	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED,
								 scan->result->rows);
}

/* Waits as long as outflow.rate_limit wants for what was stored since. */
static void
spend_stored(PartScan *scan)
{
	uint64 bytes = scan->result->stored.bytes;

	throttle_spend(scan->context->throttle, bytes - scan->stored,
				   scan->context->stop);
	scan->stored = bytes;
}

static void
flush_rows(PartScan *scan)
{
	sink_write(scan->chain, scan->out.data, scan->out.len);
	if (scan->out.maxlen > KEEP_SIZE)
	{
		pfree(scan->out.data);
		initStringInfo(&scan->out);
	}
	else
		resetStringInfo(&scan->out);
	show_progress(scan);
	spend_stored(scan);
}

static void
open_filter(PartScan *scan)
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
passes_filter(PartScan *scan, TupleTableSlot *slot)
{
	if (scan->filter == NULL)
		return true;
	scan->filter_context->ecxt_scantuple = slot;
	ResetExprContext(scan->filter_context);
	return ExecQual(scan->filter, scan->filter_context);
}

static void
check_stop(PartScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	if (*scan->context->stop)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
						errmsg("export job is stopping")));
}

/* Puts names around an error of an output function, a format or a filter. */
static void
row_error_context(void *arg)
{
	PartScan *scan = arg;
	int64	  row = scan->result->rows + 1;

	if (current_column)
		errcontext(
			"column \"%s\" of table %s, row " INT64_FORMAT " of part %d",
			current_column->name, scan->leaf_name, row, scan->part->number);
	else if (scan->encoding)
		/* it may be at rows that it held back */
		errcontext("table %s, part %d", scan->leaf_name, scan->part->number);
	else
		errcontext("table %s, row " INT64_FORMAT " of part %d",
				   scan->leaf_name, row, scan->part->number);
}

static void
begin_row(PartScan *scan, ErrorContextCallback *errors)
{
	current_column = NULL;
	scan->encoding = false;
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

/* The slot is laid out like the root. */
static void
encode_row(PartScan *scan, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(scan->row_context);

	scan->encoding = true;
	scan->job->row_format->row(scan->encoder, slot->tts_values,
							   slot->tts_isnull, &scan->out);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->row_context);
}

static void
count_row(PartScan *scan)
{
	scan->result->rows++;
	if (scan->out.len >= FLUSH_SIZE)
		flush_rows(scan);
	else if (scan->result->rows % PROGRESS_ROWS == 0)
		show_progress(scan);
}

static void
export_planned_row(void *arg, TupleTableSlot *slot)
{
	ErrorContextCallback errors;

	check_stop(arg);
	begin_row(arg, &errors);
	encode_row(arg, slot);
	end_row(&errors);
	count_row(arg);
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
	begin_row(scan, &errors);
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

static void
add_fact(PartScan *scan, char *name, char *value)
{
	scan->options.metadata = lappend(scan->options.metadata, name);
	scan->options.metadata = lappend(scan->options.metadata, value);
}

/* Facts that a file may carry, so that it explains itself. */
static void
describe_part(PartScan *scan)
{
	scan->options.metadata = NIL;
	add_fact(scan, "outflow.job", psprintf(INT64_FORMAT, scan->job->id));
	add_fact(scan, "outflow.uuid", scan->job->uuid);
	add_fact(scan, "outflow.source", scan->source->name);
	add_fact(scan, "outflow.part", psprintf("%d", scan->part->number));
	add_fact(scan, "outflow.snapshot",
			 unconstify(char *, scan->result->snapshot));
}

char *
part_file(const Job *job, const PlannedPart *part)
{
	JobSource *source = list_nth(job->sources, part->source);

	return psprintf("%s%spart-%06d.%s%s%s", source->folder,
					source->folder[0] ? "/" : "", part->number,
					job->row_format->extension, job->compress->extension,
					job->encrypt_to != NIL ? ".age" : "");
}

/* Builds the chain from its end and opens the encoder in front of it. */
static void
open_chain(PartScan *scan)
{
	const Job  *job = scan->job;
	PartResult *result = scan->result;
	bool		encrypted = job->encrypt_to != NIL;

	result->file = part_file(job, scan->part);
	scan->chain =
		file_new(scan->context->root, destination_file_name(result->file));
	scan->chain = meter_new(scan->chain, &result->stored, false, true);
	if (encrypted)
		scan->chain = age_new(scan->chain, job->recipients);
	scan->chain = job->compress->compressor(scan->chain, job->compress_level);
	scan->chain = meter_new(scan->chain, &result->plain, !encrypted, false);
	initStringInfo(&scan->out);
	scan->options = job->options.row;
	scan->options.drain = drain_rows;
	scan->options.drain_arg = scan;
	scan->options.learned = &scan->source->learned;
	scan->options.learned_context = GetMemoryChunkContext(scan->source);
	describe_part(scan);
	scan->encoder =
		job->row_format->open(scan->shape, &scan->options, &scan->out);
}

/* Opens the relations under the part's locks and checks rights once more. */
static void
open_relations(PartScan *scan)
{
	Oid relid = scan->part->relid;

	scan->root =
		source_open(scan->source->relid, scan->source->name,
					scan->source->columns, scan->job->options.row_security);
	scan->leaf = relation_open(relid, AccessShareLock);
	source_check_leaf(scan->leaf, scan->root);
	scan->leaf_name = source_name(relid);
	scan->shape = source_shape(scan->root, scan->source, scan->job->row_format,
							   CurrentMemoryContext);
	for (int i = 0; i < scan->shape->ncolumns; i++)
		scan->last_attribute =
			Max(scan->last_attribute, scan->shape->columns[i].attnum);
	if (relid != scan->source->relid)
	{
		TupleConversionMap *conversion = convert_tuples_by_name(
			RelationGetDescr(scan->leaf), RelationGetDescr(scan->root));

		if (conversion)
		{
			scan->map = conversion->attrMap;
			scan->mapped = MakeSingleTupleTableSlot(
				RelationGetDescr(scan->root), &TTSOpsVirtual);
		}
	}
	scan->slot = table_slot_create(scan->leaf, NULL);
	if (scan->source->filter)
		scan->filter_tree = filter_plan(scan->source->filter, scan->root);
}

static const char *
sign(PartScan *scan, Signature *signature)
{
	return carry_signature(scan->job, scan->source, scan->shape, scan->leaf,
						   scan->filter_tree, signature);
}

/* Before the scan, and before anything that is signed is looked up for it. */
static void
begin_stamp(PartScan *scan)
{
	const PlannedPart *part = scan->part;
	Signature		   signature;

	scan->result->reason = sign(scan, &signature);
	stamp_begin(&scan->stamp, scan->leaf, part->first_block, part->end_block,
				scan->context->snapshot, &signature);
	digest_begin(&scan->digest);
}

/* After the scan, while the snapshot is still held. */
static void
end_stamp(PartScan *scan)
{
	PartResult *result = scan->result;
	Signature	signature;

	/* types and functions can be redefined under the eyes of a scan */
	AcceptInvalidationMessages();
	if (result->reason == NULL)
		result->reason = sign(scan, &signature);
	if (result->reason == NULL &&
		memcmp(&signature, &scan->stamp.signature, sizeof(Signature)) != 0)
		result->reason = "a definition was changed while the part was read";
	if (!stamp_end(&scan->stamp, &scan->digest) && result->reason == NULL)
		result->reason = "old_snapshot_threshold was set";
	result->lsn = scan->stamp.lsn;
	if (result->reason == NULL)
		result->stamp = stamp_to_text(&scan->stamp);
}

static void
close_relations(PartScan *scan)
{
	ExecDropSingleTupleTableSlot(scan->slot);
	if (scan->mapped)
		ExecDropSingleTupleTableSlot(scan->mapped);
	relation_close(scan->leaf, NoLock);
	relation_close(scan->root, NoLock);
}

void
part_export(const PartContext *context, const PlannedPart *part,
			PartResult *result)
{
	const Job *job = context->job;
	PartScan   scan = {
		  .context = context, .job = job, .part = part, .result = result};

	memset(result, 0, sizeof(PartResult));
	result->snapshot = context->snapshot_text;
	scan.source = list_nth(job->sources, part->source);
	scan.row_context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow export row", ALLOCSET_DEFAULT_SIZES);
	file_root_check_place(context->root);
	open_relations(&scan);
	begin_progress(part->relid);

	begin_stamp(&scan);
	open_filter(&scan);
	open_chain(&scan);
	if (part->end_block > part->first_block)
	{
		if (source_hides_rows(scan.root))
			planned_scan(scan.source, scan.root, scan.leaf, scan.shape, part,
						 context->snapshot, export_planned_row, &scan);
		else
			export_blocks(&scan);
	}
	end_stamp(&scan);
	add_fact(&scan, "outflow.lsn",
			 psprintf("%X/%X", LSN_FORMAT_ARGS(result->lsn)));
	job->row_format->close(scan.encoder, &scan.out);
	flush_rows(&scan);
	sink_finish(scan.chain);
	/* what compression and encryption had held back */
	spend_stored(&scan);
	sink_cleanup(scan.chain);

	pgstat_progress_end_command();
	close_relations(&scan);
}
