/*
 * change_json.c
 *		Changes as format "json": one object a record, on one line.
 *
 * Every record is valid JSON in UTF-8 by itself.  Names of members and their
 * order are a contract with consumers; new members may come, at the end.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_class.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"

#include "compat.h"
#include "encode/change.h"

/* ---- small pieces */

static const char hex_digits[] = "0123456789ABCDEF";

/* Fixed width, so that text order is numeric order. */
static char *
put_hex(char *dst, uint64 value, int digits)
{
	int i;

	for (i = digits - 1; i >= 0; i--)
	{
		dst[i] = hex_digits[value & 15];
		value >>= 4;
	}
	return dst + digits;
}

/* 0/1A2B400, as PostgreSQL writes it */
static void
append_lsn(StringInfo out, XLogRecPtr lsn)
{
	char  digits[17];
	char *p = digits;
	char *low;

	put_hex(digits, lsn, 16);
	while (p < digits + 7 && *p == '0')
		p++;
	buffer_append_char(out, '"');
	buffer_append(out, p, digits + 8 - p);
	buffer_append_char(out, '/');
	for (low = digits + 8; low < digits + 15 && *low == '0';)
		low++;
	buffer_append(out, low, digits + 16 - low);
	buffer_append_char(out, '"');
}

static void
append_uint(StringInfo out, uint64 value)
{
	buffer_advance(
		out, text_int64(buffer_reserve(out, MAX_NUMBER_TEXT), (int64) value));
}

static void
append_string(StringInfo out, const JsonStyle *style, const char *text)
{
	json_string(out, style, text, strlen(text));
}

static void
append_bool(StringInfo out, bool value)
{
	if (value)
		buffer_append_literal(out, "true");
	else
		buffer_append_literal(out, "false");
}

static void
append_time(StringInfo out, TimestampTz time)
{
	char *dst = buffer_reserve(out, MAX_DATETIME_TEXT + 2);
	int	  len;

	dst[0] = '"';
	len = text_timestamptz_utc(dst + 1, time, 'T', "Z");
	dst[len + 1] = '"';
	buffer_advance(out, len + 2);
}

/* ["a","b"] of the columns that are marked */
static void
append_column_names(StringInfo out, const RowShape *shape, const bool *marked)
{
	bool first = true;
	int	 i;

	buffer_append_char(out, '[');
	for (i = 0; i < shape->ncolumns; i++)
	{
		const ColumnShape *column = &shape->columns[i];

		if (!marked[i])
			continue;
		if (!first)
			buffer_append_char(out, ',');
		first = false;
		/* the label is the escaped name and a colon */
		buffer_append(out, column->label, column->label_len - 1);
	}
	buffer_append_char(out, ']');
}

/* "id":"COMMIT/CHANGE/INDEX" */
static void
append_id(StringInfo out, const ChangeTransaction *txn,
		  const ChangePosition *position)
{
	char *start = buffer_reserve(out, 64);
	char *dst = start;

	memcpy(dst, "\"id\":\"", 6);
	dst += 6;
	if (txn->in_progress)
	{
		memset(dst, '-', 16);
		dst += 16;
	}
	else
		dst = put_hex(dst, txn->commit_lsn, 16);
	*dst++ = '/';
	dst = put_hex(dst, position->lsn, 16);
	*dst++ = '/';
	dst = put_hex(dst, position->index, position->index > 0xFFFF ? 8 : 4);
	*dst++ = '"';
	buffer_advance(out, dst - start);
}

static void
append_xid(StringInfo out, const ChangeTransaction *txn,
		   const ChangePosition *position)
{
	buffer_append_literal(out, ",\"xid\":");
	append_uint(out, txn->xid);
	if (txn->in_progress)
	{
		buffer_append_literal(out, ",\"subxid\":");
		append_uint(out, position->subxid);
	}
}

/* ,"schema":"s","table":"t" */
static void
append_table(StringInfo out, const JsonStyle *style, const char *schema,
			 const char *table)
{
	buffer_append_literal(out, ",\"schema\":");
	append_string(out, style, schema);
	buffer_append_literal(out, ",\"table\":");
	append_string(out, style, table);
}

/* ---- records */

static void
json_prepare(RowShape *shape, const ChangeFormatOptions *options)
{
	json_prepare_shape(shape, &options->style);
}

static void
json_transaction(StringInfo out, const ChangeFormatOptions *options,
				 TransactionEvent event, const ChangeTransaction *txn,
				 const ChangePosition *position)
{
	if (event == EVENT_BEGIN)
		buffer_append_literal(out, "{\"op\":\"begin\",\"xid\":");
	else
		buffer_append_literal(out, "{\"op\":\"commit\",\"xid\":");
	append_uint(out, txn->xid);
	buffer_append_literal(out, ",\"commit_lsn\":");
	append_lsn(out, txn->commit_lsn);
	if (event == EVENT_COMMIT)
	{
		buffer_append_literal(out, ",\"end_lsn\":");
		append_lsn(out, txn->end_lsn);
	}
	buffer_append_literal(out, ",\"ts\":");
	append_time(out, txn->time);
	if (event == EVENT_COMMIT)
	{
		buffer_append_literal(out, ",\"changes\":");
		append_uint(out, txn->changes);
	}
	buffer_append_char(out, '}');
}

static void
append_column(StringInfo out, const JsonStyle *style,
			  const ColumnShape *column)
{
	char *type = type_shape_name(&column->type);

	buffer_append_literal(out, "{\"name\":");
	buffer_append(out, column->label, column->label_len - 1);
	buffer_append_literal(out, ",\"type\":");
	append_string(out, style, type);
	buffer_append_literal(out, ",\"oid\":");
	append_uint(out, column->type.oid);
	buffer_append_literal(out, ",\"attnum\":");
	append_uint(out, column->attnum);
	buffer_append_literal(out, ",\"nullable\":");
	append_bool(out, !column->not_null);
	if (column->is_generated)
		buffer_append_literal(out, ",\"generated\":true");
	buffer_append_char(out, '}');
	pfree(type);
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

static void
json_schema(StringInfo out, const ChangeFormatOptions *options,
			const ChangeTransaction *txn, const RowShape *shape)
{
	const JsonStyle *style = &options->style;
	const char		*identity = identity_name(shape->identity);
	bool			*is_key = palloc(sizeof(bool) * Max(shape->ncolumns, 1));
	int				 i;

	buffer_append_literal(out, "{\"op\":\"schema\"");
	append_table(out, style, shape->schema, shape->name);
	buffer_append_literal(out, ",\"columns\":[");
	for (i = 0; i < shape->ncolumns; i++)
	{
		if (i > 0)
			buffer_append_char(out, ',');
		append_column(out, style, &shape->columns[i]);
		is_key[i] = shape->columns[i].is_key;
	}
	buffer_append_literal(out, "],\"key\":");
	append_column_names(out, shape, is_key);
	buffer_append_literal(out, ",\"identity\":");
	buffer_append(out, identity, strlen(identity));
	buffer_append_char(out, '}');
	pfree(is_key);
}

static void
append_change_head(StringInfo out, const ChangeFormatOptions *options,
				   const ChangeTransaction *txn,
				   const ChangePosition *position, const RowShape *shape)
{
	append_id(out, txn, position);
	append_xid(out, txn, position);
	append_table(out, &options->style, shape->schema, shape->name);
}

static void
json_change_row(StringInfo out, const ChangeFormatOptions *options,
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
	append_change_head(out, options, txn, position, shape);
	if (change->leaf_name)
	{
		buffer_append_literal(out, ",\"leaf\":{\"schema\":");
		append_string(out, style, change->leaf_schema);
		buffer_append_literal(out, ",\"table\":");
		append_string(out, style, change->leaf_name);
		buffer_append_char(out, '}');
	}
	if (change->key_values)
	{
		buffer_append_literal(out, ",\"key\":");
		json_row(out, style, shape, change->key_values, change->key_nulls,
				 change->key_skip);
	}
	if (change->new_values)
	{
		buffer_append_literal(out, ",\"new\":");
		json_row(out, style, shape, change->new_values, change->new_nulls,
				 change->left_out);
	}
	if (change->old_values && !change->old_is_key && options->include_old)
	{
		buffer_append_literal(out, ",\"old\":");
		json_row(out, style, shape, change->old_values, change->old_nulls,
				 change->omitted);
	}
	if (change->unchanged)
	{
		buffer_append_literal(out, ",\"unchanged\":");
		append_column_names(out, shape, change->unchanged);
	}
	if (change->omitted)
	{
		buffer_append_literal(out, ",\"omitted\":");
		append_column_names(out, shape, change->omitted);
	}
	buffer_append_char(out, '}');
}

static void
json_truncate(StringInfo out, const ChangeFormatOptions *options,
			  const ChangeTransaction *txn, const ChangePosition *position,
			  const RowShape *shape, bool cascade, bool restart_identity)
{
	buffer_append_literal(out, "{\"op\":\"truncate\",");
	append_change_head(out, options, txn, position, shape);
	buffer_append_literal(out, ",\"cascade\":");
	append_bool(out, cascade);
	buffer_append_literal(out, ",\"restart_identity\":");
	append_bool(out, restart_identity);
	buffer_append_char(out, '}');
}

static void
append_base64(StringInfo out, const char *data, Size size)
{
	int	  len = pg_b64_enc_len(size);
	char *dst = buffer_reserve(out, len + 2);

	dst[0] = '"';
	len = base64_encode(data, size, dst + 1, len);
	if (len < 0)
		elog(ERROR, "could not encode a message as base64");
	dst[len + 1] = '"';
	buffer_advance(out, len + 2);
}

/* Content that is text in the database's encoding is written as text. */
static void
append_content(StringInfo out, const JsonStyle *style,
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
	append_base64(out, message->content, message->size);
}

static void
json_message(StringInfo out, const ChangeFormatOptions *options,
			 const ChangeTransaction *txn, const ChangePosition *position,
			 const MessageChange *message)
{
	buffer_append_literal(out, "{\"op\":\"message\",");
	append_id(out, txn, position);
	if (TransactionIdIsValid(txn->xid))
		append_xid(out, txn, position);
	buffer_append_literal(out, ",\"prefix\":");
	append_string(out, &options->style, message->prefix);
	buffer_append_literal(out, ",\"transactional\":");
	append_bool(out, message->transactional);
	if (message->omitted)
		buffer_append_literal(out, ",\"omitted\":[\"content\"]");
	else
		append_content(out, &options->style, message);
	buffer_append_char(out, '}');
}

const ChangeFormat change_format_json = {
	.name = "json",
	.prepare_shape = json_prepare,
	.transaction = json_transaction,
	.schema = json_schema,
	.row = json_change_row,
	.truncate = json_truncate,
	.message = json_message,
};
