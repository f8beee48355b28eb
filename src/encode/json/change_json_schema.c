/*
 * change_json_schema.c
 *		A table's definition as a record of format "json".
 *
 * It says what the WAL's rows mean at this point of the stream: names and
 * types as of now, attribute numbers for good (a renamed column keeps its
 * number).
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "nodes/nodes.h"
#include "utils/ruleutils.h"

#include "encode/json/change_json.h"

/* ["a","b"] */
static void
append_strings(ByteBuffer *out, const JsonStyle *style, List *strings)
{
	ListCell *lc;

	buffer_append_char(out, '[');
	foreach (lc, strings)
	{
		if (buffer_is_over(out))
			return;
		if (lc != list_head(strings))
			buffer_append_char(out, ',');
		json_append_string(out, style, lfirst(lc));
	}
	buffer_append_char(out, ']');
}

static void
append_type_name(ByteBuffer *out, const JsonStyle *style,
				 const TypeShape *type)
{
	char *name = type_shape_name(type);

	json_append_string(out, style, name);
	pfree(name);
}

static void
json_append_fields(ByteBuffer *out, const JsonStyle *style,
				   const RowShape *fields)
{
	int i;

	buffer_append_literal(out, ",\"fields\":[");
	for (i = 0; i < fields->ncolumns; i++)
	{
		const ColumnShape *field = &fields->columns[i];

		if (i > 0)
			buffer_append_char(out, ',');
		buffer_append_literal(out, "{\"name\":");
		json_append_string(out, style, field->name);
		buffer_append_literal(out, ",\"type\":");
		append_type_name(out, style, &field->type);
		buffer_append_char(out, '}');
	}
	buffer_append_char(out, ']');
}

/* What a reader can't know of a type by its name. */
static void
append_type_details(ByteBuffer *out, const JsonStyle *style,
					const TypeShape *type, RecordForm form)
{
	TypeShape base = *type;

	if (form != RECORD_WHOLE)
		return;
	if (type->oid != type->base)
	{
		base.oid = type->base;
		buffer_append_literal(out, ",\"base\":");
		append_type_name(out, style, &base);
	}
	while (type->kind == KIND_ARRAY)
		type = type->element;
	if (type->kind == KIND_ENUM)
	{
		List *labels = enum_labels(type);

		buffer_append_literal(out, ",\"labels\":");
		append_strings(out, style, labels);
		list_free_deep(labels);
	}
	else if (type->kind == KIND_COMPOSITE)
		json_append_fields(out, style, type->fields);
}

/* No columns occur in a default, so no relation needs to be locked. */
static char *
plain_default(const char *stored)
{
	return deparse_expression(stringToNode(stored), NIL, false, false);
}

static void
append_default(ByteBuffer *out, const JsonStyle *style, const RowShape *shape,
			   const ColumnShape *column)
{
	bool  left_out = false;
	char *expression = column_default(shape, column, plain_default, &left_out);

	if (expression)
	{
		buffer_append_literal(out, ",\"default\":");
		json_append_string(out, style, expression);
		pfree(expression);
	}
	else if (left_out)
		buffer_append_literal(out, ",\"omitted\":[\"default\"]");
}

static void
json_append_column(ByteBuffer *out, const JsonStyle *style,
				   const RowShape *shape, const ColumnShape *column,
				   RecordForm form)
{
	Form_pg_attribute attr = TupleDescAttr(shape->desc, column->attnum - 1);

	buffer_append_literal(out, "{\"name\":");
	json_append_string(out, style, column->name);
	buffer_append_literal(out, ",\"type\":");
	append_type_name(out, style, &column->type);
	buffer_append_literal(out, ",\"oid\":");
	json_append_uint(out, column->type.oid);
	buffer_append_literal(out, ",\"attnum\":");
	json_append_uint(out, column->attnum);
	buffer_append_literal(out, ",\"nullable\":");
	json_append_bool(out, !column->not_null);
	if (attr->atttypmod >= 0)
	{
		buffer_append_literal(out, ",\"typmod\":");
		json_append_uint(out, attr->atttypmod);
	}
	append_type_details(out, style, &column->type, form);
	if (attr->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		buffer_append_literal(out, ",\"identity\":\"always\"");
	else if (attr->attidentity == ATTRIBUTE_IDENTITY_BY_DEFAULT)
		buffer_append_literal(out, ",\"identity\":\"by default\"");
	if (column->is_generated)
		buffer_append_literal(out, ",\"generated\":true");
	if (form == RECORD_WHOLE)
		append_default(out, style, shape, column);
	buffer_append_char(out, '}');
}

static const char *
identity_name(char identity)
{
	switch (identity)
	{
		case REPLICA_IDENTITY_FULL:
			return "\"full\"";
		case REPLICA_IDENTITY_NOTHING:
			return "\"nothing\"";
		case REPLICA_IDENTITY_INDEX:
			return "\"index\"";
		default:
			return "\"default\"";
	}
}

/* Names of the identity's or, else, of the primary key's columns. */
static void
json_append_key(ByteBuffer *out, const RowShape *shape, bool primary)
{
	uint8 *marked = palloc(Max(shape->ncolumns, 1));
	int	   i;

	for (i = 0; i < shape->ncolumns; i++)
		marked[i] =
			primary ? shape->columns[i].is_primary : shape->columns[i].is_key;
	json_append_column_names(out, shape, marked, true);
	pfree(marked);
}

void
change_json_schema(ByteBuffer *out, const ChangeFormatOptions *options,
				   const ChangeTransaction *txn, const RowShape *shape,
				   RecordForm form)
{
	const JsonStyle *style = &options->style;
	const char		*identity = identity_name(shape->identity);
	int				 i;

	buffer_append_literal(out, "{\"op\":\"schema\"");
	if (txn->in_progress)
	{
		buffer_append_literal(out, ",\"xid\":");
		json_append_uint(out, txn->xid);
	}
	json_append_table(out, style, shape->schema, shape->name);
	if (form == RECORD_BARE)
	{
		buffer_append_literal(out, ",\"omitted\":true}");
		return;
	}
	buffer_append_literal(out, ",\"columns\":[");
	for (i = 0; i < shape->ncolumns && !buffer_is_over(out); i++)
	{
		if (i > 0)
			buffer_append_char(out, ',');
		json_append_column(out, style, shape, &shape->columns[i], form);
	}
	buffer_append_literal(out, "],\"key\":");
	json_append_key(out, shape, false);
	buffer_append_literal(out, ",\"identity\":");
	buffer_append(out, identity, strlen(identity));
	buffer_append_literal(out, ",\"primary_key\":");
	json_append_key(out, shape, true);
	if (form != RECORD_WHOLE)
		buffer_append_literal(
			out, ",\"omitted\":[\"base\",\"labels\",\"fields\",\"default\"]");
	buffer_append_char(out, '}');
}
