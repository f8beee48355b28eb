/*
 * signature_type.c
 *		Types and functions, as the signature has them: enum labels, nested
 *		composites, domains and ranges at any depth, and the versions of the
 *		extensions that they belong to.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tupdesc_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "export/proof/signature_type.h"

void
description_append(StringInfo text, const char *value)
{
	appendStringInfo(text, " %zu:%s", strlen(value), value);
}

void
description_trouble(Description *description, const char *format,
					const char *name)
{
	if (description->trouble == NULL)
		description->trouble = psprintf(format, name);
}

void
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

/* What a function's catalog row says that changes no result. */
static bool
is_without_effect(AttrNumber column)
{
	return column == Anum_pg_proc_procost || column == Anum_pg_proc_prorows ||
		   column == Anum_pg_proc_prosupport || column == Anum_pg_proc_proacl;
}

static void
describe_field(StringInfo text, Form_pg_attribute column, Datum value)
{
	Oid	 output;
	bool is_varlena;

	getTypeOutputInfo(column->atttypid, &output, &is_varlena);
	description_append(text, OidOutputFunctionCall(output, value));
}

/*
 * Besides its source, settings, strictness and, for a SECURITY DEFINER, the owner
 * decide what a function does; built-in ones can be altered, too.
 */
void
describe_function(Description *description, Oid function)
{
	Relation  catalog;
	TupleDesc desc;
	HeapTuple tuple;

	appendStringInfo(&description->text, " function %u", function);
	if (list_member_oid(description->functions, function))
		return;
	description->functions = lappend_oid(description->functions, function);

	catalog = table_open(ProcedureRelationId, AccessShareLock);
	desc = RelationGetDescr(catalog);
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	for (AttrNumber column = 1; column <= desc->natts; column++)
	{
		bool  isnull;
		Datum value = SysCacheGetAttr(PROCOID, tuple, column, &isnull);

		if (is_without_effect(column))
			continue;
		if (isnull)
			appendStringInfoString(&description->text, " -");
		else
			describe_field(&description->text, TupleDescAttr(desc, column - 1),
						   value);
	}
	ReleaseSysCache(tuple);
	table_close(catalog, AccessShareLock);
}

/* An extension's update may change what its functions write. */
void
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

		description_append(&description->text, TextDatumGetCString(version));
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
		description_trouble(description,
							"values of type %s depend on catalogs",
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
		description_append(&description->text, NameStr(label->enumlabel));
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
		description_append(&description->text, NameStr(field->attname));
		appendStringInfo(&description->text, " %u %d", field->atttypid,
						 field->atttypmod);
		/* of a table's type, there may be rows that it has shown elsewhere */
		describe_missing_value(&description->text, desc, field->attnum);
	}
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			describe_type(description, TupleDescAttr(desc, i)->atttypid);
	}
	ReleaseTupleDesc(desc);
}

/* Describes a type and all that it is made of, each type once. */
void
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
