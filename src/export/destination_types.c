/*
 * destination_types.c
 *		What a type is made of, in a form that another server can give, too.
 *
 * Types of one's own are known by their names, and a name may stand for other
 * things there: a type is the same if all that it is made of is.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "export/export_destination.h"

typedef struct Parts
{
	StringInfoData text;
	int			   count;
	Oid			   whole;
} Parts;

static void append_type_part(Parts *parts, const char *path, Oid type,
							 int32 typmod);

char *
destination_type_name(Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	char	 *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	return name;
}

static void
append_fields(Parts *parts, const char *path, Oid type)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute field = TupleDescAttr(desc, i);

		if (!field->attisdropped)
			append_type_part(
				parts,
				psprintf("%s.%s", path,
						 quote_literal_cstr(NameStr(field->attname))),
				field->atttypid, field->atttypmod);
	}
}

/* A part that was found, and those that it is made of itself. */
static void
append_type_part(Parts *parts, const char *path, Oid type, int32 typmod)
{
	Oid	 base = getBaseTypeAndTypmod(type, &typmod);
	Oid	 element = get_element_type(base);
	bool is_array = OidIsValid(element) && get_array_type(element) == base;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (++parts->count > TYPE_MAX_PARTS || parts->text.len > TYPE_MAX_TEXT)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("type %s has more parts than are compared with "
							   "those of a destination's",
							   format_type_be_qualified(parts->whole))));
	appendStringInfo(&parts->text, "%s%s", parts->count > 1 ? "\n" : "", path);
	/* an array's own name is the server's choice */
	if (!is_array)
		appendStringInfo(&parts->text, " %s",
						 quote_literal_cstr(destination_type_name(base)));
	if (typmod >= 0)
		appendStringInfo(&parts->text, "(%d)", typmod);
	if (is_array)
		append_type_part(parts, psprintf("%s[]", path), element, typmod);
	else if (get_typtype(base) == TYPTYPE_COMPOSITE)
		append_fields(parts, path, base);
	else if (get_typtype(base) == TYPTYPE_RANGE)
		append_type_part(parts, psprintf("%s..", path),
						 get_range_subtype(base), -1);
	else if (get_typtype(base) == TYPTYPE_MULTIRANGE)
		append_type_part(parts, psprintf("%s{}", path),
						 get_multirange_range(base), -1);
}

char *
destination_type_parts(Oid type)
{
	Parts parts = {.whole = type};

	initStringInfo(&parts.text);
	append_type_part(&parts, "", type, -1);
	return parts.text.data;
}
