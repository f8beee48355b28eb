/*
 * part.c
 *		Exports one part: a range of a relation's blocks, under a snapshot,
 *		to one durable file.  The rows' way into it is in part_rows.c.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "mb/pg_wchar.h"
#include "pgstat.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/plan/masks.h"
#include "export/plan/plan.h"
#include "export/plan/source.h"
#include "export/part/part.h"
#include "export/part/part_scan.h"

/* value is in UTF-8 */
static void
add_fact(PartScan *scan, char *name, char *value)
{
	scan->host.metadata = lappend(scan->host.metadata, name);
	scan->host.metadata = lappend(scan->host.metadata, value);
}

/* Facts that a file may carry, so that it explains itself. */
static void
describe_part(PartScan *scan)
{
	const char *source = text_for_utf8(scan->source->name);

	scan->host.metadata = NIL;
	add_fact(scan, "outflow.job", psprintf(INT64_FORMAT, scan->job->id));
	add_fact(scan, "outflow.uuid", scan->job->uuid);
	add_fact(scan, "outflow.source",
			 pg_server_to_any(source, strlen(source), PG_UTF8));
	add_fact(scan, "outflow.part", psprintf("%d", scan->part->number));
	add_fact(scan, "outflow.snapshot",
			 unconstify(char *, scan->result->snapshot));
}

void
part_open_chain(PartScan *scan)
{
	const Job	*job = scan->job;
	PartResult	*result = scan->result;
	bool		 encrypted = job->encrypt_to != NIL;
	bool		 quoting;
	Destination *root = scan->context->root;

	result->file = part_file(job, scan->part);
	if (root->driver->tables)
		root->driver->tables->begin_table(root, scan->part->source);
	scan->chain = root->driver->new_part(root, result->file);
	scan->chain =
		meter_new(scan->chain, &result->stored, true, job->options.checksum);
	if (encrypted)
		scan->chain = age_new(scan->chain, job->recipients);
	scan->chain = job->compress->compressor(scan->chain, job->compress_level);
	scan->chain = meter_new(scan->chain, &result->plain, !encrypted, NULL);
	buffer_init(&scan->out);
	scan->host.memory = (int64) part_memory_kb * 1024;
	scan->host.drain = part_drain_rows;
	scan->host.drain_arg = scan;
	scan->host.made_null = &result->made_null;
	scan->host.statistics = &result->statistics;
	scan->host.place = &scan->place;
	scan->host.learned = &scan->source->learned;
	scan->host.learned_context = GetMemoryChunkContext(scan->source);
	describe_part(scan);
	quoting = part_quote(scan);
	scan->encoder = job->row_format->open(scan->shape, &job->options.row,
										  &scan->host, &scan->out);
	quote_all_identifiers = quoting;
}

void
part_close_chain(PartScan *scan)
{
	add_fact(scan, "outflow.lsn",
			 psprintf("%X/%X", LSN_FORMAT_ARGS(scan->result->lsn)));
	part_close_encoder(scan);
	part_flush_rows(scan);
	sink_finish(scan->chain);
	/* what compression and encryption had held back */
	part_spend_stored(scan);
	sink_cleanup(scan->chain);
}

/* All parts of a run are masked alike: a setting may change under it. */
static void
check_masks(PartScan *scan)
{
	bool masked = scan->shape->nmasks > 0 || scan->source->masks != NIL;

	if (masked && scan->source->definition &&
		strcmp(plan_describe(scan->shape), scan->source->definition) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("masks of table %s were changed while it is exported",
						scan->source->name),
				 errhint("Resume the job, and it goes on with these.")));
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
	scan->leaf_name = relation_full_name(relid);
	scan->shape = source_shape(scan->root, scan->source, scan->job,
							   CurrentMemoryContext);
	check_masks(scan);
	planned_check(scan->source, scan->root, scan->leaf, scan->shape);
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
	{
		scan->filter_tree = filter_plan(scan->source, scan->root);
		masks_check_filter(scan->filter_tree, scan->root, scan->job);
	}
}

static const char *
sign(PartScan *scan, Signature *signature)
{
	const char *reason =
		part_signature(scan->job, scan->source, scan->shape, scan->leaf,
					   scan->filter_tree, signature);

	part_check_definitions(scan->context, scan->source, scan->shape,
						   scan->root, scan->leaf, scan->filter_tree,
						   signature);
	return reason;
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
	const char *reason;
	Signature	signature;

	/* types and functions can be redefined under the eyes of a scan */
	AcceptInvalidationMessages();
	reason = sign(scan, &signature);
	if (result->reason == NULL)
		result->reason = reason;
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
	context->root->driver->check_place(context->root);
	open_relations(&scan);
	part_begin_progress(part->relid);

	begin_stamp(&scan);
	part_open_filter(&scan);
	part_open_chain(&scan);
	part_export_rows(&scan);
	end_stamp(&scan);
	part_close_chain(&scan);

	pgstat_progress_end_command();
	close_relations(&scan);
}
