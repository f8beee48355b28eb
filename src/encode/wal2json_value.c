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
#include "encode/wal2json.h"

static const JsonStyle raw_style = {.ascii = false};

void
wal2json_init(Wal2json *wal2json)
{
	text_values_init(&wal2json->values);
	initStringInfo(&wal2json->transaction);
}

void
wal2json_refresh(Wal2json *wal2json)
{
	text_values_capture(&wal2json->values);
}

void
wal2json_string(StringInfo out, const char *text)
{
	json_string(out, &raw_style, text, strlen(text));
}

/* The text of a value of any kind, as a string. */
static void
append_quoted(StringInfo out, TextValues *values, ColumnShape *column,
			  Datum value)
{
	TypeShape  *type = &column->type;
	int			start = out->len;
	const char *text;
	int			len;

	buffer_append_char(out, '"');
	if (text_value_plain(values, type, value, out))
	{
		buffer_append_char(out, '"');
		return;
	}
	out->len = start;
	current_column = column;
	text = text_value(values, type, value, &len);
	current_column = NULL;
	json_string(out, &raw_style, text, len);
}

static void
append_number(StringInfo out, TextValues *values, TypeShape *type, Datum value)
{
	const char *text;
	int			len;

	if (text_value_plain(values, type, value, out))
		return;
	text = text_value(values, type, value, &len);
	buffer_append(out, text, len);
}

static void
append_hex(StringInfo out, Datum value)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	buffer_append_char(out, '"');
	text_hex(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	buffer_append_char(out, '"');
}

static bool
is_special(TypeKind kind, Datum value)
{
	switch (kind)
	{
		case KIND_FLOAT4:
			return !isfinite(DatumGetFloat4(value));
		case KIND_FLOAT8:
			return !isfinite(DatumGetFloat8(value));
		case KIND_NUMERIC:
			return numeric_is_special(value);
		default:
			return false;
	}
}

void
wal2json_value(StringInfo out, Wal2json *wal2json,
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
				append_quoted(out, &wal2json->values, column->source, value);
			else if (is_special(column->literal, value))
				buffer_append_literal(out, "null");
			else
				append_number(out, &wal2json->values, &column->source->type,
							  value);
			break;
		case KIND_BYTEA:
			append_hex(out, value);
			break;
		default:
			append_quoted(out, &wal2json->values, column->source, value);
			break;
	}
}

/*
 * The inside of a message is bytes.  wal2json copies them; here those that
 * are no characters become U+FFFD, so that the record stays JSON.
 */
void
wal2json_content(StringInfo out, const MessageChange *message)
{
	const char	  *p = message->content;
	int			   len = strnlen(p, message->size);
	int			   encoding = GetDatabaseEncoding();
	StringInfoData part;

	if (message->omitted)
	{
		buffer_append_literal(out, "null");
		return;
	}
	if (pg_verify_mbstr(encoding, p, len, true))
	{
		json_string(out, &raw_style, p, len);
		return;
	}
	initStringInfo(&part);
	buffer_append_char(out, '"');
	while (len > 0)
	{
		int n = pg_encoding_verifymbchar(encoding, p, len);

		if (n > 0)
		{
			resetStringInfo(&part);
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
	pfree(part.data);
}

void
wal2json_no_schema(StringInfo out, const ChangeFormatOptions *options,
				   const ChangeTransaction *txn, const RowShape *shape)
{
}
