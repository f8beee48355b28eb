/*
 * iceberg_schema.c
 *		The schema of an Iceberg table, from the columns of its files.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"

#include "encode/iceberg/iceberg.h"
#include "encode/lake/lake_file.h"
#include "encode/lake/lake_text.h"

#define TABLE "an Iceberg"

static void iceberg_put_type(StringInfo out, const ParquetNode *node);

static const char *
iceberg_primitive(const ParquetNode *node)
{
	switch (node->kind)
	{
		case NODE_BOOL:
			return "boolean";
		case NODE_INT2:
			return "int";
		case NODE_INT4:
			if (node->logical == LOGICAL_INTEGER && !node->is_signed)
				lake_refuse_type(TABLE, node);
			return "int";
		case NODE_INT8:
		case NODE_UINT4:
			return "long";
		case NODE_FLOAT4:
			return "float";
		case NODE_FLOAT8:
			return "double";
		case NODE_DATE:
			return "date";
		case NODE_TIME:
			return "time";
		case NODE_TIMESTAMP:
			return node->utc ? "timestamptz" : "timestamp";
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
			return psprintf("decimal(%d,%d)", node->precision, node->scale);
		case NODE_BYTEA:
			return "binary";
		case NODE_UUID:
			return "uuid";
		case NODE_TEXT:
		case NODE_TEXT_OF:
		case NODE_JSON_OF:
			if (node->logical != LOGICAL_STRING)
				lake_refuse_type(TABLE, node);
			return "string";
		case NODE_TIMETZ:
			lake_refuse_type(TABLE, node);
		case NODE_LIST:
		case NODE_VECTOR:
		case NODE_GROUP:
			break;
	}
	elog(ERROR, "unexpected kind of column: %d", node->kind);
	return NULL; /* not reached */
}

static void
iceberg_put_field(StringInfo out, const ParquetNode *node, const char *comment)
{
	appendStringInfo(out, "{\"id\":%d,\"name\":", node->field_id);
	lake_text(out, node->name, strlen(node->name));
	appendStringInfo(
		out, ",\"required\":%s,\"type\":", node->optional ? "false" : "true");
	iceberg_put_type(out, node);
	if (comment)
	{
		appendStringInfoString(out, ",\"doc\":");
		lake_text(out, comment, strlen(comment));
	}
	appendStringInfoChar(out, '}');
}

static void
iceberg_put_group(StringInfo out, const ParquetNode *node)
{
	char **folded = palloc_array(char *, node->nchildren);

	appendStringInfoString(out, "{\"type\":\"struct\",\"fields\":[");
	for (int i = 0; i < node->nchildren; i++)
	{
		lake_check_apart(TABLE, folded, i, &node->children[i]);
		if (i > 0)
			appendStringInfoChar(out, ',');
		iceberg_put_field(out, &node->children[i], NULL);
	}
	appendStringInfoString(out, "]}");
}

static void
iceberg_put_type(StringInfo out, const ParquetNode *node)
{
	check_stack_depth();
	if (node->kind == NODE_GROUP)
		iceberg_put_group(out, node);
	else if (node->kind == NODE_LIST || node->kind == NODE_VECTOR)
	{
		appendStringInfo(out,
						 "{\"type\":\"list\",\"element-id\":%d,\"element\":",
						 node->children[0].field_id);
		iceberg_put_type(out, &node->children[0]);
		appendStringInfoString(out, ",\"element-required\":false}");
	}
	else
		appendStringInfo(out, "\"%s\"", iceberg_primitive(node));
}

/* ---- names */

/* Columns that readers give each table besides its own. */
static const char *const reserved_names[] = {"_file",
											 "_pos",
											 "_deleted",
											 "_spec_id",
											 "_partition",
											 "_row_id",
											 "_last_updated_sequence_number",
											 "_last_updated_timestamp_ms"};

static void
check_reserved(const ParquetNode *node)
{
	for (int i = 0; i < lengthof(reserved_names); i++)
	{
		if (strcmp(node->name, reserved_names[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME),
					 errmsg("column \"%s\" cannot be in an Iceberg table",
							node->column->shape->name),
					 errdetail("Each Iceberg table has a column of that name, "
							   "which tells where a row is."),
					 errhint("Rename it, or leave it out by \"columns\".")));
	}
}

/* The name by which readers find a column or a part of one: "column.part". */
typedef struct FullName
{
	char			  *name;
	const ParquetNode *node;
	int				   depth;
} FullName;

static List *
add_full_names(List *names, char *name, const ParquetNode *node, int depth)
{
	FullName *full = palloc_object(FullName);

	check_stack_depth();
	*full = (FullName){name, node, depth};
	names = lappend(names, full);
	for (int i = 0; i < node->nchildren; i++)
	{
		const ParquetNode *child = &node->children[i];

		names = add_full_names(names,
							   psprintf("%s.%s", name,
										node->kind == NODE_GROUP
											? lake_fold_case(child->name)
											: "element"),
							   child, depth + 1);
	}
	return names;
}

static int
compare_full_names(const ListCell *a, const ListCell *b)
{
	const FullName *one = lfirst(a);
	const FullName *two = lfirst(b);
	int				order = strcmp(one->name, two->name);

	/* the column last, which can be renamed with the least ado */
	return order ? order : two->depth - one->depth;
}

/* Beside a part "b" of "a", a column "a.b" makes a table that nobody can read. */
static void
check_full_names(const ParquetWriter *writer)
{
	List *names = NIL;

	for (int i = 0; i < writer->ncolumns; i++)
	{
		const ParquetNode *node = &writer->columns[i].node;

		names = add_full_names(names, lake_fold_case(node->name), node, 0);
	}
	list_sort(names, compare_full_names);
	for (int i = 1; i < list_length(names); i++)
	{
		const FullName *one = list_nth(names, i - 1);
		const FullName *two = list_nth(names, i);

		CHECK_FOR_INTERRUPTS();
		if (strcmp(one->name, two->name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" cannot be in an Iceberg table",
							two->node->column->shape->name),
					 errdetail("Its name, or that of a part of it, reads like "
							   "that of a part of column \"%s\", with a dot.",
							   one->node->column->shape->name),
					 errhint("Rename it, or leave it out by \"columns\".")));
	}
}

/* Ids of parts follow from their place, so that two could have the same. */
static void
check_ids(HTAB *ids, const ParquetNode *node)
{
	bool found;

	check_stack_depth();
	(void) hash_search(ids, &node->field_id, HASH_ENTER, &found);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" cannot be in an Iceberg table",
						node->column->shape->name),
				 errdetail("Two parts of the table's columns have the same "
						   "field id, %d.",
						   node->field_id),
				 errhint("Export it as a text: set the option \"as\" to "
						 "\"%s=string\".",
						 node->column->shape->name)));
	for (int i = 0; i < node->nchildren; i++)
		check_ids(ids, &node->children[i]);
}

void
iceberg_schema(StringInfo out, const ParquetWriter *writer,
			   const char *const *comments)
{
	char  **folded = palloc_array(char *, writer->ncolumns);
	List   *key = iceberg_key_nodes(writer);
	HASHCTL control = {.keysize = sizeof(int),
					   .entrysize = sizeof(int),
					   .hcxt = CurrentMemoryContext};
	HTAB   *ids = hash_create("outflow field ids", 256, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	appendStringInfoString(out, "{\"type\":\"struct\",\"fields\":[");
	for (int i = 0; i < writer->ncolumns; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_ids(ids, &writer->columns[i].node);
		check_reserved(&writer->columns[i].node);
		lake_check_apart(TABLE, folded, i, &writer->columns[i].node);
		if (i > 0)
			appendStringInfoChar(out, ',');
		iceberg_put_field(out, &writer->columns[i].node, comments[i]);
	}
	appendStringInfoChar(out, ']');
	if (key != NIL)
	{
		appendStringInfoString(out, ",\"order\":\"");
		iceberg_put_order(out, key);
		appendStringInfoChar(out, '"');
	}
	appendStringInfoChar(out, '}');
	check_full_names(writer);
	hash_destroy(ids);
}
