/*
 * parquet_milvus.c
 *		What Milvus's bulk import takes of a file, for the profile "milvus".
 *
 * A field is read from a column of its own name, whose type is one of those that
 * Milvus has: booleans, signed integers, floats, strings, bytes, and lists of those.
 * Dates, decimals, UUIDs and JSON are strings to it, which the profile makes of
 * them.  What is neither is refused here, and not by Milvus after hours.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

#define MAX_NAME 255 /* of a field */
/* what its importer takes by default (maxImportFileSizeInGB) */
#define MAX_FILE_BYTES (INT64CONST(16) * 1024 * 1024 * 1024)

static bool
is_field_name(const char *name)
{
	for (const char *p = name; *p; p++)
	{
		bool is_letter =
			(*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';

		if (!is_letter && (p == name || *p < '0' || *p > '9'))
			return false;
	}
	return strlen(name) <= MAX_NAME;
}

/* A leaf that a field, or an element of one, is read from. */
static bool
is_milvus_value(const ParquetNode *node)
{
	if (node->leaf == NULL)
		return false;
	switch (node->leaf->type)
	{
		case PARQUET_FIXED:
			return false;
		case PARQUET_BYTE_ARRAY:
			return node->logical == LOGICAL_STRING ||
				   node->logical == LOGICAL_NONE;
		default:
			return node->logical == LOGICAL_NONE ||
				   (node->logical == LOGICAL_INTEGER && node->is_signed);
	}
}

static bool
is_milvus_column(const ParquetNode *node)
{
	if (node->kind == NODE_LIST || node->kind == NODE_VECTOR)
		return is_milvus_value(node->children);
	return is_milvus_value(node);
}

/* pgvector's, whose texts are not what a vector field is read from. */
static void
refuse_vector(const ParquetColumn *column, const char *type, const char *hint)
{
	if (column->node.kind == NODE_TEXT_OF && !column->has_form &&
		type_shape_is_named(&column->shape->type, type))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("profile \"milvus\" cannot export column \"%s\" of "
						"type %s",
						column->shape->name, type),
				 errhint("%s", hint)));
}

void
parquet_check_milvus(const ParquetWriter *writer)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		const ParquetColumn *column = &writer->columns[i];
		const char			*name = column->shape->name;

		if (!is_field_name(name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_NAME),
					 errmsg("profile \"milvus\" cannot export column \"%s\"",
							name),
					 errdetail("A field of Milvus has a name of letters, "
							   "digits and underscores."),
					 errhint("Export other columns with the argument "
							 "\"columns\", or export a query that names it "
							 "otherwise.")));
		refuse_vector(column, "halfvec",
					  "Export a query that casts it to vector.");
		refuse_vector(column, "sparsevec",
					  "Export other columns with the argument \"columns\".");
		if (!is_milvus_column(&column->node))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("profile \"milvus\" cannot export column \"%s\" "
							"of type %s",
							name, type_shape_name(&column->shape->type)),
					 errdetail("Milvus imports booleans, signed integers, "
							   "floats, strings, bytes, and lists of them."),
					 errhint("To make it a text, set the option \"as\" to "
							 "\"%s=string\".",
							 name)));
	}
}

void
parquet_check_milvus_size(const ParquetWriter *writer)
{
	if (writer->offset > MAX_FILE_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("Milvus imports no file of more than 16 GB"),
						errhint("Use a smaller part_size.")));
}
