/*
 * wal2json_shape.c
 *		What format wal2json prints of a relation's columns besides values:
 *		type names, defaults and the like, looked up once per shape.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#include "encode/wal2json/wal2json.h"

/*
 * Whether text is a JSON string as it stands.  wal2json prints the name of a
 * type that SQL quotes as it is, since a quoted identifier usually is one.
 */
static bool
is_json_string(const char *text)
{
	const char *p = text;

	if (*p++ != '"')
		return false;
	for (; *p != '"'; p++)
	{
		if ((unsigned char) *p < 0x20)
			return false;
		if (*p != '\\')
			continue;
		p++;
		if (*p == 'u')
		{
			if (strspn(p + 1, "0123456789abcdefABCDEF") < 4)
				return false;
		}
		else if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
			return false;
	}
	return p[1] == '\0';
}

/* As JSON, in the current memory context. */
static char *
string_literal(const char *text)
{
	ByteBuffer literal;

	buffer_init(&literal);
	wal2json_string(&literal, text);
	return buffer_text(&literal);
}

static Form_pg_type
find_type(Oid oid, HeapTuple *tuple)
{
	*tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(*tuple))
		elog(ERROR, "cache lookup failed for type %u", oid);
	return (Form_pg_type) GETSTRUCT(*tuple);
}

/*
 * The type that is named as the column's: the declared one, or the one that a
 * domain is directly made of.
 */
static Oid
shown_type(const Wal2json *wal2json, Form_pg_attribute attr, int32 *typmod)
{
	HeapTuple	 tuple;
	Form_pg_type form = find_type(attr->atttypid, &tuple);
	Oid			 oid = attr->atttypid;

	*typmod = attr->atttypmod;
	if (wal2json->include_domain_data_type && form->typtype == TYPTYPE_DOMAIN)
	{
		oid = form->typbasetype;
		*typmod = form->typtypmod;
	}
	ReleaseSysCache(tuple);
	return oid;
}

static char *
type_name(const Wal2json *wal2json, Oid oid, int32 typmod)
{
	HeapTuple	 tuple;
	Form_pg_type form;
	char		*name;

	if (wal2json->include_typmod)
		name = format_type_with_typemod(oid, typmod);
	else
	{
		form = find_type(oid, &tuple);
		name = pstrdup(NameStr(form->typname));
		ReleaseSysCache(tuple);
	}
	return is_json_string(name) ? name : string_literal(name);
}

/* Each record has all defaults in it: those that are longer are not shown. */
#define MAX_SHOWN_DEFAULT (64 * 1024)

/* Without its relation, which the function would lock: it names no column. */
static char *
indented_default(const char *stored)
{
	return TextDatumGetCString(
		DirectFunctionCall2(pg_get_expr, CStringGetTextDatum(stored),
							ObjectIdGetDatum(InvalidOid)));
}

static char *
default_value(const RowShape *shape, const ColumnShape *column)
{
	bool  left_out = false;
	char *shown = column_default(shape, column, indented_default, &left_out);

	return shown && strlen(shown) <= MAX_SHOWN_DEFAULT ? string_literal(shown)
													   : "null";
}

void
wal2json_describe(const Wal2json *wal2json, RowShape *shape, int i,
				  Wal2jsonColumn *column, Wal2jsonLabels *labels)
{
	ColumnShape		 *source = &shape->columns[i];
	Form_pg_attribute attr = TupleDescAttr(shape->desc, source->attnum - 1);
	int32			  typmod;
	Oid				  shown = shown_type(wal2json, attr, &typmod);

	column->shape = shape;
	column->index = i;
	column->at = source->attnum - 1;
	column->literal = type_declared_kind(attr->atttypid);
	column->is_key = source->is_key || shape->identity == 'f';
	column->may_toast = attr->attlen == -1;

	labels->name = string_literal(source->name);
	labels->type = type_name(wal2json, shown, typmod);
	labels->declared = attr->atttypid;
	labels->shown = shown;
	labels->default_value =
		wal2json->include_default ? default_value(shape, source) : "null";
}
