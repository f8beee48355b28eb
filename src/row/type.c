/*
 * type.c
 *		From a type's OID to its kind and everything that encoders need of it.
 *
 * This is the one place that knows type OIDs.  A type that isn't named here
 * is KIND_OTHER and is written by its own output function.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "catalog/pg_enum.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "row/row_internal.h"

typedef struct EnumLabel
{
	Oid		 oid;
	char	 status;
	NameData label;
} EnumLabel;

#define SH_PREFIX				enum
#define SH_ELEMENT_TYPE			EnumLabel
#define SH_KEY_TYPE				Oid
#define SH_KEY					oid
#define SH_HASH_KEY(table, key) murmurhash32(key)
#define SH_EQUAL(table, a, b)	((a) == (b))
#define SH_SCOPE				static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * Types can be nested without end, and one that holds another twice, which
 * does the same, has more parts than fit into any memory.  A relation's types
 * have so many levels and parts, in all; what goes beyond them is taken as a
 * whole.
 */
#define MAX_LEVELS 100
#define MAX_PARTS  50000

static int levels;
static int parts;

void
type_parts_begin(void)
{
	levels = parts = 0;
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
 * conversion to JSON.
 */
static bool
init_hstore(TypeShape *shape, Form_pg_type form)
{
	char *namespace;
	char *out_library, *json_library;
	Oid	  to_json;

	if (strcmp(NameStr(form->typname), "hstore") != 0 ||
		!is_c_function(form->typoutput, "hstore_out", &out_library))
		return false;
	namespace = get_namespace_name(form->typnamespace);
	if (namespace == NULL)
		return false;
	to_json = LookupFuncName(
		list_make2(makeString(namespace), makeString("hstore_to_json")), 1,
		&shape->base, true);
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
		shape->is_whole = true;
	else if (form->typtype == TYPTYPE_COMPOSITE)
	{
		shape->kind = KIND_COMPOSITE;
		shape->fields = row_shape_of_composite(shape->base);
		parts += shape->fields->ncolumns;
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
 * Of output functions whose text is the stored bytes, or nearly so.  A jsonpath
 * has numbers that take 24 bytes, and up to 147,500 characters as text.  Of all
 * others bit's writes most, a character for each bit.
 */
static uint16
output_growth(Oid output)
{
	switch (output)
	{
		case F_TEXTOUT:
		case F_XML_OUT:
			return 1;
		case F_JSONPATH_OUT:
			return 8192;
		default:
			return 8;
	}
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
	shape->base_growth = output_growth(form->typoutput);
	fmgr_info_cxt(form->typoutput, &shape->output, CurrentMemoryContext);

	shape->kind = builtin_kind(shape->base);
	if (shape->kind == KIND_OTHER)
	{
		levels++;
		parts++;
		init_structure(shape, form);
		levels--;
	}
	ReleaseSysCache(tuple);
}

char *
type_shape_name(const TypeShape *type)
{
	/* a domain's typmod belongs to its base type, not to its own name */
	return format_type_extended(
		type->oid, type->oid == type->base ? type->typmod : -1,
		FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_ALLOW_INVALID);
}

static bool
is_named(Oid oid, const char *name)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	bool	  result = false;

	if (HeapTupleIsValid(tuple))
	{
		result = strcmp(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname),
						name) == 0;
		ReleaseSysCache(tuple);
	}
	return result;
}

bool
type_shape_is_named(const TypeShape *type, const char *name)
{
	return is_named(type->oid, name) ||
		   (type->base != type->oid && is_named(type->base, name));
}

bool
type_name_exists(const char *name)
{
	NameData  key;
	CatCList *list;
	bool	  result;

	if (strlen(name) >= NAMEDATALEN)
		return false;
	namestrcpy(&key, name);
	list = SearchSysCacheList1(TYPENAMENSP, NameGetDatum(&key));
	result = list->n_members > 0;
	ReleaseCatCacheList(list);
	return result;
}

const char *
enum_label(TypeShape *type, Oid value)
{
	EnumLabel *entry = NULL;
	HeapTuple  tuple;
	bool	   found;

	if (likely(type->labels))
		entry = enum_lookup(type->labels, value);
	if (likely(entry))
		return NameStr(entry->label);

	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid internal value for enum: %u", value)));
	/* most columns never see a value, or few */
	if (type->labels == NULL)
		type->labels = enum_create(type->output.fn_mcxt, 4, NULL);
	entry = enum_insert(type->labels, value, &found);
	entry->label = ((Form_pg_enum) GETSTRUCT(tuple))->enumlabel;
	ReleaseSysCache(tuple);
	return NameStr(entry->label);
}

static int
by_sort_order(const void *a, const void *b)
{
	HeapTuple left = &(*(CatCTup *const *) a)->tuple;
	HeapTuple right = &(*(CatCTup *const *) b)->tuple;
	float4	  l = ((Form_pg_enum) GETSTRUCT(left))->enumsortorder;
	float4	  r = ((Form_pg_enum) GETSTRUCT(right))->enumsortorder;

	return l < r ? -1 : l > r;
}

List *
enum_labels(const TypeShape *type)
{
	CatCList *list =
		SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type->base));
	CatCTup **members = palloc(sizeof(CatCTup *) * Max(list->n_members, 1));
	List	 *labels = NIL;

	memcpy(members, list->members, sizeof(CatCTup *) * list->n_members);
	qsort(members, list->n_members, sizeof(CatCTup *), by_sort_order);
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_enum form = (Form_pg_enum) GETSTRUCT(&members[i]->tuple);

		labels = lappend(labels, pstrdup(NameStr(form->enumlabel)));
	}
	pfree(members);
	ReleaseCatCacheList(list);
	return labels;
}
