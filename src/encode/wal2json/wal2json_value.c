/*
 * wal2json_value.c
 *		Values and other small texts as wal2json writes them.
 *
 * Numbers and booleans are bare, what JSON can't hold as a number is null,
 * bytea is hexadecimal without its prefix, and anything else is a string of
 * the type's text under the session's settings.  A domain counts as anything
 * else.  Strings are in the server's encoding.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "encode/wal2json/wal2json.h"

static const JsonStyle raw_style = {.ascii = false};

void
wal2json_init(Wal2json *wal2json)
{
	text_values_init(&wal2json->values);
	buffer_init(&wal2json->transaction);
	buffer_init(&wal2json->document);
}

void
wal2json_refresh(Wal2json *wal2json)
{
	text_values_capture(&wal2json->values);
}

void
wal2json_string(ByteBuffer *out, const char *text)
{
	json_string(out, &raw_style, text, strlen(text));
}

static inline TypeShape *
wal2json_type(const Wal2jsonColumn *column)
{
	return &column->shape->columns[column->index].type;
}

/* The text of a value of any kind, as a string. */
static void
wal2json_append_quoted(ByteBuffer *out, Wal2json *wal2json,
					   const Wal2jsonColumn *column, Datum value)
{
	TextValues *values = &wal2json->values;
	TypeShape  *type = wal2json_type(column);
	const char *text;
	int			len;

	/* room for all of it, so that the quote stays where it is */
	(void) buffer_reserve(out, MAX_DATETIME_TEXT + 1);
	buffer_append_char(out, '"');
	if (text_value_plain(values, type, value, out))
	{
		buffer_append_char(out, '"');
		return;
	}
	out->len--;
	column->shape->current = &column->shape->columns[column->index];
	if (type->kind == KIND_JSONB)
		json_jsonb_string(out, &raw_style, value, &wal2json->document);
	else if (output_fits(out, type, value))
	{
		text = text_value_own(values, type, value, &len);
		if (text == NULL && (text = output_call(out, type, value)))
			len = strlen(text);
		if (text)
			json_string(out, &raw_style, text, len);
	}
	column->shape->current = NULL;
}

static void
append_number(ByteBuffer *out, TextValues *values, TypeShape *type,
			  Datum value)
{
	const char *text;
	int			len;

	if (text_value_plain(values, type, value, out))
		return;
	text = text_value(values, type, value, &len);
	buffer_append(out, text, len);
}

static void
append_hex(ByteBuffer *out, Datum value)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	buffer_append_char(out, '"');
	text_hex(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	buffer_append_char(out, '"');
}

static bool
is_special(TypeKind kind, Datum value)
{
	return (kind == KIND_FLOAT4 && !isfinite(DatumGetFloat4(value))) ||
		   (kind == KIND_FLOAT8 && !isfinite(DatumGetFloat8(value))) ||
		   (kind == KIND_NUMERIC && numeric_is_special(value));
}

void
wal2json_value(ByteBuffer *out, Wal2json *wal2json,
			   const Wal2jsonColumn *column, Datum value)
{
	switch (column->literal)
	{
		case KIND_BOOL:
			if (DatumGetBool(value))
				buffer_append_literal(out, "true");
			else
				buffer_append_literal(out, "false");
			break;
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
		case KIND_OID:
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_NUMERIC:
			if (wal2json->numbers_as_string)
				wal2json_append_quoted(out, wal2json, column, value);
			else if (is_special(column->literal, value))
				buffer_append_literal(out, "null");
			else
				append_number(out, &wal2json->values, wal2json_type(column),
							  value);
			break;
		case KIND_BYTEA:
			append_hex(out, value);
			break;
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
		case KIND_HSTORE:
		case KIND_VECTOR:
		case KIND_ARRAY:
		case KIND_COMPOSITE:
		case KIND_OTHER:
			wal2json_append_quoted(out, wal2json, column, value);
			break;
	}
}

void
wal2json_prefix(ByteBuffer *out, const MessageChange *message)
{
	if (message->form == RECORD_BARE)
		buffer_append_literal(out, "null");
	else
		wal2json_string(out, message->prefix);
}

/*
 * The inside of a message is bytes.  wal2json copies them; here those that
 * are no characters become U+FFFD, so that the record stays JSON.
 */
void
wal2json_content(ByteBuffer *out, const MessageChange *message)
{
	const char *p = message->content;
	int			len = strnlen(p, message->size);
	int			encoding = GetDatabaseEncoding();
	ByteBuffer	part;

	if (message->form != RECORD_WHOLE)
	{
		buffer_append_literal(out, "null");
		return;
	}
	if (pg_verify_mbstr(encoding, p, len, true))
	{
		json_string(out, &raw_style, p, len);
		return;
	}
	buffer_init(&part);
	buffer_append_char(out, '"');
	while (len > 0 && !buffer_is_over(out))
	{
		int n = pg_encoding_verifymbchar(encoding, p, len);

		if (n > 0)
		{
			buffer_clear(&part);
			json_string(&part, &raw_style, p, n);
			buffer_append(out, part.data + 1, part.len - 2);
		}
		else
		{
			n = 1;
			buffer_append_literal(out, "\\ufffd");
		}
		p += n;
		len -= n;
	}
	buffer_append_char(out, '"');
	buffer_free(&part);
}

void
wal2json_no_schema(ByteBuffer *out, const ChangeFormatOptions *options,
				   const ChangeTransaction *txn, const RowShape *shape,
				   RecordForm form)
{
}

bool
wal2json_identity_is_cut(const RowChange *change)
{
	const RowShape *shape = change->shape;
	bool			has_key = false;

	if (likely(!(change->used & COLUMN_OMITTED)))
		return false;
	for (int i = 0; i < shape->ncolumns; i++)
	{
		if (!shape->columns[i].is_key)
			continue;
		if (change_column_is(change, i, COLUMN_OMITTED))
			return true;
		has_key = true;
	}
	return !has_key;
}
