/*
 * descriptor.c
 *		The copy of a relation's descriptor that its shape keeps.
 */
#include "postgres.h"

#include "compat.h"
#include "row/row_internal.h"

/* Defaults whose stored form is longer are not shown, and those beyond all. */
#define MAX_DEFAULT	 (4 * 1024 * 1024)
#define MAX_DEFAULTS (64 * 1024 * 1024)

/*
 * The defaults of a table's columns that may be shown; of what may not, only
 * that it is there.  Generation expressions are no defaults.
 */
static void
take_defaults(TupleConstr *into, TupleDesc desc)
{
	Size room = MAX_DEFAULTS;

	into->num_defval = 0;
	into->defval = palloc_array(AttrDefault, desc->constr->num_defval);
	for (int i = 0; i < desc->constr->num_defval; i++)
	{
		AttrDefault given = desc->constr->defval[i];
		Size		size = strlen(given.adbin);

		if (TupleDescAttr(desc, given.adnum - 1)->attgenerated != '\0')
			continue;
		if (size <= Min(room, MAX_DEFAULT))
			room -= size;
		else
			given.adbin = "";
		into->defval[into->num_defval++] = given;
	}
}

/*
 * Copies a descriptor with other constraints.  What else one has the server's own
 * function knows alone, so it finds them there for that time; it does nothing
 * but copy.
 */
static TupleDesc
copy_with(TupleDesc desc, TupleConstr *constr)
{
	TupleConstr *own = desc->constr;
	TupleDesc	 copy;

	PG_TRY();
	{
		desc->constr = constr;
		copy = CreateTupleDescCopyConstr(desc);
	}
	PG_FINALLY();
	{
		desc->constr = own;
	}
	PG_END_TRY();
	return copy;
}

/*
 * A shape stays as long as its relation is used: what nobody asks for doesn't
 * stay with it.
 */
TupleDesc
row_desc_copy(TupleDesc desc, bool with_defaults)
{
	TupleConstr constr;
	TupleDesc	copy;

	if (desc->constr == NULL)
		return CreateTupleDescCopyConstr(desc);
	constr = *desc->constr;
	constr.num_check = 0;
	constr.num_defval = 0;
	if (with_defaults)
		take_defaults(&constr, desc);
	copy = copy_with(desc, &constr);
	if (with_defaults)
		pfree(constr.defval);
	return copy;
}

const char *
column_default_stored(const RowShape *shape, AttrNumber attnum, bool *left_out)
{
	TupleConstr *constr = shape->desc->constr;

	for (int i = 0; constr && i < constr->num_defval; i++)
	{
		const char *stored;

		if (constr->defval[i].adnum != attnum)
			continue;
		stored = constr->defval[i].adbin;
		if (stored[0] != '\0')
			return stored;
		*left_out = true;
	}
	return NULL;
}
