/*
 * filter_objects.c
 *		What the names in a filter stand for.
 *
 * A filter is kept as text, and its names are looked up whenever it is used: in
 * a queue or at a resume somebody may have made a function that fits better, or
 * another schema of that name.  So the functions, operators, types and
 * collations that they stood for at the call are kept beside it, and nothing
 * else is ever called.  The server's own can't be replaced; those that follow
 * from a column's type may be others when that is altered.  A constant may be a
 * name, too: its value is kept.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "export/plan/source.h"
#include "compat.h"

/* Each ends with a space, so that one can be looked for. */
#define OBJECT_TEXT "%u/%u "

/* They end with their session, and workers are others. */
static void
refuse_temporary(Oid catalog, Oid object)
{
	ObjectAddress address;

	ObjectAddressSet(address, catalog, object);
	if (isAnyTempNamespace(get_object_namespace(&address)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid filter"),
						errdetail("It must not use temporary objects.")));
}

static void
add_object(StringInfo out, Oid catalog, Oid object)
{
	if (object < FirstNormalObjectId)
		return;
	refuse_temporary(catalog, object);
	appendStringInfo(out, OBJECT_TEXT, catalog, object);
}

static bool
add_function(Oid function, void *context)
{
	add_object(context, ProcedureRelationId, function);
	return false;
}

/* The planner may put an operator's negator or commutator in its place. */
static void
add_operators(StringInfo out, Node *node)
{
	ListCell *cell;

	if (IsA(node, OpExpr) || IsA(node, DistinctExpr) || IsA(node, NullIfExpr))
		add_object(out, OperatorRelationId, ((OpExpr *) node)->opno);
	else if (IsA(node, ScalarArrayOpExpr))
		add_object(out, OperatorRelationId,
				   ((ScalarArrayOpExpr *) node)->opno);
	else if (IsA(node, RowCompareExpr))
	{
		foreach (cell, ((RowCompareExpr *) node)->opnos)
			add_object(out, OperatorRelationId, lfirst_oid(cell));
	}
}

static bool type_reads_names(Oid type);

static bool
row_reads_names(Oid row)
{
	TupleDesc columns = lookup_rowtype_tupdesc(row, -1);
	bool	  reads = false;

	for (int i = 0; i < columns->natts && !reads; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, i);

		reads = !column->attisdropped && type_reads_names(column->atttypid);
	}
	ReleaseTupleDesc(columns);
	return reads;
}

/* Whether values of the type are read from names of what has an OID. */
static bool
type_reads_names(Oid type)
{
	static const Oid readers[] = {
		ACLITEMOID,		  REGCLASSOID,	   REGCOLLATIONOID, REGCONFIGOID,
		REGDICTIONARYOID, REGNAMESPACEOID, REGOPERATOROID,	REGOPEROID,
		REGPROCEDUREOID,  REGPROCOID,	   REGROLEOID,		REGTYPEOID,
#ifdef REGDATABASEOID /* PostgreSQL 19 */
		REGDATABASEOID,
#endif
	};
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	check_stack_depth();
	if (!OidIsValid(element))
		element = get_multirange_range(base);
	if (!OidIsValid(element))
		element = get_range_subtype(base);
	if (OidIsValid(element))
		return type_reads_names(element);
	if (OidIsValid(get_typ_typrelid(base)))
		return row_reads_names(base);
	for (int i = 0; i < lengthof(readers); i++)
	{
		if (readers[i] == base)
			return true;
	}
	return type_is_enum(base);
}

/* What the name of a constant stands for: its value, to the last byte. */
static void
add_constant(StringInfo out, const Const *constant)
{
	Datum		value = constant->constvalue;
	const char *bytes;
	Size		len;

	if (constant->constisnull || !type_reads_names(constant->consttype))
		return;
	if (constant->constbyval)
	{
		appendStringInfo(out, OBJECT_TEXT, constant->consttype,
						 DatumGetObjectId(value));
		return;
	}
	bytes = DatumGetPointer(value);
	len = datumGetSize(value, false, constant->constlen);
	for (Size i = 0; i < len; i++)
		appendStringInfo(out, "%02x", (unsigned char) bytes[i]);
	appendStringInfoChar(out, ' ');
}

/* A column is the table's, whatever its type. */
static bool
add_objects(Node *node, void *context)
{
	if (node == NULL || IsA(node, Var))
		return false;
	if (!IsA(node, List))
		add_object(context, TypeRelationId, exprType(node));
	if (IsA(node, CollateExpr))
		add_object(context, CollationRelationId,
				   ((CollateExpr *) node)->collOid);
	if (IsA(node, Const))
		add_constant(context, (Const *) node);
	add_operators(context, node);
	(void) check_functions_in_node(node, add_function, context);
	return expression_tree_walker(node, add_objects, context);
}

char *
filter_objects(Node *filter)
{
	StringInfoData out;

	initStringInfo(&out);
	(void) add_objects(filter, &out);
	return out.data;
}

pg_noreturn static void
refuse_other_meaning(const JobSource *source)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("the filter of table %s means something else than when "
					"the export was called",
					source->name),
			 errdetail("A function, operator, type or collation that it names "
					   "is another one now, or is gone.")));
}

static const char *
objects_of_source(const JobSource *source)
{
	return source->objects ? source->objects : "";
}

/* Whole: no end of a longer number. */
static bool
has_object(const char *objects, const char *object)
{
	const char *found = objects;

	while ((found = strstr(found, object)) != NULL)
	{
		if (found == objects || found[-1] == ' ')
			return true;
		found++;
	}
	return false;
}

static void
check_type(const JobSource *source, const TypeName *name)
{
	Oid			   type = LookupTypeNameOid(NULL, name, true);
	StringInfoData object;

	initStringInfo(&object);
	add_object(&object, TypeRelationId, type);
	if (!OidIsValid(type) ||
		!has_object(objects_of_source(source), object.data))
		refuse_other_meaning(source);
}

static bool
check_named(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, TypeName))
	{
		check_type(context, (TypeName *) node);
		return false;
	}
	if (IsA(node, CollateClause) &&
		!OidIsValid(
			get_collation_oid(((CollateClause *) node)->collname, true)))
		refuse_other_meaning(context);
	return raw_expression_tree_walker(node, check_named, context);
}

void
filter_check_names(const JobSource *source, Node *raw)
{
	(void) check_named(raw, unconstify(JobSource *, source));
}

void
filter_check_objects(const JobSource *source, Node *filter)
{
	if (strcmp(filter_objects(filter), objects_of_source(source)) != 0)
		refuse_other_meaning(source);
}
