/*
 * type.c
 *		From a type's OID to its kind and everything that encoders need of it,
 *		and from a row's descriptor to its columns, which composites nest.
 *
 * This is the one place that knows type OIDs.  A type that isn't named here
 * is KIND_OTHER and is written by its own output function.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "compat.h"
#include "row/row_internal.h"

/*
 * Types can be nested without end, and one that holds another twice, which
 * does the same, has more parts than fit into any memory.  A relation's types
 * have so many levels and parts, in all; what goes beyond them is taken as a
 * whole.
 */
#define MAX_LEVELS 100
#define MAX_PARTS  50000

static int	 levels;
static int	 parts;
static bool	 is_shown;	 /* in a stream, which has to know of names */
static List *composites; /* RowShapes, of which each type has one descriptor */

static void
count_parts_anew(bool shown)
{
	levels = parts = 0;
	is_shown = shown;
	composites = NIL;
}

/* The kind of a built-in base type; KIND_OTHER if it has none of its own. */
static TypeKind
builtin_kind(Oid base)
{
	switch (base)
	{
		case BOOLOID:
			return KIND_BOOL;
		case INT2OID:
			return KIND_INT2;
		case INT4OID:
			return KIND_INT4;
		case INT8OID:
			return KIND_INT8;
		case OIDOID:
		case XIDOID:
		case CIDOID:
			return KIND_OID;
		case FLOAT4OID:
			return KIND_FLOAT4;
		case FLOAT8OID:
			return KIND_FLOAT8;
		case NUMERICOID:
			return KIND_NUMERIC;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return KIND_TEXT;
		case NAMEOID:
			return KIND_NAME;
		case BYTEAOID:
			return KIND_BYTEA;
		case UUIDOID:
			return KIND_UUID;
		case DATEOID:
			return KIND_DATE;
		case TIMEOID:
			return KIND_TIME;
		case TIMETZOID:
			return KIND_TIMETZ;
		case TIMESTAMPOID:
			return KIND_TIMESTAMP;
		case TIMESTAMPTZOID:
			return KIND_TIMESTAMPTZ;
		case JSONOID:
			return KIND_JSON;
		case JSONBOID:
			return KIND_JSONB;
		default:
			return KIND_OTHER;
	}
}

TypeKind
type_declared_kind(Oid oid)
{
	return oid == XIDOID || oid == CIDOID ? KIND_OTHER : builtin_kind(oid);
}

/* Whether function is C function "name" of library "probin". */
static bool
is_c_function(Oid function, const char *name, char **probin)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool	  result = false;
	Datum	  datum;
	bool	  isnull;

	if (!HeapTupleIsValid(tuple))
		return false;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId)
	{
		datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
		result = !isnull && strcmp(TextDatumGetCString(datum), name) == 0;
		datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &isnull);
		result = result && !isnull;
		if (result)
			*probin = TextDatumGetCString(datum);
	}
	ReleaseSysCache(tuple);
	return result;
}

/*
 * hstore is an extension's type, so it has no fixed OID.  It is recognised by
 * the C function behind its output, and written by the same library's
 * conversion to JSON, which needs no right to look into its schema.
 */
static bool
init_hstore(TypeShape *shape, Form_pg_type form)
{
	char *out_library, *json_library;
	Oid	  to_json;

	if (strcmp(NameStr(form->typname), "hstore") != 0 ||
		!is_c_function(form->typoutput, "hstore_out", &out_library))
		return false;
	to_json = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							  CStringGetDatum("hstore_to_json"),
							  PointerGetDatum(buildoidvector(&shape->base, 1)),
							  ObjectIdGetDatum(form->typnamespace));
	if (!OidIsValid(to_json) ||
		!is_c_function(to_json, "hstore_to_json", &json_library) ||
		strcmp(out_library, json_library) != 0)
		return false;
	shape->to_json = palloc_object(FmgrInfo);
	fmgr_info_cxt(to_json, shape->to_json, CurrentMemoryContext);
	shape->kind = KIND_HSTORE;
	return true;
}

/* pgvector's type, recognised likewise. */
static bool
is_vector(Form_pg_type form)
{
	char *library;

	return strcmp(NameStr(form->typname), "vector") == 0 &&
		   form->typlen == -1 &&
		   is_c_function(form->typoutput, "vector_out", &library);
}

/* What a range consists of. */
static Oid
range_subtype(Oid range, char typtype)
{
	return typtype == TYPTYPE_RANGE ? get_range_subtype(range)
									: get_multirange_range(range);
}

/* With a descriptor that is the shape's own from now on. */
static RowShape *
shape_of_desc(Oid relid, TupleDesc desc)
{
	int		  natts = desc->natts;
	RowShape *shape =
		palloc0(sizeof(RowShape) +
				(sizeof(ColumnShape) + sizeof(Datum) + sizeof(bool)) * natts);

	shape->context = CurrentMemoryContext;
	shape->relid = relid;
	shape->desc = desc;
	shape->values = (Datum *) (shape + 1);
	shape->columns = (ColumnShape *) (shape->values + natts);
	shape->nulls = (bool *) (shape->columns + natts);
	return shape;
}

RowShape *
row_shape_new(Oid relid, TupleDesc desc)
{
	return shape_of_desc(relid, row_desc_copy(desc, true));
}

static void
fill_columns(RowShape *shape, ColumnFilter filter, void *arg)
{
	int natts = shape->desc->natts;

	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(shape->desc, i);
		ColumnShape		 *column = &shape->columns[shape->ncolumns];

		if (attr->attisdropped ||
			!(filter ? filter(attr, arg) : attribute_is_stored(attr)))
			continue;
		shape->ncolumns++;
		column->name = NameStr(attr->attname);
		column->attnum = attr->attnum;
		column->not_null = attribute_is_not_null(shape->desc, i);
		column->is_generated = attr->attgenerated != '\0';
		type_shape_init(&column->type, attr->atttypid, attr->atttypmod);
	}
}

void
row_shape_columns(RowShape *shape, ColumnFilter filter, void *arg)
{
	count_parts_anew(true);
	fill_columns(shape, filter, arg);
}

/* Takes no lock, as index_columns(). */
static TupleDesc
desc_of_composite(Oid relid)
{
	Relation  rel = RelationIdGetRelation(relid);
	TupleDesc desc;

	if (!RelationIsValid(rel))
		elog(ERROR, "could not open relation with OID %u", relid);
	desc = row_desc_copy(RelationGetDescr(rel), false);
	RelationClose(rel);
	return desc;
}

/*
 * A descriptor may be large by values that columns were added with, which
 * deforming needs.
 */
static RowShape *
shape_of_composite(Oid type)
{
	Oid		  relid = get_typ_typrelid(type);
	TupleDesc desc = NULL;
	RowShape *shape;
	ListCell *lc;

	foreach (lc, composites)
	{
		const RowShape *other = lfirst(lc);

		if (other->relid == relid)
			desc = other->desc;
	}
	if (desc)
		shape = shape_of_desc(relid, desc);
	else
	{
		shape = shape_of_desc(relid, desc_of_composite(relid));
		composites = lappend(composites, shape);
	}
	shape->schema = "";
	shape->name = "";
	parts += shape->desc->natts; /* dropped ones take as much */
	fill_columns(shape, NULL, NULL);
	return shape;
}

/*
 * Whether the values' text is the name of what they refer to.  Functions of
 * extensions are taken for ones that look at nothing but the value.
 */
static bool
writes_names(Oid output)
{
	switch (output)
	{
		case F_REGCLASSOUT:
		case F_REGTYPEOUT:
		case F_REGPROCOUT:
		case F_REGPROCEDUREOUT:
		case F_REGOPEROUT:
		case F_REGOPERATOROUT:
		case F_REGCOLLATIONOUT:
		case F_REGCONFIGOUT:
		case F_REGDICTIONARYOUT:
		case F_REGNAMESPACEOUT:
		case F_REGROLEOUT:
		case F_ACLITEMOUT:
#ifdef F_REGDATABASEOUT
		case F_REGDATABASEOUT: /* 19 */
#endif
			return true;
		default:
			return false;
	}
}

static void
watch_names(void)
{
	if (is_shown)
		invalidation_watch_names();
}

/* The parts of a type that isn't built in, or has elements or fields. */
static void
init_structure(TypeShape *shape, Form_pg_type form)
{
	bool is_array =
		form->typsubscript == F_ARRAY_SUBSCRIPT_HANDLER && form->typlen == -1;
	bool is_range =
		form->typtype == TYPTYPE_RANGE || form->typtype == TYPTYPE_MULTIRANGE;

	if (form->typtype == TYPTYPE_ENUM)
		shape->kind = KIND_ENUM;
	else if ((is_array || is_range || form->typtype == TYPTYPE_COMPOSITE) &&
			 (levels >= MAX_LEVELS || parts >= MAX_PARTS))
	{
		shape->is_whole = true;
		watch_names(); /* there may be some in it */
	}
	else if (form->typtype == TYPTYPE_COMPOSITE)
	{
		shape->kind = KIND_COMPOSITE;
		shape->fields = shape_of_composite(shape->base);
	}
	else if (is_array || is_range)
	{
		if (is_array)
			shape->kind = KIND_ARRAY;
		shape->element = palloc0_object(TypeShape);
		type_shape_init(shape->element,
						is_array ? form->typelem
								 : range_subtype(shape->base, form->typtype),
						is_array ? shape->typmod : -1);
	}
	else if (is_vector(form))
		shape->kind = KIND_VECTOR;
	else
		init_hstore(shape, form);
}

/*
 * What is known of an output function.  The text of most is the stored bytes,
 * or nearly so; of all others bit's writes most, a character for each bit.
 *
 * Two of the server's types have values that are nested, and so may those of
 * any extension.
 */
static void
init_base(TypeShape *shape, Oid output)
{
	shape->base_growth = output == F_TEXTOUT || output == F_XML_OUT ? 1 : 8;
	shape->base_is_bits = output == F_BIT_OUT || output == F_VARBIT_OUT;
	shape->has_numbers = output == F_JSONPATH_OUT;
	shape->may_nest = output == F_JSONPATH_OUT || output == F_TSQUERYOUT ||
					  output >= FirstNormalObjectId;
}

void
type_shape_init(TypeShape *shape, Oid oid, int32 typmod)
{
	HeapTuple	 tuple;
	Form_pg_type form;

	check_stack_depth();

	memset(shape, 0, sizeof(*shape));
	shape->oid = oid;
	shape->typmod = typmod;
	shape->base = getBaseTypeAndTypmod(oid, &shape->typmod);
	invalidation_watch_type(oid);
	invalidation_watch_type(shape->base);

	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(shape->base));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", shape->base);
	form = (Form_pg_type) GETSTRUCT(tuple);
	shape->len = form->typlen;
	shape->byval = form->typbyval;
	shape->align = form->typalign;
	shape->send = form->typsend;
	shape->typtype = form->typtype;
	init_base(shape, form->typoutput);
	fmgr_info_cxt(form->typoutput, &shape->output, CurrentMemoryContext);

	shape->kind = builtin_kind(shape->base);
	if (shape->kind == KIND_OTHER)
	{
		levels++;
		parts++;
		if (writes_names(form->typoutput))
			watch_names();
		init_structure(shape, form);
		levels--;
	}
	ReleaseSysCache(tuple);
}

TypeShape *
type_shape_alone(Oid oid)
{
	TypeShape *shape = palloc_object(TypeShape);

	count_parts_anew(false);
	type_shape_init(shape, oid, -1);
	return shape;
}
