/*
 * signature.c
 *		The signature of all that a part's output depends on besides its heap
 *		pages.
 *
 * Columns, types, enum labels, nested composites, domains and generation
 * expressions are written down as text, together with the caller's own part,
 * and hashed.  Equal signatures mean that equal tuples give equal output.
 * Types whose text is read from catalogs, such as regclass, and filters whose
 * meaning may change have no signature.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tupdesc_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "export/proof/stamp.h"

/* Raised when the same tuples would be written as other bytes than before. */
#define OUTPUT_VERSION 1

typedef struct Description
{
	StringInfoData text;
	List		  *types;	/* described already */
	const char	  *trouble; /* why there is no signature, or NULL */
} Description;

static void describe_type(Description *description, Oid type);

/* Names and expressions may hold anything: their length keeps them apart. */
static void
append_text(StringInfo text, const char *value)
{
	appendStringInfo(text, " %zu:%s", strlen(value), value);
}

static void
set_trouble(Description *description, const char *format, const char *name)
{
	if (description->trouble == NULL)
		description->trouble = psprintf(format, name);
}

/* A user's function is what its source says; a built-in one never changes. */
static void
describe_function(Description *description, Oid function)
{
	static const AttrNumber sources[] = {Anum_pg_proc_prosrc,
										 Anum_pg_proc_probin};
	HeapTuple				tuple;

	appendStringInfo(&description->text, " function %u", function);
	if (function < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	for (int i = 0; i < lengthof(sources); i++)
	{
		bool  isnull;
		Datum source = SysCacheGetAttr(PROCOID, tuple, sources[i], &isnull);

		append_text(&description->text,
					isnull ? "" : TextDatumGetCString(source));
	}
	ReleaseSysCache(tuple);
}

/* An extension's update may change what its functions write. */
static void
describe_extension_of(Description *description, Oid class, Oid object)
{
	Oid			extension = getExtensionOfObject(class, object);
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(extension))
		return;
	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan =
		systable_beginscan(catalog, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool  isnull;
		Datum version = heap_getattr(tuple, Anum_pg_extension_extversion,
									 RelationGetDescr(catalog), &isnull);

		append_text(&description->text, TextDatumGetCString(version));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/*
 * Output functions that are not immutable read settings, which a job captures,
 * or catalogs, which it can't.  Among the built-in ones, those of dates, times and
 * money are of the first sort; of others nobody knows.
 */
static bool
reads_catalogs(Form_pg_type type)
{
	return func_volatile(type->typoutput) != PROVOLATILE_IMMUTABLE &&
		   type->typcategory != TYPCATEGORY_DATETIME &&
		   type->typcategory != TYPCATEGORY_TIMESPAN &&
		   type->typoutput != F_CASH_OUT;
}

static void
describe_base(Description *description, Form_pg_type type)
{
	if (type->typtype != TYPTYPE_BASE || reads_catalogs(type))
		set_trouble(description, "values of type %s depend on catalogs",
					format_type_be(type->oid));
	appendStringInfo(&description->text, " base %d %c %c", type->typlen,
					 type->typbyval ? 't' : 'f', type->typalign);
	describe_function(description, type->typoutput);
	if (OidIsValid(type->typsend))
		describe_function(description, type->typsend);
	describe_extension_of(description, TypeRelationId, type->oid);
}

static void
describe_enum(Description *description, Oid type)
{
	CatCList *labels =
		SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));

	/* in the order of the names, whatever the order of the values */
	appendStringInfo(&description->text, " enum %d", labels->n_members);
	for (int i = 0; i < labels->n_members; i++)
	{
		Form_pg_enum label =
			(Form_pg_enum) GETSTRUCT(&labels->members[i]->tuple);

		appendStringInfo(&description->text, " %u", label->oid);
		append_text(&description->text, NameStr(label->enumlabel));
	}
	ReleaseSysCacheList(labels);
}

static void
describe_composite(Description *description, Oid type)
{
	TupleDesc desc = lookup_rowtype_tupdesc(type, -1);

	appendStringInfo(&description->text, " composite %d", desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute field = TupleDescAttr(desc, i);

		if (field->attisdropped)
		{
			appendStringInfoString(&description->text, " dropped");
			continue;
		}
		append_text(&description->text, NameStr(field->attname));
		appendStringInfo(&description->text, " %u %d", field->atttypid,
						 field->atttypmod);
	}
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			describe_type(description, TupleDescAttr(desc, i)->atttypid);
	}
	ReleaseTupleDesc(desc);
}

/* Describes a type and all that it is made of, each type once. */
static void
describe_type(Description *description, Oid oid)
{
	HeapTuple	 tuple;
	Form_pg_type type;
	Oid			 inner = InvalidOid;

	check_stack_depth();
	if (list_member_oid(description->types, oid))
		return;
	description->types = lappend_oid(description->types, oid);

	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", oid);
	type = (Form_pg_type) GETSTRUCT(tuple);
	appendStringInfo(&description->text, "\ntype %u", oid);

	switch (type->typtype)
	{
		case TYPTYPE_COMPOSITE:
			describe_composite(description, oid);
			break;
		case TYPTYPE_ENUM:
			describe_enum(description, oid);
			break;
		case TYPTYPE_DOMAIN:
			appendStringInfo(&description->text, " domain %u %d",
							 type->typbasetype, type->typtypmod);
			inner = type->typbasetype;
			break;
		case TYPTYPE_RANGE:
			inner = get_range_subtype(oid);
			appendStringInfo(&description->text, " range %u", inner);
			break;
		case TYPTYPE_MULTIRANGE:
			inner = get_multirange_range(oid);
			appendStringInfo(&description->text, " multirange %u", inner);
			break;
		default:
			if (IsTrueArrayType(type))
			{
				inner = type->typelem;
				appendStringInfo(&description->text, " array %u", inner);
			}
			else
				describe_base(description, type);
			break;
	}
	ReleaseSysCache(tuple);
	if (OidIsValid(inner))
		describe_type(description, inner);
}

/* What a tuple that is older than its column shows in it. */
static void
describe_missing_value(StringInfo text, TupleDesc desc, AttrNumber attnum)
{
	Form_pg_attribute column = TupleDescAttr(desc, attnum - 1);
	AttrMissing		 *missing;
	char			 *image;
	Size			  size;

	if (!column->atthasmissing || desc->constr == NULL ||
		desc->constr->missing == NULL)
		return;
	missing = &desc->constr->missing[attnum - 1];
	if (!missing->am_present)
		return;

	/* stored values of the catalog: never compressed, never out of line */
	size = datumGetSize(missing->am_value, column->attbyval, column->attlen);
	image = column->attbyval ? (char *) &missing->am_value
							 : DatumGetPointer(missing->am_value);
	appendStringInfo(text, " missing %zu:", size);
	appendBinaryStringInfo(text, image, size);
}

static void
describe_column(Description *description, TupleDesc desc, AttrNumber attnum)
{
	Form_pg_attribute column = TupleDescAttr(desc, attnum - 1);

	appendStringInfo(&description->text, "\ncolumn %d", attnum);
	append_text(&description->text, NameStr(column->attname));
	appendStringInfo(&description->text, " %u %d %u %c", column->atttypid,
					 column->atttypmod, column->attcollation,
					 attribute_is_not_null(desc, attnum - 1) ? 'n' : '-');
	if (column->attgenerated != '\0' && desc->constr != NULL)
	{
		appendStringInfo(&description->text, " generated %c",
						 column->attgenerated);
		for (int i = 0; i < desc->constr->num_defval; i++)
		{
			if (desc->constr->defval[i].adnum == attnum)
				append_text(&description->text, desc->constr->defval[i].adbin);
		}
	}
	describe_missing_value(&description->text, desc, attnum);
	describe_type(description, column->atttypid);
}

/*
 * What a function of a library does is in its catalog row and its extension's
 * version.  One whose source was not inlined may call others by name.
 */
static bool
describe_called(Oid function, void *context)
{
	Description *description = context;
	HeapTuple	 tuple;
	Oid			 language;

	describe_function(description, function);
	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	if (language != ClanguageId && language != INTERNALlanguageId)
		set_trouble(description,
					"nobody can tell what the filter's function %s calls",
					get_func_name(function));
	describe_extension_of(description, ProcedureRelationId, function);
	return false;
}

/*
 * Built-in functions compare elements, fields and bounds by the operators of
 * their types, which don't show in the expression.
 */
static bool
has_fixed_operators(Oid type)
{
	Oid element;

	type = getBaseType(type);
	element = get_base_element_type(type);
	if (OidIsValid(element))
		type = getBaseType(element);
	return type < FirstNormalObjectId || get_typtype(type) == TYPTYPE_ENUM ||
		   OidIsValid(getExtensionOfObject(TypeRelationId, type));
}

static bool
describe_node(Node *node, void *context)
{
	Description *description = context;

	if (node == NULL)
		return false;
	if (!IsA(node, List))
	{
		Oid type = exprType(node);

		if (!has_fixed_operators(type))
			set_trouble(description,
						"operators of the filter's type %s may be redefined",
						format_type_be(type));
		if (IsA(node, CoerceToDomain))
			set_trouble(description,
						"the filter checks constraints of domain %s",
						format_type_be(type));
		describe_type(description, type);
	}
	(void) check_functions_in_node(node, describe_called, description);
	return expression_tree_walker(node, describe_node, context);
}

/* A simplified expression: SQL functions are inlined, constants folded. */
static void
describe_filter(Description *description, Node *filter)
{
	if (filter == NULL)
		return;
	appendStringInfoString(&description->text, "\nfilter");
	append_text(&description->text, nodeToString(filter));
	(void) describe_node(filter, description);
}

static void
hash_text(Signature *signature, const StringInfo text)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL || pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (uint8 *) text->data, text->len) < 0 ||
		pg_cryptohash_final(hash, signature->bytes, sizeof(signature->bytes)) <
			0)
		elog(ERROR, "could not compute a signature");
	pg_cryptohash_free(hash);
}

const char *
signature_of(Signature *signature, Relation rel, const Bitmapset *columns,
			 Node *filter, const char *output)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Description description = {0};

	initStringInfo(&description.text);
	appendStringInfo(&description.text, "output %d of %s", OUTPUT_VERSION,
					 PG_MAJORVERSION);
	append_text(&description.text, output);

	/* a filter may look at any column */
	for (AttrNumber attnum = 1; attnum <= desc->natts; attnum++)
	{
		if (!TupleDescAttr(desc, attnum - 1)->attisdropped &&
			(columns == NULL || filter != NULL ||
			 bms_is_member(attnum, columns)))
			describe_column(&description, desc, attnum);
	}
	describe_filter(&description, filter);

	hash_text(signature, &description.text);
	return description.trouble;
}
