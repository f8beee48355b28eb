/*
 * delta_checkpoint.c
 *		Actions of a Delta table's log as rows of Parquet.
 *
 * Each kind of action is a column, a group of what it says; a row has one of
 * them.  Delta Transaction Log Protocol, section "Checkpoint Schema".
 *
 * All maps are written empty: our tables have neither partitions nor settings.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "encode/delta/delta.h"
#include "encode/delta/delta_checkpoint.h"
#include "encode/lake/lake_text.h"

typedef enum FieldType
{
	FIELD_GROUP,
	FIELD_STRING,
	FIELD_LONG,
	FIELD_INTEGER,
	FIELD_BOOLEAN,
	FIELD_MAP,	  /* of strings */
	FIELD_STRINGS /* a list */
} FieldType;

typedef struct ActionField
{
	int			level; /* of nesting; a group's fields follow it */
	const char *name;
	FieldType	type;
} ActionField;

static const ActionField action_fields[] = {
	{0, "txn", FIELD_GROUP},
	{1, "appId", FIELD_STRING},
	{1, "version", FIELD_LONG},
	{1, "lastUpdated", FIELD_LONG},
	{0, "add", FIELD_GROUP},
	{1, "path", FIELD_STRING},
	{1, "partitionValues", FIELD_MAP},
	{1, "size", FIELD_LONG},
	{1, "modificationTime", FIELD_LONG},
	{1, "dataChange", FIELD_BOOLEAN},
	{1, "stats", FIELD_STRING},
	{0, "remove", FIELD_GROUP},
	{1, "path", FIELD_STRING},
	{1, "deletionTimestamp", FIELD_LONG},
	{1, "dataChange", FIELD_BOOLEAN},
	{1, "extendedFileMetadata", FIELD_BOOLEAN},
	{1, "partitionValues", FIELD_MAP},
	{1, "size", FIELD_LONG},
	{0, "metaData", FIELD_GROUP},
	{1, "id", FIELD_STRING},
	{1, "name", FIELD_STRING},
	{1, "description", FIELD_STRING},
	{1, "format", FIELD_GROUP},
	{2, "provider", FIELD_STRING},
	{2, "options", FIELD_MAP},
	{1, "schemaString", FIELD_STRING},
	{1, "partitionColumns", FIELD_STRINGS},
	{1, "configuration", FIELD_MAP},
	{1, "createdTime", FIELD_LONG},
	{0, "protocol", FIELD_GROUP},
	{1, "minReaderVersion", FIELD_INTEGER},
	{1, "minWriterVersion", FIELD_INTEGER},
	{1, "readerFeatures", FIELD_STRINGS},
	{1, "writerFeatures", FIELD_STRINGS},
};

#define MAX_TREE_LEAVES (2 * lengthof(action_fields))

/* ---- mapping */

static void
map_tree_leaf(ParquetWriter *writer, ParquetNode *node, ParquetType type,
			  ParquetOrder order, int width, List *path)
{
	ParquetLeaf *leaf = &writer->leaves[writer->nleaves];

	node->leaf = leaf;
	leaf->writer = writer;
	leaf->type = type;
	leaf->order = order;
	leaf->width = width;
	leaf->max_def = node->def;
	leaf->max_rep = node->rep;
	leaf->path = lappend(list_copy(path), unconstify(char *, node->name));
	writer->nleaves++;
}

static void
map_string(ParquetWriter *writer, ParquetNode *node, List *path)
{
	node->kind = NODE_TEXT;
	node->logical = LOGICAL_STRING;
	map_tree_leaf(writer, node, PARQUET_BYTE_ARRAY, ORDER_TEXT, 0, path);
}

/* A list's element, or a map's key and value: two levels below its node. */
static void
map_repeated(ParquetWriter *writer, ParquetNode *node, const char *group,
			 int count, const char *const *names, List *path)
{
	path = lappend(lappend(list_copy(path), unconstify(char *, node->name)),
				   unconstify(char *, group));
	node->kind = NODE_LIST;
	node->nchildren = count;
	node->children = palloc0(sizeof(ParquetNode) * count);
	writer->nelements++;
	for (int i = 0; i < count; i++)
	{
		ParquetNode *child = &node->children[i];

		child->name = names[i];
		/* a map's key is never null */
		child->optional = count == 1 || i > 0;
		child->rep = node->rep + 1;
		child->def = node->def + 1 + child->optional;
		writer->nelements++;
		map_string(writer, child, path);
	}
}

static int map_field(ParquetWriter *writer, ParquetNode *node, int at,
					 List *path);

/* Returns where the next field after the group is. */
static int
map_group(ParquetWriter *writer, ParquetNode *node, int at, List *path)
{
	int level = action_fields[at].level;
	int next = at + 1;

	node->kind = NODE_GROUP;
	node->children = palloc0(sizeof(ParquetNode) * lengthof(action_fields));
	path = lappend(list_copy(path), unconstify(char *, node->name));
	while (next < lengthof(action_fields) && action_fields[next].level > level)
	{
		ParquetNode *child = &node->children[node->nchildren++];

		child->def = node->def;
		next = map_field(writer, child, next, path);
	}
	return next;
}

static int
map_field(ParquetWriter *writer, ParquetNode *node, int at, List *path)
{
	static const char *const element[] = {"element"};
	static const char *const pair[] = {"key", "value"};

	node->name = action_fields[at].name;
	node->optional = true;
	node->def++;
	node->first_leaf = writer->nleaves;
	writer->nelements++;
	switch (action_fields[at].type)
	{
		case FIELD_GROUP:
			at = map_group(writer, node, at, path) - 1;
			break;
		case FIELD_STRING:
			map_string(writer, node, path);
			break;
		case FIELD_LONG:
			node->kind = NODE_INT8;
			map_tree_leaf(writer, node, PARQUET_INT64, ORDER_INT64,
						  sizeof(int64), path);
			break;
		case FIELD_INTEGER:
			node->kind = NODE_INT4;
			map_tree_leaf(writer, node, PARQUET_INT32, ORDER_INT32,
						  sizeof(int32), path);
			break;
		case FIELD_BOOLEAN:
			node->kind = NODE_BOOL;
			map_tree_leaf(writer, node, PARQUET_BOOLEAN, ORDER_BOOL, 1, path);
			break;
		case FIELD_MAP:
			node->logical = LOGICAL_MAP;
			map_repeated(writer, node, "key_value", 2, pair, path);
			break;
		case FIELD_STRINGS:
			node->logical = LOGICAL_LIST;
			map_repeated(writer, node, "list", 1, element, path);
			break;
	}
	node->nleaves = writer->nleaves - node->first_leaf;
	return at + 1;
}

static void
map_actions(ParquetWriter *writer)
{
	int at = 0;

	writer->columns = palloc0(sizeof(ParquetColumn) * lengthof(action_fields));
	writer->leaves = palloc0(sizeof(ParquetLeaf) * MAX_TREE_LEAVES);
	writer->nelements = 1; /* the root */
	while (at < lengthof(action_fields))
		at = map_field(writer, &writer->columns[writer->ncolumns++].node, at,
					   NIL);
}

/* ---- rows */

/* All leaves of a node say that it is there up to this level. */
static void
put_absent(ParquetWriter *writer, const ParquetNode *node, int def)
{
	for (int i = 0; i < node->nleaves; i++)
		leaf_put_null(&writer->leaves[node->first_leaf + i], 0, def);
}

static void
put_string(ParquetLeaf *leaf, int rep, const JsonbValue *value)
{
	char *text = pnstrdup(value->val.string.val, value->val.string.len);
	char *utf8 = pg_server_to_any(text, value->val.string.len, PG_UTF8);

	leaf_put_bytes(leaf, rep, utf8, strlen(utf8));
}

static void
put_strings(ParquetWriter *writer, const ParquetNode *node,
			JsonbContainer *array)
{
	ParquetLeaf *leaf = node->children[0].leaf;
	uint32		 count = JsonContainerSize(array);

	if (count == 0)
		put_absent(writer, node, node->def);
	for (uint32 i = 0; i < count; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(array, i);

		if (value->type == jbvString)
			put_string(leaf, i > 0, value);
		else
			leaf_put_null(leaf, i > 0, node->def + 1);
	}
}

static bool
has_type_of(const JsonbValue *value, const ParquetNode *node)
{
	if (node->leaf == NULL)
		return value->type == jbvBinary &&
			   JsonContainerIsArray(value->val.binary.data) ==
				   (node->logical == LOGICAL_LIST);
	if (node->kind == NODE_TEXT)
		return value->type == jbvString;
	return value->type == (node->kind == NODE_BOOL ? jbvBool : jbvNumeric);
}

/* A member of the object, or its absence. */
static void
put_member(ParquetWriter *writer, const ParquetNode *node,
		   JsonbContainer *object)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, node->name,
													 strlen(node->name), NULL);

	check_stack_depth();
	if (value == NULL || !has_type_of(value, node))
		put_absent(writer, node, node->def - 1);
	else if (node->kind == NODE_TEXT)
		put_string(node->leaf, 0, value);
	else if (node->kind == NODE_BOOL)
		leaf_put_number(node->leaf, 0, value->val.boolean);
	else if (node->leaf)
		leaf_put_number(
			node->leaf, 0,
			DatumGetInt64(DirectFunctionCall1(
				numeric_int8, NumericGetDatum(value->val.numeric))));
	else if (node->logical == LOGICAL_MAP)
		put_absent(writer, node, node->def);
	else if (node->logical == LOGICAL_LIST)
		put_strings(writer, node, value->val.binary.data);
	else
		for (int i = 0; i < node->nchildren; i++)
			put_member(writer, &node->children[i], value->val.binary.data);
}

static void
put_action(ParquetWriter *writer, void *arg)
{
	Jsonb *action = arg;

	for (int i = 0; i < writer->ncolumns; i++)
		put_member(writer, &writer->columns[i].node, &action->root);
}

void
delta_checkpoint(ByteBuffer *out, const List *actions, const char *no_sum)
{
	RowFormatOptions options = {.compression = "snappy"};
	RowHost			 host = {.metadata = list_make2(DELTA_CHECKPOINT_SUM,
													unconstify(char *, no_sum))};
	RowEncoder *encoder = parquet_open_tree(map_actions, &options, &host, out);
	const ListCell *cell;

	foreach (cell, actions)
	{
		char  *line = lfirst(cell);
		char  *text = lake_text_to_server(line, strlen(line));
		Jsonb *action = DatumGetJsonbP(
			DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));

		CHECK_FOR_INTERRUPTS();
		parquet_put_tree(encoder, put_action, action, out);
		pfree(action);
	}
	row_format_parquet.close(encoder, out);
}
