/*
 * change_json.c
 *		Changes as format "json": one object a record, on one line.
 *
 * Every record is valid JSON in UTF-8 by itself.  Names of members and their
 * order are a contract with consumers; new members may come, at the end.
 */
#include "postgres.h"

#include "access/transam.h"
#include "mb/pg_wchar.h"

#include "encode/json/change_json.h"

/* Keeps the members that name the table. */
static void
json_prepare(RowShape *shape, const ChangeFormatOptions *options)
{
	ShapeText *table;
	ByteBuffer scratch;

	buffer_init(&scratch);
	json_append_table(&scratch, &options->style, shape->schema, shape->name);
	table = MemoryContextAlloc(shape->context, sizeof(ShapeText));
	*table = shape_text_take(shape, &scratch);
	shape->prepared = table;
	buffer_free(&scratch);
	json_prepare_shape(shape, &options->style);
}

static void
append_change_head(ByteBuffer *out, const ChangeTransaction *txn,
				   const ChangePosition *position, const RowShape *shape)
{
	json_append_id(out, txn, position);
	json_append_xid(out, txn, position);
	shape_text_append(out, shape->prepared);
}

static void
json_change_row(ByteBuffer *out, const ChangeFormatOptions *options,
				const ChangeTransaction *txn, const ChangePosition *position,
				const RowChange *change)
{
	const JsonStyle *style = &options->style;
	RowShape		*shape = change->shape;

	switch (change->op)
	{
		case CHANGE_INSERT:
			buffer_append_literal(out, "{\"op\":\"insert\",");
			break;
		case CHANGE_UPDATE:
			buffer_append_literal(out, "{\"op\":\"update\",");
			break;
		case CHANGE_DELETE:
			buffer_append_literal(out, "{\"op\":\"delete\",");
			break;
	}
	append_change_head(out, txn, position, shape);
	if (change->bare)
	{
		buffer_append_literal(out, ",\"omitted\":true}");
		return;
	}
	if (change->leaf_name)
	{
		buffer_append_literal(out, ",\"leaf\":{\"schema\":");
		json_append_string(out, style, change->leaf_schema);
		buffer_append_literal(out, ",\"table\":");
		json_append_string(out, style, change->leaf_name);
		buffer_append_char(out, '}');
	}
	if (change->key_values && change->op != CHANGE_INSERT)
	{
		buffer_append_literal(out, ",\"key\":");
		json_row(out, style, shape, change->key_values, change->key_nulls,
				 change->states, change->used & COLUMN_NOT_KEY);
	}
	if (change->new_values)
	{
		buffer_append_literal(out, ",\"new\":");
		json_row(out, style, shape, change->new_values, change->new_nulls,
				 change->states, change->used & COLUMN_LEFT_OUT);
	}
	if (change->old_values && !change->old_is_key && options->include_old)
	{
		buffer_append_literal(out, ",\"old\":");
		json_row(out, style, shape, change->old_values, change->old_nulls,
				 change->states, change->used & COLUMN_OMITTED);
	}
	if (change->used & COLUMN_UNCHANGED)
	{
		buffer_append_literal(out, ",\"unchanged\":");
		json_append_column_names(out, shape, change->states, COLUMN_UNCHANGED);
	}
	if (change->used & COLUMN_OMITTED)
	{
		buffer_append_literal(out, ",\"omitted\":");
		json_append_column_names(out, shape, change->states, COLUMN_OMITTED);
	}
	buffer_append_char(out, '}');
}

static void
json_truncate(ByteBuffer *out, const ChangeFormatOptions *options,
			  const ChangeTransaction *txn, const ChangePosition *position,
			  const RowShape *shape, bool cascade, bool restart_identity)
{
	buffer_append_literal(out, "{\"op\":\"truncate\",");
	append_change_head(out, txn, position, shape);
	buffer_append_literal(out, ",\"cascade\":");
	json_append_bool(out, cascade);
	buffer_append_literal(out, ",\"restart_identity\":");
	json_append_bool(out, restart_identity);
	buffer_append_char(out, '}');
}

/* Content that is text in the database's encoding is written as text. */
static void
append_content(ByteBuffer *out, const JsonStyle *style,
			   const MessageChange *message)
{
	bool is_text = pg_verify_mbstr(
		GetDatabaseEncoding() == PG_SQL_ASCII ? PG_UTF8
											  : GetDatabaseEncoding(),
		message->content, (int) message->size, true);

	if (is_text)
	{
		buffer_append_literal(out, ",\"content\":");
		json_string(out, style, message->content, (int) message->size);
		return;
	}
	buffer_append_literal(out, ",\"encoding\":\"base64\",\"content\":");
	json_base64(out, message->content, (int) message->size);
}

/* {"op":"ddl",...}: a message of ours that tells of a command */
static void
append_ddl(ByteBuffer *out, const JsonStyle *style,
		   const MessageChange *message)
{
	const DdlChange *ddl = message->ddl;
	int				 i;

	buffer_append_literal(out, ",\"tag\":");
	json_append_string(out, style, ddl->tag);
	buffer_append_literal(out, ",\"command\":");
	if (ddl->command && message->form == RECORD_WHOLE)
		json_append_string(out, style, ddl->command);
	else
		buffer_append_literal(out, "null");
	buffer_append_literal(out, ",\"objects\":[");
	for (i = 0; i < ddl->nobjects && message->form < RECORD_SHORTER &&
				!buffer_is_over(out);
		 i++)
	{
		if (i > 0)
			buffer_append_char(out, ',');
		buffer_append_literal(out, "{\"type\":");
		json_append_string(out, style, ddl->types[i]);
		buffer_append_literal(out, ",\"identity\":");
		json_append_string(out, style, ddl->identities[i]);
		buffer_append_char(out, '}');
	}
	buffer_append_char(out, ']');
	if (message->form == RECORD_SHORT)
		buffer_append_literal(out, ",\"omitted\":[\"command\"]");
	else if (message->form == RECORD_SHORTER)
		buffer_append_literal(out, ",\"omitted\":[\"command\",\"objects\"]");
	buffer_append_char(out, '}');
}

static void
json_message(ByteBuffer *out, const ChangeFormatOptions *options,
			 const ChangeTransaction *txn, const ChangePosition *position,
			 const MessageChange *message)
{
	if (message->ddl)
		buffer_append_literal(out, "{\"op\":\"ddl\",");
	else
		buffer_append_literal(out, "{\"op\":\"message\",");
	json_append_id(out, txn, position);
	if (TransactionIdIsValid(txn->xid))
		json_append_xid(out, txn, position);
	if (message->form == RECORD_BARE)
	{
		buffer_append_literal(out, ",\"omitted\":true}");
		return;
	}
	if (message->ddl)
	{
		append_ddl(out, &options->style, message);
		return;
	}
	buffer_append_literal(out, ",\"prefix\":");
	json_append_string(out, &options->style, message->prefix);
	buffer_append_literal(out, ",\"transactional\":");
	json_append_bool(out, message->transactional);
	if (message->form != RECORD_WHOLE)
		buffer_append_literal(out, ",\"omitted\":[\"content\"]");
	else
		append_content(out, &options->style, message);
	buffer_append_char(out, '}');
}

const ChangeFormat change_format_json = {
	.name = "json",
	.prepare_shape = json_prepare,
	.transaction = change_json_transaction,
	.schema = change_json_schema,
	.row = json_change_row,
	.value = json_part_value,
	.truncate = json_truncate,
	.message = json_message,
};
