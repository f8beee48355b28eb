/*
 * masks.c
 *		Masked columns of an export's tables.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#include "export/plan/masks.h"
#include "name_pattern.h"
#include "option.h"

/* Rules for a partition hold in its table: all parts have one shape. */
static List *
relations_of(Relation rel)
{
	Oid relid = RelationGetRelid(rel);

	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(relid);
	return find_all_inheritors(relid, NoLock, NULL);
}

/* Its values may be in a column of another name by now. */
static void
check_kept(const List *kept, Relation rel)
{
	const ListCell *cell;

	foreach (cell, kept)
	{
		AttrNumber attnum = ((MaskRule *) lfirst(cell))->attnum;

		if (attnum > RelationGetDescr(rel)->natts ||
			TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attisdropped)
			ereport(
				ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("a masked column of table \"%s\" was dropped since "
						"the export began",
						RelationGetRelationName(rel)),
				 errdetail("Its values may be in another column, which is "
						   "not masked."),
				 errhint("Mask columns that the table has now.")));
	}
}

void
masks_set(RowShape *shape, Relation rel, const JobSource *source,
		  const Job *job)
{
	List *kept = mask_kept_read(source->masks);

	if (job->options.masks == NIL && kept == NIL &&
		mask_setting_rules() == NIL)
		return;
	check_kept(kept, rel);
	row_shape_mask(shape, relations_of(rel), kept, job->options.masks, NULL);
}

static bool
is_for_some_column(const MaskRule *rule, Relation rel)
{
	List	 *relids = mask_relations(relations_of(rel));
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped &&
			mask_rule_covers(rule, relids, NameStr(attribute->attname)))
			return true;
	}
	return false;
}

static void
check_rule(const Job *job, const MaskRule *rule)
{
	bool	  used = false;
	ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		Relation   rel = relation_open(source->relid, NoLock);

		CHECK_FOR_INTERRUPTS();
		used |= is_for_some_column(rule, rel);
		relation_close(rel, NoLock);
	}
	if (!used)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("export option \"mask_columns\" masks column "
							   "\"%s.%s.%s\", which is none of the export's",
							   option_shown(rule->column->schema),
							   option_shown(rule->column->table),
							   option_shown(rule->column->column))));
}

/* {"mask_columns": text}, over what the options have. */
static char *
with_masks(const char *options, const char *text)
{
	StringInfoData object;
	Datum		   merged;

	initStringInfo(&object);
	appendStringInfoString(&object, "{\"mask_columns\": ");
	escape_json(&object, text);
	appendStringInfoChar(&object, '}');
	merged = DirectFunctionCall2(
		jsonb_concat, DirectFunctionCall1(jsonb_in, CStringGetDatum(options)),
		DirectFunctionCall1(jsonb_in, CStringGetDatum(object.data)));
	return JsonbToCString(NULL, &DatumGetJsonbP(merged)->root, 0);
}

/* Whatever is renamed, detached or altered before the job's end. */
static void
keep_masks(const Job *job)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		Relation   rel = relation_open(source->relid, NoLock);

		CHECK_FOR_INTERRUPTS();
		source->masks = mask_columns_of(RelationGetDescr(rel),
										relations_of(rel), job->options.masks);
		relation_close(rel, NoLock);
	}
}

void
masks_begin(Job *job)
{
	const char *setting = mask_setting();
	const char *own = job->options.mask_columns;
	ListCell   *cell;

	foreach (cell, job->options.masks)
		check_rule(job, lfirst(cell));
	if (mask_setting_rules() != NIL)
	{
		job->options_json =
			with_masks(job->options_json,
					   own ? psprintf("%s,%s", setting, own) : setting);
		job_derive(job);
	}
	if (job->options.masks != NIL)
		keep_masks(job);
	mask_check_key(job->options.masks);
}

bool
masks_cover(Oid relid)
{
	Relation  rel = relation_open(relid, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	List	 *relids = relations_of(rel);
	bool	  found = false;

	for (int i = 0; i < desc->natts && !found; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		CHECK_FOR_INTERRUPTS();
		found = !attribute->attisdropped &&
				mask_setting_covers(relids, NameStr(attribute->attname));
	}
	relation_close(rel, NoLock);
	return found;
}

void
masks_check_filter(Node *filter, Relation rel, const Job *job)
{
	Bitmapset *attributes = NULL;
	List	  *relids;
	int		   member = -1;

	if (mask_setting_rules() == NIL || job->publication || superuser())
		return;
	relids = relations_of(rel);
	pull_varattnos(filter, 1, &attributes);
	while ((member = bms_next_member(attributes, member)) >= 0)
	{
		int				  attnum = member + FirstLowInvalidHeapAttributeNumber;
		Form_pg_attribute attribute =
			TupleDescAttr(RelationGetDescr(rel), attnum - 1);

		if (mask_setting_covers(relids, NameStr(attribute->attname)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("filter must not use masked column \"%s\"",
							NameStr(attribute->attname)),
					 errdetail("Which rows pass would tell of its values.")));
	}
}
