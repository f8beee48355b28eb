/*
 * iceberg_key.c
 *		The order that a table's key gives to its rows.
 *
 * As many of its columns as all readers order alike, and as PostgreSQL does: not
 * uuids and bytes, on which they have not agreed, no floats with their NaN and
 * two zeros, no text by the rules of a language, nor what a mask or an option
 * has made another value.  Whether rows are in that order is seen by what is
 * written of them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "compat.h"
#include "encode/iceberg/iceberg.h"

/* Providers that have no such locale have it NULL, and a column of their own. */
static bool
compares_bytes(char provider, int cache, HeapTuple row, AttrNumber column)
{
	bool  is_null;
	Datum locale = SysCacheGetAttr(cache, row, column, &is_null);
	char *name = is_null ? "" : TextDatumGetCString(locale);

	return provider == COLLPROVIDER_BUILTIN ||
		   (provider == COLLPROVIDER_LIBC &&
			(strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0));
}

/*
 * The server knows, but utils/pg_locale.h asks for the headers of ICU, which come
 * with no package of the server.
 */
static bool
is_order_of_bytes(Oid collation)
{
	bool	  is_default = collation == DEFAULT_COLLATION_OID;
	int		  cache = is_default ? DATABASEOID : COLLOID;
	HeapTuple row = SearchSysCache1(
		cache, ObjectIdGetDatum(is_default ? MyDatabaseId : collation));
	bool result;

	if (!OidIsValid(collation))
		return false;
	if (!HeapTupleIsValid(row))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	if (is_default)
		result =
			compares_bytes(((Form_pg_database) GETSTRUCT(row))->datlocprovider,
						   cache, row, Anum_pg_database_datcollate);
	else
		result =
			compares_bytes(((Form_pg_collation) GETSTRUCT(row))->collprovider,
						   cache, row, Anum_pg_collation_collcollate);
	ReleaseSysCache(row);
	return result;
}

static bool
is_ordered_alike(const ParquetNode *node, const RowShape *shape)
{
	const ColumnShape *column = node->column->shape;

	if (column->mask)
		return false;
	switch (node->kind)
	{
		case NODE_INT2:
		case NODE_INT4:
		case NODE_INT8:
		case NODE_DATE:
		case NODE_TIMESTAMP:
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
			return true;
		case NODE_TEXT:
			return is_order_of_bytes(
				TupleDescAttr(shape->desc, column->attnum - 1)->attcollation);
		case NODE_BOOL:
		case NODE_UINT4:
		case NODE_FLOAT4:
		case NODE_FLOAT8:
		case NODE_TIME:
		case NODE_TIMETZ:
		case NODE_BYTEA:
		case NODE_UUID:
		case NODE_TEXT_OF:
		case NODE_JSON_OF:
		case NODE_LIST:
		case NODE_VECTOR:
		case NODE_GROUP:
			break;
	}
	return false;
}

static ParquetNode *
node_of_place(const ParquetWriter *writer, int place)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		const ColumnShape *column = writer->columns[i].shape;

		if (column->is_key && column->key_place == place)
			return &writer->columns[i].node;
	}
	return NULL;
}

List *
iceberg_key_nodes(const ParquetWriter *writer)
{
	List *nodes = NIL;

	for (;;)
	{
		ParquetNode *node = node_of_place(writer, list_length(nodes) + 1);

		if (node == NULL || !is_ordered_alike(node, writer->shape))
			return nodes;
		nodes = lappend(nodes, node);
	}
}

void
iceberg_put_order(StringInfo out, const List *nodes)
{
	const ListCell *cell;

	foreach (cell, nodes)
		appendStringInfo(out, "%s%d", foreach_current_index(cell) ? "," : "",
						 ((ParquetNode *) lfirst(cell))->field_id);
}
