/*
 * delta_schema.c
 *		The schema of a Delta table, from the columns of its files.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/formatting.h"

#include "compat.h"
#include "encode/delta/delta.h"

/* What Spark and others refuse in a name of a table without column mapping. */
#define REFUSED_IN_NAMES " ,;{}()\n\t="

static void delta_put_type(StringInfo out, const ParquetNode *node);

static void
check_name(const ParquetNode *node)
{
	if (strpbrk(node->name, REFUSED_IN_NAMES) == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("column \"%s\" cannot be in a Delta table",
					node->column->shape->name),
			 errdetail("A name there has no spaces, tabs, new lines and none "
					   "of \",;{}()=\"."),
			 errhint("Rename it, leave it out by \"columns\", or export a "
					 "materialized view that names it otherwise.")));
}

/* As readers of Delta do, whatever letters the database knows. */
static char *
fold_case(const char *name)
{
	List *unicode =
		list_make2(makeString("pg_catalog"), makeString("und-x-icu"));
	Oid collation = get_collation_oid(unicode, true);

	return str_tolower(name, strlen(name),
					   OidIsValid(collation) ? collation
											 : DEFAULT_COLLATION_OID);
}

/* Readers of Delta tell names apart by more than case.  Sets folded[i]. */
static void
check_apart(char **folded, int i, const ParquetNode *node)
{
	folded[i] = fold_case(node->name);
	for (int j = 0; j < i; j++)
	{
		if (strcmp(folded[i], folded[j]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" cannot be in a Delta table",
							node->column->shape->name),
					 errdetail("Its name, or that of a part of it, differs "
							   "from another one in the case of letters "
							   "only.")));
	}
}

/* An option has undone what the profile does. */
pg_noreturn static void
refuse_type(const ParquetNode *node)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"as\" cannot do that to column \"%s\"",
						   node->column->shape->name),
					errdetail("A Delta table has no such type; it becomes a "
							  "string there.")));
}

static const char *
primitive_type(const ParquetNode *node)
{
	switch (node->kind)
	{
		case NODE_BOOL:
			return "boolean";
		case NODE_INT2:
			return "short";
		case NODE_INT4:
			if (node->logical == LOGICAL_INTEGER && !node->is_signed)
				refuse_type(node);
			return "integer";
		case NODE_INT8:
		case NODE_UINT4:
			return "long";
		case NODE_FLOAT4:
			return "float";
		case NODE_FLOAT8:
			return "double";
		case NODE_DATE:
			return "date";
		case NODE_TIMESTAMP:
			return node->utc ? "timestamp" : "timestamp_ntz";
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
			return psprintf("decimal(%d,%d)", node->precision, node->scale);
		case NODE_BYTEA:
			return "binary";
		case NODE_TEXT:
		case NODE_TEXT_OF:
		case NODE_JSON_OF:
			if (node->logical != LOGICAL_STRING)
				refuse_type(node);
			return "string";
		case NODE_TIME:
		case NODE_TIMETZ:
		case NODE_UUID:
			refuse_type(node);
		case NODE_LIST:
		case NODE_VECTOR:
		case NODE_GROUP:
			break;
	}
	elog(ERROR, "unexpected kind of column: %d", node->kind);
	return NULL; /* not reached */
}

static void
delta_put_field(StringInfo out, const ParquetNode *node, const char *comment)
{
	check_name(node);
	appendStringInfoString(out, "{\"name\":");
	delta_text(out, node->name, strlen(node->name));
	appendStringInfoString(out, ",\"type\":");
	delta_put_type(out, node);
	appendStringInfo(out, ",\"nullable\":%s,\"metadata\":{",
					 node->optional ? "true" : "false");
	if (comment)
	{
		appendStringInfoString(out, "\"comment\":");
		delta_text(out, comment, strlen(comment));
	}
	appendStringInfoString(out, "}}");
}

static void
delta_put_group(StringInfo out, const ParquetNode *node)
{
	char **folded = palloc_array(char *, node->nchildren);

	appendStringInfoString(out, "{\"type\":\"struct\",\"fields\":[");
	for (int i = 0; i < node->nchildren; i++)
	{
		check_apart(folded, i, &node->children[i]);
		if (i > 0)
			appendStringInfoChar(out, ',');
		delta_put_field(out, &node->children[i], NULL);
	}
	appendStringInfoString(out, "]}");
}

static void
delta_put_type(StringInfo out, const ParquetNode *node)
{
	check_stack_depth();
	if (node->kind == NODE_GROUP)
		delta_put_group(out, node);
	else if (node->kind == NODE_LIST || node->kind == NODE_VECTOR)
	{
		appendStringInfoString(out, "{\"type\":\"array\",\"elementType\":");
		delta_put_type(out, &node->children[0]);
		appendStringInfoString(out, ",\"containsNull\":true}");
	}
	else
		appendStringInfo(out, "\"%s\"", primitive_type(node));
}

void
delta_schema(StringInfo out, const ParquetWriter *writer,
			 const char *const *comments)
{
	char **folded = palloc_array(char *, writer->ncolumns);

	appendStringInfoString(out, "{\"type\":\"struct\",\"fields\":[");
	for (int i = 0; i < writer->ncolumns; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_apart(folded, i, &writer->columns[i].node);
		if (i > 0)
			appendStringInfoChar(out, ',');
		delta_put_field(out, &writer->columns[i].node, comments[i]);
	}
	appendStringInfoString(out, "]}");
}
