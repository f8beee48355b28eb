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

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "export/proof/signature_type.h"
#include "export/proof/stamp.h"

/* Raised when the same tuples would be written as other bytes than before. */
#define OUTPUT_VERSION 3

static void
describe_column(Description *description, TupleDesc desc, AttrNumber attnum)
{
	Form_pg_attribute column = TupleDescAttr(desc, attnum - 1);

	appendStringInfo(&description->text, "\ncolumn %d", attnum);
	description_append(&description->text, NameStr(column->attname));
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
				description_append(&description->text,
								   desc->constr->defval[i].adbin);
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
filter_describe_called(Oid function, void *context)
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
		description_trouble(
			description, "nobody can tell what the filter's function %s calls",
			get_func_name(function));
	describe_extension_of(description, ProcedureRelationId, function);
	return false;
}

/*
 * Built-in functions compare elements, fields and bounds by the operators of
 * their types, which don't show in the expression.
 */
static bool
filter_has_fixed_operators(Oid type)
{
	Oid element;

	type = getBaseType(type);
	element = get_base_element_type(type);
	if (OidIsValid(element))
		type = getBaseType(element);
	return type < FirstNormalObjectId || get_typtype(type) == TYPTYPE_ENUM ||
		   OidIsValid(getExtensionOfObject(TypeRelationId, type));
}

/* Another version of a collation may order and compare otherwise. */
static void
filter_describe_collation(StringInfo out, Oid collation)
{
	bool  is_default = collation == DEFAULT_COLLATION_OID;
	Datum version;
	LOCAL_FCINFO(call, 1);

	if (!OidIsValid(collation))
		return;
	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0].value =
		ObjectIdGetDatum(is_default ? MyDatabaseId : collation);
	call->args[0].isnull = false;
	version = is_default ? pg_database_collation_actual_version(call)
						 : pg_collation_actual_version(call);
	description_append(out, call->isnull ? "" : TextDatumGetCString(version));
}

static bool
filter_describe_node(Node *node, void *context)
{
	Description *description = context;

	if (node == NULL)
		return false;
	if (!IsA(node, List))
	{
		Oid type = exprType(node);

		if (!filter_has_fixed_operators(type))
			description_trouble(
				description,
				"operators of the filter's type %s may be redefined",
				format_type_be(type));
		if (IsA(node, CoerceToDomain))
			description_trouble(description,
								"the filter checks constraints of domain %s",
								format_type_be(type));
		describe_type(description, type);
		filter_describe_collation(&description->text,
								  exprInputCollation(node));
	}
	(void) check_functions_in_node(node, filter_describe_called, description);
	return expression_tree_walker(node, filter_describe_node, context);
}

/* A simplified expression: SQL functions are inlined, constants folded. */
static void
describe_filter(Description *description, Node *filter)
{
	if (filter == NULL)
		return;
	appendStringInfoString(&description->text, "\nfilter");
	description_append(&description->text, nodeToString(filter));
	(void) filter_describe_node(filter, description);
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
	description_append(&description.text, output);

	for (AttrNumber attnum = 1; attnum <= desc->natts; attnum++)
	{
		if (!TupleDescAttr(desc, attnum - 1)->attisdropped &&
			(columns == NULL || bms_is_member(attnum, columns)))
			describe_column(&description, desc, attnum);
	}
	describe_filter(&description, filter);

	hash_text(signature, &description.text);
	return description.trouble;
}
