/*
 * part_key.c
 *		Columns of a query's result whose equal values stay in one part.
 *
 * Only a part that is full needs to know: from then on each row is compared with
 * the one that filled it, until one differs.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "export/plan/part_key.h"
#include "option.h"

typedef struct KeyColumn
{
	AttrNumber attribute;
	bool	   is_null;
	Datum	   value;
	FmgrInfo   equal;
} KeyColumn;

struct PartKey
{
	MemoryContext memory; /* of the kept values */
	bool		  is_kept;
	int			  count;
	KeyColumn	  columns[FLEXIBLE_ARRAY_MEMBER];
};

static AttrNumber
column_named(TupleDesc desc, const char *name)
{
	AttrNumber found = InvalidAttrNumber;

	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) != 0)
			continue;
		if (found != InvalidAttrNumber)
			ereport(
				ERROR,
				(errcode(ERRCODE_AMBIGUOUS_COLUMN),
				 errmsg("column \"%s\" of option \"part_key\" appears more "
						"than once in the query's result",
						option_shown(name)),
				 errhint("Give one of them another name with AS.")));
		found = i + 1;
	}
	if (found == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of option \"part_key\" is not in the "
						"query's result",
						option_shown(name))));
	return found;
}

/* The function is looked up anew wherever the key is used. */
static void
find_equality(KeyColumn *column, TupleDesc desc, MemoryContext context)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, column->attribute - 1);
	Oid equal = lookup_type_cache(attribute->atttypid, TYPECACHE_EQ_OPR_FINFO)
					->eq_opr_finfo.fn_oid;

	if (!OidIsValid(equal))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("column \"%s\" cannot be in option \"part_key\"",
						NameStr(attribute->attname)),
				 errdetail("There is no equality operator for type %s.",
						   format_type_be(attribute->atttypid))));
	if (type_is_collatable(attribute->atttypid) &&
		!OidIsValid(attribute->attcollation))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_COLLATION),
				 errmsg("could not determine which collation to compare "
						"column \"%s\" of option \"part_key\" by",
						NameStr(attribute->attname)),
				 errhint("Give it one with COLLATE.")));
	fmgr_info_cxt(equal, &column->equal, context);
}

PartKey *
part_key_new(const Job *job, TupleDesc desc)
{
	int		 count = list_length(job->options.part_key);
	PartKey *key;

	if (count == 0)
		return NULL;
	key = palloc0(offsetof(PartKey, columns) + count * sizeof(KeyColumn));
	key->memory = AllocSetContextCreate(
		CurrentMemoryContext, "outflow part key", ALLOCSET_SMALL_SIZES);
	key->count = count;
	for (int i = 0; i < count; i++)
	{
		key->columns[i].attribute =
			column_named(desc, list_nth(job->options.part_key, i));
		find_equality(&key->columns[i], desc, CurrentMemoryContext);
	}
	return key;
}

void
part_key_check(const Job *job, TupleDesc desc)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow part key check", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	(void) part_key_new(job, desc);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
part_key_keep(PartKey *key, TupleTableSlot *row)
{
	MemoryContext old = MemoryContextSwitchTo(key->memory);

	for (int i = 0; i < key->count; i++)
	{
		KeyColumn		 *column = &key->columns[i];
		Form_pg_attribute attribute =
			TupleDescAttr(row->tts_tupleDescriptor, column->attribute - 1);
		Datum value = slot_getattr(row, column->attribute, &column->is_null);

		if (!column->is_null)
			column->value =
				datumCopy(value, attribute->attbyval, attribute->attlen);
	}
	MemoryContextSwitchTo(old);
	key->is_kept = true;
}

void
part_key_forget(PartKey *key)
{
	key->is_kept = false;
	MemoryContextReset(key->memory);
}

bool
part_key_is_kept(const PartKey *key)
{
	return key->is_kept;
}

bool
part_key_matches(PartKey *key, TupleTableSlot *row)
{
	for (int i = 0; i < key->count; i++)
	{
		KeyColumn		 *column = &key->columns[i];
		Form_pg_attribute attribute =
			TupleDescAttr(row->tts_tupleDescriptor, column->attribute - 1);
		bool  is_null;
		Datum value = slot_getattr(row, column->attribute, &is_null);

		if (is_null != column->is_null ||
			(!is_null && !DatumGetBool(FunctionCall2Coll(
							 &column->equal, attribute->attcollation,
							 column->value, value))))
			return false;
	}
	return true;
}
