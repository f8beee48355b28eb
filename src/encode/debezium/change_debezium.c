/*
 * change_debezium.c
 *		Changes as format "debezium": the envelope of Debezium's PostgreSQL
 *		connector with schemas.enable=false.
 *
 *		{"id":..,"key":{..},"before":{..},"after":{..},"source":{..},"op":"u",
 *		 "ts_ms":..,"ts_us":..,"ts_ns":..,"transaction":null}
 *
 * Values are those that Flink's debezium-json reads as they are: ISO 8601
 * dates and times, plain decimals, bytes in base64, documents as strings.  A
 * TOASTed value that the WAL lacks is Debezium's placeholder.  "id" and "key"
 * come on top, as a consumer of one topic has no message key.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "encode/debezium/debezium.h"
#include "encode/value/json_part.h"

#define PLACEHOLDER "__debezium_unavailable_value"
/* the name-based UUID (version 3) of the placeholder */
#define PLACEHOLDER_UUID "b68a35a7-17ad-35b3-af2a-ae46edb4545a"

typedef struct DebeziumShape
{
	ShapeText table;						 /* ,"schema":..,"table":.. */
	ShapeText absent[FLEXIBLE_ARRAY_MEMBER]; /* by column: its placeholder */
} DebeziumShape;

/* What stands for a value that is not in the WAL. */
static void
render_placeholder(ByteBuffer *out, const TypeShape *type)
{
	const char *p;
	const char *comma = "";

	switch (type->kind)
	{
		case KIND_BYTEA:
			json_base64(out, PLACEHOLDER, strlen(PLACEHOLDER));
			break;
		case KIND_HSTORE:
			buffer_append_string(out, "\"{\\\"" PLACEHOLDER
									  "\\\":\\\"" PLACEHOLDER "\\\"}\"");
			break;
		case KIND_ARRAY:
			buffer_append_char(out, '[');
			if (type->element->kind == KIND_INT4 ||
				type->element->kind == KIND_INT8)
			{
				for (p = PLACEHOLDER; *p; p++)
				{
					buffer_printf(out, "%s%d", comma, *p);
					comma = ",";
				}
			}
			else if (type->element->kind == KIND_UUID)
				buffer_append_string(out, "\"" PLACEHOLDER_UUID "\"");
			else
				buffer_append_string(out, "\"" PLACEHOLDER "\"");
			buffer_append_char(out, ']');
			break;
		case KIND_BOOL:
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
		case KIND_OID:
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_NUMERIC:
		case KIND_TEXT:
		case KIND_NAME:
		case KIND_UUID:
		case KIND_DATE:
		case KIND_TIME:
		case KIND_TIMETZ:
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
		case KIND_JSON:
		case KIND_JSONB:
		case KIND_ENUM:
		case KIND_VECTOR:
		case KIND_COMPOSITE:
		case KIND_OTHER:
			buffer_append_string(out, "\"" PLACEHOLDER "\"");
			break;
	}
}

static void
debezium_prepare(RowShape *shape, const ChangeFormatOptions *options)
{
	DebeziumShape *prepared;
	ByteBuffer	   scratch;
	int			   i;

	json_prepare_shape(shape, &options->style);
	prepared = MemoryContextAllocZero(shape->context,
									  offsetof(DebeziumShape, absent) +
										  sizeof(ShapeText) * shape->ncolumns);
	buffer_init(&scratch);
	json_append_table(&scratch, &options->style, shape->schema, shape->name);
	prepared->table = shape_text_take(shape, &scratch);
	for (i = 0; i < shape->ncolumns; i++)
	{
		render_placeholder(&scratch, &shape->columns[i].type);
		prepared->absent[i] = shape_text_take(shape, &scratch);
	}
	buffer_free(&scratch);
	shape->prepared = prepared;
}

static void
debezium_schema(ByteBuffer *out, const ChangeFormatOptions *options,
				const ChangeTransaction *txn, const RowShape *shape,
				RecordForm form)
{
}

/* A row with placeholders for what is unchanged, without what is omitted. */
static void
append_patched_row(ByteBuffer *out, const JsonStyle *style,
				   const RowChange *change)
{
	RowShape	  *shape = change->shape;
	DebeziumShape *prepared = shape->prepared;
	bool		   first = true;
	int			   i;

	buffer_append_char(out, '{');
	for (i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 at = column->attnum - 1;

		if (change_column_is(change, i, COLUMN_OMITTED))
			continue;
		if (!first)
			buffer_append_char(out, ',');
		first = false;
		buffer_append(out, shape->labels[i].text, shape->labels[i].len);
		shape->current = column;
		if (change_column_is(change, i, COLUMN_UNCHANGED))
			shape_text_append(out, &prepared->absent[i]);
		else if (change->new_nulls[at])
			buffer_append_literal(out, "null");
		else
			json_value(out, style, &column->type, change->new_values[at]);
	}
	shape->current = NULL;
	buffer_append_char(out, '}');
}

static void
debezium_append_key(ByteBuffer *out, const JsonStyle *style,
					const RowChange *change)
{
	buffer_append_literal(out, ",\"key\":");
	if (change->key_values)
		json_row(out, style, change->shape, change->key_values,
				 change->key_nulls, change->states,
				 change->used & COLUMN_NOT_KEY);
	else
		buffer_append_literal(out, "null");
}

/* With a key alone, the other columns are null; half of one is nothing. */
static void
append_before(ByteBuffer *out, const ChangeFormatOptions *options,
			  const RowChange *change)
{
	bool wanted =
		change->old_is_key
			? change->op == CHANGE_DELETE && change->key_values != NULL
			: change->op == CHANGE_DELETE || options->include_old;

	buffer_append_literal(out, ",\"before\":");
	if (change->old_values && wanted)
		json_row(out, &options->style, change->shape, change->old_values,
				 change->old_nulls, change->states,
				 change->used & COLUMN_OMITTED);
	else
		buffer_append_literal(out, "null");
}

static void
append_after(ByteBuffer *out, const ChangeFormatOptions *options,
			 const RowChange *change)
{
	buffer_append_literal(out, ",\"after\":");
	if (change->new_values == NULL)
		buffer_append_literal(out, "null");
	else if (change->used & COLUMN_LEFT_OUT)
		append_patched_row(out, &options->style, change);
	else
		json_row(out, &options->style, change->shape, change->new_values,
				 change->new_nulls, NULL, 0);
}

static void
append_tail(ByteBuffer *out, Debezium *debezium, const ChangeTransaction *txn,
			const RowShape *shape, char op)
{
	buffer_append_literal(out, ",\"op\":\" \"");
	out->data[out->len - 2] = op;
	debezium_times(out, GetCurrentTimestamp());
	debezium_number(out, debezium, txn, shape);
}

static void
debezium_row(ByteBuffer *out, const ChangeFormatOptions *options,
			 const ChangeTransaction *txn, const ChangePosition *position,
			 const RowChange *change)
{
	static const char ops[] = {'c', 'u', 'd'};
	Debezium		 *debezium = debezium_of(options);
	DebeziumShape	 *prepared = change->shape->prepared;

	debezium_enter(debezium, &options->style, txn);
	buffer_append_char(out, '{');
	json_append_id(out, txn, position);
	if (change->bare)
		buffer_append_literal(out,
							  ",\"key\":null,\"before\":null,\"after\":null");
	else
	{
		debezium_append_key(out, &options->style, change);
		append_before(out, options, change);
		append_after(out, options, change);
	}
	debezium_source(out, debezium, position, &prepared->table);
	append_tail(out, debezium, txn, change->shape, ops[change->op]);
	if (change->bare)
		buffer_append_literal(out, ",\"omitted\":true");
	else if (change->used & COLUMN_OMITTED)
	{
		buffer_append_literal(out, ",\"omitted\":");
		json_append_column_names(out, change->shape, change->states,
								 COLUMN_OMITTED);
	}
	buffer_append_char(out, '}');
}

static void
debezium_truncate(ByteBuffer *out, const ChangeFormatOptions *options,
				  const ChangeTransaction *txn, const ChangePosition *position,
				  const RowShape *shape, bool cascade, bool restart_identity)
{
	Debezium	  *debezium = debezium_of(options);
	DebeziumShape *prepared = shape->prepared;

	debezium_enter(debezium, &options->style, txn);
	buffer_append_char(out, '{');
	json_append_id(out, txn, position);
	buffer_append_literal(out, ",\"key\":null,\"before\":null,\"after\":null");
	debezium_source(out, debezium, position, &prepared->table);
	append_tail(out, debezium, txn, shape, 't');
	buffer_append_char(out, '}');
}

static void
append_message_key(ByteBuffer *out, const ChangeFormatOptions *options,
				   const MessageChange *message)
{
	if (message->form == RECORD_BARE)
	{
		buffer_append_literal(out, ",\"key\":null");
		return;
	}
	buffer_append_literal(out, ",\"key\":{\"prefix\":");
	json_append_string(out, &options->style, message->prefix);
	buffer_append_char(out, '}');
}

/* A message belongs to no table; its key is its prefix. */
static void
debezium_message(ByteBuffer *out, const ChangeFormatOptions *options,
				 const ChangeTransaction *txn, const ChangePosition *position,
				 const MessageChange *message)
{
	static const char no_table[] = ",\"schema\":\"\",\"table\":\"\"";
	const ShapeText	  table = {no_table, sizeof(no_table) - 1};
	Debezium		 *debezium = debezium_of(options);

	debezium_enter(debezium, &options->style, txn);
	buffer_append_char(out, '{');
	json_append_id(out, txn, position);
	append_message_key(out, options, message);
	debezium_source(out, debezium, position, &table);
	append_tail(out, debezium, txn, NULL, 'm');
	if (message->form == RECORD_BARE)
	{
		buffer_append_literal(out, ",\"message\":null,\"omitted\":true}");
		return;
	}
	buffer_append_literal(out, ",\"message\":{\"prefix\":");
	json_append_string(out, &options->style, message->prefix);
	buffer_append_literal(out, ",\"content\":");
	if (message->form != RECORD_WHOLE)
		buffer_append_literal(out, "null");
	else
		json_base64(out, message->content, (int) message->size);
	buffer_append_literal(out, "}}");
}

const ChangeFormat change_format_debezium = {
	.name = "debezium",
	.prepare_shape = debezium_prepare,
	.transaction = debezium_transaction,
	.schema = debezium_schema,
	.row = debezium_row,
	.value = json_part_value,
	.truncate = debezium_truncate,
	.message = debezium_message,
};
