/*
 * parquet_node.c
 *		How types are mapped: kinds -> nodes and leaves.
 *
 * A column is REQUIRED when the table says NOT NULL, unless the lossy policy
 * may turn its values into nulls.  Everything nested is OPTIONAL, since
 * PostgreSQL promises nothing there.  A column whose type has values that
 * Parquet can't hold becomes a text as a whole under the policy "string".
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/shmem.h"

#include "encode/parquet/parquet.h"

/* Readers keep the last numbers for themselves. */
#define FIRST_ID_WITHIN 10000
#define LAST_ID			2147480000
#define MAX_LEVELS		1000 /* nobody nests deeper, and readers recurse */

/* What a schema is built from, and the leaf that comes next. */
typedef struct Builder
{
	ParquetWriter *writer;
	ParquetColumn *column;
	List		  *path; /* names down to the node */
	int			   next_leaf;
} Builder;

/* ---- nulls ---- */

/* Whether lossy => null can make nulls of the column's values. */
static bool
may_become_null(const ParquetColumn *column, const TypeShape *type)
{
	/* there a text may be in any encoding */
	bool text = GetDatabaseEncoding() == PG_SQL_ASCII;

	if (parquet_form_of(column, type).kind == FORM_STRING)
		return text;
	switch (type->kind)
	{
		case KIND_COMPOSITE:
			/* its fields can, each for itself */
			return type->fields->ncolumns == 0 && text;
		case KIND_TEXT:
		case KIND_NAME:
		case KIND_ENUM:
		case KIND_JSON:
		case KIND_JSONB:
		case KIND_HSTORE:
		case KIND_OTHER:
			return text;
		case KIND_BOOL:
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
		case KIND_OID:
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_NUMERIC:
		case KIND_BYTEA:
		case KIND_UUID:
		case KIND_DATE:
		case KIND_TIME:
		case KIND_TIMETZ:
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
		case KIND_VECTOR:
		case KIND_ARRAY:
			break;
	}
	return parquet_has_unholdable(column, type);
}

/* ---- building ---- */

static const char *
name_in_utf8(const char *name)
{
	return pg_server_to_any(name, strlen(name), PG_UTF8);
}

/*
 * What nests has ids of its own where readers go by them: numbers beyond those of
 * columns, that follow from the way to it by number, and so stay when others are
 * added, dropped or renamed.
 */
static int
id_within(const Builder *builder, const ParquetNode *parent, int number)
{
	uint32 hash;

	if (!builder->writer->ids_within)
		return 0;
	hash = murmurhash32(hash_combine(parent->field_id, number));
	return FIRST_ID_WITHIN + (int) (hash % (LAST_ID - FIRST_ID_WITHIN));
}

static void build_node(Builder *builder, ParquetNode *node);

static void
build_leaf(Builder *builder, ParquetNode *node, bool as_text)
{
	ParquetWriter *writer = builder->writer;

	node->nleaves = 1;
	/* the first pass only counts them */
	if (writer->leaves == NULL)
		return;
	node->leaf = &writer->leaves[node->first_leaf];
	node->leaf->writer = writer;
	node->leaf->max_def = node->def;
	node->leaf->max_rep = node->rep;
	node->leaf->path = list_copy(builder->path);
	node_map_primitive(node);
	/* a document's text is its JSON, whatever it is called */
	if (as_text && node->logical == LOGICAL_JSON)
		node->logical = LOGICAL_STRING;
	else if (as_text && node->kind != NODE_TEXT)
		node_map_text(node, NODE_TEXT_OF, LOGICAL_STRING);
}

/* The repeated group "list" between a list and its element has a level. */
static void
build_list(Builder *builder, ParquetNode *node, NodeKind kind, int ndims,
		   TypeShape *element_type)
{
	ParquetNode *element = palloc0_object(ParquetNode);

	node->kind = kind;
	node->logical = LOGICAL_LIST;
	node->ndims = ndims;
	node->nchildren = 1;
	node->children = element;
	node->rep++;
	builder->writer->nelements++;

	element->name = "element";
	element->optional = true;
	element->column = node->column;
	element->field_id = id_within(builder, node, 0);
	element->rep = node->rep;
	element->type = element_type;
	element->ndims = ndims - 1;
	element->def = node->def + 1;
	builder->path = lappend(builder->path, "list");
	build_node(builder, element);
	builder->path = list_delete_last(builder->path);
	node->nleaves = element->nleaves;
}

static void
build_array(Builder *builder, ParquetNode *node)
{
	int ndims = Max(node->ndims, 1);

	build_list(builder, node, NODE_LIST, ndims,
			   ndims > 1 ? node->type : node->type->element);
}

static void
build_vector(Builder *builder, ParquetNode *node)
{
	TypeShape *number = palloc0_object(TypeShape);

	number->kind = KIND_FLOAT4;
	build_list(builder, node, NODE_VECTOR, 1, number);
}

static void
build_group(Builder *builder, ParquetNode *node)
{
	RowShape *fields = node->type->fields;

	node->kind = NODE_GROUP;
	node->nchildren = fields->ncolumns;
	node->children = palloc0(sizeof(ParquetNode) * fields->ncolumns);
	for (int i = 0; i < fields->ncolumns; i++)
	{
		ParquetNode *child = &node->children[i];

		child->name = name_in_utf8(fields->columns[i].name);
		child->attno = fields->columns[i].attnum - 1;
		child->field_id = id_within(builder, node, fields->columns[i].attnum);
		child->optional = true;
		child->column = node->column;
		child->rep = node->rep;
		child->type = &fields->columns[i].type;
		child->def = node->def;
		if (child->type->kind == KIND_ARRAY)
			child->ndims =
				Max(TupleDescAttr(fields->desc, child->attno)->attndims, 1);
		build_node(builder, child);
		node->nleaves += child->nleaves;
	}
}

/*
 * Fills a node whose caller set name, type and, from its parent, the
 * levels and dimensions.
 */
static void
build_node(Builder *builder, ParquetNode *node)
{
	const ParquetColumn *column = builder->column;
	bool as_text = parquet_form_of(column, node->type).kind == FORM_STRING ||
				   (column->lossy == LOSSY_STRING &&
					parquet_has_unholdable(column, &column->shape->type));

	check_stack_depth();
	builder->writer->nelements++;
	if (node->optional)
		node->def++;
	if (node->def > MAX_LEVELS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("type of column \"%s\" nests too deeply for "
							   "format \"parquet\"",
							   builder->column->shape->name)));
	node->first_leaf = builder->next_leaf;
	builder->path = lappend(builder->path, (char *) node->name);
	if (!as_text && node->type->kind == KIND_ARRAY)
		build_array(builder, node);
	else if (!as_text && node->type->kind == KIND_VECTOR)
		build_vector(builder, node);
	else if (!as_text && node->type->kind == KIND_COMPOSITE &&
			 node->type->fields->ncolumns > 0)
		build_group(builder, node);
	else
	{
		build_leaf(builder, node, as_text);
		builder->next_leaf++;
	}
	builder->path = list_delete_last(builder->path);
}

static void
build_columns(ParquetWriter *writer)
{
	Builder builder = {writer};

	writer->nelements = 1; /* the root */
	for (int i = 0; i < writer->ncolumns; i++)
	{
		ParquetColumn *column = &writer->columns[i];
		ParquetNode	  *node = &column->node;
		ColumnShape	  *shape = &writer->shape->columns[i];

		memset(node, 0, sizeof(*node));
		node->name = name_in_utf8(shape->name);
		node->attno = shape->attnum - 1;
		node->field_id = shape->attnum;
		node->optional =
			!shape->not_null ||
			(column->lossy == LOSSY_NULL &&
			 (column->is_named || may_become_null(column, &shape->type)));
		node->type = &shape->type;
		node->column = column;
		node->ndims =
			TupleDescAttr(writer->shape->desc, node->attno)->attndims;
		builder.column = column;
		build_node(&builder, node);
	}
	writer->nleaves = builder.next_leaf;
}

void
schema_build(ParquetWriter *writer)
{
	writer->leaves = NULL;
	build_columns(writer); /* counts the leaves */
	writer->leaves = palloc0(mul_size(sizeof(ParquetLeaf), writer->nleaves));
	build_columns(writer);
}
