/*
 * type_name.c
 *		Names: those of types and the labels of enums.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "row/row.h"

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

/*
 * Those of all enums, until one is renamed or they are too many: a table may have
 * more columns of an enum, and the enum more labels, than fit into memory for each
 * column.
 */
#define MAX_LABELS 32768

static enum_hash *known_labels = NULL;
static bool		  labels_stale;

static void
labels_changed(Datum arg, int cacheid, uint32 hash)
{
	/* one may be in use */
	labels_stale = true;
}

/* The server keeps such callbacks for the life of the process. */
static void
labels_create(void)
{
	known_labels = enum_create(AllocSetContextCreate(TopMemoryContext,
													 "outflow enum labels",
													 ALLOCSET_DEFAULT_SIZES),
							   64, NULL);
	CacheRegisterSyscacheCallback(ENUMOID, labels_changed, (Datum) 0);
}

const char *
enum_label(Oid value)
{
	EnumLabel *entry;
	HeapTuple  tuple;
	bool	   found;

	if (unlikely(known_labels == NULL))
		labels_create();
	if (unlikely(labels_stale || known_labels->members >= MAX_LABELS))
		enum_reset(known_labels);
	labels_stale = false;
	entry = enum_lookup(known_labels, value);
	if (likely(entry))
		return NameStr(entry->label);

	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid internal value for enum: %u", value)));
	entry = enum_insert(known_labels, value, &found);
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
