/*
 * rowfilter.c
 *		Row filters of publications, applied to the rows of a change.
 *
 * An update may move a row into or out of what a filter lets through; to the
 * consumer that is an insert or a delete.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

#include "compat.h"
#include "encoding.h"
#include "stream/stream.h"

struct RowFilters
{
	ExprState	   *expression[3]; /* by ChangeOp; NULL lets all through */
	TupleTableSlot *slot;
	ExprContext	   *context;
};

/* A filter may fail before it sees a row: constants are computed. */
static void
filters_error_context(void *arg)
{
	const RowShape *shape = arg;

	encoding_context("preparing the row filters of table \"%s.%s\"",
					 shape->schema, shape->name);
	errhint("Mend the publication's row filter for later changes; option "
			"\"exclude_tables\" passes over the table.");
}

static bool
looks_beyond(Expr *filter, const RowShape *shape)
{
	Bitmapset *columns = NULL;

	pull_varattnos((Node *) filter, 1, &columns);
	for (int i = 0; i < shape->ncolumns; i++)
		columns =
			bms_del_member(columns, shape->columns[i].attnum -
										FirstLowInvalidHeapAttributeNumber);
	return !bms_is_empty(columns);
}

/*
 * Prepares the filters in the current memory context; NULL if there are none.
 * The shape is that of the table, which the filters belong to.  What they have to
 * report could tell of columns that it leaves out.
 */
RowFilters *
row_filters_build(const Published *published, Relation table, RowShape *shape)
{
	static const int actions[] = {ACTION_INSERT, ACTION_UPDATE, ACTION_DELETE};
	RowFilters		*filters = palloc0(sizeof(RowFilters));
	bool			 any = false;
	int				 op;
	ErrorContextCallback errors = {error_context_stack, filters_error_context,
								   shape};

	error_context_stack = &errors;
	for (op = CHANGE_INSERT; op <= CHANGE_DELETE; op++)
	{
		List *list = publication_filters(published, actions[op]);
		Expr *expression;

		if (list == NIL)
			continue;
		expression = list_length(list) == 1 ? linitial(list)
											: makeBoolExpr(OR_EXPR, list, -1);
		expression =
			(Expr *) expand_virtual_columns((Node *) expression, table);
		shape->is_secret |= looks_beyond(expression, shape);
		filters->expression[op] =
			ExecInitExpr(expression_planner(expression), NULL);
		any = true;
	}
	error_context_stack = errors.previous;
	if (!any)
		return NULL;
	filters->slot = MakeSingleTupleTableSlot(
		CreateTupleDescCopy(shape->desc), /* masks change the other */
		&TTSOpsVirtual);
	filters->context = CreateStandaloneExprContext();
	return filters;
}

static inline bool
is_elsewhere(Datum value, bool isnull, Form_pg_attribute attr)
{
	return !isnull && attr->attlen == -1 &&
		   VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

/*
 * Puts a row into the slot.  What it lacks comes from the other row, and is
 * NULL where that one lacks it too: PostgreSQL asks for filters on the replica
 * identity's columns, which are there.
 */
static void
fill_slot(RowFilters *filters, const Datum *values, const bool *nulls,
		  const Datum *other_values, const bool *other_nulls)
{
	TupleTableSlot *slot = filters->slot;
	TupleDesc		desc = slot->tts_tupleDescriptor;
	int				i;

	ExecClearTuple(slot);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		slot->tts_values[i] = values[i];
		slot->tts_isnull[i] = nulls[i];
		if (!is_elsewhere(values[i], nulls[i], attr))
			continue;
		slot->tts_isnull[i] = true;
		if (other_values && !other_nulls[i] &&
			!is_elsewhere(other_values[i], false, attr))
		{
			slot->tts_values[i] = other_values[i];
			slot->tts_isnull[i] = false;
		}
	}
	ExecStoreVirtualTuple(slot);
}

static bool
lets_through(RowFilters *filters, ChangeOp op)
{
	bool  isnull;
	Datum result;

	filters->context->ecxt_scantuple = filters->slot;
	result = ExecEvalExprSwitchContext(filters->expression[op],
									   filters->context, &isnull);
	ResetExprContext(filters->context);
	return !isnull && DatumGetBool(result);
}

/* Whether anything of the change is left; may make it another operation. */
bool
row_filters_apply(RowFilters *filters, RowChange *row)
{
	bool old_passes = false;
	bool new_passes = false;

	if (filters->expression[row->op] == NULL)
		return true;
	if (row->new_values)
	{
		fill_slot(filters, row->new_values, row->new_nulls, row->old_values,
				  row->old_nulls);
		new_passes = lets_through(filters, row->op);
	}
	if (row->op == CHANGE_INSERT)
		return new_passes;

	if (row->old_values)
	{
		fill_slot(filters, row->old_values, row->old_nulls, NULL, NULL);
		old_passes = lets_through(filters, row->op);
	}
	else
	{
		/* the identity, and with it what filters see, stayed as it was */
		old_passes = row->op == CHANGE_DELETE || new_passes;
	}
	if (row->op == CHANGE_DELETE)
		return old_passes;

	if (!old_passes && new_passes)
	{
		row->op = CHANGE_INSERT;
		row->old_values = NULL;
	}
	else if (old_passes && !new_passes)
	{
		row->op = CHANGE_DELETE;
		row->new_values = NULL;
		row->used &= ~COLUMN_UNCHANGED;
	}
	return old_passes || new_passes;
}
