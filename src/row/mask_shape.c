/*
 * mask_shape.c
 *		Gives the columns of a shape their masks.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "encoding.h"
#include "name_pattern.h"
#include "row/mask.h"

/*
 * Adds the tables whose partition a relation is, or from which it inherits.  A
 * partition counts as one until a DETACH ... CONCURRENTLY is done.
 */
static List *
add_parents(List *relids, Relation inherits, Oid relid)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		relids = list_append_unique_oid(
			relids, ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	return relids;
}

List *
mask_relations(const List *relids)
{
	List	*all = list_copy(relids);
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);

	/* theirs, too, as they are added */
	for (int i = 0; i < list_length(all); i++)
		all = add_parents(all, inherits, list_nth_oid(all, i));
	table_close(inherits, AccessShareLock);
	return all;
}

/*
 * Whether a rule is for that name, in the database's encoding or in UTF-8: the
 * setting is all databases', and in an encoding of one byte a character any bytes
 * are text.
 */
static bool
rule_matches(const char *pattern, const char *name)
{
	int	 encoding = GetDatabaseEncoding();
	char utf8[NAMEDATALEN * MAX_CONVERSION_GROWTH + 1];
	int	 len = strlen(name);

	if (name_matches(pattern, name))
		return true;
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || len >= NAMEDATALEN)
		return false;
	encoding_prepare();
	return encoding_to_utf8(utf8, name, len) == len &&
		   name_matches(pattern, utf8);
}

static bool
rule_names(const MaskRule *rule, Oid relid)
{
	char *schema = get_namespace_name(get_rel_namespace(relid));
	char *name = get_rel_name(relid);
	bool  named = schema && name &&
				 rule_matches(rule->column->schema, schema) &&
				 rule_matches(rule->column->table, name);

	/* a wide table, its ancestors and many rules ask for these very often */
	if (schema)
		pfree(schema);
	if (name)
		pfree(name);
	return named;
}

bool
mask_rule_covers(const MaskRule *rule, const List *relids, const char *column)
{
	const ListCell *cell;

	if (!rule_matches(rule->column->column, column))
		return false;
	foreach (cell, relids)
	{
		if (rule_names(rule, lfirst_oid(cell)))
			return true;
	}
	return false;
}

/* The first of the rules that is for the column. */
static const MaskRule *
find_rule(const List *rules, const List *relids, const char *column)
{
	const ListCell *cell;

	foreach (cell, rules)
	{
		const MaskRule *rule = lfirst(cell);

		if (mask_rule_covers(rule, relids, column))
			return rule;
	}
	return NULL;
}

/* As those of the setting are before all others, nobody can take one back. */
static const MaskRule *
choose_rule(const MaskRules *rules, const List *relids,
			Form_pg_attribute attribute)
{
	const char	   *name = NameStr(attribute->attname);
	const MaskRule *rule = find_rule(rules->setting, relids, name);
	const ListCell *cell;

	if (rule)
		return rule;
	foreach (cell, rules->kept)
	{
		rule = lfirst(cell);
		if (rule->attnum == attribute->attnum)
			return rule;
	}
	return find_rule(rules->own, relids, name);
}

bool
mask_setting_covers(const List *relids, const char *column)
{
	List *rules = mask_setting_rules();

	return rules && find_rule(rules, mask_relations(relids), column) != NULL;
}

/*
 * What the column's definition told of its values goes: defaults, lengths,
 * sequences.
 */
static void
mask_column(RowShape *shape, ColumnShape *column, const MaskRule *rule,
			const MaskKey *key)
{
	ColumnMask *mask = palloc0(sizeof(ColumnMask));

	mask->method = rule->method;
	mask->length = rule->length;
	mask->clear = column->type;
	if (rule->method == MASK_HASH)
		mask->key = key ? key : mask_key_load();
	if (rule->method == MASK_NULL)
		column->not_null = false;
	else
	{
		type_shape_init(&column->type, TEXTOID, -1);
		TupleDescInitEntry(shape->desc, column->attnum, column->name, TEXTOID,
						   -1, 0);
	}
	column->mask = mask;
	shape->nmasks++;
}

/* Half a key, or one that many rows share, would name the wrong ones. */
static void
drop_blurred_keys(RowShape *shape)
{
	bool identity = false;
	bool primary = false;

	for (int i = 0; i < shape->ncolumns; i++)
	{
		if (column_tells_rows_apart(&shape->columns[i]))
			continue;
		identity |= shape->columns[i].is_key;
		primary |= shape->columns[i].is_primary;
	}
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];

		column->is_key &= !identity;
		column->is_primary &= !primary;
		column->in_pkindex &= !primary;
	}
}

static void
apply_masks(RowShape *shape, const List *relids, const List *kept,
			const List *rules, const MaskKey *key)
{
	MaskRules masks = {.setting = mask_setting_rules(),
					   .kept = unconstify(List *, kept),
					   .own = unconstify(List *, rules)};

	if (masks.setting == NIL && kept == NIL && rules == NIL)
		return;
	relids = mask_relations(relids);
	/* filters and policies see what the row leaves out, and errors tell of it */
	for (int i = 0; i < shape->desc->natts && !shape->is_secret; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(shape->desc, i);

		shape->is_secret = !attribute->attisdropped &&
						   choose_rule(&masks, relids, attribute) != NULL;
	}
	for (int i = 0; shape->is_secret && i < shape->ncolumns; i++)
	{
		ColumnShape	   *column = &shape->columns[i];
		const MaskRule *rule = choose_rule(
			&masks, relids, TupleDescAttr(shape->desc, column->attnum - 1));
		MemoryContext old;

		if (rule == NULL)
			continue;
		old = MemoryContextSwitchTo(shape->context);
		mask_column(shape, column, rule, key);
		MemoryContextSwitchTo(old);
	}
	if (shape->nmasks > 0)
		drop_blurred_keys(shape);
}

void
row_shape_mask(RowShape *shape, const List *relids, const List *kept,
			   const List *rules, const MaskKey *key)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow masks", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	apply_masks(shape, relids, kept, rules, key);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

List *
mask_columns_of(TupleDesc desc, const List *relids, const List *rules)
{
	MaskRules masks = {.setting = mask_setting_rules(),
					   .own = unconstify(List *, rules)};
	List	 *found = NIL;

	if (masks.setting == NIL && rules == NIL)
		return NIL;
	relids = mask_relations(relids);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		const MaskRule	 *rule = NULL;

		if (!attribute->attisdropped)
			rule = choose_rule(&masks, relids, attribute);
		if (rule)
			found = lappend(found, mask_keep(attribute->attnum, rule));
	}
	return found;
}
