/*
 * default.c
 *		The expression of a column's default as text.
 *
 * Anybody may give a table of his a default, and the server reads it only when
 * it is used.  So a default is looked through before it is written: what its
 * values become as text, and whether they still are of their types.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "encode/encode.h"
#include "encode/value/stack_guard.h"

/* Text of all values in a default. */
#define MAX_VALUES (1024 * 1024)
/* Arrays of domains over arrays and the like. */
#define MAX_LEVELS 100

typedef struct DefaultWork
{
	const char	  *stored;
	DefaultDeparse deparse;
	ByteBuffer	   values;
	char		  *text; /* NULL: not shown */
} DefaultWork;

/*
 * Whether a stored value is read as it was written.  Composite types may be
 * altered in spite of it, as the server looks for them in columns only.
 */
static bool
is_settled(Oid type)
{
	for (int level = 0; level < MAX_LEVELS; level++)
	{
		Oid	 base = getBaseType(type);
		Oid	 element = get_element_type(base);
		char typtype = get_typtype(base);

		if (typtype == TYPTYPE_RANGE)
			type = get_range_subtype(base);
		else if (typtype == TYPTYPE_MULTIRANGE)
			type = get_multirange_range(base);
		else if (OidIsValid(element))
			type = element;
		else
			return typtype != TYPTYPE_COMPOSITE && base != RECORDOID;
	}
	return false;
}

/* An array without elements, which is read without a look at their type. */
static bool
is_empty_array(const Const *value)
{
	return OidIsValid(get_element_type(getBaseType(value->consttype))) &&
		   value->constlen == -1 &&
		   ARR_NDIM(DatumGetArrayTypeP(value->constvalue)) == 0;
}

static bool
has_what_is_not_shown(Node *node, void *arg)
{
	const JsonStyle style = {.nested_as_text = true};
	ByteBuffer	   *values = &((DefaultWork *) arg)->values;
	Const		   *value = (Const *) node;

	if (node == NULL)
		return false;
	if (!IsA(node, Const))
		return expression_tree_walker(node, has_what_is_not_shown, arg);
	CHECK_FOR_INTERRUPTS();
	if (value->constisnull || is_empty_array(value))
		return false;
	if (!is_settled(value->consttype))
		return true;
	json_value(values, &style, type_shape_alone(value->consttype),
			   value->constvalue);
	return buffer_is_over(values);
}

static void
write_default(void *arg)
{
	DefaultWork *work = arg;
	size_t		 bytes;

	buffer_init(&work->values);
	buffer_limit_begin(&work->values, MAX_VALUES, BUFFER_PIECE);
	if (!has_what_is_not_shown(stringToNode(work->stored), work) &&
		buffer_limit_end(&work->values, &bytes))
		work->text = work->deparse(work->stored);
}

char *
column_default(const RowShape *shape, const ColumnShape *column,
			   DefaultDeparse deparse, bool *left_out)
{
	DefaultWork	  work = {.deparse = deparse};
	MemoryContext context, old;
	char		 *text = NULL;

	/* what hides a column's values hides the one that it begins with */
	if (column->is_generated || column->mask)
		return NULL;
	work.stored = column_default_stored(shape, column->attnum, left_out);
	if (work.stored == NULL)
		return NULL;
	context = AllocSetContextCreate(CurrentMemoryContext, "outflow default",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	if (stack_guarded(write_default, &work) && work.text)
		text = MemoryContextStrdup(old, text_of_names(work.text));
	else
		*left_out = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return text;
}
